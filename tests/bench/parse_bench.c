/* parse_bench.c: how fast files are parsed, and parsed with their definitions, per language.
 *   parse_bench QUERIES_DIR DIRECTORY
 * DIRECTORY holds the files (git archive HEAD | tar -x). One thread, CPU time, best of three. */
#include "indexer/definitions.h"
#include "indexer/query.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct file {
    const sx_language *language;
    uint8_t *bytes;
    size_t n;
} file;

static file *files;
static size_t n_files, cap_files;

static int add_file(const char *path, const struct stat *st, int type, struct FTW *walk)
{
    file f = {0};
    FILE *in;

    (void)walk;
    if (type != FTW_F || st->st_size == 0 || st->st_size > 4 << 20 || !(in = fopen(path, "rb")))
        return 0;
    f.bytes = malloc((size_t)st->st_size);
    f.n = f.bytes ? fread(f.bytes, 1, (size_t)st->st_size, in) : 0;
    fclose(in);
    f.language = sx_language_of(path, f.bytes, f.n);
    if (!f.language) {
        free(f.bytes);
        return 0;
    }
    if (n_files == cap_files) {
        cap_files = cap_files ? cap_files * 2 : 1024;
        files = realloc(files, cap_files * sizeof *files);
        if (!files)
            return 1;
    }
    files[n_files++] = f;
    return 0;
}

static double cpu_seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void parse_alone(sx_parse_memory *memory, const file *f)
{
    if (setjmp(memory->escape) == 0) {
        sx_parse_memory_enter(memory);
        TSParser *parser = ts_parser_new();
        ts_parser_set_language(parser, f->language->grammar());
        ts_parser_parse_string(parser, NULL, (const char *)f->bytes, (uint32_t)f->n);
    }
    sx_parse_memory_enter(NULL);
    sx_parse_memory_reset(memory);
}

int main(int argc, char **argv)
{
    char err[512] = "";
    sx_parser *parser = NULL;
    sx_parse parse = {0};
    sx_parse_memory memory;
    size_t total = 0;

    if (argc != 3 || nftw(argv[2], add_file, 64, FTW_PHYS) != 0 ||
        sx_parser_new(&parser, argv[1], NULL, err, sizeof err) < 0) {
        fprintf(stderr, "usage: parse_bench QUERIES_DIR DIRECTORY %s\n", err);
        return 2;
    }
    sx_parse_memory_init(&memory, (size_t)1 << 30, (size_t)4 << 20);
    printf("%-11s %6s %7s %10s %12s %9s %9s %7s %6s %9s\n", "language", "files", "MB", "parse MB/s",
           "+query MB/s", "defs", "refs", "errors", "plain", "worst ms");
    for (size_t l = 0; l < sx_language_count(); l++) {
        const sx_language *language = sx_language_at(l);
        double alone = 1e30, both = 1e30, worst = 0;
        size_t bytes = 0, count = 0, defs = 0, refs = 0, errors = 0, plain = 0;

        for (int round = 0; round < 3; round++) {
            double start = cpu_seconds(), took;
            for (size_t i = 0; i < n_files; i++)
                if (files[i].language == language)
                    parse_alone(&memory, &files[i]);
            took = cpu_seconds() - start;
            alone = took < alone ? took : alone;
            if (sx_parser_run(parser, language, (const uint8_t *)" ", 1, NULL, &parse, err,
                              sizeof err) < 0) { /* the query is compiled here, once a thread */
                fprintf(stderr, "%s\n", err);
                return 1;
            }
            bytes = count = defs = refs = errors = plain = 0;
            start = cpu_seconds();
            for (size_t i = 0; i < n_files; i++) {
                double began = cpu_seconds();
                if (files[i].language != language)
                    continue;
                if (sx_parser_run(parser, language, files[i].bytes, files[i].n, NULL, &parse, err,
                                  sizeof err) < 0) {
                    fprintf(stderr, "%s\n", err);
                    return 1;
                }
                count++;
                bytes += files[i].n;
                defs += parse.n_definitions;
                refs += parse.n_references;
                errors += parse.has_errors;
                plain += parse.plain != NULL;
                began = cpu_seconds() - began;
                worst = began > worst ? began : worst;
            }
            took = cpu_seconds() - start;
            both = took < both ? took : both;
        }
        if (count)
            printf("%-11s %6zu %7.2f %10.2f %12.2f %9zu %9zu %7zu %6zu %9.1f\n", language->name,
                   count, (double)bytes / 1e6, (double)bytes / alone / 1e6,
                   (double)bytes / both / 1e6, defs, refs, errors, plain, worst * 1e3);
        total += bytes;
    }
    printf("%zu bytes\n", total);
    for (size_t i = 0; i < n_files; i++)
        free(files[i].bytes);
    free(files);
    sx_parse_memory_free(&memory);
    sx_parse_free(&parse);
    sx_parser_free(parser);
    return 0;
}
