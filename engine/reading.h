/* reading.h: what a question says of one passage when it can read that passage and nothing else.
 *
 * Landmarks and late interaction compare; this reads (a pointwise re-ranker whose documents' keys
 * and values are those that attention keeps anyway). The question's tokens go through the layers
 * from the first global one on, in which they see their own past and the passage's kept rows; the
 * score is
 *
 *   dot(read, nf * rms_norm(last token's state))
 *
 * What comes before the first global layer is the same for every passage and is done once, with the
 * question itself. */
#ifndef SX_READING_H
#define SX_READING_H

#include "engine/engine.h"
#include "engine/transformer.h"

typedef struct sx_reading sx_reading;

/* *out is the caller's; NULL, and 0, where the model has no such reading. -ENOMEM. */
int sx_reading_new(sx_reading **out, const sx_transformer *transformer);
void sx_reading_free(sx_reading *reading);
/* n more tokens of the question: x [n, d], the state that enters the first global layer. */
void sx_reading_push(sx_reading *reading, const float *x, int n);
/* False: no token yet, or more than the model was taught to read so. */
bool sx_reading_can(const sx_reading *reading);
/* Runs of a passage: its path, the definition around and its blocks. */
enum { SX_READING_RUNS = 1 + SX_PASSAGE_BLOCKS };
/* score [n] of n passages: passage i has n_runs [n] runs of rows that are kept (kernels.h, kv_row):
 * rows [n, SX_READING_RUNS, n_global] of each global layer, n_rows [n, SX_READING_RUNS] how many
 * (none: skipped). On up to `threads` threads; go_on(user) is asked on the calling one. -ENOMEM, or
 * -ECANCELED where go_on said false. */
int sx_reading_score(const sx_reading *reading, float *score, const void *const *rows,
                     const int32_t *n_rows, const int *n_runs, int n, sx_type format, int threads,
                     bool (*go_on)(void *user), void *user);

#endif
