/* System V IPC: the host's, with the pids translated that semctl(2), shmctl(2) and msgctl(2) tell. */
#include "translate.h"

#define IPC_STAT_ 2
#define SEM_GETPID_ 11
#define MSG_STAT_ 11
#define SHM_STAT_ 13
#define MSG_STAT_ANY_ 13
#define SHM_STAT_ANY_ 15
#define SHM_PIDS 80 /* shm_cpid and shm_lpid in struct shmid64_ds */
#define MSG_PIDS 96 /* msg_lspid and msg_lrpid in struct msqid64_ds */

static long fix_pids(uint64_t at)
{
    int32_t pids[2];
    if (guest_get(&pids, at) != 0)
        return -EFAULT;
    for (int i = 0; i < 2; i++)
        pids[i] = pids[i] <= 0 ? pids[i] : (int32_t)exo_tid_of((uint32_t)pids[i]);
    return guest_put(at, &pids);
}

SYSCALL(semctl)
{
    long result = HOST_4(__NR_semctl, a, b, c, d);
    return (int)c == SEM_GETPID_ && result > 0 ? (long)exo_tid_of((uint32_t)result) : result;
}

SYSCALL(shmctl)
{
    int command = (int)b;
    long result = HOST_3(__NR_shmctl, a, command, c);
    bool tells = command == IPC_STAT_ || command == SHM_STAT_ || command == SHM_STAT_ANY_;
    return tells && result >= 0 && fix_pids((uint64_t)c + SHM_PIDS) != 0 ? -EFAULT : result;
}

SYSCALL(msgctl)
{
    int command = (int)b;
    long result = HOST_3(__NR_msgctl, a, command, c);
    bool tells = command == IPC_STAT_ || command == MSG_STAT_ || command == MSG_STAT_ANY_;
    return tells && result >= 0 && fix_pids((uint64_t)c + MSG_PIDS) != 0 ? -EFAULT : result;
}
