/* What fd tables' allocation and their entries share; private to the core. */
#ifndef EXO_CORE_TABLES_H
#define EXO_CORE_TABLES_H

#include <exo/core.h>

static inline struct exo_fd_table *exo_table_at(struct exo_kr *kr, uint64_t table)
{
    return exo_kr_at(kr, table);
}

/* An array of EXO_FD_BASE_COUNT << size_class entries, all free, in the caller's hand until
 * exo_array_given(); 0 when the region is full. */
uint64_t exo_array_create(struct exo_kr *kr, uint32_t size_class);
void exo_array_given(struct exo_kr *kr);
void exo_array_free(struct exo_kr *kr, uint64_t offset, uint32_t size_class);

/* Takes a task's table away, under task_lock: the table if that was its last user's, now in the
 * caller's hand and to be recycled once the lock is free, else 0. */
uint64_t exo_table_detach_locked(struct exo_kr *kr, uint32_t slot);
void exo_table_recycle(struct exo_kr *kr, uint64_t table);

/* Under the table's lock: finishes, or forgets, what a grower was killed at. */
void exo_table_repair_locked(struct exo_fd_table *table);

#endif
