/* gather_attention.cu: question tokens over their own tokens and their selected blocks.
 *
 * The operation reads every kept row once and does little with it, so memory must never wait. A
 * warp takes a token, one kv head and a part of the token's runs, and streams the rows straight
 * into operands of the tensor cores, 16 rows at a time, the next keys and values under way while it
 * works: S^T = K Q^T and O^T = V^T P^T, query heads of the group being the 8 (or 16) columns, under
 * a running softmax in base 2 (Milakov and Gimelshein 2018; Dao et al. 2022). The warps of a block
 * take the kv heads of the same rows, which lie one behind the other, so whole rows are read. Where
 * kv heads are few, warps of other runs join them. A second kernel joins the blocks of a token, and
 * only then is a run's share of the attention known: each run has one owner, who leaves its
 * log-sum-exp by head. */
#include "kernels/cuda/fragments.h"
#include "kernels/cuda/hopper.cuh"
#include "kernels/gather_attention.h"

#include <stdlib.h>

namespace
{

enum { WARPS = 4, THREADS = 32 * WARPS, OWN_ROWS = SX_GATHER_OWN };

struct gather_args {
    const sx_bf16 *q, *own_k, *own_v;
    const char *const *run;
    const int32_t *run_rows, *first_run;
    float *part;     /* [n, parts, heads, d] */
    float *part_lse; /* [n, parts, heads], base 2 */
    float *run_lse;  /* [n_runs, heads], base 2 */
    int64_t q_stride, own_stride;
    int n_before, heads, kv_heads, d, parts, shares;
    int kv_block; /* kv heads of a block of threads */
    float scale;  /* scale * log2(e) */
};

__device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

/* Rows become columns: lane (g, t) gives the pair at row g, columns 2t, 2t + 1 of an 8 x 8 matrix
 * and gets the pair at rows 2t, 2t + 1, column g. */
__device__ __forceinline__ unsigned turned(unsigned pair)
{
    unsigned to;
    asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(to) : "r"(pair));
    return to;
}

/* One warp's part of a token and a kv head. Columns c of heads: 8 c + 2t, 8 c + 2t + 1. */
template <int width, int columns> struct attention {
    unsigned q[columns][width / 32][4];     /* pairs of query head 8 c + g, chunk j */
    float o[columns][width / 16][4];        /* numbers of head 2t, 2t + 1 (see add_values) */
    float top[columns][2];                  /* running maximum */
    float sum[columns][2], run[columns][2]; /* of this lane's rows g, g + 8: all, this run's */
};

/* 16 rows of keys, of values. Keys: rows g and g + 8. Values: rows 2t, 2t + 1, 2t + 8, 2t + 9. */
template <int format, int width> struct row_tile {
    sx_eight<format> key[2][width / 32], value[4][width / 64];
    float key_scale[2], value_scale[2]; /* of rows g, g + 8 */
};

/* Where a run's rows lie and what of a row is this kv head's, in bytes. */
struct row_shape {
    int64_t stride, key, value, key_scale, value_scale;
    int d;
};

template <int format, int width>
__device__ __forceinline__ void load_keys(row_tile<format, width> &x, const char *rows, int left,
                                          const row_shape &shape)
{
    constexpr int size = format == SX_BF16 ? 2 : 1;
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int half = 0; half < 2; half++) {
        const int row = g + 8 * half < left ? g + 8 * half : left - 1; /* behind: the last again */
        const char *at = rows + row * shape.stride;
#pragma unroll
        for (int j = 0; j < width / 32; j++)
            sx_load_eight<format>(x.key[half][j], at + shape.key + (32 * j + 8 * t) * size,
                                  32 * j + 8 * t < shape.d);
        if (format != SX_BF16) {
            x.key_scale[half] = *(const float *)(at + shape.key_scale);
            x.value_scale[half] = *(const float *)(at + shape.value_scale);
        }
    }
}

template <int format, int width>
__device__ __forceinline__ void load_values(row_tile<format, width> &x, const char *rows, int left,
                                            const row_shape &shape)
{
    constexpr int size = format == SX_BF16 ? 2 : 1;
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
#pragma unroll
    for (int i = 0; i < 4; i++) {
        const int wanted = 2 * t + i % 2 + i / 2 * 8, row = wanted < left ? wanted : left - 1;
        const char *at = rows + row * shape.stride + shape.value;
#pragma unroll
        for (int c = 0; c < width / 64; c++)
            sx_load_eight<format>(x.value[i][c], at + (64 * c + 8 * g) * size,
                                  64 * c + 8 * g < shape.d);
    }
}

