/* kernelcheck.c: every version of every operation, on every backend this machine has, against
 * double arithmetic; with --bench, how long each takes. */
#include "tests/kernelcheck/harness.h"
#include "tests/kernelcheck/private.h"

#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *name;
    size_t entry; /* of the table: NULL there is skipped */
    void (*check)(backend *on);
    void (*bench)(backend *on);
} operations[] = {
#define ROW(name, entry) {#name, offsetof(sx_kernels, entry), check_##name, bench_##name},
    OPERATIONS(ROW)
#undef ROW
};
enum { N_OPERATIONS = sizeof operations / sizeof *operations };

static int skipped;

static bool has_entry(const backend *on, size_t entry)
{
    void (*function)(void);
    memcpy(&function, (const char *)&on->kn + entry, sizeof function);
    return function != NULL;
}

static void run(backend *on, const char *only, bool bench, bool verbose)
{
    int before = checks_passed, missing = 0;

    if (bench)
        measure_peak(on);
    for (int i = 0; i < N_OPERATIONS; i++) {
        int at = checks_passed;
        if (only && strcmp(only, operations[i].name))
            continue;
        begin_operation(operations[i].name);
        if (!has_entry(on, operations[i].entry)) {
            printf("%s: no %s, skipped\n", on->name, operations[i].name);
            missing++;
            continue;
        }
        (bench ? operations[i].bench : operations[i].check)(on);
        end_case(on);
        if (verbose && !bench)
            printf("%-12s %-18s %6d  worst error %3.0f %% of the allowed\n", on->name,
                   operations[i].name, checks_passed - at, 100.0 * worst_share);
    }
    skipped += missing;
    if (!bench)
        printf("%s: %d\n", on->name, checks_passed - before);
    fflush(stdout);
}

/* The GPU as it is, or kept to what sm_80 has. False when there is none. */
static bool run_cuda(backend *on, bool plain, const char *only, bool bench, bool verbose)
{
    char err[512] = "", *kept = getenv("SPARSEX_ISA");

    kept = kept ? strdup(kept) : NULL;
    if (plain)
        setenv("SPARSEX_ISA", "sm80", 1);
    bool ok = !sx_kernels_init_cuda(&on->kn, 0, err, sizeof err);
    if (ok && err[0])
        printf("cuda: %s\n", err);
    if (ok) {
        snprintf(on->name, sizeof on->name, "%s", on->kn.isa_name);
        ok = (on->stream = on->kn.stream_new(0, err, sizeof err)) != NULL;
    }
    if (plain && kept)
        setenv("SPARSEX_ISA", kept, 1);
    else if (plain)
        unsetenv("SPARSEX_ISA");
    free(kept);
    if (!ok) {
        printf("cuda: skipped (%s)\n", err);
        return false;
    }
    run(on, only, bench, verbose);
    on->kn.stream_free(on->stream);
    return true;
}

static int usage(const char *name)
{
    printf("usage: %s [--op NAME] [--backend NAME] [--seed N] [--repeat N] [--quick] [--large] "
           "[--bench] "
           "[--json FILE] [--verbose]\noperations:",
           name);
    for (int i = 0; i < N_OPERATIONS; i++)
        printf(" %s", operations[i].name);
    printf("\nbackends: c avx2 avx512 cuda sm80\n");
    return 2;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"op", required_argument, NULL, 'o'},   {"backend", required_argument, NULL, 'b'},
        {"seed", required_argument, NULL, 's'}, {"repeat", required_argument, NULL, 'r'},
        {"quick", no_argument, NULL, 'q'},      {"large", no_argument, NULL, 'l'},
        {"bench", no_argument, NULL, 'm'},      {"json", required_argument, NULL, 'j'},
        {"verbose", no_argument, NULL, 'v'},    {NULL, 0, NULL, 0},
    };
    const char *only = NULL, *where = NULL;
    uint64_t seed = 0x5eed;
    int repeat = 2, option, chosen = 0;
    bool quick = false, large = false, bench = false, verbose = false, known = false;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            only = optarg;
            break;
        case 'b':
            where = optarg;
            break;
        case 's':
            seed = strtoull(optarg, NULL, 0);
            break;
        case 'r':
            repeat = atoi(optarg) > 2 ? atoi(optarg) : 2;
            break;
        case 'q':
            quick = true;
            break;
        case 'l':
            large = true;
            break;
        case 'm':
            bench = true;
            break;
        case 'j':
            bench_json(optarg);
            break;
        case 'v':
            verbose = true;
            break;
        default:
            return usage(argv[0]);
        }
    }
    for (int i = 0; i < N_OPERATIONS; i++) {
        known = known || !only || !strcmp(only, operations[i].name);
        chosen += !only || !strcmp(only, operations[i].name);
    }
    if (!known || optind < argc)
        return usage(argv[0]);
    printf("seed %llu\n", (unsigned long long)seed);
    random_seed(seed);

    for (int isa = SX_ISA_C; isa <= sx_isa_detect(); isa++) {
        backend on = {.repeat = repeat, .quick = quick, .large = large};
        sx_kernels_init(&on.kn, isa);
        snprintf(on.name, sizeof on.name, "%s", on.kn.isa_name);
        if (!where || !strcmp(where, on.name))
            run(&on, only, bench, verbose);
    }
    /* the GPU, and once more without what only sm_90 has */
    for (int plain = 0; plain < 2; plain++) {
        backend on = {.repeat = repeat, .quick = quick, .large = large, .gpu = true};
        if (where && strcmp(where, plain ? "sm80" : "cuda"))
            continue;
        if (!run_cuda(&on, plain, only, bench, verbose)) {
            skipped += (2 - plain) * chosen;
            break;
        }
    }
    printf("%d passed, %d failed", checks_passed, checks_failed);
    if (skipped)
        printf(", %d skipped", skipped);
    printf("\n");
    return checks_failed || (!checks_passed && !skipped && !bench);
}
