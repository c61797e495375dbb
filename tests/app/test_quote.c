/* test_quote.c: generated text against the source it may quote. */
#include "app/quote.h"
#include "tests/check.h"

#include <string.h>

static const char ring[] = "#include <x.h>\n"
                           "\n"
                           "/* Take the oldest byte out of the ring,\n"
                           " * or -1 if there is none. */\n"
                           "int ring_pop(struct ring *r,\n"
                           "             int how)\n"
                           "{\n"
                           "    if (r->len == 0)\n"
                           "        return -1;\n"
                           "    uint8_t byte = r->data[r->head];\n"
                           "    return byte;\n"
                           "}\n"
                           "int last;";

static const char report[] = "def load_rows(path):\n"
                             "    \"\"\"Read the measurement table and return a list.\"\"\"\n"
                             "    with open(path) as f:\n"
                             "        return list(f)\n"
                             "MAGIC = 7301946\n";

static uint32_t offset(const char *text, const char *piece)
{
    return (uint32_t)(strstr(text, piece) - text);
}

static sx_quote_source ring_source(void)
{
    return (sx_quote_source){.bytes = (const uint8_t *)ring,
                             .n = sizeof ring - 1,
                             .doc_start = offset(ring, "/*"),
                             .doc_end = offset(ring, "\nint ring_pop"),
                             .start = offset(ring, "int ring_pop"),
                             .end = offset(ring, "}\n") + 1,
                             .signature_end = offset(ring, "\n{")};
}

static sx_quote_source report_source(void)
{
    return (sx_quote_source){.bytes = (const uint8_t *)report,
                             .n = sizeof report - 1,
                             .doc_start = offset(report, "\"\"\""),
                             .doc_end = offset(report, "\n    with"),
                             .start = 0,
                             .end = offset(report, "MAGIC") - 1,
                             .signature_end = offset(report, "\n    \"")};
}

static sx_quote_source whole(const char *text)
{
    uint32_t n = (uint32_t)strlen(text);

    return (sx_quote_source){.bytes = (const uint8_t *)text, .n = n, .end = n};
}

static sx_quote find(const char *text, bool finished, sx_quote_source source)
{
    return sx_quote_find(text, strlen(text), finished, &source, 1);
}

static bool shows(sx_quote quote, const char *text, const char *lines)
{
    return quote.kind == SX_QUOTE_LINES && quote.end - quote.start == strlen(lines) &&
           memcmp(text + quote.start, lines, strlen(lines)) == 0;
}

static void test_code(void)
{
    const char *signature = "int ring_pop(struct ring *r,\n             int how)";

    /* the signature at least, though only its first line is there */
    SX_CHECK(shows(find("int ring_pop(struct ring *r", true, ring_source()), ring, signature));
    /* white space differs, the last line is cut */
    SX_CHECK(shows(
        find("int ring_pop(struct ring *r,\n\t\tint how)\n{\n    if (r->l", true, ring_source()),
        ring, "int ring_pop(struct ring *r,\n             int how)\n{\n    if (r->len == 0)"));
    /* a miscopied byte: the source's own is shown, as many lines as the text has */
    SX_CHECK(shows(
        find("int ring_pop(struct ring *r,\n  int how)\n{\n    if (r->lem == 0)\n        return",
             true, ring_source()),
        ring,
        "int ring_pop(struct ring *r,\n             int how)\n{\n    if (r->len == 0)\n        "
        "return -1;"));
    /* never past the end of the definition */
    SX_CHECK(shows(find("uint8_t byte = r->data[r->head];\nreturn byte;\n}\nint last;\nmore", true,
                        ring_source()),
                   ring, "    uint8_t byte = r->data[r->head];\n    return byte;\n}"));
    /* a definition that ends where the file does */
    SX_CHECK(shows(find("int last;", true, whole("int last;")), "int last;", "int last;"));
}

