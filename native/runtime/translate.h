/* Between the guest's numbers and the host's: pids, fds, and siginfo that holds them. */
#ifndef EXO_RUNTIME_TRANSLATE_H
#define EXO_RUNTIME_TRANSLATE_H

#include "area.h"

/* Host pid or tid of exo number; 0 if there is none. */
uint32_t exo_host_of(uint32_t tid);
/* Exo number of a host pid; 0 if it is not of this instance. */
uint32_t exo_tid_of(uint32_t host_tid);
/* The host's number for a call that is handed on: EXO_NO_HOST_PID, which no task has, for none. */
#define EXO_NO_HOST_PID 0x7fffffff
long exo_host_of_or_none(uint32_t tid);
/* Host process group of exo's; 0 if there is none. */
uint32_t exo_host_pgid(uint32_t pgid);

void exo_siginfo_to_guest(struct k_siginfo *info);
void exo_siginfo_to_host(struct k_siginfo *info);

/* Host fd behind guest fd, or -EBADF. What is in a pipe of exo's goes there first. */
int exo_fd_host(int fd);
/* The same, only to ask about the file or to pass its mode and times on: a pipe stays exo's. */
int exo_fd_twin(int fd);
/* The same for *at calls: AT_FDCWD is let through. */
int exo_dirfd_host(int fd);
/* For a call that is handed on: where there is no such fd, one that the host refuses, so that what
 * else is wrong with the call is found in the host's order. Negative ones mean to it what they say. */
int exo_fd_or_bad(int fd);
struct exo_fd *exo_fd_entry(int fd);
uint64_t exo_fd_limit(void);
/* Takes the lowest number from lowest; -EMFILE. Then one of the next three. */
int exo_fd_take(uint32_t lowest);
int exo_fd_give(int fd, int host, bool cloexec);
int exo_fd_give_named(int fd, int host, uint64_t flags); /* open(2)'s */
void exo_fd_untake(int fd);
/* Closes the host fds that are not in the fd table, nor the runtime's own. */
void exo_fd_close_strangers(void);
/* Makes a host call that returns an fd, interruptibly, and installs that. */
long exo_fd_made(long host, bool cloexec);

#endif
