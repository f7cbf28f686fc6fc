/* What `exo-um trace -e inject=` does to calls: which of a task's calls are meant. */
#include "record.h"

#define NS_PER_S 1000000000UL

static bool is_meant(const struct exo_tamper *change, uint32_t count)
{
    if (count < change->first || (change->last != 0 && count > change->last))
        return false;
    return change->step ? (count - change->first) % change->step == 0 : count == change->first;
}

const struct exo_tamper *exo_record_tamper(struct exo_stage *stage, uint32_t nr)
{
    const struct exo_recording *recording = &KR->recording;
    const struct exo_tamper *found = NULL;
    for (uint32_t i = 0; i < recording->tamper_count && i < EXO_TAMPER_COUNT; i++) {
        const struct exo_tamper *change = &recording->tampers[i];
        if (!(change->calls[nr / 64] >> nr % 64 & 1))
            continue;
        if (is_meant(change, ++stage->counts[i]) && found == NULL)
            found = change;
    }
    return found;
}

void exo_record_delay(uint64_t ns)
{
    const uint64_t time[2] = {ns / NS_PER_S, ns % NS_PER_S};
    if (ns != 0)
        HOST_2(__NR_nanosleep, time, 0);
}

/* As from the kernel itself. */
void exo_record_kill(uint32_t signal)
{
    struct k_siginfo info = {.signo = (int)signal, .code = SI_KERNEL_};
    HOST_4(__NR_rt_tgsigqueueinfo, area()->leader->host_tgid, area()->core.host_tid, signal, &info);
}
