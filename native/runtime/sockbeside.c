/* What is told of messages beside them: control data of recvmsg(2), and ioctl(2). */
#include "sockdgram.h"
#include "translate.h"

/* At the peer; DIFFERS: what has been sent to other names is not counted. */
static uint32_t on_its_way(const struct exo_sock *sock)
{
    uint32_t peer = exo_dgram_peer(KR, sock), own = 0;
    if (peer != 0)
        exo_record_count(KR, exo_sock_at(KR, peer), sock->generation, &own);
    return own;
}

bool exo_packet_ioctl(const struct exo_sock_end *end, uint32_t command, uint64_t argument,
                      long *result)
{
    const struct exo_sock *sock = end->sock;
    uint32_t value = 0, peer = load_acquire(&sock->peer);
    struct exo_record record;
    switch (command) {
    case FIONREAD_: /* of datagrams the next one */
        if (exo_sock_is_unix_dgram(sock) && (exo_sock_size(sock) == 0) && exo_dgram_look(end))
            return false;
        if (sock->type == EXO_SOCK_SEQPACKET)
            value = exo_record_sum(KR, sock);
        else if (exo_record_look(KR, sock, &record))
            value = record.size;
        break;
    case SIOCOUTQ_:
        if (exo_sock_is_unix_dgram(sock))
            value = on_its_way(sock);
        else
            value = peer != 0 ? exo_sock_size(exo_sock_at(KR, peer)) : 0;
        break;
    default:
        return false;
    }
    *result = guest_put(argument, &value);
    return true;
}

struct control {
    uint64_t size;
    int32_t level, type;
    uint32_t words[6];
};

static void add_control(struct exo_rights *rights, const struct control *message)
{
    if (rights->room - rights->size < sizeof(*message))
        return;
    memcpy(rights->control + rights->size, message, sizeof(*message));
    rights->size += (message->size + 7) & ~7UL;
}

static void add_pktinfo(const struct exo_sock *sock, struct exo_rights *rights)
{
    struct control message = {.size = 28, .level = 0, .type = 8};
    const uint8_t *to = rights->record.to;
    message.words[0] = 1; /* lo */
    if ((sock->udp & EXO_UDP_PKTINFO) && sock->family == AF_INET_) {
        memcpy(&message.words[1], to, 4);
        memcpy(&message.words[2], to, 4);
        add_control(rights, &message);
    }
    if (!(sock->udp & EXO_UDP_PKTINFO6))
        return;
    message = (struct control){.size = 36, .level = 41, .type = 50, .words = {[4] = 1}};
    memcpy(message.words, to, 16);
    add_control(rights, &message);
}

void exo_packet_control(const struct exo_sock *sock, struct exo_rights *rights)
{
    struct control message = {.size = 28, .level = SOL_SOCKET_, .type = 2};
    if (sock->family != AF_UNIX_) {
        add_pktinfo(sock, rights);
        return;
    }
    if (!load_relaxed(&sock->passes_cred) || rights->size != 0) /* which the host has added */
        return;
    message.words[1] = message.words[2] = 65534; /* nobody: it was sent before that was asked */
    if (rights->record.has_cred)
        memcpy(message.words, rights->record.cred, sizeof(rights->record.cred));
    add_control(rights, &message);
}
