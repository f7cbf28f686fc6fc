/* eventfds whose counter is in the kernel region. */
#ifndef EXO_RUNTIME_EVENT_H
#define EXO_RUNTIME_EVENT_H

#include "../core/watch.h"
#include "area.h"

/* The call was not served: the entry is another, or the host's. Look again. */
#define EXO_EVENT_AGAIN (-4096L)

long exo_event_read(struct exo_fd *at, uint64_t to, uint64_t size);
long exo_event_write(struct exo_fd *at, uint64_t from, uint64_t size);
/* F_SETFL, of which it has to know; the host's result. */
long exo_event_set_flags(struct exo_fd *at, long flags);
/* For who polls for input, as exo_pipe_settle(). */
bool exo_event_settle(struct exo_fd *at);
void exo_event_rise(struct exo_event *event);
/* The counter goes into the twin, for good. */
void exo_event_to_host(struct exo_fd *at);

#endif
