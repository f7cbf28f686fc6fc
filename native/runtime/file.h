/* Fd table operations that other calls need too. */
#ifndef EXO_RUNTIME_FILE_H
#define EXO_RUNTIME_FILE_H

#include "area.h"
#include "path.h"

int exo_fd_remove(int fd);
long exo_fd_unshare(void);

#endif
