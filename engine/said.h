/* said.h: the tokens of an answer, and whether it says something twice.
 *
 * A list of names or numbers ("a, b, c") names each once. A small model that copies them from
 * several places is drawn to the same place again: a third of its lists of several values said one
 * twice and ended. So sx_said_again() tells when that has happened, before anybody saw it: what may
 * still become a repetition is not sure. Everything else, code above all, is left alone: a list is
 * made of words and commas only. */
#ifndef SX_ENGINE_SAID_H
#define SX_ENGINE_SAID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sx_said_kind {
    SX_SAID_WORD,  /* letters, digits, '_' and spaces */
    SX_SAID_COMMA, /* "," alone */
    SX_SAID_OTHER
} sx_said_kind;
sx_said_kind sx_said_kind_of(const uint8_t *bytes, size_t n);

typedef struct sx_said {
    uint32_t *token; /* [n], the caller's room */
    size_t n;
    size_t item; /* where the running item begins, behind its comma; 0: the first one */
    bool broken; /* no list */
} sx_said;

void sx_said_add(sx_said *said, uint32_t token, sx_said_kind kind);
/* Is the running item, should it end here, one that was said before? */
bool sx_said_again(const sx_said *said);
/* How many tokens may be shown: not a comma and what may become a repetition behind it. */
size_t sx_said_sure(const sx_said *said);
#endif
