/* encode_bench.c: how fast a context is encoded, and which share of the machine's matrix peak that
 * is.
 *
 *   encode_bench MODEL_DIR FILE [THREADS]
 *
 * FILE's tokens fill whole segments. The peak is a 1024 x 1024 x 1024 float32 product by the same
 * library, every thread its own, measured in the same run. Prints medians of 5. */
#include "engine/engine_private.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPEATS 5
#define SIDE    1024

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *x)
{
    qsort(x, REPEATS, sizeof *x, by_value);
    return x[REPEATS / 2];
}

typedef struct work {
    const uint32_t *ids;
    uint32_t segment, n_segments, next;
} work;

static int source(sx_encode_input *in, void *user)
{
    work *w = user;
    if (w->next == w->n_segments)
        return 0;
    in->n_tokens = w->segment;
    in->n_blocks = (w->segment + 63) / 64;
    in->tokens = malloc(sizeof(uint32_t) * w->segment);
    in->block_starts = malloc(sizeof(uint32_t) * in->n_blocks);
    memcpy(in->tokens, w->ids + (size_t)w->next * w->segment, sizeof(uint32_t) * w->segment);
    for (uint32_t b = 0; b < in->n_blocks; b++)
        in->block_starts[b] = b * 64;
    w->next++;
    return 1;
}

static int sink(const sx_encode_output *out, void *user)
{
    (void)out;
    (void)user;
    return 0;
}

static void *peak_worker(void *arg)
{
    const sx_kernels *kn = arg;
    size_t n = (size_t)SIDE * SIDE;
    float *x = calloc(n, sizeof *x), *y = calloc(n, sizeof *y);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)(i % 97) / 97.0f;
    sx_matrix *w = kn->matrix_new(x, SIDE, SIDE);
    kn->matmul_threads(1);
    for (int i = 0; i < 20; i++)
        kn->matmul(NULL, y, x, w, SIDE, false);
    kn->matrix_free(w);
    free(x);
    free(y);
    return NULL;
}

int main(int argc, char **argv)
{
    char err[512];
    sx_engine *engine = NULL;
    double tokens_s[REPEATS], peak[REPEATS];

    if (argc < 3)
        return 2;
    sx_engine_options options = {.model_dir = argv[1], .threads = argc > 3 ? atoi(argv[3]) : 0};
    if (sx_engine_open(&engine, &options, err, sizeof err) < 0) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    FILE *f = fopen(argv[2], "rb");
    size_t cap = 1 << 20;
    uint8_t *bytes = malloc(cap);
    size_t n = f ? fread(bytes, 1, cap, f) : 0;
    if (f)
        fclose(f);
    uint32_t *ids = malloc(sizeof *ids * (n + 1)), *ends = malloc(sizeof *ends * (n + 1));
    size_t n_tokens = sx_engine_tokenize(engine, bytes, n, ids, ends);
    const sx_config *c = &engine->transformer->config;
    const sx_transformer *t = engine->transformer;
    work w = {ids, c->segment_tokens, (uint32_t)(n_tokens / c->segment_tokens), 0};
    if (w.n_segments > 12)
        w.n_segments = 12;
    if (w.n_segments == 0) {
        fprintf(stderr, "%s: fewer than %u tokens\n", argv[2], c->segment_tokens);
        return 1;
    }
    size_t total = (size_t)w.n_segments * w.segment;

    for (int r = 0; r < REPEATS; r++) {
        pthread_t threads[256];
        double start = now();
        for (int i = 0; i < engine->threads && i < 256; i++)
            pthread_create(&threads[i], NULL, peak_worker, (void *)(uintptr_t)&t->kn);
        for (int i = 0; i < engine->threads && i < 256; i++)
            pthread_join(threads[i], NULL);
        peak[r] = 20.0 * engine->threads * 2.0 * SIDE * SIDE * SIDE / (now() - start) * 1e-9;
        w.next = 0;
        start = now();
        if (sx_encode(engine, source, sink, &w, NULL, err, sizeof err) < 0) {
            fprintf(stderr, "%s\n", err);
            return 1;
        }
        tokens_s[r] = (double)total / (now() - start);
    }
    /* arithmetic of a token: the dense products of the layers that a context runs, and window
     * attention */
    double dense = 0, attention = 0, keys = 0;
    int last = (int)c->global_layers[c->n_global - 1];
    for (uint32_t i = 0; i < w.segment; i++)
        keys += i + 1 < c->sliding_window ? i + 1 : c->sliding_window;
    keys /= w.segment;
    for (int l = 0; l <= last; l++) {
        dense += 2.0 * t->d * t->qkv_width +
                 (t->layers[l].global >= 0 ? 2.0 * t->d * (t->landmark_dim + 1) : 0);
        if (l < last) {
            dense += 2.0 * t->heads * t->head_dim * t->d + 6.0 * t->d * t->ffn;
            attention += 4.0 * t->heads * t->head_dim * keys;
        }
    }
    double speed = median(tokens_s), top = median(peak);
    printf("%s: %zu tokens in segments of %u, %s\n", argv[2], total, w.segment,
           engine->info.device);
    printf("encode     %9.0f tokens/s (%.0f-%.0f)\n", speed, tokens_s[0], tokens_s[REPEATS - 1]);
    printf("arithmetic %9.1f GFLOP/s: %.1f MFLOP a token dense, %.1f attention\n",
           speed * (dense + attention) * 1e-9, dense * 1e-6, attention * 1e-6);
    printf("peak       %9.1f GFLOP/s float32 product of %d\n", top, SIDE);
    printf("share of peak %.2f\n", speed * (dense + attention) * 1e-9 / top);
    free(ids);
    free(ends);
    free(bytes);
    sx_engine_close(engine);
    return 0;
}
