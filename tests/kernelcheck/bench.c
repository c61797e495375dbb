/* bench.c: medians of repeated runs, and what the machine can do at most, measured in the same
 * process through the same table. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef SX_HAVE_X86
#include <immintrin.h>
#endif

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void finish(backend *on)
{
    char err[512] = "";
    if (on->kn.sync(on->stream, err, sizeof err)) {
        printf("%s: %s\n", on->name, err);
        exit(1);
    }
}

void *bench_memory(backend *on, size_t bytes)
{
    void *p = on->kn.alloc(on->stream, bytes ? bytes : 1);
    if (!p || !(on->device = realloc(on->device, (on->n_device + 1) * sizeof *on->device))) {
        printf("memory is short: %zu bytes\n", bytes);
        exit(2);
    }
    return on->device[on->n_device++] = p;
}

void *bench_upload(backend *on, const void *data, size_t bytes)
{
    void *p = bench_memory(on, bytes);
    on->kn.upload(on->stream, p, data, bytes);
    finish(on);
    return p;
}

void *bench_values(backend *on, size_t n, sx_type type)
{
    size_t size = type == SX_F32 ? 4 : type == SX_BF16 ? 2 : 1;
    /* of an odd length, so that no two rows or blocks of an operand are the same: equal ones would
     * be selected together, and found in the cache */
    const size_t most = (1 << 20) + 24;
    size_t piece = n < most ? n : most, at;
    char *host = malloc(piece * size + 1), *p = bench_memory(on, n * size);

    for (size_t i = 0; i < piece; i++) {
        float x = normal();
        uint32_t bits;
        memcpy(&bits, &x, 4);
        if (size == 4)
            memcpy(host + 4 * i, &x, 4);
        else if (size == 2)
            memcpy(host + 2 * i, (uint16_t[]){(uint16_t)(bits >> 16)}, 2);
        else /* a byte of I8; as F8 any but the NaNs */
            host[i] = (char)((bits >> 8 & 127) == 127 ? 0 : bits >> 8 & 255);
    }
    on->kn.upload(on->stream, p, host, piece * size);
    for (at = piece; at < n; at *= 2) /* the same again and again, from the device's own memory */
        on->kn.upload(on->stream, p + at * size, p, (n - at < at ? n - at : at) * size);
    finish(on);
    free(host);
    return p;
}

int bench_copies(const backend *on, size_t bytes)
{
    long cache = on->gpu ? 64 << 20 : sysconf(_SC_LEVEL3_CACHE_SIZE);
    size_t want = 2 * (size_t)(cache > 0 ? cache : 32 << 20);
    if (on->quick)
        return 1;
    return bytes >= want ? 2 : want / (bytes ? bytes : 1) >= 64 ? 64 : (int)(want / bytes) + 1;
}

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median_time(backend *on, void (*run)(backend *on, void *user, int turn), void *user)
{
    enum { BATCHES = 15 };
    double times[BATCHES], least = on->quick ? 1e-4 : on->gpu ? 4e-3 : 2e-2;
    int turn = 0, many = 1, batches = 0;

    run(on, user, turn++); /* what a first call makes is made */
    finish(on);
    for (double t = 0; t < least && many < 1 << 20; many *= 2) { /* runs enough for the clock */
        double start = now();
        for (int i = 0; i < many; i++)
            run(on, user, turn++);
        finish(on);
        if ((t = now() - start) >= least)
            break;
    }
    for (double begin = now(); batches < BATCHES && (batches < 3 || now() - begin < 2); batches++) {
        double start = now();
        for (int i = 0; i < many; i++)
            run(on, user, turn++);
        finish(on);
        times[batches] = (now() - start) / many;
    }
    qsort(times, (size_t)batches, sizeof *times, ascending);
    return times[batches / 2];
}

static FILE *json;

void bench_json(const char *path)
{
    if (!(json = fopen(path, "w"))) {
        perror(path);
        exit(2);
    }
}

/* what: a name without quotes or backslashes, as those of the operations are. */
static void record(const backend *on, const char *what, double seconds, double bytes, double flop)
{
    if (!json)
        return;
    fprintf(json,
            "{\"backend\": \"%s\", \"what\": \"%s\", \"seconds\": %.9g, \"bytes\": %.17g, "
            "\"flop\": %.17g}\n",
            on->name, what, seconds, bytes, flop);
    fflush(json);
}

double measure(backend *on, const char *what, double bytes, double flop,
               void (*run)(backend *on, void *user, int turn), void *user)
{
    double t = median_time(on, run, user);
    record(on, what, t, bytes, flop);
    printf("%-12s %-46s %11.2f us %8.1f GB/s %5.1f %%", on->name, what, t * 1e6, bytes / t * 1e-9,
           100.0 * bytes / t / on->bytes_per_s);
    if (flop > 0)
        printf(" %9.1f GFLOP/s %5.1f %%", flop / t * 1e-9, 100.0 * flop / t / on->flop_per_s);
    printf("\n");
    fflush(stdout);
    return t;
}

