/* Lines of calls whose arguments are numbers, names of constants, paths, strings and files' status, by
 * templates that who decodes has made from the table of calls. What a template has no words for is
 * left to who has made it. The words are posix_x/decode/'s, and so is each rule here. */
#include <errno.h>
#include <string.h>

#include <exo/offsets.h>

#include "drainpen.h"

#define HEAD sizeof(struct exo_called)
#define AT_FDCWD (-100)
#define O_CREAT 0x40
#define O_TMPFILE 0x410000
#define ERRNO_LIMIT 4095
#define PATH_LIMIT 4095
#define STAT_SIZE 144

/* The longest of the pieces from an address on; 0 bytes: there is none. */
static uint64_t find_piece(const struct exo_pen *pen, uint64_t at, bool after, const uint8_t **data)
{
    const struct exo_drained *event = pen->event;
    uint64_t best = 0, head;
    for (uint32_t place = pen->pieces; place + 8 <= event->size;) {
        memcpy(&head, event->data + place, 8);
        uint64_t size = head >> 48 & 0x7fff, start = head & ((1UL << 48) - 1), away = at - start;
        if (head == 0 || size > event->size - place - 8)
            break;
        if ((head >> 63 != 0) == after && away < size && size - away > best) {
            best = size - away;
            *data = event->data + place + 8 + away;
        }
        place += 8 + (uint32_t)((size + 7) & ~7UL);
    }
    return best;
}

static bool put_string(struct exo_pen *pen, uint64_t at, uint64_t limit)
{
    const uint8_t *data = NULL, *end = NULL;
    if (at == 0) {
        PUT(pen, "NULL");
        return true;
    }
    uint64_t size = find_piece(pen, at, false, &data);
    if (size != 0)
        end = memchr(data, 0, size < limit + 1 ? size : limit + 1);
    if (end == NULL)
        return false;
    exo_pen_quoted(pen, data, (uint64_t)(end - data));
    return true;
}

static bool put_bytes(struct exo_pen *pen, uint64_t at, uint64_t size, bool after)
{
    const uint8_t *data = NULL;
    uint64_t limit = pen->drain->string_limit, shown = size < limit ? size : limit;
    if (at == 0) {
        PUT(pen, "NULL");
        return true;
    }
    if (shown != 0 && find_piece(pen, at, after, &data) < shown)
        return false;
    exo_pen_quoted(pen, data, shown);
    if (size > limit)
        PUT(pen, "...");
    return true;
}

static bool put_stat(struct exo_pen *pen, uint64_t at)
{
    const uint8_t *data = NULL;
    uint32_t mode;
    int64_t size;
    if (at == 0 || find_piece(pen, at, true, &data) < STAT_SIZE)
        return false;
    memcpy(&mode, data + 24, 4);
    memcpy(&size, data + 48, 8);
    if (mode >> 12 == 2 || mode >> 12 == 6)
        return false;
    PUT(pen, "{st_mode=");
    if (!exo_pen_word(pen, EXO_WORDS_MODE, mode))
        return false;
    PUT(pen, ", st_size=");
    exo_pen_signed(pen, size);
    PUT(pen, ", ...}");
    return true;
}

static void put_octal(struct exo_pen *pen, uint64_t value)
{
    exo_pen_put(pen, value > 07 ? "0" : "00", value > 07 ? 1 : 2);
    exo_pen_number(pen, value, 8);
}

static uint64_t unsigned_of(uint64_t value, uint8_t size)
{
    return size >= 8 ? value : value & ((1UL << size * 8) - 1);
}

static int64_t signed_of(uint64_t value, uint8_t size)
{
    uint32_t shift = size >= 8 || size == 0 ? 0 : 64 - size * 8U;
    return (int64_t)(value << shift) >> shift;
}

static uint64_t length_of(const struct exo_pen *pen, const struct exo_line_item *item)
{
    uint64_t size = unsigned_of(pen->args[item->length % 6], item->length_size), result;
    if (item->op != EXO_ITEM_BYTES_OUT || !item->by_result)
        return size;
    result = pen->result < 0 ? 0 : (uint64_t)pen->result;
    return size < result ? size : result;
}

static bool put_memory(struct exo_pen *pen, const struct exo_line_item *item, uint64_t value)
{
    bool failed = pen->result < 0 && pen->result >= -ERRNO_LIMIT;
    if (item->op >= EXO_ITEM_FIRST_OUT && failed) {
        exo_pen_address(pen, value);
        return true;
    }
    switch (item->op) {
    case EXO_ITEM_PATH:
        return put_string(pen, value, PATH_LIMIT);
    case EXO_ITEM_STRING:
        return put_string(pen, value, pen->drain->string_limit);
    case EXO_ITEM_BYTES_IN:
    case EXO_ITEM_BYTES_OUT:
        return put_bytes(pen, value, length_of(pen, item), item->op == EXO_ITEM_BYTES_OUT);
    case EXO_ITEM_STAT:
        return put_stat(pen, value);
    default: /* only where there is nothing */
        if (value == 0)
            PUT(pen, "NULL");
        return value == 0;
    }
}

