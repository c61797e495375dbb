/* landmark_topk.cu: query vectors against landmarks, and the best of them, in one pass.
 *
 * A score and its block make one 64-bit key that orders like (score, then the lower block): the k
 * best are a set of keys, whatever the order they were found in, so every run gives the same bits.
 * A block of threads scores rounds of landmarks on the tensor cores for up to 64 queries, straight
 * from memory or through a ring in shared memory, and appends what beats its list's k-th best to
 * the query's list. A list that could overflow in the next round is cut to its k best by a warp
 * (radix select). A second kernel joins the lists of a query with what best_score and best_block
 * hold. */
#include "kernels/cuda/fragments.h"
#include "kernels/cuda/hopper.cuh"
#include "kernels/landmark_topk.h"

namespace
{

typedef unsigned long long sx_key; /* 0: none */

enum {
    WARPS = 8,
    THREADS = 32 * WARPS,
    TILES = SX_TOPK_ROWS / (16 * WARPS), /* of 16 landmarks, for a warp in a round */
    MERGE_THREADS = 512,
    MERGE_KEYS = 12288, /* keys the merge holds in shared memory; more are read again and again */
};

/* Every key of a score above -infinity is above it. */
__device__ const sx_key lowest_key = 0x007fffffffffffffull;

__device__ __forceinline__ sx_key key_of(float score, int32_t block)
{
    const unsigned u = __float_as_uint(score + 0.0f); /* -0 becomes 0 */
    const unsigned ordered = u & 0x80000000u ? ~u : u | 0x80000000u;
    return (sx_key)ordered << 32 | (unsigned)~block;
}

__device__ __forceinline__ float score_of(sx_key key)
{
    const unsigned ordered = (unsigned)(key >> 32);
    return __uint_as_float(ordered & 0x80000000u ? ordered & 0x7fffffffu : ~ordered);
}

__device__ __forceinline__ int32_t block_of(sx_key key)
{
    return (int32_t) ~(unsigned)key;
}

/* hist[digit]++ from any lanes that are here together: lanes of one digit count as one. */
__device__ __forceinline__ void tally(unsigned *hist, unsigned digit)
{
    const unsigned peers = __match_any_sync(__activemask(), digit);
    if ((int)(threadIdx.x % 32) == __ffs(peers) - 1)
        atomicAdd(hist + digit, __popc(peers));
}

/* What one step of the radix select found: the digit whose bin holds the need-th best. */
struct radix_step {
    unsigned digit;
    int above, inside; /* keys of larger digits, keys of this one */
};

/* By one whole warp, over 256 bins. */
__device__ __forceinline__ radix_step find_digit(const unsigned *hist, int need)
{
    const int lane = threadIdx.x % 32;
    int sum = 0;
    for (int b = 0; b < 8; b++)
        sum += hist[255 - 8 * lane - b];
    int upto = sum; /* of this lane's bins and all larger ones */
    for (int step = 1; step < 32; step *= 2) {
        const int other = __shfl_up_sync(0xffffffffu, upto, step);
        if (lane >= step)
            upto += other;
    }
    const int owner = __ffs(__ballot_sync(0xffffffffu, upto >= need)) - 1;
    radix_step found = {0, upto - sum, 0};
    for (int b = 0; b < 8; b++) {
        found.digit = 255 - 8 * lane - b;
        found.inside = hist[found.digit];
        if (found.above + found.inside >= need)
            break;
        found.above += found.inside;
    }
    found.digit = __shfl_sync(0xffffffffu, found.digit, owner);
    found.above = __shfl_sync(0xffffffffu, found.above, owner);
    found.inside = __shfl_sync(0xffffffffu, found.inside, owner);
    return found;
}

/* Cuts a list of n > k keys to its k best, by one whole warp; the least of them is returned. Keys
 * are read BATCH at a time: where the list is not in shared memory, waiting for them is the work.
 */
__device__ sx_key keep_best(sx_key *keys, int n, int k, unsigned *hist)
{
    enum { BATCH = 4 };
    const int lane = threadIdx.x % 32;
    sx_key prefix = 0, mask = 0, least = ~0ull;
    int need = k, kept = 0;

    for (int shift = 56; shift >= 0; shift -= 8) {
        for (int b = lane; b < 256; b += 32)
            hist[b] = 0;
        __syncwarp();
        for (int i = lane; i < n; i += 32 * BATCH) {
            sx_key key[BATCH];
#pragma unroll
            for (int u = 0; u < BATCH; u++)
                key[u] = keys[i + 32 * u < n ? i + 32 * u : i];
#pragma unroll
            for (int u = 0; u < BATCH; u++)
                if (i + 32 * u < n && (key[u] & mask) == prefix)
                    tally(hist, (unsigned)(key[u] >> shift) & 255);
        }
        __syncwarp();
        const radix_step step = find_digit(hist, need);
        __syncwarp();
        need -= step.above;
        prefix |= (sx_key)step.digit << shift;
        mask |= (sx_key)255 << shift;
        if (step.inside == need) /* the whole bin stays */
            break;
    }
    for (int i = lane; i - lane < n; i += 32 * BATCH) { /* in place: a key never moves back */
        sx_key key[BATCH];
#pragma unroll
        for (int u = 0; u < BATCH; u++)
            key[u] = i + 32 * u < n ? keys[i + 32 * u] : 0;
        __syncwarp(); /* all have read before one writes */
#pragma unroll
        for (int u = 0; u < BATCH; u++) {
            const bool keep = i + 32 * u < n && (key[u] & mask) >= prefix;
            const unsigned all = __ballot_sync(0xffffffffu, keep);
            if (keep) {
                keys[kept + __popc(all & ((1u << lane) - 1))] = key[u];
                least = key[u] < least ? key[u] : least;
            }
            kept += __popc(all);
        }
        __syncwarp();
    }
    for (int step = 16; step; step /= 2) {
        const sx_key other = __shfl_xor_sync(0xffffffffu, least, step);
        least = other < least ? other : least;
    }
    return least;
}

struct scan_args {
    const sx_bf16 *q;     /* [n, d] */
    const char *landmark; /* [.., d] */
    const float *landmark_scale;
    const float *best_score;
    const int32_t *best_block;
    sx_key *keys;  /* [n, lists_most, room] */
    int32_t *size; /* [n, lists_most] */
    int n, d, k, lists, lists_most, room, tiles;
    int capacity;   /* keys a list holds, at most room */
    int stages;     /* of a ring */
    int first, end; /* landmarks to score */
    int32_t base;
    bool lists_shared; /* lists live in shared memory until the end */
};

/* The lists of a block of threads that scores so many rows a round, one a query. All its threads
 * call its functions. */
template <int queries, int rows> struct list_set {
    sx_key *keys; /* of query i from keys + i * stride on */
    int64_t stride;
    sx_key limit[queries];                 /* a key must be above it */
    alignas(8) float limit_score[queries]; /* and so a score not below this */
    int count[queries];
    unsigned hist[WARPS][256];

    __device__ __forceinline__ void open(const scan_args &a, int query0, int list, sx_key *shared)
    {
        if (threadIdx.x == 0) {
            keys = shared ? shared : a.keys + ((int64_t)query0 * a.lists_most + list) * a.room;
            stride = shared ? a.capacity : (int64_t)a.lists_most * a.room;
        }
        for (int i = threadIdx.x; i < queries; i += THREADS) {
            const bool real = query0 + i < a.n;
            const int64_t last = (int64_t)(query0 + i) * a.k + a.k - 1;
            const bool full = real && a.best_block[last] >= 0;
            count[i] = 0;
            limit[i] = full ? key_of(a.best_score[last], a.best_block[last]) : lowest_key;
            limit_score[i] = full ? score_of(limit[i]) : real ? -INFINITY : INFINITY;
        }
    }

    /* Scores of rows `row` and row + 8 for queries `query` and query + 1: what beats a list's k-th
     * best goes there. most: the longest list this thread has seen. */
    __device__ __forceinline__ void offer(const scan_args &a, const float (&score)[4], int query,
                                          int row, int &most)
    {
        const float2 limits = *(const float2 *)(limit_score + query);
        if (score[0] >= limits.x || score[1] >= limits.y || score[2] >= limits.x ||
            score[3] >= limits.y)
#pragma unroll
            for (int e = 0; e < 4; e++)
                offer_one(a, score[e], query + e % 2, row + e / 2 * 8, most);
    }

    __device__ __forceinline__ void offer_one(const scan_args &a, float score, int query, int row,
                                              int &most)
    {
        if (!(score >= limit_score[query]) || row >= a.end) /* NaN never enters */
            return;
        const sx_key key = key_of(score, a.base + row);
        if (key > limit[query]) {
            const int at = atomicAdd(count + query, 1);
            keys[query * stride + at] = key;
            most = at + 1 > most ? at + 1 : most;
        }
    }

    /* Behind each round: lists that could overflow in the next are cut. Starts with a barrier. */
    __device__ __forceinline__ void cut(const scan_args &a, int &most)
    {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        /* the last to append to a list knows its length, so all threads decide alike */
        if (!__syncthreads_or(most > a.capacity - rows))
            return;
        for (int i = warp; i < queries; i += WARPS) {
            const int n = count[i];
            if (n > a.capacity - rows) {
                const sx_key least = keep_best(keys + i * stride, n, a.k, hist[warp]);
                if (lane == 0) {
                    count[i] = a.k;
                    limit[i] = least;
                    limit_score[i] = score_of(least);
                }
            }
        }
        most = 0;
        __syncthreads();
    }

    __device__ __forceinline__ void close(const scan_args &a, int query0, int list)
    {
        const int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        __syncthreads();
        for (int i = warp; i < queries && query0 + i < a.n; i += WARPS) {
            const int64_t at = (int64_t)(query0 + i) * a.lists_most + list;
            sx_key *mine = keys + i * stride, *to = a.keys + at * a.room;
            int n = count[i];
            if (n > a.k) {
                keep_best(mine, n, a.k, hist[warp]);
                n = a.k;
            }
            if (mine != to)
                for (int e = lane; e < n; e += 32)
                    to[e] = mine[e];
            if (lane == 0)
                a.size[at] = n;
        }
    }
};

/* 16 landmarks of a warp: rows g and g + 8. chunks: of 32 numbers each, columns 8t.. of them for
 * this lane. */
template <int format, int chunks> struct landmark_tile {
    sx_eight<format> low[chunks], high[chunks];
    float scale_low, scale_high;
};

enum { ANY = 0 }; /* chunks: as d says, loaded as they are used */

template <int format, int chunks, int query_tiles>
__global__ void __launch_bounds__(THREADS, 2) scan(const scan_args a)
{
    constexpr int queries = 8 * query_tiles, size = format == SX_BF16 ? 2 : 1;
    constexpr int held = chunks == ANY ? 1 : chunks;
    __shared__ list_set<queries, SX_TOPK_ROWS> lists;
    extern __shared__ uint4 dynamic[];
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int list = blockIdx.x / a.tiles, query0 = (int)(blockIdx.x % a.tiles) * queries;
    const int n_chunks = chunks == ANY ? (a.d + 31) / 32 : chunks;
    uint4 *q_part = dynamic; /* [n_chunks, query_tiles, 32 lanes] */
    const int rounds = (a.end - a.first + SX_TOPK_ROWS - 1) / SX_TOPK_ROWS;

    lists.open(a, query0, list,
               a.lists_shared ? (sx_key *)(q_part + n_chunks * query_tiles * 32) : nullptr);
    for (int i = threadIdx.x; i < n_chunks * query_tiles * 32; i += THREADS) {
        const int query = query0 + i / 32 % query_tiles * 8 + i % 32 / 4;
        const int column = i / 32 / query_tiles * 32 + i % 4 * 8;
        q_part[i] = query < a.n && column < a.d ? sx_load16(a.q + (int64_t)query * a.d + column)
                                                : make_uint4(0, 0, 0, 0);
    }
    __syncthreads();

    landmark_tile<format, held> tile, next;
    int most = 0;

    auto first_row = [&](int round, int i) {
        return a.first + round * SX_TOPK_ROWS + (i * WARPS + warp) * 16;
    };
    auto row_at = [&](int row) { /* behind the end: the last again */
                                 return a.landmark +
                                        (int64_t)(row < a.end ? row : a.end - 1) * a.d * size +
                                        t * 8 * size;
    };
    auto load = [&](landmark_tile<format, held> &to, int row) {
        const char *low = row_at(row + g), *high = row_at(row + g + 8);
        if (chunks != ANY)
#pragma unroll
            for (int j = 0; j < held; j++) {
                sx_load_eight<format>(to.low[j], low + j * 32 * size, true);
                sx_load_eight<format>(to.high[j], high + j * 32 * size, true);
            }
        if (format == SX_I8) {
            to.scale_low = a.landmark_scale[row + g < a.end ? row + g : a.end - 1];
            to.scale_high = a.landmark_scale[row + g + 8 < a.end ? row + g + 8 : a.end - 1];
        }
    };
    if (list < rounds)
        load(tile, first_row(list, 0));
    for (int round = list; round < rounds; round += a.lists) {
#pragma unroll
        for (int i = 0; i < TILES; i++) {
            const int row = first_row(round, i);
            float score[query_tiles][4] = {};

            load(next, i + 1 < TILES ? first_row(round, i + 1) : first_row(round + a.lists, 0));
            if (chunks != ANY) {
#pragma unroll
                for (int j = 0; j < held; j++) {
                    unsigned low[4], high[4];
                    sx_pairs(low, tile.low[j]);
                    sx_pairs(high, tile.high[j]);
#pragma unroll
                    for (int c = 0; c < query_tiles; c++) {
                        const uint4 v = q_part[(j * query_tiles + c) * 32 + lane];
                        const unsigned b[4] = {v.x, v.y, v.z, v.w};
                        sx_mma_chunk(score[c], low, high, b);
                    }
                }
            } else {
                const char *low_row = row_at(row + g), *high_row = row_at(row + g + 8);
#pragma unroll 2
                for (int j = 0; j < n_chunks; j++) {
                    const bool inside = 32 * j + 8 * t < a.d;
                    sx_eight<format> x, y;
                    unsigned low[4], high[4];
                    sx_load_eight<format>(x, low_row + j * 32 * size, inside);
                    sx_load_eight<format>(y, high_row + j * 32 * size, inside);
                    sx_pairs(low, x);
                    sx_pairs(high, y);
#pragma unroll
                    for (int c = 0; c < query_tiles; c++) {
                        const uint4 v = q_part[(j * query_tiles + c) * 32 + lane];
                        const unsigned b[4] = {v.x, v.y, v.z, v.w};
                        sx_mma_chunk(score[c], low, high, b);
                    }
                }
            }
#pragma unroll
            for (int c = 0; c < query_tiles; c++) {
                if (format == SX_I8) {
                    score[c][0] *= tile.scale_low, score[c][1] *= tile.scale_low;
                    score[c][2] *= tile.scale_high, score[c][3] *= tile.scale_high;
                }
                lists.offer(a, score[c], c * 8 + 2 * t, row + g, most);
            }
            tile = next;
        }
        lists.cut(a, most);
    }
    lists.close(a, query0, list);
}

/* ---- sm_90a, d 128 ---- */

enum { RING_WIDTH = 128, STAGE_BYTES = 32 * 1024, STAGES_MOST = 6, STAGES_LEAST = 3 };

#ifdef SX_SM90A

/* What a lane takes of a row, which starts t vectors before `row`: four chunks. Of one-byte numbers
 * a vector is two chunks, so chunk j is of columns 64 (j / 2) + 16 t + 8 (j % 2). */
__device__ __forceinline__ void take_row(sx_eight<SX_BF16> (&x)[4], const uint4 *row)
{
#pragma unroll
    for (int j = 0; j < 4; j++)
        x[j].raw = row[4 * j];
}

__device__ __forceinline__ void take_row(sx_eight<SX_I8> (&x)[4], const uint4 *row)
{
#pragma unroll
    for (int j = 0; j < 4; j += 2) {
        const uint4 v = row[2 * j];
        x[j].raw = make_uint2(v.x, v.y);
        x[j + 1].raw = make_uint2(v.z, v.w);
    }
}

#endif

/* The same with a ring of rounds in shared memory: as soon as all warps are behind a round, a bulk
 * copy fills its place with the one that comes `stages` later, so memory never waits for products.
 * The queries stay in registers. */
template <int format, int query_tiles>
__global__ void __launch_bounds__(THREADS, 1) scan_ring(const scan_args a)
{
#ifdef SX_SM90A
    constexpr int queries = 8 * query_tiles, size = format == SX_BF16 ? 2 : 1;
    constexpr int row_bytes = RING_WIDTH * size, round_rows = STAGE_BYTES / row_bytes;
    constexpr int tiles = round_rows / (16 * WARPS), chunks = RING_WIDTH / 32;
    __shared__ list_set<queries, round_rows> lists;
    __shared__ uint64_t full[STAGES_MOST];
    extern __shared__ uint4 ring[]; /* [stages, round_rows, row_bytes], then the lists */
    const int warp = threadIdx.x / 32, lane = threadIdx.x % 32, g = lane / 4, t = lane % 4;
    const int list = blockIdx.x / a.tiles, query0 = (int)(blockIdx.x % a.tiles) * queries;
    const int rounds = (a.end - a.first + round_rows - 1) / round_rows;
    uint4 q[query_tiles][chunks];
    float scale[tiles][2], next_scale[tiles][2];
    int most = 0, stage = 0, phase = 0;

    auto fill = [&](int round, int stage) { /* by one thread */
                                            const int first = a.first + round * round_rows;
                                            if (round < rounds) {
                                                const int bytes = (a.end - first < round_rows
                                                                       ? a.end - first
                                                                       : round_rows) *
                                                                  row_bytes;
                                                mbarrier_arrive_expect(full + stage, bytes);
                                                bulk_load((char *)ring + stage * STAGE_BYTES,
                                                          a.landmark + (int64_t)first * row_bytes,
                                                          bytes, full + stage);
                                            }
    };
    auto load_scales = [&](int round) { /* behind the end: the last again */
#pragma unroll
                                        for (int i = 0; i < 2 * tiles; i++) {
                                            const int row = a.first + round * round_rows +
                                                            (i / 2 * WARPS + warp) * 16 +
                                                            i % 2 * 8 + g;
                                            if (format == SX_I8)
                                                next_scale[i / 2][i % 2] =
                                                    a.landmark_scale[row < a.end ? row : a.end - 1];
                                        }
    };

    if (threadIdx.x == 0) {
        for (int i = 0; i < a.stages; i++)
            mbarrier_init(full + i, 1);
        mbarrier_init_done();
        for (int i = 0; i < a.stages; i++)
            fill(list + i * a.lists, i);
    }
    lists.open(a, query0, list, (sx_key *)((char *)ring + a.stages * STAGE_BYTES));
#pragma unroll
    for (int c = 0; c < query_tiles; c++)
#pragma unroll
        for (int j = 0; j < chunks; j++) {
            const int query = query0 + 8 * c + g;
            const int column = format == SX_BF16 ? 32 * j + 8 * t
                                                 : 64 * (j / 2) + 16 * t + 8 * (j % 2);
            q[c][j] = query < a.n ? sx_load16(a.q + (int64_t)query * RING_WIDTH + column)
                                  : make_uint4(0, 0, 0, 0);
        }
    load_scales(list);
    __syncthreads();

    for (int round = list; round < rounds; round += a.lists) {
        const uint4 *rows = ring + (stage * STAGE_BYTES + (warp * 16 + g) * row_bytes) / 16 + t;
#pragma unroll
        for (int i = 0; i < 2 * tiles; i++)
            scale[i / 2][i % 2] = next_scale[i / 2][i % 2];
        load_scales(round + a.lists);
        mbarrier_wait(full + stage, phase);
#pragma unroll
        for (int i = 0; i < tiles; i++) {
            sx_eight<format> x[chunks], y[chunks];
            float score[query_tiles][4] = {};
            take_row(x, rows + i * WARPS * row_bytes);
            take_row(y, rows + i * WARPS * row_bytes + 8 * row_bytes / 16);
#pragma unroll
            for (int j = 0; j < chunks; j++) {
                unsigned low[4], high[4];
                sx_pairs(low, x[j]);
                sx_pairs(high, y[j]);
#pragma unroll
                for (int c = 0; c < query_tiles; c++) {
                    const unsigned b[4] = {q[c][j].x, q[c][j].y, q[c][j].z, q[c][j].w};
                    sx_mma_chunk(score[c], low, high, b);
                }
            }
#pragma unroll
            for (int c = 0; c < query_tiles; c++) {
#pragma unroll
                for (int e = 0; e < 4; e++)
                    if (format == SX_I8)
                        score[c][e] *= scale[i][e / 2];
                lists.offer(a, score[c], c * 8 + 2 * t,
                            a.first + round * round_rows + (i * WARPS + warp) * 16 + g, most);
            }
        }
        lists.cut(a, most);
        if (threadIdx.x == 0)
            fill(round + a.stages * a.lists, stage);
        if (++stage == a.stages) {
            stage = 0;
            phase ^= 1;
        }
    }
    lists.close(a, query0, list);
#endif
}

/* One block a query: its lists and what it had -> the k best, in order. sorted: a power of two not
 * below k. */
__global__ void __launch_bounds__(MERGE_THREADS)
    merge(float *best_score, int32_t *best_block, const sx_key *lists, const int32_t *size,
          int n_lists, int lists_most, int room, int k, int sorted)
{
    __shared__ int length[SX_TOPK_LISTS];
    __shared__ unsigned hist[256];
    __shared__ int total, longest, n_held, n_out;
    __shared__ radix_step found;
    extern __shared__ uint4 dynamic[];
    sx_key *out = (sx_key *)dynamic; /* [sorted] */
    sx_key *held = out + sorted;     /* [MERGE_KEYS] */
    const int me = threadIdx.x;

    best_score += (int64_t)blockIdx.x * k;
    best_block += (int64_t)blockIdx.x * k;
    lists += (int64_t)blockIdx.x * lists_most * room;
    size += (int64_t)blockIdx.x * lists_most;
    if (me == 0)
        total = longest = n_held = n_out = 0;
    for (int i = me; i < sorted; i += MERGE_THREADS)
        out[i] = 0;
    __syncthreads();
    for (int l = me; l < n_lists; l += MERGE_THREADS) {
        length[l] = size[l];
        atomicAdd(&total, length[l]);
        atomicMax(&longest, length[l]);
    }
    __syncthreads();
    const int slots = n_lists * longest, width = longest;
    const bool fits = total + k <= MERGE_KEYS;

    auto each = [&](auto use) { /* use(key) for every candidate */
                                for (int i = me; i < k; i += MERGE_THREADS)
                                    if (best_block[i] >= 0)
                                        use(key_of(best_score[i], best_block[i]));
                                for (int i = me; i < slots; i += 4 * MERGE_THREADS) {
                                    sx_key key[4];
#pragma unroll
                                    for (int u = 0; u < 4; u++) {
                                        const int slot = i + u * MERGE_THREADS;
                                        const int l = slot < slots ? slot / width : 0;
                                        const int e = slot - l * width;
                                        key[u] = slot < slots && e < length[l]
                                                     ? lists[(int64_t)l * room + e]
                                                     : 0;
                                    }
#pragma unroll
                                    for (int u = 0; u < 4; u++)
                                        if (key[u])
                                            use(key[u]);
                                }
    };
    if (fits) {
        each([&](sx_key key) { held[atomicAdd(&n_held, 1)] = key; });
    } else {
        each([&](sx_key) { atomicAdd(&n_held, 1); });
    }
    __syncthreads();
    const int n = n_held;
    auto candidates = [&](auto use) {
        if (fits)
            for (int i = me; i < n; i += MERGE_THREADS)
                use(held[i]);
        else
            each(use);
    };
    sx_key prefix = 0, mask = 0;
    int need = k;
    for (int shift = 56; n > k && shift >= 0; shift -= 8) {
        for (int b = me; b < 256; b += MERGE_THREADS)
            hist[b] = 0;
        __syncthreads();
        candidates([&](sx_key key) {
            if ((key & mask) == prefix)
                tally(hist, (unsigned)(key >> shift) & 255);
        });
        __syncthreads();
        if (me < 32) {
            const radix_step step = find_digit(hist, need);
            if (me == 0)
                found = step;
        }
        __syncthreads();
        const radix_step step = found;
        need -= step.above;
        prefix |= (sx_key)step.digit << shift;
        mask |= (sx_key)255 << shift;
        if (step.inside == need)
            break;
    }
    candidates([&](sx_key key) {
        if ((key & mask) >= prefix)
            out[atomicAdd(&n_out, 1)] = key;
    });
    /* bitonic, largest first (Batcher 1968) */
    for (int run = 2; run <= sorted; run *= 2)
        for (int step = run / 2; step > 0; step /= 2) {
            __syncthreads();
            for (int i = me; i < sorted / 2; i += MERGE_THREADS) {
                const int low = i / step * step * 2 + i % step, high = low + step;
                const sx_key x = out[low], y = out[high];
                if ((x < y) == !(low & run)) {
                    out[low] = y;
                    out[high] = x;
                }
            }
        }
    __syncthreads();
    for (int i = me; i < k; i += MERGE_THREADS) {
        best_score[i] = out[i] ? score_of(out[i]) : -INFINITY;
        best_block[i] = out[i] ? block_of(out[i]) : -1;
    }
}

typedef void (*scan_fn)(scan_args);

template <int format, int query_tiles> scan_fn plain_scan(int d)
{
    return d == 128 ? scan<format, 4, query_tiles> : scan<format, ANY, query_tiles>;
}

template <int format> scan_fn scan_for(int query_tiles, int d, bool ring)
{
    switch (query_tiles) {
    case 1: /* a ring for int8 only */
        return ring ? scan_ring<SX_I8, 1> : plain_scan<format, 1>(d);
    case 2:
        return ring ? scan_ring<format, 2> : plain_scan<format, 2>(d);
    case 4:
        return ring ? scan_ring<format, 4> : plain_scan<format, 4>(d);
    default: /* their lists leave no room for a ring */
        return plain_scan<format, 8>(d);
    }
}

/* Landmarks first .. end into what best_score and best_block hold. False when a launch failed. */
bool scan_and_merge(sx_stream *stream, float *best_score, int32_t *best_block, scan_args a,
                    sx_type type)
{
    static const char op[] = "landmark_topk";
    const int64_t chunks = (a.d + 31) / 32;
    int query_tiles = a.n <= 8 ? 1 : a.n <= 16 ? 2 : a.n <= 32 ? 4 : 8, sorted = 1;
    const int64_t rounds = (a.end - a.first + SX_TOPK_ROWS - 1) / SX_TOPK_ROWS;

    while (query_tiles > 1 && chunks * query_tiles * 512 > 64 * 1024)
        query_tiles /= 2;
    a.tiles = (a.n + 8 * query_tiles - 1) / (8 * query_tiles);

    /* A ring where it fits beside the lists: elsewhere two blocks a multiprocessor, which wait less
     * for lists in memory, are faster; so they are for few queries over bfloat16, where memory as
     * fast as an H200's leaves the ring behind. 10 KB are for what is not dynamic. */
    const int ring_rows = STAGE_BYTES / (RING_WIDTH * (type == SX_I8 ? 1 : 2));
    const int64_t list_keys = 8 * query_tiles * (int64_t)sizeof(sx_key);
    const int64_t beside = stream->shared_most - 10 * 1024 -
                           list_keys * sx_topk_room(a.k, ring_rows);
    const bool few = query_tiles == 1 && type == SX_BF16;
    const bool ring = !stream->plain && a.d == RING_WIDTH && query_tiles <= 4 && !few &&
                      beside >= STAGES_LEAST * STAGE_BYTES;
    a.stages = beside / STAGE_BYTES < STAGES_MOST ? (int)(beside / STAGE_BYTES) : STAGES_MOST;
    a.capacity = sx_topk_room(a.k, ring ? ring_rows : SX_TOPK_ROWS);
    int64_t shared = ring ? a.stages * STAGE_BYTES : chunks * query_tiles * 512;
    a.lists_shared = ring || shared + list_keys * a.capacity <= 72 * 1024;
    shared += a.lists_shared ? list_keys * a.capacity : 0;

    int64_t lists = (ring ? 1 : 2) * stream->multiprocessors / a.tiles;
    lists = lists < a.lists_most ? lists : a.lists_most;
    lists = lists < rounds ? lists : rounds;
    a.lists = lists > 0 ? (int)lists : 1;

    const scan_fn kernel = type == SX_I8 ? scan_for<SX_I8>(query_tiles, a.d, ring)
                                         : scan_for<SX_BF16>(query_tiles, a.d, ring);
    if (sx_cuda_failed(
            stream, op,
            cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared)))
        return false;
    kernel<<<(unsigned)(a.tiles * a.lists), THREADS, (size_t)shared, stream->cuda>>>(a);
    if (SX_LAUNCHED(stream, op))
        return false;

