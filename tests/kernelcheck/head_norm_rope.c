/* head_norm_rope.c: per-head normalisation and rotation, in place. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void check_shape(backend *on, int n, int heads, int d, int extra, bool turned, int skew)
{
    int stride = heads * d + extra, half = d / 2;
    size_t size = (size_t)n * (size_t)stride;
    begin_case(on, "n %d heads %d d %d stride %d%s skew %d", n, heads, d, stride,
               turned ? " turned" : "", skew);
    on->skew = skew;
    buffer *x = buffer_random(on, size, on->kn.type, 2.0f);
    buffer *weight = buffer_random(on, (size_t)d, SX_F32, 2.0f);
    buffer *rope = buffer_new(on, (size_t)n * (size_t)d, SX_F32);
    double *want = numbers(on, size), *slack = numbers(on, size), *v = numbers(on, (size_t)d);

    for (int i = 0; i < n; i++)
        for (int j = 0; j < half; j++) {
            float angle = 7.0f * uniform();
            rope->x[i * d + j] = cosf(angle);
            rope->x[i * d + half + j] = sinf(angle);
        }
    for (int i = 0; i < n && d % 2; i++)
        rope->x[i * d + d - 1] = 0.0f; /* an odd d leaves one number unread */
    buffer_upload(rope);
    for (size_t i = 0; i < size; i++)
        want[i] = x->x[i]; /* what lies behind the heads stays */
    for (int i = 0; i < n; i++)
        for (int h = 0; h < heads; h++) {
            const float *in = x->x + i * stride + h * d;
            double sum = 0, *out = want + i * stride + h * d, *off = slack + i * stride + h * d;
            for (int j = 0; j < d; j++)
                sum += (double)in[j] * in[j];
            for (int j = 0; j < d; j++)
                v[j] = in[j] / sqrt(sum / d + 1e-6) * weight->x[j];
            for (int j = 0; j < d; j++) {
                out[j] = v[j];
                off[j] = sum_error(d / 2.0 + 4, fabs(v[j]));
            }
            for (int j = 0; j < half && turned; j++) {
                double c = rope->x[i * d + j], s = rope->x[i * d + half + j];
                out[j] = v[j] * c - v[half + j] * s;
                out[half + j] = v[half + j] * c + v[j] * s;
                off[j] = sum_error(d / 2.0 + 6, fabs(v[j] * c) + fabs(v[half + j] * s));
                off[half + j] = sum_error(d / 2.0 + 6, fabs(v[half + j] * c) + fabs(v[j] * s));
            }
        }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(x);
        on->kn.head_norm_rope(on->stream, x->p, n, stride, heads, d, weight->p,
                              turned ? rope->p : NULL, 1e-6f);
        buffer_result(x, run);
    }
    check_within(x, want, slack);
    end_case(on);
}

void check_head_norm_rope(backend *on)
{
    static const int widths[] = {1, 2, 6, 16, 24, 32, 64, 96, 128, 256};
    int sizes[7], n_sizes = tile_sizes(sizes, 16, on->quick ? 20 : 120);
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int s = 0; s < n_sizes; s++)
            for (int turned = 0; turned < 2; turned++)
                check_shape(on, sizes[s], s % 2 ? 3 : 8, widths[w], 8 * (s % 3), turned, 0);
    check_shape(on, 3, 2, 24, 5, true, 0);
    check_shape(on, 3, 2, 64, 5, true, 0); /* rows off their alignment */
    check_shape(on, 9, 6, 64, 8, true, 1);
    check_shape(on, on->quick ? 40 : 5000, 12, 64, 0, true, 0);
}

typedef struct heads {
    char *x;
    float *weight, *rope;
    int n, heads, d, stride, copies;
    size_t bytes;
} heads;

static void run(backend *on, void *user, int turn)
{
    heads *r = user;
    on->kn.head_norm_rope(on->stream, r->x + (size_t)(turn % r->copies) * r->bytes, r->n, r->stride,
                          r->heads, r->d, r->weight, r->rope, 1e-6f);
}

void bench_head_norm_rope(backend *on)
{
    static const int shapes[][2] = {{6, 64}, {28, 128}}; /* heads, d */
    size_t number = on->kn.type == SX_F32 ? 4 : 2;
    for (int s = 0; s < 2; s++) {
        heads r = {.n = on->gpu ? 65536 : 2048, .heads = shapes[s][0], .d = shapes[s][1]};
        char what[64];
        r.stride = r.heads * r.d * 3; /* q beside k and v */
        r.bytes = (size_t)r.n * (size_t)r.stride * number;
        r.copies = bench_copies(on, r.bytes / 3);
        r.x = bench_values(on, r.bytes / number * (size_t)r.copies, on->kn.type);
        r.weight = bench_values(on, (size_t)r.d, SX_F32);
        r.rope = bench_values(on, (size_t)r.n * (size_t)r.d, SX_F32);
        snprintf(what, sizeof what, "head_norm_rope n %d heads %d d %d", r.n, r.heads, r.d);
        measure(on, what, 2.0 * (double)r.bytes / 3 + 4.0 * r.n * r.d, 0, run, &r);
        end_case(on);
    }
}
