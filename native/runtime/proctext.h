/* Text files below /proc that exo makes, seen as the host's are: proctext.c. */
#ifndef EXO_RUNTIME_PROCTEXT_H
#define EXO_RUNTIME_PROCTEXT_H

#include "area.h"

/* Before a read at offset, or at the file's own for -1: 0, or -errno. */
long exo_text_before_read(struct exo_fd *entry, long offset);
/* After the fd was installed. */
void exo_text_opened(struct exo_fd *entry);
/* fstat of such a file, into runtime memory. */
long exo_text_stat(struct exo_fd *entry, struct k_stat *stat);

#endif
