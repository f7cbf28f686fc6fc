/* What the environment asks for (EXO_MALLOC=guard,poison,stats,arenas=N), and what is said: sums at
 * the end, and one line before an abort.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sys/syscall.h>

#include "exo_malloc.h"

uint32_t exo_heap_flags, exo_arena_count = 1;
bool exo_counts;

static bool take_word(const char **text, const char *word)
{
    size_t length = strlen(word);
    if (strncmp(*text, word, length) != 0)
        return false;
    *text += length;
    return true;
}

static uint32_t take_number(const char **text)
{
    uint32_t number = 0;
    for (; **text >= '0' && **text <= '9' && number < 1000; ++*text)
        number = number * 10 + (uint32_t)(**text - '0');
    return number;
}

void exo_options_read(void)
{
    const char *text = secure_getenv("EXO_MALLOC");
    while (text != NULL && *text != 0) {
        if (take_word(&text, "guard"))
            exo_heap_flags |= EXO_HEAP_GUARD;
        else if (take_word(&text, "poison"))
            exo_heap_flags |= EXO_HEAP_GUARD | EXO_HEAP_POISON;
        else if (take_word(&text, "stats"))
            exo_counts = true;
        else if (take_word(&text, "arenas="))
            exo_arena_count = take_number(&text);
        else
            text++;
    }
    if (exo_arena_count == 0)
        exo_arena_count = 1;
}

static void say(const char *line, int length)
{
    if (length > 0)
        exo_host_call(SYS_write, STDERR_FILENO, (long)line, length, 0, 0, 0);
}

_Noreturn void exo_die(const char *what, const void *where)
{
    char line[160];
    say(line, snprintf(line, sizeof(line), "libexo_malloc: %s: %p\n", what, where));
    abort();
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 0 : 100.0 * (double)part / (double)whole;
}

static void print_stats(struct exo_home *home)
{
    struct exo_heap_stats stats;
    char line[512];
    exo_heap_stats(&home->anyone, &stats);
    uint64_t calls = stats.hits + stats.misses + stats.larges, kib = 1024;
    uint64_t held = stats.slab_free - stats.returned + stats.cached;
    say(line,
        snprintf(line, sizeof(line),
                 "libexo_malloc: %lu allocations, thread cache %.2f %%, with slabs %.2f %%, "
                 "large %.2f %%; %lu frees, %lu spills; resident %lu KiB: slabs %lu, "
                 "large %lu, free pages %lu; free in slabs %lu, of it returned %lu, in caches %lu: "
                 "fragmentation %.2f %%\n",
                 calls, percent(stats.hits, calls),
                 percent(stats.hits + stats.misses - stats.fresh, calls),
                 percent(stats.larges, calls), stats.frees, stats.spills, stats.resident / kib,
                 stats.slabs / kib, stats.large / kib, stats.dirty / kib, stats.slab_free / kib,
                 stats.returned / kib, stats.cached / kib,
                 percent(held + stats.dirty, stats.resident)));
}

__attribute__((destructor)) static void at_exit(void)
{
    for (uint32_t i = 0; exo_counts && i < exo_home_count; i++)
        if (exo_homes[i].mapped != 0)
            print_stats(&exo_homes[i]);
}
