/* pretokenize.c: the linear hand-written splitter. Knows no vocabulary, runs no regular expression.
 *
 * Each function below is one alternative of SX_PATTERN_CODE; the leftmost that matches wins. They
 * need no backtracking because what a greedy loop would give back is known beforehand: it is the
 * blanks behind the last line end of a run, or the last blank of a run. */
#include "engine/pretokenize.h"

#include "engine/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

bool sx_splitter_knows(const char *pattern)
{
    return strcmp(pattern, SX_PATTERN_CODE) == 0;
}

/* Planes 4 to 16 hold no letters, numbers or blanks: they need not be asked. */
#define HIGH_SYMBOLS 0x400u

static sx_char classify(uint32_t code)
{
    if (code == '\r' || code == '\n')
        return SX_NEWLINE;
    if ((code >= 0x09 && code <= 0x0d) || code == 0x85) /* White_Space outside the Z categories */
        return SX_SPACE;
    switch (utf8proc_category((utf8proc_int32_t)code)) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
        return SX_LETTER;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
        return SX_NUMBER;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return SX_SPACE;
    default:
        return SX_SYMBOL;
    }
}

int sx_splitter_init(sx_splitter *s)
{
    uint8_t row[256];
    size_t room = 0;

    *s = (sx_splitter){0};
    for (uint32_t high = 0; high < 0x1100; high++) {
        size_t same = 0;
        for (uint32_t low = 0; low < 256; low++)
            row[low] = high < HIGH_SYMBOLS ? (uint8_t)classify(high << 8 | low) : SX_SYMBOL;
        while (same < s->n_pages && memcmp(s->pages + same * 256, row, 256) != 0)
            same++;
        if (same == s->n_pages) {
            if (s->n_pages == room) {
                uint8_t *more = realloc(s->pages, (room + 64) * 256);
                if (!more) {
                    sx_splitter_clear(s);
                    return -ENOMEM;
                }
                s->pages = more;
                room += 64;
            }
            memcpy(s->pages + 256 * s->n_pages++, row, 256);
        }
        s->page[high] = (uint16_t)same;
    }
    for (unsigned i = 0; i < 256; i++)
        s->ascii[i] = i < 0x80 ? s->pages[i] : SX_MULTIBYTE; /* page 0 is row 0 */
    return 0;
}

void sx_splitter_clear(sx_splitter *s)
{
    free(s->pages);
    *s = (sx_splitter){0};
}

static sx_char look_multibyte(const sx_splitter *s, const uint8_t *bytes, size_t n, size_t at,
                              size_t *length)
{
    uint32_t code = 0;

    *length = sx_utf8_decode(bytes, n, at, &code);
    if (*length == 0) {
        *length = 1;
        return SX_SYMBOL;
    }
    return (sx_char)s->pages[(size_t)s->page[code >> 8] * 256 + (code & 255)];
}

/* Class and length of the character at `at` < n. */
static inline sx_char look(const sx_splitter *s, const uint8_t *bytes, size_t n, size_t at,
                           size_t *length)
{
    sx_char c = (sx_char)s->ascii[bytes[at]];

    *length = 1;
    return c == SX_MULTIBYTE ? look_multibyte(s, bytes, n, at, length) : c;
}

/* End of the run of characters of class `wanted` from `at`. */
static inline size_t skip(const sx_splitter *s, const uint8_t *bytes, size_t n, size_t at,
                          sx_char wanted)
{
    size_t length;

    while (at < n && look(s, bytes, n, at, &length) == wanted)
        at += length;
    return at;
}

/* '(?i:[sdmt]|ll|ve|re): how many bytes behind the apostrophe belong to it, or 0 */
static size_t contraction(const uint8_t *bytes, size_t n, size_t at)
{
    uint8_t a, b;

    if (at >= n)
        return 0;
    a = bytes[at] | 0x20; /* lower case; other bytes that become a letter so are excluded below */
    if (bytes[at] >= 0x40 && bytes[at] < 0x80 && (a == 's' || a == 'd' || a == 'm' || a == 't'))
        return 1;
    if (at + 1 >= n)
        return 0;
    if (bytes[at] == 0xc5 && bytes[at + 1] == 0xbf) /* U+017F, long s, is an s without case */
        return 2;
    if (bytes[at] < 0x40 || bytes[at] >= 0x80 || bytes[at + 1] < 0x40 || bytes[at + 1] >= 0x80)
        return 0;
    b = bytes[at + 1] | 0x20;
    return (a == 'l' && b == 'l') || (a == 'v' && b == 'e') || (a == 'r' && b == 'e') ? 2 : 0;
}

/* \s*[\r\n]|\s+(?!\S)|\s+ : the run of blanks from `at` up to its last line end; without one, the
 * whole run if it is the last of the text or a single blank; else all but its last blank. */
static size_t blanks(const sx_splitter *s, const uint8_t *bytes, size_t n, size_t at)
{
    size_t last = at, behind_newline = 0, length, end = at;

    while (end < n) {
        sx_char c = look(s, bytes, n, end, &length);
        if (c != SX_SPACE && c != SX_NEWLINE)
            break;
        last = end;
        end += length;
        if (c == SX_NEWLINE)
            behind_newline = end;
    }
    if (behind_newline)
        return behind_newline;
    return end == n || last == at ? end : last;
}

size_t sx_split_next(const sx_splitter *s, const uint8_t *bytes, size_t n, size_t at)
{
    size_t length, next_length = 0, next;
    sx_char c = look(s, bytes, n, at, &length), behind = SX_NEWLINE;

    next = at + length;
    if (bytes[at] == '\'') {
        size_t suffix = contraction(bytes, n, next);
        if (suffix)
            return next + suffix;
    }
    /* [^\r\n\p{L}\p{N}]?\p{L}+ */
    if (c == SX_LETTER)
        return skip(s, bytes, n, next, SX_LETTER);
    if (next < n)
        behind = look(s, bytes, n, next, &next_length);
    if ((c == SX_SYMBOL || c == SX_SPACE) && behind == SX_LETTER)
        return skip(s, bytes, n, next + next_length, SX_LETTER);
    /* \p{N} */
    if (c == SX_NUMBER)
        return next;
    /*  ?[^\s\p{L}\p{N}]+[\r\n]* */
    if (c == SX_SYMBOL || (bytes[at] == ' ' && behind == SX_SYMBOL)) {
        next = skip(s, bytes, n, next, SX_SYMBOL);
        return skip(s, bytes, n, next, SX_NEWLINE);
    }
    return blanks(s, bytes, n, at);
}
