/* Sockets and epoll sets on their way in messages: counted in their ends, and noted with the socket that the message has
 * been sent to, so that what is never received goes when that does.
 *
 * Rules: notes are under net_lock. One that finds no place is a flight without a note: its socket
 * stays until the instance ends.
 */
#include "sock.h"
#include "watch.h"

#define LOST 1 /* instead of a carrier: what nobody has, and somebody is about to free */
#define FLIGHT (1ULL << EXO_ENDS_BITS)

static bool flies(uint32_t number)
{
    enum exo_kind kind = exo_object_kind(number);
    return number < EXO_OBJECT_COUNT && number != exo_kinds[kind].first &&
           (kind == EXO_KIND_SOCK || kind == EXO_KIND_EPOLL);
}

/* The place of such a note, or of none. */
static struct exo_flight *find_locked(struct exo_kr *kr, uint32_t number, uint32_t carrier)
{
    for (uint32_t i = 0; i < kr->flight_high && i < EXO_FLIGHT_COUNT; i++)
        if (kr->flights[i].sock == number && kr->flights[i].carrier == carrier)
            return &kr->flights[i];
    return NULL;
}

void exo_sock_fly(struct exo_kr *kr, uint32_t number, uint32_t carrier)
{
    fetch_add(&exo_object_at(kr, number)->ends, EXO_ENDS_CHANGE + FLIGHT);
    fetch_add(&kr->flying, 1);
    if (carrier == 0)
        return;
    exo_lock_acquire(&kr->net_lock);
    struct exo_flight *place = find_locked(kr, 0, 0);
    if (place == NULL && kr->flight_high < EXO_FLIGHT_COUNT)
        place = &kr->flights[kr->flight_high++];
    if (place != NULL)
        *place = (struct exo_flight){.sock = number, .carrier = carrier};
    exo_lock_release(&kr->net_lock);
}

/* *last: nobody has it any more. */
static bool end_flight(struct exo_kr *kr, uint32_t number, uint64_t as, bool *last)
{
    struct exo_object *object = exo_object_at(kr, number);
    uint64_t ends = load_relaxed(&object->ends);
    do {
        if ((ends & FLIGHT * EXO_ENDS_MASK) == 0)
            return false;
    } while (!compare_exchange(&object->ends, &ends, ends + EXO_ENDS_CHANGE - FLIGHT + as));
    fetch_add(&kr->flying, (uint32_t)-1);
    *last = (ends - FLIGHT + as) % EXO_ENDS_CHANGE == 0;
    return true;
}

bool exo_sock_end_flight(struct exo_kr *kr, uint32_t number, uint32_t carrier, uint64_t as)
{
    bool last;
    if (!end_flight(kr, number, as, &last))
        return false;
    exo_lock_acquire(&kr->net_lock);
    struct exo_flight *note = carrier == 0 ? NULL : find_locked(kr, number, carrier);
    if (note != NULL)
        *note = (struct exo_flight){0};
    exo_lock_release(&kr->net_lock);
    if (last) {
        exo_object_leave(kr, number);
        if (exo_object_kind(number) == EXO_KIND_SOCK)
            exo_sock_part(kr, number);
        exo_object_free(kr, number);
    }
    return true;
}

bool exo_sock_copy_flight(struct exo_kr *kr, uint32_t number)
{
    struct exo_object *object = exo_object_at(kr, number);
    uint64_t ends = load_relaxed(&object->ends);
    do {
        if ((ends & FLIGHT * EXO_ENDS_MASK) == 0)
            return false;
    } while (!compare_exchange(&object->ends, &ends, ends + EXO_ENDS_CHANGE + 1));
    return true;
}

void exo_sock_drop_flights_locked(struct exo_kr *kr, uint32_t carrier)
{
    for (uint32_t i = 0; i < kr->flight_high && i < EXO_FLIGHT_COUNT; i++) {
        uint32_t number = kr->flights[i].sock;
        if (!flies(number) || kr->flights[i].carrier != carrier)
            continue;
        bool last = false;
        end_flight(kr, number, 0, &last);
        kr->flights[i] = (struct exo_flight){.sock = last ? number : 0, .carrier = last ? LOST : 0};
    }
}

uint32_t exo_sock_take_lost(struct exo_kr *kr)
{
    uint32_t number = 0;
    if (load_relaxed(&kr->flight_high) == 0)
        return 0;
    exo_lock_acquire(&kr->net_lock);
    for (uint32_t i = 0; number == 0 && i < kr->flight_high && i < EXO_FLIGHT_COUNT; i++)
        if (kr->flights[i].carrier == LOST && flies(kr->flights[i].sock)) {
            number = kr->flights[i].sock;
            kr->flights[i] = (struct exo_flight){0};
        }
    exo_lock_release(&kr->net_lock);
    return number;
}
