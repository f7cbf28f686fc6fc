/* The MPMC protocol of fusion rings (native/core/ring.c) for spin: 2 slots, some producers of some
 * messages each, some consumers, which claim one or two slots at once; any one of them may be killed
 * at any of its steps.
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
#ifndef BATCH
#define BATCH 2 /* 1: no batches */
#endif
#define FREE 0
#define CLAIMED 1
#define READY 2
#define TAKEN 3
/* more: slots behind this one under the same claim */
#define HEADER(at, more, state, owner) ((at) * 128 + (more) * 64 + (state) * 16 + (owner))
#define AT(header) ((header) / 128)
#define MORE(header) (((header) / 64) % 2)
#define STATE(header) (((header) / 16) % 4)
#define OWNER(header) ((header) % 16)
#define IS_CLAIM(header) (STATE(header) == CLAIMED || STATE(header) == TAKEN)
#define LOST 15 /* in the owner's place of a ready slot: no message */

short slot[SLOTS];          /* headers */
byte sender[SLOTS], number[SLOTS]; /* payloads */
byte head, tail;
bool dead[16], finished[PRODUCERS + CONSUMERS + 1], closed;
#ifdef UNHARMED
bool killed = true; /* nobody is */
#else
bool killed;
#endif
byte got[PRODUCERS + 1];     /* by sender: messages that have arrived */
byte in_hand;     /* messages that a killed consumer had taken */
bool arrived[(PRODUCERS + 1) * (MESSAGES + 1)]; /* by sender, then number */

/* Before each store that others can see: perhaps never again. To die before a load is the same as
 * to die behind it, and nobody looks at a payload before its header says so. */
#define MAY_DIE if :: atomic { !killed -> killed = true; dead[_pid] = true; goto end } :: true fi

inline compare_exchange(place, old, new, done)
{
    atomic { if :: place == old -> place = new; done = true :: else -> done = false fi }
}

inline advance(place, at, count)
{
    atomic { if :: place == at -> place = at + count :: else fi }
}

/* Over what a header speaks for. */
inline pass(place, at, seen)
{
    d_step { count = (AT(seen) == at && IS_CLAIM(seen) -> MORE(seen) + 1 : 1) };
    advance(place, at, count);
    d_step { at = at + count; count = 0 }
}

/* Undoes a dead owner's claim, the second slot first; did: whether there was one. */
inline repair(seen, did)
{
    did = IS_CLAIM(seen) && dead[OWNER(seen)];
    if
    :: did && MORE(seen) ->
        atomic {
            i = (AT(seen) + 1) % SLOTS;
            if
            :: STATE(seen) == CLAIMED && AT(slot[i]) == AT(seen) + 1 && STATE(slot[i]) == FREE ->
                slot[i] = HEADER(AT(seen) + 1, 0, READY, LOST)
            :: STATE(seen) == TAKEN && AT(slot[i]) == AT(seen) + 1 && STATE(slot[i]) == READY ->
                slot[i] = HEADER(AT(seen) + 1 + SLOTS, 0, FREE, 0)
            :: else
            fi
        }
    :: else
    fi;
    atomic {
        i = AT(seen) % SLOTS;
        if
        :: did && slot[i] == seen && STATE(seen) == CLAIMED ->
            slot[i] = HEADER(AT(seen), 0, READY, LOST)
        :: did && slot[i] == seen && STATE(seen) == TAKEN ->
            slot[i] = HEADER(AT(seen) + SLOTS, 0, FREE, 0)
        :: else
        fi
    }
}

