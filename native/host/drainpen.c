/* Numbers, addresses and quoted bytes as strace writes them, into a line. */
#include <string.h>

#include "drainpen.h"

void exo_pen_put(struct exo_pen *pen, const char *text, uint32_t size)
{
    if (size > EXO_LINE_SIZE - pen->size) {
        pen->full = true;
        return;
    }
    memcpy(pen->text + pen->size, text, size);
    pen->size += size;
}

void exo_pen_number(struct exo_pen *pen, uint64_t value, uint32_t base)
{
    char digits[24];
    uint32_t at = sizeof(digits);
    do
        digits[--at] = "0123456789abcdef"[value % base];
    while ((value /= base) != 0);
    exo_pen_put(pen, digits + at, (uint32_t)sizeof(digits) - at);
}

void exo_pen_signed(struct exo_pen *pen, int64_t value)
{
    if (value < 0)
        PUT(pen, "-");
    exo_pen_number(pen, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10);
}

void exo_pen_address(struct exo_pen *pen, uint64_t value)
{
    if (value == 0) {
        PUT(pen, "NULL");
        return;
    }
    PUT(pen, "0x");
    exo_pen_number(pen, value, 16);
}

/* An octal escape is as short as what follows allows. */
static void put_escape(struct exo_pen *pen, uint8_t byte, bool digit_follows)
{
    static const char named[] = "tnvfr"; /* from 9 on */
    char text[4] = {'\\', (char)byte};
    uint32_t size = 2;
    if (byte >= 9 && byte <= 13) {
        text[1] = named[byte - 9];
    } else if (byte != '"' && byte != '\\') {
        size = digit_follows || byte >= 0100 ? 4 : byte >= 010 ? 3 : 2;
        for (uint32_t i = 1; i < size; i++)
            text[i] = (char)('0' + (byte >> 3 * (size - 1 - i) & 7));
    }
    exo_pen_put(pen, text, size);
}

void exo_pen_quoted(struct exo_pen *pen, const uint8_t *data, uint64_t size)
{
    PUT(pen, "\"");
    for (uint64_t i = 0; i < size; i++) {
        if (data[i] >= ' ' && data[i] < 0x7f && data[i] != '"' && data[i] != '\\')
            exo_pen_put(pen, (const char *)&data[i], 1);
        else
            put_escape(pen, data[i], i + 1 < size && data[i + 1] >= '0' && data[i + 1] <= '7');
    }
    PUT(pen, "\"");
}
