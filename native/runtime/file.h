/* Fd table operations that other calls need too. */
#ifndef EXO_RUNTIME_FILE_H
#define EXO_RUNTIME_FILE_H

#include "area.h"
#include "path.h"

/* Takes the entry out of the table: *gone is what it was, -EBADF if there was none. exo_fd_gone() is to be
 * told, then its host fd closed. */
long exo_fd_remove(int fd, struct exo_fd *gone);
void exo_fd_gone(struct exo_fd gone);
long exo_fd_unshare(void);

#endif
