/* outline.h: what a query found, as byte ranges -> definitions with doc comment, parent, scope and
 * signature, and references. Knows bytes and ranges; no trees, no grammars. */
#ifndef SX_OUTLINE_H
#define SX_OUTLINE_H

#include "indexer/definitions.h"

typedef struct sx_item { /* a definition or a container as the query found it */
    uint32_t start, end;
    uint32_t name_start, name_end;
    uint32_t scope_start, scope_end;
    uint32_t doc_start, doc_end; /* a docstring; equal: none */
    uint32_t body;               /* start of the body, 0: none */
    uint32_t pattern;            /* the lower one counts where two find the same name */
    const char *kind;            /* NULL: a container, or a place for local variables */
    bool local;                  /* which of the two */
    bool qualified;              /* the scope was written in front of the name, as in Foo::bar */
    /* Set by the build: indices of items, -1: none. A type name owns nothing, so the owner of what
     * stands in a typedef is the owner of the typedef. */
    int32_t around;     /* innermost item around it */
    int32_t owner;      /* innermost item around it that can own it */
    int32_t definition; /* index of its definition; a container's is its owner's */
} sx_item;

typedef struct sx_front { /* a comment or an attribute */
    uint32_t start, end;
    bool comment;
} sx_front;

typedef struct sx_range {
    uint32_t start, end;
} sx_range;

/* Arrays are kept between files. */
typedef struct sx_outline {
    sx_item *items;
    sx_front *fronts;
    sx_range *outers, *references;
    uint32_t *lines; /* where each line starts */
    uint32_t *names; /* where the names of definitions start, ascending */
    size_t n_items, n_fronts, n_outers, n_references, n_lines, n_names;
    size_t cap_items, cap_fronts, cap_outers, cap_references, cap_lines, cap_names;
} sx_outline;

void sx_outline_clear(sx_outline *outline);
void sx_outline_free(sx_outline *outline); /* frees the arrays, not the struct */

/* Room for one more; the new one is zero. NULL: no memory. */
sx_item *sx_outline_item(sx_outline *outline);
bool sx_outline_front(sx_outline *outline, uint32_t start, uint32_t end, bool comment);
bool sx_outline_outer(sx_outline *outline, uint32_t start, uint32_t end);
bool sx_outline_reference(sx_outline *outline, uint32_t start, uint32_t end);

/* Fills parse->definitions and parse->references. 0 or -ENOMEM. Linear but for sorting. */
int sx_outline_build(sx_outline *outline, const uint8_t *bytes, size_t n, sx_parse *parse);

#endif
