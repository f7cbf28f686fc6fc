/* ELF files: reading and checking their headers, mapping their segments. */
#ifndef EXO_RUNTIME_ELF_H
#define EXO_RUNTIME_ELF_H

#include <linux/elf.h>

#include "area.h"

#define EXO_ELF_PHDR_COUNT 128 /* more is refused */

#define EXO_ELF_HEAD_SIZE 1024 /* read at once: in most files it holds all that is asked here */

struct exo_elf {
    const char *interp; /* NULL if static */
    long got;           /* bytes of the file's head that follow */
    Elf64_Ehdr header;
    Elf64_Phdr phdrs[EXO_ELF_PHDR_COUNT];
};

/* Where an image was mapped. */
struct exo_image_map {
    uint64_t bias; /* add to the file's addresses */
    uint64_t entry;
    uint64_t phdrs;      /* address of the program headers, 0 if no segment holds them */
    uint64_t start, end; /* lowest and highest byte, page-rounded */
    uint64_t code_start, code_end, data_start, data_end;
};

/* Reads the head of an open file: bytes, or -errno. */
long exo_elf_open(struct exo_elf *elf, int fd);
/* Checks it, and reads what is not in it. 0, -ENOEXEC or -EIO; *why says what is wrong with it. The
 * interpreter's name goes to interp, of EXO_PATH_SIZE bytes, where it does not stand in the head. */
long exo_elf_check(struct exo_elf *elf, int fd, char *interp, const char **why);
/* Maps the segments; hint is where a position-independent image goes, 0: the host's choice. */
long exo_elf_map(struct exo_image_map *image, const struct exo_elf *elf, int fd, uint64_t hint);
bool exo_elf_wants_executable_stack(const struct exo_elf *elf);

#endif
