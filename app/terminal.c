/* terminal.c: width, colour, progress, and text that is safe to show.
 * Must not know what is shown: no repository, no engine. */
#include "app/terminal.h"
#include "indexer/indexer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>
#include <utf8proc.h>

#define ELLIPSIS "\xe2\x80\xa6"

double sx_clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

void sx_terminal_init(sx_terminal *terminal, FILE *file)
{
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM"), *columns = getenv("COLUMNS");
    struct winsize size = {0};

    *terminal = (sx_terminal){.file = file, .tty = isatty(fileno(file)) != 0};
    if (!terminal->tty)
        return;
    terminal->colour = (no_color == NULL || *no_color == '\0') && term != NULL &&
                       strcmp(term, "dumb") != 0;
    terminal->width = 80;
    if (ioctl(fileno(file), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        terminal->width = size.ws_col;
    else if (columns != NULL && atoi(columns) > 0)
        terminal->width = atoi(columns);
    if (terminal->width < 20)
        terminal->width = 20;
}

const char *sx_style_code(const sx_terminal *terminal, sx_style style)
{
    static const char *const codes[] = {
        [SX_PLAIN] = "\x1b[0m",   [SX_BOLD] = "\x1b[1m",  [SX_DIM] = "\x1b[2m",
        [SX_ACCENT] = "\x1b[36m", [SX_GOOD] = "\x1b[32m", [SX_WARN] = "\x1b[33m"};

    return terminal->colour ? codes[style] : "";
}

/* Bytes of the character at `text`, and its columns. The text is display-safe: a byte that is no
 * UTF-8 counts as one column all the same. */
static size_t next_character(const char *text, size_t n, int *columns)
{
    utf8proc_int32_t c;
    utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)n,
                                             &c);

    if (size <= 0) {
        *columns = 1;
        return 1;
    }
    *columns = utf8proc_charwidth(c);
    return (size_t)size;
}

int sx_text_width(const char *text)
{
    size_t n = strlen(text);
    int width = 0, columns;

    for (size_t at = 0; at < n; width += columns)
        at += next_character(text + at, n - at, &columns);
    return width;
}

/* How many bytes from the beginning take at most `columns` and fit in `room` bytes. */
static size_t head_bytes(const char *text, size_t n, int columns, size_t room)
{
    size_t at = 0;

    while (at < n) {
        int c;
        size_t size = next_character(text + at, n - at, &c);

        if (c > columns || at + size > room)
            break;
        columns -= c;
        at += size;
    }
    return at;
}

const char *sx_text_cut(char *out, size_t outlen, const char *text, int columns)
{
    size_t n = strlen(text), keep;

    if ((columns <= 0 || sx_text_width(text) <= columns) && n < outlen) {
        memcpy(out, text, n + 1);
        return out;
    }
    if (columns <= 0)
        columns = (int)(outlen < 4096 ? outlen : 4096);
    keep = head_bytes(text, n, columns - 1, outlen > 4 ? outlen - 4 : 0);
    memcpy(out, text, keep);
    snprintf(out + keep, outlen - keep, "%s", outlen - keep > 3 ? ELLIPSIS : "");
    return out;
}

const char *sx_text_cut_middle(char *out, size_t outlen, const char *text, int columns)
{
    size_t n = strlen(text), head, tail = n;
    int width = sx_text_width(text), left, skip;

    if (columns <= 0 || width <= columns || columns < 4)
        return sx_text_cut(out, outlen, text, columns);
    left = (columns - 1) / 3; /* the end of a path says more than its beginning */
    head = head_bytes(text, n, left, outlen);
    skip = width - (columns - 1 - left);
    tail = 0;
    for (int seen = 0; tail < n && seen < skip;) {
        int c;

        tail += next_character(text + tail, n - tail, &c);
        seen += c;
    }
    if (head + (n - tail) + 4 > outlen)
        return sx_text_cut(out, outlen, text, columns);
    memcpy(out, text, head);
    snprintf(out + head, outlen - head, ELLIPSIS "%s", text + tail);
    return out;
}

const char *sx_text_line(char *out, size_t outlen, const uint8_t *bytes, size_t n, int columns)
{
    enum { TAB = 4, MAX_LINE = 4096 }; /* a longer line is cut: nobody reads it in a terminal */
    char spaced[MAX_LINE], safe[MAX_LINE * 4];
    size_t length = 0;

    for (size_t i = 0; i < n && length + TAB < sizeof spaced && bytes[i] != '\0'; i++) {
        if (bytes[i] == '\t')
            do
                spaced[length++] = ' ';
            while (length % TAB != 0);
        else if (bytes[i] != '\r' || i + 1 < n)
            spaced[length++] = (char)bytes[i];
    }
    spaced[length] = '\0';
    sx_display_name(safe, sizeof safe, spaced);
    return sx_text_cut(out, outlen, safe, columns);
}

