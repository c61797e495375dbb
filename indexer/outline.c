/* outline.c: puts in order what the query found: which doc comment belongs to which definition,
 * what encloses what, where a signature ends, which names are uses. The things a query cannot say,
 * or only slowly. Works on byte ranges; knows no trees. */
#include "indexer/outline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* A definition without a body is its own signature, but not a table of a thousand lines. */
#define SIGNATURE_LINES 8
/* A comment about the whole file starts in these lines. */
#define LICENCE_LINES 6

static bool grow(void **array, size_t *cap, size_t n, size_t size)
{
    size_t wanted = *cap ? *cap * 2 : 256;
    void *grown;

    if (n < *cap)
        return true;
    if (wanted > SIZE_MAX / size || !(grown = realloc(*array, wanted * size)))
        return false;
    *array = grown;
    *cap = wanted;
    return true;
}

void sx_outline_clear(sx_outline *o)
{
    o->n_items = o->n_fronts = o->n_outers = o->n_references = 0;
    o->n_lines = o->n_names = 0;
}

void sx_outline_free(sx_outline *o)
{
    free(o->items);
    free(o->fronts);
    free(o->outers);
    free(o->references);
    free(o->lines);
    free(o->names);
    memset(o, 0, sizeof *o);
}

sx_item *sx_outline_item(sx_outline *o)
{
    if (!grow((void **)&o->items, &o->cap_items, o->n_items, sizeof *o->items))
        return NULL;
    memset(&o->items[o->n_items], 0, sizeof *o->items);
    return &o->items[o->n_items++];
}

bool sx_outline_front(sx_outline *o, uint32_t start, uint32_t end, bool comment)
{
    if (!grow((void **)&o->fronts, &o->cap_fronts, o->n_fronts, sizeof *o->fronts))
        return false;
    o->fronts[o->n_fronts++] = (sx_front){start, end, comment};
    return true;
}

bool sx_outline_outer(sx_outline *o, uint32_t start, uint32_t end)
{
    if (!grow((void **)&o->outers, &o->cap_outers, o->n_outers, sizeof *o->outers))
        return false;
    o->outers[o->n_outers++] = (sx_range){start, end};
    return true;
}

bool sx_outline_reference(sx_outline *o, uint32_t start, uint32_t end)
{
    if (!grow((void **)&o->references, &o->cap_references, o->n_references, sizeof *o->references))
        return false;
    o->references[o->n_references++] = (sx_range){start, end};
    return true;
}

/* ---- lines and white space --------------------------------------------------------------------
 */

static bool lines_find(sx_outline *o, const uint8_t *bytes, size_t n)
{
    const uint8_t *at = bytes, *end = bytes + n;

    for (;;) {
        if (!grow((void **)&o->lines, &o->cap_lines, o->n_lines, sizeof *o->lines))
            return false;
        o->lines[o->n_lines++] = (uint32_t)(at - bytes);
        at = at < end ? memchr(at, '\n', (size_t)(end - at)) : NULL;
        if (!at)
            return true;
        at++;
    }
}

/* The line that `byte` is on, from 0. */
static size_t line_of(const sx_outline *o, uint32_t byte)
{
    size_t low = 0, high = o->n_lines;

    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (o->lines[middle] <= byte)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\f';
}

/* Only blanks between the start of its line and `byte`. */
static bool opens_line(const sx_outline *o, const uint8_t *bytes, uint32_t byte)
{
    uint32_t start = o->lines[line_of(o, byte)];

    while (byte > start && is_blank(bytes[byte - 1]))
        byte--;
    return byte == start;
}

static uint32_t trim_end(const uint8_t *bytes, uint32_t start, uint32_t end)
{
    while (end > start && (is_blank(bytes[end - 1]) || bytes[end - 1] == '\n'))
        end--;
    return end;
}

/* White space with at most one line break: nothing stands between the two. Backwards, so that each
 * gap of a file is looked at once however many definitions follow it. */
static bool adjacent(const uint8_t *bytes, uint32_t from, uint32_t to)
{
    int breaks = 0;

    for (; to > from; to--) {
        if (bytes[to - 1] == '\n' && ++breaks > 1)
            return false;
        if (bytes[to - 1] != '\n' && !is_blank(bytes[to - 1]))
            return false;
    }
    return true;
}

