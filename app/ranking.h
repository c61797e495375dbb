/* ranking.h: weights of blocks -> spans in the order an answer cites them.
 *
 * This is the one place that says how an answer's spans are ranked.
 *
 * In: every block that the answer chose, with its `rank` (the sum over the global layers of the
 * softmaxed landmark scores at <a>) and its `mass` (share of the attention of <a> and the answer).
 *
 * 1. Every block gets one owner among the definitions of its file. Candidates are the definitions
 *    that begin inside the block (a doc comment in front counts as the beginning) and, unless one
 * of those begins exactly where the block does, the innermost definition around the block's start.
 *    A candidate that the question names wins, then the one that begins first, outer before inner.
 *    (Blocks begin at definitions, so this is nearly always the definition that starts there; small
 *    neighbours such as one-line macros share a block, and then the name decides.)
 * 2. A block without a candidate is a span of its own bytes.
 * 3. The rank of a definition is the sum of its blocks' ranks, its mass the sum of their masses.
 * 4. Order: higher rank, then higher mass, then definitions that the question names, then the order
 *    of the tree.
 *
 * Why the rank and not the mass: on `Where is X defined?` the rank puts the right definition first
 * far more often; the mass says what the answer's words were taken from, and is what is shown.
 * Pure: arrays in, arrays out; no files, no catalogue. */
#ifndef SX_APP_RANKING_H
#define SX_APP_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct sx_rank_block {
    uint32_t file;                 /* any number that grows in tree order */
    uint32_t start_byte, end_byte; /* of the file */
    float rank, mass;
} sx_rank_block;

typedef struct sx_rank_definition { /* sorted by file, boundary, then outer before inner */
    uint32_t file;
    uint32_t boundary; /* start_byte, or the start of the doc comment in front of it */
    uint32_t start_byte, end_byte;
    const char *name;
} sx_rank_definition;

typedef struct sx_rank_span {
    uint32_t file;
    int32_t definition;            /* index into the definitions; -1: a block's own bytes */
    uint32_t start_byte, end_byte; /* the definition's without its doc comment, or the block's */
    float rank, mass;
    bool named; /* the question holds the definition's name as a whole word */
} sx_rank_span;

/* spans: room for n_blocks. Returns how many there are, best first. */
size_t sx_rank_spans(sx_rank_span *spans, const sx_rank_block *blocks, size_t n_blocks,
                     const sx_rank_definition *definitions, size_t n_definitions,
                     const char *question);

/* True if `name` stands in `question` and no identifier byte touches it. */
bool sx_question_names(const char *question, const char *name);

#endif
