/* What the entry code calls beside the handlers themselves.
 *
 * Rules of the runtime, for everything in this folder:
 *   - general registers only: the guest's vector state is never touched;
 *   - guest memory is read and written through guest_read() and its like, never directly;
 *   - calls that may block use host_wait(), so that a signal cuts them short;
 *   - a result, or -errno; -EXO_ERESTART has the call done again after the signal's handler;
 *   - the thread runs on the runtime stack of its area: nothing large on it.
 */
#include "record.h"
#include "trace.h"
#include "verdict.h"

long exo_observe(long a, long b, long c, long d, long e, long f);
long exo_none(long a, long b, long c, long d, long e, long f);

static long counted(uint32_t nr, long a, long b, long c, long d, long e, long f)
{
    struct exo_area *mine = area();
    uint64_t before = mine->host_calls;
    fetch_add(&KR->counts.calls[nr], 1);
    long result = exo_handlers[nr](a, b, c, d, e, f);
    bool born = mine->host_calls < before; /* a forked child counts anew */
    fetch_add(&KR->counts.host_calls[nr], mine->host_calls - (born ? 0 : before));
    return result;
}

long exo_serve_call(uint32_t nr, long a, long b, long c, long d, long e, long f)
{
    uint32_t why = area()->observe;
    long result;
    if (why & EXO_OBSERVE_STEP) {
        area()->observe &= ~(uint32_t)EXO_OBSERVE_STEP;
        area()->flags |= EXO_TRAP_FLAG;
    }
    if ((why & EXO_OBSERVE_DISPATCH) && exo_dispatch_takes(&result))
        return result;
    if ((why & EXO_OBSERVE_FILTER) && exo_seccomp_takes(&result))
        return result;
    if (unlikely(area()->adopted)) { /* its tracer may have changed the call */
        const struct exo_regs *regs = &area()->regs;
        nr = (uint32_t)regs->nr;
        a = (long)regs->rdi, b = (long)regs->rsi, c = (long)regs->rdx;
        d = (long)regs->r10, e = (long)regs->r8, f = (long)regs->r9;
    }
    if (nr >= exo_call_limit)
        return -ENOSYS;
    if (why & EXO_OBSERVE_STATS)
        return counted(nr, a, b, c, d, e, f);
    return exo_handlers[nr](a, b, c, d, e, f);
}

/* The slower way in, while the observer slot is set. */
long exo_observe(long a, long b, long c, long d, long e, long f)
{
    if (area()->observe & EXO_OBSERVE_RECORD)
        return exo_record_call(a, b, c, d, e, f);
    return exo_observe_unrecorded(a, b, c, d, e, f);
}

long exo_observe_unrecorded(long a, long b, long c, long d, long e, long f)
{
    if (area()->observe & EXO_OBSERVE_TRACE)
        return exo_trace_call();
    return exo_serve_call((uint32_t)area()->regs.nr, a, b, c, d, e, f);
}

/* A call that is not supported: the errno of its row. */
long exo_none(UNUSED long a, UNUSED long b, UNUSED long c, UNUSED long d, UNUSED long e,
              UNUSED long f)
{
    return -exo_calls[area()->regs.nr].error;
}
