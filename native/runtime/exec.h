/* Finding out what to execute, and executing it. */
#ifndef EXO_RUNTIME_EXEC_H
#define EXO_RUNTIME_EXEC_H

#include "elf.h"
#include "path.h"

#define EXO_SCRIPT_DEPTH 5
#define EXO_SCRIPT_LINE 256

#define EXO_EXEC_ARGUMENTS 160 /* more than that need a mapping */

/* What a path resolves to. There is one per thread, at the low end of the runtime's stack. */
struct exo_program {
    int exe, interp;       /* open host fds; interp -1 for a static program */
    unsigned prefix_count; /* arguments that scripts put in front */
    char *prefix[2 * EXO_SCRIPT_DEPTH + 1];
    const char *why; /* for a person: what was wrong */
    uint64_t argv[EXO_EXEC_ARGUMENTS + 16];
    struct exo_elf elf;
    char path[EXO_PATH_SIZE]; /* as the guest gave it: AT_EXECFN */
    struct exo_elf interp_elf;
    char interp_name[EXO_PATH_SIZE];
    char lines[EXO_SCRIPT_DEPTH][EXO_SCRIPT_LINE + 1];
    struct exo_path found; /* path, where it leads below /proc */
};

struct exo_program *exo_program_create(void);
void exo_program_free(struct exo_program *program);
/* Opens and checks program->path, following #! lines. 0 or -errno. */
long exo_program_open(struct exo_program *program, int host_dirfd, int flags);
/* Executes it; returns only -errno. Arrays are the guest's. */
long exo_program_run(struct exo_program *program, uint64_t argv, uint64_t envp);

#endif
