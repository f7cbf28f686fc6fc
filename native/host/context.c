/* A context with a stack of its own, for whoever switches without workers: jitted code. */
#include <errno.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

#include <exo/fiber.h>

/* At the stack's top; below it the stack, then its guard page. */
struct own {
    struct exo_context context;
    void *memory;
    uint64_t size;
} __attribute__((aligned(64)));

int exo_context_create(struct exo_context **context, uint64_t stack_size, void (*entry)(void *),
                       void *argument)
{
    uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
    if (stack_size < EXO_STACK_SIZE_MIN || stack_size % page != 0)
        return -EINVAL;
    char *memory = mmap(NULL, stack_size, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
    if (memory == MAP_FAILED)
        return -errno;
    if (mprotect(memory, page, PROT_NONE) != 0) {
        munmap(memory, stack_size);
        return -ENOMEM;
    }
    struct own *own = (struct own *)(memory + stack_size) - 1;
    own->memory = memory;
    own->size = stack_size;
    exo_context_init(&own->context, own, entry, argument);
    *context = &own->context;
    return 0;
}

void exo_context_destroy(struct exo_context *context)
{
    struct own *own = (struct own *)((char *)context - offsetof(struct own, context));
    munmap(own->memory, own->size);
}
