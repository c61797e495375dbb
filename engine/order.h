/* order.h: what a question's <a> could read, put in order: by landmarks, late interaction and what
 * it says of each passage read alone; and whether the best of it answers at all. */
#ifndef SX_ENGINE_ORDER_H
#define SX_ENGINE_ORDER_H

#include "engine/attention.h"

enum { SX_CANDIDATES = 200, SX_READ_MOST = 32, SX_JOINED_MOST = 16 };

/* How <a>, the last token, scores any n blocks, score [n]: the sum over the global layers of
 * rank_weight * exp(it) * dot(query, landmark), and the late interaction of all tokens so far with
 * the block; of the SX_READ_MOST best passages of them also what they say read alone (reading.h),
 * of the others what the worst of those says. Blocks are in one passage where their sx_passage has
 * the same blocks. event as above, asked between passages too. */
int sx_question_score(sx_question *question, float *score, const uint32_t *blocks, size_t n,
                      sx_event_fn event, void *user, char *err, size_t errlen);
/* Orders what <a>, the last token, could read: what it chose and the SX_CANDIDATES best by their
 * landmarks whose k and v are at hand. Then the SX_JOINED_MOST best are joined for all tokens to
 * come, and `token`, <a>, is pushed once more in place of itself. Dense attention sees everything
 * and window attention nothing: neither is pushed again. */
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
/* What reading says of it beside that, after sx_question_look_again(): read_null_weight * (what the
 * passage that came first says read alone - read_null_score); 0 where nothing was read alone. */
float sx_question_read_margin(const sx_question *question);

#endif
