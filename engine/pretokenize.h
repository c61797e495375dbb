/* pretokenize.h: the linear hand-written splitter: text -> pieces, inside which tokens are merged.
 * Knows no vocabulary. Patterns are not interpreted: a tokenizer.json names one of those written
 * out here, letter for letter, or is refused. */
#ifndef SX_PRETOKENIZE_H
#define SX_PRETOKENIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What the patterns ask of a character. A byte that is no part of a UTF-8 character is a SYMBOL. */
typedef enum sx_char {
    SX_SYMBOL,   /* none of the following */
    SX_LETTER,   /* \p{L} */
    SX_NUMBER,   /* \p{N} */
    SX_SPACE,    /* \s, but */
    SX_NEWLINE,  /* \r or \n */
    SX_MULTIBYTE /* in ascii[] only: look further */
} sx_char;

typedef struct sx_splitter { /* read-only once made */
    uint8_t ascii[256];      /* sx_char of a byte; SX_MULTIBYTE from 0x80 */
    uint16_t page[0x1100];   /* code point / 256 -> row of pages[][256] */
    uint8_t *pages;          /* sx_char */
    size_t n_pages;
} sx_splitter;

/* The one pattern of this version: contractions, words with one leading non-letter, single digits,
 * runs of symbols, line ends, blanks. */
#define SX_PATTERN_CODE                                                                            \
    "'(?i:[sdmt]|ll|ve|re)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"    \
    "|\\s*[\\r\\n]|\\s+(?!\\S)|\\s+"

bool sx_splitter_knows(const char *pattern);
/* 0 or -ENOMEM. Filled from the Unicode tables of the system's library. */
int sx_splitter_init(sx_splitter *splitter);
void sx_splitter_clear(sx_splitter *splitter);

/* End of the piece that starts at `at` (at < n); pieces follow each other without gaps. All of them
 * together cost time linear in n. */
size_t sx_split_next(const sx_splitter *splitter, const uint8_t *bytes, size_t n, size_t at);

#endif
