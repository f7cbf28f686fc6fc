/* Stacks with a guard page each, made in slabs and used again. One pool per exo_workers. */
#ifndef EXO_HOST_STACK_H
#define EXO_HOST_STACK_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct exo_stack_slab;

struct exo_stack_pool {
    pthread_mutex_t lock;
    uint64_t stack_size, page_size; /* bytes */
    bool markers;                   /* guards are marks in the page table, not mappings */
    struct exo_stack_slab *slabs;   /* the newest first */
    uint64_t fresh;                 /* stacks of the newest slab that nobody has had */
    uint64_t made, bytes;           /* stacks handed out for the first time; address space */
    void **warm, **cold;            /* free: with memory, without */
    uint64_t warm_count, cold_count, room;
};

/* markers: false where the host may not be asked for them (tests of the other way). */
int exo_stack_pool_init(struct exo_stack_pool *pool, uint64_t stack_size, bool markers);
void exo_stack_pool_deinit(struct exo_stack_pool *pool);
/* The lowest address of a stack, which is its guard page; NULL: no memory. Zeroed or not. */
void *exo_stack_take(struct exo_stack_pool *pool);
void exo_stack_give(struct exo_stack_pool *pool, void *stack);

#endif
