/* ranking.h: weights of blocks -> spans in the order an answer cites them.
 *
 * This is the one place that says how an answer's spans are ranked.
 *
 * In: every block that the answer chose, with its `rank` (share of the softmax over them of the
 * global layers' weighted landmark scores at <a>, the late interaction and what the question says
 * when it reads its passage alone: sx_block_weight) and its `mass` (share of the attention of <a>
 * and the answer); and what the lexical channel found, with a score from 0 to 1.
 *
 * 1. Every block gets one owner among the definitions of its file. Candidates are the definitions
 *    that begin inside the block (a doc comment in front counts as the beginning) and the innermost
 *    one around the block's start. A candidate that begins inside and that the question names wins.
 *    Else it is the first that begins inside or the one around the start, whichever has more of
 *    the block before the other begins. (Blocks begin at definitions, but a definition that begins
 *    less than eight tokens behind a block's start shares it with the tail in front: one block in
 *    eight. Small neighbours such as one-line macros share a block, and then the name decides.)
 * 2. A block without a candidate is a span of its own bytes.
 * 3. The rank of a definition is the sum of its blocks' ranks, its mass the sum of their masses,
 *    its words the score of the find that is this definition (of a span without one: touches it).
 * 4. Order: higher log(rank) + lexical_weight * (words / the best find's)^2, then higher mass,
 *    then the order of the tree. What a find scores by itself says less: the more a question says,
 *    the less of it any place holds. A rank below 1e-5 counts as that: so small, it orders nothing.
 *    The weight comes with the model, fitted on repositories that it was not trained on. A
 *    definition that the question names outright comes first (SX_ASKED_FOR) if the question asks
 *    for names and says no more: "Where is X defined?", "Who calls X?". In "Check whether X has run
 *    before the flush" it is one of the things that are told, and counts SX_MENTIONED more: on
 *    repositories that nothing was trained on, putting it first always cost 6 of 42 per cent of the
 *    questions that tell what they mean. A question names a definition outright if it holds its
 *    name as a whole word and that word is clearly a name: quoted with ` or ', followed by "(", or
 *    with an underscore, a digit or a capital inside. "How do I open a list?" names nothing
 *    outright and lets a word decide only between equals; `open` does name. Only what was selected
 *    is ranked: the lexical channel's finds are, because they were joined to the selection, and so
 *    nothing is cited that was not read.
 *
 *    Tests and vendored copies repeat the words of what they are about: they rank SX_ASIDE lower
 *    unless the question speaks of tests.
 *
 * A question is answered here ("found") unless the model scores "not in this repository" above
 * every block, or would answer so, and no span is named outright.
 *
 * Why the rank and not the mass: on `Where is X defined?` the rank puts the right definition first
 * far more often; the mass says what the answer's words were taken from, and is what is shown.
 * Pure: arrays in, arrays out; no files, no catalogue. */
#ifndef SX_APP_RANKING_H
#define SX_APP_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How `question` holds `name`: not at all, as a word of the language perhaps, or outright as a
 * name. */
typedef enum sx_naming { SX_NAMED_NOT, SX_NAMED_WORD, SX_NAMED_OUTRIGHT } sx_naming;
sx_naming sx_question_names(const char *question, const char *name);

typedef struct sx_rank_block {
    uint32_t file;                 /* any number that grows in tree order */
    uint32_t start_byte, end_byte; /* of the file */
    float rank, mass;
    bool aside; /* of a test or a vendored copy */
} sx_rank_block;

typedef struct sx_rank_find { /* by the lexical channel: a definition, or lines outside of all */
    uint32_t file;
    uint32_t start_byte, end_byte;
    float words; /* 0 .. 1: share of the most that the question's words could score here */
} sx_rank_find;

typedef struct sx_rank_definition { /* sorted by file, boundary, then outer before inner */
    uint32_t file;
    uint32_t boundary; /* start_byte, or the start of the doc comment in front of it */
    uint32_t start_byte, end_byte;
    const char *name;
} sx_rank_definition;
/* That order, for qsort. */
int sx_rank_definition_compare(const void *a, const void *b);

typedef struct sx_rank_span {
    uint32_t file;
    int32_t definition;            /* index into the definitions; -1: a block's own bytes */
    uint32_t start_byte, end_byte; /* the definition's without its doc comment, or the block's */
    float rank, mass, words;
    float score;     /* what orders, see 4 */
    sx_naming named; /* by the question */
    bool aside;
} sx_rank_span;

typedef struct sx_rank_input {
    const sx_rank_block *blocks;
    size_t n_blocks;
    const sx_rank_definition *definitions;
    size_t n_definitions;
    const sx_rank_find *finds;
    size_t n_finds;
    float lexical_weight;
    const char *question; /* "": nothing is named */
} sx_rank_input;

/* In scores, which are logarithms. */
#define SX_ASIDE     5.0f
#define SX_MENTIONED 3.0f
#define SX_ASKED_FOR 1000.0f

/* Does the question speak of tests? */
bool sx_question_of_tests(const char *question);

/* Is the answer here? margin: sx_answer's. */
bool sx_rank_found(float margin, const sx_rank_span *spans, size_t n);

/* 1: the definition that owns a block, or -1. */
int32_t sx_rank_owner(const sx_rank_block *block, const sx_rank_definition *definitions, size_t n,
                      const char *question);

/* 4, as far as it is known of the span of a block before anything is read: what words count, less
 * SX_ASIDE. Of `in` it takes all but blocks. */
float sx_rank_prior(const sx_rank_block *block, const sx_rank_input *in);

/* spans: room for in->n_blocks. Returns how many there are, best first. */
size_t sx_rank_spans(sx_rank_span *spans, const sx_rank_input *in);

#endif
