/* Short names for the atomics the core uses; the memory order is always said. */
#ifndef EXO_CORE_ATOMIC_H
#define EXO_CORE_ATOMIC_H

#define load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define store_relaxed(p, v) __atomic_store_n((p), (v), __ATOMIC_RELAXED)
#define store_release(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)
#define exchange(p, v) __atomic_exchange_n((p), (v), __ATOMIC_SEQ_CST)
#define fetch_add(p, v) __atomic_fetch_add((p), (v), __ATOMIC_SEQ_CST)
#define fetch_or(p, v) __atomic_fetch_or((p), (v), __ATOMIC_SEQ_CST)
#define fetch_and(p, v) __atomic_fetch_and((p), (v), __ATOMIC_SEQ_CST)
#define compare_exchange(p, expected, v)                                                           \
    __atomic_compare_exchange_n((p), (expected), (v), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)
#if __SANITIZE_THREAD__ /* knows no fences */
#define full_fence() ((void)__atomic_fetch_add(&(unsigned){0}, 0, __ATOMIC_SEQ_CST))
#else
#define full_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#endif
#define order_loads() __atomic_signal_fence(__ATOMIC_SEQ_CST)
#define spin_pause() __builtin_ia32_pause()

#endif
