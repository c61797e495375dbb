/* git_config.c: see git_config.h. The syntax is that of git-config(1), "CONFIGURATION FILE". */
#include "indexer/git_config.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define END (-1)

typedef struct reader {
    const char *at, *end;
    char *section, *subsection, *key, *value; /* each has room for the whole text */
} reader;

static int peek(const reader *in)
{
    return in->at < in->end ? (unsigned char)*in->at : END;
}

static void skip_blanks(reader *in)
{
    while (peek(in) == ' ' || peek(in) == '\t' || peek(in) == '\r')
        in->at++;
}

static void skip_line(reader *in)
{
    while (peek(in) != END && peek(in) != '\n')
        in->at++;
}

/* [section], [section "sub section"] or the old [section.subsection]. */
static int read_section(reader *in)
{
    size_t n = 0, n_sub = 0;

    in->at++; /* [ */
    skip_blanks(in);
    while (isalnum(peek(in)) || peek(in) == '-' || peek(in) == '.')
        in->section[n++] = (char)tolower(*in->at++);
    in->section[n] = '\0';
    skip_blanks(in);
    if (peek(in) == '"') {
        in->at++;
        while (peek(in) != '"') {
            if (peek(in) == '\\')
                in->at++;
            if (peek(in) == END || peek(in) == '\n' || peek(in) == '\0')
                return -EILSEQ;
            in->subsection[n_sub++] = *in->at++;
        }
        in->at++;
        skip_blanks(in);
    } else if (strchr(in->section, '.')) {
        char *dot = strchr(in->section, '.');

        *dot = '\0';
        n_sub = strlen(dot + 1);
        memcpy(in->subsection, dot + 1, n_sub);
    }
    in->subsection[n_sub] = '\0';
    if (n == 0 || peek(in) != ']')
        return -EILSEQ;
    in->at++;
    return 0;
}

/* What follows "=": quotes, escapes, continued lines, a comment at the end. */
static int read_value(reader *in)
{
    bool quoted = false;
    size_t n = 0, kept = 0; /* kept: without trailing blanks */

    skip_blanks(in);
    for (;; in->at++) {
        int c = peek(in);

        if (c == END || c == '\n')
            break;
        if (c == '\0')
            return -EILSEQ;
        if (c == '"') {
            quoted = !quoted;
            kept = n;
        } else if (c == '\\') {
            in->at++;
            c = peek(in);
            if (c == '\r' && in->at + 1 < in->end && in->at[1] == '\n') {
                in->at++;
                c = '\n';
            }
            if (c == '\n')
                continue;
            c = c == 'n'                ? '\n'
                : c == 't'              ? '\t'
                : c == 'b'              ? '\b'
                : c == '\\' || c == '"' ? c
                                        : END;
            if (c == END)
                return -EILSEQ;
            in->value[n++] = (char)c;
            kept = n;
        } else if (!quoted && (c == '#' || c == ';')) {
            skip_line(in);
            break;
        } else {
            in->value[n++] = (char)c;
            if (quoted || !isspace(c))
                kept = n;
        }
    }
    in->value[kept] = '\0';
    return quoted ? -EILSEQ : 0;
}

static int read_setting(reader *in, sx_git_setting_fn fn, void *user)
{
    sx_git_setting setting = {in->section, in->subsection, in->key, NULL};
    size_t n = 0;

    while (isalnum(peek(in)) || peek(in) == '-')
        in->key[n++] = (char)tolower(*in->at++);
    in->key[n] = '\0';
    skip_blanks(in);
    if (n == 0 || !in->section[0])
        return -EILSEQ;
    if (peek(in) == '=') {
        in->at++;
        if (read_value(in) < 0)
            return -EILSEQ;
        setting.value = in->value;
    } else if (peek(in) == '#' || peek(in) == ';') {
        skip_line(in);
    } else if (peek(in) != '\n' && peek(in) != END) {
        return -EILSEQ;
    }
    return fn(&setting, user);
}

int sx_git_config_parse(const char *text, size_t n, sx_git_setting_fn fn, void *user)
{
    reader in = {.at = text, .end = text + n};
    char *room = NULL;
    int rc = 0;

    if (n > SIZE_MAX / 4 - 1 || !(room = calloc(4, n + 1))) {
        rc = -ENOMEM;
        goto out;
    }
    in.section = room;
    in.subsection = room + (n + 1);
    in.key = room + 2 * (n + 1);
    in.value = room + 3 * (n + 1);
    if (n >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        in.at += 3;
    while (rc == 0 && peek(&in) != END) {
        int c = peek(&in);

        if (isspace(c))
            in.at++;
        else if (c == '#' || c == ';')
            skip_line(&in);
        else if (c == '[')
            rc = read_section(&in);
        else
            rc = read_setting(&in, fn, user);
    }
out:
    free(room);
    return rc;
}