/* ---- order ------------------------------------------------------------------------------------
 */

static int by_number(uint32_t a, uint32_t b)
{
    return (a > b) - (a < b);
}

static void sort(void *array, size_t n, size_t size, int (*order)(const void *, const void *))
{
    if (n > 1)
        qsort(array, n, size, order);
}

static int item_by_name(const void *pa, const void *pb)
{
    const sx_item *a = pa, *b = pb;
    int order = by_number(a->name_start, b->name_start);

    if (!order)
        order = !a->kind - !b->kind; /* containers last: they have no name to be found twice */
    return order ? order : by_number(a->pattern, b->pattern);
}

static int item_by_start(const void *pa, const void *pb)
{
    const sx_item *a = pa, *b = pb;
    int order = by_number(a->start, b->start);

    if (!order)
        order = by_number(b->end, a->end);
    if (!order)
        order = by_number(a->pattern, b->pattern);
    return order ? order : by_number(a->name_start, b->name_start);
}

static int front_by_start(const void *pa, const void *pb)
{
    return by_number(((const sx_front *)pa)->start, ((const sx_front *)pb)->start);
}

static int range_by_start(const void *pa, const void *pb)
{
    const sx_range *a = pa, *b = pb;
    int order = by_number(a->start, b->start);

    return order ? order : by_number(a->end, b->end);
}

static bool kind_in(const char *kind, const char *const *kinds)
{
    for (; *kinds; kinds++)
        if (!strcmp(kind, *kinds))
            return true;
    return false;
}

static bool is_value(const sx_item *item)
{
    static const char *const values[] = {"constant", "variable", "property", NULL};

    return item->kind && kind_in(item->kind, values);
}

static bool is_type_name(const sx_item *item)
{
    return item->kind && !strcmp(item->kind, "type");
}

/* A place for local variables. */
static bool is_local(const sx_item *item)
{
    if (!item->kind)
        return item->local;
    return (!strcmp(item->kind, "function") || !strcmp(item->kind, "method"));
}

static bool has_methods(const sx_item *item)
{
    static const char *const owners[] = {"class", "struct",    "enum", "union",
                                         "trait", "interface", NULL};

    return item->kind ? kind_in(item->kind, owners) : !item->local;
}

/* Two patterns may find one name: the first in the query file counts. */
static void drop_duplicates(sx_outline *o)
{
    size_t kept = 0;

    sort(o->items, o->n_items, sizeof *o->items, item_by_name);
    for (size_t i = 0; i < o->n_items; i++) {
        if (kept > 0 && o->items[i].kind && o->items[kept - 1].kind &&
            o->items[kept - 1].name_start == o->items[i].name_start)
            continue;
        o->items[kept++] = o->items[i];
    }
    o->n_items = kept;
    sort(o->items, o->n_items, sizeof *o->items, item_by_start);
}

/* items[].around, in order of start: each step up is paid for by the item that was entered. */
static void nest(sx_outline *o)
{
    int32_t at = -1;

    for (size_t i = 0; i < o->n_items; i++) {
        sx_item *item = &o->items[i];
        while (at >= 0 && (o->items[at].end < item->end ||
                           (o->items[at].start == item->start && o->items[at].end == item->end)))
            at = o->items[at].around;
        item->around = at;
        item->owner = at >= 0 && is_type_name(&o->items[at]) ? o->items[at].owner : at;
        at = (int32_t)i;
    }
}

typedef struct name_order {
    const sx_outline *outline;
    const uint8_t *bytes;
} name_order;

static int compare_names(const sx_item *a, const sx_item *b, const uint8_t *bytes)
{
    uint32_t n = a->name_end - a->name_start, m = b->name_end - b->name_start;

    return n != m ? by_number(n, m) : memcmp(bytes + a->name_start, bytes + b->name_start, n);
}

static int variable_by_name(const void *pa, const void *pb, void *user)
{
    const name_order *order = user;
    uint32_t i = *(const uint32_t *)pa, k = *(const uint32_t *)pb;
    const sx_item *a = &order->outline->items[i], *b = &order->outline->items[k];
    int by = (a->owner > b->owner) - (a->owner < b->owner);

    if (!by)
        by = compare_names(a, b, order->bytes);
    return by ? by : by_number(i, k);
}

