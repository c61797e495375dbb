/* terminal.h: width, colour, progress, and text that is safe to show.
 * Everything from a repository or a model passes here before it reaches a terminal. */
#ifndef SX_APP_TERMINAL_H
#define SX_APP_TERMINAL_H

#include "app/progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef struct sx_terminal {
    FILE *file;
    bool tty;
    bool colour;
    int width; /* columns; not on a tty: 0, which means lines are not cut */
} sx_terminal;

/* NO_COLOR and TERM=dumb are respected; COLUMNS counts where the terminal does not tell its width.
 */
void sx_terminal_init(sx_terminal *terminal, FILE *file);

typedef enum sx_style { SX_PLAIN, SX_BOLD, SX_DIM, SX_ACCENT, SX_GOOD, SX_WARN } sx_style;
/* Escape sequence that switches a style on, or off with SX_PLAIN; "" without colour. */
const char *sx_style_code(const sx_terminal *terminal, sx_style style);

/* Columns that display-safe UTF-8 takes. */
int sx_text_width(const char *text);
/* Cuts display-safe text to `columns`, with one ellipsis at the end or in the middle. 0: not cut.
 * Return out. */
const char *sx_text_cut(char *out, size_t outlen, const char *text, int columns);
const char *sx_text_cut_middle(char *out, size_t outlen, const char *text, int columns);

/* One line of a file made safe: tabs become spaces, controls, bidi overrides and bytes that are no
 * UTF-8 become escapes. Returns out, cut to `columns` unless 0. */
const char *sx_text_line(char *out, size_t outlen, const uint8_t *bytes, size_t n, int columns);

/* "1 234 567" with thin groups of three; "12.3 M"; "1.5 GiB"; "320 ms", "12.4 s", "3 min 20 s".
 * Return out. */
const char *sx_text_count(char *out, size_t outlen, uint64_t n);
const char *sx_text_short_count(char *out, size_t outlen, double n);
const char *sx_text_bytes(char *out, size_t outlen, uint64_t bytes);
const char *sx_text_duration(char *out, size_t outlen, double ms);
/* A bar of `columns` for share 0..1, in eighths of a column. Returns out. */
const char *sx_text_bar(char *out, size_t outlen, double share, int columns);

/* On a tty one line that is rewritten, else a line every two seconds at most. */
typedef struct sx_progress_line {
    sx_terminal terminal;
    bool quiet;
    bool shown; /* a line stands on the tty */
    const char *step;
    double started, last; /* seconds of the monotonic clock */
} sx_progress_line;
void sx_progress_init(sx_progress_line *line, bool quiet);
void sx_progress_show(sx_progress_line *line, const sx_progress *progress);
void sx_progress_clear(sx_progress_line *line);
/* The text of a progress line without its end; for sx_progress_show and its test. Returns out. */
const char *sx_progress_text(char *out, size_t outlen, const sx_progress *progress, double seconds,
                             int width);

double sx_clock_ms(void); /* monotonic */

#endif
