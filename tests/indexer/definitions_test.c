/* definitions_test.c: which language a file is, what surrounds a definition (signature, boundary,
 * scope, references), and that no input takes more than its share or brings the process down.
 *   definitions_test QUERIES_DIR */
#include "indexer/definitions.h"
#include "tests/check.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *queries;

static const char *language_of(const char *path, const char *text)
{
    const sx_language *language = sx_language_of(path, (const uint8_t *)text, strlen(text));

    return language ? language->name : "none";
}

static void check_languages(void)
{
    static const struct {
        const char *path, *text, *language;
    } cases[] = {
        {"a.c", "", "c"},
        {"src/a.CC", "", "cpp"},
        {"a.C", "", "cpp"},
        {"a.cu", "", "cuda"},
        {"a.cuh", "", "cuda"},
        {"a.py", "", "python"},
        {"a.pyi", "", "python"},
        {"a.mjs", "", "javascript"},
        {"a.jsx", "", "javascript"},
        {"a.ts", "", "typescript"},
        {"a.tsx", "", "tsx"},
        {"a.rs", "", "rust"},
        {"a.go", "", "go"},
        {"A.java", "", "java"},
        {"a.rb", "", "ruby"},
        {"Rakefile", "", "ruby"},
        {"dir/Gemfile", "", "ruby"},
        {"a.cs", "", "csharp"},
        {"a.sh", "", "bash"},
        {"PKGBUILD", "", "bash"},
        {"a.php", "", "php"},
        {"a.lua", "", "lua"},
        {"a.kt", "", "kotlin"},
        {"build.gradle.kts", "", "kotlin"},
        {"a.swift", "", "swift"},
        {"README.md", "", "none"},
        {"Makefile", "", "none"},
        {"", "", "none"},
        {".", "", "none"},
        {"a.", "", "none"},
        {".c", "", "none"},
        {"a.c/b", "", "none"},
        {"a b", "", "none"},
        {"a.verylongsuffixthatnobodyhas", "", "none"},
        {"py", "", "none"},
        /* by the first line */
        {"run", "#!/bin/sh\n", "bash"},
        {"run", "#!/usr/bin/env python3\n", "python"},
        {"run", "#!/usr/bin/env -S LANG=C python3.11 -u\n", "python"},
        {"run", "#! /usr/local/bin/node --flag", "javascript"},
        {"run", "#!/usr/bin/ruby", "ruby"},
        {"run", "#!/usr/bin/perl\n", "none"},
        {"run", "#!", "none"},
        {"run", "#!   ", "none"},
        {"run", "#!/usr/bin/env", "none"},
        {"run.in", "#!/bin/bash\n", "bash"},
        {".hidden", "#!/bin/sh\n", "bash"},
        {"run", "python\n", "none"},
        /* headers */
        {"a.h", "", "c"},
        {"a.h", "#include <stdio.h>\nint f(void);\n", "c"},
        {"a.h", "#ifdef __cplusplus\nextern \"C\" {\n#endif\nint f(void);\n", "c"},
        {"a.h", "#include <vector>\n", "cpp"},
        {"a.h", "namespace net {\n", "cpp"},
        {"a.h", "  template <class T>\nT f();\n", "cpp"},
        {"a.h", "class Ring : public A {\n", "cpp"},
        {"a.h", "struct A {\n  public:\n  int x;\n};\n", "cpp"},
        {"a.h", "using A = int;\n", "cpp"},
        {"a.h", "/*\nnamespace of things; class A;\n*/\nint x;\n", "c"},
        {"a.h", "// class A {\nint x;\n", "c"},
        {"a.h", "/* class A; */ int x;\n", "c"},
        {"a.h", "class = x;\nnamespace = 1;\n", "c"},
        {"a.h", "int classic;\nint usingx;\n", "c"},
        {"a.h", "@interface A : NSObject\n@end\n", "none"},
        /* other things by these suffixes */
        {"de.ts", "<?xml version=\"1.0\"?>\n<!DOCTYPE TS>\n", "none"},
        {"a.inc", "<?php\n", "php"},
        {"a.inc", ".globl main\n", "none"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *found = language_of(cases[i].path, cases[i].text);
        if (strcmp(found, cases[i].language))
            printf("%s, %s: %s instead of %s\n", cases[i].path, cases[i].text, found,
                   cases[i].language);
        SX_CHECK(!strcmp(found, cases[i].language));
    }
    SX_CHECK(sx_language_count() == 17);
    SX_CHECK(sx_language_at(sx_language_count()) == NULL);
    SX_CHECK(sx_language_named("fortran") == NULL);
    for (size_t i = 0; i < sx_language_count(); i++)
        SX_CHECK(sx_language_named(sx_language_at(i)->name) == sx_language_at(i));
}

static sx_parser *parser_new(const sx_parser_limits *limits)
{
    sx_parser *parser = NULL;
    char err[512] = "";

    if (sx_parser_new(&parser, queries, limits, err, sizeof err) < 0)
        printf("%s\n", err);
    SX_CHECK(parser != NULL);
    return parser;
}

static int run(sx_parser *parser, const char *language, const char *text, size_t n, sx_parse *parse)
{
    char err[512] = "";
    int rc = sx_parser_run(parser, sx_language_named(language), (const uint8_t *)text, n, NULL,
                           parse, err, sizeof err);

    if (rc < 0)
        printf("%s\n", err);
    return rc;
}

static const sx_definition *named(const sx_parse *parse, const char *text, const char *name)
{
    for (size_t i = 0; i < parse->n_definitions; i++) {
        const sx_definition *d = &parse->definitions[i];
        if (d->name_end - d->name_start == strlen(name) &&
            !memcmp(text + d->name_start, name, strlen(name)))
            return d;
    }
    printf("%s is not defined\n", name);
    return NULL;
}

/* The signature of `name`, and the text behind its boundary as far as `boundary` goes. */
static void check_outline(sx_parser *parser, const char *language, const char *text,
                          const char *name, const char *signature, const char *boundary)
{
    sx_parse parse = {0};
    const sx_definition *d;

    SX_CHECK(run(parser, language, text, strlen(text), &parse) == 0);
    d = named(&parse, text, name);
    SX_CHECK(d != NULL);
    if (d) {
        uint32_t n = d->signature_end - d->start_byte;
        if (n != strlen(signature) || memcmp(text + d->start_byte, signature, n))
            printf("%s: signature is '%.*s'\n", name, (int)n, text + d->start_byte);
        SX_CHECK(n == strlen(signature) && !memcmp(text + d->start_byte, signature, n));
        if (boundary) {
            SX_CHECK(sx_definition_boundary(d) != SX_NO_BOUNDARY);
            SX_CHECK(sx_definition_boundary(d) < strlen(text) &&
                     !strncmp(text + sx_definition_boundary(d), boundary, strlen(boundary)));
        } else {
            SX_CHECK(sx_definition_boundary(d) == SX_NO_BOUNDARY);
        }
    }
    sx_parse_free(&parse);
}

static void check_signatures(sx_parser *p)
{
    check_outline(p, "c", "/* Doc. */\nstatic int\nf(int a)\n{\n}\n", "f", "static int\nf(int a)",
                  "/* Doc");
    check_outline(p, "c", "int x;\n\n#define A 1\n", "A", "#define A 1", NULL);
    check_outline(p, "c", "#define A(x) \\\n  (x)\n", "A", "#define A(x) \\", "#define");
    check_outline(p, "c", "struct s {\n  int a;\n} ;\n", "s", "struct s", "struct");
    check_outline(p, "c", "int x = 1;\n", "x", "int x = 1;", NULL);
    check_outline(p, "c", "/* Doc. */\nint x = 1;\n", "x", "int x = 1;", "/* Doc");
    check_outline(p, "c", "int t[] = {\n1,\n2,\n3,\n4,\n5,\n6,\n7,\n8,\n};\n", "t", "int t[] = {",
                  "int t");
    check_outline(p, "python", "class A:\n    @x\n    def f(self,\n          a):\n        'd'\n",
                  "f", "@x\n    def f(self,\n          a):", "    @x");
    check_outline(p, "python", "class A:\n\n    # Doc.\n    def f(self): pass\n", "f",
                  "def f(self):", "    # Doc");
    check_outline(p, "java", "interface A {\n  void f(\n    int a);\n}\n", "f",
                  "void f(\n    int a);", "  void f");
    check_outline(p, "rust", "/// D.\n#[a]\npub fn f<T>(x: T) -> u8 where T: A { 1 }\n", "f",
                  "#[a]\npub fn f<T>(x: T) -> u8 where T: A", "/// D");
    check_outline(p, "javascript", "export const f = async (x) => {\n};\n", "f",
                  "export const f = async (x) =>", "export");
    check_outline(p, "cpp", "namespace a {\n}\n", "a", "namespace a", NULL);
    check_outline(p, "cpp", "template <class T>\nA<T>::A(int x) : y(x) {}\n", "A",
                  "template <class T>\nA<T>::A(int x) : y(x)", "template");
    check_outline(p, "go", "package p\n\nfunc (r *R) F() int { return 1 }\n", "F",
                  "func (r *R) F() int", "func");
}

static void check_scope(sx_parser *parser, const char *language, const char *text, const char *name,
                        const char *scope)
{
    sx_parse parse = {0};
    const sx_definition *d;
    char found[64] = "", cut[5];

    SX_CHECK(run(parser, language, text, strlen(text), &parse) == 0);
    d = named(&parse, text, name);
    SX_CHECK(d != NULL);
    if (d) {
        sx_definition_scope(&parse, (size_t)(d - parse.definitions), (const uint8_t *)text, found,
                            sizeof found);
        SX_CHECK(!strcmp(found, scope));
        sx_definition_scope(&parse, (size_t)(d - parse.definitions), (const uint8_t *)text, cut,
                            sizeof cut);
        SX_CHECK(strlen(cut) < sizeof cut && !strncmp(cut, scope, strlen(cut)));
    }
    sx_parse_free(&parse);
}

static void check_scopes(sx_parser *p)
{
    check_scope(p, "cpp", "namespace a { namespace b { class C { void f() {} }; } }", "f", "a.b.C");
    check_scope(p, "cpp", "void a::b::C<int, d<e>>::f() {}", "f", "a.b.C");
    check_scope(p, "cpp", "namespace a { int C::f() { return 1; } }", "f", "a.C");
    check_scope(p, "go", "package p\nfunc (r *Ring[T]) Push() {}\n", "Push", "Ring");
    check_scope(p, "rust", "mod m { impl<T> A for Heap<T> { fn f(&self) {} } }", "f", "m.Heap");
    check_scope(p, "python", "class A:\n  class B:\n    def f(self): pass\n", "f", "A.B");
    check_scope(p, "ruby", "module A\n class B::C\n  def f; end\n end\nend\n", "f", "A.B.C");
    check_scope(p, "javascript", "Ring.prototype.f = function () {};", "f", "Ring");
    check_scope(p, "c", "typedef struct { struct in { int x; } i; } out;", "in", "out");
    check_scope(p, "c", "int f(void) { return 1; }", "f", "");
}

/* Uses are found, named after what they stand in; a definition's own name is no use. */
static void check_references(sx_parser *parser)
{
    static const char text[] = "struct ring;\n"
                               "int push(struct ring *r);\n"
                               "int push(struct ring *r)\n"
                               "{\n"
                               "    LOCK(r);\n"
                               "    return r->ops->add(r) + other(1);\n"
                               "}\n"
                               "struct ops all = { .add = push };\n";
    static const struct {
        const char *name;
        uint32_t line;
        const char *in;
    } uses[] = {
        {"ring", 1, NULL},    {"push", 2, NULL},   {"ring", 2, NULL},
        {"ring", 3, "push"},  {"LOCK", 5, "push"}, {"add", 6, "push"},
        {"other", 6, "push"}, {"ops", 8, "all"},   {"push", 8, "all"},
    };
    sx_parse parse = {0};
    size_t n = sizeof uses / sizeof uses[0], found = 0;

    SX_CHECK(run(parser, "c", text, sizeof text - 1, &parse) == 0);
    SX_CHECK(!parse.has_errors);
    for (size_t i = 0; i < parse.n_references; i++) {
        const sx_reference *r = &parse.references[i];
        for (size_t k = 0; k < n; k++) {
            const sx_definition *d = r->definition < 0 ? NULL : &parse.definitions[r->definition];
            if (r->line == uses[k].line && r->end_byte - r->start_byte == strlen(uses[k].name) &&
                !memcmp(text + r->start_byte, uses[k].name, strlen(uses[k].name)) &&
                (d ? uses[k].in && !strncmp(text + d->name_start, uses[k].in, strlen(uses[k].in))
                   : !uses[k].in))
                found++;
        }
    }
    SX_CHECK(found == n);
    SX_CHECK(parse.n_references == n);
    sx_parse_free(&parse);
}

/* ---- limits -----------------------------------------------------------------------------------
 */

static char *repeat(const char *part, size_t times, const char *tail, size_t *n)
{
    size_t k = strlen(part);
    char *text;

    *n = k * times + strlen(tail);
    if (!(text = malloc(*n + 1)))
        return NULL;
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * k, part, k);
    memcpy(text + k * times, tail, strlen(tail) + 1);
    return text;
}