/* s[c]: rows g (0, 1) and g + 8 (2, 3), heads 2t and 2t + 1. */
template <int format, int width, int columns>
__device__ __forceinline__ void score_keys(float (&s)[columns][4],
                                           const attention<width, columns> &a,
                                           const row_tile<format, width> &x)
{
#pragma unroll
    for (int c = 0; c < columns; c++)
#pragma unroll
        for (int e = 0; e < 4; e++)
            s[c][e] = 0.0f;
#pragma unroll
    for (int j = 0; j < width / 32; j++) {
        unsigned low[4], high[4];
        sx_pairs(low, x.key[0][j]);
        sx_pairs(high, x.key[1][j]);
#pragma unroll
        for (int c = 0; c < columns; c++)
            sx_mma_chunk(s[c], low, high, a.q[c][j]);
    }
}

/* Scores -> weights under the new running maximum; p[c]: the pairs of rows 2t, 2t + 1 and 2t + 8,
 * 2t + 9 of head g, times the values' scales. */
template <int format, int width, int columns>
__device__ __forceinline__ void
weigh(unsigned (&p)[columns][2], float (&s)[columns][4], attention<width, columns> &a, float scale,
      const float (&key_scale)[2], const float (&value_scale)[2], int left)
{
    const int g = threadIdx.x % 32 / 4;
#pragma unroll
    for (int c = 0; c < columns; c++) {
#pragma unroll
        for (int e = 0; e < 4; e++) {
            s[c][e] *= format == SX_BF16 ? scale : scale * key_scale[e / 2];
            if (g + e / 2 * 8 >= left)
                s[c][e] = -INFINITY;
        }
#pragma unroll
        for (int e = 0; e < 2; e++) { /* head 2t + e */
            float top = fmaxf(s[c][e], s[c][2 + e]);
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 4));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 8));
            top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, 16));
            top = fmaxf(top, a.top[c][e]);
            const float shrink = exp2_fast(a.top[c][e] - top);
            a.top[c][e] = top;
            s[c][e] = exp2_fast(s[c][e] - top);
            s[c][2 + e] = exp2_fast(s[c][2 + e] - top);
            const float added = s[c][e] + s[c][2 + e];
            a.sum[c][e] = a.sum[c][e] * shrink + added;
            a.run[c][e] = a.run[c][e] * shrink + added;
#pragma unroll
            for (int m = 0; m < width / 16; m++) {
                a.o[c][m][e] *= shrink;
                a.o[c][m][2 + e] *= shrink;
            }
        }
        if (format != SX_BF16) {
            s[c][0] *= value_scale[0], s[c][1] *= value_scale[0];
            s[c][2] *= value_scale[1], s[c][3] *= value_scale[1];
        }
        p[c][0] = turned(sx_pair(s[c][0], s[c][1]));
        p[c][1] = turned(sx_pair(s[c][2], s[c][3]));
    }
}

/* o += V^T P^T. Product m = 4 c + i takes as its 16 rows the numbers 64 c + 8g + 2i (rows g) and
 * 64 c + 8g + 2i + 1 (rows g + 8) of the values. */
template <int format, int width, int columns>
__device__ __forceinline__ void add_values(attention<width, columns> &a,
                                           const row_tile<format, width> &x,
                                           const unsigned (&p)[columns][2])
{
#pragma unroll
    for (int c = 0; c < width / 64; c++) {
        unsigned v[4][4]; /* rows 2t, 2t + 1, 2t + 8, 2t + 9; pairs of numbers */
#pragma unroll
        for (int i = 0; i < 4; i++)
            sx_pairs(v[i], x.value[i][c]);
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const unsigned a0 = __byte_perm(v[0][i], v[1][i], 0x5410);
            const unsigned a1 = __byte_perm(v[0][i], v[1][i], 0x7632);
            const unsigned a2 = __byte_perm(v[2][i], v[3][i], 0x5410);
            const unsigned a3 = __byte_perm(v[2][i], v[3][i], 0x7632);
#pragma unroll
            for (int h = 0; h < columns; h++)
                sx_mma(a.o[h][4 * c + i], a0, a1, a2, a3, p[h][0], p[h][1]);
        }
    }
}

