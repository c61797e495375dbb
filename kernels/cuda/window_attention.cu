/* window_attention.cu: causal attention inside a sliding window, over many segments at once. */
#include "kernels/cuda/attention.h"

namespace
{

enum { LISTERS = 1024 };

/* The tiles of all segments, in order; places behind the last hold x = -1. One block. */
__global__ void list_tiles(int2 *tiles, int n_tiles, const int32_t *segment_start, int n_segments)
{
    __shared__ int sums[LISTERS];
    int listed = 0;
    for (int base = 0; base < n_segments; base += LISTERS) {
        int s = base + (int)threadIdx.x, mine = 0;
        if (s < n_segments)
            mine = (segment_start[s + 1] - segment_start[s] + TILE_ROWS - 1) / TILE_ROWS;
        sums[threadIdx.x] = mine;
        __syncthreads();
        for (int step = 1; step < LISTERS; step *= 2) { /* running sums */
            int before = (int)threadIdx.x >= step ? sums[threadIdx.x - step] : 0;
            __syncthreads();
            sums[threadIdx.x] += before;
            __syncthreads();
        }
        int at = listed + sums[threadIdx.x] - mine;
        for (int t = 0; t < mine; t++)
            tiles[at + t] = make_int2(s, t);
        listed += sums[LISTERS - 1];
        __syncthreads();
    }
    for (int i = listed + (int)threadIdx.x; i < n_tiles; i += LISTERS)
        tiles[i] = make_int2(-1, 0);
}

} // namespace

extern "C" SX_DECL_WINDOW_ATTENTION(sx_window_attention_cuda)
{
    attention a = {};

    if (!sx_cuda_begin(stream) || n < 1 || n_segments < 1)
        return;
    a.o = (sx_bf16 *)o;
    a.q = (const sx_bf16 *)q;
    a.k = (const sx_bf16 *)k;
    a.v = (const sx_bf16 *)v;
    a.q_stride = a.kv_stride = stride;
    a.n = a.n_keys = n;
    a.heads = heads;
    a.kv_heads = kv_heads;
    a.d = d;
    a.scale = scale;
    a.levels.window = window;
    a.segment_start = segment_start;
    a.segment_tiles = (const int2 *)work;
    a.n_tiles = n / TILE_ROWS + n_segments; /* or fewer */
    list_tiles<<<1, LISTERS, 0, stream->cuda>>>((int2 *)work, a.n_tiles, segment_start, n_segments);
    if (!SX_LAUNCHED(stream, "window_attention"))
        sx_attention(stream, "window_attention", &a);
}
