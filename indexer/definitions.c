/* definitions.c: tree-sitter: blob -> tree -> what the query finds in it, bounded in time and
 * memory. The tree is walked by query matches alone, never upwards and never by recursion; all of
 * it is gone when sx_parser_run() returns. What belongs to what is for outline.c. Knows no git and
 * no SQL. */
#include "indexer/definitions.h"
#include "indexer/macros.h"
#include "indexer/outline.h"
#include "indexer/query.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BYTES   ((size_t)4 << 20)
#define MAX_MEMORY  ((size_t)256 << 20)
#define KEPT_MEMORY ((size_t)4 << 20) /* of a thread between two files */
#define DEADLINE_MS 1000
#define LOOK_NS     5000000 /* between two looks at the CPU clock */
#define MATCH_LIMIT 1024    /* patterns half matched at a time: deeper nesting is no code */
#define PIECE       4096    /* bytes of the source between two looks at the limits */
#define NAME_BYTES  256     /* a longer name is data */
#define CHAIN       64      /* declarators around a name */

struct sx_parser {
    sx_parser_limits limits;
    char *queries_dir;
    sx_parse_memory query_memory, file_memory;
    sx_query *queries; /* one a language; .query NULL: not loaded yet */
    sx_outline outline;
    uint8_t *blanked; /* the source without its macros, where it has any */
    size_t cap_blanked;
    /* of the run that is going on */
    const uint8_t *bytes;
    const atomic_bool *stop;
    int64_t deadline, next_look; /* ns of this thread's CPU clock, of the monotonic clock */
    bool late, out_of_memory;
};

void sx_parse_free(sx_parse *parse)
{
    free(parse->definitions);
    free(parse->references);
    memset(parse, 0, sizeof *parse);
}

int sx_parser_new(sx_parser **out, const char *queries_dir, const sx_parser_limits *limits,
                  char *err, size_t errlen)
{
    sx_parser *parser = calloc(1, sizeof *parser);

    *out = NULL;
    if (!parser || !(parser->queries_dir = strdup(queries_dir)) ||
        !(parser->queries = calloc(sx_language_count(), sizeof *parser->queries))) {
        sx_parser_free(parser);
        if (err)
            snprintf(err, errlen,
                     "E-MEMORY: no room for a parser; nothing was parsed; free memory");
        return -ENOMEM;
    }
    if (limits)
        parser->limits = *limits;
    if (parser->limits.max_bytes == 0)
        parser->limits.max_bytes = MAX_BYTES;
    if (parser->limits.deadline_ms == 0)
        parser->limits.deadline_ms = DEADLINE_MS;
    if (parser->limits.max_memory == 0)
        parser->limits.max_memory = MAX_MEMORY;
    if (parser->limits.max_bytes > INT32_MAX) /* tree-sitter and sx_definition count in 32 bits */
        parser->limits.max_bytes = INT32_MAX;
    sx_parse_memory_init(&parser->query_memory, MAX_MEMORY, 0);
    sx_parse_memory_init(&parser->file_memory, parser->limits.max_memory, KEPT_MEMORY);
    *out = parser;
    return 0;
}

void sx_parser_free(sx_parser *parser)
{
    if (!parser)
        return;
    sx_parse_memory_free(&parser->query_memory); /* the queries lie in it */
    sx_parse_memory_free(&parser->file_memory);
    sx_outline_free(&parser->outline);
    free(parser->blanked);
    free(parser->queries);
    free(parser->queries_dir);
    free(parser);
}

/* ---- the limits -------------------------------------------------------------------------------
 */

