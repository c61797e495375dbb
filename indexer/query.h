/* query.h: data/queries/<language>.scm -> a compiled query whose captures have roles.
 *
 * What a query file may capture (anything else is refused, and so are predicates):
 *   @definition.KIND  the node of a definition; KIND is one of the words in query.c
 *   @name             its name, or a node that holds it; without it, the definition. From there on
 *                     the fields `name` and `declarator` are followed to their end (C wraps
 * pointers and functions around a name)
 *   @body             where its signature ends. Without it: the node's field `body`
 *   @docbody          a body whose first statement may be a string that documents it (Python)
 *   @scope            what the name belongs to without being inside it: Go's receiver, `M` of Lua's
 *                     M.f. C++'s Foo::bar and the like need none: a qualified name is taken apart
 *   @container        with @scope: no definition, but definitions inside belong to @scope (Rust's
 *                     impl, Swift's extension)
 *   @local            no definition, but variables inside are nobody's business: function literals,
 *                     blocks
 *   @outer            a node that belongs to the first definition inside it: template, export,
 *                     decorated definition
 *   @attribute        stands in front of a definition and belongs to it: #[attribute], @decorator
 *   @comment          may be a doc comment
 *   @reference        a name that is used
 * A pattern without @definition, @container or @local is judged by its other captures alone. Where
 * two patterns find the same name, the one that stands first in the file counts. */
#ifndef SX_QUERY_H
#define SX_QUERY_H

#include "indexer/language.h"
#include "indexer/parse_memory.h"
#include <tree_sitter/api.h>

typedef enum sx_role {
    SX_ROLE_DEFINITION,
    SX_ROLE_NAME,
    SX_ROLE_BODY,
    SX_ROLE_DOCBODY,
    SX_ROLE_SCOPE,
    SX_ROLE_CONTAINER,
    SX_ROLE_LOCAL,
    SX_ROLE_OUTER,
    SX_ROLE_ATTRIBUTE,
    SX_ROLE_COMMENT,
    SX_ROLE_REFERENCE,
} sx_role;

#define SX_QUERY_CAPTURES 64

typedef struct sx_query {
    TSQuery *query;
    uint8_t role[SX_QUERY_CAPTURES];     /* sx_role by capture */
    const char *kind[SX_QUERY_CAPTURES]; /* of a definition; static */
    TSFieldId name, body, declarator;    /* fields of the grammar, 0 where it has none */
} sx_query;

/* Reads and compiles. The query lives in `memory` and goes with it. -EIO or -ENOMEM and a sentence
 * in err. */
int sx_query_load(sx_query *out, sx_parse_memory *memory, const sx_language *language,
                  const char *queries_dir, char *err, size_t errlen);

#endif
