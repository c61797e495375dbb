/* index_bench.c: indexes a repository and says how fast.
 *
 *   index_bench QUERIES_DIR REPOSITORY [THREADS [CACHE]]     a cache that is named is kept
 *
 * Tokens are those of tests/indexer/words.h, so the figures are the indexer's, without a model. The
 * last line: of functions whose name only one definition has, drawn with a fixed seed and asked for
 * by name, the share that the words find; what they find is joined to the selection. */
#include "indexer/indexer.h"
#include "tests/bench/targets.h"
#include "tests/indexer/words.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static int count_row(const sx_definition_row *row, void *user)
{
    ++*(size_t *)user;
    return 0;
}

static int keep_name(const sx_definition_row *row, void *user)
{
    snprintf(user, 256, "%s", row->name);
    return 0;
}

/* Asks for `most` functions that no other definition is called like. */
static int ask_names(sx_index *index, const sx_commit *commit, const sx_words *words, size_t most,
                     char *err, size_t errlen)
{
    targets t = {0};
    size_t asked = 0, first = 0, among = 0;
    int rc = targets_draw(&t, index, commit, err, errlen);
    double start = now();

    for (; rc >= 0 && asked < most && asked < t.n; asked++) {
        const target *wanted = &t.items[asked];
        char question[512];
        sx_word_hit hits[16];

        snprintf(question, sizeof question, "Where is `%s` defined?", wanted->name);
        rc = sx_words_find(words, question, hits, 16, err, errlen);
        for (int i = 0; i < rc; i++)
            if (!strcmp(hits[i].path, wanted->path) && hits[i].start_byte == wanted->start_byte) {
                among++;
                first += i == 0;
                break;
            }
    }
    if (asked > 0)
        printf("names      %zu functions asked for: %.1f %% first, %.1f %% among 16; %.4f s each\n",
               asked, 100.0 * (double)first / (double)asked, 100.0 * (double)among / (double)asked,
               (now() - start) / (double)asked);
    return rc < 0 ? rc : 0;
}

int main(int argc, char **argv)
{
    char cache[] = "/tmp/sparsex-bench-XXXXXX", err[512] = "", name[256] = "main";
    sx_text_model text = words_model("words");
    sx_index_options options = {.cache_root = cache};
    sx_index *index = NULL;
    sx_segment_cursor *cursor = NULL;
    sx_segment_row row;
    sx_words *words = NULL;
    sx_word_hit hits[16];
    sx_index_status status;
    sx_commit commit;
    struct rusage usage;
    size_t found = 0, segments = 0;
    char question[320];
    double start, seconds, again, lookup, context, load, ask;
    int rc, n_hits;

    if (argc < 3 || (argc < 5 && !mkdtemp(cache))) {
        fprintf(stderr, "usage: index_bench QUERIES_DIR REPOSITORY [THREADS]\n");
        return 2;
    }
    options.queries_dir = argv[1];
    options.repository = argv[2];
    options.threads = argc > 3 ? atoi(argv[3]) : 0;
    if (argc > 4)
        options.cache_root = argv[4];
    start = now();
    if ((rc = sx_index_open(&index, &options, err, sizeof err)) < 0 ||
        (rc = sx_index_lock(index, 0, err, sizeof err)) < 0 ||
        (rc = sx_index_update(index, NULL, &text, NULL, NULL, &commit, err, sizeof err)) < 0)
        goto out;
    seconds = now() - start;
    start = now();
    if ((rc = sx_index_update(index, NULL, &text, NULL, NULL, &commit, err, sizeof err)) < 0)
        goto out;
    again = now() - start;
    sx_definitions_all(index, &commit, keep_name, name, err, sizeof err);
    start = now();
    if ((rc = sx_definitions_named(index, &commit, name, count_row, &found, err, sizeof err)) < 0)
        goto out;
    lookup = now() - start;
    start = now();
    if ((rc = sx_segments_begin(&cursor, index, &commit, "words", NULL, SX_ORDER_TREE, false, err,
                                sizeof err)) < 0)
        goto out;
    while ((rc = sx_segments_next(cursor, &row, err, sizeof err)) > 0)
        segments++;
    context = now() - start;
    start = now();
    if (rc < 0 || (rc = sx_words_load(&words, index, &commit, err, sizeof err)) < 0)
        goto out;
    load = now() - start;
    snprintf(question, sizeof question, "Which file reads the list that %s returns?", name);
    start = now();
    if ((rc = n_hits = sx_words_find(words, question, hits, 16, err, sizeof err)) < 0)
        goto out;
    ask = now() - start;
    if ((rc = sx_index_get_status(index, &commit, "words", NULL, &status, err, sizeof err)) < 0)
        goto out;
    getrusage(RUSAGE_SELF, &usage);
    printf("files      %llu (%llu skipped), %.1f MB, %llu tokens, %llu segments, %llu definitions, "
           "%llu "
           "references\n",
           (unsigned long long)commit.files, (unsigned long long)commit.skipped,
           (double)commit.bytes / 1e6, (unsigned long long)commit.tokens,
           (unsigned long long)commit.segments, (unsigned long long)commit.definitions,
           (unsigned long long)commit.references);
    printf("indexed in %.2f s: %.0f files/s, %.2f MB/s; peak RSS %.0f MB; catalogue %.1f MB\n",
           seconds, (double)commit.files / seconds, (double)commit.bytes / 1e6 / seconds,
           (double)usage.ru_maxrss / 1024, (double)status.catalog_bytes / 1e6);
    printf("again      %.4f s; definitions of %s: %zu in %.4f s; the context's %zu segments in "
           "%.4f s\n",
           again, name, found, lookup, segments, context);
    printf("words      loaded in %.4f s; \"%s\": %d units in %.4f s\n", load, question, n_hits,
           ask);
    rc = ask_names(index, &commit, words, 400, err, sizeof err);
out:
    if (rc < 0)
        fprintf(stderr, "%s\n", err);
    sx_segments_end(cursor);
    sx_words_free(words);
    sx_index_close(index);
    if (argc < 5) {
        sx_index_forget(&options, NULL, NULL, 0);
        rmdir(cache);
    }
    return rc < 0;
}
