/* output.c: replies, definitions, references and status -> text for people.
 * Must not know how any of it was found. Everything that comes from a repository or a model goes
 * through sx_display_name() or sx_text_line() first. */
#include "app/output.h"

#include <stdlib.h>
#include <string.h>

#define BAR_SEPARATOR " \xe2\x94\x82 "

enum { LINE_BYTES = 16384, PATH_BYTES = 4096, BAR = 10 };

static void put_style(const sx_terminal *t, sx_style style)
{
    fputs(sx_style_code(t, style), t->file);
}

static void put_styled(const sx_terminal *t, sx_style style, const char *text)
{
    fprintf(t->file, "%s%s%s", sx_style_code(t, style), text, sx_style_code(t, SX_PLAIN));
}

/* Text and then spaces up to `columns`. */
static void put_padded(const sx_terminal *t, const char *text, int columns)
{
    int width = sx_text_width(text);

    fprintf(t->file, "%s%*s", text, width < columns ? columns - width : 0, "");
}

static int digits(uint32_t n)
{
    int count = 1;

    for (; n >= 10; n /= 10)
        count++;
    return count;
}

static uint32_t line_number(const uint8_t *bytes, size_t at)
{
    uint32_t line = 1;

    for (size_t i = 0; i < at; i++)
        line += bytes[i] == '\n';
    return line;
}

/* ---- the answer ----------------------------------------------------------------------------- */

static const char *article(const char *noun)
{
    return noun[0] != '\0' && strchr("aeiou", noun[0]) != NULL ? "an" : "a";
}

/* "Ring.push" or "push". */
static const char *full_name(char *out, size_t outlen, const sx_span *span)
{
    char name[512], scope[512];

    sx_display_name(name, sizeof name, span->name);
    sx_display_name(scope, sizeof scope, span->scope);
    snprintf(out, outlen, "%s%s%s", scope, *scope != '\0' ? "." : "", name);
    return out;
}

static void location(char *out, size_t outlen, const sx_span *span, int columns)
{
    char path[PATH_BYTES], short_path[PATH_BYTES], lines[32];

    if (span->end_line > span->start_line)
        snprintf(lines, sizeof lines, ":%u-%u", span->start_line, span->end_line);
    else
        snprintf(lines, sizeof lines, ":%u", span->start_line);
    sx_display_name(path, sizeof path, span->path);
    columns = columns > 0 ? columns - (int)strlen(lines) : 0;
    sx_text_cut_middle(short_path, sizeof short_path, path,
                       columns > 0 && columns < 8 ? 8 : columns);
    snprintf(out, outlen, "%s%s", short_path, lines);
}

void sx_answer_view_read(sx_answer_view *view, const sx_reply *reply)
{
    sx_terminal *t = view->terminal;
    char name[1100], place[PATH_BYTES + 64];
    const sx_span *span = &reply->spans[0];

    view->kind = SX_QUOTE_UNDECIDED;
    if (reply->n_spans == 0) {
        put_styled(t, SX_BOLD, "No part of the repository was found to answer from.");
    } else if (!reply->found) {
        put_styled(t, SX_BOLD, "Most likely not in this repository.");
        fputs(" Nearest:", t->file);
    } else if (span->name[0] == '\0') {
        location(place, sizeof place, span, t->width > 0 ? t->width - 7 : 0);
        put_styled(t, SX_BOLD, "See ");
        put_styled(t, SX_ACCENT, place);
    } else {
        full_name(name, sizeof name, span);
        if (span->named)
            fprintf(t->file, "%s`%s`%s is %s %s in ", sx_style_code(t, SX_BOLD), name,
                    sx_style_code(t, SX_PLAIN), article(span->kind), span->kind);
        else /* what attention points to; nobody but the model says that it is meant */
            fprintf(t->file, "Most likely %s`%s`%s, %s %s in ", sx_style_code(t, SX_BOLD), name,
                    sx_style_code(t, SX_PLAIN), article(span->kind), span->kind);
        /* On a terminal the place goes to a line of its own where it does not fit behind the name.
         */
        location(place, sizeof place, span, t->width > 0 ? t->width - 2 : 0);
        if (t->width > 0 &&
            sx_text_width(name) + (int)strlen(span->kind) + 22 + sx_text_width(place) > t->width)
            fputs("\n  ", t->file);
        put_styled(t, SX_ACCENT, place);
    }
    fputs("\n\n", t->file);
    fflush(t->file);
}

