/* words_test.c: terms and stems, the units of a file, packing, and what a question's words find in
 * an index. */
#include "indexer/associations.h"
#include "indexer/definitions.h"
#include "indexer/pack.h"
#include "indexer/terms.h"
#include "indexer/units.h"
#include "tests/indexer/fixture.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>

/* ---- terms ---------------------------------------------------------------------------------- */

static void test_stems(void)
{
    static const char *const cases[][2] = {
        {"queries", "query"}, {"flies", "fly"},     {"dies", "die"},       {"classes", "class"},
        {"miss", "miss"},     {"boxes", "box"},     {"buses", "bus"},      {"sizes", "siz"},
        {"caches", "cach"},   {"uses", "use"},      {"status", "status"},  {"basis", "basis"},
        {"bus", "bus"},       {"files", "fil"},     {"strings", "str"},    {"string", "str"},
        {"stopped", "stop"},  {"stopping", "stop"}, {"rolled", "roll"},    {"passing", "pass"},
        {"buzzing", "buzz"},  {"running", "run"},   {"added", "add"},      {"egged", "egg"},
        {"needed", "need"},   {"agreed", "agr"},    {"making", "mak"},     {"caused", "caus"},
        {"used", "used"},     {"using", "using"},   {"ing", "ing"},        {"ring", "ring"},
        {"thing", "thing"},   {"bed", "bed"},       {"seed", "seed"},      {"these", "thes"},
        {"code", "cod"},      {"the", "the"},       {"naïveté", "naïveté"}};

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint8_t word[32];
        size_t n = strlen(cases[i][0]);

        memcpy(word, cases[i][0], n);
        n = sx_stem(word, n);
        SX_CHECK(n == strlen(cases[i][1]) && memcmp(word, cases[i][1], n) == 0);
        if (n != strlen(cases[i][1]))
            printf("  %s became %.*s\n", cases[i][0], (int)n, word);
    }
}

/* The terms of the text with a space between; a whole run has a '=' in front. */
static void check_terms(const char *text, const char *want)
{
    sx_terms terms = {.bytes = (const uint8_t *)text, .n = strlen(text)};
    char found[1024] = "";
    size_t n = 0;

    while (sx_terms_next(&terms) && n + terms.n_term + 3 < sizeof found) {
        n += (size_t)snprintf(found + n, sizeof found - n, "%s%s%.*s", n ? " " : "",
                              terms.whole ? "=" : "", (int)terms.n_term, terms.term);
        SX_CHECK(terms.run < terms.n && terms.at <= terms.n);
        SX_CHECK(terms.hash == sx_term_hash(terms.term, terms.n_term, terms.whole));
    }
    SX_CHECK(strcmp(found, want) == 0);
    if (strcmp(found, want) != 0)
        printf("  %s gave: %s\n", text, found);
}

static void test_terms(void)
{
    sx_terms terms;
    uint32_t stop[SX_STOP_TERMS];
    char run[600];
    size_t n;

    check_terms("", "");
    check_terms(" _ __ x ( y )", "");
    check_terms("parseHTTPHeader2 (x, _foo_bar) 42 'A' IOError iOS __init__ Ring::push X509 aBC "
                "ABCd",
                "pars http header 2 =parsehttpheader2 foo bar =_foo_bar 42 io error =ioerror os "
                "=ios init ring push 509 =x509 bc =abc ab cd =abcd");
    check_terms("0x1F 3d_model 2nd 7", "0 1 =0x1f 3 model =3d_model 2 nd =2nd 7");
    check_terms("a_b", "=a_b");
    check_terms("Größe straßenName", "größ straßen nam =straßenname");
    check_terms("\xef\xbb\xbfusing “quoted” it’s a—b→cache│«x2»\xc2\xa0"
                "end 列表。",
                "using quot it cach 2 =x2 end 列表");
    check_terms("caf\xe9 \xff\xfe", "caf\xe9 \xff\xfe"); /* no UTF-8, but bytes all the same */
    SX_CHECK(sx_term_hash((const uint8_t *)"ring", 4, false) !=
             sx_term_hash((const uint8_t *)"ring", 4, true));

    /* what is too long is none: a piece, or the run of pieces that are terms */
    memset(run, 'a', sizeof run);
    terms = (sx_terms){.bytes = (const uint8_t *)run, .n = SX_TERM_BYTES};
    SX_CHECK(sx_terms_next(&terms) && terms.n_term == SX_TERM_BYTES && !sx_terms_next(&terms));
    terms = (sx_terms){.bytes = (const uint8_t *)run, .n = SX_TERM_BYTES + 1};
    SX_CHECK(!sx_terms_next(&terms));
    for (size_t i = 1; i < sizeof run; i += 3)
        run[i] = '1';
    terms = (sx_terms){.bytes = (const uint8_t *)run, .n = sizeof run};
    for (n = 0; sx_terms_next(&terms); n++)
        SX_CHECK(!terms.whole);
    SX_CHECK(n == 2 * sizeof run / 3 - 1); /* a 1 aa 1 aa ... 1 a */

    n = sx_stop_terms(stop);
    SX_CHECK(n > 70 && n < SX_STOP_TERMS);
    for (size_t i = 0; i < n; i++)
        SX_CHECK(stop[i] != sx_term_hash((const uint8_t *)"ring", 4, false));
    SX_CHECK(stop[0] == sx_term_hash((const uint8_t *)"an", 2, false));
}