/* ---- peaks ---- */

typedef struct copying {
    char *to, *from;
    size_t bytes;
} copying;

static void run_copy(backend *on, void *user, int turn)
{
    copying *c = user; /* where both are the device's, upload copies there */
    on->kn.upload(on->stream, c->to, c->from, c->bytes);
}

typedef struct multiplying {
    void *x, *y;
    sx_matrix *w;
    int n;
} multiplying;

static void run_product(backend *on, void *user, int turn)
{
    multiplying *m = user;
    on->kn.matmul(on->stream, m->y, m->x, m->w, m->n, false);
}

#ifdef SX_HAVE_X86
/* Ten independent chains of fused multiply-adds: more than the latency hides. */
__attribute__((target("avx2,fma"))) static float fma_avx2(long n)
{
    __m256 x[10], scale = _mm256_set1_ps(0.999f), one = _mm256_set1_ps(0.001f);
    float sum = 0.0f;
    for (int i = 0; i < 10; i++)
        x[i] = _mm256_set1_ps((float)i);
    for (long k = 0; k < n; k++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            x[i] = _mm256_fmadd_ps(x[i], scale, one);
    for (int i = 0; i < 10; i++)
        sum += _mm256_cvtss_f32(x[i]);
    return sum;
}

__attribute__((target("avx512f"))) static float fma_avx512(long n)
{
    __m512 x[10], scale = _mm512_set1_ps(0.999f), one = _mm512_set1_ps(0.001f);
    float sum = 0.0f;
    for (int i = 0; i < 10; i++)
        x[i] = _mm512_set1_ps((float)i);
    for (long k = 0; k < n; k++)
#pragma GCC unroll 10
        for (int i = 0; i < 10; i++)
            x[i] = _mm512_fmadd_ps(x[i], scale, one);
    for (int i = 0; i < 10; i++)
        sum += _mm512_cvtss_f32(x[i]);
    return sum;
}
#endif

/* The reference: what a compiler makes of the baseline. */
static float fma_c(long n)
{
    float x[40], sum = 0.0f;
    for (int i = 0; i < 40; i++)
        x[i] = (float)i;
    for (long k = 0; k < n; k++)
        for (int i = 0; i < 40; i++)
            x[i] = x[i] * 0.999f + 0.001f;
    for (int i = 0; i < 40; i++)
        sum += x[i];
    return sum;
}

static void run_fma(backend *on, void *user, int turn)
{
    volatile float *sink = user;
#ifdef SX_HAVE_X86
    *sink = on->kn.isa >= SX_ISA_AVX512 ? fma_avx512(100000)
            : on->kn.isa == SX_ISA_AVX2 ? fma_avx2(100000)
                                        : fma_c(100000);
#else
    *sink = fma_c(100000);
#endif
}

void measure_peak(backend *on)
{
    copying c = {.bytes = on->quick ? 1 << 20 : on->gpu ? (size_t)1 << 31 : (size_t)256 << 20};
    float sink = 0.0f;
    double t;

    c.from = bench_values(on, c.bytes / 4, SX_F32);
    c.to = bench_memory(on, c.bytes);
    on->bytes_per_s = 2.0 * (double)c.bytes / median_time(on, run_copy, &c);
    if (on->gpu) {
        enum { N = 8192 };
        size_t n = on->quick ? 256 : N;
        float *w = malloc(sizeof *w * n * n);
        multiplying m = {.n = (int)n};
        for (size_t i = 0; i < n * n; i++)
            w[i] = uniform();
        m.x = bench_values(on, n * n, on->kn.type);
        m.y = bench_memory(on, n * n * 2);
        m.w = on->kn.matrix_new(w, (int)n, (int)n);
        on->flop_per_s = m.w ? 2.0 * (double)n * (double)n * (double)n /
                                   median_time(on, run_product, &m)
                             : NAN;
        on->kn.matrix_free(m.w);
        free(w);
    } else {
        int wide = on->kn.isa >= SX_ISA_AVX512 ? 160 : on->kn.isa == SX_ISA_AVX2 ? 80 : 40;
        t = median_time(on, run_fma, &sink);
        on->flop_per_s = 2.0 * wide * 100000 / t;
    }
    record(on, "peak copy", 1.0, on->bytes_per_s, 0);
    record(on, "peak product", 1.0, 0, on->flop_per_s);
    printf("%-12s peak: copy %.1f GB/s (read and written), %s %.1f GFLOP/s\n", on->name,
           on->bytes_per_s * 1e-9, on->gpu ? "large product" : "multiply-add of one core",
           on->flop_per_s * 1e-9);
    end_case(on);
}