__device__ __forceinline__ float sum_over_rows(float x) /* of lanes with the same t */
{
    x += __shfl_xor_sync(0xffffffffu, x, 4);
    x += __shfl_xor_sync(0xffffffffu, x, 8);
    return x + __shfl_xor_sync(0xffffffffu, x, 16);
}

/* Runs first .. end, whose places and lengths are in memory, or the one run of `rows` rows at
 * `place` if run_lse is NULL. run_lse: [.., heads] of the first head of the group. */
template <int format, int width, int columns>
__device__ __forceinline__ void attend(attention<width, columns> &a, const row_shape &shape,
                                       float scale, int first, int end, const char *const *run,
                                       const int32_t *run_rows, const char *place, int rows,
                                       float *run_lse, int heads, int group)
{
    const int lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;

    auto fetch = [&](int r) { /* lane i: run first + 32 m + i, fetched together */
                              if (run_lse && (r - first) % 32 == 0 && r + lane < end) {
                                  place = run[r + lane];
                                  rows = run_rows[r + lane];
                              }
    };
    auto place_of = [&](int r) {
        const int from = run_lse ? (r - first) % 32 : lane;
        return (const char *)__shfl_sync(0xffffffffu, (unsigned long long)place, from);
    };
    auto rows_of = [&](int r) {
        return __shfl_sync(0xffffffffu, rows, run_lse ? (r - first) % 32 : lane);
    };
    auto leave = [&](int r) { /* the run's log-sum-exp */
#pragma unroll
                              for (int c = 0; c < columns; c++)
#pragma unroll
                                  for (int e = 0; e < 2; e++) {
                                      const float sum = sum_over_rows(a.run[c][e]);
                                      const int head = 8 * c + 2 * t + e;
                                      if (run_lse && g == 0 && head < group)
                                          run_lse[(int64_t)r * heads + head] = sum > 0.0f
                                                                                   ? a.top[c][e] +
                                                                                         log2f(sum)
                                                                                   : -INFINITY;
                                      a.run[c][e] = 0.0f;
                                  }
    };
    auto skip_empty = [&](int r) { /* to the next run with rows */
                                   for (; r < end; r++) {
                                       fetch(r);
                                       if (rows_of(r) > 0)
                                           break;
                                       leave(r); /* nothing was added since the last */
                                   }
                                   return r;
    };

    row_tile<format, width> x;
    const char *at;
    int left;
    auto start = [&](int r) { /* with its first keys */
                              at = place_of(r);
                              left = rows_of(r);
                              load_keys(x, at, left, shape);
    };

    int r = skip_empty(first);
    if (r >= end)
        return;
    start(r);
    load_values(x, at, left, shape);
    while (r < end) {
        unsigned p[columns][2];
        float s[columns][4];
        const float key_scale[2] = {x.key_scale[0], x.key_scale[1]};
        const float value_scale[2] = {x.value_scale[0], x.value_scale[1]};

        score_keys(s, a, x);
        const bool last = left <= 16; /* of this run */
        const int n = left;
        if (!last) {
            at += 16 * shape.stride;
            left -= 16;
            load_keys(x, at, left, shape);
        } else if (r + 1 < end) {
            fetch(r + 1);
            left = rows_of(r + 1);
            if (left > 0) /* the common case: no wait between two runs */
                start(r + 1);
        } else {
            left = 0;
        }
        weigh<format>(p, s, a, scale, key_scale, value_scale, n);
        add_values(a, x, p);
        if (left > 0)
            load_values(x, at, left, shape);
        if (last) {
            leave(r++);
            if (r < end && left <= 0) {
                r = skip_empty(r);
                if (r < end) {
                    start(r);
                    load_values(x, at, left, shape);
                }
            }
        }
    }
}

/* Block (token, part; kv heads): a warp for each of kv_block kv heads and each of `together` shares
 * of the token's runs. */
