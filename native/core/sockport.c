/* TCP and UDP ports of the instance's loopback: who is bound to which, and who listens.
 *
 * Rules: all under net_lock. kr->bound and udp_bound have the first socket of each port, next_bound the others.
 * Source: bind(2), ip(7), ipv6(7), socket(7) (SO_REUSEADDR, SO_REUSEPORT).
 */
#include "mem.h"
#include "sock.h"

#include <asm-generic/errno.h>

#define FIRST_PORT 32768 /* as net.ipv4.ip_local_port_range has it */
#define LAST_PORT 60999

static uint32_t port_of(const struct exo_sock_name *name)
{
    return (uint32_t)(name->port >> 8 | (name->port & 0xff) << 8);
}

static bool is_mapped(const struct exo_sock_name *name)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};
    return name->family == AF_INET6_ && memcmp(name->address, prefix, sizeof(prefix)) == 0;
}

/* Of IPv4, also where it stands in an IPv6 address. NULL: it is none. */
static const uint8_t *v4_of(const struct exo_sock_name *name)
{
    if (name->family == AF_INET_)
        return name->address;
    return is_mapped(name) ? name->address + 12 : NULL;
}

bool exo_sock_is_any(const struct exo_sock_name *name)
{
    static const uint8_t any[16];
    const uint8_t *v4 = v4_of(name);
    return v4 != NULL ? memcmp(v4, any, 4) == 0 : memcmp(name->address, any, 16) == 0;
}

bool exo_sock_is_loopback(const struct exo_sock_name *name)
{
    static const uint8_t one[16] = {[15] = 1};
    const uint8_t *v4 = v4_of(name);
    return v4 != NULL ? v4[0] == 127 : memcmp(name->address, one, 16) == 0;
}

bool exo_sock_takes(const struct exo_sock *sock, const struct exo_sock_name *to)
{
    const struct exo_sock_name *own = &sock->local;
    const uint8_t *a = v4_of(own), *b = v4_of(to);
    if (exo_sock_is_any(own)) {
        bool both = own->family == AF_INET6_ && a == NULL && !sock->options[EXO_SOCK_V6ONLY];
        return b != NULL ? a != NULL || both : a == NULL;
    }
    if ((a == NULL) != (b == NULL))
        return false;
    return a != NULL ? memcmp(a, b, 4) == 0 : memcmp(own->address, to->address, 16) == 0;
}

/* The first of each port. */
static uint16_t *ports_of(struct exo_kr *kr, const struct exo_sock *sock)
{
    if (sock->family == AF_UNIX_)
        return kr->unix_bound;
    return sock->type == EXO_SOCK_DGRAM ? kr->udp_bound : kr->bound;
}

static bool both_have(const struct exo_sock *a, const struct exo_sock *b, int option)
{
    return a->options[option] && b->options[option];
}

struct exo_sock_name exo_sock_seen_by(const struct exo_sock_name *name, uint16_t family)
{
    struct exo_sock_name as = *name;
    as.family = family;
    if (name->family == AF_INET_ && family == AF_INET6_) {
        memset(as.address, 0, 10);
        as.address[10] = as.address[11] = 0xff;
        memcpy(as.address + 12, name->address, 4);
    } else if (name->family == AF_INET6_ && family == AF_INET_) {
        memcpy(as.address, name->address + 12, 4);
    }
    return as;
}

bool exo_sock_is_v4(const struct exo_sock_name *name)
{
    return v4_of(name) != NULL;
}

void exo_sock_set_loopback(struct exo_sock_name *name)
{
    static const uint8_t v4[4] = {127, 0, 0, 1};
    bool mapped = is_mapped(name);
    if (name->family == AF_INET_ || mapped) {
        memcpy(name->address + (mapped ? 12 : 0), v4, 4);
    } else {
        memset(name->address, 0, 15);
        name->address[15] = 1;
    }
}

bool exo_sock_meets(const struct exo_sock *sock, const struct exo_sock_name *name,
                    const struct exo_sock *other)
{
    struct exo_sock wanted = {.local = *name};
    wanted.options[EXO_SOCK_V6ONLY] = sock->options[EXO_SOCK_V6ONLY];
    return exo_sock_takes(other, name) || exo_sock_takes(&wanted, &other->local);
}

static bool conflicts(const struct exo_sock *sock, const struct exo_sock_name *name,
                      const struct exo_sock *other)
{
    if (!exo_sock_meets(sock, name, other))
        return false;
    if (both_have(sock, other, EXO_SOCK_REUSEPORT))
        return false;
    return !both_have(sock, other, EXO_SOCK_REUSEADDR) || other->mode == EXO_SOCK_LISTENS;
}