static int64_t nanoseconds(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* The thread's CPU clock is a system call, too dear for the tenth of a millisecond between two
 * questions; the monotonic clock is not, and says when to look at the other. */
static bool over(sx_parser *parser)
{
    int64_t now;

    if (parser->stop && atomic_load_explicit(parser->stop, memory_order_relaxed))
        return true;
    now = nanoseconds(CLOCK_MONOTONIC);
    if (now < parser->next_look)
        return false;
    parser->next_look = now + LOOK_NS;
    parser->late = nanoseconds(CLOCK_THREAD_CPUTIME_ID) > parser->deadline;
    return parser->late;
}

static bool parse_progress(TSParseState *state)
{
    return over(state->payload);
}

static bool query_progress(TSQueryCursorState *state)
{
    return over(state->payload);
}

static void start_clock(sx_parser *parser)
{
    parser->deadline = nanoseconds(CLOCK_THREAD_CPUTIME_ID) +
                       (int64_t)parser->limits.deadline_ms * 1000000;
    parser->next_look = nanoseconds(CLOCK_MONOTONIC) + LOOK_NS;
    parser->late = parser->out_of_memory = false;
}

/* ---- one match -> one item --------------------------------------------------------------------
 */

static TSNode child(TSNode node, TSFieldId field)
{
    return field ? ts_node_child_by_field_id(node, field) : (TSNode){0};
}

static bool ends_in(const char *text, const char *end)
{
    size_t n = strlen(text), k = strlen(end);

    return n >= k && !strcmp(text + n - k, end);
}

/* The name in a definition, or in what was captured as one: down the fields `name` and
 * `declarator`. On the way Foo::bar is taken apart: the scope is everything in front of the last
 * name. */
static void find_name(const sx_query *query, TSNode node, bool captured, sx_item *item)
{
    uint32_t scope_start = 0, scope_end = 0, start;

    for (int step = 0; step < CHAIN; step++) {
        TSNode next = child(node, query->name);

        start = ts_node_start_byte(node);
        if (!ts_node_is_null(next)) {
            if ((step > 0 || captured) && ts_node_start_byte(next) > start) {
                if (scope_end == 0)
                    scope_start = start;
                scope_end = ts_node_start_byte(next);
            }
        } else {
            next = child(node, query->declarator);
            if (ts_node_is_null(next) && ends_in(ts_node_type(node), "_declarator"))
                next = ts_node_named_child(node,
                                           0); /* in parentheses, behind a & or an attribute */
        }
        if (ts_node_is_null(next) || !strcmp(ts_node_type(node), "setter")) /* Ruby's name= */
            break;
        if (!strcmp(ts_node_type(node), "operator_cast")) {
            item->name_start = start; /* operator bool */
            item->name_end = ts_node_start_byte(next);
            goto out;
        }
        node = next;
    }
    item->name_start = ts_node_start_byte(node);
    item->name_end = ts_node_end_byte(node);
out:
    if (scope_end > scope_start) {
        item->scope_start = scope_start;
        item->scope_end = scope_end;
        item->qualified = true;
    }
}

/* The string that is the first statement of a body. */
static void find_docstring(TSNode body, sx_item *item)
{
    TSNode node = ts_node_named_child(body, 0);

    for (int i = 0; i < 8 && !ts_node_is_null(node) && ts_node_is_extra(node); i++)
        node = ts_node_next_named_sibling(node);
    if (!ts_node_is_null(node) && !strcmp(ts_node_type(node), "expression_statement"))
        node = ts_node_named_child(node, 0);
    if (!ts_node_is_null(node) && ends_in(ts_node_type(node), "string")) {
        item->doc_start = ts_node_start_byte(node);
        item->doc_end = ts_node_end_byte(node);
    }
}

/* Not what error recovery made up, an expression in the place of a name, or a control keyword that
 * was taken for the name of a function. Quotes around a name are no part of it. */
static bool is_name(const uint8_t *bytes, sx_item *item)
{
    static const char *const keywords[] = {"if",     "else",   "for",      "while",
                                           "switch", "return", "namespace"};
    const uint8_t *name = bytes + item->name_start;
    uint32_t n = item->name_end - item->name_start;

    if (item->name_end <= item->name_start || n > NAME_BYTES || memchr(name, '\n', n))
        return false;
    if (n > 2 && (name[0] == '"' || name[0] == '\'') && name[n - 1] == name[0]) {
        item->name_start++;
        item->name_end--;
    }
    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++)
        if (n == strlen(keywords[i]) && !memcmp(name, keywords[i], n))
            return false;
    return true;
}