static void put_source_line(const sx_terminal *t, const uint8_t *bytes, size_t n, uint32_t number,
                            int width)
{
    char line[LINE_BYTES];

    fprintf(t->file, "  %s%*u" BAR_SEPARATOR "%s", sx_style_code(t, SX_DIM), width, number,
            sx_style_code(t, SX_PLAIN));
    fprintf(t->file, "%s\n",
            sx_text_line(line, sizeof line, bytes, n, t->width > 0 ? t->width - width - 5 : 0));
}

/* Prints the quotation's lines up to `end`. */
static void put_lines(sx_answer_view *view, uint32_t end)
{
    int width = digits(view->line + SX_QUOTE_MAX_LINES);

    while (view->next <= end) {
        const uint8_t *from = view->bytes + view->next;
        const uint8_t *newline = memchr(from, '\n', end - view->next);
        size_t n = newline != NULL ? (size_t)(newline - from) : end - view->next;

        put_source_line(view->terminal, from, n, view->line++, width);
        view->next += (uint32_t)n + 1;
    }
    fflush(view->terminal->file);
}

/* The doc comment and signature of the place that the headline names. */
static void put_head(sx_answer_view *view, const sx_span *span)
{
    const sx_quote_source *source = &span->source;
    sx_answer_view head = {.terminal = view->terminal, .bytes = source->bytes};
    uint32_t end;

    sx_quote_head(source, &head.next, &end);
    head.line = line_number(source->bytes, head.next);
    put_lines(&head, end);
}

static void begin_lines(sx_answer_view *view, const sx_reply *reply)
{
    const sx_terminal *t = view->terminal;
    const sx_span *span = &reply->spans[reply->quote.source];
    char path[PATH_BYTES + 64];

    view->kind = reply->quote.kind;
    view->bytes = span->source.bytes;
    view->start = view->next = reply->quote.start;
    view->line = line_number(span->source.bytes, view->start);
    if (reply->quote.source > 0) { /* not from the place the headline names */
        put_head(view, &reply->spans[0]);
        location(path, sizeof path, span, t->width > 0 ? t->width - 18 : 0);
        fprintf(t->file, "\n%sThe answer quotes %s%s\n\n", sx_style_code(t, SX_DIM), path,
                sx_style_code(t, SX_PLAIN));
    }
}

/* What the model wrote by itself, as far as it is not out yet. */
static void put_generated(sx_answer_view *view, const sx_reply *reply)
{
    sx_terminal *t = view->terminal;
    char line[LINE_BYTES];

    if (!reply->found) { /* the headline says it; words from nowhere would only repeat it */
        view->kind = SX_QUOTE_NONE;
        return;
    }
    if (view->kind != SX_QUOTE_NONE) {
        if (reply->n_spans > 0) /* the source first, whatever was written */
            put_head(view, &reply->spans[0]);
        if (!reply->source) {
            if (reply->n_spans > 0)
                putc('\n', t->file);
            put_styled(t, SX_DIM, "Written by the model, not found in what it read:\n");
        }
    }
    view->kind = SX_QUOTE_NONE;
    if (reply->source) /* made up: it stands nowhere, and helps nobody */
        return;
    while (view->n_text < reply->n_text) {
        const char *from = reply->text + view->n_text;
        size_t n = strcspn(from, "\n");

        if (!view->open_line)
            fputs("  ", t->file);
        fputs(sx_text_line(line, sizeof line, (const uint8_t *)from, n, 0), t->file);
        view->open_line = from[n] != '\n';
        if (!view->open_line) {
            putc('\n', t->file);
            n++;
        }
        view->n_text += n;
    }
    fflush(t->file);
}

static bool continues(const sx_answer_view *view, const sx_reply *reply)
{
    return reply->quote.kind == SX_QUOTE_LINES && reply->quote.source < reply->n_spans &&
           reply->spans[reply->quote.source].source.bytes == view->bytes &&
           reply->quote.start == view->start;
}

