/* FIFOs that guests have made: rows and their pipes; openers that come and go at once, and are killed.
 */
#include "core/fifo.h"
#include "setup.h"

#define OPENERS 4
#define ROUNDS 20000

static const uint64_t one[3] = {1, 77, 5}, other[3] = {2, 77, 5};

static void test_rows(struct exo_kr *kr)
{
    begin_phase("rows");
    CHECK(exo_fifo_find(kr, one) == EXO_FIFO_NONE && exo_fifo_named(kr, 9) == EXO_FIFO_NONE);
    exo_fifo_note(kr, one, 9);
    exo_fifo_note(kr, other, 11);
    uint32_t row = exo_fifo_find(kr, one), second = exo_fifo_find(kr, other);
    CHECK(row == 0 && second == 1 && exo_fifo_named(kr, 11) == second);
    uint32_t reads = exo_fifo_join(kr, row, one, EXO_PIPE_READS);
    exo_object_hold(kr, 0);
    CHECK(reads != 0 && exo_fifo_join(kr, row, one, EXO_PIPE_WRITES) == reads);
    exo_object_hold(kr, 0);
    CHECK(exo_pipe_users(exo_pipe_at(kr, reads), EXO_PIPE_READS) == 1 &&
          exo_pipe_users(exo_pipe_at(kr, reads), EXO_PIPE_WRITES) == 1);
    CHECK(exo_fifo_join(kr, row, other, EXO_PIPE_READS) == 0);
    exo_fifo_part(kr, reads, EXO_PIPE_READS);
    CHECK(exo_fifo_join(kr, row, one, EXO_PIPE_READS) == reads);
    exo_fifo_part(kr, reads, EXO_PIPE_READS);
    exo_fifo_part(kr, reads, EXO_PIPE_WRITES);
    CHECK(exo_pipe_at(kr, reads)->mode == EXO_PIPE_FREE);
}

/* What has become the host's stays so; the same inode, made again, does not. */
static void test_host(struct exo_kr *kr)
{
    begin_phase("host");
    uint32_t row = exo_fifo_find(kr, one), pipe = exo_fifo_join(kr, row, one, EXO_PIPE_READS);
    exo_object_hold(kr, 0);
    CHECK(exo_fifo_give_up(kr, row, other) == 0 && exo_fifo_give_up(kr, row, one) == pipe);
    CHECK(exo_fifo_join(kr, row, one, EXO_PIPE_WRITES) == 0);
    exo_fifo_part(kr, pipe, EXO_PIPE_READS);
    CHECK(exo_fifo_join(kr, row, one, EXO_PIPE_WRITES) == 0);
    exo_fifo_note(kr, one, 9);
    pipe = exo_fifo_join(kr, row, one, EXO_PIPE_READS);
    exo_object_hold(kr, 0);
    exo_pipe_at(kr, pipe)->mode = EXO_PIPE_HOST;
    CHECK(exo_fifo_join(kr, row, one, EXO_PIPE_WRITES) == 0 && kr->fifos[row].at_host == 1);
    exo_fifo_part(kr, pipe, EXO_PIPE_READS);
    exo_fifo_note(kr, one, 9);
}

/* A row that is in use is not given away. */
static void test_full(struct exo_kr *kr)
{
    begin_phase("full");
    uint32_t row = exo_fifo_find(kr, one), pipe = exo_fifo_join(kr, row, one, EXO_PIPE_READS);
    exo_object_hold(kr, 0);
    for (uint64_t i = 0; i < 2 * EXO_FIFO_COUNT; i++)
        exo_fifo_note(kr, (const uint64_t[3]){100 + i, 77, 0}, (uint32_t)(100 + i));
    CHECK(exo_fifo_find(kr, one) == row && kr->fifos[row].pipe == pipe);
    CHECK(exo_fifo_find(kr, (const uint64_t[3]){99 + 2 * EXO_FIFO_COUNT, 77, 0}) != EXO_FIFO_NONE);
    CHECK(exo_fifo_find(kr, other) == EXO_FIFO_NONE);
    exo_fifo_part(kr, pipe, EXO_PIPE_READS);
}

/* Who has both ends at the same moment has them of the same pipe. */
static void come_and_go(struct exo_kr *kr, int side)
{
    uint32_t row = exo_fifo_find(kr, one);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t pipe = exo_fifo_join(kr, row, one, side);
        CHECK(pipe != 0 && exo_pipe_users(exo_pipe_at(kr, pipe), side) != 0);
        CHECK(exo_fifo_join(kr, row, one, 1 - side) == pipe);
        exo_fifo_part(kr, pipe, 1 - side);
        exo_fifo_part(kr, pipe, side);
    }
}

static void test_crowd(struct exo_kr *kr)
{
    begin_phase("crowd");
    pid_t children[OPENERS];
    for (int i = 0; i < OPENERS; i++)
        if ((children[i] = fork_child()) == 0) {
            come_and_go(kr, i % 2 != 0 ? EXO_PIPE_WRITES : EXO_PIPE_READS);
            _exit(0);
        }
    for (int i = 0; i < OPENERS; i++)
        CHECK(reap(children[i]) == 0);
    CHECK(kr->object_high[EXO_KIND_PIPE] <= 2 * OPENERS);
    for (uint32_t i = 1; i <= kr->object_high[EXO_KIND_PIPE]; i++)
        CHECK(kr->pipes[i].mode == EXO_PIPE_FREE && kr->pipes[i].ends % EXO_ENDS_CHANGE == 0);
}

/* Whoever is killed at it holds nothing up. */
static void test_killed(struct exo_kr *kr)
{
    begin_phase("killed");
    uint32_t row = exo_fifo_find(kr, one);
    for (uint32_t i = 0; i < 30; i++) {
        pid_t child = fork_child();
        if (child == 0)
            for (;;)
                exo_fifo_part(kr, exo_fifo_join(kr, row, one, EXO_PIPE_READS), EXO_PIPE_READS);
        usleep(i * 50);
        kill(child, SIGKILL);
        CHECK(reap(child) == 128 + SIGKILL);
        uint32_t pipe = exo_fifo_join(kr, row, one, EXO_PIPE_WRITES);
        CHECK(pipe != 0);
        exo_fifo_part(kr, pipe, EXO_PIPE_WRITES);
    }
}

int main(void)
{
    begin(60);
    self_init();
    struct exo_kr *kr = region_create();
    test_rows(kr);
    test_host(kr);
    test_full(kr);
    test_crowd(kr);
    test_killed(kr);
    region_destroy(kr);
    return 0;
}
