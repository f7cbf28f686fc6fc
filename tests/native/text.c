/* The runtime's number formatting and parsing, compared with libc's. */
#include <inttypes.h>

#include "check.h"
#include "runtime/text.c"

static void check_number(uint64_t number)
{
    char ours[32], expected[32];
    memset(ours, '#', sizeof(ours));
    int size = snprintf(expected, sizeof(expected), "%" PRIu64, number);
    CHECK(exo_put_number(ours, number) == ours + size);
    CHECK(strcmp(ours, expected) == 0);
    CHECK(ours[size + 1] == '#');
    const char *after;
    CHECK(exo_get_number(ours, &after) == number);
    CHECK(after == ours + size);
}

static void test_numbers(void)
{
    uint64_t random = 1;
    check_number(0);
    check_number(UINT64_MAX);
    for (uint64_t power = 1; power != 0; power = power > UINT64_MAX / 10 ? 0 : power * 10) {
        check_number(power - 1);
        check_number(power);
        check_number(power + 1);
    }
    for (int i = 0; i < 100000; i++) {
        uint64_t number = (uint64_t)random_below(&random, 1U << 31) << 33 |
                          (uint64_t)random_below(&random, 1U << 31) << 2;
        check_number(number >> random_below(&random, 64));
    }
}

static void check_parse(const char *text, uint64_t number, size_t size)
{
    const char *after;
    CHECK(exo_get_number(text, &after) == number);
    CHECK(after == text + size);
}

static void test_parse(void)
{
    check_parse("", 0, 0);
    check_parse("x", 0, 0);
    check_parse("-1", 0, 0);
    check_parse(" 1", 0, 0);
    check_parse("0", 0, 1);
    check_parse("007/fd", 7, 3);
    check_parse("42:", 42, 2);
    check_parse("9/8", 9, 1);
    check_parse("18446744073709551616", 0, 20); /* wraps */
}

static void test_text(void)
{
    char to[16];
    memset(to, '#', sizeof(to));
    CHECK(exo_put_text(to, "") == to && to[0] == '\0' && to[1] == '#');
    char *end = exo_put_text(to, "/proc/");
    CHECK(end == to + 6 && *end == '\0');
    end = exo_put_number(end, 12);
    CHECK(end == to + 8 && strcmp(to, "/proc/12") == 0 && to[9] == '#');
}

static void test_skip(void)
{
    const char *text = "/proc/self/fd";
    CHECK(exo_skip(text, "/proc/") == text + 6);
    CHECK(exo_skip(text, "") == text);
    CHECK(exo_skip(text, text) == text + 13);
    CHECK(exo_skip(text, "/sys/") == NULL);
    CHECK(exo_skip("/proc", "/proc/") == NULL);
    CHECK(exo_skip("", "/") == NULL);
}

int main(void)
{
    test_numbers();
    test_parse();
    test_text();
    test_skip();
    return 0;
}
