/* word.h: the word that tokens spell, whatever its case and however the tokenizer cut it.
 *
 * A word is a run of letters: A-Z and a-z, which count the same, and bytes from 0x80 on; a capital
 * behind a small letter begins the next one (camelCase). It is told by a hash of what is spelled so
 * far, so behind "load" and behind "lo", "ad" a token knows the same. */
#ifndef SX_WORD_H
#define SX_WORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_word { /* all zero: where a text begins */
    uint32_t hash;       /* 0: no word */
    bool small;          /* the byte before is in a-z */
} sx_word;

/* The word behind one more token of n bytes. n 0, a control token: none. */
sx_word sx_word_after(sx_word word, const uint8_t *bytes, size_t n);
/* The two rows, of n_rows in a table of words, whose sum stands for the word; they may be the same.
 * False: there is no word. */
bool sx_word_rows(sx_word word, uint32_t n_rows, uint32_t row[2]);

#endif