static bool put_item(struct exo_pen *pen, const struct exo_line_item *item, uint64_t raw)
{
    uint64_t value = unsigned_of(raw, item->size);
    switch (item->op) {
    case EXO_ITEM_SIGNED:
        exo_pen_signed(pen, signed_of(raw, item->size));
        return true;
    case EXO_ITEM_UNSIGNED:
        exo_pen_number(pen, value, 10);
        return true;
    case EXO_ITEM_ADDRESS:
        exo_pen_address(pen, value);
        return true;
    case EXO_ITEM_HEX:
        if (value == 0)
            PUT(pen, "0");
        else
            exo_pen_address(pen, value);
        return true;
    case EXO_ITEM_OCTAL:
        put_octal(pen, value);
        return true;
    case EXO_ITEM_DIRECTORY:
        if (signed_of(raw, item->size) == AT_FDCWD)
            PUT(pen, "AT_FDCWD");
        else
            exo_pen_signed(pen, signed_of(raw, item->size));
        return true;
    case EXO_ITEM_ID:
        if (value == UINT32_MAX)
            PUT(pen, "-1");
        else
            exo_pen_number(pen, value, 10);
        return true;
    case EXO_ITEM_WORD:
        return exo_pen_word(pen, item->set, value);
    default:
        return put_memory(pen, item, raw);
    }
}

static bool put_items(struct exo_pen *pen, const struct exo_template *form)
{
    for (uint32_t i = 0; i < form->count; i++) {
        const struct exo_line_item *item = &form->items[i];
        uint64_t how = pen->args[item->length % 6];
        if (item->if_created && !(how & O_CREAT) && (how & O_TMPFILE) != O_TMPFILE)
            break;
        if (i != 0)
            PUT(pen, ", ");
        if (!put_item(pen, item, pen->args[item->arg % 6]))
            return false;
    }
    return true;
}

static bool put_result(struct exo_pen *pen, const struct exo_template *form)
{
    struct exo_line_item item = {.op = form->result, .size = form->result_size};
    if (pen->result < 0 && pen->result >= -ERRNO_LIMIT)
        return exo_pen_word(pen, EXO_WORDS_ERROR, 0 - (uint64_t)pen->result);
    if (form->result == EXO_ITEM_ADDRESS && pen->result == 0) {
        PUT(pen, "0x0");
        return true;
    }
    return put_item(pen, &item, (uint64_t)pen->result);
}

/* exo_um/trace/restart.py says how that is written. */
static bool was_interrupted(int64_t result)
{
    return result == -EINTR || result == -EXO_ERESTART || result == -EXO_ERESTARTNOHAND;
}

static void put_prefix(struct exo_pen *pen)
{
    if (pen->drain->prefix == EXO_PREFIX_NONE)
        return;
    uint32_t start, width = 5, digits = 1;
    for (uint32_t rest = pen->event->tid; rest >= 10; rest /= 10)
        digits++;
    if (pen->drain->prefix == EXO_PREFIX_BRACKETS) {
        PUT(pen, "[pid ");
        for (; digits < width; digits++)
            PUT(pen, " ");
    }
    start = pen->size;
    exo_pen_number(pen, pen->event->tid, 10);
    if (pen->drain->prefix == EXO_PREFIX_BRACKETS)
        PUT(pen, "]");
    else
        while (pen->size - start < width)
            PUT(pen, " ");
    PUT(pen, " ");
}

uint32_t exo_lines_write(const struct exo_lines *lines, const struct exo_drain *drain,
                         const struct exo_drained *event, uint8_t *to, uint32_t room)
{
    struct exo_pen pen;
    struct exo_called called;
    uint64_t args[6] = {0};
    memcpy(&called, event->data, HEAD);
    const struct exo_template *form = exo_lines_template(lines, called.nr);
    if (form == NULL || called.argc > 6 || (called.flags & ~EXO_CALLED_LONG) != 0 ||
        was_interrupted(called.result))
        return 0;
    memcpy(args, event->data + HEAD, called.argc * 8UL);
    pen.lines = lines, pen.drain = drain, pen.event = event, pen.args = args;
    pen.result = called.result;
    pen.pieces = (uint32_t)HEAD + called.argc * 8U;
    pen.size = 0;
    pen.full = false;
    put_prefix(&pen);
    exo_pen_put(&pen, form->name, form->name_size);
    PUT(&pen, "(");
    if (!put_items(&pen, form))
        return 0;
    PUT(&pen, ") ");
    while (pen.size < drain->column && !pen.full)
        PUT(&pen, " ");
    PUT(&pen, "= ");
    if (!put_result(&pen, form) || pen.full || pen.size >= room)
        return 0;
    PUT(&pen, "\n");
    memcpy(to, pen.text, pen.size);
    return pen.size;
}
