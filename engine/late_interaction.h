/* late_interaction.h: how well each token of a question fits some token of a block.
 *
 * Landmarks find a block by one vector; this orders the few that were found by all their tokens
 * (late interaction: Khattab and Zaharia 2020, ColBERT). For every head, each of the question's
 * last late_tokens tokens up to <a> has a query of its own (lq, from the last global layer's
 * input); the score of a block is
 *
 *   sum over tokens and heads of the largest of dot(query, k of a token of the block) / sqrt(d)
 *
 * over the same keys that attention reads, so nothing more is kept. */
#ifndef SX_LATE_INTERACTION_H
#define SX_LATE_INTERACTION_H

#include "engine/transformer.h"

typedef struct sx_late_interaction sx_late_interaction;

/* *out is the caller's; NULL, and 0, where the model has no late interaction. -ENOMEM. */
int sx_late_interaction_new(sx_late_interaction **out, const sx_transformer *transformer,
                            int most_rows);
void sx_late_interaction_free(sx_late_interaction *late);
/* n more tokens of the question: h [n, d], the normalised input of the last global layer, with room
 * for sx_matmul_rows(n) rows; n is at most most_rows. False: short of memory. */
bool sx_late_interaction_push(sx_late_interaction *late, const float *h, int n);
/* The score of a block whose n_rows kept rows (kernels.h, kv_row) of the last global layer are
 * `rows`. */
float sx_late_interaction_score(sx_late_interaction *late, const void *rows, sx_type format,
                                int n_rows);

#endif