/* A variable is defined where it is set first; what sets it again only uses it. In languages where
 * that is a declaration of its own, no name comes twice. Marks the others with definition = -1. */
static bool drop_assigned_again(sx_outline *o, const uint8_t *bytes)
{
    name_order order = {o, bytes};

    for (size_t i = 0; i < o->n_items; i++) {
        if (o->items[i].definition < 0 || !o->items[i].kind || strcmp(o->items[i].kind, "variable"))
            continue;
        if (!grow((void **)&o->names, &o->cap_names, o->n_names, sizeof *o->names))
            return false;
        o->names[o->n_names++] = (uint32_t)i;
    }
    if (o->n_names > 1)
        qsort_r(o->names, o->n_names, sizeof *o->names, variable_by_name, &order);
    for (size_t i = 1; i < o->n_names; i++) {
        sx_item *a = &o->items[o->names[i - 1]], *b = &o->items[o->names[i]];
        if (a->owner == b->owner && !compare_names(a, b, bytes) &&
            a->scope_end - a->scope_start == b->scope_end - b->scope_start)
            b->definition = -1;
    }
    o->n_names = 0;
    return true;
}

/* Variables of functions are no definitions, nor are those declared extern;
 * `typedef struct ring {...} ring;` is one definition, not two. */
static bool drop_locals(sx_outline *o, const uint8_t *bytes)
{
    size_t kept = 0;

    nest(o);
    for (size_t i = 0; i < o->n_items; i++) {
        sx_item *item = &o->items[i];
        bool drop = is_value(item) && item->owner >= 0 && is_local(&o->items[item->owner]);

        if (!drop && is_type_name(item) && i > 0) {
            const sx_item *other = &o->items[i - 1];
            drop = other->start == item->start && other->end == item->end &&
                   !compare_names(item, other, bytes);
        }
        if (!drop && item->kind && !strcmp(item->kind, "variable"))
            drop = item->end - item->start > 7 && !memcmp(bytes + item->start, "extern ", 7);
        item->definition = drop ? -1 : 0;
    }
    if (!drop_assigned_again(o, bytes))
        return false;
    for (size_t i = 0; i < o->n_items; i++)
        if (o->items[i].definition == 0)
            o->items[kept++] = o->items[i];
    o->n_items = kept;
    nest(o);
    return true;
}

/* ---- what stands in front ---------------------------------------------------------------------
 */

/* "type (", "const (": holds several definitions and belongs to none. */
static bool is_group(const uint8_t *bytes, uint32_t at, uint32_t end)
{
    while (at < end && bytes[at] >= 'a' && bytes[at] <= 'z')
        at++;
    while (at < end && is_blank(bytes[at]))
        at++;
    return at < end && bytes[at] == '(';
}

/* template<>, export, decorators: the node around belongs to the first definition inside it.
 * From the last to the first, so that of two nodes around one definition the inner one is first. */
static void apply_outers(sx_outline *o, const uint8_t *bytes)
{
    size_t i = o->n_items;

    sort(o->outers, o->n_outers, sizeof *o->outers, range_by_start);
    for (size_t k = o->n_outers; k-- > 0;) {
        while (i > 0 && o->items[i - 1].start >= o->outers[k].start)
            i--;
        if (i < o->n_items && o->items[i].end <= o->outers[k].end &&
            !is_group(bytes, o->outers[k].start, o->outers[k].end))
            o->items[i].start = o->outers[k].start;
    }
}

static bool mentions(const uint8_t *bytes, uint32_t start, uint32_t end, const char *word)
{
    size_t n = strlen(word);

    for (; end - start >= n && end > start; start++) {
        size_t i = 0;
        while (i < n && (bytes[start + i] | 32) == (word[i] | 32))
            i++;
        if (i == n)
            return true;
    }
    return false;
}

