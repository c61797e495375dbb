/* gather_attention.c: question tokens over their own tokens and the rows of their selected blocks,
 * for every format of kept rows, runs of any length, and every number of parts a token's runs can
 * be cut into. The reference sees the numbers the rows hold, so quantisation is no excuse. */
#include "tests/kernelcheck/harness.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_name[] = {"f32", "bf16", "i8", "f8"};

typedef struct shape {
    sx_type format;
    int heads, kv_heads, d, n, n_before, runs; /* most runs of a token */
    int rows;                                  /* most rows of a run; < 0: of every run */
    float size;                                /* of q: how sharp the softmax is */
} shape;

/* Everything of a case, on the device and as double. */
typedef struct question {
    shape s;
    buffer *q, *own_k, *own_v, *run, *run_rows, *first_run, *work, *o, *mass;
    double *want, *slack, *want_mass, *mass_slack;
    int n_runs, q_stride, own_stride;
    float scale;
} question;

static void prepare(backend *on, question *a)
{
    enum { POOL = 400 }; /* kept rows, that runs begin anywhere in */
    const shape *s = &a->s;
    const int width = s->kv_heads * s->d, group = s->heads / s->kv_heads, d = s->d;
    const int own = s->n_before + s->n, most = abs(s->rows);
    size_t row = sx_kv_row_bytes(s->format, s->kv_heads, d);
    int32_t *first = host_memory(on, sizeof *first * (size_t)(s->n + 1));

    a->q_stride = s->heads * d + 16;
    a->own_stride = width + 8;
    a->scale = 1.0f / sqrtf((float)d);
    a->q = buffer_random(on, (size_t)s->n * a->q_stride, on->kn.type, s->size);
    a->own_k = buffer_random(on, (size_t)own * a->own_stride, on->kn.type, 1.0f);
    a->own_v = buffer_random(on, (size_t)own * a->own_stride, on->kn.type, 1.0f);

    /* kept rows, made by the reference, and what they hold */
    size_t numbers_kept = (size_t)(POOL + most) * width;
    float *k = host_memory(on, sizeof *k * numbers_kept),
          *v = host_memory(on, sizeof *v * numbers_kept);
    char *kept = host_memory(on, (POOL + (size_t)most) * row);
    for (size_t i = 0; i < numbers_kept; i++) {
        k[i] = uniform();
        v[i] = uniform();
    }
    sx_kv_pack_c(NULL, kept, s->format, k, v, POOL + most, width, s->kv_heads, d);
    sx_kv_unpack_c(NULL, k, v, kept, s->format, POOL + most, width, s->kv_heads, d);
    buffer *rows = buffer_bytes(on, kept, (POOL + (size_t)most) * row);

    for (int i = 0; i < s->n; i++) /* the first token has all, others some or none */
        first[i + 1] = first[i] + (i == 0 || s->rows < 0 ? s->runs : between(0, s->runs));
    a->n_runs = first[s->n];
    int *start = host_memory(on, sizeof *start * (size_t)a->n_runs);
    int32_t *length = host_memory(on, sizeof *length * (size_t)a->n_runs);
    const void **place = host_memory(on, sizeof *place * (size_t)a->n_runs);
    int64_t most_rows = 0;
    for (int i = 0; i < s->n; i++) {
        int64_t sees = s->n_before + i + 1;
        for (int r = first[i]; r < first[i + 1]; r++) {
            static const int edges[] = {0, 1, 15, 16, 17, 31, 32, 33, 63, 64, 65};
            start[r] = r > first[i] && between(0, 3) == 0 ? start[r - 1] : between(0, POOL - 1);
            length[r] = s->rows < 0                    ? most
                        : edges[between(0, 10)] < most ? edges[between(0, 10)]
                                                       : most;
            length[r] = length[r] < most ? length[r] : most;
            place[r] = (char *)rows->p + (size_t)start[r] * row;
            sees += length[r];
        }
        most_rows = sees > most_rows ? sees : most_rows;
    }
    a->run = buffer_bytes(on, place, sizeof *place * (size_t)a->n_runs);
    a->run_rows = buffer_bytes(on, length, sizeof *length * (size_t)a->n_runs);
    a->first_run = buffer_bytes(on, first, sizeof *first * (size_t)(s->n + 1));
    a->work = buffer_work(
        on, sx_gather_attention_work(s->n, a->n_runs, most_rows, s->heads, s->kv_heads, d));
    a->o = buffer_new(on, (size_t)s->n * s->heads * d, on->kn.type);
    a->mass = buffer_new(on, (size_t)a->n_runs, SX_F32);

    a->want = numbers(on, (size_t)s->n * s->heads * d);
    a->slack = numbers(on, (size_t)s->n * s->heads * d);
    a->want_mass = numbers(on, (size_t)a->n_runs);
    a->mass_slack = numbers(on, (size_t)a->n_runs);
    double *p = numbers(on, (size_t)most_rows);
    const float **value = host_memory(on, sizeof *value * (size_t)most_rows);
    int *run_of = host_memory(on, sizeof *run_of * (size_t)most_rows);
    for (int i = 0; i < s->n; i++)
        for (int h = 0; h < s->heads; h++) {
            const float *query = a->q->x + (size_t)i * a->q_stride + (size_t)h * d;
            double *want = a->want + ((size_t)i * s->heads + h) * d, sum = 0.0, off = 0.0;
            double *slack = a->slack + ((size_t)i * s->heads + h) * d;
            int n = 0, kv = h / group;
            for (int t = 0; t <= s->n_before + i; t++, n++)
                run_of[n] = -1 - t;
            for (int r = first[i]; r < first[i + 1]; r++)
                for (int t = 0; t < length[r]; t++, n++)
                    run_of[n] = r;
            for (int j = 0, t = 0; j < n; j++) {
                bool kept_row = run_of[j] >= 0;
                double dot = 0.0, magnitude = 0.0;
                t = kept_row && j && run_of[j] == run_of[j - 1] ? t + 1 : 0;
                const float *key = kept_row ? k + (size_t)(start[run_of[j]] + t) * width
                                            : a->own_k->x + (size_t)j * a->own_stride;
                value[j] = kept_row ? v + (size_t)(start[run_of[j]] + t) * width
                                    : a->own_v->x + (size_t)j * a->own_stride;
                for (int e = 0; e < d; e++) {
                    dot += (double)query[e] * key[kv * d + e];
                    magnitude += fabs((double)query[e] * key[kv * d + e]);
                }
                sum += p[j] = exp(dot * a->scale);
                /* a score is off by this, and so its share by twice as much (times e) */
                off = fmax(off, sum_error(d + 4, magnitude * a->scale));
            }
            off = 3.0 * off + sum_error(n + 8, 1.0);
            for (int j = 0; j < n; j++) {
                p[j] /= sum;
                for (int e = 0; e < d; e++) {
                    want[e] += p[j] * value[j][kv * d + e];
                    slack[e] += p[j] * fabs(value[j][kv * d + e]);
                }
                if (run_of[j] >= 0) {
                    a->want_mass[run_of[j]] += p[j] / s->heads;
                    a->mass_slack[run_of[j]] += p[j] / s->heads * off;
                }
            }
            /* where numbers are bfloat16, shares may be rounded before they multiply v */
            for (int e = 0; e < d; e++)
                slack[e] *= off + (on->kn.type == SX_BF16 ? 0x1p-8 : 0.0);
        }
}