void sx_answer_view_text(sx_answer_view *view, const sx_reply *reply)
{
    enum { PATIENCE = 24 }; /* tokens */
    size_t blank = strspn(reply->text, " \t\r\n");
    bool first_line = strchr(reply->text + blank, '\n') != NULL;

    if (view->kind == SX_QUOTE_UNDECIDED && reply->quote.kind == SX_QUOTE_LINES &&
        (first_line || reply->n_tokens >= PATIENCE))
        begin_lines(view, reply);
    else if (view->kind == SX_QUOTE_UNDECIDED && reply->quote.kind == SX_QUOTE_UNDECIDED &&
             reply->n_tokens >= PATIENCE)
        put_generated(view, reply);
    if (view->kind == SX_QUOTE_LINES && continues(view, reply))
        put_lines(view, reply->quote.end);
    else if (view->kind == SX_QUOTE_NONE)
        put_generated(view, reply);
}

static void end_answer(sx_answer_view *view, const sx_reply *reply)
{
    sx_terminal *t = view->terminal;
    char *text = NULL, line[LINE_BYTES];

    if (view->kind == SX_QUOTE_UNDECIDED && reply->quote.kind == SX_QUOTE_VALUE) {
        text = sx_reply_answer(reply);
        fprintf(t->file, "  %s%s%s\n\n", sx_style_code(t, SX_BOLD),
                text != NULL
                    ? sx_text_line(line, sizeof line, (const uint8_t *)text, strlen(text), 0)
                    : "",
                sx_style_code(t, SX_PLAIN));
        free(text);
        begin_lines(view, reply);
        put_lines(view, reply->quote.end);
    } else if (view->kind == SX_QUOTE_UNDECIDED && reply->quote.kind == SX_QUOTE_LINES) {
        begin_lines(view, reply);
        put_lines(view, reply->quote.end);
    } else if (view->kind == SX_QUOTE_LINES && continues(view, reply)) {
        put_lines(view, reply->quote.end);
    } else if (view->kind != SX_QUOTE_LINES && reply->found &&
               strspn(reply->text, " \t\r\n") < reply->n_text) {
        put_generated(view, reply);
        if (view->open_line)
            putc('\n', t->file);
    } else if (view->kind != SX_QUOTE_LINES) {
        return; /* the model wrote nothing, or "not found" once more */
    }
    putc('\n', t->file);
}

static void put_spans(sx_terminal *t, const sx_reply *reply, uint32_t top)
{
    size_t n = reply->n_spans < top ? reply->n_spans : top;
    int place_columns = 0, name_columns = 0, fixed = t->tty ? 5 + 2 + 2 + BAR + 7 : 0;
    char place[PATH_BYTES + 64], name[1100], label[1200], shown[1200], bar[64];
    double most = 0;

    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) {
        const sx_span *span = &reply->spans[i];
        int width;

        location(place, sizeof place, span, 0);
        width = sx_text_width(place);
        place_columns = width > place_columns ? width : place_columns;
        width = sx_text_width(full_name(name, sizeof name, span)) + (int)strlen(span->kind) + 1;
        name_columns = width > name_columns ? width : name_columns;
        most = span->mass > most ? span->mass : most;
    }
    if (t->width > 0) { /* names get at most two fifths of what the bar leaves */
        int room = t->width - fixed > 30 ? t->width - fixed : 30;

        if (place_columns + name_columns > room) {
            name_columns = name_columns < room * 2 / 5 ? name_columns : room * 2 / 5;
            place_columns = place_columns < room - name_columns ? place_columns
                                                                : room - name_columns;
        }
    }
    put_styled(t, SX_BOLD, "Read from");
    putc('\n', t->file);
    for (size_t i = 0; i < n; i++) {
        const sx_span *span = &reply->spans[i];

        location(place, sizeof place, span, t->width > 0 ? place_columns : 0);
        full_name(name, sizeof name, span);
        snprintf(label, sizeof label, "%s%s%s", span->kind, *name != '\0' ? " " : "", name);
        sx_text_cut(shown, sizeof shown, label, t->width > 0 ? name_columns : 0);
        fprintf(t->file, " %2zu  ", i + 1);
        put_style(t, SX_ACCENT);
        put_padded(t, place, place_columns);
        put_style(t, SX_PLAIN);
        fputs("  ", t->file);
        put_padded(t, shown, name_columns);
        if (t->tty)
            fprintf(t->file, "  %s%s%s", sx_style_code(t, SX_GOOD),
                    sx_text_bar(bar, sizeof bar, most > 0 ? span->mass / most : 0, BAR),
                    sx_style_code(t, SX_PLAIN));
        fprintf(t->file, "  %3.0f %%\n", span->mass * 100);
    }
}