/* ---- units ---------------------------------------------------------------------------------- */

/* A file's units, unpacked. */
typedef struct units {
    sx_bytes packed;
    sx_unit *at;
    size_t *first; /* of its words */
    sx_word *words;
    size_t n, n_words;
} units;

static void units_free(units *u)
{
    sx_bytes_free(&u->packed);
    free(u->at);
    free(u->first);
    free(u->words);
    *u = (units){0};
}

static bool units_unpack(units *u, size_t size)
{
    sx_word *words = malloc(SX_UNIT_WORDS * sizeof *words);
    sx_unit unit = {0};
    size_t at = 0;
    int rc;

    while ((rc = sx_unpack_unit(&unit, words, (int64_t)size, u->packed.at, u->packed.n, &at)) > 0) {
        u->at = realloc(u->at, (u->n + 1) * sizeof *u->at);
        u->first = realloc(u->first, (u->n + 1) * sizeof *u->first);
        u->words = realloc(u->words, (u->n_words + unit.n_words) * sizeof *u->words);
        u->at[u->n] = unit;
        u->first[u->n++] = u->n_words;
        memcpy(u->words + u->n_words, words, unit.n_words * sizeof *words);
        u->n_words += unit.n_words;
    }
    free(words);
    return rc == 0;
}

static units units_of(const char *path, const char *text, size_t n)
{
    const sx_language *language = sx_language_of(path, (const uint8_t *)text, n);
    sx_parser *parser = NULL;
    sx_parse parse = {0};
    units u = {0};

    SX_CHECK(sx_parser_new(&parser, fixture_queries, NULL, fixture_err, sizeof fixture_err) == 0);
    SX_CHECK(sx_parser_run(parser, language, (const uint8_t *)text, n, NULL, &parse, fixture_err,
                           sizeof fixture_err) == 0);
    SX_CHECK(sx_units_pack(&u.packed, (const uint8_t *)text, n, &parse) == 0);
    SX_CHECK(units_unpack(&u, n));
    sx_parse_free(&parse);
    sx_parser_free(parser);
    return u;
}

/* head * 1000 + body of a term in unit i; -1: it does not hold it. */
static int word_in(const units *u, size_t i, const char *term)
{
    bool whole = term[0] == '=';
    uint32_t hash = sx_term_hash((const uint8_t *)term + whole, strlen(term) - whole, whole);

    for (uint32_t k = 0; i < u->n && k < u->at[i].n_words; k++) {
        const sx_word *word = &u->words[u->first[i] + k];

        if (word->hash == hash)
            return word->head * 1000 + word->body;
    }
    return -1;
}

/* Does unit i start and end where these stand first in the text? */
static bool lies(const units *u, size_t i, const char *text, const char *start, const char *end)
{
    const char *from = strstr(text, start), *to = from ? strstr(from, end) : NULL;

    return i < u->n && to && u->at[i].start_byte == (uint32_t)(from - text) &&
           u->at[i].end_byte == (uint32_t)(to - text + (long)strlen(end));
}