static bool is_free(struct exo_kr *kr, const struct exo_sock *sock,
                    const struct exo_sock_name *name)
{
    uint32_t at = ports_of(kr, sock)[port_of(name)];
    for (uint32_t i = 0; at != 0 && i < EXO_SOCK_COUNT; i++) {
        const struct exo_sock *other = exo_sock_at(kr, at);
        if (other != sock && conflicts(sock, name, other))
            return false;
        at = other->next_bound;
    }
    return true;
}

static void add(struct exo_kr *kr, struct exo_sock *sock, const struct exo_sock_name *name)
{
    uint32_t port = port_of(name);
    uint16_t *first = &ports_of(kr, sock)[port];
    sock->local = *name;
    sock->next_bound = *first;
    sock->bound = port;
    *first = (uint16_t)exo_sock_number(kr, sock);
}

/* A port of the system's choice; waits: should there be none else, one in TIME_WAIT. */
static bool take_port(struct exo_kr *kr, struct exo_sock *sock, struct exo_sock_name *to,
                      bool waits)
{
    for (uint32_t i = 0; i <= LAST_PORT - FIRST_PORT; i++) {
        uint32_t port = FIRST_PORT + kr->next_port++ % (LAST_PORT - FIRST_PORT + 1);
        to->port = (uint16_t)(port >> 8 | (port & 0xff) << 8);
        if (ports_of(kr, sock)[port] == 0 && (waits || !exo_sock_waits_locked(kr, sock, to))) {
            add(kr, sock, to);
            return true;
        }
    }
    return false;
}

/* Who connects does not mind: it goes elsewhere, or is told apart by its time, as Linux has it here. */
long exo_sock_take_port_locked(struct exo_kr *kr, struct exo_sock *sock,
                               const struct exo_sock_name *name)
{
    struct exo_sock_name to = *name;
    return take_port(kr, sock, &to, true) ? 0 : -EADDRNOTAVAIL;
}

long exo_sock_bind_locked(struct exo_kr *kr, struct exo_sock *sock,
                          const struct exo_sock_name *name)
{
    struct exo_sock_name to = *name;
    if (to.port != 0) {
        if (!is_free(kr, sock, &to) || exo_sock_waits_locked(kr, sock, &to))
            return -EADDRINUSE;
        add(kr, sock, &to);
        return 0;
    }
    return take_port(kr, sock, &to, false) || take_port(kr, sock, &to, true) ? 0 : -EADDRINUSE;
}

void exo_sock_unbind_locked(struct exo_kr *kr, struct exo_sock *sock)
{
    uint32_t number = exo_sock_number(kr, sock), port = sock->bound % 65536;
    if (port == 0)
        return;
    uint16_t *first = &ports_of(kr, sock)[port];
    sock->bound = 0;
    if (*first == number) {
        *first = (uint16_t)sock->next_bound;
        return;
    }
    uint32_t at = *first;
    for (uint32_t i = 0; at != 0 && i < EXO_SOCK_COUNT; i++) {
        struct exo_sock *before = exo_sock_at(kr, at);
        if (before->next_bound == number) {
            before->next_bound = sock->next_bound;
            return;
        }
        at = before->next_bound;
    }
}

bool exo_sock_may_listen_locked(struct exo_kr *kr, const struct exo_sock *sock)
{
    uint32_t at = kr->bound[sock->bound % 65536];
    for (uint32_t i = 0; at != 0 && i < EXO_SOCK_COUNT; i++) {
        const struct exo_sock *other = exo_sock_at(kr, at);
        if (other != sock && other->mode == EXO_SOCK_LISTENS &&
            conflicts(sock, &sock->local, other))
            return false;
        at = other->next_bound;
    }
    return true;
}

/* Of several with SO_REUSEPORT one after the other; the nearest address first. */
uint32_t exo_sock_listener_locked(struct exo_kr *kr, const struct exo_sock_name *to)
{
    uint32_t exact[2] = {0}, chosen = 0, skip = kr->next_port++;
    for (int pass = 0; pass < 2 && chosen == 0; pass++) {
        uint32_t at = kr->bound[port_of(to)], seen = 0;
        for (uint32_t i = 0; at != 0 && i < EXO_SOCK_COUNT; i++) {
            const struct exo_sock *sock = exo_sock_at(kr, at);
            if (sock->mode == EXO_SOCK_LISTENS && exo_sock_takes(sock, to)) {
                uint32_t any = exo_sock_is_any(&sock->local);
                if (pass == 1 && any == (exact[0] == 0) && seen++ == skip % exact[any])
                    chosen = at;
                exact[any] += pass == 0;
            }
            at = sock->next_bound;
        }
        if (pass == 0 && exact[0] + exact[1] == 0)
            return 0;
    }
    return chosen;
}
