/* Small text helpers of the runtime. */
#ifndef EXO_RUNTIME_TEXT_H
#define EXO_RUNTIME_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Writes number in decimal with a NUL; where the NUL stands. */
char *exo_put_number(char *to, uint64_t number);
/* Copies with the NUL; where the NUL stands. */
char *exo_put_text(char *to, const char *text);
/* Reads a decimal number; *after is where it ends, text itself if there is none. */
uint64_t exo_get_number(const char *text, const char **after);
/* Where text goes on after prefix; NULL if it does not begin with it. */
const char *exo_skip(const char *text, const char *prefix);

#endif
