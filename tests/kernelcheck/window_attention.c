/* window_attention.c: causal attention inside a sliding window, segment by segment. */
#include "tests/kernelcheck/harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>

static void check_shape(backend *on, int length, int second, int window, int d)
{
    int heads = 4, kv_heads = 2, n = length + second, longest = length > second ? length : second;
    int segment[] = {0, length, n}, stride = (heads + 2 * kv_heads) * d + 8;
    float scale = 1.0f / sqrtf((float)d);
    size_t size = (size_t)n * (size_t)(heads * d);

    begin_case(on, "lengths %d %d window %d d %d", length, second, window, d);
    buffer *qkv = buffer_random(on, (size_t)n * (size_t)stride, on->kn.type, 1.0f);
    buffer *o = buffer_new(on, size, on->kn.type);
    buffer *start = buffer_bytes(on, segment, sizeof segment);
    buffer *work = buffer_work(on, sx_window_attention_work(n, 2, longest, d, window));
    double *want = numbers(on, size), *slack = numbers(on, size), *p = numbers(on, (size_t)n);
    const float *q = qkv->x, *k = q + heads * d, *v = k + kv_heads * d;

    for (int s = 0; s < 2; s++)
        for (int i = segment[s]; i < segment[s + 1]; i++)
            for (int h = 0; h < heads; h++) {
                int first = i - window + 1 > segment[s] ? i - window + 1 : segment[s];
                double sum = 0;
                for (int j = first; j <= i; j++) {
                    double dot = 0;
                    for (int e = 0; e < d; e++)
                        dot += (double)q[(size_t)i * stride + h * d + e] *
                               k[(size_t)j * stride + h / 2 * d + e];
                    sum += p[j] = exp(dot * scale);
                }
                for (int e = 0; e < d; e++) {
                    double x = 0, weight = 0;
                    for (int j = first; j <= i; j++) {
                        double term = p[j] / sum * v[(size_t)j * stride + h / 2 * d + e];
                        x += term;
                        weight += fabs(term);
                    }
                    want[((size_t)i * heads + h) * d + e] = x;
                    /* a GPU rounds each share to bfloat16 before it multiplies by v */
                    slack[((size_t)i * heads + h) * d + e] =
                        (d + 16) * FLT_EPSILON * (1 + fabs(x)) +
                        (on->kn.type == SX_BF16 ? 0x1p-8 * weight : 0);
                }
            }
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(o);
        on->kn.window_attention(on->stream, o->p, qkv->p, buffer_at(qkv, (size_t)(heads * d)),
                                buffer_at(qkv, (size_t)((heads + kv_heads) * d)), stride, start->p,
                                2, n, heads, kv_heads, d, window, scale, work->p);
        buffer_result(o, run);
    }
    check_within(o, want, slack);
    end_case(on);
}

void check_window_attention(backend *on)
{
    static const int lengths[] = {0, 1, 2, 15, 16, 17, 63, 64, 65, 127, 128, 129, 300};
    static const int windows[] = {1, 2, 16, 33, 64, 512};
    static const int dims[] = {8, 24, 64, 128};
    for (size_t a = 0; a < sizeof lengths / sizeof *lengths - (on->quick ? 1 : 0); a++)
        for (size_t b = 0; b < sizeof windows / sizeof *windows; b++)
            for (size_t c = on->gpu ? 2 : 0; c < sizeof dims / sizeof *dims; c++)
                if (!on->quick || (a + b) % 4 == 0) /* a GPU has the dims 64 and 128 */
                    check_shape(on, lengths[a], (int)a + 3, windows[b], dims[c]);
}

typedef struct windowed {
    char *qkv, *o;
    int32_t *start;
    void *work;
    int n, heads, kv_heads, d, window, segments, copies;
    size_t bytes, number;
} windowed;

static void run(backend *on, void *user, int turn)
{
    windowed *w = user;
    char *q = w->qkv + (size_t)(turn % w->copies) * w->bytes;
    char *k = q + (size_t)(w->heads * w->d) * w->number;
    char *v = k + (size_t)(w->kv_heads * w->d) * w->number;
    on->kn.window_attention(on->stream, w->o, q, k, v, (w->heads + 2 * w->kv_heads) * w->d,
                            w->start, w->segments, w->n, w->heads, w->kv_heads, w->d, w->window,
                            1.0f / sqrtf((float)w->d), w->work);
}

void bench_window_attention(backend *on)
{
    static const struct {
        int n, heads, kv_heads, d, window, longest;
    } shapes[] = {{1 << 17, 6, 6, 64, 512, 1536},
                  {1 << 17, 28, 4, 128, 512, 1 << 17},
                  {1 << 17, 28, 4, 128, 4096, 1 << 17},
                  {85 * 1536, 28, 4, 128, 512, 1536}};
    for (int s = 0; s < (on->gpu ? 4 : 1); s++) {
        windowed w = {.n = on->gpu ? shapes[s].n : 1536,
                      .heads = shapes[s].heads,
                      .kv_heads = shapes[s].kv_heads,
                      .d = shapes[s].d,
                      .window = shapes[s].window,
                      .number = on->kn.type == SX_F32 ? 4 : 2};
        int stride = (w.heads + 2 * w.kv_heads) * w.d;
        int32_t start[128]; /* of the segments, and the end */
        double pairs = 0;   /* of a query and a key that it sees */
        char what[64];

        for (int at = 0; at < w.n; at += shapes[s].longest) {
            int end = at + shapes[s].longest < w.n ? at + shapes[s].longest : w.n;
            start[w.segments++] = at;
            start[w.segments] = end;
            for (int i = 0; i < end - at; i++)
                pairs += i + 1 < w.window ? i + 1 : w.window;
        }
        w.bytes = (size_t)w.n * (size_t)stride * w.number;
        w.copies = bench_copies(on, w.bytes);
        w.qkv = bench_values(on, w.bytes / w.number * (size_t)w.copies, on->kn.type);
        w.o = bench_memory(on, (size_t)w.n * (size_t)(w.heads * w.d) * w.number);
        w.start = bench_upload(on, start, sizeof *start * (size_t)(w.segments + 1));
        w.work = bench_memory(
            on, sx_window_attention_work(w.n, w.segments, shapes[s].longest, w.d, w.window));
        snprintf(what, sizeof what, "%d x %d, %d/%d heads d%d, W %d", w.segments,
                 w.n < shapes[s].longest ? w.n : shapes[s].longest, w.heads, w.kv_heads, w.d,
                 w.window);
        measure(on, what, (double)w.bytes + (double)w.n * w.heads * w.d * (double)w.number,
                4.0 * pairs * w.heads * w.d, run, &w);
        end_case(on);
    }
}
