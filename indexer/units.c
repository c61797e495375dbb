/* units.c: see units.h. Time is linear in the text, but for sorting and for words that are made to
 * collide, which the size of a unit bounds. */
#include "indexer/units.h"

#include "indexer/terms.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    UNIT_LINES = 40,
    NAME_WEIGHT = 8,
    SIGNATURE_WEIGHT = 2,
    SCOPE_DEPTH = 64,
    SLOTS = 2 * SX_UNIT_WORDS,
};
#define NOBODY UINT32_MAX /* owns what is outside every definition */

typedef struct range { /* bytes and whose they are: index of a definition, or NOBODY */
    uint32_t start, end, owner;
} range;

typedef struct made { /* a unit that is done */
    sx_unit unit;
    size_t first_word;
} made;

typedef struct maker {
    const uint8_t *bytes;
    const sx_parse *parse;
    range *whole; /* [n_definitions]: with the doc comment, outer before inner */
    range *own;   /* what is left of each when those inside it are gone, by owner */
    size_t n_own;
    uint32_t *open;    /* indices into whole of what the sweep is in, innermost last */
    size_t scope_left; /* bytes of names around that may still be read */

    sx_unit unit;         /* the one at hand */
    sx_word slots[SLOTS]; /* of it; neither head nor body: free */
    uint16_t used[SX_UNIT_WORDS];

    made *units;
    size_t n_units, cap_units;
    sx_word *words;
    size_t n_words, cap_words;
    bool failed; /* memory ran short */
} maker;

static bool grow(void **array, size_t *cap, size_t n, size_t size)
{
    size_t wanted = *cap ? *cap : 256;
    void *grown;

    if (n <= *cap)
        return true;
    while (wanted < n && wanted <= SIZE_MAX / 2)
        wanted *= 2;
    if (wanted < n || wanted > SIZE_MAX / size || !(grown = realloc(*array, wanted * size)))
        return false;
    *array = grown;
    *cap = wanted;
    return true;
}

static int by_number(uint64_t a, uint64_t b)
{
    return (a > b) - (a < b);
}

/* ---- one unit ------------------------------------------------------------------------------- */

static void unit_begin(maker *m, uint32_t start, uint32_t end, sx_unit_sort sort)
{
    m->unit = (sx_unit){.start_byte = start, .end_byte = end, .sort = sort};
}

static int word_by_hash(const void *a, const void *b)
{
    return by_number(((const sx_word *)a)->hash, ((const sx_word *)b)->hash);
}

static void unit_end(maker *m)
{
    uint32_t n = m->unit.n_words;

    if (n == 0)
        return;
    m->failed |= !grow((void **)&m->words, &m->cap_words, m->n_words + n, sizeof *m->words) ||
                 !grow((void **)&m->units, &m->cap_units, m->n_units + 1, sizeof *m->units);
    for (uint32_t i = 0; i < n; i++) {
        if (!m->failed)
            m->words[m->n_words + i] = m->slots[m->used[i]];
        m->slots[m->used[i]] = (sx_word){0};
    }
    if (m->failed)
        return;
    qsort(m->words + m->n_words, n, sizeof *m->words, word_by_hash);
    m->units[m->n_units++] = (made){m->unit, m->n_words};
    m->n_words += n;
}

/* Where the term's numbers are, or the free place for them. */
static size_t slot_of(const maker *m, uint32_t hash)
{
    size_t at = hash % SLOTS;

    while ((m->slots[at].head || m->slots[at].body) && m->slots[at].hash != hash)
        at = (at + 1) % SLOTS;
    return at;
}

static void count(uint8_t *number, unsigned more)
{
    *number = (uint8_t)(*number + more > UINT8_MAX ? UINT8_MAX : *number + more);
}

