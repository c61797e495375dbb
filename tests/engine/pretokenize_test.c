/* pretokenize_test.c: the hand-written splitter against what a backtracking engine makes of the
 * pattern.
 *
 * The engine is Oniguruma, the one behind the tokenizer library that trained the model. Its answers
 * are kept here in two forms, so that the test needs no such library: a table of cases to read, and
 * a digest of the ends of all pieces of generated strings. Where Oniguruma is installed at build
 * time, every string is compared with it directly as well, and so is every code point. */
#include "engine/file.h"
#include "engine/pretokenize.h"
#include "tests/check.h"

#include <stdlib.h>
#include <string.h>
#include <xxhash.h>
#ifdef SX_HAVE_ONIG
#include <oniguruma.h>
#include <utf8proc.h>
#endif

#define N_STRINGS 300000
#define DIGEST    0xca979cc006fd115bu

static sx_splitter splitter;

/* ---- the oracle ------------------------------------------------------------------------ */

#ifdef SX_HAVE_ONIG
static regex_t *onig;

static void oracle_open(void)
{
    static const char pattern[] = SX_PATTERN_CODE;
    OnigEncoding encodings[] = {ONIG_ENCODING_UTF8};
    OnigErrorInfo info;

    onig_initialize(encodings, 1);
    SX_CHECK(onig_new(&onig, (const OnigUChar *)pattern,
                      (const OnigUChar *)pattern + sizeof pattern - 1, ONIG_OPTION_NONE,
                      ONIG_ENCODING_UTF8, OnigDefaultSyntax, &info) == ONIG_NORMAL);
}

static size_t oracle_next(const uint8_t *bytes, size_t n, size_t at)
{
    int length = onig_match(onig, bytes, bytes + n, bytes + at, NULL, ONIG_OPTION_NONE);

    return length > 0 ? at + (size_t)length : 0;
}

static bool oracle_agrees(const uint8_t *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        size_t end = sx_split_next(&splitter, bytes, n, at);
        if (end != oracle_next(bytes, n, at)) {
            fprintf(stderr, "at %zu: %zu, oracle %zu, of", at, end, oracle_next(bytes, n, at));
            for (size_t i = 0; i < n; i++)
                fprintf(stderr, " %02x", bytes[i]);
            fprintf(stderr, "\n");
            return false;
        }
        at = end;
    }
    return true;
}

static size_t put_utf8(uint8_t *out, uint32_t code)
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 63));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 63));
        out[2] = (uint8_t)(0x80 | (code & 63));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 63));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 63));
    out[3] = (uint8_t)(0x80 | (code & 63));
    return 4;
}

/* Every code point: first, behind ' and between neighbours of each class. Only characters that one
 * of the two libraries' Unicode versions does not have yet may differ. */
static void test_every_code_point(void)
{
    static const char unassigned[] = "\\p{Cn}";
    unsigned newer = 0, different = 0;
    OnigErrorInfo info;
    regex_t *cn = NULL;

    SX_CHECK(onig_new(&cn, (const OnigUChar *)unassigned,
                      (const OnigUChar *)unassigned + sizeof unassigned - 1, ONIG_OPTION_NONE,
                      ONIG_ENCODING_UTF8, OnigDefaultSyntax, &info) == ONIG_NORMAL);
    for (uint32_t code = 0; code < 0x110000; code++) {
        uint8_t bytes[128];
        size_t n = 0;
        if (code == 0x40000) /* nothing is assigned in planes 4 to 13, 15 and 16 are private */
            code = 0xe0000;
        if (code >= 0xf0000)
            break;
        if (code >= 0xd800 && code < 0xe000)
            continue;
        for (const char *frame = "X'XaX1X X.X\nX\tXX aX'lX"; *frame; frame++) {
            if (*frame == 'X')
                n += put_utf8(bytes + n, code);
            else
                bytes[n++] = (uint8_t)*frame;
        }
        for (size_t at = 0, end = 0; at < n; at = end) {
            end = sx_split_next(&splitter, bytes, n, at);
            if (end != oracle_next(bytes, n, at)) {
                if (onig_match(cn, bytes, bytes + n, bytes, NULL, ONIG_OPTION_NONE) > 0 ||
                    utf8proc_category((utf8proc_int32_t)code) == UTF8PROC_CATEGORY_CN)
                    newer++;
                else
                    different++;
                break;
            }
        }
    }
    onig_free(cn);
    printf("%u characters are newer than one of the two Unicode tables\n", newer);
    SX_CHECK(different == 0);
}
#endif

/* ---- cases ----------------------------------------------------------------------------- */

/* Pieces are parted by U+00A6 in `pieces`. */
static const char *const cases[] = {
    "don¦'t¦ we¦'ll¦ I¦'M¦ it¦'S",
    "x¦'d¦'ve¦'re¦'RE¦'lL¦'l¦'e",
    "'s¦till¦ '¦s",
    "'ſ¦x¦ '¦ſ",
    "int¦ main¦(void¦)¦ {¦ return¦ ¦0¦;¦ }\n",
    "a¦ +=¦ b¦->¦c¦[¦1¦2¦3¦];\r\n\n¦\t¦\tif",
    "#include¦ <¦stdio¦.h¦>\n\n\n¦ ¦ x",
    " \n \n¦ ¦ y¦ \t ",
    "a¦\u00a0b¦\u2003¦\u2003c¦\u2028d",
    "é¦\u0301¦ 日本語¦ ¦Ⅷ¦½¦²¦٣¦ .\u200b\r\r\n\r¦a",
    "__¦init¦__\n¦...¦foo¦ ...¦ ...¦bar¦.baz",
    "\x01\x02¦x¦\x0b¦\x0c¦1",
    "//¦ ",
};