template <int format, int width, int columns>
__global__ void __launch_bounds__(THREADS, columns == 1 ? 3 : 2) gather(const gather_args a)
{
    __shared__ float top[WARPS][8 * columns], sum[WARPS][8 * columns];
    __shared__ float joined[WARPS][8 * columns][width]; /* of a kv head of the block's */
    const int warps = blockDim.x / 32, warp = threadIdx.x / 32, lane = threadIdx.x % 32;
    const int g = lane / 4, t = lane % 4, turn = warp / a.kv_block, local = warp % a.kv_block;
    const int token = blockIdx.x / a.parts, part = blockIdx.x % a.parts;
    const int together = warps / a.kv_block, kv = blockIdx.y * a.kv_block + local;
    const int group = a.heads / a.kv_heads, head0 = kv * group;
    const int n_own = a.n_before + token + 1, own = (n_own + OWN_ROWS - 1) / OWN_ROWS;
    const int first_run = a.first_run[token], units = own + a.first_run[token + 1] - first_run;
    int share = part * together + turn;
    share = share < a.shares ? share : a.shares;
    const int from = (int)((int64_t)units * share / a.shares);
    const int to = share < a.shares ? (int)((int64_t)units * (share + 1) / a.shares) : from;
    attention<width, columns> x;

#pragma unroll
    for (int c = 0; c < columns; c++) {
#pragma unroll
        for (int j = 0; j < width / 32; j++) {
            const bool real = 8 * c + g < group && 32 * j + 8 * t < a.d;
            const uint4 v = real ? sx_load16(a.q + token * a.q_stride +
                                             (int64_t)(head0 + 8 * c + g) * a.d + 32 * j + 8 * t)
                                 : make_uint4(0, 0, 0, 0);
            x.q[c][j][0] = v.x, x.q[c][j][1] = v.y, x.q[c][j][2] = v.z, x.q[c][j][3] = v.w;
        }
#pragma unroll
        for (int m = 0; m < width / 16; m++)
#pragma unroll
            for (int e = 0; e < 4; e++)
                x.o[c][m][e] = 0.0f;
#pragma unroll
        for (int e = 0; e < 2; e++) {
            x.top[c][e] = -INFINITY;
            x.sum[c][e] = x.run[c][e] = 0.0f;
        }
    }
    if (from < own && from < to) { /* its own causal tokens */
        const int row = from * OWN_ROWS, end = (to < own ? to : own) * OWN_ROWS;
        row_shape shape = {};
        shape.stride = a.own_stride * 2;
        shape.key = (int64_t)kv * a.d * 2;
        shape.value = shape.key + ((const char *)a.own_v - (const char *)a.own_k);
        shape.d = a.d;
        attend<SX_BF16>(x, shape, a.scale, 0, 1, nullptr, nullptr,
                        (const char *)(a.own_k + row * a.own_stride),
                        (end < n_own ? end : n_own) - row, nullptr, a.heads, group);
    }
    if (to > own) { /* the tokens of the selected blocks */
        constexpr int size = format == SX_BF16 ? 2 : 1;
        const int64_t numbers = (int64_t)a.kv_heads * a.d;
        row_shape shape;
        shape.stride = 2 * numbers * size + (size == 1 ? 8 * a.kv_heads : 0);
        shape.key = (int64_t)kv * a.d * size;
        shape.value = shape.key + numbers * size;
        shape.key_scale = 2 * numbers + kv * 4;
        shape.value_scale = shape.key_scale + a.kv_heads * 4;
        shape.d = a.d;
        attend<format>(x, shape, a.scale, first_run + (from > own ? from - own : 0),
                       first_run + to - own, a.run, a.run_rows, nullptr, 0, a.run_lse + head0,
                       a.heads, group);
    }

    /* the shares of the block, in their order */
#ifdef SX_SM90A
    launch_dependents();
#endif
#pragma unroll
    for (int c = 0; c < columns; c++)
#pragma unroll
        for (int e = 0; e < 2; e++) {
            const float all = sum_over_rows(x.sum[c][e]);
            if (g == 0) {
                top[warp][8 * c + 2 * t + e] = x.top[c][e];
                sum[warp][8 * c + 2 * t + e] = all;
            }
        }
    __syncthreads();
    for (int s = 0; s < together; s++) {
        if (s == turn)
#pragma unroll
            for (int c = 0; c < columns; c++)
#pragma unroll
                for (int e = 0; e < 2; e++) {
                    const int head = 8 * c + 2 * t + e;
                    float most = top[local][head];
                    for (int w = local; w < warps; w += a.kv_block)
                        most = fmaxf(most, top[w][head]);
                    const float weight = x.top[c][e] > -INFINITY ? exp2_fast(x.top[c][e] - most)
                                                                 : 0.0f;
#pragma unroll
                    for (int m = 0; m < width / 16; m++) {
                        const int column = 64 * (m / 4) + 8 * g + 2 * (m % 4);
                        float *to0 = &joined[local][head][column], *to1 = to0 + 1;
                        *to0 = (s ? *to0 : 0.0f) + x.o[c][m][e] * weight;
                        *to1 = (s ? *to1 : 0.0f) + x.o[c][m][2 + e] * weight;
                    }
                }
        __syncthreads();
    }
    const int64_t row0 = ((int64_t)token * a.parts + part) * a.heads + head0 - local * group;
    for (int i = warp; i < a.kv_block * group; i += warps) {
        const int of = i / group, head = i % group;
        float most = top[of][head], all = 0.0f;
        for (int w = of; w < warps; w += a.kv_block)
            most = fmaxf(most, top[w][head]);
        for (int w = of; w < warps; w += a.kv_block)
            all += top[w][head] > -INFINITY ? sum[w][head] * exp2_fast(top[w][head] - most) : 0.0f;
        if (lane == 0)
            a.part_lse[row0 + i] = all > 0.0f ? most + log2f(all) : -INFINITY;
        for (int j = lane; j < a.d; j += 32)
            a.part[(row0 + i) * a.d + j] = all > 0.0f ? joined[of][head][j] / all : 0.0f;
    }
}

