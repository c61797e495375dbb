/* landmark_topk.c: with small whole numbers every score is exact, so the result must be the sorted
 * one, ties and all; with random ones it must be the sorted one of scores within rounding. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum filling { RANDOM, TIES, EQUAL, RISING, FALLING, WITH_NAN, FILLINGS } filling;
static const char *const filling_name[] = {"random", "ties", "equal", "rising", "falling", "nan"};

static double score(const float *q, const float *x, double scale, int d, double *magnitude)
{
    double sum = 0.0;
    *magnitude = 0.0;
    for (int j = 0; j < d; j++) {
        sum += (double)q[j] * x[j];
        *magnitude += fabs((double)q[j] * x[j]) * scale;
    }
    return sum * scale;
}

/* Rows of landmarks and the queries for them. Rising and falling: 64 * high + low is the row. */
static void fill(filling how, float *q, int n, float *x, int n_blocks, int d, sx_type type)
{
    for (int i = 0; i < n * d; i++)
        q[i] = how == RANDOM ? uniform() : (float)between(-2, 2);
    for (size_t i = 0; i < (size_t)n_blocks * d; i++)
        x[i] = how != RANDOM   ? (float)between(-1, 1)
               : type == SX_I8 ? (float)between(-127, 127)
                               : uniform();
    for (int b = 0; b < n_blocks; b++) {
        float *row = x + (size_t)b * d;
        int rank = how == FALLING ? n_blocks - 1 - b : b;
        if (how == EQUAL && b)
            memcpy(row, x, sizeof *x * (size_t)d);
        if (how == RISING || how == FALLING) {
            memset(row, 0, sizeof *x * (size_t)d);
            row[d - 1] = (float)(rank / 64 % 128);
            row[0] = (float)(rank % 64);
        }
        if (how == WITH_NAN && type != SX_I8 && b % 3 == 0)
            row[between(0, d - 1)] = b % 2 ? NAN : -INFINITY;
    }
    for (int i = 0; i < n; i++)
        if (how == RISING || how == FALLING) {
            memset(q + (size_t)i * d, 0, sizeof *q * (size_t)d);
            q[(size_t)i * d] = 1.0f;
            q[(size_t)i * d + d - 1] = 64.0f;
        } else if (how == WITH_NAN) {
            for (int j = 0; j < d; j++)
                q[(size_t)i * d + j] = 1.0f; /* -INFINITY stays that */
        }
}

/* One query: `best`, `block` against the scores want +- slack. */
static bool check_query(const float *best, const int32_t *block, int k, const double *want,
                        const double *slack, int n_blocks, bool *chosen)
{
    int real = 0, filled = 0;
    double last = INFINITY;

    memset(chosen, 0, (size_t)n_blocks);
    for (int b = 0; b < n_blocks; b++)
        real += want[b] > -INFINITY; /* no NaN */
    real = real < k ? real : k;
    for (int i = 0; i < k; i++) {
        int32_t b = block[i];
        if (i >= real) {
            if (b != -1 || best[i] != -INFINITY)
                return expect(false, "place %d: block %d, score %g, unused", i, b, (double)best[i]);
            continue;
        }
        if (b < 0 || b >= n_blocks || chosen[b])
            return expect(false, "place %d: block %d", i, b);
        if (!(fabs(best[i] - want[b]) <= slack[b]))
            return expect(false, "block %d has %.9g, expected %.9g +- %.3g", b, (double)best[i],
                          want[b], slack[b]);
        if (i && !(best[i] < best[i - 1] || (best[i] == best[i - 1] && b > block[i - 1])))
            return expect(false, "place %d is not in order", i);
        chosen[b] = true;
        last = best[i];
        filled++;
    }
    for (int b = 0; b < n_blocks && filled == k; b++)
        if (!chosen[b] && want[b] > -INFINITY) {
            bool out = slack[b] > 0 ? want[b] - slack[b] <= last
                                    : want[b] < last || (want[b] == last && b > block[k - 1]);
            if (!out)
                return expect(false, "block %d with %.9g was left out, the last has %.9g", b,
                              want[b], last);
        }
    return expect(true, " ");
}