static void test_cases(void)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        uint8_t text[128];
        size_t ends[64], n = 0, n_ends = 0, at = 0, k = 0;
        for (const char *p = cases[i]; *p;) {
            if (strncmp(p, "¦", 2) == 0) {
                ends[n_ends++] = n;
                p += 2;
            } else
                text[n++] = (uint8_t)*p++;
        }
        if (n_ends == 0 || ends[n_ends - 1] != n)
            ends[n_ends++] = n;
        while (at < n && k < n_ends && (at = sx_split_next(&splitter, text, n, at)) == ends[k])
            k++;
        if (at != n || k != n_ends)
            fprintf(stderr, "case %zu: piece %zu ends at %zu\n", i, k, at);
        SX_CHECK(at == n && k == n_ends);
#ifdef SX_HAVE_ONIG
        SX_CHECK(oracle_agrees(text, n));
#endif
    }
}

/* A byte that is no part of a character is a symbol; so is each byte of what is not UTF-8. */
static void test_invalid(void)
{
    static const struct {
        const char *bytes;
        size_t ends[4];
    } invalid[] = {
        {"\xff", {1}},
        {"a\xffz", {1, 3}},           /* a symbol may lead a word */
        {" \xc3\xa9\xc3", {3, 4}},    /* a cut character behind a whole one */
        {"\xc0\xaf", {2}},            /* overlong / : two symbols, one run */
        {"\xed\xa0\x80.", {4}},       /* a surrogate */
        {"\xf4\x90\x80\x80", {4}},    /* above U+10FFFF */
        {"\xe2\x80", {2}},            /* cut */
        {"\xe2\x80\xa8\xe2", {3, 4}}, /* line separator, then a cut one */
    };

    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        const uint8_t *bytes = (const uint8_t *)invalid[i].bytes;
        size_t n = strlen(invalid[i].bytes), at = 0, k = 0;
        for (; at < n; k++) {
            at = sx_split_next(&splitter, bytes, n, at);
            SX_CHECK(at == invalid[i].ends[k]);
        }
    }
}

/* ---- generated strings ----------------------------------------------------------------- */

static uint64_t seed = 20260101;

static uint64_t draw(void)
{
    uint64_t x = seed += 0x9e3779b97f4a7c15u; /* splitmix64 */

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

/* Characters whose class no Unicode version will change, and those that the pattern names. */
/* clang-format off */
static const char *const alphabet[] = {
    " ", " ", "  ", "\n", "\r", "\r\n", "\t", "\v", "\f", "\xc2\x85", "\u00a0", "\u3000",
    "\u2028", "'", "'", "'s", "'S", "'ll", "'Ve", "'rE", "'t", "'m", "'D", "'ſ", "l", "L", "e", "v",
    "r", "s", "ſ", "a", "Z", "é", "ß", "ǅ", "ʰ", "日", "\U00020000", "Ж", "ﬁ", "ﬅ", "\u212a", "0",
    "9", "٣", "½", "Ⅷ", "²", ".", "_", "(", "\\", "€", "\u0301", "\u200b", "\u200d", "🙂",
    "\xef\xbb\xbf", "\x01", "\x7f", "\u00ad",
};
/* clang-format on */
#define LETTERS (sizeof alphabet / sizeof alphabet[0])

static void test_generated(void)
{
    XXH3_state_t *state = XXH3_createState();
    uint64_t digest;
    unsigned bad = 0;

    XXH3_64bits_reset(state);
    for (int i = 0; i < N_STRINGS && bad < 5; i++) {
        uint8_t text[512];
        size_t n = 0, parts = 1 + draw() % 24;
        /* some strings draw from a few characters only, so that runs get long */
        size_t few = draw() % 3 ? LETTERS : 4, base = draw();
        for (size_t k = 0; k < parts; k++) {
            const char *part = alphabet[(base + draw() % few) % LETTERS];
            memcpy(text + n, part, strlen(part));
            n += strlen(part);
        }
        for (size_t at = 0; at < n;) {
            uint32_t end;
            at = sx_split_next(&splitter, text, n, at);
            end = (uint32_t)at;
            XXH3_64bits_update(state, &end, sizeof end);
        }
#ifdef SX_HAVE_ONIG
        bad += !oracle_agrees(text, n);
#endif
    }
    digest = XXH3_64bits_digest(state);
    XXH3_freeState(state);
    SX_CHECK(bad == 0);
    if (digest != DIGEST)
        fprintf(stderr, "digest 0x%016llx\n", (unsigned long long)digest);
    SX_CHECK(digest == DIGEST);
}

int main(void)
{
    SX_CHECK(sx_splitter_knows(SX_PATTERN_CODE));
    SX_CHECK(!sx_splitter_knows("(a+)+"));
    SX_CHECK(!sx_splitter_knows(""));
    SX_CHECK(sx_splitter_init(&splitter) == 0);
#ifdef SX_HAVE_ONIG
    oracle_open();
    test_every_code_point();
#endif
    test_cases();
    test_invalid();
    test_generated();
#ifdef SX_HAVE_ONIG
    onig_free(onig);
    onig_end();
#endif
    sx_splitter_clear(&splitter);
    return sx_check_end();
}