static void attend(backend *on, const question *a, sx_stream *stream)
{
    const shape *s = &a->s;
    on->kn.gather_attention(stream, a->o->p, a->mass->p, a->q->p, a->q_stride, s->n, a->own_k->p,
                            a->own_v->p, s->n_before, a->own_stride, a->run->p, a->run_rows->p,
                            a->first_run->p, a->n_runs, s->format, s->heads, s->kv_heads, s->d,
                            a->scale, a->work->p);
}

static void compare(const question *a)
{
    const int32_t *length = a->run_rows->raw;
    check_within(a->o, a->want, a->slack);
    check_within(a->mass, a->want_mass, a->mass_slack);
    for (int r = 0; r < a->n_runs; r++)
        if (length[r] == 0)
            expect(a->mass->x[r] == 0.0f, "the empty run %d has mass %g", r, (double)a->mass->x[r]);
}

static void name_case(backend *on, const shape *s)
{
    begin_case(on, "%s, heads %d of %d, d %d, n %d after %d, %d runs of %d", format_name[s->format],
               s->heads, s->kv_heads, s->d, s->n, s->n_before, s->runs, s->rows);
}

static void check_shape(backend *on, shape s)
{
    question a = {.s = s};
    name_case(on, &s);
    prepare(on, &a);
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(a.o);
        buffer_reset(a.mass);
        attend(on, &a, on->stream);
        buffer_result(a.o, run);
        buffer_result(a.mass, run);
    }
    compare(&a);
    end_case(on);
}