static bool take_match(sx_parser *parser, const sx_query *query, const TSQueryMatch *match)
{
    TSNode definition = {0}, name = {0}, body = {0}, docbody = {0}, scope = {0};
    const char *kind = NULL;
    bool local = false;
    sx_item *item;

    for (uint16_t i = 0; i < match->capture_count; i++) {
        TSNode node = match->captures[i].node;
        uint32_t start = ts_node_start_byte(node), end = ts_node_end_byte(node);
        bool taken = true;

        switch ((sx_role)query->role[match->captures[i].index]) {
        case SX_ROLE_DEFINITION:
            kind = query->kind[match->captures[i].index];
            definition = node;
            break;
        case SX_ROLE_CONTAINER:
            definition = node;
            break;
        case SX_ROLE_LOCAL:
            definition = node;
            local = true;
            break;
        case SX_ROLE_NAME:
            name = node;
            break;
        case SX_ROLE_DOCBODY:
            docbody = node;
            break;
        case SX_ROLE_BODY:
            body = node;
            break;
        case SX_ROLE_SCOPE:
            scope = node;
            break;
        case SX_ROLE_OUTER:
            taken = sx_outline_outer(&parser->outline, start, end);
            break;
        case SX_ROLE_ATTRIBUTE:
        case SX_ROLE_COMMENT:
            taken = sx_outline_front(&parser->outline, start, end,
                                     query->role[match->captures[i].index] == SX_ROLE_COMMENT);
            break;
        case SX_ROLE_REFERENCE:
            taken = end == start || sx_outline_reference(&parser->outline, start, end);
            break;
        }
        if (!taken)
            return false;
    }
    if (ts_node_is_null(definition))
        return true;
    if (!(item = sx_outline_item(&parser->outline)))
        return false;
    item->kind = kind;
    item->local = local;
    item->pattern = match->pattern_index;
    item->start = ts_node_start_byte(definition);
    item->end = ts_node_end_byte(definition);
    if (!ts_node_is_null(scope)) {
        item->scope_start = ts_node_start_byte(scope);
        item->scope_end = ts_node_end_byte(scope);
    }
    if (!kind)
        return true;
    find_name(query, ts_node_is_null(name) ? definition : name, !ts_node_is_null(name), item);
    if (!is_name(parser->bytes, item)) {
        parser->outline.n_items--;
        return true;
    }
    if (!ts_node_is_null(docbody)) {
        find_docstring(docbody, item);
        body = docbody;
    } else if (ts_node_is_null(body)) {
        body = child(definition, query->body);
    }
    if (!ts_node_is_null(body))
        item->body = ts_node_start_byte(body);
    return true;
}

/* ---- a file -----------------------------------------------------------------------------------
 */

typedef struct sx_source {
    sx_parser *parser;
    const char *bytes;
    uint32_t n;
} sx_source;

/* In small pieces: a scanner that runs through the whole file, again and again for each of its
 * bytes, asks for pieces all the time but never for progress. So this is where it can be stopped:
 * by a jump, as when memory is short. */
static const char *read_source(void *payload, uint32_t at, TSPoint point, uint32_t *n)
{
    const sx_source *source = payload;

    (void)point;
    if (over(source->parser))
        longjmp(source->parser->file_memory.escape, 1);
    *n = at < source->n ? source->n - at : 0;
    if (*n > PIECE)
        *n = PIECE;
    return source->bytes + (at < source->n ? at : source->n);
}

/* Everything that lives in the region: parser, tree and cursor. Leaves by longjmp where the region
 * is full; what it returned by then is in parser->outline. */
static void parse_and_query(sx_parser *parser, const sx_language *language, const sx_query *query,
                            const uint8_t *bytes, size_t n, sx_parse *parse)
{
    sx_source source = {parser, (const char *)bytes, (uint32_t)n};
    TSParser *ts = ts_parser_new();
    TSQueryCursor *cursor;
    TSQueryMatch match;
    TSTree *tree;

    if (!ts_parser_set_language(ts, language->grammar()))
        return;
    tree = ts_parser_parse_with_options(
        ts, NULL,
        (TSInput){.payload = &source, .read = read_source, .encoding = TSInputEncodingUTF8},
        (TSParseOptions){.payload = parser, .progress_callback = parse_progress});
    if (!tree)
        return;
    parse->has_errors = ts_node_has_error(ts_tree_root_node(tree));
    cursor = ts_query_cursor_new();
    ts_query_cursor_set_match_limit(cursor, MATCH_LIMIT);
    ts_query_cursor_exec_with_options(
        cursor, query->query, ts_tree_root_node(tree),
        &(TSQueryCursorOptions){.payload = parser, .progress_callback = query_progress});
    while (!parser->out_of_memory && ts_query_cursor_next_match(cursor, &match))
        parser->out_of_memory = !take_match(parser, query, &match);
}

static void in_region(sx_parser *parser, const sx_language *language, const sx_query *query,
                      const uint8_t *bytes, size_t n, sx_parse *parse)
{
    if (setjmp(parser->file_memory.escape) == 0) {
        sx_parse_memory_enter(&parser->file_memory);
        parse_and_query(parser, language, query, bytes, n, parse);
    }
    sx_parse_memory_enter(NULL);
    sx_parse_memory_reset(&parser->file_memory);
}

static int no_memory(char *err, size_t errlen)
{
    snprintf(err, errlen,
             "E-MEMORY: no room to parse a file; what was indexed before is kept; free "
             "memory and run again");
    return -ENOMEM;
}

