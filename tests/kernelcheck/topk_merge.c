/* topk_merge.c: the k best scores, in pieces as segments come. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const float *sort_by; /* qsort has no room for it */

static int better_first(const void *a, const void *b)
{
    int32_t i = *(const int32_t *)a, j = *(const int32_t *)b;
    return sort_by[i] != sort_by[j] ? (sort_by[i] < sort_by[j] ? 1 : -1) : (i > j) - (i < j);
}

/* ties: of how many different values the scores are, 0 for any. Every 11th is a NaN if nans, every
 * 13th -INFINITY. */
static void check_pieces(backend *on, int k, int n, int piece, int base, int ties, bool nans)
{
    begin_case(on, "k %d n %d in pieces of %d from %d, ties %d%s", k, n, piece, base, ties,
               nans ? " nans" : "");
    buffer *score = buffer_random(on, (size_t)n, SX_F32, 20.0f);
    buffer *best = buffer_new(on, (size_t)k, SX_F32);
    int32_t *none = host_memory(on, sizeof *none * (size_t)k);
    int32_t *order = host_memory(on, sizeof *order * (size_t)(n + 1));
    int found = 0, wrong = 0;

    for (int i = 0; i < n; i++) {
        if (ties)
            score->x[i] = (float)between(-ties / 2, ties - ties / 2 - 1);
        if (nans && i % 11 == 3)
            score->x[i] = NAN;
        if (nans && i % 13 == 5)
            score->x[i] = -INFINITY;
        if (!isnan(score->x[i]) && score->x[i] > -INFINITY)
            order[found++] = i;
    }
    buffer_upload(score);
    for (int i = 0; i < k; i++) {
        best->x[i] = -INFINITY;
        none[i] = -1;
    }
    buffer_upload(best);
    buffer *block = buffer_bytes(on, none, sizeof *none * (size_t)k);
    sort_by = score->x;
    qsort(order, (size_t)found, sizeof *order, better_first);

    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(best);
        buffer_reset(block);
        for (int i = 0; i < n; i += piece)
            on->kn.topk_merge(on->stream, best->p, block->p, k, buffer_at(score, (size_t)i),
                              n - i < piece ? n - i : piece, base + i);
        on->kn.topk_merge(on->stream, best->p, block->p, k, score->p, 0, base + n);
        buffer_result(best, run);
        buffer_result(block, run);
    }
    for (int i = 0; i < k && !wrong; i++) {
        int32_t got = ((const int32_t *)block->raw)[i];
        int32_t want = i < found ? base + order[i] : -1;
        float value = i < found ? score->x[order[i]] : -INFINITY;
        wrong = got != want || !(best->x[i] == value);
        if (wrong)
            expect(false, "place %d: block %d with %g, expected %d with %g", i, got,
                   (double)best->x[i], want, (double)value);
    }
    expect(true, " ");
    end_case(on);
}

void check_topk_merge(backend *on)
{
    for (int k = 1; k <= 40; k += 13)
        for (int n = 0; n <= 300; n += 50) {
            check_pieces(on, k, n, 37, 0, 40, false);
            check_pieces(on, k, n, 301, 7, 0, true);
        }
    check_pieces(on, 16, 5000, 5000, 0, 0, false);
    check_pieces(on, 16, 5000, 4999, 1 << 27, 3, true);
    check_pieces(on, 1, 4097, 1, 0, 1, false); /* all equal: the first */
    if (on->quick)
        return;
    check_pieces(on, 4096, 4096, 4096, 0, 0, false);
    check_pieces(on, 4096, 4095, 1000, 0, 0, false);
    check_pieces(on, 4095, 20000, 20000, 0, 100, true);
    check_pieces(on, 4096, 13000, 4097, 0, 0, true);
    check_pieces(on, 100, on->gpu ? 300001 : 30001, 100000, 0, 0, true);
}

typedef struct merging {
    float *score, *best;
    int32_t *block;
    int k, n, copies;
} merging;

static void run(backend *on, void *user, int turn)
{
    merging *m = user;
    on->kn.topk_merge(on->stream, m->best, m->block, m->k,
                      m->score + (size_t)(turn % m->copies) * (size_t)m->n, m->n, 0);
}

void bench_topk_merge(backend *on)
{
    static const int shapes[][2] = {{16, 1 << 12}, {16, 1 << 16}, {1024, 1 << 16}};
    for (int s = 0; s < 3; s++) {
        merging m = {.k = shapes[s][0], .n = shapes[s][1]};
        float *worst = host_memory(on, sizeof *worst * (size_t)m.k);
        char what[64];
        for (int i = 0; i < m.k; i++)
            worst[i] = -INFINITY;
        m.copies = bench_copies(on, 4 * (size_t)m.n);
        m.score = bench_values(on, (size_t)m.n * (size_t)m.copies, SX_F32);
        m.best = bench_upload(on, worst, sizeof *worst * (size_t)m.k);
        m.block = bench_memory(on, sizeof(int32_t) * (size_t)m.k);
        snprintf(what, sizeof what, "topk_merge k %d n %d", m.k, m.n);
        measure(on, what, 4.0 * m.n, 0, run, &m);
        end_case(on);
    }
}