static const char good[] = "int good(void)\n{\n    return 1;\n}\n";

static void check_good(sx_parser *parser)
{
    sx_parse parse = {0};

    SX_CHECK(run(parser, "c", good, sizeof good - 1, &parse) == 0);
    SX_CHECK(parse.n_definitions == 1 && !parse.plain && !parse.has_errors);
    sx_parse_free(&parse);
}

static void check_limits(void)
{
    sx_parser_limits limits = {.max_bytes = 1 << 20, .max_memory = 4 << 20};
    sx_parser *parser = parser_new(&limits);
    atomic_bool stop = true;
    sx_parse parse = {0};
    char err[512] = "";
    size_t n = 0;
    char *text = repeat("int f(void) { return g(1, 2); }\n", 20000, "", &n);

    SX_CHECK(text && run(parser, "c", text, n, &parse) == 0);
    SX_CHECK(parse.plain && !strcmp(parse.plain, "memory") && parse.n_definitions == 0);
    check_good(parser);
    free(text);
    text = repeat(" ", limits.max_bytes + 1, "", &n);
    SX_CHECK(text && run(parser, "c", text, n, &parse) == 0);
    SX_CHECK(parse.plain && !strcmp(parse.plain, "too-large"));
    SX_CHECK(text && run(parser, "c", text, n - 1, &parse) == 0);
    SX_CHECK(!parse.plain);
    free(text);

    SX_CHECK(sx_parser_run(parser, sx_language_named("c"), (const uint8_t *)good, sizeof good - 1,
                           &stop, &parse, err, sizeof err) == -ECANCELED);
    SX_CHECK(!strncmp(err, "E-CANCELLED: ", 13));
    stop = false;
    SX_CHECK(sx_parser_run(parser, sx_language_named("c"), (const uint8_t *)good, sizeof good - 1,
                           &stop, &parse, NULL, 0) == 0);
    SX_CHECK(parse.n_definitions == 1);

    /* nothing to find, nothing to read */
    SX_CHECK(sx_parser_run(parser, NULL, (const uint8_t *)good, sizeof good - 1, NULL, &parse, err,
                           sizeof err) == 0);
    SX_CHECK(parse.n_definitions == 0 && !parse.plain);
    SX_CHECK(run(parser, "c", "", 0, &parse) == 0 && parse.n_definitions == 0);
    sx_parse_free(&parse);
    sx_parser_free(parser);
    sx_parser_free(NULL);
}