static const uint8_t *blank(sx_parser *parser, const uint8_t *bytes, size_t n)
{
    if (n > parser->cap_blanked) {
        free(parser->blanked);
        parser->blanked = malloc(n);
        parser->cap_blanked = parser->blanked ? n : 0;
    }
    if (parser->blanked) {
        memcpy(parser->blanked, bytes, n);
        sx_macros_blank(parser->blanked, n);
    }
    return parser->blanked;
}

int sx_parser_run(sx_parser *parser, const sx_language *language, const uint8_t *bytes, size_t n,
                  const atomic_bool *stop, sx_parse *parse, char *err, size_t errlen)
{
    const uint8_t *source = bytes;
    char nowhere[1];
    sx_query *query;
    int rc;

    if (!err) {
        err = nowhere;
        errlen = sizeof nowhere;
    }
    parse->n_definitions = parse->n_references = 0;
    parse->has_errors = false;
    parse->plain = NULL;
    if (!language || n == 0)
        return 0;
    if (n > parser->limits.max_bytes) {
        parse->plain = "too-large";
        return 0;
    }
    query = &parser->queries[language - sx_language_at(0)];
    if (!query->query && (rc = sx_query_load(query, &parser->query_memory, language,
                                             parser->queries_dir, err, errlen)) < 0)
        return rc;

    if (language->preprocessed && sx_macros_any(bytes, n)) {
        if (!(source = blank(parser, bytes, n)))
            return no_memory(err, errlen);
    }
    sx_outline_clear(&parser->outline);
    parser->bytes = bytes;
    parser->stop = stop;
    parser->file_memory.why = NULL;
    start_clock(parser);
    in_region(parser, language, query, source, n, parse);
    if (stop && atomic_load(stop)) {
        snprintf(err, errlen,
                 "E-CANCELLED: parsing was stopped; what was indexed before is kept; run "
                 "again to go on");
        return -ECANCELED;
    }
    if (parser->out_of_memory ||
        (parser->file_memory.why && !strcmp(parser->file_memory.why, "no-memory")))
        return no_memory(err, errlen);
    if (parser->late || parser->file_memory.why) {
        parse->plain = parser->late ? "deadline" : parser->file_memory.why;
        return 0;
    }
    return sx_outline_build(&parser->outline, bytes, n, parse) < 0 ? no_memory(err, errlen) : 0;
}

uint32_t sx_definition_boundary(const sx_definition *definition)
{
    return definition->boundary;
}

/* ---- scope ------------------------------------------------------------------------------------
 */

typedef struct sx_writer {
    char *out;
    size_t room, n; /* room without the closing NUL */
    bool full;
} sx_writer;

static void put(sx_writer *w, char c)
{
    if (w->n < w->room)
        w->out[w->n++] = c;
    else
        w->full = true;
}

/* A name as it is asked for: Foo<T>::bar, Foo:bar and Foo\bar become Foo.bar, *Foo becomes Foo. */
static void write_name(sx_writer *w, const uint8_t *name, size_t n)
{
    bool separate = w->n > 0;
    size_t before = w->n, depth = 0;

    for (size_t i = 0; i < n && !w->full; i++) {
        if (name[i] == '<' || name[i] == '[') {
            depth++;
        } else if (depth > 0) {
            depth -= name[i] == '>' || name[i] == ']';
        } else if (name[i] == ':' || name[i] == '.' || name[i] == '\\') {
            separate = w->n > 0;
        } else if (name[i] > ' ' && name[i] != '*' && name[i] != '&') {
            if (separate)
                put(w, '.');
            separate = false;
            put(w, (char)name[i]);
        }
    }
    if (w->full)
        w->n = before;
}

const char *sx_definition_scope(const sx_parse *parse, size_t i, const uint8_t *bytes, char *out,
                                size_t outlen)
{
    int32_t chain[CHAIN];
    sx_writer w = {out, outlen ? outlen - 1 : 0, 0, false};
    int n = 0;

    for (int32_t k = parse->definitions[i].parent; k >= 0 && n < CHAIN;
         k = parse->definitions[k].parent)
        chain[n++] = k;
    while (n-- > 0) {
        const sx_definition *d = &parse->definitions[chain[n]];
        write_name(&w, bytes + d->scope_start, d->scope_end - d->scope_start);
        write_name(&w, bytes + d->name_start, d->name_end - d->name_start);
    }
    write_name(&w, bytes + parse->definitions[i].scope_start,
               parse->definitions[i].scope_end - parse->definitions[i].scope_start);
    if (outlen)
        out[w.n] = '\0';
    return out;
}