/* A licence, a "#!" line, an editor's line: about the file, not about its first definition. */
static bool about_file(const sx_outline *o, const uint8_t *bytes, uint32_t start, uint32_t end)
{
    static const char *const words[] = {"copyright",
                                        "spdx-license",
                                        "licensed under",
                                        "all rights reserved",
                                        "frozen_string_literal",
                                        "-*-",
                                        "coding:"};

    if (line_of(o, start) >= LICENCE_LINES)
        return false;
    if (end - start > 4096)
        end = start + 4096;
    if (end - start >= 2 && bytes[start] == '#' && bytes[start + 1] == '!')
        return true;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (mentions(bytes, start, end, words[i]))
            return true;
    return false;
}

/* The comment fronts[k] stands right in front of a definition: with the line comments above it. */
static sx_range comment_block(const sx_outline *o, const uint8_t *bytes, size_t k)
{
    sx_range block = {o->fronts[k].start, o->fronts[k].end};
    bool line_comment = !memchr(bytes + block.start, '\n', block.end - block.start) &&
                        bytes[block.end - 1] != '/';

    while (line_comment && k > 0) {
        const sx_front *above = &o->fronts[k - 1];
        if (!above->comment || above->end > block.start || above->end - above->start < 2 ||
            bytes[above->start] != bytes[block.start] ||
            !adjacent(bytes, above->end, block.start) || !opens_line(o, bytes, above->start) ||
            memchr(bytes + above->start, '\n', above->end - above->start) ||
            (bytes[above->start] == '#' && bytes[above->start + 1] == '!') ||
            (bytes[above->start] == '/' && bytes[above->start + 1] != '/'))
            break;
        block.start = above->start;
        k--;
    }
    return block;
}

/* Attributes in front become part of the item; a comment in front of those is its doc comment. */
static void apply_fronts(sx_outline *o, const uint8_t *bytes)
{
    size_t next = 0; /* first front that does not start before the item */
    const sx_item *last = NULL;
    uint32_t last_start = 0;

    sort(o->fronts, o->n_fronts, sizeof *o->fronts, front_by_start);
    for (size_t i = 0; i < o->n_fronts; i++)
        o->fronts[i].end = trim_end(bytes, o->fronts[i].start, o->fronts[i].end);
    for (size_t i = 0; i < o->n_items; i++) {
        sx_item *item = &o->items[i];
        uint32_t start = item->start;

        if (!item->kind)
            continue;
        if (last && start == last_start) { /* int a, b: one comment for both */
            item->start = last->start;
            item->doc_start = last->doc_start;
            item->doc_end = last->doc_end;
            continue;
        }
        last = item;
        last_start = start;
        while (next < o->n_fronts && o->fronts[next].start < item->start)
            next++;
        for (size_t k = next; k > 0; k--) {
            const sx_front *front = &o->fronts[k - 1];
            if (front->start >= item->start)
                continue; /* inside: the item was moved to its attributes already */
            if (front->end > item->start || !adjacent(bytes, front->end, item->start))
                break;
            if (!front->comment) {
                item->start = front->start;
                continue;
            }
            if (front->end > front->start && opens_line(o, bytes, front->start) &&
                item->doc_start == item->doc_end) {
                sx_range block = comment_block(o, bytes, k - 1);
                if (!about_file(o, bytes, block.start, block.end)) {
                    item->doc_start = block.start;
                    item->doc_end = block.end;
                }
            }
            break;
        }
    }
}

/* ---- definitions ------------------------------------------------------------------------------
 */

static uint32_t signature_end(const sx_outline *o, const uint8_t *bytes, const sx_item *item,
                              const sx_definition *d)
{
    size_t line;

    if (item->body > item->name_start)
        return trim_end(bytes, item->start, item->body);
    if (d->end_line - d->start_line < SIGNATURE_LINES)
        return item->end;
    line = line_of(o, item->name_end);
    return trim_end(bytes, item->start,
                    line + 1 < o->n_lines && o->lines[line + 1] < item->end ? o->lines[line + 1]
                                                                            : item->end);
}

static uint32_t boundary_of(const sx_outline *o, const uint8_t *bytes, const sx_definition *d)
{
    static const char *const small[] = {"constant", "variable", "property", "macro", "type", NULL};
    bool doc_in_front = d->doc_end > d->doc_start && d->doc_end <= d->start_byte;
    uint32_t at = doc_in_front ? d->doc_start : d->start_byte;

    if (!strcmp(d->kind, "namespace") ||
        (!doc_in_front && d->start_line == d->end_line && kind_in(d->kind, small)))
        return SX_NO_BOUNDARY;
    return opens_line(o, bytes, at) ? o->lines[line_of(o, at)] : at;
}

