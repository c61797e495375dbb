/* context.h: an ordered list of extents: what a question sees. */
#ifndef SX_CONTEXT_H
#define SX_CONTEXT_H

#include "engine/engine_private.h"

typedef struct sx_context_part { /* a segment of the context */
    int64_t id;
    uint32_t n_tokens, n_blocks;
    uint32_t first_block;   /* index in the context */
    const float *landmarks; /* [n_global, n_blocks, landmark_dim] */
    const char *kept;       /* [n_global, n_tokens] rows, NULL: not kept */
    char *recomputed;       /* the same, ours; NULL: not now */
    bool wanted;            /* selected in the step that is running */
} sx_context_part;

struct sx_context {
    sx_engine *engine;
    sx_context_part *parts;
    size_t n_parts, cap_parts;
    uint32_t *block_start; /* [n_blocks]: token of its segment */
    uint32_t *block_part;  /* [n_blocks] */
    uint32_t n_blocks, cap_blocks;
    uint64_t n_tokens;
    size_t recomputed_bytes;
    sx_context_tokens_fn tokens;
    void *tokens_user;
};

/* Brings k and v of every segment that holds one of blocks[] to memory, recomputing what was not
 * kept. event is asked and told while that lasts. 0, -ECANCELED, -ENOMEM, -EINVAL. */
int sx_context_need(sx_context *context, const int32_t *blocks, size_t n, sx_event_fn event,
                    void *user, char *err, size_t errlen);
/* Are its k and v at hand, so that sx_context_need() has nothing to do? */
bool sx_context_has(const sx_context *context, uint32_t block);
/* The rows of a block in one global layer; sx_context_need() has been called for it. */
const void *sx_context_rows(const sx_context *context, uint32_t block, int global, int32_t *n_rows);

#endif