/* A term that stands at `at`. head: what it counts there, 0: it is of the body. */
static void add_term(maker *m, uint32_t hash, uint32_t at, unsigned head)
{
    size_t slot = slot_of(m, hash);
    bool is_new = !m->slots[slot].head && !m->slots[slot].body;

    if (is_new && m->unit.n_words == SX_UNIT_WORDS) {
        uint32_t start = m->unit.start_byte, end = m->unit.end_byte, sort = m->unit.sort;

        unit_end(m);
        unit_begin(m, at > start && at < end ? at : start, end, sort);
        slot = slot_of(m, hash);
    }
    if (is_new) {
        m->slots[slot].hash = hash;
        m->used[m->unit.n_words++] = (uint16_t)slot;
    }
    if (head)
        count(&m->slots[slot].head, head);
    else
        count(&m->slots[slot].body, 1);
    m->unit.length += !head;
}

static void add_text(maker *m, uint32_t start, uint32_t end, unsigned head)
{
    sx_terms terms = {.bytes = m->bytes + start, .n = end - start};

    while (sx_terms_next(&terms))
        add_term(m, terms.hash, start + (uint32_t)terms.run, head);
}

/* ---- definitions ---------------------------------------------------------------------------- */

static sx_unit_sort sort_of(const char *kind)
{
    static const char *const values[] = {"constant", "variable", "property", "macro"};

    if (strcmp(kind, "function") == 0 || strcmp(kind, "method") == 0)
        return SX_UNIT_FUNCTION;
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        if (strcmp(kind, values[i]) == 0)
            return SX_UNIT_VALUE;
    return SX_UNIT_TYPE;
}

/* Names of what is around: of text that belongs to others, so there is an end to it. */
static void add_scope(maker *m, uint32_t start, uint32_t end)
{
    if (end <= start || end - start > m->scope_left)
        return;
    m->scope_left -= end - start;
    add_text(m, start, end, 1);
}

static void add_name_and_scope(maker *m, const sx_definition *d)
{
    int32_t around = d->parent;

    add_text(m, d->name_start, d->name_end, NAME_WEIGHT);
    if (d->scope_start < d->start_byte || d->scope_end > d->signature_end)
        add_scope(m, d->scope_start, d->scope_end); /* else it is counted with the signature */
    for (int depth = 0; around >= 0 && depth < SCOPE_DEPTH; depth++) {
        const sx_definition *outer = &m->parse->definitions[around];

        add_scope(m, outer->name_start, outer->name_end);
        around = outer->parent;
    }
}

static void add_own_text(maker *m, const sx_definition *d, const range *own)
{
    const uint32_t marks[] = {d->doc_start, d->doc_end, d->start_byte, d->signature_end};

    for (uint32_t at = own->start, next; at < own->end; at = next) {
        unsigned in_doc = at >= d->doc_start && at < d->doc_end;
        unsigned in_signature = at >= d->start_byte && at < d->signature_end;

        next = own->end;
        for (size_t i = 0; i < sizeof marks / sizeof *marks; i++)
            if (marks[i] > at && marks[i] < next)
                next = marks[i];
        add_text(m, at, next, in_doc + SIGNATURE_WEIGHT * in_signature);
    }
}

static uint32_t whole_start(const sx_definition *d)
{
    return d->doc_end > d->doc_start && d->doc_end <= d->start_byte ? d->doc_start : d->start_byte;
}

static int outer_first(const void *pa, const void *pb)
{
    const range *a = pa, *b = pb;
    int order = by_number(a->start, b->start);

    if (!order)
        order = by_number(b->end, a->end);
    return order ? order : by_number(a->owner, b->owner);
}

static int by_owner(const void *pa, const void *pb)
{
    const range *a = pa, *b = pb;
    int order = by_number(a->owner, b->owner);

    return order ? order : by_number(a->start, b->start);
}

/* Gives each byte to the innermost definition around it. At every step either a definition is
 * entered, which happens once to each, or one is left behind, or the text ends. */