    while (sorted < a.k)
        sorted *= 2;
    shared = (sorted + MERGE_KEYS) * (int64_t)sizeof(sx_key);
    if (sx_cuda_failed(
            stream, op,
            cudaFuncSetAttribute(merge, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared)))
        return false;
    merge<<<(unsigned)a.n, MERGE_THREADS, (size_t)shared, stream->cuda>>>(
        best_score, best_block, a.keys, a.size, a.lists, a.lists_most, a.room, a.k, sorted);
    return !SX_LAUNCHED(stream, op);
}

} // namespace

extern "C" SX_DECL_LANDMARK_TOPK(sx_landmark_topk_cuda)
{
    if (!sx_cuda_begin(stream) || n < 1 || n_blocks < 1)
        return;
    if ((type != SX_BF16 && type != SX_I8) || d < 16 || d % 16 || k < 1 || k > SX_TOPK_MAX ||
        !sx_aligned16(q, d, 2) || !sx_aligned16(landmark, d, type == SX_I8 ? 1 : 2)) {
        sx_cuda_failed(stream, "landmark_topk", cudaErrorInvalidValue);
        return;
    }
    scan_args a = {};
    a.q = (const sx_bf16 *)q;
    a.landmark = (const char *)landmark;
    a.landmark_scale = landmark_scale;
    a.best_score = best_score;
    a.best_block = best_block;
    a.n = n, a.d = d, a.k = k, a.base = base;
    a.lists_most = sx_topk_lists(n, n_blocks, k);
    a.room = sx_topk_room(k, SX_TOPK_ROWS);
    a.keys = (sx_key *)work;
    a.size = (int32_t *)(a.keys + (int64_t)n * a.lists_most * a.room);
    /* Where lists are long, or many a block, a sample first: its k-th best keeps nearly all of the
     * rest out of the lists. */
    const int64_t sample = 64 * k > 32768 ? 64 * k : 32768;
    a.end = (n > 8 || k > SX_TOPK_ROWS) && n_blocks >= 8 * sample ? (int)sample : n_blocks;
    while (scan_and_merge(stream, best_score, best_block, a, type) && a.end < n_blocks) {
        a.first = a.end;
        a.end = n_blocks;
    }
}