static int load(const char *dir, const char *query, char *err, size_t errlen)
{
    sx_parser *parser = NULL;
    sx_parse parse = {0};
    char path[256];
    FILE *file;
    int rc;

    snprintf(path, sizeof path, "%s/c.scm", dir);
    unlink(path);
    if (query && (file = fopen(path, "w"))) {
        fputs(query, file);
        fclose(file);
    }
    if (sx_parser_new(&parser, dir, NULL, err, errlen) < 0)
        return -1;
    rc = sx_parser_run(parser, sx_language_named("c"), (const uint8_t *)good, sizeof good - 1, NULL,
                       &parse, err, errlen);
    sx_parse_free(&parse);
    sx_parser_free(parser);
    unlink(path);
    return rc;
}

static void check_query_files(void)
{
    char dir[] = "/tmp/sx-queries-XXXXXX", err[512] = "";

    SX_CHECK(mkdtemp(dir) != NULL);
    SX_CHECK(load(dir, "(comment) @comment\n", err, sizeof err) == 0);
    SX_CHECK(load(dir, NULL, err, sizeof err) == -EIO && strstr(err, "c.scm cannot be read"));
    SX_CHECK(load(dir, "(comment) @comment\n(nonsense) @comment", err, sizeof err) == -EIO &&
             strstr(err, "c.scm:2 does not compile (node type)"));
    SX_CHECK(load(dir, "(comment) @remark", err, sizeof err) == -EIO && strstr(err, "@remark"));
    SX_CHECK(load(dir, "(comment) @definition.poem", err, sizeof err) == -EIO &&
             strstr(err, "@definition.poem"));
    SX_CHECK(load(dir, "((comment) @comment (#eq? @comment \"x\"))", err, sizeof err) == -EIO &&
             strstr(err, "predicates"));
    SX_CHECK(!strncmp(err, "E-QUERY: ", 9) && !strchr(err, '\n'));
    rmdir(dir);
}