static void check_shape(backend *on, filling how, sx_type type, int n, int n_blocks, int k, int d,
                        int parts)
{
    const int32_t base = 7;
    size_t most_blocks = (size_t)n_blocks;

    begin_case(on, "%s, type %d, n %d blocks %d k %d d %d, %d parts", filling_name[how], type, n,
               n_blocks, k, d, parts);
    buffer *q = buffer_new(on, (size_t)n * d, on->kn.type);
    buffer *x = buffer_new(on, most_blocks * d, type);
    buffer *scale = buffer_new(on, most_blocks, SX_F32);
    buffer *work = buffer_work(on, sx_landmark_topk_work(n, n_blocks, k, d));
    buffer *best = buffer_new(on, (size_t)n * k, SX_F32);
    int32_t *none = host_memory(on, sizeof *none * (size_t)n * k);
    double *want = numbers(on, most_blocks), *slack = numbers(on, most_blocks);
    bool *chosen = host_memory(on, most_blocks);

    fill(how, q->x, n, x->x, n_blocks, d, type);
    for (int b = 0; b < n_blocks; b++)
        scale->x[b] = how == RANDOM ? 0.01f + fabsf(uniform()) : 0.5f;
    buffer_upload(q);
    buffer_upload(x);
    buffer_upload(scale);
    for (int i = 0; i < n * k; i++) {
        best->x[i] = -INFINITY;
        none[i] = -1;
    }
    buffer_upload(best);
    buffer *block = buffer_bytes(on, none, sizeof *none * (size_t)n * k);

    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(best);
        buffer_reset(block);
        for (int p = 0; p < parts; p++) {
            int first = (int)((int64_t)n_blocks * p / parts);
            int end = (int)((int64_t)n_blocks * (p + 1) / parts);
            on->kn.landmark_topk(on->stream, best->p, block->p, k, q->p, n,
                                 buffer_at(x, (size_t)first * d), type,
                                 type == SX_I8 ? buffer_at(scale, (size_t)first) : NULL,
                                 end - first, base + first, d, work->p);
        }
        buffer_result(best, run);
        buffer_result(block, run);
    }
    for (int i = 0; i < n; i++) {
        int32_t *found = (int32_t *)block->raw + (size_t)i * k;
        for (int j = 0; j < k; j++) /* back to the row */
            found[j] -= found[j] >= 0 ? base : 0;
        for (int b = 0; b < n_blocks; b++) {
            double magnitude;
            want[b] = score(q->x + (size_t)i * d, x->x + (size_t)b * d,
                            type == SX_I8 ? (double)scale->x[b] : 1.0, d, &magnitude);
            slack[b] = how == RANDOM ? 2.0 * sum_error(d, magnitude) : 0.0;
        }
        if (!check_query(best->x + (size_t)i * k, found, k, want, slack, n_blocks, chosen))
            break;
    }
    end_case(on);
}

/* Landmarks beyond 2^31 numbers and bytes: zeros, and a few rows that are not. */
static void check_far(backend *on)
{
    enum { D = 128, K = 4 };
    const int n_blocks = (1 << 25) + 100, piece = 1 << 16;
    const int rows[K] = {n_blocks - 1, 1 << 24, (1 << 25) + 3, 17};
    size_t row_bytes = D * 2;

    begin_case(on, "%d blocks of %d", n_blocks, D);
    char *zero = host_memory(on, piece * row_bytes), *x = bench_memory(on, n_blocks * row_bytes);
    for (int b = 0; b < n_blocks; b += piece)
        on->kn.upload(on->stream, x + (size_t)b * row_bytes, zero,
                      (size_t)(n_blocks - b < piece ? n_blocks - b : piece) * row_bytes);
    buffer *q = buffer_random(on, D, SX_BF16, 1.0f);
    for (int j = 0; j < D; j++)
        q->x[j] = 1.0f;
    buffer_upload(q);
    for (int r = 0; r < K; r++) {
        buffer *one = buffer_new(on, D, SX_BF16);
        for (int j = 0; j < D; j++)
            one->x[j] = (float)(K - r);
        buffer_upload(one);
        on->kn.upload(on->stream, x + (size_t)rows[r] * row_bytes, one->raw, row_bytes);
        buffer_result(one, 0);
    }
    float start[K] = {-INFINITY, -INFINITY, -INFINITY, -INFINITY};
    buffer *best = buffer_of(on, start, K, SX_F32);
    buffer *block = buffer_bytes(on, (int32_t[]){-1, -1, -1, -1}, K * sizeof(int32_t));
    buffer *work = buffer_work(on, sx_landmark_topk_work(1, n_blocks, K, D));
    on->kn.landmark_topk(on->stream, best->p, block->p, K, q->p, 1, x, SX_BF16, NULL, n_blocks, 0,
                         D, work->p);
    buffer_result(best, 0);
    buffer_result(block, 0);
    for (int r = 0; r < K; r++)
        expect(((int32_t *)block->raw)[r] == rows[r] && best->x[r] == (float)(D * (K - r)),
               "place %d: block %d, score %g", r, ((int32_t *)block->raw)[r], (double)best->x[r]);
    end_case(on);
}

