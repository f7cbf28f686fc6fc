/* The MPMC protocol of fusion rings (native/core/ring.c) for spin: 2 slots, some producers of some
 * messages each, some consumers; any one of them may be killed before any of its steps.
 *
 * Checked: nobody waits for ever (an invalid end state), each producer's messages arrive in order and
 * once, none is lost but what a killed consumer had in hand. What waits in C is here a condition
 * that becomes true when another try is worth it.
 */
#ifndef PRODUCERS /* spin -DPRODUCERS=... */
#define PRODUCERS 2
#define CONSUMERS 2
#endif
#define SLOTS 2
#ifndef MESSAGES
#define MESSAGES 2
#endif
#define FREE 0
#define CLAIMED 1
#define READY 2
#define TAKEN 3
#define HEADER(at, state, owner) ((at) * 64 + (state) * 16 + (owner))
#define AT(header) ((header) / 64)
#define STATE(header) (((header) / 16) % 4)
#define OWNER(header) ((header) % 16)
#define LOST 15 /* in the owner's place of a ready slot: no message */

short slot[SLOTS];          /* headers */
byte sender[SLOTS], number[SLOTS]; /* payloads */
byte head, tail;
bool dead[16], finished[PRODUCERS + CONSUMERS + 1], closed, killed;
byte got[PRODUCERS + 1];     /* by sender: messages that have arrived */
byte in_hand;     /* messages that a killed consumer had taken */
bool arrived[(PRODUCERS + 1) * (MESSAGES + 1)]; /* by sender, then number */

/* Before each step: perhaps never again. */
#define MAY_DIE if :: atomic { !killed -> killed = true; dead[_pid] = true; goto end } :: true fi

inline compare_exchange(place, old, new, done)
{
    atomic { if :: place == old -> place = new; done = true :: else -> done = false fi }
}

inline advance(place, at)
{
    atomic { if :: place == at -> place = at + 1 :: else fi }
}

/* Undoes a dead owner's claim; did: whether there was one. */
inline repair(i, seen, did)
{
    atomic {
        did = (STATE(seen) == CLAIMED || STATE(seen) == TAKEN) && dead[OWNER(seen)];
        if
        :: did && slot[i] == seen && STATE(seen) == CLAIMED ->
            slot[i] = HEADER(AT(seen), READY, LOST)
        :: did && slot[i] == seen && STATE(seen) == TAKEN ->
            slot[i] = HEADER(AT(seen) + SLOTS, FREE, 0)
        :: else
        fi
    }
}

proctype producer()
{
    byte n = 1, at, now, i;
    short seen;
    bool done;
next:
    if :: n > MESSAGES -> goto end :: else fi;
    at = head;
again:
    i = at % SLOTS;
    MAY_DIE;
    seen = slot[i];
    if
    :: AT(seen) == at && STATE(seen) == FREE ->
        MAY_DIE;
        compare_exchange(slot[i], seen, HEADER(at, CLAIMED, _pid), done);
        if :: !done -> goto again :: else fi;
        MAY_DIE;
        advance(head, at);
        MAY_DIE;
        sender[i] = _pid;
        MAY_DIE;
        number[i] = n;
        MAY_DIE;
        slot[i] = HEADER(at, READY, 0);
        n++;
        goto next
    :: AT(seen) == at && STATE(seen) != FREE ->
        advance(head, at);
        at++;
        goto again
    :: else
    fi;
    now = head;
    if
    :: now > at -> at = now; goto again
    :: now <= at && AT(seen) > at -> advance(head, at); at++; goto again
    :: else
    fi;
    repair(i, seen, done);
    if :: done -> goto again :: else fi;
    /* no room */
    slot[i] != seen || head != now || dead[OWNER(seen)] && (STATE(seen) == CLAIMED || STATE(seen) == TAKEN);
    at = head;
    goto again;
end:
    finished[_pid] = true
}

inline receive(i)
{
    atomic {
        assert(number[i] >= 1 && number[i] <= MESSAGES);
        assert(!arrived[sender[i] * (MESSAGES + 1) + number[i]]);
        arrived[sender[i] * (MESSAGES + 1) + number[i]] = true;
        /* Taken in order: an earlier one is here, or in a killed consumer's hand. */
        got[sender[i]]++
    }
}

proctype consumer()
{
    byte at, now, i, from, which;
    short seen;
    bool done, was_closed;
next:
    at = tail;
again:
    i = at % SLOTS;
    was_closed = closed;
    MAY_DIE;
    seen = slot[i];
    if
    :: AT(seen) == at && STATE(seen) == READY ->
        MAY_DIE;
        compare_exchange(slot[i], seen, HEADER(at, TAKEN, _pid), done);
        if :: !done -> goto again :: else fi;
        if
        :: atomic {
               !killed -> killed = true;
               dead[_pid] = true;
               in_hand = in_hand + (OWNER(seen) != LOST -> 1 : 0);
               goto end
           }
        :: true
        fi;
        advance(tail, at);
        if :: OWNER(seen) != LOST -> receive(i) :: else fi;
        MAY_DIE;
        slot[i] = HEADER(at + SLOTS, FREE, 0);
        goto next
    :: AT(seen) == at && STATE(seen) == TAKEN ->
        advance(tail, at);
        at++;
        goto again
    :: else
    fi;
    now = tail;
    if
    :: now > at -> at = now; goto again
    :: now <= at && AT(seen) > at -> advance(tail, at); at++; goto again
    :: else
    fi;
    repair(i, seen, done);
    if :: done -> goto again :: else fi;
    /* nothing there */
    if
    :: was_closed && STATE(seen) == FREE -> goto end
    :: !(was_closed && STATE(seen) == FREE) ->
        closed && STATE(seen) == FREE || slot[i] != seen || tail != now ||
        dead[OWNER(seen)] && (STATE(seen) == CLAIMED || STATE(seen) == TAKEN);
        goto next
    fi;
end:
    finished[_pid] = true
}

init
{
    byte i;
    atomic {
        for (i : 0 .. SLOTS - 1) { slot[i] = HEADER(i, FREE, 0) };
        for (i : 1 .. PRODUCERS) { run producer() };
        for (i : 1 .. CONSUMERS) { run consumer() }
    };
    for (i : 1 .. PRODUCERS) { finished[i] };
    closed = true;
    for (i : 1 .. CONSUMERS) { finished[PRODUCERS + i] };
    for (i : 1 .. PRODUCERS) { assert(dead[i] || CONSUMERS == 1 && dead[PRODUCERS + 1] || got[i] + in_hand >= MESSAGES) }
}