/* use(x) for x[p * stride], p < n, in their order; eight are under way at once. */
template <class use_fn>
__device__ __forceinline__ void each_part(const float *x, int n, int64_t stride, use_fn use)
{
    for (int p = 0; p < n; p += 8) {
        float here[8];
#pragma unroll
        for (int i = 0; i < 8; i++)
            here[i] = p + i < n ? x[(p + i) * stride] : 0.0f;
#pragma unroll
        for (int i = 0; i < 8; i++)
            if (p + i < n)
                use(here[i]);
    }
}

/* log2 of the sum over parts of a token and head. */
__device__ __forceinline__ float total_lse(const float *part_lse, int parts, int heads)
{
    float most = -INFINITY, sum = 0.0f;
    each_part(part_lse, parts, heads, [&](float lse) { most = fmaxf(most, lse); });
    const float zero = most > -INFINITY ? most : 0.0f;
    each_part(part_lse, parts, heads, [&](float lse) { sum += exp2f(lse - zero); });
    return sum > 0.0f ? most + log2f(sum) : -INFINITY;
}

/* Block (head or part of the runs; token): a row of o, or the shares of runs. */
__global__ void __launch_bounds__(128, 8) /* registers for the parts under way */
    join(sx_bf16 *o, float *mass, const float *part, const float *part_lse, const float *run_lse,
         const int32_t *first_run, int parts, int heads, int d)
{
    extern __shared__ float total[]; /* [heads] */
#ifdef SX_SM90A
    wait_for_launching();
#endif
    const int64_t token = blockIdx.y;
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;

    part_lse += token * parts * heads;
    if ((int)blockIdx.x < heads) {
        const int head = blockIdx.x;
        const float all = total_lse(part_lse + head, parts, heads);
        part += (token * parts * heads + head) * d;
        for (int j = threadIdx.x; j < d; j += 128) {
            float x = 0.0f;
            const float *lse = part_lse + head;
            each_part(part + j, parts, (int64_t)heads * d, [&](float of_part) {
                x += exp2f(*lse - all) * of_part;
                lse += heads;
            });
            o[(token * heads + head) * d + j] = __float2bfloat16(x);
        }
        return;
    }
    const int first = first_run[token], end = first_run[token + 1];
    const int walkers = ((int)gridDim.x - heads) * 4;
    if (first + ((int)blockIdx.x - heads) * 4 >= end)
        return;
    for (int h = threadIdx.x; h < heads; h += 128)
        total[h] = total_lse(part_lse + h, parts, heads);
    __syncthreads();
    for (int r = first + ((int)blockIdx.x - heads) * 4 + warp; r < end; r += walkers) {
        float sum = 0.0f;
        for (int h = lane; h < heads; h += 32) {
            const float lse = run_lse[(int64_t)r * heads + h];
            sum += lse > -INFINITY ? exp2f(lse - total[h]) : 0.0f;
        }
        sum = sx_team_sum(sum);
        if (lane == 0)
            mass[r] = sum / (float)heads;
    }
}

typedef void (*gather_fn)(gather_args);

template <int format> gather_fn gather_for(bool wide, bool many)
{
    return wide   ? many ? gather<format, 128, 2> : gather<format, 128, 1>
             : many ? gather<format, 64, 2>
                  : gather<format, 64, 1>;
}

