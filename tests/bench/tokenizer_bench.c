/* tokenizer_bench.c: MB/s of the tokenizer on one thread, on the files given, against memcpy and a
 * plain loop over the bytes. Median of repeats.
 *
 *     tokenizer_bench tokenizer.json FILE... */
#include "engine/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define REPEATS 9
#define VOCAB   (1u << 20)

typedef struct input {
    uint8_t *bytes, *copy;
    size_t n, *ends, n_files; /* ends[i]: byte behind file i */
    uint32_t *ids, *token_ends;
    const sx_tokenizer *tokenizer;
    uint64_t result;
} input;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static void run_memcpy(input *in)
{
    memcpy(in->copy, in->bytes, in->n);
    in->result = in->copy[in->n / 2];
}

static void run_byte_loop(input *in)
{
    uint64_t hash = 14695981039346656037u; /* FNV-1a: one dependent step a byte */

    for (size_t i = 0; i < in->n; i++)
        hash = (hash ^ in->bytes[i]) * 1099511628211u;
    in->result = hash;
}

static void run_tokenizer(input *in)
{
    size_t start = 0, tokens = 0;

    for (size_t i = 0; i < in->n_files; i++) {
        tokens += sx_tokenizer_encode(in->tokenizer, in->bytes + start, in->ends[i] - start,
                                      in->ids, in->token_ends);
        start = in->ends[i];
    }
    in->result = tokens;
}

static double measure(const char *name, void (*run)(input *), input *in)
{
    double seconds[REPEATS];

    for (int i = 0; i < REPEATS; i++) {
        double start = now();
        run(in);
        seconds[i] = now() - start;
    }
    qsort(seconds, REPEATS, sizeof *seconds, compare);
    printf("%-10s %9.1f MB/s  (best %.1f, worst %.1f)\n", name,
           1e-6 * (double)in->n / seconds[REPEATS / 2], 1e-6 * (double)in->n / seconds[0],
           1e-6 * (double)in->n / seconds[REPEATS - 1]);
    return (double)in->result;
}

/* Runs without a boundary, where other tokenizers need quadratic time: ms for one and two
 * megabytes. */
static void measure_runs(const sx_tokenizer *t)
{
    static const char *const units[] = {"Z", "A", "^", "\n", " ", "\xff", "ab"};
    const size_t n = 1000000;
    uint8_t *bytes = malloc(2 * n);
    uint32_t *ids = malloc(2 * n * sizeof *ids), *ends = malloc(2 * n * sizeof *ends);

    for (size_t i = 0; bytes && ids && ends && i < sizeof units / sizeof units[0]; i++) {
        double ms[2][REPEATS];
        for (size_t k = 0; k < 2 * n; k++)
            bytes[k] = (uint8_t)units[i][k % strlen(units[i])];
        for (int r = 0; r < REPEATS; r++) {
            for (size_t k = 0; k < 2; k++) {
                double start = now();
                sx_tokenizer_encode(t, bytes, (k + 1) * n, ids, ends);
                ms[k][r] = 1e3 * (now() - start);
            }
        }
        qsort(ms[0], REPEATS, sizeof(double), compare);
        qsort(ms[1], REPEATS, sizeof(double), compare);
        printf("run of %-4s %8.1f ms for 1 MB, %.2f times that for 2 MB\n",
               i == 3   ? "\\n"
               : i == 5 ? "\\xff"
                        : units[i],
               ms[0][REPEATS / 2], ms[1][REPEATS / 2] / ms[0][REPEATS / 2]);
    }
    free(bytes);
    free(ids);
    free(ends);
}

int main(int argc, char **argv)
{
    sx_tokenizer *t = NULL;
    input in = {0};
    size_t longest = 0;
    double opened = now(), tokens;
    char err[512];

    if (argc < 3) {
        fprintf(stderr, "usage: tokenizer_bench tokenizer.json FILE...\n");
        return 2;
    }
    if (sx_tokenizer_open(&t, argv[1], VOCAB, err, sizeof err) < 0) {
        fprintf(stderr, "%s\n", err);
        return 1;
    }
    printf("open       %9.1f ms\n", 1e3 * (now() - opened));
    in.tokenizer = t;
    in.ends = malloc((size_t)argc * sizeof *in.ends);
    for (int i = 2; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        long size;
        if (!f)
            continue;
        fseek(f, 0, SEEK_END);
        size = ftell(f);
        rewind(f);
        in.bytes = realloc(in.bytes, in.n + (size_t)size + 1);
        if (size > 0 && fread(in.bytes + in.n, 1, (size_t)size, f) == (size_t)size) {
            in.n += (size_t)size;
            in.ends[in.n_files++] = in.n;
            longest = (size_t)size > longest ? (size_t)size : longest;
        }
        fclose(f);
    }
    in.copy = malloc(in.n + 1);
    in.ids = malloc((longest + 1) * sizeof *in.ids);
    in.token_ends = malloc((longest + 1) * sizeof *in.token_ends);
    measure_runs(t);
    if (in.n) {
        tokens = measure("tokenizer", run_tokenizer, &in);
        measure("byte loop", run_byte_loop, &in);
        measure("memcpy", run_memcpy, &in);
        printf("%zu files, %zu bytes, %.0f tokens, %.2f bytes a token\n", in.n_files, in.n, tokens,
               (double)in.n / tokens);
    }
    free(in.bytes);
    free(in.copy);
    free(in.ends);
    free(in.ids);
    free(in.token_ends);
    sx_tokenizer_close(t);
    return in.n ? 0 : 1;
}