static void test_nested(void)
{
    static const char text[] = "import sys\n"
                               "\n"
                               "# Keeps frobs.\n"
                               "class OuterBox(Base):\n"
                               "    colour = paint\n"
                               "\n"
                               "    # Turns around.\n"
                               "    def rotate(self, angle):\n"
                               "        return spin(angle, angle)\n"
                               "\n"
                               "    class Inner:\n"
                               "        def deep(self):\n"
                               "            \"\"\"By degrees.\"\"\"\n"
                               "            return 5\n"
                               "\n"
                               "    size = count\n"
                               "\n"
                               "print(OuterBox)\n";
    units u = units_of("a.py", text, sizeof text - 1);

    SX_CHECK(lies(&u, 0, text, "import", "sys") && word_in(&u, 0, "sy") == -1 &&
             word_in(&u, 0, "sys") == 1 && word_in(&u, 0, "import") == 1);
    SX_CHECK(u.at[0].length == 2 && u.at[0].sort == SX_UNIT_LINES);

    /* the class: its comment, its head, what is its own in front of and behind the methods */
    SX_CHECK(lies(&u, 1, text, "class OuterBox", "size = count"));
    SX_CHECK(u.at[1].sort == SX_UNIT_TYPE);
    SX_CHECK(word_in(&u, 1, "frob") == 1000 && word_in(&u, 1, "outer") == 10000);
    SX_CHECK(word_in(&u, 1, "=outerbox") == 10000 && word_in(&u, 1, "bas") == 2000);
    SX_CHECK(word_in(&u, 1, "rotat") == -1 && word_in(&u, 1, "turn") == -1 &&
             word_in(&u, 1, "spin") == -1 && word_in(&u, 1, "deep") == -1);

    for (size_t i = 0; i < u.n; i++) {
        if (lies(&u, i, text, "def rotate", "angle, angle)")) {
            SX_CHECK(word_in(&u, i, "rotat") == 10000 && word_in(&u, i, "outer") == 1000);
            SX_CHECK(u.at[i].sort == SX_UNIT_FUNCTION);
            SX_CHECK(word_in(&u, i, "turn") == 1000 && word_in(&u, i, "degre") == -1);
            SX_CHECK(word_in(&u, i, "angl") == 2002 && word_in(&u, i, "spin") == 1);
        } else if (lies(&u, i, text, "def deep", "return 5")) {
            SX_CHECK(word_in(&u, i, "deep") == 10000 && word_in(&u, i, "inner") == 1000);
            SX_CHECK(word_in(&u, i, "outer") == 1000 && word_in(&u, i, "5") == 1);
            SX_CHECK(word_in(&u, i, "degre") == 1000 && word_in(&u, 1, "degre") == -1);
            SX_CHECK(u.at[i].length == 2); /* return 5 */
        }
        SX_CHECK(i == 0 || u.at[i - 1].start_byte <= u.at[i].start_byte);
    }
    SX_CHECK(lies(&u, u.n - 1, text, "print", ")") && word_in(&u, u.n - 1, "=outerbox") == 1);
    units_free(&u);
}

/* A definition that shares its text with others is found by its name, and text is counted once. */
static void test_shared(void)
{
    static const char text[] = "/* How many. */\n"
                               "int apples, pears;\n";
    units u = units_of("a.c", text, sizeof text - 1);
    int apples = 0, many = 0;

    SX_CHECK(u.n == 2);
    for (size_t i = 0; i < u.n; i++) {
        SX_CHECK(lies(&u, i, text, "int", ";"));
        SX_CHECK(word_in(&u, i, i ? "pear" : "appl") >= 8000 ||
                 word_in(&u, i, i ? "appl" : "pear") >= 8000);
        apples += word_in(&u, i, "appl") > 0 ? word_in(&u, i, "appl") : 0;
        many += word_in(&u, i, "many") > 0 ? word_in(&u, i, "many") : 0;
    }
    SX_CHECK(apples == 10000 && many == 1000);
    units_free(&u);
}

static void test_lines(void)
{
    char text[8192] = "\n \n";
    units u;

    for (int i = 1; i <= 100; i++)
        sprintf(text + strlen(text), "line w%d\n", i);
    strcat(text, "\n\n");
    u = units_of("a.txt", text, strlen(text));
    SX_CHECK(u.n == 3 && lies(&u, 0, text, "line w1\n", "w40") &&
             lies(&u, 1, text, "line w41", "w80") && lies(&u, 2, text, "line w81", "w100"));
    SX_CHECK(word_in(&u, 0, "lin") == 40 && word_in(&u, 2, "lin") == 20);
    SX_CHECK(word_in(&u, 0, "=w1") == 1 && u.at[0].length == 40 + 9 + 31 + 40);
    units_free(&u);

    u = units_of("a.txt", " \n\n\t\n", 5);
    SX_CHECK(u.n == 0 && u.packed.n == 0);
    units_free(&u);
    u = units_of("a.txt", "----\n* * *\n", 11); /* not blank, but nothing to find it by */
    SX_CHECK(u.n == 0);
    units_free(&u);
    u = units_of("a.txt", "", 0);
    SX_CHECK(u.n == 0);
    units_free(&u);

    text[0] = '\0'; /* a number ends at 255 */
    for (int i = 0; i < 300; i++)
        strcat(text, "again ");
    u = units_of("a.txt", text, strlen(text));
    SX_CHECK(u.n == 1 && word_in(&u, 0, "again") == 255 && u.at[0].length == 300);
    units_free(&u);
}

