/* AF_UNIX names: which of them are listened at in this instance, so that who connects there knows that the
 * other side will be exo's, too.
 *
 * The host binds, listens and finds names; kr->unix_names remembers what guests have bound, by the
 * name's inode. Whether it was that listener, SO_PEERCRED says afterwards. Source: unix(7).
 */
#include "sockunix.h"
#include "translate.h"

#define LONGEST 110 /* struct sockaddr_un */
#define W_OK_ 2
#define AT_EACCESS_ 0x200
#define HASH_START 0xcbf29ce484222325
#define HASH_PRIME 0x100000001b3

static void hash_name(uint64_t *key, const uint8_t *name, long size)
{
    key[0] = HASH_START;
    key[1] = ~(uint64_t)size;
    for (long i = 0; i < size; i++) {
        key[0] = (key[0] ^ name[i]) * HASH_PRIME;
        key[1] = (key[1] + key[0]) * HASH_PRIME;
    }
    key[1] |= 1UL << 63; /* no device number */
}

bool exo_unix_key(uint64_t *key, const struct exo_sockaddr *name, long size)
{
    struct k_stat stat;
    if (name->family != AF_UNIX_ || size <= 2)
        return false;
    if (name->data[0] == 0) {
        hash_name(key, name->data, size - 2);
        return true;
    }
    if (HOST_4(__NR_newfstatat, AT_FDCWD_, name->data, &stat, 0) != 0)
        return false;
    key[0] = stat.ino;
    key[1] = stat.dev & ~(1UL << 63);
    return true;
}

/* The latest of that name; net_lock is held. */
static struct exo_unix_name *find_locked(const uint64_t *key)
{
    for (uint32_t i = 0; i < EXO_UNIX_NAME_COUNT; i++) {
        uint32_t at = (KR->unix_name_high - 1 - i) % EXO_UNIX_NAME_COUNT;
        struct exo_unix_name *name = &KR->unix_names[at];
        if (name->cookie != 0 && name->key[0] == key[0] && name->key[1] == key[1])
            return name;
    }
    return NULL;
}

void exo_unix_bound(int host, const struct exo_sockaddr *name, long size)
{
    struct exo_unix_name entry = {.cookie = exo_sock_cookie(host)};
    if (entry.cookie == 0 || !exo_unix_key(entry.key, name, size))
        return;
    exo_lock_acquire(&KR->net_lock);
    struct exo_unix_name *at = find_locked(entry.key);
    if (at == NULL)
        at = &KR->unix_names[KR->unix_name_high++ % EXO_UNIX_NAME_COUNT];
    *at = entry;
    exo_lock_release(&KR->net_lock);
}

void exo_unix_listens(int host)
{
    uint64_t cookie = exo_sock_cookie(host);
    exo_lock_acquire(&KR->net_lock);
    for (uint32_t i = 0; cookie != 0 && i < EXO_UNIX_NAME_COUNT; i++)
        if (KR->unix_names[i].cookie == cookie)
            KR->unix_names[i].listener = area()->leader->host_tgid;
    exo_lock_release(&KR->net_lock);
}

uint32_t exo_unix_listener(const struct exo_sockaddr *name, long size)
{
    uint64_t key[2];
    if (KR->unix_name_high == 0 || !exo_unix_key(key, name, size))
        return 0;
    exo_lock_acquire(&KR->net_lock);
    const struct exo_unix_name *at = find_locked(key);
    uint32_t listener = at == NULL ? 0 : at->listener;
    exo_lock_release(&KR->net_lock);
    return listener;
}

bool exo_unix_is_listener(int host, uint32_t pid)
{
    uint32_t cred[3], size = sizeof(cred);
    return HOST_5(__NR_getsockopt, host, SOL_SOCKET_, SO_PEERCRED_, cred, &size) == 0 &&
           cred[0] == pid;
}

/* As path_permission() has it: 0, -errno. */
static bool may_write(const struct exo_sockaddr *name)
{
    return name->data[0] == 0 || HOST_0(__NR_geteuid) == 0 ||
           HOST_4(__NR_faccessat2, AT_FDCWD_, name->data, W_OK_, AT_EACCESS_) == 0;
}

uint32_t exo_unix_dgram(const struct exo_sockaddr *name, long size, uint64_t *generation)
{
    uint64_t key[2];
    *generation = 0;
    if (size > LONGEST || !exo_unix_key(key, name, size) || !may_write(name))
        return 0;
    exo_lock_acquire(&KR->net_lock);
    uint32_t number = exo_dgram_find_locked(KR, key);
    if (number != 0 && !exo_sock_is_unix_dgram(exo_sock_at(KR, number)))
        number = 0; /* the host knows what is wrong with that */
    if (number != 0)
        *generation = exo_sock_at(KR, number)->generation;
    exo_lock_release(&KR->net_lock);
    return number;
}
