/* ioctl(2) commands of userfaultfd(2), for ioctl.c. */
#ifndef EXO_RUNTIME_USERFAULT_H
#define EXO_RUNTIME_USERFAULT_H

#include "area.h"

#define EXO_USERFAULT_TYPE 0xaa

/* A command of that type on the host's fd, with the guest's argument. */
long exo_userfault_ioctl(int host, uint32_t command, uint64_t at);

#endif