/* More words than a unit holds go on in the next, and none is lost. */
static void test_full(void)
{
    enum { MANY = 10000 };
    char *text = malloc(32 * MANY);
    size_t n = (size_t)sprintf(text, "int table[] = {");
    uint64_t words = 0, length = 0;
    units u;

    for (int i = 0; i < MANY; i++)
        n += (size_t)sprintf(text + n, "%d, ", 100000 + i);
    n += (size_t)sprintf(text + n, "};\n");
    u = units_of("a.c", text, n);
    SX_CHECK(u.n == 3);
    SX_CHECK(word_in(&u, 0, "tabl") >= 8000 && word_in(&u, 1, "tabl") == -1);
    for (size_t i = 0; i < u.n; i++) {
        SX_CHECK(u.at[i].end_byte == n - 1 && u.at[i].n_words <= SX_UNIT_WORDS);
        SX_CHECK(u.at[i].sort == SX_UNIT_VALUE);
        SX_CHECK(i == 0 || u.at[i].start_byte > u.at[i - 1].start_byte);
        words += u.at[i].n_words;
        length += u.at[i].length;
    }
    SX_CHECK(words == MANY + 2 && length <= MANY);
    SX_CHECK(word_in(&u, u.n - 1, "109999") >= 1 && word_in(&u, 0, "100000") >= 1);
    units_free(&u);
    free(text);
}

/* Names around may be long, and are there again for each definition inside: it comes to an end. */
static void test_deep(void)
{
    char *text = malloc(1 << 20);
    size_t n = 0;
    units u;

    for (int i = 0; i < 64; i++) {
        n += (size_t)sprintf(text + n, "class C%d", i);
        for (int k = 0; k < 60; k++)
            n += (size_t)sprintf(text + n, "W%d", 100 * i + k);
        n += (size_t)sprintf(text + n, " {\n");
    }
    for (int i = 0; i < 2000; i++)
        n += (size_t)sprintf(text + n, "int f%d() {}\n", i);
    u = units_of("a.cpp", text, n);
    SX_CHECK(u.n >= 2000 && u.packed.n < 20 * n);
    units_free(&u);
    free(text);
}

/* ---- packing -------------------------------------------------------------------------------- */

static void test_packing(void)
{
    static const sx_word words[] = {
        {0, 1, 0}, {1, 0, 1}, {128, 255, 255}, {0x80000000u, 0, 7}, {UINT32_MAX, 6, 1}};
    static const sx_unit units[] = {{0, 1, 0, SX_UNIT_FUNCTION, 1},
                                    {0, 100, 3, SX_UNIT_LINES, 4},
                                    {50, UINT32_MAX, UINT32_MAX, SX_UNIT_VALUE, 2}};
    sx_word found[SX_UNIT_WORDS];
    sx_bytes packed = {0};
    sx_unit unit = {0};
    size_t at = 0, i;

    for (i = 0; i < 3; i++)
        sx_pack_unit(&packed, &units[i], words + i, i ? units[i - 1].start_byte : 0);
    SX_CHECK(!packed.failed);
    for (i = 0; sx_unpack_unit(&unit, found, UINT32_MAX, packed.at, packed.n, &at) > 0; i++) {
        SX_CHECK(i < 3 && memcmp(&unit, &units[i], sizeof unit) == 0);
        for (uint32_t k = 0; k < unit.n_words && i + k < 5; k++)
            SX_CHECK(found[k].hash == words[i + k].hash && found[k].head == words[i + k].head &&
                     found[k].body == words[i + k].body);
    }
    SX_CHECK(i == 3 && at == packed.n);
    for (size_t n = 1; n < packed.n; n++) { /* cut short: refused, or the units before the cut */
        at = i = 0;
        unit = (sx_unit){0};
        while (sx_unpack_unit(&unit, found, UINT32_MAX, packed.at, n, &at) > 0)
            i++;
        SX_CHECK(i < 3 && at <= n);
    }
    sx_bytes_free(&packed);
}