/* The same question with every number of splits; a stream has the number of when it was made. */
static void check_splits(backend *on, shape s, int most)
{
    char err[256] = "", number[16];
    question a = {.s = s};
    name_case(on, &s);
    prepare(on, &a);
    for (int splits = 1; splits <= most; splits++) {
        snprintf(number, sizeof number, "%d", splits);
        setenv("SPARSEX_SPLITS", number, 1);
        sx_stream *stream = on->kn.stream_new(0, err, sizeof err);
        unsetenv("SPARSEX_SPLITS");
        if (!expect(stream != NULL, "%s", err))
            break;
        buffer_reset(a.o);
        buffer_reset(a.mass);
        bool ok = !on->kn.sync(on->stream, err, sizeof err); /* another queue comes next */
        attend(on, &a, stream);
        ok = ok && !on->kn.sync(stream, err, sizeof err);
        on->kn.stream_free(stream);
        if (!expect(ok, "%d splits: %s", splits, err))
            break;
        buffer_result(a.o, 0);
        buffer_result(a.mass, 0);
        compare(&a);
    }
    end_case(on);
}

void check_gather_attention(backend *on)
{
    static const int heads[][3] = {/* heads, kv heads, d */
                                   {4, 2, 64}, {28, 4, 128}, {6, 6, 64}, {16, 1, 128}, {9, 1, 64},
                                   {8, 1, 64}, {6, 2, 48},   {3, 3, 16}, {24, 2, 112}};
    for (int f = on->gpu ? SX_BF16 : SX_F32; f <= SX_F8; f++) {
        sx_type format = (sx_type)f;
        for (int i = 0; i < 9; i++) {
            const int h = heads[i][0], kv = heads[i][1], d = heads[i][2];
            check_shape(on, (shape){format, h, kv, d, 1, 0, 0, 0, 1.0f}); /* itself alone */
            check_shape(on, (shape){format, h, kv, d, 2, 3, 5, 65, 1.0f});
            check_shape(on, (shape){format, h, kv, d, 1, 63, 3, 64, 8.0f});
            if (on->quick)
                continue;
            check_shape(on, (shape){format, h, kv, d, 5, 62, 40, 17, 1.0f});
            check_shape(on, (shape){format, h, kv, d, 3, 130, 17, -64, 4.0f});
            check_shape(on, (shape){format, h, kv, d, 1, 15, 1, -300, 1.0f});
            check_shape(on, (shape){format, h, kv, d, 4, 0, 3, -0, 1.0f}); /* empty runs only */
        }
        if (!on->gpu)
            continue;
        check_splits(on, (shape){format, 28, 4, 128, 2, 70, 40, 33, 2.0f}, on->quick ? 5 : 42);
        if (!on->quick)
            check_splits(on, (shape){format, 7, 1, 64, 1, 3, 270, 2, 1.0f}, 2 * 132);
    }
    if (!on->gpu)
        check_shape(on, (shape){SX_I8, 6, 2, 24, 2, 3, 5, 65, 1.0f}); /* no whole vectors */
}

typedef struct gathering {
    void *q, *own, *o, *work;
    float *mass;
    const void **run; /* [copies, n_runs] */
    int32_t *run_rows, *first_run;
    int n, blocks, heads, kv_heads, d, n_before, copies;
    sx_type format;
} gathering;

enum { BLOCK = 64 };