/* Into how many parts the runs of a token are cut: the fewest that finish first, when the blocks go
 * over the multiprocessors three at a time and a share takes as long as it has runs. blocks: of a
 * part, each with `together` shares. */
int part_count(const sx_stream *stream, int64_t blocks, int units, int most, int together)
{
    const int64_t room = 3 * (int64_t)stream->multiprocessors;
    int best = 1;
    int64_t least = INT64_MAX;
    for (int parts = 1; parts <= most && (parts - 1) * together < units; parts++) {
        const int64_t waves = (parts * blocks + room - 1) / room;
        const int64_t length = waves * ((units + parts * together - 1) / (parts * together));
        if (length < least) {
            least = length;
            best = parts;
        }
    }
    return best;
}

} // namespace

extern "C" SX_DECL_GATHER_ATTENTION(sx_gather_attention_cuda)
{
    static const char op[] = "gather_attention";
    if (!sx_cuda_begin(stream) || n < 1)
        return;
    const int group = kv_heads > 0 ? heads / kv_heads : 0;
    if (d < 16 || d > 128 || d % 16 || group < 1 || group > 16 || heads != group * kv_heads ||
        n > 65535 || kv_heads > 65535 || format == SX_F32 || !sx_aligned16(q, q_stride, 2) ||
        !sx_aligned16(own_k, own_stride, 2) || !sx_aligned16(own_v, own_stride, 2)) {
        sx_cuda_failed(stream, op, cudaErrorInvalidValue);
        return;
    }
    gather_args a = {};
    const int most = sx_gather_parts(n, n_runs, (int64_t)n_before + n),
              mean_runs = (n_runs + n - 1) / n;
    const int units = mean_runs + (n_before + n + OWN_ROWS - 1) / OWN_ROWS;
    /* whole rows to a block, if it has warps for all their kv heads, or for a half, a third */
    for (a.kv_block = WARPS; kv_heads % a.kv_block;)
        a.kv_block--;
    const int together = WARPS / a.kv_block, blocks = kv_heads / a.kv_block;
    a.shares = stream->force_splits > 0
                   ? stream->force_splits
                   : together * part_count(stream, (int64_t)n * blocks, units, most, together);
    a.shares = a.shares < most * together ? a.shares : most * together;
    a.parts = (a.shares + together - 1) / together;
    a.q = (const sx_bf16 *)q;
    a.own_k = (const sx_bf16 *)own_k;
    a.own_v = (const sx_bf16 *)own_v;
    a.run = (const char *const *)run;
    a.run_rows = run_rows;
    a.first_run = first_run;
    a.part = (float *)work;
    a.part_lse = a.part + (int64_t)n * a.parts * heads * d;
    a.run_lse = a.part_lse + (int64_t)n * a.parts * heads;
    a.q_stride = q_stride, a.own_stride = own_stride;
    a.n_before = n_before, a.heads = heads, a.kv_heads = kv_heads, a.d = d;
    a.scale = scale * 1.44269504f;

    const bool wide = d > 64, many = group > 8;
    const gather_fn kernel = format == SX_BF16 ? gather_for<SX_BF16>(wide, many)
                             : format == SX_I8 ? gather_for<SX_I8>(wide, many)
                                               : gather_for<SX_F8>(wide, many);
    kernel<<<dim3((unsigned)(n * a.parts), (unsigned)blocks), 32 * a.kv_block * together, 0,
             stream->cuda>>>(a);
    if (SX_LAUNCHED(stream, op))
        return;
    int walkers = (mean_runs + 3) / 4;
    walkers = walkers < 1 ? 1 : walkers > 64 ? 64 : walkers;
    cudaLaunchAttribute early = {};
    early.id = cudaLaunchAttributeProgrammaticStreamSerialization;
    early.val.programmaticStreamSerializationAllowed = 1;
    cudaLaunchConfig_t how = {};
    how.gridDim = dim3((unsigned)(heads + walkers), (unsigned)n);
    how.blockDim = 128;
    how.dynamicSmemBytes = (size_t)heads * sizeof(float);
    how.stream = stream->cuda;
    how.attrs = &early;
    how.numAttrs = stream->plain ? 0 : 1;
    cudaLaunchKernelEx(&how, join, (sx_bf16 *)o, mass, (const float *)a.part,
                       (const float *)a.part_lse, (const float *)a.run_lse, first_run, a.parts,
                       heads, d);
    SX_LAUNCHED(stream, op);
}