static void share_out(maker *m, uint32_t n)
{
    size_t n_open = 0, next = 0, n_whole = m->parse->n_definitions;

    for (uint32_t at = 0, to; at < n || next < n_whole; at = to) {
        const range *inner;

        to = at;
        while (n_open && m->whole[m->open[n_open - 1]].end <= at)
            n_open--;
        if (next < n_whole && m->whole[next].start <= at) {
            m->open[n_open++] = (uint32_t)next++;
            continue;
        }
        inner = n_open ? &m->whole[m->open[n_open - 1]] : NULL;
        to = next < n_whole ? m->whole[next].start : n;
        if (inner && inner->end < to)
            to = inner->end;
        m->own[m->n_own++] = (range){at, to, inner ? inner->owner : NOBODY};
    }
}

/* ---- lines outside of definitions ----------------------------------------------------------- */

static bool is_blank(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void add_lines(maker *m, uint32_t at, uint32_t end)
{
    while (at < end) {
        uint32_t start, to;

        while (at < end && is_blank(m->bytes[at]))
            at++;
        start = at;
        for (int line = 0; line < UNIT_LINES && at < end; line++) {
            const uint8_t *newline = memchr(m->bytes + at, '\n', end - at);

            at = newline ? (uint32_t)(newline - m->bytes) + 1 : end;
        }
        for (to = at; to > start && is_blank(m->bytes[to - 1]);)
            to--;
        unit_begin(m, start, to, SX_UNIT_LINES);
        add_text(m, start, to, 0);
        unit_end(m);
    }
}

/* ---- a blob --------------------------------------------------------------------------------- */

static int made_by_start(const void *pa, const void *pb)
{
    const made *a = pa, *b = pb;
    int order = by_number(a->unit.start_byte, b->unit.start_byte);

    if (!order)
        order = by_number(b->unit.end_byte, a->unit.end_byte);
    return order ? order : by_number(a->first_word, b->first_word);
}

int sx_units_pack(sx_bytes *out, const uint8_t *bytes, size_t n, const sx_parse *parse)
{
    size_t n_definitions = parse->n_definitions, at = 0;
    maker *m = calloc(1, sizeof *m);
    uint32_t before = 0;
    int rc = -ENOMEM;

    if (!m || !(m->whole = malloc((n_definitions + 1) * sizeof *m->whole)) ||
        !(m->own = malloc((3 * n_definitions + 2) * sizeof *m->own)) ||
        !(m->open = malloc((n_definitions + 1) * sizeof *m->open)))
        goto out;
    m->bytes = bytes;
    m->parse = parse;
    m->scope_left = n;
    for (size_t i = 0; i < n_definitions; i++)
        m->whole[i] = (range){whole_start(&parse->definitions[i]), parse->definitions[i].end_byte,
                              (uint32_t)i};
    qsort(m->whole, n_definitions, sizeof *m->whole, outer_first);
    share_out(m, (uint32_t)n);
    qsort(m->own, m->n_own, sizeof *m->own, by_owner);
    for (size_t i = 0; i < n_definitions; i++) {
        const sx_definition *d = &parse->definitions[i];

        unit_begin(m, d->start_byte, d->end_byte, sort_of(d->kind));
        add_name_and_scope(m, d);
        for (; at < m->n_own && m->own[at].owner == i; at++)
            add_own_text(m, d, &m->own[at]);
        unit_end(m);
    }
    for (; at < m->n_own; at++)
        add_lines(m, m->own[at].start, m->own[at].end);
    if (m->failed)
        goto out;
    if (m->n_units)
        qsort(m->units, m->n_units, sizeof *m->units, made_by_start);
    for (size_t i = 0; i < m->n_units; i++) {
        const made *one = &m->units[i];

        sx_pack_unit(out, &one->unit, m->words + one->first_word, before);
        before = one->unit.start_byte;
    }
    rc = out->failed ? -ENOMEM : 0;
out:
    if (m) {
        free(m->whole);
        free(m->own);
        free(m->open);
        free(m->units);
        free(m->words);
    }
    free(m);
    return rc;
}