void check_landmark_topk(backend *on)
{
    static const sx_type types[] = {SX_F32, SX_BF16, SX_I8};
    static const int queries[] = {1, 8, 9, 33, 65}, dims[] = {16, 48, 128};
    int sizes[7], n_sizes = tile_sizes(sizes, 256, 600);

    for (int t = on->gpu; t < 3; t++)
        for (int how = 0; how < FILLINGS; how++) {
            for (int s = 0; s < n_sizes; s++)
                check_shape(on, how, types[t], queries[s % 5], sizes[s], 1 + s * 5, dims[s % 3],
                            1 + s % 3);
            check_shape(on, how, types[t], 3, 700, 700, 128, 2);
            check_shape(on, how, types[t], 1, 7000, 16, 128, 1);
            if (on->quick)
                continue;
            check_shape(on, how, types[t], 17, 5000, 300, 64, 1);
            check_shape(on, how, types[t], 1, 8000, 4096, 128, 2);
            check_shape(on, how, types[t], 2, 3000, SX_TOPK_MAX, 32, 1);
            if (!on->gpu)
                continue;
            /* beyond a sample; lists that overflow */
            check_shape(on, how, types[t], 12, 300000, 16, 128, 1);
            check_shape(on, how, types[t], 1, 300000, 400, 16, 1);
            check_shape(on, how, types[t], 70, 70000, 5, 48, 1);
        }
    if (on->gpu && on->large)
        check_far(on);
}

typedef struct scanning {
    void *q, *x, *scale, *best, *block, *work;
    const void *none_best, *none_block;
    int n, n_blocks, k, d;
    sx_type type;
} scanning;

static void run_scan(backend *on, void *user, int turn)
{
    scanning *s = user;
    /* what the lists held is cleared in the same queue: an upload of nothing found yet */
    on->kn.upload(on->stream, s->best, s->none_best, sizeof(float) * (size_t)s->n * s->k);
    on->kn.upload(on->stream, s->block, s->none_block, sizeof(int32_t) * (size_t)s->n * s->k);
    on->kn.landmark_topk(on->stream, s->best, s->block, s->k, s->q, s->n, s->x, s->type, s->scale,
                         s->n_blocks, 0, s->d, s->work);
}

void bench_landmark_topk(backend *on)
{
    static const int shapes[][3] = {/* n, k, one byte */
                                    {1, 16, 0},   {32, 16, 0},  {64, 16, 0}, {256, 16, 0},
                                    {1, 4096, 0}, {32, 512, 0}, {1, 16, 1},  {32, 16, 1}};
    enum { D = 128, PHASE = 24 /* numbers by which pieces shift, so that rows differ */ };
    const int n_blocks = on->quick ? 1 << 12 : on->gpu ? 1 << 23 : 1 << 17;
    const size_t all = (size_t)n_blocks * D, piece = all < 1 << 24 ? all : (1 << 24) + PHASE;

    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        char what[64];
        scanning s = {.n = shapes[i][0], .k = shapes[i][1], .n_blocks = n_blocks, .d = D};
        s.type = shapes[i][2] ? SX_I8 : on->gpu ? SX_BF16 : SX_F32;
        size_t size = s.type == SX_I8 ? 1 : s.type == SX_BF16 ? 2 : 4;
        size_t lists = (size_t)s.n * s.k;
        if (!on->gpu && (s.n > 32 || s.k > 512))
            continue;

        char *host = host_memory(on, piece * size), *x = bench_memory(on, all * size);
        for (size_t j = 0; j < piece; j++) {
            float value = (uniform() + uniform() + uniform()) * 0.1f;
            uint32_t bits;
            memcpy(&bits, &value, 4);
            if (size == 4)
                memcpy(host + 4 * j, &value, 4);
            else if (size == 2)
                memcpy(host + 2 * j, (uint16_t[]){(uint16_t)(bits >> 16)}, 2);
            else
                host[j] = (char)(int8_t)(value * 420.0f);
        }
        for (size_t at = 0; at < all; at += piece)
            on->kn.upload(on->stream, x + at * size, host,
                          (all - at < piece ? all - at : piece) * size);
        float *best = host_memory(on, lists * sizeof *best);
        int32_t *block = host_memory(on, lists * sizeof *block);
        for (size_t j = 0; j < lists; j++) {
            best[j] = -INFINITY;
            block[j] = -1;
        }
        s.x = x;
        s.q = bench_values(on, (size_t)s.n * D, on->kn.type);
        s.scale = s.type == SX_I8 ? bench_values(on, (size_t)n_blocks, SX_F32) : NULL;
        s.none_best = bench_upload(on, best, lists * sizeof *best);
        s.none_block = bench_upload(on, block, lists * sizeof *block);
        s.best = bench_memory(on, lists * sizeof *best);
        s.block = bench_memory(on, lists * sizeof *block);
        s.work = bench_memory(on, sx_landmark_topk_work(s.n, n_blocks, s.k, D));
        snprintf(what, sizeof what, "%s, %d of %d, n %d k %d",
                 size == 1   ? "i8"
                 : size == 2 ? "bf16"
                             : "f32",
                 n_blocks, D, s.n, s.k);
        measure(on, what, (double)(all * size), 2.0 * (double)all * s.n, run_scan, &s);
        end_case(on);
    }
}
