/* Read-modify-writes by address, for the functions of exo_um.bindings.atomic_jit as plain Python. */
#include "host.h"

#include "../core/atomic.h"

/* Applies one of atomic.h's operations to the word of 16, 32 or 64 bits at an address. */
#define ON_WORD(bits, operation, ...)                                                              \
    ((bits) == 64   ? operation((uint64_t *)(uintptr_t)__VA_ARGS__)                                \
     : (bits) == 32 ? operation((uint32_t *)(uintptr_t)__VA_ARGS__)                                \
                    : operation((uint16_t *)(uintptr_t)__VA_ARGS__))

uint64_t exo_host_atomic_add(uint64_t at, uint32_t bits, uint64_t value)
{
    return ON_WORD(bits, fetch_add, at, value);
}

uint64_t exo_host_atomic_or(uint64_t at, uint32_t bits, uint64_t value)
{
    return ON_WORD(bits, fetch_or, at, value);
}

uint64_t exo_host_atomic_exchange(uint64_t at, uint32_t bits, uint64_t value)
{
    return ON_WORD(bits, exchange, at, value);
}

#define REPLACE(type, at, expected, desired)                                                       \
    compare_exchange((type *)(uintptr_t)(at), &(type){(type)(expected)}, (type)(desired))

int exo_host_atomic_replace(uint64_t at, uint32_t bits, uint64_t expected, uint64_t desired)
{
    switch (bits) {
    case 64:
        return REPLACE(uint64_t, at, expected, desired);
    case 32:
        return REPLACE(uint32_t, at, expected, desired);
    default:
        return REPLACE(uint16_t, at, expected, desired);
    }
}

void exo_host_atomic_fence(void)
{
    full_fence();
}
