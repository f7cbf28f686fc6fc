/* The names that an instance begins with. */
#include "setup.h"

int main(void)
{
    begin(10);
    struct exo_kr *kr = region_create();
    CHECK(exo_names_numeric("6.18.44-fc-v595") == 7);
    CHECK(exo_names_numeric("5.10.0+") == 6);
    CHECK(exo_names_numeric("6.1.") == 3);
    exo_names_init(kr, "exo-um 1", "host", "6.18.44-fc-v595");
    CHECK(strcmp(kr->names.host, "host") == 0 && strcmp(kr->names.domain, "(none)") == 0);
    CHECK(strcmp(kr->names.release, "6.18.44-exo-um") == 0);
    CHECK(strcmp(kr->names.version, "exo-um 1") == 0);
    char endless[100] = {0};
    memset(endless, '7', sizeof endless - 1);
    exo_names_init(kr, endless, endless, endless);
    CHECK(strlen(kr->names.host) == 64 && strlen(kr->names.release) == 64);
    return 0;
}