static void test_hostile(void)
{
    static const struct {
        const char *bytes;
        size_t n;
    } bad[] = {
        {"\x05\x00\x01\x01\x07\x02", 6},                          /* no bytes */
        {"\x05\x60\x01\x01\x07\x02", 6},                          /* behind the blob */
        {"\xff\xff\xff\xff\x0f\x05\x01\x01\x07\x02", 10},         /* past 32 bits together */
        {"\x05\x05\x01\x00", 4},                                  /* no words */
        {"\x05\x05\x80\x80\x80\x80\x40\x01\x07\x02", 10},         /* a length past 32 bits */
        {"\x05\x05\x01\x81\x20\x07\x02", 7},                      /* 4097 */
        {"\x05\x05\x01\x02\x07\x02\x00\x02", 8},                  /* a hash twice */
        {"\x05\x05\x01\x02\xff\xff\xff\xff\x0f\x02\x01\x02", 12}, /* past the last hash */
        {"\x05\x05\x01\x01\x07\x00", 6},                          /* a word that is not there */
        {"\x05\x05\x01\x01\x07\x01\x00", 7},                      /* a head of nothing */
        {"\x05\x05\x01\x01\x07\x80\x04", 7},                      /* a body of 256 */
        {"\x05\x05\x01\x01\x07\x03\x80\x02", 8},                  /* a head of 256 */
        {"\x05\x05\x01\x02\x07\x02", 6},                          /* fewer words than said */
        {"\x85\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", 11},     /* a varint without end */
    };
    sx_word words[SX_UNIT_WORDS];
    unsigned seed = 1;
    size_t accepted = 0;

    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint8_t *exact = malloc(bad[i].n); /* so that reading past it is seen */
        sx_unit unit = {0};
        size_t at = 0;

        memcpy(exact, bad[i].bytes, bad[i].n);
        SX_CHECK(sx_unpack_unit(&unit, words, 100, exact, bad[i].n, &at) == -EBADMSG);
        free(exact);
    }
    for (int round = 0; round < 200000; round++) {
        size_t n = (size_t)(rand_r(&seed) % 40), at = 0;
        uint8_t *bytes = malloc(n + 1);
        sx_unit unit = {0};
        int rc;

        for (size_t i = 0; i < n; i++) /* small numbers are what gets far */
            bytes[i] = (uint8_t)(rand_r(&seed) % (rand_r(&seed) % 4 ? 8 : 256));
        while ((rc = sx_unpack_unit(&unit, words, 100, bytes, n, &at)) > 0) {
            bool good = unit.start_byte < unit.end_byte && unit.end_byte <= 100 && at <= n &&
                        unit.n_words > 0 && unit.n_words <= n;

            for (uint32_t k = 0; good && k < unit.n_words; k++)
                good = (words[k].head || words[k].body) &&
                       (k == 0 || words[k].hash > words[k - 1].hash);
            if (!good)
                SX_CHECK(good);
            accepted++;
        }
        if (rc != 0 && rc != -EBADMSG)
            SX_CHECK(rc == -EBADMSG);
        free(bytes);
    }
    SX_CHECK(accepted > 1000);
}

/* ---- what a question finds ------------------------------------------------------------------ */