const char *sx_text_count(char *out, size_t outlen, uint64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%llu", (unsigned long long)n);
    size_t at = 0;

    for (int i = 0; i < length && at + 2 < outlen; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            out[at++] = ' ';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *sx_text_short_count(char *out, size_t outlen, double n)
{
    static const char *const units[] = {"", " K", " M", " G"};
    int unit = 0;

    while (n >= 999.5 && unit < 3) {
        n /= 1000;
        unit++;
    }
    snprintf(out, outlen, unit == 0 || n >= 99.95 ? "%.0f%s" : "%.1f%s", n, units[unit]);
    return out;
}

const char *sx_text_bytes(char *out, size_t outlen, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    int unit = 0;

    while (n >= 1023.5 && unit < 4) {
        n /= 1024;
        unit++;
    }
    snprintf(out, outlen, unit == 0 || n >= 99.95 ? "%.0f %s" : "%.1f %s", n, units[unit]);
    return out;
}

const char *sx_text_duration(char *out, size_t outlen, double ms)
{
    if (ms < 999.5)
        snprintf(out, outlen, ms < 9.95 ? "%.1f ms" : "%.0f ms", ms);
    else if (ms < 59950)
        snprintf(out, outlen, "%.1f s", ms / 1000);
    else
        snprintf(out, outlen, "%.0f min %02.0f s", (double)((long)(ms / 60000)),
                 (double)((long)(ms / 1000) % 60));
    return out;
}

const char *sx_text_bar(char *out, size_t outlen, double share, int columns)
{
    static const char *const eighths[] = {"",
                                          "\xe2\x96\x8f",
                                          "\xe2\x96\x8e",
                                          "\xe2\x96\x8d",
                                          "\xe2\x96\x8c",
                                          "\xe2\x96\x8b",
                                          "\xe2\x96\x8a",
                                          "\xe2\x96\x89",
                                          "\xe2\x96\x88"};
    int filled, at = 0;
    size_t length = 0;

    out[0] = '\0';
    if (!(share > 0)) /* NaN too */
        share = 0;
    if (share > 1)
        share = 1;
    filled = (int)(share * columns * 8 + 0.5);
    if (filled == 0 && share > 0)
        filled = 1;
    for (; at < columns && length + 4 < outlen; at++, filled -= filled < 8 ? filled : 8) {
        const char *piece = filled == 0 ? " " : eighths[filled < 8 ? filled : 8];

        length += (size_t)snprintf(out + length, outlen - length, "%s", piece);
    }
    return out;
}

/* ---- progress ------------------------------------------------------------------------------- */

static double share_done(const sx_progress *p)
{
    if (p->tokens_total > 0)
        return (double)p->tokens_done / (double)p->tokens_total;
    if (p->bytes_total > 0)
        return (double)p->bytes_done / (double)p->bytes_total;
    return p->files_total > 0 ? (double)p->files_done / (double)p->files_total : 0;
}

const char *sx_progress_text(char *out, size_t outlen, const sx_progress *progress, double seconds,
                             int width)
{
    double share = share_done(progress);
    char a[32], b[32], bar[64], line[512];
    size_t at = (size_t)snprintf(line, sizeof line, "%s", progress->step);

    if (share > 1)
        share = 1;
    if (width > 0 && share > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, " %s",
                               sx_text_bar(bar, sizeof bar, share, 12));
    if (share > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, " %3.0f %%", share * 100);
    if (progress->files_total > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, ", %s of %s files",
                               sx_text_count(a, sizeof a, progress->files_done),
                               sx_text_count(b, sizeof b, progress->files_total));
    if (progress->tokens_total > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, ", %s of %s tokens",
                               sx_text_short_count(a, sizeof a, (double)progress->tokens_done),
                               sx_text_short_count(b, sizeof b, (double)progress->tokens_total));
    else if (progress->tokens_done > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, ", %s tokens",
                               sx_text_short_count(a, sizeof a, (double)progress->tokens_done));
    if (seconds > 0.5 && progress->tokens_total > 0 && progress->tokens_done > 0)
        at += (size_t)snprintf(
            line + at, sizeof line - at, ", %s tokens/s",
            sx_text_short_count(a, sizeof a, (double)progress->tokens_done / seconds));
    else if (seconds > 0.5 && progress->bytes_done > 0)
        at += (size_t)snprintf(line + at, sizeof line - at, ", %.1f MB/s",
                               (double)progress->bytes_done / 1e6 / seconds);
    if (seconds > 1 && share > 0.02 && share < 1)
        snprintf(line + at, sizeof line - at, ", %s left",
                 sx_text_duration(a, sizeof a, seconds * 1000 * (1 - share) / share));
    return sx_text_cut(out, outlen, line, width);
}

void sx_progress_init(sx_progress_line *line, bool quiet)
{
    *line = (sx_progress_line){.quiet = quiet};
    sx_terminal_init(&line->terminal, stderr);
}

void sx_progress_show(sx_progress_line *line, const sx_progress *progress)
{
    double now = sx_clock_ms() / 1000;
    /* a log gets a line every two seconds at first, then ever fewer */
    double pause = line->terminal.tty ? 0.1 : fmax(2.0, (now - line->started) / 10);
    bool new_step = line->step == NULL || strcmp(line->step, progress->step) != 0;
    char text[1024];

    if (line->quiet)
        return;
    if (new_step) {
        line->step = progress->step;
        line->started = line->last = now;
        if (!line->terminal.tty)
            return; /* what takes less than two seconds needs no line in a log */
    } else if (now - line->last < pause) {
        return;
    }
    line->last = now;
    sx_progress_text(text, sizeof text, progress, now - line->started, line->terminal.width);
    if (line->terminal.tty)
        fprintf(stderr, "\r\x1b[K%s", text);
    else
        fprintf(stderr, "%s\n", text);
    line->shown = line->terminal.tty;
    fflush(stderr);
}

void sx_progress_clear(sx_progress_line *line)
{
    if (line->shown)
        fputs("\r\x1b[K", stderr);
    line->shown = false;
    line->step = NULL;
    fflush(stderr);
}
