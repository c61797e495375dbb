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
/* From here on every token selects these n blocks, at most SX_PLACE_MOST, and no other. `token`,
 * the last one, is pushed once more in place of itself. Nothing under window attention.
 */
int sx_question_read_only(sx_question *question, const uint32_t *blocks, size_t n, uint32_t token,
                          sx_event_fn event, void *user, char *err, size_t errlen);
/* The last n tokens were never pushed; what they held stays selected. Logits and selections are
 * those of the next push. */
void sx_question_take_back(sx_question *question, int n);
const float *sx_question_logits(const sx_question *question); /* [vocab] */
const sx_selection *sx_question_selection(const sx_question *question, int global);

#endif
