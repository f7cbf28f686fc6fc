/* Prototypes of mem.c; hosted builds take libc's instead and leave mem.c out. */
#ifndef EXO_CORE_MEM_H
#define EXO_CORE_MEM_H

#include <stddef.h>
#include <stdint.h>

void *memcpy(void *restrict to, const void *restrict from, size_t size);
void *memset(void *to, int byte, size_t size);
void *memmove(void *to, const void *from, size_t size);
int memcmp(const void *a, const void *b, size_t size);
size_t strlen(const char *text);

#endif
