/* ELF files: reading and checking their headers, mapping their segments. What is accepted and how
 * it is laid out follows elf(5) and the host's fs/binfmt_elf.c; nothing in the file is trusted.
 */
#include "elf.h"
#include "stub.h"

#define TASK_END 0x7ffffffff000UL
#define PAGE_DOWN(x) ((x) & ~4095UL)
#define PAGE_UP(x) (((x) + 4095) & ~4095UL)

static long check_header(const Elf64_Ehdr *header, const char **why)
{
    *why = "not an ELF file";
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0)
        return -ENOEXEC;
    *why = "a 32-bit ELF file, only x86-64 programs run here";
    if (header->e_ident[EI_CLASS] == ELFCLASS32)
        return -ENOEXEC;
    *why = "an ELF file for another processor, only x86-64 programs run here";
    if (header->e_machine != EM_X86_64)
        return -ENOEXEC;
    *why = "an ELF file, but not an executable";
    if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
        return -ENOEXEC;
    *why = "an x86-64 ELF file with broken program headers";
    if (header->e_phentsize != sizeof(Elf64_Phdr) || header->e_phnum < 1 ||
        header->e_phnum > EXO_ELF_PHDR_COUNT)
        return -ENOEXEC;
    return 0;
}

static long read_at(int fd, void *to, uint64_t size, uint64_t offset)
{
    long got = HOST_4(__NR_pread64, fd, to, size, offset);
    if (got < 0)
        return got == -EINVAL ? -ENOEXEC : got;
    return (uint64_t)got == size ? 0 : -EIO;
}

static long find_interp(struct exo_elf *elf, int fd, char *room, const char **why)
{
    elf->interp = NULL;
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *phdr = &elf->phdrs[i];
        if (phdr->p_type != PT_INTERP)
            continue;
        *why = "an ELF file with a broken interpreter name";
        if (phdr->p_filesz > EXO_PATH_SIZE || phdr->p_filesz < 2)
            return -ENOEXEC;
        uint64_t end = phdr->p_offset + phdr->p_filesz;
        bool read = end > phdr->p_offset && end <= (uint64_t)elf->got;
        long error = read ? 0 : read_at(fd, room, phdr->p_filesz, phdr->p_offset);
        if (error != 0)
            return error;
        elf->interp = read ? (const char *)&elf->header + phdr->p_offset : room;
        return elf->interp[phdr->p_filesz - 1] == '\0' ? 0 : -ENOEXEC;
    }
    return 0;
}

long exo_elf_open(struct exo_elf *elf, int fd)
{
    memset(&elf->header, 0, sizeof(elf->header));
    elf->got = HOST_4(__NR_pread64, fd, &elf->header, EXO_ELF_HEAD_SIZE, 0);
    return elf->got;
}

long exo_elf_check(struct exo_elf *elf, int fd, char *interp, const char **why)
{
    const Elf64_Ehdr *header = &elf->header;
    if (elf->got < 0)
        return elf->got;
    long error = check_header(header, why);
    if (error != 0)
        return error;
    *why = "a truncated file of the x86-64 ELF format";
    if (elf->got < (long)sizeof(*header))
        return -ENOEXEC;
    *why = "an x86-64 ELF file with broken program headers";
    uint64_t size = header->e_phnum * sizeof(Elf64_Phdr);
    if (header->e_phoff != sizeof(*header) || sizeof(*header) + size > (uint64_t)elf->got) {
        error = read_at(fd, elf->phdrs, size, header->e_phoff);
        elf->got = sizeof(*header); /* the rest is overwritten */
    }
    return error != 0 ? error : find_interp(elf, fd, interp, why);
}

bool exo_elf_wants_executable_stack(const struct exo_elf *elf)
{
    for (unsigned i = 0; i < elf->header.e_phnum; i++)
        if (elf->phdrs[i].p_type == PT_GNU_STACK)
            return elf->phdrs[i].p_flags & PF_X;
    return false;
}

/* First and last byte of all segments, in the file's addresses; -EINVAL if they make no sense. */
static long extent(const struct exo_elf *elf, uint64_t *low, uint64_t *high)
{
    *low = ~0UL;
    *high = 0;
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *phdr = &elf->phdrs[i];
        if (phdr->p_type != PT_LOAD || phdr->p_memsz == 0)
            continue;
        if (phdr->p_filesz > phdr->p_memsz || phdr->p_memsz > TASK_END ||
            phdr->p_vaddr > TASK_END - phdr->p_memsz)
            return -EINVAL;
        if (PAGE_DOWN(phdr->p_vaddr) < *low)
            *low = PAGE_DOWN(phdr->p_vaddr);
        if (phdr->p_vaddr + phdr->p_memsz > *high)
            *high = PAGE_UP(phdr->p_vaddr + phdr->p_memsz);
    }
    return *high == 0 ? -EINVAL : 0;
}

static uint64_t alignment(const struct exo_elf *elf)
{
    uint64_t align = 4096;
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        uint64_t wanted = elf->phdrs[i].p_align;
        if (elf->phdrs[i].p_type == PT_LOAD && (wanted & (wanted - 1)) == 0 && wanted > align)
            align = wanted;
    }
    return align;
}

