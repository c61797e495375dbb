/* topk_merge.cu: keep the k best blocks while their scores stream by: one thread block, for scores
 * that are there already; landmark_topk.cu is the one for millions. */
#include "kernels/cuda/cuda.h"

namespace
{
constexpr int THREADS = 1024, LOADS = 4, AT_ONCE = THREADS * LOADS;
constexpr int CAPACITY = 2 * SX_TOPK_MAX; /* keys in shared memory */
static_assert(SX_TOPK_MAX + AT_ONCE <= CAPACITY && (CAPACITY & (CAPACITY - 1)) == 0, "capacity");

/* A score and its block as one number: the better is the smaller, ties to the lower block, and
 * (-INFINITY, -1) is behind everything but NO_KEY. */
constexpr uint64_t NO_KEY = ~(uint64_t)0;

__device__ __forceinline__ uint64_t make_key(float score, int32_t block)
{
    unsigned bits = __float_as_uint(score + 0.0f); /* -0 is 0: they tie */
    unsigned ascending = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
    return (uint64_t)~ascending << 32 | (uint32_t)block;
}

__device__ __forceinline__ float key_score(uint64_t key)
{
    unsigned ascending = ~(unsigned)(key >> 32);
    return __uint_as_float(ascending & 0x80000000u ? ascending ^ 0x80000000u : ~ascending);
}

/* n, a power of two, keys in ascending order. (Batcher 1968, bitonic sort.) */
__device__ void sort(uint64_t *keys, int n)
{
    for (int size = 2; size <= n; size *= 2)
        for (int step = size / 2; step > 0; step /= 2) {
            for (int i = threadIdx.x; i < n / 2; i += THREADS) {
                int at = 2 * i - (i & (step - 1));
                uint64_t a = keys[at], b = keys[at + step];
                if ((a > b) == ((at & size) == 0)) {
                    keys[at] = b;
                    keys[at + step] = a;
                }
            }
            __syncthreads();
        }
}

/* keys: the k best in order, then those that beat the worst of them and wait to be sorted in. */
__global__ void __launch_bounds__(THREADS) topk_merge(float *best_score, int32_t *best_block, int k,
                                                      const float *score, int n, int32_t base)
{
    extern __shared__ uint64_t keys[];
    __shared__ int waiting;
    bool changed = false;

    for (int i = threadIdx.x; i < k; i += THREADS)
        keys[i] = make_key(best_score[i], best_block[i]);
    if (threadIdx.x == 0)
        waiting = 0;
    __syncthreads();

    for (int64_t first = 0; first < n; first += AT_ONCE) {
        const float worst = key_score(keys[k - 1]);
        float s[LOADS];
#pragma unroll
        for (int u = 0; u < LOADS; u++) {
            int64_t i = first + u * THREADS + threadIdx.x;
            s[u] = i < n ? score[i] : -INFINITY;
        }
#pragma unroll
        for (int u = 0; u < LOADS; u++)
            if (s[u] > worst) /* NaN never; equal: the earlier block stays */
                keys[k + atomicAdd(&waiting, 1)] = make_key(
                    s[u], base + (int32_t)(first + u * THREADS + threadIdx.x));
        __syncthreads();
        const int many = k + waiting;
        __syncthreads(); /* all have read it */
        if (many == k || (many + AT_ONCE <= CAPACITY && first + AT_ONCE < n))
            continue;
        int size = 2;
        while (size < many)
            size *= 2;
        for (int i = many + threadIdx.x; i < size; i += THREADS)
            keys[i] = NO_KEY;
        if (threadIdx.x == 0)
            waiting = 0;
        __syncthreads();
        sort(keys, size);
        changed = true;
    }
    if (!changed)
        return;
    for (int i = threadIdx.x; i < k; i += THREADS) {
        best_score[i] = key_score(keys[i]);
        best_block[i] = (int32_t)(uint32_t)keys[i];
    }
}
} // namespace

extern "C" SX_DECL_TOPK_MERGE(sx_topk_merge_cuda)
{
    if (!sx_cuda_begin(stream) || k < 1 || n_blocks <= 0)
        return;
    int bytes = CAPACITY * (int)sizeof(uint64_t);
    if (k > SX_TOPK_MAX) {
        sx_cuda_failed(stream, "topk_merge (k)", cudaErrorInvalidValue);
        return;
    }
    if (sx_cuda_failed(
            stream, "topk_merge",
            cudaFuncSetAttribute(topk_merge, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes)))
        return;
    topk_merge<<<1, THREADS, bytes, stream->cuda>>>(best_score, best_block, k, score, n_blocks,
                                                    base);
    SX_LAUNCHED(stream, "topk_merge");
}
