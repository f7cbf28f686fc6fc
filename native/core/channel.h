/* What the files of the channels share. */
#ifndef EXO_CORE_CHANNEL_H
#define EXO_CORE_CHANNEL_H

#include <exo/channel.h>

#include "pool.h"
#include "ring.h"

/* Rings a bell for whoever sleeps there. */
void exo_port_ring_bell(struct exo_ring_bell *bell);

#endif
