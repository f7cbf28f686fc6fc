/* Patched sites: the jumps, the stubs behind them, and how to hide both from the guest. */
#ifndef EXO_RUNTIME_STUB_H
#define EXO_RUNTIME_STUB_H

#include "area.h"

#define STUB_SIZE 64

enum exo_patch_kind {
    EXO_PATCH_NONE = 0,   /* no pattern fits: keeps trapping */
    EXO_PATCH_CPUID = 6,  /* mov $leaf,%eax; cpuid: the jump replaces the mov, the stub does both */
    EXO_PATCH_AROUND = 5, /* mov %reg,%eax; syscall; jmp back: the jump replaces all, as in AFTER */
    EXO_PATCH_LATER = 4,  /* not while other threads run: traps until then */
    EXO_PATCH_MOV = 1,    /* mov $nr,%eax; syscall: the jump replaces the mov */
    EXO_PATCH_AFTER = 2,  /* syscall; one or two insns: the jump replaces all, the stub does them */
    EXO_PATCH_BEFORE = 3, /* insn of 5 bytes or more; syscall: the jump replaces insn */
};

static inline bool exo_is_patched(uint8_t kind)
{
    return kind != EXO_PATCH_NONE && kind != EXO_PATCH_LATER;
}

/* A site, by the address of its syscall (or cpuid) instruction. */
struct exo_site {
    uint64_t address;
    uint64_t stub;       /* 0 for EXO_PATCH_NONE */
    uint8_t kind;        /* enum exo_patch_kind */
    uint8_t moved;       /* bytes of the instructions the stub does */
    uint8_t first;       /* EXO_PATCH_AFTER: bytes of the first of them */
    uint8_t tail;        /* ... and where it stands in the stub */
    uint8_t original[5]; /* what the jump replaced */
};

/* stub.c: all under exo_mm.lock but the two that signal handlers call. */
uint64_t exo_stub_allocate(uint64_t site, bool after);
long exo_stub_open(uint64_t stub);
void exo_stub_close(void);
void exo_stub_release(void);
bool exo_stub_record(const struct exo_site *site);
struct exo_site *exo_site_find(uint64_t address);           /* patched by this process */
bool exo_site_get(uint64_t address, struct exo_site *site); /* ... or in a copy it maps */
void exo_site_forget(uint64_t start, uint64_t end);
bool exo_site_overlaps(uint64_t start, uint64_t end);
/* Undoes our own patches in a copy of [start, end). */
void exo_site_restore(uint8_t *copy, uint64_t start, uint64_t end);
/* Shows regs as if the guest's code had no patch: rip of a stub becomes that of the site. */
void exo_stub_hide(struct exo_regs *regs);
bool exo_stub_site(uint64_t rip, struct exo_site *site);
/* Whether a step that ended there is none in the guest's own code. */
bool exo_stub_steps_over(uint64_t rip);
/* Where a thread goes on that ran into the inside of a patch; 0 if rip is none. */
uint64_t exo_stub_fault(uint64_t rip);

/* between.c: a thread between the two instructions that were moved behind a call. */
static inline bool exo_stub_is_between(const struct exo_site *site, uint64_t at)
{
    return site->kind == EXO_PATCH_AFTER && site->first != site->moved &&
           at == (uint64_t)site->tail + site->first;
}
/* Where the stub has the second one again, with a hlt behind it. */
static inline uint64_t exo_stub_again(const struct exo_site *site)
{
    return (uint64_t)site->tail + site->moved + 5;
}
/* Takes the thread on to a place in its own code; false if it has to run the stub's second copy of
 * an instruction first, where it is now. */
bool exo_stub_get_on(struct k_sigcontext *regs);
/* The thread has faulted there: at the hlt, or in the instruction, which is to be done once more. */
void exo_stub_got_on(struct k_sigcontext *regs);

/* unpatch.c: what a traced process runs is unpatched, for good. */
enum { EXO_UNDO_NOT, EXO_UNDO_BEGUN, EXO_UNDO_DONE };
extern uint8_t exo_patch_undone;
void exo_patch_undo(void);
void exo_patch_put_back(uint64_t at, const uint8_t original[5]);
void exo_site_undo(void);     /* stub.c */
void exo_copy_undo(void);     /* copy.c */
void exo_patch_barrier(void); /* patch.c */

/* patch.c */
struct exo_map;
void exo_patch_trapped(uint64_t site, uint64_t nr);
void exo_patch_remembered(struct exo_map *map, bool alone);
void exo_patch_repair(void);
extern volatile uint64_t exo_patch_in_progress;
uint64_t exo_return_address(uint64_t rip);

/* plan.c. A window is the EXO_WINDOW_SIZE bytes from EXO_WINDOW_BEFORE before the site on. nr is the
 * call's number, ~0 if unknown. */
