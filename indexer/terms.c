/* terms.c: see terms.h. What is indexed and what is asked go through the same code. */
#include "indexer/terms.h"

#include <string.h>
#include <xxhash.h>

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_capital(uint8_t c)
{
    return c >= 'A' && c <= 'Z';
}

/* Small letters, and bytes of characters that are not ASCII. */
static bool is_small(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || c >= 0x80;
}

static uint8_t to_small(uint8_t c)
{
    return is_capital(c) ? (uint8_t)(c | 0x20) : c;
}

/* Bytes of a sign that is no letter: spaces, quotes, dashes, arrows, boxes, pictures, the mark in
 * front of a file. 0: none. Not all of them, but those that stand against words in comments. */
static size_t sign_at(const uint8_t *at, size_t n)
{
    if (n >= 2 && at[0] == 0xc2 && at[1] >= 0x80 && at[1] < 0xc0)
        return 2; /* U+0080 to U+00BF */
    if (n >= 3 && at[0] == 0xe2 && at[1] >= 0x80 && at[1] < 0xb0)
        return 3; /* U+2000 to U+2BFF */
    if (n >= 3 && at[0] == 0xe3 && at[1] == 0x80)
        return 3; /* U+3000 to U+303F */
    if (n >= 3 && at[0] == 0xef && at[1] == 0xbb && at[2] == 0xbf)
        return 3; /* U+FEFF */
    if (n >= 4 && at[0] == 0xf0 && at[1] == 0x9f)
        return 4; /* U+1F000 to U+1FFFF */
    return 0;
}

/* Does a run hold the byte at `at`? If not, *skip: how many bytes to go on by. */
static bool in_run(const sx_terms *t, size_t at, size_t *skip)
{
    uint8_t c = t->bytes[at];

    *skip = 1;
    if (c < 0x80)
        return is_small(c) || is_capital(c) || is_digit(c) || c == '_';
    *skip = sign_at(t->bytes + at, t->n - at);
    return *skip == 0;
}

/* ---- endings -------------------------------------------------------------------------------- */

static bool ends_in(const uint8_t *word, size_t n, const char *end)
{
    size_t k = strlen(end);

    return n >= k && memcmp(word + n - k, end, k) == 0;
}

/* A doubled last letter becomes one where an ending made it two: stopped -> stopp -> stop. */
static size_t undouble(const uint8_t *word, size_t n)
{
    return n > 3 && word[n - 1] == word[n - 2] && word[n - 1] < 0x80 && !strchr("lsz", word[n - 1])
               ? n - 1
               : n;
}

size_t sx_stem(uint8_t *word, size_t n)
{
    if (n < 4)
        return n;
    if (n > 4 && ends_in(word, n, "ies")) {
        n -= 2;
        word[n - 1] = 'y';
    } else if (ends_in(word, n, "sses") ||
               (n > 4 && ends_in(word, n, "es") && strchr("sxzh", word[n - 3]))) {
        n -= 2;
    } else if (word[n - 1] == 's' && !strchr("sui", word[n - 2])) {
        n--;
    }
    if (n > 5 && ends_in(word, n, "ing"))
        n = undouble(word, n - 3);
    else if (n > 4 && ends_in(word, n, "ed"))
        n = undouble(word, n - 2);
    return n > 3 && word[n - 1] == 'e' ? n - 1 : n;
}

/* ---- runs and pieces ------------------------------------------------------------------------ */

uint32_t sx_term_hash(const uint8_t *term, size_t n, bool whole)
{
    return (uint32_t)XXH3_64bits_withSeed(term, n, whole);
}

/* Goes to the next run; false: there is none. */
static bool find_run(sx_terms *t)
{
    size_t skip;

    while (t->at < t->n && !in_run(t, t->at, &skip))
        t->at += skip;
    t->run = t->run_end = t->at;
    t->pieces = 0;
    while (t->run_end < t->n && in_run(t, t->run_end, &skip))
        t->run_end++;
    return t->run < t->run_end;
}

/* Behind the piece that starts at `at`, which is no '_'. */
static size_t piece_end(const sx_terms *t, size_t at)
{
    const uint8_t *bytes = t->bytes;
    size_t capitals = at;

    if (is_digit(bytes[at])) {
        while (at < t->run_end && is_digit(bytes[at]))
            at++;
        return at;
    }
    while (capitals < t->run_end && is_capital(bytes[capitals]))
        capitals++;
    if (capitals > at && (capitals == t->run_end || !is_small(bytes[capitals])))
        return capitals;
    if (capitals > at + 1)
        return capitals - 1; /* HTTPHeader: the last capital begins the next piece */
    while (capitals < t->run_end && is_small(bytes[capitals]))
        capitals++;
    return capitals;
}

/* Makes bytes [from, to) the term at hand; false: too long or too short to be one. */
static bool take(sx_terms *t, size_t from, size_t to, bool whole)
{
    size_t n = to - from;

    if (n > SX_TERM_BYTES || (n < 2 && !is_digit(t->bytes[from])))
        return false;
    for (size_t i = 0; i < n; i++)
        t->term[i] = to_small(t->bytes[from + i]);
    t->n_term = whole ? n : sx_stem(t->term, n);
    t->whole = whole;
    t->hash = sx_term_hash(t->term, t->n_term, whole);
    return true;
}

bool sx_terms_next(sx_terms *t)
{
    for (;;) {
        size_t from;

        while (t->at < t->run_end && t->bytes[t->at] == '_')
            t->at++;
        if (t->at < t->run_end) {
            from = t->at;
            t->at = piece_end(t, from);
            t->pieces++;
            if (take(t, from, t->at, false))
                return true;
        } else if (t->pieces > 1) {
            t->pieces = 0;
            if (take(t, t->run, t->run_end, true))
                return true;
        } else if (!find_run(t)) {
            return false;
        }
    }
}

/* ---- words that say nothing ----------------------------------------------------------------- */

/* Those of the training recipe's questions, and what questions about code begin with. */
static const char stop_words[] =
    "a an the of to in on for with and or is are be by it its this that as at from if not will was "
    "has have which when then than into can may should must used use using we you they their your "
    "our also any all each some other such only do does did been being so there these those one "
    "where what how why who here code function method class find";

size_t sx_stop_terms(uint32_t hashes[SX_STOP_TERMS])
{
    sx_terms words = {.bytes = (const uint8_t *)stop_words, .n = sizeof stop_words - 1};
    size_t n = 0;

    while (n < SX_STOP_TERMS && sx_terms_next(&words))
        hashes[n++] = words.hash;
    return n;
}