/* Bytes that are no program, in every language; each run ends as text or with what was found, and
 * the next file is read as if nothing had been. On a stack too small for any deep recursion. */
static void *check_hostile(void *unused)
{
    static const struct {
        const char *language, *part, *tail;
        size_t times;
    } bombs[] = {
        {"javascript", "(", "", 1000000},
        {"c", "{", "", 1000000},
        {"python", "[", "", 1000000},
        {"cpp", "*ss<s\"ss<sqX", "", 100000},
        {"cpp", "A<", "", 1000000},
        {"c", "int f(){", "", 200000},
        {"java", "class A{", "", 300000},
        {"rust", "impl A{", "", 300000},
        {"rust", "type A=[u8;{", "", 100000},
        {"javascript", "const a={b(){", "", 100000},
        {"c", "// x\n", "int a,b,c,d,e,f,g,h;", 300000},
        {"rust", "#[a]\n", "fn f(){}", 300000},
        {"c", "\"aaaaaaaaaaaaaaaa", "", 200000},
        {"typescript", "@a ", "class A {}", 300000},
        {"go", "type (", "", 300000},
        {"ruby", "class A;", "", 300000},
        {"bash", "cat <<A\n", "", 100000},
        {"ruby", "a <<~A\n", "", 100000},
        {"csharp", "namespace A{", "", 200000},
        {"swift", "a?", "", 500000},
        {"kotlin", "a<", "", 500000},
        {"php", "<?php {", "", 300000},
        {"lua", "do ", "", 500000},
        {"cuda", "<<<", "", 500000},
        {"tsx", "<a>", "", 300000},
    };
    sx_parser_limits limits = {.deadline_ms = 100, .max_memory = 32 << 20};
    sx_parser *parser = parser_new(&limits);
    sx_parse parse = {0};
    uint32_t x = 1;
    size_t n = 0;
    char *text;

    (void)unused;
    for (size_t i = 0; i < sizeof bombs / sizeof bombs[0]; i++) {
        text = repeat(bombs[i].part, bombs[i].times, bombs[i].tail, &n);
        SX_CHECK(text && run(parser, bombs[i].language, text, n, &parse) == 0);
        free(text);
        check_good(parser);
    }
    /* noise of all bytes, noise of punctuation, nothing but zero bytes */
    for (size_t i = 0; i < sx_language_count(); i++)
        for (int kind = 0; kind < 3; kind++) {
            n = kind == 2 ? 4 << 20 : 200000;
            if (!(text = calloc(1, n)))
                break;
            for (size_t k = 0; k < n && kind < 2; k++) {
                x = x * 1664525u + 1013904223u;
                text[k] = kind ? "(){}[];,.=<>\"'abc \n#*&@"[(x >> 16) % 23] : (char)(x >> 16);
            }
            SX_CHECK(run(parser, sx_language_at(i)->name, text, n, &parse) == 0);
            for (size_t k = 0; k < parse.n_definitions; k++)
                SX_CHECK(parse.definitions[k].end_byte <= n && parse.definitions[k].doc_end <= n);
            free(text);
        }
    check_good(parser);
    sx_parse_free(&parse);
    sx_parser_free(parser);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sx_parser *parser;

    if (argc != 2) {
        fprintf(stderr, "usage: definitions_test QUERIES_DIR\n");
        return 2;
    }
    queries = argv[1];
    check_languages();
    parser = parser_new(NULL);
    check_good(parser);
    check_signatures(parser);
    check_scopes(parser);
    check_references(parser);
    sx_parser_free(parser);
    check_limits();
    check_query_files();
    SX_CHECK(pthread_attr_init(&attributes) == 0);
    SX_CHECK(pthread_attr_setstacksize(&attributes, 256 << 10) == 0);
    SX_CHECK(pthread_create(&thread, &attributes, check_hostile, NULL) == 0);
    SX_CHECK(pthread_join(thread, NULL) == 0);
    pthread_attr_destroy(&attributes);
    return sx_check_end();
}
