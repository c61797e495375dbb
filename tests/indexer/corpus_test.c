/* corpus_test.c: tests/corpus/<language>.txt: sources and the definitions that must be found in
 * them. corpus_test QUERIES_DIR CORPUS_DIR             every language has its file; every source is
 * right corpus_test QUERIES_DIR --show FILE            the definitions of a file, in the same form
 * A corpus file holds cases: a line `===== title`, the source, a line `---`, and one definition a
 * line by start: `kind scope.name first-last`, and ` doc first-last` where it has a doc comment. A
 * title that ends in `(errors)` says that the source has syntax errors. */
#include "indexer/definitions.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>

static char *read_file(const char *path, size_t *n)
{
    FILE *file = fopen(path, "rb");
    char *text = NULL;
    long size;

    if (file && fseek(file, 0, SEEK_END) == 0 && (size = ftell(file)) >= 0 &&
        fseek(file, 0, SEEK_SET) == 0 && (text = malloc((size_t)size + 1))) {
        *n = fread(text, 1, (size_t)size, file);
        text[*n] = '\0';
    }
    if (file)
        fclose(file);
    return text;
}

static unsigned line_at(const char *text, uint32_t byte)
{
    unsigned line = 1;

    for (uint32_t i = 0; i < byte; i++)
        line += text[i] == '\n';
    return line;
}

/* The definitions of a source, one a line; for free(). */
static char *outline(const sx_parse *parse, const char *source)
{
    char *text = NULL, scope[512];
    size_t size;
    FILE *out = open_memstream(&text, &size);

    for (size_t i = 0; out && i < parse->n_definitions; i++) {
        const sx_definition *d = &parse->definitions[i];
        sx_definition_scope(parse, i, (const uint8_t *)source, scope, sizeof scope);
        fprintf(out, "%s %s%s%.*s %u-%u", d->kind, scope, *scope ? "." : "",
                (int)(d->name_end - d->name_start), source + d->name_start, d->start_line,
                d->end_line);
        if (d->doc_end > d->doc_start)
            fprintf(out, " doc %u-%u", line_at(source, d->doc_start),
                    line_at(source, d->doc_end - 1));
        fputc('\n', out);
    }
    if (out)
        fclose(out);
    return text;
}

static bool run(sx_parser *parser, const sx_language *language, const char *source, size_t n,
                sx_parse *parse)
{
    char err[512] = "";

    if (sx_parser_run(parser, language, (const uint8_t *)source, n, NULL, parse, err, sizeof err) ==
        0)
        return true;
    fprintf(stderr, "%s\n", err);
    return false;
}

static void check_case(sx_parser *parser, const sx_language *language, const char *title,
                       const char *source, size_t n, const char *expected)
{
    sx_parse parse = {0};
    char *found = NULL;

    if (run(parser, language, source, n, &parse) && (found = outline(&parse, source))) {
        if (strcmp(found, expected))
            fprintf(stderr, "%s, %s: expected\n%sfound\n%s\n", language->name, title, expected,
                    found);
        SX_CHECK(!strcmp(found, expected));
        if (parse.has_errors != (strstr(title, "(errors)") != NULL))
            fprintf(stderr, "%s, %s: syntax errors are not as the title says\n", language->name,
                    title);
        SX_CHECK(parse.has_errors == (strstr(title, "(errors)") != NULL));
        for (size_t i = 0; i < parse.n_definitions; i++) {
            const sx_definition *d = &parse.definitions[i];
            SX_CHECK(d->start_byte <= d->name_start && d->name_start < d->name_end &&
                     d->name_end <= d->end_byte && d->end_byte <= n);
            SX_CHECK(d->signature_end > d->start_byte && d->signature_end <= d->end_byte);
            SX_CHECK(d->parent < (int32_t)i);
        }
    } else {
        SX_CHECK(!"parsed");
    }
    free(found);
    sx_parse_free(&parse);
}

static void check_corpus(sx_parser *parser, const sx_language *language, const char *dir)
{
    char path[4096];
    size_t n = 0, n_cases = 0, n_definitions = 0, n_broken = 0;
    char *text, *at;

    snprintf(path, sizeof path, "%s/%s.txt", dir, language->name);
    if (!(text = read_file(path, &n))) {
        fprintf(stderr, "%s cannot be read\n", path);
        SX_CHECK(!"corpus");
        return;
    }
    for (at = text; at && !strncmp(at, "===== ", 6);) {
        char *title = at + 6, *source = strchr(title, '\n');
        char *mark = source ? strstr(source, "\n---\n") : NULL;
        char *next = mark ? strstr(mark + 4, "\n===== ") : NULL;

        if (!mark)
            break;
        *source++ = '\0';
        if (next)
            next[1] = '\0', next++;
        char kept = mark[1];
        mark[1] = '\0';
        check_case(parser, language, title, source, (size_t)(mark + 1 - source), mark + 5);
        mark[1] = kept;
        n_broken += strstr(title, "(errors)") != NULL;
        for (char *p = mark + 5; *p; p++)
            n_definitions += *p == '\n';
        n_cases++;
        at = next;
        if (at)
            *at = '=';
    }
    SX_CHECK(n_cases >= 2 && n_broken >= 1);
    SX_CHECK(n_definitions >= 15);
    free(text);
}

int main(int argc, char **argv)
{
    char err[512] = "";
    sx_parser *parser = NULL;

    if (argc < 3 || sx_parser_new(&parser, argv[1], NULL, err, sizeof err) < 0) {
        fprintf(stderr, "usage: corpus_test QUERIES_DIR CORPUS_DIR|--show FILE %s\n", err);
        return 2;
    }
    if (!strcmp(argv[2], "--show") && argc == 4) {
        sx_parse parse = {0};
        size_t n = 0;
        char *source = read_file(argv[3], &n);
        const sx_language *language = source ? sx_language_of(argv[3], (const uint8_t *)source, n)
                                             : NULL;
        char *found = NULL;

        if (language && run(parser, language, source, n, &parse) &&
            (found = outline(&parse, source)))
            printf("%s%s%s", found, parse.has_errors ? "# syntax errors\n" : "",
                   parse.plain ? "# plain text\n" : "");
        free(found);
        free(source);
        sx_parse_free(&parse);
        sx_parser_free(parser);
        return language ? 0 : 1;
    }
    for (size_t i = 0; i < sx_language_count(); i++)
        check_corpus(parser, sx_language_at(i), argv[2]);
    sx_parser_free(parser);
    return sx_check_end();
}