/* Behind the index's back. */
static bool run_sql(const char *directory, const char *sql)
{
    char path[PATH_MAX + 16];
    sqlite3 *db = NULL;
    bool done;

    snprintf(path, sizeof path, "%s/catalog.db", directory);
    done = sqlite3_open_v2(path, &db, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK &&
           sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK;
    sqlite3_close(db);
    return done;
}

static sx_words *load(const sx_index_options *options, sx_commit *commit)
{
    sx_index *index = NULL;
    sx_words *words = NULL;

    SX_CHECK(fixture_index(options, NULL, commit) == 0);
    SX_CHECK(sx_index_open(&index, options, fixture_err, sizeof fixture_err) == 0);
    SX_CHECK(sx_words_load(&words, index, commit, fixture_err, sizeof fixture_err) == 0 && words);
    sx_index_close(index); /* they need it no more */
    if (fixture_err[0])
        printf("  %s\n", fixture_err);
    return words;
}

/* The hits as "path:start-end;". */
static void check_finds(const sx_words *words, const char *question, size_t most, const char *want)
{
    sx_word_hit hits[16];
    char text[2048] = "";
    int n = sx_words_find(words, question, hits, most, fixture_err, sizeof fixture_err);

    SX_CHECK(n >= 0 && (size_t)n <= most);
    for (int i = 0; i < n; i++) {
        size_t at = strlen(text);

        snprintf(text + at, sizeof text - at, "%s:%u-%u;", hits[i].path, hits[i].start_byte,
                 hits[i].end_byte);
        SX_CHECK(hits[i].score > 0 && hits[i].blob_id > 0);
        SX_CHECK(i == 0 || hits[i].score <= hits[i - 1].score);
    }
    SX_CHECK(strcmp(text, want) == 0);
    if (strcmp(text, want) != 0)
        printf("  %s gave: %s\n", question, text);
}

static double idf(double n, double df)
{
    return log(1 + (n - df + 0.5) / (df + 0.5));
}

static double part(double idf, double tf)
{
    return idf * tf / (1.5 + tf);
}

static double norm(double length, double mean)
{
    return 0.15 + 0.85 * length / mean;
}

/* all: what the question's terms can score at most, the sum of their idf */
static void check_score(const sx_words *words, const char *question, size_t i, double score,
                        double all)
{
    sx_word_hit hits[16];
    double want = score / all;
    int n = sx_words_find(words, question, hits, 16, NULL, 0);

    SX_CHECK((int)i < n && fabs(hits[i].score - want) < 1e-6 * want);
    if ((int)i >= n || fabs(hits[i].score - want) >= 1e-6 * want)
        printf("  %s: %g, not %g\n", question, (int)i < n ? hits[i].score : -1, want);
}

/* Scores by hand: four units, of lengths 3, 1, 0 and 4 (mean 2). */
static void test_scores(void)
{
    sx_index_options options = fixture_options("r");
    sx_commit commit;
    sx_words *words;
    double n = 4;

    SX_CHECK(sh("rm -rf r cache && git init -q r && cd r && "
                "printf 'zebra yak yak\n' > a.txt && printf 'zebra\n' > yak.txt && "
                "printf 'int zebra(int q) {}\n' > b.c && printf 'oryx oryx oryx kudu\n' > c.txt && "
                "git add . && git commit -qm 1"));
    words = load(&options, &commit);
    SX_CHECK(commit.files == 4);
    /* in the name 8, in the signature 2 more; then the shorter text, and lines count half */
    check_finds(words, "zebras", 16, "b.c:0-19;yak.txt:0-5;a.txt:0-13;");
    check_score(words, "zebra", 0, part(idf(n, 3), 10), idf(n, 3));
    check_score(words, "zebra", 1, part(idf(n, 3), 1 / norm(1, 2)) / 2, idf(n, 3));
    check_score(words, "zebra", 2, part(idf(n, 3), 1 / norm(3, 2)) / 2, idf(n, 3));
    /* a path counts once, for df as well */
    check_finds(words, "yak", 16, "a.txt:0-13;yak.txt:0-5;");
    check_score(words, "yak", 0, part(idf(n, 2), 2 / norm(3, 2)) / 2, idf(n, 2));
    check_score(words, "yak", 1, part(idf(n, 2), 1) / 2, idf(n, 2));
    check_score(words, "kudu, and the oryxes", 0,
                part(idf(n, 1), 1 / norm(4, 2)) / 2 + part(idf(n, 1), 3 / norm(4, 2)) / 2,
                2 * idf(n, 1));
    /* a term that no unit holds says nothing of those that hold others */
    check_score(words, "zebra okapi", 0, part(idf(n, 3), 10), idf(n, 3));
    /* a word asked twice counts once */
    check_score(words, "oryx Oryx", 0, part(idf(n, 1), 3 / norm(4, 2)) / 2, idf(n, 1));
    check_finds(words, "Where is the code of this?", 16, "");
    check_finds(words, "", 16, "");
    check_finds(words, "?!", 16, "");
    check_finds(words, "okapi", 16, "");
    check_finds(words, "zebra", 0, "");
    check_finds(words, "zebra", 1, "b.c:0-19;");
    check_finds(words, "zebra", 2, "b.c:0-19;yak.txt:0-5;");
    sx_words_free(words);
    sx_words_free(NULL);
}

/* Other definitions and lines give way to functions, unless the question asks for them. */
static void test_sorts(void)
{
    sx_index_options options = fixture_options("r");
    sx_commit commit;
    sx_words *words;

    SX_CHECK(sh("rm -rf r cache && git init -q r && cd r && "
                "printf 'int zebra(void) {}\n' > 4.c && printf 'struct zebra {};\n' > 3.c && "
                "printf '#define zebra 1\n' > 2.c && printf 'zebra\n' > 1.txt && "
                "git add . && git commit -qm 1"));
    words = load(&options, &commit);
    check_finds(words, "zebra", 16, "4.c:0-18;2.c:0-15;3.c:0-16;1.txt:0-5;");
    check_score(words, "zebra", 1, 0.7 * part(1, 10), 1);
    check_finds(words, "which struct is a zebra", 1, "3.c:0-16;");
    check_finds(words, "the zebra constant", 1, "2.c:0-15;");
    sx_words_free(words);
}

/* Words are found by what else they are called in code; itself is first, and nothing counts twice.
 */
static void test_associations(void)
{
    extern const char sx_association_table[];
    sx_index_options options = fixture_options("r");
    sx_association others[SX_ASSOCIATIONS];
    float weight, strength = 0;
    sx_commit commit;
    sx_words *words;
    const char *line = sx_association_table, *before = NULL;
    size_t n;

    for (; *line; before = line, line = strchr(line, '\n') + 1) { /* the table is what it says */
        size_t length = strcspn(line, " ");

        SX_CHECK(!before || strncmp(before, line, strcspn(before, " ") + 1) < 0);
        n = sx_associations_of((const uint8_t *)line, length, others, &weight);
        SX_CHECK(fabsf(weight - strtof(line + length, NULL) / 100) < 1e-6f && fabsf(weight) < 4);
        for (size_t i = 0; i < n; i++)
            SX_CHECK(others[i].strength > 0 && others[i].strength <= 1 &&
                     (i == 0 || others[i].strength <= others[i - 1].strength));
    }
    SX_CHECK(sx_associations_of((const uint8_t *)"qzxjk", 5, others, &weight) == 0 && weight == 0);
    SX_CHECK(sx_associations_of((const uint8_t *)"", 0, others, &weight) == 0 && weight == 0);
    SX_CHECK(sx_associations_of((const uint8_t *)"~", 1, others, &weight) == 0 && weight == 0);
    n = sx_associations_of((const uint8_t *)"number", 6, others, &weight);
    for (size_t i = 0; i < n; i++)
        if (others[i].hash == sx_term_hash((const uint8_t *)"num", 3, false))
            strength = others[i].strength;
    SX_CHECK(strength > 0.1f);

    SX_CHECK(sh("rm -rf r cache && git init -q r && cd r && "
                "printf 'int num(int q) {}\n' > a.c && printf 'int number(int q) {}\n' > b.c && "
                "printf 'int zebra(int q) {}\n' > c.c && git add . && git commit -qm 1"));
    words = load(&options, &commit);
    check_finds(words, "numbers", 16, "b.c:0-20;a.c:0-17;");
    check_score(words, "number", 1, part(1, 10 * (double)strength), 1);
    check_finds(words, "num", 1, "a.c:0-17;");
    sx_words_free(words);
}

/* Words that say nothing count where there are no others; equals are in tree order; a content at
 * two paths is two units, and what is skipped is none. */
static void test_paths(void)
{
    sx_index_options options = fixture_options("r");
    sx_commit commit;
    sx_words *words;

    SX_CHECK(sh("rm -rf r cache && git init -q r && cd r && mkdir x y && "
                "printf 'def spin(q):\n    return whirl\n' > x/one.py && cp x/one.py y/one.py && "
                "printf 'find where\n' > z.txt && printf 'spin\\0' > spin.png && : > spin.txt && "
                "printf 'spin\n' > package-lock.json && "
                "git add . && git commit -qm 1"));
    words = load(&options, &commit);
    SX_CHECK(commit.files == 3 && commit.skipped == 3);
    check_finds(words, "spin", 16, "x/one.py:0-29;y/one.py:0-29;");
    check_finds(words, "whirled", 1, "x/one.py:0-29;");
    check_score(words, "spin", 0, part(idf(3, 2), 10), idf(3, 2));
    check_score(words, "spin", 1, part(idf(3, 2), 10), idf(3, 2));
    check_finds(words, "one", 16, "x/one.py:0-29;y/one.py:0-29;"); /* by the path alone */
    check_finds(words, "spin what is there", 16, "x/one.py:0-29;y/one.py:0-29;");
    check_finds(words, "where to find", 16, "z.txt:0-10;");
    sx_words_free(words);

    /* another commit, with other statistics; the first has not changed */
    SX_CHECK(sh("cd r && git rm -q y/one.py && git commit -qm 2"));
    words = load(&options, &commit);
    check_finds(words, "spin", 16, "x/one.py:0-29;");
    check_score(words, "spin", 0, part(idf(2, 1), 10), idf(2, 1));
    sx_words_free(words);

    SX_CHECK(sh("cd r && git rm -qr . && git commit --allow-empty -qm 3"));
    words = load(&options, &commit);
    check_finds(words, "spin", 16, "");
    sx_words_free(words);
}

/* Many units and many terms, against sorting all there is. */
static void test_many(void)
{
    sx_index_options options = fixture_options("r");
    sx_word_hit *all = malloc(4000 * sizeof *all), some[100];
    char question[4096] = "";
    sx_commit commit;
    sx_words *words;
    FILE *file;
    int n;

    SX_CHECK(sh("rm -rf r cache && git init -q r"));
    if ((file = fopen("r/a.c", "w"))) {
        for (int i = 0; i < 3000; i++)
            fprintf(file, "int f%d(void) { return g%d + g%d * h%d; }\n", i, i % 7, i % 11, i % 100);
        fclose(file);
    }
    SX_CHECK(sh("cd r && git add . && git commit -qm 1"));
    words = load(&options, &commit);
    n = sx_words_find(words, "f77 g3 h12 return", all, 4000, NULL, 0);
    SX_CHECK(n == 3000 && strcmp(all[0].path, "a.c") == 0);
    for (int i = 1; i < n; i++)
        SX_CHECK(all[i].score < all[i - 1].score ||
                 (all[i].score == all[i - 1].score && all[i].start_byte > all[i - 1].start_byte));
    for (int most = 1; most <= 100; most += 9) {
        SX_CHECK(sx_words_find(words, "f77 g3 h12 return", some, (size_t)most, NULL, 0) == most);
        for (int i = 0; i < most; i++)
            SX_CHECK(some[i].start_byte == all[i].start_byte && some[i].score == all[i].score);
    }
    for (int i = 0; i < 200; i++) /* more terms than are counted: the first are */
        sprintf(question + strlen(question), "f%d ", i);
    SX_CHECK(sx_words_find(words, question, some, 5, NULL, 0) == 5);
    sx_words_free(words);
    free(all);
}

/* What the catalogue says is checked: words that do not unpack, or are gone. */
static void test_damaged(void)
{
    static const char *const sql[] = {
        "UPDATE words SET words = x'01'", "UPDATE words SET words = x'00ff7f010701'",
        "DELETE FROM words", "UPDATE blob SET size = 3", "UPDATE blob SET size = -1"};
    sx_index_options options = fixture_options("r");
    sx_index *index = NULL;
    sx_commit commit;

    for (size_t i = 0; i < sizeof sql / sizeof *sql; i++) {
        sx_words *words = NULL;

        SX_CHECK(sh("rm -rf r cache && git init -q r && cd r && printf 'a spin\n' > a.txt && "
                    "git add . && git commit -qm 1"));
        SX_CHECK(fixture_index(&options, NULL, &commit) == 0);
        SX_CHECK(sx_index_open(&index, &options, fixture_err, sizeof fixture_err) == 0);
        SX_CHECK(run_sql(sx_index_directory(index), sql[i]));
        SX_CHECK(sx_words_load(&words, index, &commit, fixture_err, sizeof fixture_err) == -EIO &&
                 !words && fixture_says("E-INDEX-BAD"));
        commit.id = 99;
        SX_CHECK(sx_words_load(&words, index, &commit, fixture_err, sizeof fixture_err) < 0);
        sx_index_close(index);
    }
}

int main(int argc, char **argv)
{
    if (!fixture_begin(argc, argv))
        return 2;
    test_stems();
    test_terms();
    test_nested();
    test_shared();
    test_lines();
    test_full();
    test_deep();
    test_packing();
    test_hostile();
    test_scores();
    test_sorts();
    test_associations();
    test_paths();
    test_many();
    test_damaged();
    return fixture_end();
}
