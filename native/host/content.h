/* Text that is read from the host, and a memfd that is made of it. */
#ifndef EXO_CONTENT_H
#define EXO_CONTENT_H

#include <stdint.h>

struct exo_text {
    char *at; /* to be freed */
    uint64_t size;
};

/* Reads a file to its end. -ENOENT: the process of /proc that it belongs to is gone. */
int exo_text_read(struct exo_text *text, const char *path);

/* A memfd that is being written. */
struct exo_content {
    int32_t fd;
    int32_t error; /* the first one */
};

void exo_content_begin(struct exo_content *content, const char *name);
void exo_content_put(struct exo_content *content, const void *data, uint64_t size);
/* The fd of it to read only, or -errno. */
int exo_content_end(struct exo_content *content);

#endif
