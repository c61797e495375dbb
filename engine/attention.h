/* attention.h: question tokens through all layers: each attends to its own past and, in global
 * layers, to the blocks it selects in the context. */
#ifndef SX_ATTENTION_H
#define SX_ATTENTION_H

#include "engine/context.h"

typedef struct sx_selection { /* what one token chose in one global layer */
    int n;
    int32_t *block; /* [n] best first */
    float *score;   /* [n] */
    float *mass;    /* [n] share of the attention, mean over heads */
} sx_selection;

typedef struct sx_question sx_question; /* one timeline: its own k and v; one thread at a time */

/* capacity: most tokens, prompt and answer. options->top_k 0: the model's; options->joined is
 * copied. *out is the caller's. */
int sx_question_new(sx_question **out, sx_context *context, int capacity,
                    const sx_ask_options *options, char *err, size_t errlen);
void sx_question_free(sx_question *question);
/* Appends n tokens. After it, logits and selections are those of the last one. event is asked
 * between layers; non-zero: -ECANCELED. */
int sx_question_push(sx_question *question, const uint32_t *ids, int n, sx_event_fn event,
                     void *user, char *err, size_t errlen);
/* What the last token chose, the `best` blocks of each global layer (0: all), stays selected by all
 * tokens to come, as if it had been joined; up to SX_HELD_MOST blocks over the question's life. A
 * number is copied over several tokens, and each must find its place again. Nothing under dense and
 * window attention. */
enum { SX_HELD_MOST = 96, SX_HELD_BEST = 2 /* of an answer's token; of <a> it is all */ };
void sx_question_hold(sx_question *question, int best);
const float *sx_question_logits(const sx_question *question); /* [vocab] */
const sx_selection *sx_question_selection(const sx_question *question, int global);
/* How <a>, the last token, scores any n blocks, score [n]: the sum over the global layers of
 * rank_weight * exp(it) * dot(query, landmark), and the late interaction of all tokens so far with
 * the block; of the SX_READ_MOST best of them also what they say read alone (reading.h), of the
 * others what the worst of those says. event as above, asked between blocks too. */
int sx_question_score(sx_question *question, float *score, const uint32_t *blocks, size_t n,
                      sx_event_fn event, void *user, char *err, size_t errlen);
/* Orders what <a>, the last token, could read: what it chose and the SX_CANDIDATES best by their
 * landmarks whose k and v are at hand. Then the SX_JOINED_MOST best are joined for all tokens to
 * come, and `token`, <a>, is pushed once more in place of itself. Dense attention sees everything
 * and window attention nothing: neither is pushed again. */
enum { SX_CANDIDATES = 200, SX_READ_MOST = 32, SX_JOINED_MOST = 16 };
int sx_question_look_again(sx_question *question, uint32_t token, sx_event_fn event, void *user,
                           char *err, size_t errlen);
typedef struct sx_scored_block {
    uint32_t block;
    float score; /* sx_question_score() */
} sx_scored_block;
/* What sx_question_look_again() ordered, best first; lives as long as the question. */
const sx_scored_block *sx_question_order(const sx_question *question, size_t *n);
/* The sum over the global layers of rank_weight * exp(it) * (best score - null_score): below 0,
 * "nothing here answers this" scored above every block. +INFINITY where the model has no null
 * scores or nothing was selected. */
float sx_question_margin(const sx_question *question);

#endif