#define EXO_WINDOW_BEFORE 128 /* looked at for branches into the jump, as far as short ones reach */
#define EXO_WINDOW_SIZE 288
/* Fills in how site->address can be patched; false if not at all. */
bool exo_patch_plan(struct exo_site *site, const uint8_t *window, uint64_t nr);
/* Writes the stub, which will run at site->stub. */
void exo_patch_build(uint8_t *stub, struct exo_site *site, const uint8_t *window);
/* The jump to the stub, and where it goes. */
void exo_patch_jump(uint8_t jump[5], const struct exo_site *site);
uint64_t exo_patch_start(const struct exo_site *site);
uint64_t exo_stub_slot(const uint64_t *taken, uint64_t count, uint64_t base, uint64_t site,
                       bool after);

/* The byte before could make a longer instruction of what follows it. */
static inline bool exo_could_prefix(uint8_t byte)
{
    return (byte & 0xf0) == 0x40 || byte == 0x0f;
}

/* cpuid.c: whether the answers of any CPU of this machine hold for all of them. */
bool exo_cpuid_usable(void);
/* The offset in code, not below from, of a cpuid that can be answered beforehand; ~0 if none. */
uint64_t exo_cpuid_next(const uint8_t *code, uint64_t from, uint64_t size);
/* Writes what answers it, without a jump back; the bytes written. */
unsigned exo_cpuid_emit(uint8_t *stub, const uint8_t *mov);

/* copy.c: code patched once and mapped by every process. Under exo_mm.lock, but for the lookups. */
struct exo_map;
/* Maps a file's patched copy where its code is, or is to be; true if there is one. fixed: how. */
bool exo_copy_map(struct exo_map *map, int fixed);
/* Whether a (newer) copy pays at an image's mapping number times. */
bool exo_copy_wanted(const struct exo_image *image, uint32_t times);
void exo_copy_make(const struct exo_map *map); /* copymake.c */
/* Maps the stubs and table of a copy, which is at `offset` in the memfd. */
bool exo_copy_map_extra(uint64_t at, uint64_t offset);
#define EXO_COPY_TABLE_AT EXO_COPY_STUB_SIZE /* in the extra pages */
/* Exchanges code that this process has patched for a copy. Nobody else runs it. */
bool exo_copy_adopt(struct exo_map *map);
bool exo_copy_site(uint64_t address, struct exo_site *site);
bool exo_copy_stub(uint64_t rip, struct exo_site *site);
void exo_copy_forget(uint64_t start, uint64_t end);
void exo_copy_vacate(uint64_t start, uint64_t end);
bool exo_copy_overlaps(uint64_t start, uint64_t end);

/* map.c: executable mappings of files, whose sites may be patched. */
struct exo_map {
    uint64_t start, end;
    uint64_t offset; /* in the file, of start */
    struct exo_image *image;
    uint32_t seen; /* sites of image that were looked at */
};
/* A copy of code in this process (copy.c). Part of it may have been unmapped: [start, end) is left. */
struct exo_copy_entry {
    uint64_t start, end;
    uint64_t text, extra; /* addresses of the copy's code and of its extra pages */
    uint32_t copy;        /* exo_copy_at() */
};

#define EXO_ENTRY_COUNT 48
#define EXO_MAP_COUNT 512

/* What every exec writes to, in one page as far as most need it. */
struct exo_warm {
    struct exo_sighand sighand; /* of the first thread */
    struct exo_copy_entry entries[EXO_ENTRY_COUNT];
    struct exo_map maps[EXO_MAP_COUNT];
};
extern struct exo_warm exo_warm;

/* Patches what other processes have found since in files that we have mapped too. */
void exo_map_catch_up(void);
/* The same, for a lone thread that is about to have company: what only that may patch. */
void exo_map_alone(void);
void exo_map_add(uint64_t start, uint64_t size, uint64_t offset, int host_fd);
/* Maps code from its copy, in place of the file; false if there is none that fits. */
bool exo_map_copied(uint64_t start, uint64_t size, uint64_t offset, int host_fd, int fixed);
void exo_map_remove(uint64_t start, uint64_t size);
void exo_map_freeze(uint64_t start, uint64_t size);
bool exo_map_overlaps(uint64_t start, uint64_t size);
struct exo_map *exo_map_find(uint64_t address);

/* insn.c: length of the instruction at code, 0 if unknown or unsafe to move elsewhere. */
unsigned exo_insn_movable(const uint8_t *code);
/* A branch with an 8-bit displacement: 2, else 0. */
unsigned exo_insn_short_branch(const uint8_t *code);
/* Whether a direct branch in [code, code + size) may lead to offset target; errs on the safe side. */
bool exo_insn_leads_to(const uint8_t *code, int size, int target);

#endif
