/* sparse_select.cu: which blocks of a long sequence each query block attends to. */
#include "kernels/cuda/select.h"

extern "C" SX_DECL_SPARSE_SELECT(sx_sparse_select_cuda)
{
    selecting a = {};
    bool mean = shape->score == SX_SCORE_MEAN;

    if (!sx_cuda_begin(stream) || shape->n < 1 || shape->k < 1)
        return;
    a.q = (const sx_bf16 *)q;
    a.rows = (const sx_bf16 *)(mean ? mean_k : k);
    a.q_stride = q_stride;
    a.pitch = mean ? (int64_t)shape->kv_heads * shape->d : (int64_t)SX_ANTIDIAGONAL * kv_stride;
    a.t_pitch = kv_stride;
    a.rounds = mean ? 1 : SX_ANTIDIAGONAL;
    a.rows_a_block = mean ? 1 : SX_BLOCK / SX_ANTIDIAGONAL;
    a.heads = shape->heads;
    a.kv_heads = shape->kv_heads;
    a.group = shape->heads / shape->kv_heads;
    for (a.lanes = 8; a.lanes < a.group;)
        a.lanes *= 2;
    a.n_rows = (int)((shape->start + shape->n) / (mean ? SX_BLOCK : SX_ANTIDIAGONAL));
    a.d = shape->d;
    a.start = shape->start;
    a.first = (int)((shape->start + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK);
    a.n = (int)((shape->start + shape->n + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK) - a.first;
    a.window = shape->window;
    a.dense = shape->dense;
    a.k = shape->k;
    a.sink = shape->sink;
    a.scale = mean ? shape->scale : shape->scale / SX_ANTIDIAGONAL;
    a.selection = selection;
    a.selection_stride = selection_stride;
    if (a.n < 1)
        return;
    if (shape->k > SX_BLOCKS_MAX || shape->start + shape->n > INT32_MAX - 4 * TILE_ROWS ||
        (shape->d != 64 && shape->d != 128) || a.group > 64 || shape->window < 1 ||
        !sx_aligned16(q, q_stride, 2) || !sx_aligned16(a.rows, mean ? 0 : kv_stride, 2)) {
        sx_cuda_failed(stream, "sparse_select", cudaErrorInvalidValue);
        return;
    }
    if (stream->plain || a.lanes > 8)
        sx_select_plain(stream, &a);
    else
        sx_select_hopper(stream, &a);
}
