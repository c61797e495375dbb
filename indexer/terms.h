/* terms.h: bytes -> the terms that words are found by: pieces of names and words, stemmed, and
 * whole names. Knows no git, no SQL, no files.
 *
 *   run     letters, digits, '_' and every character that is not ASCII, as far as it goes; but
 *           punctuation and symbols outside ASCII separate like those inside
 *   piece   parseHTTPHeader2 -> parse HTTP Header 2; small letters, with one capital in front or
 *           none; capitals; digits. What is not ASCII counts as a small letter
 *   term    a piece of two bytes or more, or a digit: small letters, stemmed; and a run of several
 *           pieces as a whole: small letters, not stemmed */
#ifndef SX_TERMS_H
#define SX_TERMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SX_TERM_BYTES = 256, /* a longer piece or run is data, and no term */
    SX_STOP_TERMS = 128, /* room for them all */
};

typedef struct sx_terms { /* goes through bytes; start it as {.bytes = ..., .n = ...} */
    const uint8_t *bytes;
    size_t n;
    size_t at; /* behind what was read */

    /* The term at hand. */
    uint8_t term[SX_TERM_BYTES];
    size_t n_term;
    bool whole;
    uint32_t hash; /* a whole run never equals a piece but by chance */
    size_t run;    /* where its run starts */

    size_t run_end; /* the rest is for sx_terms_next() */
    unsigned pieces;
} sx_terms;
bool sx_terms_next(sx_terms *terms); /* false: there is none any more */

/* Takes the endings off a word of small letters: the length of what stays; the last letter may
 * become a 'y'. */
size_t sx_stem(uint8_t *word, size_t n);
uint32_t sx_term_hash(const uint8_t *term, size_t n, bool whole);

/* Hashes of the words that say nothing about where to look, stemmed: how many. */
size_t sx_stop_terms(uint32_t hashes[SX_STOP_TERMS]);

#endif
