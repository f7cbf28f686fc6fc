/* ELF files: reading and checking their headers, mapping their segments. */
#ifndef EXO_RUNTIME_ELF_H
#define EXO_RUNTIME_ELF_H

#include <linux/elf.h>

#include "area.h"

#define EXO_ELF_PHDR_COUNT 128 /* more is refused */

struct exo_elf {
    Elf64_Ehdr header;
    Elf64_Phdr phdrs[EXO_ELF_PHDR_COUNT];
    char interp[EXO_PATH_SIZE]; /* "" if static */
};

/* Where an image was mapped. */
struct exo_image_map {
    uint64_t bias; /* add to the file's addresses */
    uint64_t entry;
    uint64_t phdrs;      /* address of the program headers, 0 if no segment holds them */
    uint64_t start, end; /* lowest and highest byte, page-rounded */
    uint64_t code_start, code_end, data_start, data_end;
};

/* Reads the headers of an open file. 0, -ENOEXEC or -EIO; *why says what is wrong with it. */
long exo_elf_read(struct exo_elf *elf, int fd, const char **why);
/* Maps the segments; hint is where a position-independent image goes, 0: the host's choice. */
long exo_elf_map(struct exo_image_map *image, const struct exo_elf *elf, int fd, uint64_t hint);
bool exo_elf_wants_executable_stack(const struct exo_elf *elf);

#endif
