/* definitions.h: one blob in, its definitions and references out, in bounded time and memory.
 * One sx_parser a thread; queries are compiled once a language and thread, on first use. */
#ifndef SX_DEFINITIONS_H
#define SX_DEFINITIONS_H

#include "indexer/language.h"
#include <stdatomic.h>

typedef struct sx_definition {
    uint32_t start_byte, end_byte; /* with decorators, attributes, template<>, export in front */
    uint32_t name_start, name_end;
    uint32_t scope_start, scope_end; /* what else the name belongs to: the receiver's type in Go,
                                      * the type of an impl, Foo of C++'s Foo::bar; equal: none */
    uint32_t doc_start,
        doc_end;            /* equal: none; in front of the definition, or inside (docstring) */
    uint32_t signature_end; /* behind the last byte of the signature, no trailing space */
    uint32_t boundary;      /* sx_definition_boundary() */
    uint32_t start_line, end_line;
    const char *kind; /* static string: "function", "method", "class", ... */
    int32_t parent;   /* index of the innermost enclosing definition, -1: none */
} sx_definition;

typedef struct sx_reference {
    uint32_t start_byte, end_byte, line;
    int32_t definition; /* index of the innermost definition around it, -1: none */
} sx_reference;

typedef struct sx_parse {       /* filled by sx_parser_run(), reused between runs */
    sx_definition *definitions; /* by start_byte, outer before inner */
    size_t n_definitions, cap_definitions;
    sx_reference *references; /* by start_byte */
    size_t n_references, cap_references;
    bool has_errors;   /* the tree holds ERROR nodes; what was found is kept */
    const char *plain; /* not NULL: why the file was taken as plain text ("deadline", ...) */
} sx_parse;
void sx_parse_free(sx_parse *parse); /* frees the arrays, not the struct */

typedef struct sx_parser sx_parser;
typedef struct sx_parser_limits {
    size_t max_bytes;  /* above: plain text; 0: 4 MiB */
    int deadline_ms;   /* above: plain text; 0: 1000 */
    size_t max_memory; /* tree-sitter's heap for one file; 0: 256 MiB */
} sx_parser_limits;
int sx_parser_new(sx_parser **out, const char *queries_dir, const sx_parser_limits *limits,
                  char *err, size_t errlen);
void sx_parser_free(sx_parser *parser);
/* 0 also where the file was given up (parse->plain says why, no definitions then). Negative only
 * for -ENOMEM, for -ECANCELED (*stop became true), or for a query file that is missing or does not
 * compile (-EIO). language NULL: nothing to find. */
int sx_parser_run(sx_parser *parser, const sx_language *language, const uint8_t *bytes, size_t n,
                  const atomic_bool *stop, sx_parse *parse, char *err, size_t errlen);

/* Where a segment or block may start because of this definition: the start of the line on which the
 * definition starts, or the doc comment in front of it (as the model saw it in training).
 * SX_NO_BOUNDARY for what is too small to stand alone: one-line constants, variables, macros and
 * types without a doc comment, and namespaces. */
#define SX_NO_BOUNDARY UINT32_MAX
uint32_t sx_definition_boundary(const sx_definition *definition);

/* Writes the names of what encloses definition i, outermost first, joined by '.', or "": "Ring" for
 * Ring.push and Ring::push alike. Cut at a name's end where it does not fit. Returns out. */
const char *sx_definition_scope(const sx_parse *parse, size_t i, const uint8_t *bytes, char *out,
                                size_t outlen);

#endif