static void test_docs(void)
{
    /* a doc sentence leads to the comment and the signature behind it; leaders are skipped */
    SX_CHECK(shows(
        find(" Take the oldest byte out of the ring, or -1 if there is none.", true, ring_source()),
        ring,
        "/* Take the oldest byte out of the ring,\n * or -1 if there is none. */\n"
        "int ring_pop(struct ring *r,\n             int how)"));
    /* a doc string stands behind the signature */
    SX_CHECK(shows(
        find(" Read the measurement table and return a list.", true, report_source()), report,
        "def load_rows(path):\n    \"\"\"Read the measurement table and return a list.\"\"\""));
}

static void test_values(void)
{
    sx_quote quote = find(" 7301946", true, whole(report));

    SX_CHECK(quote.kind == SX_QUOTE_VALUE && quote.start == offset(report, "MAGIC") &&
             quote.end == sizeof report - 2);
    SX_CHECK(find(" 730194", true, whole(report)).kind == SX_QUOTE_NONE); /* half a word */
    SX_CHECK(find("7301946", false, whole(report)).kind == SX_QUOTE_UNDECIDED);
    SX_CHECK(find("if", true, whole("if\n")).kind == SX_QUOTE_NONE); /* too short to say anything */
}

static void test_no_quotation(void)
{
    SX_CHECK(find("int ring_push(struct ring *q)", true, ring_source()).kind == SX_QUOTE_NONE);
    SX_CHECK(find("", true, ring_source()).kind == SX_QUOTE_NONE);
    SX_CHECK(find(" \n", true, ring_source()).kind == SX_QUOTE_NONE);
    SX_CHECK(find("", false, ring_source()).kind == SX_QUOTE_UNDECIDED);
    SX_CHECK(find("int ring_po", false, ring_source()).kind == SX_QUOTE_UNDECIDED);
    SX_CHECK(sx_quote_find("int ring_pop(struct ring *r", 27, true, NULL, 0).kind == SX_QUOTE_NONE);
}

static void test_best_source(void)
{
    const char near[] = "int ring_pop(struct ring *q)\n{\n}\n";
    sx_quote_source sources[] = {whole(near), ring_source()};
    const char *text = "int ring_pop(struct ring *r,\n int how)";
    sx_quote quote = sx_quote_find(text, strlen(text), true, sources, 2);

    SX_CHECK(quote.kind == SX_QUOTE_LINES && quote.source == 1);
    quote = sx_quote_find(text, 24, true, sources, 2); /* the better span wins a tie */
    SX_CHECK(quote.kind == SX_QUOTE_LINES && quote.source == 0);
}

static void test_long(void)
{
    char lines[64 * 100 + 1] = "";

    for (int i = 0; i < 100; i++)
        sprintf(lines + strlen(lines), "a line of a long long table, number %d\n", i);
    sx_quote quote = find(lines, true, whole(lines));
    int n = 1;

    for (uint32_t i = quote.start; i < quote.end; i++)
        n += lines[i] == '\n';
    SX_CHECK(quote.kind == SX_QUOTE_LINES && quote.start == 0 && n == SX_QUOTE_MAX_LINES);
}

static bool heads(sx_quote_source source, const char *first, const char *behind)
{
    const char *text = (const char *)source.bytes;
    uint32_t start, end;

    sx_quote_head(&source, &start, &end);
    return start == offset(text, first) && end == offset(text, behind);
}

static void test_heads(void)
{
    sx_quote_source last = ring_source();
    uint32_t start, end;

    SX_CHECK(heads(ring_source(), "/* Take", "\n{"));             /* the comment in front too */
    SX_CHECK(heads(report_source(), "def load", "\n    \"\"\"")); /* but none behind */
    last.doc_start = last.doc_end = 0;
    last.start = last.signature_end = offset(ring, "last;"); /* within the last line */
    last.end = (uint32_t)last.n;
    sx_quote_head(&last, &start, &end);
    SX_CHECK(start == offset(ring, "int last;") && end == last.n);
}

int main(void)
{
    test_code();
    test_docs();
    test_values();
    test_no_quotation();
    test_best_source();
    test_long();
    test_heads();
    return sx_check_end();
}
