/* quote.c: is what the model wrote a quotation of the source?
 * Must not know how spans are found or printed. */
#include "app/quote.h"

#include <string.h>

enum {
    MIN_MATCH = 16, /* folded bytes that make a quotation */
    MIN_LINE = 4,   /* folded bytes of a whole first line that do */
    MIN_VALUE = 3,
    MAX_REGION = 256 << 10 /* bytes of a span that are searched */
};

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f' || c == '\v';
}

static bool is_leader(uint8_t c)
{
    return c == '/' || c == '*' || c == '#' || c == '-' || c == ';' || c == '!' || c == '%';
}

static bool is_word(uint8_t c)
{
    return c == '_' || c >= 0x80 || (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
           (c >= 'A' && c <= 'Z');
}

static size_t skip_space(const uint8_t *s, size_t at, size_t end, bool *newline)
{
    *newline = false;
    while (at < end && is_space(s[at]))
        *newline |= s[at++] == '\n';
    return at;
}

typedef struct match {
    size_t folded; /* bytes that agree, a run of white space counting as one */
    size_t text;   /* offset behind the last agreeing byte in the text */
    size_t source; /* the same in the blob */
} match;

/* How far text and s[at, end) agree from their beginnings; neither begins with white space. */
static match agree(const uint8_t *text, size_t n, const uint8_t *s, size_t at, size_t end)
{
    match m = {0, 0, at};
    size_t i = 0, j = at;

    while (i < n && j < end) {
        bool text_newline, source_newline;
        size_t next_i = skip_space(text, i, n, &text_newline);
        size_t next_j = skip_space(s, j, end, &source_newline);

        if (next_i > i || next_j > j) { /* white space on one side only ends the match */
            if (next_i == i || next_j == j || next_i == n)
                break;
            if (source_newline && (next_j == end || s[next_j] != text[next_i])) {
                while (next_j < end && is_leader(s[next_j]))
                    next_j++;
                next_j = skip_space(s, next_j, end, &source_newline);
            }
            if (next_j == end || s[next_j] != text[next_i])
                break;
            m.folded++;
            i = next_i;
            j = next_j;
        }
        if (text[i] != s[j])
            break;
        m.folded++;
        m.text = ++i;
        m.source = ++j;
    }
    return m;
}

static size_t line_start(const sx_quote_source *source, size_t at)
{
    while (at > 0 && source->bytes[at - 1] != '\n')
        at--;
    return at;
}

static size_t line_end(const sx_quote_source *source, size_t at)
{
    const uint8_t *newline = at < source->n ? memchr(source->bytes + at, '\n', source->n - at)
                                            : NULL;

    return newline != NULL ? (size_t)(newline - source->bytes) : source->n;
}

/* Nothing but white space and a comment leader stands before `at` in its line. */
static bool begins_line(const sx_quote_source *source, size_t at)
{
    for (size_t i = line_start(source, at); i < at; i++)
        if (!is_space(source->bytes[i]) && !is_leader(source->bytes[i]))
            return false;
    return true;
}

static size_t region_start(const sx_quote_source *source)
{
    bool doc_first = source->doc_end > source->doc_start && source->doc_start < source->start;

    return doc_first ? source->doc_start : source->start;
}

static size_t region_end(const sx_quote_source *source)
{
    size_t start = region_start(source);

    return source->end - start > MAX_REGION ? start + MAX_REGION : source->end;
}

/* Which whole lines stand for a match that began at `at`: from the beginning of the definition if
 * the match is in its doc comment or signature, and as many as the text has, at least down to the
 * signature's end. */
static void quote_lines(sx_quote *quote, const sx_quote_source *source, size_t at,
                        size_t matched_end, size_t text_lines)
{
    bool in_doc = at >= source->doc_start && at < source->doc_end;
    bool in_head = in_doc || (at >= source->start && at <= source->signature_end);
    size_t first = at, last = line_end(source, at), lines = 1;
    size_t stop = source->end > matched_end ? source->end : matched_end;

    if (in_doc)
        first = region_start(source);
    else if (in_head)
        first = source->start;
    first = line_start(source, first);
    while (--text_lines > 0 && last + 1 < stop)
        last = line_end(source, last + 1);
    if (matched_end > last)
        last = line_end(source, matched_end);
    if (in_head && source->signature_end > last)
        last = line_end(source, source->signature_end);
    quote->start = (uint32_t)first;
    /* A long doc comment or signature is cut at a line's end. */
    for (size_t end = line_end(source, first);; end = line_end(source, end + 1)) {
        quote->end = (uint32_t)end;
        if (end >= last || ++lines > SX_QUOTE_MAX_LINES)
            break;
    }
}

static bool is_value(const sx_quote_source *source, size_t at, size_t end, size_t n)
{
    return n >= MIN_VALUE &&
           (at == 0 || !is_word(source->bytes[at - 1]) || !is_word(source->bytes[at])) &&
           (end >= source->n || !is_word(source->bytes[end]) || !is_word(source->bytes[end - 1]));
}

sx_quote sx_quote_find(const char *text, size_t n, bool finished, const sx_quote_source *sources,
                       size_t n_sources)
{
    sx_quote quote = {.kind = SX_QUOTE_UNDECIDED}, value = {.kind = SX_QUOTE_NONE};
    const uint8_t *t = (const uint8_t *)text;
    size_t line = 0, lines = 1, best = 0;

    while (n > 0 && is_space(*t)) {
        t++;
        n--;
    }
    while (n > 0 && finished && is_space(t[n - 1]))
        n--;
    while (line < n && t[line] != '\n')
        line++;
    for (size_t i = 0; i + 1 < n; i++)
        lines += t[i] == '\n';
    size_t line_text = line; /* without trailing white space */
    while (line_text > 0 && is_space(t[line_text - 1]))
        line_text--;
    if (n == 0) {
        quote.kind = finished ? SX_QUOTE_NONE : SX_QUOTE_UNDECIDED;
        return quote;
    }
    for (size_t k = 0; k < n_sources; k++) {
        const sx_quote_source *source = &sources[k];
        size_t end = region_end(source);

        for (size_t at = region_start(source); at < end; at++) {
            if (source->bytes[at] != *t)
                continue;
            match m = agree(t, n, source->bytes, at, end);
            /* A short line stands in many places: it decides only when nothing more will come. */
            bool whole_line = finished && line_text >= MIN_LINE && m.text >= line_text &&
                              begins_line(source, at) && m.source >= line_end(source, at);

            /* Elsewhere than in the first span, the beginning of a line is not enough: declarations
             * of one library look alike. */
            bool line_mostly = k == 0 || m.text * 4 >= line_text * 3;

            if (m.folded > best && ((m.folded >= MIN_MATCH && line_mostly) || whole_line)) {
                best = m.folded;
                quote.kind = SX_QUOTE_LINES;
                quote.source = k;
                quote_lines(&quote, source, at, m.source, lines);
            } else if (value.kind == SX_QUOTE_NONE && finished && m.text == n && lines == 1 &&
                       is_value(source, at, m.source, n)) {
                value = (sx_quote){SX_QUOTE_VALUE, k, (uint32_t)line_start(source, at),
                                   (uint32_t)line_end(source, at)};
            }
        }
    }
    if (quote.kind == SX_QUOTE_UNDECIDED && finished)
        quote = value;
    return quote;
}

void sx_quote_head(const sx_quote_source *source, uint32_t *start, uint32_t *end)
{
    bool doc_first = source->doc_start < source->doc_end && source->doc_start < source->start;

    *start = (uint32_t)line_start(source, doc_first ? source->doc_start : source->start);
    *end = (uint32_t)line_end(source, source->signature_end > source->start ? source->signature_end
                                                                            : source->start);
}
