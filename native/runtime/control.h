/* control.c: control messages, whose fds and pids are translated for the host and for guests. */
#ifndef EXO_RUNTIME_CONTROL_H
#define EXO_RUNTIME_CONTROL_H

#include "sockmsg.h"

#define MSG_CMSG_COMPAT_ 0x80000000L
#define SCM_CREDENTIALS_ 2
#define CONTROL_SIZE 8192          /* on the stack; more is mapped */
#define CONTROL_MAX_SIZE (1 << 24) /* more than the host takes (net.core.optmem_max) */
#define MESSAGE_LIMIT 1024         /* UIO_MAXIOV: most messages in one sendmmsg */

struct k_mmsghdr {
    struct k_msghdr header;
    uint32_t size, pad;
};

/* Memory for control data of any size, own if that does; NULL if there is none. */
uint8_t *exo_control_create(uint8_t *own, uint64_t size);
void exo_control_free(const uint8_t *control, const uint8_t *own, uint64_t size);

/* Makes a guest's messages the host's: 0 or -EBADF. And they were not sent, after all: size bytes as the
 * guest has them. carrier: the number of the socket they go to, 0 of the host's. */
long exo_control_to_host(uint8_t *control, uint64_t size, uint32_t carrier);
void exo_control_stays(uint8_t *control, uint64_t size, uint32_t carrier);

/* Hands the control messages in [at, end) to the guest, at `to` in its memory. Where fds found no
 * number a message is cut short, or left out, as Linux does: MSG_CTRUNC in *flags. The space they
 * take, or -EFAULT. */
long exo_control_receive(uint64_t to, uint8_t *at, const uint8_t *end, bool cloexec,
                         uint32_t *flags);
/* The same of a socket of exo's, cut to the room that the guest has. */
long exo_rights_give(struct exo_rights *rights, uint64_t to, uint64_t room, bool cloexec,
                     uint32_t *flags);

#endif
