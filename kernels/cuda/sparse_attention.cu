/* sparse_attention.cu: local, far and selected keys of a long sequence under one softmax. */
#include "kernels/cuda/attention.h"

#include <math.h>

void sx_attention(sx_stream *stream, const char *operation, const attention *a)
{
    bool fits = (a->d == 64 || a->d == 128) && a->heads % a->kv_heads == 0 && a->scale > 0.0f &&
                a->levels.window >= 1 && sx_aligned16(a->q, a->q_stride, 2) &&
                sx_aligned16(a->k, a->kv_stride, 2) && sx_aligned16(a->v, a->kv_stride, 2) &&
                sx_aligned16(a->o, 0, 1);
    if (!fits)
        sx_cuda_failed(stream, operation, cudaErrorInvalidValue);
    else if (stream->plain)
        sx_attention_plain(stream, operation, a);
    else
        sx_attention_hopper(stream, operation, a);
}

extern "C" SX_DECL_SPARSE_ATTENTION(sx_sparse_attention_cuda)
{
    attention a = {};
    int64_t n_keys = shape->start + shape->n;
    int stride = shape->stride;

    if (!sx_cuda_begin(stream) || shape->n < 1)
        return;
    if (n_keys > INT32_MAX - 4 * TILE_ROWS || shape->k < 0 || shape->k > SX_BLOCKS_MAX ||
        stride < 0 || (stride && stride % SX_BLOCK && SX_BLOCK % stride) ||
        (stride && shape->landmarks)) {
        sx_cuda_failed(stream, "sparse_attention", cudaErrorInvalidValue);
        return;
    }
    a.o = (sx_bf16 *)o;
    a.lse = lse;
    a.q = (const sx_bf16 *)q;
    a.k = (const sx_bf16 *)k;
    a.v = (const sx_bf16 *)v;
    a.q_stride = q_stride;
    a.kv_stride = kv_stride;
    if (stride) {
        a.far_k = a.k;
        a.far_v = a.v;
        a.far_stride = (int64_t)stride * kv_stride;
        a.n_far_keys = (int)((n_keys + stride - 1) / stride);
    } else if (shape->landmarks && n_keys >= SX_BLOCK) {
        a.far_k = (const sx_bf16 *)mean_k;
        a.far_v = (const sx_bf16 *)mean_v;
        a.far_stride = (int64_t)shape->kv_heads * shape->d;
        a.n_far_keys = (int)(n_keys / SX_BLOCK);
    }
    a.n = shape->n;
    a.n_keys = (int)n_keys;
    a.heads = shape->heads;
    a.kv_heads = shape->kv_heads;
    a.d = shape->d;
    a.start = (int)shape->start;
    a.scale = shape->scale;
    a.levels.window = shape->window;
    a.levels.dense = shape->dense;
    a.levels.own_block = true;
    a.levels.stride = stride;
    a.levels.landmarks = shape->landmarks;
    a.levels.k = shape->k;
    for (int i = 0; i < 3; i++)
        a.levels.bias[i] = log2f(shape->gate[i]);
    a.selection = selection;
    a.selection_stride = selection_stride;
    a.n_tiles = (int)((n_keys - 1) / TILE_ROWS - shape->start / TILE_ROWS + 1);
    sx_attention(stream, "sparse_attention", &a);
}
