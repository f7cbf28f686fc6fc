/* exo_switch() between stacks that sanitizers are told of; without them it is nothing else. */
#ifndef EXO_CORE_STACKSWITCH_H
#define EXO_CORE_STACKSWITCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <exo/switch.h>

#if __SANITIZE_ADDRESS__
void __sanitizer_start_switch_fiber(void **fake, const void *bottom, size_t size);
void __sanitizer_finish_switch_fiber(void *fake, const void **bottom, size_t *size);
void __asan_unpoison_memory_region(const volatile void *at, size_t size);
#endif
#if __SANITIZE_THREAD__
void *__tsan_get_current_fiber(void);
void *__tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void *fiber);
void __tsan_switch_to_fiber(void *fiber, unsigned flags);
#endif

/* Where a context runs. A thread's own stack is known once something else has been switched to. */
struct exo_stack {
    void *bottom;
    uint64_t size; /* bytes */
#if __SANITIZE_ADDRESS__ || __SANITIZE_THREAD__
    void *sanitizer; /* AddressSanitizer's fake stack, ThreadSanitizer's fiber */
#endif
};

/* First and last thing with a stack: of a thread, which has it already, with bottom NULL. */
static inline void exo_stack_begin(struct exo_stack *stack)
{
#if __SANITIZE_ADDRESS__
    stack->sanitizer = NULL;
    if (stack->bottom != NULL)
        __asan_unpoison_memory_region(stack->bottom, stack->size);
#elif __SANITIZE_THREAD__
    stack->sanitizer = stack->bottom == NULL ? __tsan_get_current_fiber() : __tsan_create_fiber(0);
#else
    (void)stack;
#endif
}

static inline void exo_stack_end(struct exo_stack *stack)
{
#if __SANITIZE_THREAD__
    __tsan_destroy_fiber(stack->sanitizer);
#else
    (void)stack;
#endif
}

/* last: nobody comes back to from's stack. */
static inline void exo_stack_switch(struct exo_context *from, struct exo_stack *from_stack,
                                    const struct exo_context *to, struct exo_stack *to_stack,
                                    bool last)
{
#if __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(last ? NULL : &from_stack->sanitizer, to_stack->bottom,
                                   to_stack->size);
#elif __SANITIZE_THREAD__
    __tsan_switch_to_fiber(to_stack->sanitizer, 0);
#endif
    (void)from_stack, (void)to_stack, (void)last;
    exo_switch(from, to);
#if __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(from_stack->sanitizer, NULL, NULL);
#endif
}

/* First thing on a new stack. from: the thread's, of which bottom and size become known. */
static inline void exo_stack_arrive(struct exo_stack *from)
{
#if __SANITIZE_ADDRESS__
    const void *bottom;
    size_t size;
    __sanitizer_finish_switch_fiber(NULL, &bottom, &size);
    from->bottom = (void *)bottom;
    from->size = size;
#else
    (void)from;
#endif
}

#endif
