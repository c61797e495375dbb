/* softcap.cu: logits squeezed into (-cap, cap), and the largest of them. */
#include "kernels/cuda/cuda.h"

#include <math.h>

namespace
{
constexpr int THREADS = 256;

__device__ __forceinline__ float squeezed(float x, float cap)
{
    return cap * tanhf(x / cap);
}

/* The middle of x in fours; `head` numbers before the first aligned four, the rest behind them. */
__global__ void __launch_bounds__(THREADS) softcap(float *x, int n, int head, float cap)
{
    const int64_t step = (int64_t)gridDim.x * THREADS;
    const int64_t first = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    const int fours = (n - head) / 4, tail = head + 4 * fours;
    float4 *middle = (float4 *)(x + head);

    for (int64_t i = first; i < fours; i += step) {
        float4 v = middle[i];
        middle[i] = make_float4(squeezed(v.x, cap), squeezed(v.y, cap), squeezed(v.z, cap),
                                squeezed(v.w, cap));
    }
    if (first < head)
        x[first] = squeezed(x[first], cap);
    if (first < n - tail)
        x[tail + first] = squeezed(x[tail + first], cap);
}

/* The better of two (value, place): places below 0 are none, NaN never gets here. */
__device__ __forceinline__ void keep_better(float &value, int &place, float other, int at)
{
    if (at >= 0 && (place < 0 || other > value || (other == value && at < place))) {
        value = other;
        place = at;
    }
}

/* The best of a block's (value, place) to thread 0. */
__device__ __forceinline__ void block_best(float &value, int &place)
{
    __shared__ float values[THREADS / 32];
    __shared__ int places[THREADS / 32];

#pragma unroll
    for (int step = 16; step > 0; step /= 2) {
        float other = __shfl_xor_sync(0xffffffffu, value, step);
        int at = __shfl_xor_sync(0xffffffffu, place, step);
        keep_better(value, place, other, at);
    }
    if (threadIdx.x % 32 == 0) {
        values[threadIdx.x / 32] = value;
        places[threadIdx.x / 32] = place;
    }
    __syncthreads();
    if (threadIdx.x == 0)
        for (int w = 1; w < THREADS / 32; w++)
            keep_better(value, place, values[w], places[w]);
}

struct best_part {
    float value;
    int place;
};
constexpr int MOST_PARTS = 1024; /* of one launch: parts and counters fit in the scratch */
static_assert(MOST_PARTS * (sizeof(best_part) + sizeof(unsigned)) <= SX_SCRATCH, "scratch");

/* Block (p, i) looks at part p of row i; the last block of a row to end joins its parts. scratch:
 * parts of all rows, then a counter a row. One part: no scratch. */
__global__ void __launch_bounds__(THREADS)
    softcap_argmax(int32_t *best, float *result, const float *x, int d, float cap, void *scratch)
{
    const int parts = gridDim.y, i = blockIdx.x, p = blockIdx.y;
    const float *row = x + (int64_t)i * d;
    /* in fours from the row's first aligned place; what is left over belongs to the first part */
    int head = (int)((16 - (uintptr_t)row % 16) % 16 / 4);
    head = head < d ? head : d;
    const int fours = (d - head) / 4, tail = head + 4 * fours;
    const int from = (int)((int64_t)fours * p / parts),
              to = (int)((int64_t)fours * (p + 1) / parts);
    const float4 *middle = (const float4 *)(row + head);
    float value = 0.0f;
    int place = -1;

    /* a thread's places ascend, so a later one must be larger */
    auto look = [&](float v, int at) {
        if (v > value || (place < 0 && v == v)) {
            value = v;
            place = at;
        }
    };
    int j = from + threadIdx.x;
    for (; j + 3 * THREADS < to; j += 4 * THREADS) {
        float4 v[4];
#pragma unroll
        for (int u = 0; u < 4; u++)
            v[u] = middle[j + u * THREADS];
#pragma unroll
        for (int u = 0; u < 4; u++) {
            int at = head + 4 * (j + u * THREADS);
            look(v[u].x, at);
            look(v[u].y, at + 1);
            look(v[u].z, at + 2);
            look(v[u].w, at + 3);
        }
    }
    for (; j < to; j += THREADS) {
        float4 v = middle[j];
        int at = head + 4 * j;
        look(v.x, at);
        look(v.y, at + 1);
        look(v.z, at + 2);
        look(v.w, at + 3);
    }
    if (p == 0) { /* at most three before and three behind, out of order: compared with ties */
        int at = threadIdx.x < head ? threadIdx.x : tail + threadIdx.x - head;
        if (threadIdx.x < head + d - tail && row[at] == row[at])
            keep_better(value, place, row[at], at);
    }
    block_best(value, place);

    if (threadIdx.x)
        return;
    if (parts > 1) {
        best_part *all = (best_part *)scratch + (int64_t)i * parts;
        unsigned *count = (unsigned *)((best_part *)scratch + MOST_PARTS) + i;
        all[p].value = value;
        all[p].place = place;
        __threadfence(); /* the part is there before it is counted */
        if (atomicAdd(count, 1) != (unsigned)parts - 1)
            return;
        __threadfence();
        value = 0.0f;
        place = -1;
        for (int o = 0; o < parts; o++) {
            keep_better(value, place, __ldcg(&all[o].value), __ldcg(&all[o].place));
            all[o].value = 0.0f;
            all[o].place = 0;
        }
        *count = 0;
    }
    best[i] = place;
    result[i] = place < 0 ? NAN : squeezed(value, cap);
}
} // namespace

extern "C" SX_DECL_SOFTCAP(sx_softcap_cuda)
{
    if (!sx_cuda_begin(stream) || n <= 0)
        return;
    int head = (int)((16 - (uintptr_t)x % 16) % 16 / 4);
    softcap<<<sx_cuda_grid(stream, n, 4 * THREADS, 16), THREADS, 0, stream->cuda>>>(
        x, n, head < n ? head : n, cap);
    SX_LAUNCHED(stream, "softcap");
}

extern "C" SX_DECL_SOFTCAP_ARGMAX(sx_softcap_argmax_cuda)
{
    if (!sx_cuda_begin(stream) || n <= 0)
        return;
    /* a long row is read by several multiprocessors when there are few rows */
    int parts = d / (16 * THREADS), most = 2 * stream->multiprocessors / n;
    most = most < MOST_PARTS / n ? most : MOST_PARTS / n;
    parts = parts < most ? parts : most;
    softcap_argmax<<<dim3((unsigned)n, parts > 1 ? (unsigned)parts : 1), THREADS, 0,
                     stream->cuda>>>(best, value, x, d, cap, stream->scratch);
    SX_LAUNCHED(stream, "softcap_argmax");
}
