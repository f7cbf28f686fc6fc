/* Small text helpers of the runtime. */
#include "text.h"
#include "../core/mem.h"

char *exo_put_number(char *to, uint64_t number)
{
    char digits[20];
    int count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number != 0);
    while (count > 0)
        *to++ = digits[--count];
    *to = '\0';
    return to;
}

char *exo_put_text(char *to, const char *text)
{
    size_t size = strlen(text);
    memcpy(to, text, size + 1);
    return to + size;
}

uint64_t exo_get_number(const char *text, const char **after)
{
    uint64_t number = 0;
    for (; *text >= '0' && *text <= '9'; text++)
        number = number * 10 + (uint64_t)(*text - '0');
    *after = text;
    return number;
}

const char *exo_skip(const char *text, const char *prefix)
{
    for (; *prefix; prefix++, text++)
        if (*text != *prefix)
            return NULL;
    return text;
}