/* Address space for a position-independent image: one piece, aligned as its segments ask. */
static long reserve(uint64_t size, uint64_t align, uint64_t hint)
{
    uint64_t spare = align > 4096 ? align : 0;
    long got = HOST_6(__NR_mmap, hint & ~(align - 1), size + spare, 0,
                      MAP_PRIVATE_ | MAP_ANONYMOUS_ | MAP_NORESERVE_, -1, 0);
    if (got < 0 || spare == 0)
        return got;
    uint64_t start = ((uint64_t)got + align - 1) & ~(align - 1);
    if (start > (uint64_t)got)
        HOST_2(__NR_munmap, got, start - (uint64_t)got);
    if ((uint64_t)got + spare > start)
        HOST_2(__NR_munmap, start + size, (uint64_t)got + spare - start);
    return (long)start;
}

static long zero_tail(uint64_t from, uint64_t to, int prot)
{
    static const char zeros[4096];
    if (from == to || !(prot & PROT_WRITE_))
        return 0;
    return guest_write(from, zeros, to - from);
}

static long map_file(uint64_t start, uint64_t size, int prot, int fixed, int fd, uint64_t offset)
{
    bool code = prot == (PROT_READ_ | PROT_EXEC_);
    if (code && exo_map_copied(start, size, offset, fd, fixed))
        return 0;
    long got = HOST_6(__NR_mmap, start, size, prot, MAP_PRIVATE_ | fixed, fd, offset);
    if (got >= 0 && (prot & PROT_EXEC_))
        exo_map_add(start, size, offset, fd);
    return got < 0 ? got : 0;
}

static long map_segment(const Elf64_Phdr *phdr, int fd, uint64_t bias, int fixed)
{
    uint64_t start = PAGE_DOWN(phdr->p_vaddr) + bias;
    uint64_t file_end = phdr->p_vaddr + phdr->p_filesz + bias;
    uint64_t end = PAGE_UP(phdr->p_vaddr + phdr->p_memsz + bias);
    int prot = (phdr->p_flags & PF_R ? PROT_READ_ : 0) | (phdr->p_flags & PF_W ? PROT_WRITE_ : 0) |
               (phdr->p_flags & PF_X ? PROT_EXEC_ : 0);
    uint64_t mapped = start;
    if (in_window(start, end - start))
        return -ENOMEM;
    if (phdr->p_filesz > 0) {
        uint64_t offset = phdr->p_offset - (phdr->p_vaddr & 4095);
        mapped = PAGE_UP(file_end);
        long error = map_file(start, mapped - start, prot, fixed, fd, offset);
        if (error != 0)
            return error;
        if (phdr->p_memsz > phdr->p_filesz && zero_tail(file_end, mapped, prot) != 0)
            return -EFAULT;
    }
    if (end <= mapped)
        return 0;
    long got =
        HOST_6(__NR_mmap, mapped, end - mapped, prot, MAP_PRIVATE_ | MAP_ANONYMOUS_ | fixed, -1, 0);
    return got < 0 ? got : 0;
}

static void note_segment(struct exo_image_map *image, const Elf64_Ehdr *header,
                         const Elf64_Phdr *phdr)
{
    uint64_t start = phdr->p_vaddr + image->bias, file_end = start + phdr->p_filesz;
    if (header->e_phoff >= phdr->p_offset && header->e_phoff < phdr->p_offset + phdr->p_filesz)
        image->phdrs = header->e_phoff - phdr->p_offset + start;
    if ((phdr->p_flags & PF_X) && (image->code_start == 0 || start < image->code_start))
        image->code_start = start;
    if ((phdr->p_flags & PF_X) && file_end > image->code_end)
        image->code_end = file_end;
    if (start > image->data_start)
        image->data_start = start;
    if (file_end > image->data_end)
        image->data_end = file_end;
}

static long map_all(struct exo_image_map *image, const struct exo_elf *elf, int fd, int fixed)
{
    for (unsigned i = 0; i < elf->header.e_phnum; i++) {
        const Elf64_Phdr *phdr = &elf->phdrs[i];
        if (phdr->p_type != PT_LOAD || phdr->p_memsz == 0)
            continue;
        long error = map_segment(phdr, fd, image->bias, fixed);
        if (error != 0)
            return error;
        note_segment(image, &elf->header, phdr);
    }
    return 0;
}

long exo_elf_map(struct exo_image_map *image, const struct exo_elf *elf, int fd, uint64_t hint)
{
    uint64_t low, high, align = alignment(elf);
    memset(image, 0, sizeof(*image));
    long error = extent(elf, &low, &high);
    if (error != 0)
        return error;
    bool anywhere = elf->header.e_type == ET_DYN;
    image->bias = anywhere ? (hint & ~(align - 1)) - low : 0;
    exo_mm.image_end = high + image->bias;
    error = anywhere && hint == 0 ? -EEXIST : map_all(image, elf, fd, MAP_FIXED_NOREPLACE_);
    if (anywhere && error == -EEXIST) { /* parts of it may stay behind there, in nobody's way */
        long base = reserve(high - low, align, hint);
        if (base < 0)
            return base;
        memset(image, 0, sizeof(*image));
        image->bias = (uint64_t)base - low;
        exo_mm.image_end = high + image->bias;
        error = map_all(image, elf, fd, MAP_FIXED_);
    }
    image->start = low + image->bias;
    image->end = high + image->bias;
    image->entry = elf->header.e_entry + image->bias;
    return error;
}