static void put_files(sx_terminal *t, const sx_reply *reply)
{
    enum { MOST = 4 };
    char path[PATH_BYTES], shown[PATH_BYTES];
    int columns = 6;

    if (reply->n_files < 2)
        return;
    put_styled(t, SX_BOLD, "Files");
    fputs("  ", t->file);
    for (size_t i = 0; i < reply->n_files && i < MOST; i++) {
        int width;

        sx_display_name(path, sizeof path, reply->files[i].path);
        sx_text_cut_middle(shown, sizeof shown, path, t->width > 0 ? t->width / 3 : 0);
        width = sx_text_width(shown) + 7;
        if (t->width > 0 && i > 0 && columns + width + 9 > t->width)
            break;
        fprintf(t->file, "%s%s %.0f %%", i > 0 ? ", " : "", shown, reply->files[i].mass * 100);
        columns += width;
    }
    putc('\n', t->file);
}

/* Dim, in one line if they fit. */
static void put_figures(sx_terminal *t, const char *const *parts, int n)
{
    int columns = 0;

    put_style(t, SX_DIM);
    for (int i = 0; i < n; i++) {
        int width = sx_text_width(parts[i]) + 3;

        if (i > 0)
            fputs(t->width > 0 && columns + width > t->width ? "\n" : " \xc2\xb7 ", t->file);
        columns = t->width > 0 && columns + width > t->width ? width : columns + width;
        fputs(parts[i], t->file);
    }
    put_style(t, SX_PLAIN);
    putc('\n', t->file);
}

void sx_answer_view_end(sx_answer_view *view, const sx_reply *reply, const sx_engine_info *model)
{
    sx_terminal *t = view->terminal;
    char tokens[32], blocks[32], load[32], prefill[32], decode[32];
    char line[1024], timing[256];

    end_answer(view, reply);
    put_spans(t, reply, view->top);
    put_files(t, reply);
    if (reply->read < 1) {
        snprintf(line, sizeof line,
                 "Only %d %% of the repository is read so far; `sparsex index` reads the rest.",
                 (int)(reply->read * 100)); /* rounded down: 100 is all */
        put_styled(t, SX_WARN, line);
        putc('\n', t->file);
    }
    snprintf(line, sizeof line, "%s tokens in %s blocks",
             sx_text_count(tokens, sizeof tokens, reply->tokens),
             sx_text_count(blocks, sizeof blocks, reply->blocks));
    snprintf(timing, sizeof timing, "load %s, question %s, answer %s",
             sx_text_duration(load, sizeof load, reply->timing.load),
             sx_text_duration(prefill, sizeof prefill, reply->timing.prefill),
             sx_text_duration(decode, sizeof decode, reply->timing.decode));
    put_figures(t, (const char *[]){line, model->device, timing}, 3);
}

/* ---- definitions and references ------------------------------------------------------------- */

/* Source lines as one: runs of white space, newlines included, become a space. */
static size_t fold(uint8_t *out, size_t outlen, const uint8_t *bytes, size_t n)
{
    size_t at = 0;

    for (size_t i = 0; i < n && at < outlen; i++) {
        bool space = bytes[i] == ' ' || (bytes[i] >= '\t' && bytes[i] <= '\r');

        if (!space)
            out[at++] = bytes[i];
        else if (at > 0 && out[at - 1] != ' ')
            out[at++] = ' ';
    }
    return at > 0 && out[at - 1] == ' ' ? at - 1 : at;
}

static void put_place(sx_terminal *t, const sx_place *place, const char *what)
{
    char path[PATH_BYTES], line[LINE_BYTES];
    uint8_t folded[2048];
    size_t n = fold(folded, sizeof folded, place->line, place->n_line);

    sx_display_name(path, sizeof path, place->path);
    fprintf(t->file, "%s%s:%u%s %s\n", sx_style_code(t, SX_ACCENT), path, place->start_line,
            sx_style_code(t, SX_PLAIN), what);
    fprintf(t->file, "    %s\n",
            sx_text_line(line, sizeof line, folded, n, t->width > 0 ? t->width - 4 : 0));
}

