/* encode.h: one segment through the layers -> k, v and landmarks of every global layer. */
#ifndef SX_ENCODE_H
#define SX_ENCODE_H

#include "engine/engine.h"
#include "engine/transformer.h"

typedef struct sx_encoder sx_encoder; /* the buffers of one thread */

/* longest: most tokens of a segment. NULL when memory is short. */
sx_encoder *sx_encoder_new(const sx_transformer *t, int longest, sx_type format);
void sx_encoder_free(sx_encoder *encoder);
/* Encodes; *landmarks: n_global * n_blocks rows of landmark_dim floats, *kv: n_global * n_tokens
 * rows, both layer by layer, the encoder's until the next call. 0, -ECANCELED when *stop became
 * true, -ENOMEM, -EINVAL for tokens or blocks out of range. */
int sx_encoder_run(sx_encoder *encoder, const uint32_t *tokens, int n_tokens,
                   const uint32_t *block_starts, int n_blocks, const atomic_bool *stop,
                   const float **landmarks, const void **kv);

/* sx_encode() of engine.h, with a poll asked every 50 ms on the calling thread while the workers
 * work; non-zero stops them. */
typedef int (*sx_encode_poll_fn)(void *user);
int sx_encode_polled(sx_engine *engine, sx_encode_source_fn source, sx_encode_sink_fn sink,
                     sx_encode_poll_fn poll, void *user, const atomic_bool *stop, char *err,
                     size_t errlen);

#endif
