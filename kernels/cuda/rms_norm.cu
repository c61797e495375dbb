/* rms_norm.cu: normalised rows, of x as they come or of a table by ids (the embedding): one pass
 * over memory, a row held in registers between its sum and its scaling. */
#include "kernels/cuda/cuda.h"

namespace
{
constexpr int THREADS = 256;

/* A team of `lanes` threads, a warp or the whole block, has one row at a time, `vectors` of 8
 * numbers a thread: d <= 8 * lanes * vectors, d % 8 == 0, everything aligned to 16. ids: the row of
 * x for each row of y, or NULL for the same row. */
template <int lanes, int vectors>
__global__ void __launch_bounds__(THREADS)
    rms_norm_rows(sx_bf16 *y, const sx_bf16 *x, const int32_t *ids, const float *weight, int n,
                  int d, float eps)
{
    const int lane = threadIdx.x % lanes, team = threadIdx.x / lanes, teams = THREADS / lanes;

    for (int64_t first = (int64_t)blockIdx.x * teams; first < n;
         first += (int64_t)gridDim.x * teams) {
        int64_t i = first + team;
        bool mine = i < n; /* the last round of a block may have idle teams */
        const sx_bf16 *in = x + (mine ? (ids ? (int64_t)ids[i] : i) * d : 0);
        uint4 v[vectors];
        float sum = 0.0f;

#pragma unroll
        for (int k = 0; k < vectors; k++) {
            int j = 8 * (lane + k * lanes);
            v[k] = mine && j < d ? sx_load16_once(in + j) : make_uint4(0, 0, 0, 0);
        }
#pragma unroll
        for (int k = 0; k < vectors; k++) {
            float a[8];
            sx_unpack8(a, v[k]);
#pragma unroll
            for (int e = 0; e < 8; e++)
                sum += a[e] * a[e];
        }
        sum = lanes == THREADS ? sx_block_sum<THREADS>(sum) : sx_team_sum<32>(sum);
        float r = 1.0f / sqrtf(sum / (float)d + eps);
#pragma unroll
        for (int k = 0; k < vectors; k++) {
            int j = 8 * (lane + k * lanes);
            if (!mine || j >= d)
                continue;
            float a[8], w[8];
            sx_unpack8(a, v[k]);
            if (weight)
                sx_load8(w, weight + j);
#pragma unroll
            for (int e = 0; e < 8; e++)
                a[e] *= weight ? r * w[e] : r;
            sx_store8(y + i * d + j, a);
        }
    }
}

/* Any width, any alignment: a warp a row, number by number, twice. */
__global__ void __launch_bounds__(THREADS)
    rms_norm_any(sx_bf16 *y, const sx_bf16 *x, const int32_t *ids, const float *weight, int n,
                 int d, float eps)
{
    const int lane = threadIdx.x % 32, warps = THREADS / 32;

    for (int64_t i = (int64_t)blockIdx.x * warps + threadIdx.x / 32; i < n;
         i += (int64_t)gridDim.x * warps) {
        const sx_bf16 *in = x + (ids ? (int64_t)ids[i] : i) * d;
        float sum = 0.0f;
        for (int j = lane; j < d; j += 32)
            sum += sx_float(in[j]) * sx_float(in[j]);
        float r = 1.0f / sqrtf(sx_team_sum<32>(sum) / (float)d + eps);
        for (int j = lane; j < d; j += 32) /* y may be x: each lane writes what it alone reads */
            y[i * d + j] = __float2bfloat16_rn(sx_float(in[j]) * (weight ? r * weight[j] : r));
    }
}

void rms_norm(sx_stream *stream, void *out, const void *in, const int32_t *ids, const float *weight,
              int n, int d, float eps, const char *op)
{
    if (!sx_cuda_begin(stream) || n <= 0 || d <= 0)
        return;
    sx_bf16 *y = (sx_bf16 *)out;
    const sx_bf16 *x = (const sx_bf16 *)in;
    bool vectors = d <= 16384 && sx_aligned16(x, d, 2) && sx_aligned16(y, d, 2) &&
                   sx_aligned16(weight, 0, 4);
    unsigned warps = sx_cuda_grid(stream, n, THREADS / 32, 16);
    unsigned blocks = sx_cuda_grid(stream, n, 1, 16);

#define ROWS(lanes, vectors, grid)                                                                 \
    rms_norm_rows<lanes, vectors><<<grid, THREADS, 0, stream->cuda>>>(y, x, ids, weight, n, d, eps)
    if (!vectors)
        rms_norm_any<<<warps, THREADS, 0, stream->cuda>>>(y, x, ids, weight, n, d, eps);
    else if (d <= 256)
        ROWS(32, 1, warps);
    else if (d <= 512)
        ROWS(32, 2, warps);
    else if (d <= 1024)
        ROWS(32, 4, warps);
    else if (d <= 2048)
        ROWS(THREADS, 1, blocks);
    else if (d <= 4096)
        ROWS(THREADS, 2, blocks);
    else if (d <= 8192)
        ROWS(THREADS, 4, blocks);
    else
        ROWS(THREADS, 8, blocks);
#undef ROWS
    SX_LAUNCHED(stream, op);
}
} // namespace

extern "C" SX_DECL_RMS_NORM(sx_rms_norm_cuda)
{
    rms_norm(stream, y, x, NULL, weight, n, d, eps, "rms_norm");
}

extern "C" SX_DECL_EMBEDDING(sx_embedding_cuda)
{
    rms_norm(stream, y, table, ids, NULL, n, d, eps, "embedding");
}
