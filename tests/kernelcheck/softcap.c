/* softcap.c: logits squeezed, and the largest of them. */
#include "tests/kernelcheck/harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static void check_shape(backend *on, int n, int skew)
{
    begin_case(on, "n %d skew %d", n, skew);
    on->skew = skew;
    buffer *x = buffer_random(on, (size_t)n, SX_F32, 60.0f);
    double *want = numbers(on, (size_t)n), *slack = numbers(on, (size_t)n);
    static const float ends[] = {-1000.0f, -3.0f, 0.0f, 0.5f, 25.0f};

    for (int i = 0; i < n && i < 5; i++)
        x->x[i] = ends[i];
    buffer_upload(x);
    for (int i = 0; i < n; i++) {
        want[i] = 20.0 * tanh((double)x->x[i] / 20.0);
        slack[i] = 8 * FLT_EPSILON * fabs(want[i]);
    }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(x);
        on->kn.softcap(on->stream, x->p, n, 20.0f);
        buffer_result(x, run);
    }
    check_within(x, want, slack);
    end_case(on);
}

void check_softcap(backend *on)
{
    for (int skew = 0; skew < 4; skew++)
        for (int n = 0; n < 18; n++)
            check_shape(on, n, skew);
    check_shape(on, 1023, 0);
    check_shape(on, 1025, 3);
    check_shape(on, on->quick ? 3000 : 262144, 0);
    check_shape(on, on->quick ? 3000 : 2500001, 1);
}

typedef struct logits {
    char *x;
    int n, copies;
    int32_t *best;
    float *value;
    int rows;
} logits;

static void run_softcap(backend *on, void *user, int turn)
{
    logits *l = user;
    on->kn.softcap(on->stream, (float *)(l->x + (size_t)(turn % l->copies) * (size_t)l->n * 4),
                   l->n, 30.0f);
}

void bench_softcap(backend *on)
{
    static const int shapes[] = {1 << 18, 1 << 24};
    for (int s = 0; s < 2; s++) {
        logits l = {.n = shapes[s]};
        char what[64];
        l.copies = bench_copies(on, 4 * (size_t)l.n);
        l.x = bench_values(on, (size_t)l.n * (size_t)l.copies, SX_F32);
        snprintf(what, sizeof what, "softcap n %d", l.n);
        measure(on, what, 8.0 * l.n, 0, run_softcap, &l);
        end_case(on);
    }
}

/* ---- softcap_argmax ---- */

/* ties: how many different values there are, 0 for any; nans: every how manieth is a NaN, 0 for
 * none. */
static void check_rows(backend *on, int n, int d, int ties, int nans, int skew)
{
    begin_case(on, "n %d d %d ties %d nans %d skew %d", n, d, ties, nans, skew);
    on->skew = skew;
    size_t size = (size_t)n * (size_t)d;
    buffer *x = buffer_random(on, size, SX_F32, 50.0f);
    buffer *value = buffer_new(on, (size_t)n, SX_F32);
    buffer *best = buffer_bytes(on, NULL, sizeof(int32_t) * (size_t)n);

    for (size_t i = 0; i < size; i++) {
        if (ties)
            x->x[i] = (float)between(-ties, -1); /* below 0: nothing is its own default */
        if (nans && (nans == 1 || between(0, nans - 1) == 0))
            x->x[i] = NAN;
    }
    if (ties == 1 && d > 2)
        for (int i = 0; i < n; i++)
            x->x[(size_t)i * d + d / 2] = -INFINITY;
    buffer_upload(x);
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(value);
        buffer_reset(best);
        on->kn.softcap_argmax(on->stream, best->p, value->p, x->p, n, d, 20.0f);
        buffer_result(value, run);
        buffer_result(best, run);
    }
    for (int i = 0; i < n; i++) {
        const float *row = x->x + (size_t)i * d;
        int32_t want = -1, got = ((const int32_t *)best->raw)[i];
        for (int j = 0; j < d; j++)
            if (!isnan(row[j]) && (want < 0 || row[j] > row[want]))
                want = j;
        double v = want < 0 ? NAN : 20.0 * tanh((double)row[want] / 20.0);
        expect(got == want, "row %d: %d is the best, expected %d", i, got, want);
        expect(want < 0 ? isnan(value->x[i])
                        : fabs(value->x[i] - v) <= 8 * FLT_EPSILON * fabs(v) + 1e-38,
               "row %d: value %.9g, expected %.9g", i, (double)value->x[i], v);
    }
    end_case(on);
}

void check_softcap_argmax(backend *on)
{
    static const int widths[] = {0, 1, 2, 3, 4, 5, 31, 255, 256, 257, 1023, 1024, 1025, 4099};
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int n = 0; n < 8; n += n < 3 ? 1 : 4) {
            check_rows(on, n, widths[w], 0, 0, n % 4);
            check_rows(on, n, widths[w], 3, 3, 0);
        }
    check_rows(on, 3, 700, 1, 0, 0); /* all the same but one: the first */
    check_rows(on, 3, 700, 0, 1, 0); /* nothing but NaN */
    if (on->quick) {
        check_rows(on, 2, 20000, 5, 7, 1);
        return;
    }
    check_rows(on, 1, 262144, 0, 0, 0);
    check_rows(on, 1, 262143, 7, 2, 1);
    check_rows(on, 2, 200001, 0, 1, 3);
    check_rows(on, 3, 32768, 4, 0, 0);
    check_rows(on, 7, 100003, 0, 9, 2);
    check_rows(on, 200, 8200, 2, 0, 0);
    check_rows(on, 600, 5000, 0, 0, 0);
}

static void run_argmax(backend *on, void *user, int turn)
{
    logits *l = user;
    size_t at = (size_t)(turn % l->copies) * (size_t)l->n * (size_t)l->rows * 4;
    on->kn.softcap_argmax(on->stream, l->best, l->value, (float *)(l->x + at), l->rows, l->n,
                          30.0f);
}

void bench_softcap_argmax(backend *on)
{
    static const int shapes[][2] = {{1, 32768}, {1, 262144}, {64, 32768}};
    for (int s = 0; s < 3; s++) {
        logits l = {.n = shapes[s][1], .rows = shapes[s][0]};
        size_t size = (size_t)l.n * (size_t)l.rows;
        char what[64];
        l.copies = bench_copies(on, 4 * size);
        l.x = bench_values(on, size * (size_t)l.copies, SX_F32);
        l.best = bench_memory(on, 4 * (size_t)l.rows);
        l.value = bench_memory(on, 4 * (size_t)l.rows);
        snprintf(what, sizeof what, "softcap_argmax n %d d %d", l.rows, l.n);
        measure(on, what, 4.0 * (double)size, 0, run_argmax, &l);
        end_case(on);
    }
}
