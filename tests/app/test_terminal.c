/* test_terminal.c: width, cutting, escaping, figures and the progress line. */
#include "app/terminal.h"
#include "tests/check.h"

#include <string.h>

static char out[8192];

static bool line_is(const char *bytes, size_t n, int columns, const char *want)
{
    return strcmp(sx_text_line(out, sizeof out, (const uint8_t *)bytes, n, columns), want) == 0;
}

static void test_width(void)
{
    SX_CHECK(sx_text_width("") == 0);
    SX_CHECK(sx_text_width("abc") == 3);
    SX_CHECK(sx_text_width("na\xc3\xafve") == 5);
    SX_CHECK(sx_text_width("\xe6\xbc\xa2\xe5\xad\x97") == 4); /* two wide characters */
    SX_CHECK(sx_text_width("e\xcc\x81") == 1);                /* a combining accent */
}

static void test_cut(void)
{
    SX_CHECK(strcmp(sx_text_cut(out, sizeof out, "abcdef", 6), "abcdef") == 0);
    SX_CHECK(strcmp(sx_text_cut(out, sizeof out, "abcdef", 4), "abc\xe2\x80\xa6") == 0);
    SX_CHECK(strcmp(sx_text_cut(out, sizeof out, "abcdef", 0), "abcdef") == 0);
    SX_CHECK(sx_text_width(
                 sx_text_cut(out, sizeof out, "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2", 4)) <= 4);
    SX_CHECK(strlen(sx_text_cut(out, 8, "abcdefghijkl", 0)) < 8);
    sx_text_cut_middle(out, sizeof out, "a/long/path/to/some/file.c:13-22", 20);
    SX_CHECK(sx_text_width(out) == 20 && strstr(out, "file.c:13-22") != NULL &&
             strncmp(out, "a/", 2) == 0);
    SX_CHECK(strcmp(sx_text_cut_middle(out, sizeof out, "short", 20), "short") == 0);
}

static void test_line(void)
{
    char longest[10000];

    SX_CHECK(line_is("\tx\ty", 4, 0, "    x   y"));
    SX_CHECK(line_is("end\r", 4, 0, "end"));
    SX_CHECK(line_is("abc", 3, 2, "a\xe2\x80\xa6"));
    sx_text_line(out, sizeof out, (const uint8_t *)"a\x1b]0;pwn\x07 \xff \xe2\x80\xae", 16, 0);
    SX_CHECK(strchr(out, '\x1b') == NULL && strchr(out, '\x07') == NULL &&
             strchr(out, '\xff') == NULL && strstr(out, "\xe2\x80\xae") == NULL &&
             strstr(out, "]0;pwn") != NULL);
    memset(longest, 'x', sizeof longest);
    SX_CHECK(strlen(sx_text_line(out, sizeof out, (const uint8_t *)longest, sizeof longest, 0)) <
             sizeof out);
    SX_CHECK(strlen(sx_text_line(out, 16, (const uint8_t *)longest, sizeof longest, 0)) < 16);
}

static void test_figures(void)
{
    SX_CHECK(strcmp(sx_text_count(out, sizeof out, 0), "0") == 0);
    SX_CHECK(strcmp(sx_text_count(out, sizeof out, 1234567), "1 234 567") == 0);
    SX_CHECK(strcmp(sx_text_short_count(out, sizeof out, 950), "950") == 0);
    SX_CHECK(strcmp(sx_text_short_count(out, sizeof out, 3210000), "3.2 M") == 0);
    SX_CHECK(strcmp(sx_text_short_count(out, sizeof out, 152000), "152 K") == 0);
    SX_CHECK(strcmp(sx_text_bytes(out, sizeof out, 1536), "1.5 KiB") == 0);
    SX_CHECK(strcmp(sx_text_bytes(out, sizeof out, UINT64_C(8) << 30), "8.0 GiB") == 0);
    SX_CHECK(strcmp(sx_text_duration(out, sizeof out, 4.2), "4.2 ms") == 0);
    SX_CHECK(strcmp(sx_text_duration(out, sizeof out, 320), "320 ms") == 0);
    SX_CHECK(strcmp(sx_text_duration(out, sizeof out, 12400), "12.4 s") == 0);
    SX_CHECK(strcmp(sx_text_duration(out, sizeof out, 200000), "3 min 20 s") == 0);
    SX_CHECK(strcmp(sx_text_bar(out, sizeof out, 0.5, 4), "\xe2\x96\x88\xe2\x96\x88  ") == 0);
    SX_CHECK(sx_text_width(sx_text_bar(out, sizeof out, 1.5, 10)) == 10);
    SX_CHECK(strcmp(sx_text_bar(out, sizeof out, 0, 3), "   ") == 0);
    SX_CHECK(strncmp(sx_text_bar(out, sizeof out, 0.0001, 3), "   ", 3) !=
             0); /* little is not nothing */
}

static void test_progress(void)
{
    sx_progress p = {.step = "reading",
                     .files_done = 12,
                     .files_total = 1240,
                     .tokens_done = 50000,
                     .tokens_total = 200000};

    sx_progress_text(out, sizeof out, &p, 10, 0);
    SX_CHECK(strcmp(out, "reading  25 %, 12 of 1 240 files, 50.0 K of 200 K tokens, 5.0 K "
                         "tokens/s, 30.0 s left") == 0);
    sx_progress_text(out, sizeof out, &p, 10, 40);
    SX_CHECK(sx_text_width(out) <= 40);
    p = (sx_progress){.step = "reading the tree", .files_done = 7};
    SX_CHECK(strcmp(sx_progress_text(out, sizeof out, &p, 0.1, 0), "reading the tree") == 0);
}

static void test_colour(void)
{
    sx_terminal plain = {.file = stdout},
                tty = {.file = stdout, .tty = true, .colour = true, .width = 80};

    SX_CHECK(sx_style_code(&plain, SX_BOLD)[0] == '\0');
    SX_CHECK(sx_style_code(&tty, SX_BOLD)[0] == '\x1b');
}

int main(void)
{
    test_width();
    test_cut();
    test_line();
    test_figures();
    test_progress();
    test_colour();
    return sx_check_end();
}
