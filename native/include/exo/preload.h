/* Between libexo_preload.so (native/preload/) and exo-guest, which it maps into a running program and
 * enters like the host would, with argv[0] EXO_PRELOAD_WORD and argv[1] the address of this. */
#ifndef EXO_PRELOAD_H
#define EXO_PRELOAD_H

#include <stdint.h>

#define EXO_PRELOAD_WORD "exo2:"

enum exo_preload_flags {
    EXO_PRELOAD_FSGSBASE = 1, /* AT_HWCAP2 has HWCAP2_FSGSBASE */
    EXO_PRELOAD_NET_EXO = 2,  /* a loopback of its own; else the host's */
    EXO_PRELOAD_NO_PATCH = 4,
    EXO_PRELOAD_COPIES = 8, /* as --zero-copy off */
    EXO_PRELOAD_BELLS = 16, /* as --batch off */
};

struct exo_preload {
    uint64_t entry, stack; /* where the program goes on, with all registers lost but rsp */
    uint32_t flags;        /* enum exo_preload_flags */
    int32_t loader;        /* O_PATH fd of exo-guest, to be kept */
    /* Of struct exo_companion; empty if there is none. */
    const char *launcher, *stats, *runtime;
    /* From the runtime: what has failed, NULL nothing; and -errno. */
    const char *failed;
    int64_t error;
};

#endif
