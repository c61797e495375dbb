/* macros.c: finds the macros of C and C++ that stand where the grammar has nothing. Without a
 * semicolon, the parser takes them for types: `LIB_BEGIN_NAMESPACE` and `namespace detail {` become
 * a function called namespace, with everything up to the end of the file as its body, and `class
 * LIB_API Name {` a function called Name. Only names in capitals, and only in these two places:
 * elsewhere, a name alone on a line may be a value or a type. */
#include "indexer/macros.h"

#include <string.h>

typedef struct macro {
    size_t start, n; /* bytes to blank */
} macro;

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

static bool in_capitals(uint8_t c)
{
    return c == '_' || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool in_name(uint8_t c)
{
    return in_capitals(c) || (c >= 'a' && c <= 'z');
}

static size_t skip_blanks(const uint8_t *text, size_t at, size_t end)
{
    while (at < end && is_blank(text[at]))
        at++;
    return at;
}

/* LIB_BEGIN_NAMESPACE and nothing else on the line. */
static bool alone(const uint8_t *text, size_t line, size_t eol, macro *found)
{
    static const char *const words[] = {"BEGIN", "END", "NAMESPACE", "EXPORT"};
    size_t at = line;

    while (at < eol && in_capitals(text[at]))
        at++;
    *found = (macro){line, at - line};
    if (found->n == 0 || skip_blanks(text, at, eol) < eol)
        return false;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        size_t k = strlen(words[i]);
        for (size_t b = line; b + k <= line + found->n; b++)
            if (!memcmp(text + b, words[i], k))
                return true;
    }
    return false;
}

/* `class LIB_API Name` or `class LIB_API(1) Name`, and then a body, bases, or `final`. */
static bool in_class(const uint8_t *text, size_t line, size_t eol, size_t n, macro *found)
{
    static const char *const keywords[] = {"class", "struct", "union"};
    size_t at = skip_blanks(text, line, eol), start, name;

    for (size_t i = 0; i < sizeof keywords / sizeof keywords[0]; i++) {
        size_t k = strlen(keywords[i]);
        if (eol - at > k && !memcmp(text + at, keywords[i], k) && is_blank(text[at + k])) {
            at = start = skip_blanks(text, at + k, eol);
            goto macro;
        }
    }
    return false;
macro:
    while (at < eol && in_capitals(text[at]))
        at++;
    if (at - start < 3)
        return false;
    if (at < eol && text[at] == '(') {
        const uint8_t *close = memchr(text + at, ')', eol - at);
        if (!close)
            return false;
        at = (size_t)(close - text) + 1;
    }
    *found = (macro){start, at - start};
    name = skip_blanks(text, at, eol);
    for (at = name; at < eol && in_name(text[at]); at++)
        ;
    if (name == start + found->n || at == name)
        return false;
    at = skip_blanks(text, at, eol);
    if (at == eol) /* the body or the bases on the next line */
        at = skip_blanks(text, eol < n ? eol + 1 : n, n);
    if (at + 5 < n && !memcmp(text + at, "final", 5))
        return true;
    return at < n && (text[at] == '{' || (text[at] == ':' && at + 1 < n && text[at + 1] != ':'));
}

/* The next one on a line that starts at or behind `line`. */
static bool next_macro(const uint8_t *text, size_t line, size_t n, macro *found)
{
    while (line < n) {
        const uint8_t *newline = memchr(text + line, '\n', n - line);
        size_t eol = newline ? (size_t)(newline - text) : n;

        if (alone(text, line, eol, found) || in_class(text, line, eol, n, found))
            return true;
        line = eol + 1;
    }
    return false;
}

bool sx_macros_any(const uint8_t *text, size_t n)
{
    macro found;

    return next_macro(text, 0, n, &found);
}

void sx_macros_blank(uint8_t *text, size_t n)
{
    macro found;

    for (size_t at = 0; next_macro(text, at, n, &found);) {
        const uint8_t *newline = memchr(text + found.start, '\n', n - found.start);
        memset(text + found.start, ' ', found.n);
        at = newline ? (size_t)(newline - text) + 1 : n;
    }
}