proctype producer()
{
    byte n = 1, at, now, i, count;
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
        count = 1;
        if
        :: BATCH > 1 && n < MESSAGES ->
            count = (slot[(at + 1) % SLOTS] == HEADER(at + 1, 0, FREE, 0) -> 2 : 1)
        :: else
        fi;
        compare_exchange(slot[i], seen, HEADER(at, count - 1, CLAIMED, _pid), done);
        if :: !done -> count = 0; goto again :: else fi;
        MAY_DIE;
        advance(head, at, count);
        MAY_DIE;
        atomic { sender[i] = _pid; number[i] = n };
        if
        :: count == 2 ->
            atomic {
                i = (at + 1) % SLOTS;
                sender[i] = _pid;
                number[i] = n + 1;
                slot[i] = HEADER(at + 1, 0, READY, 0)
            };
            MAY_DIE
        :: else
        fi;
        atomic { slot[at % SLOTS] = HEADER(at, 0, READY, 0); n = n + count; count = 0 };
        goto next
    :: AT(seen) == at && STATE(seen) != FREE ->
        pass(head, at, seen);
        goto again
    :: else
    fi;
    now = head;
    if
    :: now > at -> at = now; goto again
    :: now <= at && AT(seen) > at -> pass(head, at, seen); goto again
    :: else
    fi;
    repair(seen, done);
    if :: done -> goto again :: else fi;
    /* no room */
    slot[i] != seen || head != now || dead[OWNER(seen)] && IS_CLAIM(seen);
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

/* As MAY_DIE, with so many messages in hand. */
inline may_die_with(messages)
{
    if
    :: atomic {
           !killed -> killed = true;
           dead[_pid] = true;
           in_hand = in_hand + messages;
           goto end
       }
    :: true
    fi
}

proctype consumer()
{
    byte at, now, i, count;
    short seen, second;
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
        count = 1;
        if
        :: BATCH > 1 ->
            second = slot[(at + 1) % SLOTS];
            count = (AT(second) == at + 1 && STATE(second) == READY -> 2 : 1)
        :: else
        fi;
        compare_exchange(slot[i], seen, HEADER(at, count - 1, TAKEN, _pid), done);
        if :: !done -> atomic { count = 0; second = 0 }; goto again :: else fi;
        may_die_with((OWNER(seen) != LOST -> 1 : 0) + (count == 2 && OWNER(second) != LOST -> 1 : 0));
        advance(tail, at, count);
        if :: OWNER(seen) != LOST -> receive(i) :: else fi;
        may_die_with((count == 2 && OWNER(second) != LOST -> 1 : 0));
        if
        :: count == 2 ->
            i = (at + 1) % SLOTS;
            if :: OWNER(second) != LOST -> receive(i) :: else fi;
            MAY_DIE;
            slot[i] = HEADER(at + 1 + SLOTS, 0, FREE, 0)
        :: else
        fi;
        MAY_DIE;
        atomic { slot[at % SLOTS] = HEADER(at + SLOTS, 0, FREE, 0); count = 0; second = 0 };
        goto next
    :: AT(seen) == at && STATE(seen) == TAKEN ->
        pass(tail, at, seen);
        goto again
    :: else
    fi;
    now = tail;
    if
    :: now > at -> at = now; goto again
    :: now <= at && AT(seen) > at -> pass(tail, at, seen); goto again
    :: else
    fi;
    repair(seen, done);
    if :: done -> goto again :: else fi;
    /* nothing there */
    if
    :: was_closed && STATE(seen) == FREE -> goto end
    :: !(was_closed && STATE(seen) == FREE) ->
        closed && STATE(seen) == FREE || slot[i] != seen || tail != now ||
        dead[OWNER(seen)] && IS_CLAIM(seen);
        goto next
    fi;
end:
    finished[_pid] = true
}

init
{
    byte i;
    atomic {
        for (i : 0 .. SLOTS - 1) { slot[i] = HEADER(i, 0, FREE, 0) };
        for (i : 1 .. PRODUCERS) { run producer() };
        for (i : 1 .. CONSUMERS) { run consumer() }
    };
    for (i : 1 .. PRODUCERS) { finished[i] };
    closed = true;
    for (i : 1 .. CONSUMERS) { finished[PRODUCERS + i] };
    for (i : 1 .. PRODUCERS) { assert(dead[i] || CONSUMERS == 1 && dead[PRODUCERS + 1] || got[i] + in_hand >= MESSAGES) }
}
