/* Addresses: what guests name sockets, and what the host's twins are called. */
#ifndef EXO_RUNTIME_SOCKNAME_H
#define EXO_RUNTIME_SOCKNAME_H

#include "../core/sock.h"
#include "area.h"

/* struct sockaddr of any family that the host has. */
struct exo_sockaddr {
    uint16_t family;
    uint8_t data[126];
};

/* An abstract name, as struct sockaddr_un: a listener's ('l'), a connection's ('c') or
 * a UDP socket's ('d'). */
struct exo_twin_name {
    uint16_t family;
    uint8_t zero, mark[3], kind, pad;
    uint64_t instance, generation;
    uint32_t number, end;
};

struct exo_twin_name exo_twin_name(uint8_t kind, uint32_t number, uint64_t generation);
bool exo_twin_is(const struct exo_twin_name *name, long size, uint8_t kind);

/* Reads a guest's address; 0 or -errno. */
long exo_sockaddr_get(struct exo_sockaddr *name, uint64_t at, long size);
/* Writes an address to a guest that has said at size_at how much room there is; to 0: nowhere. */
long exo_sockaddr_put(const struct exo_sockaddr *name, int32_t size, uint64_t to, uint64_t size_at);
/* A socket's name as the host has it; its size. */
int32_t exo_sockaddr_of(const struct exo_sock_name *name, struct exo_sockaddr *out);
/* To a guest, as exo_sockaddr_put(). */
long exo_sock_tell(const struct exo_sock_name *name, uint64_t to, uint64_t size_at);
/* A guest's address as a name of that family: 0, -EINVAL, -EAFNOSUPPORT. */
long exo_sock_name_from(struct exo_sock_name *name, const struct exo_sockaddr *from, long size,
                        uint16_t family);

/* Where a message has come from, as recvmsg(2) tells: of AF_UNIX, if it has a name, and of UDP, from. *size:
 * the room. */
struct exo_rights;
void exo_sock_sender(const struct exo_fd *entry, const struct exo_rights *rights, uint64_t to,
                     uint32_t *size);

#endif
