/* Taking patches back: a debugger must find the code of the file, and may step through it.
 *
 * Stubs stay, for threads that are inside one or will return there; the sites trap from now on. Until
 * all are taken back, whoever returns from the runtime still goes by way of the stub: a debugger's
 * vfork child undoes what the debugger's own threads are running.
 */
#include "stub.h"

uint8_t exo_patch_undone;

/* The byte that a branch may lead to, the third of five, changes when all others are right. */
static void write_back(uint64_t at, const uint8_t original[5], bool alone)
{
    static const uint8_t order[] = {1, 3, 4, 2, 0};
    volatile uint8_t *code = (volatile uint8_t *)at;
    store_release(&exo_patch_in_progress, at);
    if (!alone) {
        code[0] = 0xf4; /* hlt: whoever comes waits in exo_stub_fault() */
        exo_patch_barrier();
    }
    for (unsigned i = 0; i < sizeof(order); i++) {
        code[order[i]] = original[order[i]];
        if (!alone && i >= 2)
            exo_patch_barrier();
    }
    store_release(&exo_patch_in_progress, 0UL);
}

void exo_patch_put_back(uint64_t at, const uint8_t original[5])
{
    uint64_t page = at & ~4095UL, size = ((at + 5 + 4095) & ~4095UL) - page;
    if (HOST_3(__NR_mprotect, page, size, PROT_READ_ | PROT_WRITE_ | PROT_EXEC_) != 0)
        return;
    write_back(at, original, exo_alone());
    HOST_3(__NR_mprotect, page, size, PROT_READ_ | PROT_EXEC_);
}

void exo_patch_undo(void)
{
    exo_mm_lock();
    if (exo_patch_undone != EXO_UNDO_DONE) {
        store_release(&exo_patch_undone, EXO_UNDO_BEGUN);
        exo_mm.flags |= EXO_KR_NO_PATCH;
        exo_copy_undo();
        exo_site_undo();
        store_release(&exo_patch_undone, EXO_UNDO_DONE);
    }
    exo_mm_unlock();
}
