/* ranking.c: weights of blocks -> spans in the order an answer cites them; ranking.h says how.
 * Must not know where blocks and definitions come from. */
#include "app/ranking.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of a block that only the lexical channel chose the landmarks say nothing: below this their order
 * is chance. Fitted with lexical_weight. */
#define LEAST_RANK 1e-5f

static bool is_word(unsigned char c)
{
    return c == '_' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

/* Is it a name by its looks, whatever stands around it? */
static bool looks_like_name(const char *name)
{
    for (const char *c = name; *c; c++)
        if (*c == '_' || (*c >= '0' && *c <= '9') || (c > name && *c >= 'A' && *c <= 'Z'))
            return true;
    return false;
}

sx_naming sx_question_names(const char *question, const char *name)
{
    size_t n = strlen(name);
    sx_naming found = SX_NAMED_NOT;

    if (n == 0)
        return found;
    for (const char *at = question; (at = strstr(at, name)) != NULL; at++) {
        char before = at > question ? at[-1] : ' ', behind = at[n];

        if (is_word((unsigned char)before) || is_word((unsigned char)behind))
            continue;
        found = SX_NAMED_WORD;
        if (behind == '(' || (before == behind && (before == '`' || before == '\'')) ||
            looks_like_name(name))
            return SX_NAMED_OUTRIGHT;
    }
    return found;
}

/* Words that ask for something, whatever it is: beside a name they tell nothing more. */
static bool only_asks(const char *word, size_t n)
{
    static const char *const asking[] = {
        "a",           "about",       "an",       "and",       "are",
        "by",          "call",        "called",   "caller",    "callers",
        "calls",       "can",         "class",    "code",      "constant",
        "declared",    "declaration", "define",   "defined",   "defines",
        "definition",  "describe",    "did",      "do",        "does",
        "enum",        "explain",     "file",     "files",     "find",
        "for",         "from",        "function", "get",       "functions",
        "go",          "here",        "how",      "i",         "implementation",
        "implemented", "implements",  "in",       "interface", "is",
        "it",          "its",         "locate",   "look",      "macro",
        "me",          "method",      "methods",  "module",    "of",
        "on",          "open",        "or",       "purpose",   "s",
        "see",         "show",        "source",   "struct",    "tell",
        "that",        "the",         "there",    "this",      "to",
        "trait",       "type",        "usages",   "use",       "used",
        "uses",        "variable",    "was",      "what",      "where",
        "which",       "who",         "at"};

    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
        if (strlen(asking[i]) == n && strncasecmp(asking[i], word, n) == 0)
            return true;
    return false;
}

/* Takes what is named outright out of text, a copy of the question. */
static void take_names_out(char *text, const sx_rank_span *spans, size_t n, const sx_rank_input *in)
{
    for (size_t i = 0; i < n; i++) {
        const char *name;

        if (spans[i].named != SX_NAMED_OUTRIGHT)
            continue;
        name = in->definitions[spans[i].definition].name;
        for (char *at = text; (at = strstr(at, name)) != NULL; at++)
            memset(at, ' ', strlen(name));
    }
}

/* Does the question ask for the names in it, or say more? One more word may be where it is. */
static bool asks_for_names(const sx_rank_span *spans, size_t n, const sx_rank_input *in)
{
    char *text = strdup(in->question);
    int more = 0;

    if (text == NULL)
        return true;
    take_names_out(text, spans, n, in);
    for (const char *c = text; *c;) {
        size_t length = 0;

        while (is_word((unsigned char)c[length]))
            length++;
        more += length > 1 && !only_asks(c, length);
        c += length ? length : 1;
    }
    free(text);
    return more <= 1;
}

bool sx_question_of_tests(const char *question)
{
    return strcasestr(question, "test") != NULL;
}

/* Index of the first definition of `file` whose boundary is at or behind `byte`. */
static size_t lower_bound(const sx_rank_definition *definitions, size_t n, uint32_t file,
                          uint32_t byte)
{
    size_t low = 0, high = n;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const sx_rank_definition *d = &definitions[middle];

        if (d->file < file || (d->file == file && d->boundary < byte))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Where a definition ends, or what comes after it begins. */
static uint32_t end_in(const sx_rank_definition *d, uint32_t next)
{
    return d->end_byte < next ? d->end_byte : next;
}

int32_t sx_rank_owner(const sx_rank_block *block, const sx_rank_definition *definitions, size_t n,
                      const char *question)
{
    size_t first = lower_bound(definitions, n, block->file, block->start_byte);
    int32_t owner = -1, around = -1;
    uint32_t before, behind;

    for (size_t i = first;
         i < n && definitions[i].file == block->file && definitions[i].boundary < block->end_byte;
         i++) {
        if (sx_question_names(question, definitions[i].name) != SX_NAMED_NOT)
            return (int32_t)i;
        if (owner < 0)
            owner = (int32_t)i;
    }
    /* The nearest definition before the block that still reaches into it is the innermost. */
    for (size_t i = first; i-- > 0 && definitions[i].file == block->file;)
        if (definitions[i].end_byte > block->start_byte) {
            around = (int32_t)i;
            break;
        }
    if (owner < 0 || around < 0)
        return owner < 0 ? around : owner;
    before = end_in(&definitions[around], definitions[owner].boundary) - block->start_byte;
    behind = end_in(&definitions[owner], block->end_byte) - definitions[owner].boundary;
    return before > behind ? around : owner;
}

int sx_rank_definition_compare(const void *pa, const void *pb)
{
    const sx_rank_definition *a = pa, *b = pb;

    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    if (a->boundary != b->boundary)
        return a->boundary < b->boundary ? -1 : 1;
    return a->end_byte > b->end_byte ? -1 : a->end_byte < b->end_byte;
}

static int by_identity(const void *pa, const void *pb)
{
    const sx_rank_span *a = pa, *b = pb;

    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    if (a->definition != b->definition)
        return a->definition < b->definition ? -1 : 1;
    return a->start_byte < b->start_byte ? -1 : a->start_byte > b->start_byte;
}

static int by_score(const void *pa, const void *pb)
{
    const sx_rank_span *a = pa, *b = pb;

    if (a->score != b->score)
        return a->score > b->score ? -1 : 1;
    if (a->mass != b->mass)
        return a->mass > b->mass ? -1 : 1;
    if (a->named != b->named)
        return a->named > b->named ? -1 : 1;
    if (a->file != b->file)
        return a->file < b->file ? -1 : 1;
    return a->start_byte < b->start_byte ? -1 : a->start_byte > b->start_byte;
}

/* What the lexical channel gave a span. */
static float words_of(const sx_rank_span *span, const sx_rank_input *in)
{
    float words = 0.0f;

    for (size_t i = 0; i < in->n_finds; i++) {
        const sx_rank_find *find = &in->finds[i];
        bool same = span->definition >= 0
                        ? find->start_byte == span->start_byte && find->end_byte == span->end_byte
                        : find->start_byte < span->end_byte && span->start_byte < find->end_byte;

        if (find->file == span->file && same && find->words > words)
            words = find->words;
    }
    return words;
}

/* A block, or the definition that owns it. */
static sx_rank_span span_of(const sx_rank_block *block, const sx_rank_input *in)
{
    int32_t owner = sx_rank_owner(block, in->definitions, in->n_definitions, in->question);
    sx_rank_span span = {.file = block->file,
                         .definition = owner,
                         .start_byte = block->start_byte,
                         .end_byte = block->end_byte,
                         .rank = block->rank,
                         .mass = block->mass,
                         .aside = block->aside};

    if (owner >= 0) {
        span.start_byte = in->definitions[owner].start_byte;
        span.end_byte = in->definitions[owner].end_byte;
        span.named = sx_question_names(in->question, in->definitions[owner].name);
    }
    return span;
}

/* Sets its words, too. */
static float prior_of(sx_rank_span *span, const sx_rank_input *in)
{
    float best = 0.0f, share;

    span->words = words_of(span, in);
    for (size_t i = 0; i < in->n_finds; i++)
        best = fmaxf(best, in->finds[i].words);
    share = best > 0.0f ? span->words / best : 0.0f;
    return in->lexical_weight * share * share -
           (span->aside && !sx_question_of_tests(in->question) ? SX_ASIDE : 0.0f);
}

float sx_rank_prior(const sx_rank_block *block, const sx_rank_input *in)
{
    sx_rank_span span = span_of(block, in);

    return prior_of(&span, in);
}

size_t sx_rank_spans(sx_rank_span *spans, const sx_rank_input *in)
{
    float for_name;
    size_t n = 0;

    for (size_t i = 0; i < in->n_blocks; i++)
        spans[i] = span_of(&in->blocks[i], in);
    qsort(spans, in->n_blocks, sizeof *spans, by_identity);
    for (size_t i = 0; i < in->n_blocks; i++) {
        if (n > 0 && by_identity(&spans[n - 1], &spans[i]) == 0) {
            spans[n - 1].rank += spans[i].rank;
            spans[n - 1].mass += spans[i].mass;
        } else {
            spans[n++] = spans[i];
        }
    }
    for_name = asks_for_names(spans, n, in) ? SX_ASKED_FOR : SX_MENTIONED;
    for (size_t i = 0; i < n; i++) {
        spans[i].score = logf(fmaxf(spans[i].rank, LEAST_RANK)) + prior_of(&spans[i], in) +
                         (spans[i].named == SX_NAMED_OUTRIGHT ? for_name : 0.0f);
    }
    qsort(spans, n, sizeof *spans, by_score);
    return n;
}

bool sx_rank_found(float margin, const sx_rank_span *spans, size_t n)
{
    if (margin > 0.0f)
        return true;
    for (size_t i = 0; i < n; i++)
        if (spans[i].named == SX_NAMED_OUTRIGHT)
            return true;
    return false;
}