static void run(backend *on, void *user, int turn)
{
    gathering *g = user;
    int n_runs = g->n * g->blocks;
    on->kn.gather_attention(on->stream, g->o, g->mass, g->q, g->heads * g->d, g->n, g->own, g->own,
                            g->n_before, g->kv_heads * g->d,
                            g->run + (size_t)(turn % g->copies) * n_runs, g->run_rows, g->first_run,
                            n_runs, g->format, g->heads, g->kv_heads, g->d, 0.088f, g->work);
}

static void bench_shape(backend *on, gathering g, int64_t tokens)
{
    size_t row = sx_kv_row_bytes(g.format, g.kv_heads, g.d), number = on->kn.type == SX_F32 ? 4 : 2;
    size_t n_runs = (size_t)g.n * g.blocks, own = (size_t)(g.n_before + g.n) * g.kv_heads * g.d;
    double bytes = (double)n_runs * BLOCK * (double)row, rows = (double)n_runs * BLOCK;
    const int piece = 4096; /* tokens that are packed, again and again */
    char what[96];

    g.copies = bench_copies(on, (size_t)bytes);
    const void **run_of = host_memory(on, sizeof *run_of * n_runs * g.copies);
    int32_t *length = host_memory(on, sizeof *length * n_runs);
    int32_t *first = host_memory(on, sizeof *first * (size_t)(g.n + 1));
    char *kept = bench_memory(on, (size_t)tokens * row);
    char *k = bench_values(on, (size_t)piece * g.kv_heads * g.d, on->kn.type);
    char *v = bench_values(on, (size_t)piece * g.kv_heads * g.d, on->kn.type);
    for (int64_t t = 0; t + piece <= tokens; t += piece)
        on->kn.kv_pack(on->stream, kept + (size_t)t * row, g.format, k, v, piece, g.kv_heads * g.d,
                       g.kv_heads, g.d);
    for (size_t i = 0; i < n_runs * g.copies; i++)
        run_of[i] = kept + (size_t)between(0, (int)(tokens / BLOCK) - 1) * BLOCK * row;
    for (size_t i = 0; i < n_runs; i++)
        length[i] = BLOCK;
    for (int i = 0; i < g.n; i++) {
        first[i + 1] = (i + 1) * g.blocks;
        rows += g.n_before + i + 1;
    }
    g.run = bench_upload(on, run_of, sizeof *run_of * n_runs * g.copies);
    g.run_rows = bench_upload(on, length, sizeof *length * n_runs);
    g.first_run = bench_upload(on, first, sizeof *first * (size_t)(g.n + 1));
    g.q = bench_values(on, (size_t)g.n * g.heads * g.d, on->kn.type);
    g.own = bench_values(on, own, on->kn.type);
    g.o = bench_memory(on, (size_t)g.n * g.heads * g.d * number);
    g.mass = bench_memory(on, sizeof(float) * n_runs);
    g.work = bench_memory(on, sx_gather_attention_work(g.n, (int)n_runs,
                                                       g.blocks * BLOCK + g.n_before + g.n, g.heads,
                                                       g.kv_heads, g.d));
    snprintf(what, sizeof what, "%s, %d tokens x %d blocks, %d/%d heads d%d", format_name[g.format],
             g.n, g.blocks, g.heads, g.kv_heads, g.d);
    measure(on, what, bytes + 2.0 * (double)own * (double)number, 4.0 * rows * g.heads * g.d, run,
            &g);
    end_case(on);
}

void bench_gather_attention(backend *on)
{
    const int64_t tokens = on->quick ? 8192 : !on->gpu ? 1 << 16 : on->large ? 1 << 25 : 1 << 22;
    const sx_type formats[] = {on->kn.type, SX_I8, SX_F8};
    for (int f = 0; f < 3; f++) {
        gathering g = {.blocks = 16, .heads = 28, .kv_heads = 4, .d = 128, .format = formats[f]};
        for (int n = on->gpu ? 64 : 4; n; n /= on->gpu ? 8 : 4) {
            g.n = n;
            bench_shape(on, g, tokens);
        }
    }
    /* the bundled model's own shape */
    bench_shape(on,
                (gathering){.n = on->gpu ? 64 : 4,
                            .blocks = 16,
                            .heads = 6,
                            .kv_heads = 6,
                            .d = 64,
                            .format = SX_I8},
                tokens);
}
