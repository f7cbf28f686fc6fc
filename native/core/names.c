/* What uname(2) says of an instance: names of its own, and the host's release with exo-um's mark. */
#include <exo/core.h>

#include "mem.h"

#define MARK "-exo-um"

/* Bytes of the leading major.minor.patch, what libraries parse. */
uint64_t exo_names_numeric(const char *release)
{
    uint64_t size = 0;
    while ((release[size] >= '0' && release[size] <= '9') || release[size] == '.')
        size++;
    while (size > 0 && release[size - 1] == '.')
        size--;
    return size;
}

static void put(char to[EXO_NAME_SIZE], const char *text)
{
    uint64_t size = strlen(text);
    size = size < EXO_NAME_SIZE ? size : EXO_NAME_SIZE - 1;
    memcpy(to, text, size);
    to[size] = '\0';
}

void exo_names_init(struct exo_kr *kr, const char *version, const char *host_name,
                    const char *host_release)
{
    uint64_t numeric = exo_names_numeric(host_release);
    put(kr->names.host, host_name);
    put(kr->names.domain, "(none)");
    put(kr->names.version, version);
    put(kr->names.release, host_release);
    if (numeric + sizeof MARK <= EXO_NAME_SIZE)
        put(kr->names.release + numeric, MARK);
}