static bool define(sx_outline *o, const uint8_t *bytes, size_t n, sx_item *item, sx_parse *parse)
{
    const sx_item *owner = item->owner >= 0 ? &o->items[item->owner] : NULL;
    sx_definition d = {.kind = item->kind, .parent = owner ? owner->definition : -1};

    /* the item's end: no white space, but the semicolon that closes it */
    item->end = trim_end(bytes, item->start, item->end);
    if (item->end < n && bytes[item->end] == ';')
        item->end++;
    d.scope_start = item->scope_start, d.scope_end = item->scope_end;
    if (owner && !owner->kind && !owner->local && d.scope_start == d.scope_end) {
        d.scope_start = owner->scope_start;
        d.scope_end = owner->scope_end;
    }
    if (!strcmp(d.kind, "function") && (item->qualified || (owner && has_methods(owner))))
        d.kind = "method";
    d.start_byte = item->start, d.end_byte = item->end;
    d.name_start = item->name_start, d.name_end = item->name_end;
    d.doc_start = item->doc_start, d.doc_end = item->doc_end;
    d.start_line = (uint32_t)line_of(o, d.start_byte) + 1;
    d.end_line = (uint32_t)line_of(o, d.end_byte > 0 ? d.end_byte - 1 : 0) + 1;
    d.signature_end = signature_end(o, bytes, item, &d);
    d.boundary = boundary_of(o, bytes, &d);
    if (!grow((void **)&parse->definitions, &parse->cap_definitions, parse->n_definitions,
              sizeof *parse->definitions))
        return false;
    item->definition = (int32_t)parse->n_definitions;
    parse->definitions[parse->n_definitions++] = d;
    return true;
}

static int number_ascending(const void *pa, const void *pb)
{
    return by_number(*(const uint32_t *)pa, *(const uint32_t *)pb);
}

/* Uses: every captured name that is not itself the name of a definition. */
static bool refer(sx_outline *o, sx_parse *parse)
{
    size_t next = 0, name = 0;
    int32_t at = -1;
    uint32_t line = 0;

    for (size_t i = 0; i < parse->n_definitions; i++) {
        if (!grow((void **)&o->names, &o->cap_names, o->n_names, sizeof *o->names))
            return false;
        o->names[o->n_names++] = parse->definitions[i].name_start;
    }
    sort(o->names, o->n_names, sizeof *o->names, number_ascending);
    sort(o->references, o->n_references, sizeof *o->references, range_by_start);
    for (size_t i = 0; i < o->n_references; i++) {
        const sx_range *use = &o->references[i];

        if (i > 0 && use->start == use[-1].start)
            continue;
        while (name < o->n_names && o->names[name] < use->start)
            name++;
        if (name < o->n_names && o->names[name] == use->start)
            continue;
        for (; next < o->n_items && o->items[next].start <= use->start; next++)
            at = (int32_t)next;
        while (at >= 0 && o->items[at].end < use->end)
            at = o->items[at].around;
        while (line + 1 < o->n_lines && o->lines[line + 1] <= use->start)
            line++;
        if (!grow((void **)&parse->references, &parse->cap_references, parse->n_references,
                  sizeof *parse->references))
            return false;
        parse->references[parse->n_references++] = (sx_reference){
            use->start, use->end, line + 1, at >= 0 ? o->items[at].definition : -1};
    }
    return true;
}

int sx_outline_build(sx_outline *o, const uint8_t *bytes, size_t n, sx_parse *parse)
{
    drop_duplicates(o);
    if (!lines_find(o, bytes, n) || !drop_locals(o, bytes))
        return -ENOMEM;
    apply_outers(o, bytes);
    apply_fronts(o, bytes);
    for (size_t i = 0; i < o->n_items; i++) {
        sx_item *item = &o->items[i];
        if (!item->kind)
            item->definition = item->owner >= 0 ? o->items[item->owner].definition : -1;
        else if (!define(o, bytes, n, item, parse))
            return -ENOMEM;
    }
    return refer(o, parse) ? 0 : -ENOMEM;
}