void sx_output_definition(sx_terminal *terminal, const sx_place *place)
{
    char name[512], scope[512], what[1200];

    sx_display_name(name, sizeof name, place->name);
    sx_display_name(scope, sizeof scope, place->scope);
    snprintf(what, sizeof what, "%s %s%s%s", place->kind, scope, *scope != '\0' ? "." : "", name);
    put_place(terminal, place, what);
}

void sx_output_reference(sx_terminal *terminal, const sx_place *place)
{
    char scope[512], what[600];

    sx_display_name(scope, sizeof scope, place->scope);
    snprintf(what, sizeof what, "%s%s", *scope != '\0' ? "in " : "", scope);
    put_place(terminal, place, what);
}

/* ---- status and index ----------------------------------------------------------------------- */

static void put_label(const sx_terminal *t, const char *label)
{
    put_style(t, SX_BOLD);
    put_padded(t, label, 13);
    put_style(t, SX_PLAIN);
}

/* "123: 100 source, 23 test" */
static void put_parts(const sx_terminal *t, uint64_t total, const uint64_t *counts, int n,
                      const char *(*name)(int))
{
    char count[32];
    const char *separator = ": ";

    fputs(sx_text_count(count, sizeof count, total), t->file);
    for (int i = 0; i < n; i++) {
        if (counts[i] == 0)
            continue;
        fprintf(t->file, "%s%s %s", separator, sx_text_count(count, sizeof count, counts[i]),
                name(i));
        separator = ", ";
    }
    putc('\n', t->file);
}

static const char *class_name(int i)
{
    return sx_file_class_name((sx_file_class)i);
}

static const char *skip_name(int i)
{
    return sx_skip_name((sx_skip)i);
}

void sx_output_overview(sx_terminal *t, const sx_overview *o)
{
    const sx_commit *c = o->commit;
    const sx_index_status *s = o->status;
    char a[32], b[32], d[32], e[32], path[PATH_BYTES];

    put_label(t, "Repository");
    fprintf(t->file, "%s\n", sx_display_name(path, sizeof path, o->repository));
    put_label(t, "Commit");
    fprintf(t->file, "%s%s\n", c->hex,
            s == NULL     ? ", not indexed yet: run `sparsex index`"
            : c->damaged  ? ", some of it could not be read"
            : c->complete ? ""
                          : ", not complete");
    if (s != NULL) {
        put_label(t, "Files");
        put_parts(t, c->files, s->files, SX_CLASS_COUNT, class_name);
        put_label(t, "Skipped");
        put_parts(t, c->skipped, s->skipped, SX_SKIP_COUNT, skip_name);
        put_label(t, "Text");
        fprintf(t->file, "%s, %s tokens in %s segments, %s blocks\n",
                sx_text_bytes(a, sizeof a, c->bytes), sx_text_count(b, sizeof b, c->tokens),
                sx_text_count(d, sizeof d, c->segments), sx_text_count(e, sizeof e, c->blocks));
        put_label(t, "Names");
        fprintf(t->file, "%s definitions, %s references\n",
                sx_text_count(a, sizeof a, c->definitions),
                sx_text_count(b, sizeof b, c->references));
        put_label(t, "Read");
        fprintf(t->file, "%.0f %%, keys and values kept for %.0f %%\n",
                c->tokens > 0 ? 100.0 * (double)s->encoded_tokens / (double)c->tokens : 100.0,
                c->tokens > 0 ? 100.0 * (double)s->kv_tokens / (double)c->tokens : 100.0);
        put_label(t, "On disk");
        fprintf(t->file, "%s catalogue, %s landmarks, keys and values (%s commit%s)\n",
                sx_text_bytes(a, sizeof a, s->catalog_bytes),
                sx_text_bytes(b, sizeof b, s->slab_bytes), sx_text_count(d, sizeof d, s->commits),
                s->commits == 1 ? "" : "s");
    }
    put_label(t, "Kept in");
    fprintf(t->file, "%s\n", sx_display_name(path, sizeof path, o->directory));
    put_label(t, "Model");
    fprintf(t->file, "%s\n", o->model->name);
    put_label(t, "Device");
    fprintf(t->file, "%s\n", o->model->device);
    if (o->index_ms >= 0) {
        put_label(t, "Took");
        fprintf(t->file, "%s\n", sx_text_duration(a, sizeof a, o->index_ms));
    }
}
