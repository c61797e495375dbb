/* reply.c: a question through the engine, and the blocks it chose -> spans of the repository, each
 * checked against its blob.
 * Must not know how spans are ranked (ranking.h) or shown (output.h). */
#include "app/session_private.h"

#include "app/ranking.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    MAX_BLOCKS = 4096, /* best blocks that become spans; more only with --attention dense */
    MIN_SPANS = 8      /* spans checked in any case: a quotation may come from any of them */
};

struct sx_reply_blob {
    int64_t id;
    uint8_t *bytes;
    size_t n;
};

typedef struct asking {
    sx_session *session;
    const sx_request *question;
    sx_reply *reply;
    sx_failure *failure;
    int rc; /* of the event callback */
    sx_rank_find finds[SX_FINDS];
    size_t n_finds;
} asking;

static void clear_spans(sx_reply *reply)
{
    for (size_t i = 0; i < reply->n_spans; i++) {
        free(reply->spans[i].name);
        free(reply->spans[i].kind);
        free(reply->spans[i].scope);
    }
    free(reply->spans);
    reply->spans = NULL;
    reply->n_spans = 0;
}

void sx_reply_clear(sx_reply *reply)
{
    clear_spans(reply);
    for (size_t i = 0; i < reply->n_blobs; i++)
        free(reply->blobs[i].bytes);
    free(reply->blobs);
    free(reply->files);
    free(reply->text);
    memset(reply, 0, sizeof *reply);
}

/* ---- from a ranked span to a checked one ---------------------------------------------------- */

/* The blob's bytes, read once a reply. NULL: it cannot be read (any more). */
static const struct sx_reply_blob *reply_blob(sx_reply *reply, sx_session *s, int64_t id)
{
    struct sx_reply_blob *blobs, *blob;

    for (size_t i = 0; i < reply->n_blobs; i++)
        if (reply->blobs[i].id == id)
            return &reply->blobs[i];
    blobs = reallocarray(reply->blobs, reply->n_blobs + 1, sizeof *blobs);
    if (blobs == NULL)
        return NULL;
    reply->blobs = blobs;
    blob = &blobs[reply->n_blobs];
    *blob = (struct sx_reply_blob){.id = id};
    if (sx_blob_read(s->index, id, &blob->bytes, &blob->n, NULL, 0) < 0)
        return NULL;
    reply->n_blobs++;
    return blob;
}

static uint32_t line_of(const uint8_t *bytes, size_t at)
{
    uint32_t line = 1;

    for (const uint8_t *p = bytes, *end = bytes + at;
         p < end && (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++)
        line++;
    return line;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Fills *span if what the catalogue says still stands in the blob: offsets inside it, the name
 * where it should be, lines counted from the bytes. */
static bool check_span(sx_span *span, const sx_rank_span *ranked, const sx_detail *d,
                       const struct sx_reply_blob *blob)
{
    uint32_t start = ranked->start_byte, end = ranked->end_byte;

    if (end > blob->n || start >= end)
        return false;
    span->source = (sx_quote_source){.bytes = blob->bytes, .n = blob->n};
    if (d != NULL) {
        size_t length = strlen(d->rank.name);

        if (d->name_end > blob->n || d->name_start > d->name_end ||
            d->name_end - d->name_start != length ||
            memcmp(blob->bytes + d->name_start, d->rank.name, length) != 0)
            return false;
        if (d->doc_start < d->doc_end && d->doc_end <= blob->n) {
            span->source.doc_start = d->doc_start;
            span->source.doc_end = d->doc_end;
        }
    } else {
        while (start < end && is_blank(blob->bytes[start]))
            start++;
        while (end > start && is_blank(blob->bytes[end - 1]))
            end--;
        if (start == end)
            return false;
    }
    span->start_byte = span->source.start = start;
    span->end_byte = span->source.end = end;
    span->source.signature_end = d != NULL && d->signature_end > start && d->signature_end <= end
                                     ? d->signature_end
                                     : start;
    span->start_line = line_of(blob->bytes, start);
    span->end_line = span->start_line + line_of(blob->bytes + start, end - 1 - start) - 1;
    span->name = strdup(d != NULL ? d->rank.name : "");
    span->kind = strdup(d != NULL ? d->kind : "text");
    span->scope = strdup(d != NULL ? d->scope : "");
    return true;
}

static int by_mass(const void *pa, const void *pb)
{
    const sx_file_mass *a = pa, *b = pb;

    if (a->mass != b->mass)
        return a->mass > b->mass ? -1 : 1;
    return strcmp(a->path, b->path);
}

/* The files' shares, over every block; `blocks` are sorted by nothing. */
static int sum_files(sx_reply *reply, sx_session *s, const sx_rank_block *blocks, size_t n)
{
    double *mass = calloc(s->n_files + 1, sizeof *mass);
    size_t n_files = 0;

    if (mass == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        mass[blocks[i].file] += blocks[i].mass;
    for (size_t i = 0; i < s->n_files; i++)
        n_files += mass[i] > 0;
    free(reply->files);
    reply->n_files = 0;
    reply->files = calloc(n_files + 1, sizeof *reply->files);
    if (reply->files != NULL)
        for (size_t i = 0; i < s->n_files; i++)
            if (mass[i] > 0)
                reply->files[reply->n_files++] = (sx_file_mass){s->files[i].path, mass[i]};
    free(mass);
    if (reply->files == NULL)
        return -ENOMEM;
    qsort(reply->files, reply->n_files, sizeof *reply->files, by_mass);
    return 0;
}

/* Ranked spans -> reply->spans. A file whose blob cannot be read any more, or says something else
 * than the catalogue, is left out. */
static int keep_spans(sx_reply *reply, sx_session *s, const sx_rank_span *ranked, size_t n,
                      const sx_details *d, uint32_t want)
{
    reply->spans = calloc((size_t)want + 1, sizeof *reply->spans);
    if (reply->spans == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n && reply->n_spans < want; i++) {
        sx_span *span = &reply->spans[reply->n_spans];
        const sx_context_file *file = &s->files[ranked[i].file];
        const struct sx_reply_blob *blob = reply_blob(reply, s, file->blob_id);

        if (blob == NULL ||
            !check_span(span, &ranked[i],
                        ranked[i].definition >= 0 ? &d->rows[ranked[i].definition] : NULL, blob))
            continue;
        span->path = file->path;
        span->file = ranked[i].file;
        span->rank = ranked[i].rank;
        span->mass = ranked[i].mass;
        span->words = ranked[i].words;
        span->named = ranked[i].named == SX_NAMED_OUTRIGHT;
        reply->n_spans++;
        if (span->name == NULL || span->kind == NULL || span->scope == NULL)
            return -ENOMEM;
    }
    return 0;
}

/* But for blocks and definitions. */
static sx_rank_input rank_input(const asking *a)
{
    bool alone = a->question->landmarks_alone;

    return (sx_rank_input){.finds = a->finds,
                           .n_finds = a->n_finds,
                           .lexical_weight = alone ? 0 : a->session->info->lexical_weight,
                           .question = alone ? "" : a->question->text};
}

static int rank_reply(asking *a, const sx_block_weight *weights, size_t n_weights, float margin)
{
    sx_reply *reply = a->reply;
    sx_session *s = a->session;
    const sx_request *question = a->question;
    sx_failure *failure = a->failure;
    size_t n = n_weights < MAX_BLOCKS ? n_weights : MAX_BLOCKS, n_spans;
    uint32_t want = question->top > MIN_SPANS ? question->top : MIN_SPANS;
    sx_rank_block *blocks = calloc(n_weights + 1, sizeof *blocks);
    sx_rank_span *ranked = calloc(n + 1, sizeof *ranked);
    uint32_t *files = calloc(n + 1, sizeof *files);
    sx_rank_input in = rank_input(a);
    sx_details d = {0};
    int rc = -ENOMEM;

    clear_spans(reply);
    if (blocks == NULL || ranked == NULL || files == NULL)
        goto out;
    for (size_t i = 0; i < n_weights; i++) {
        uint32_t piece_index, block;
        const sx_context_piece *piece;

        sx_context_locate(s->context, weights[i].block, &piece_index, &block);
        piece = &s->pieces[piece_index];
        blocks[i] = sx_session_rank_block(s, piece, block);
        blocks[i].rank = expf(weights[i].rank);
        blocks[i].mass = weights[i].mass;
        blocks[i].aside = blocks[i].aside && !question->landmarks_alone;
        if (i < n)
            files[i] = piece->file;
    }
    if ((rc = sum_files(reply, s, blocks, n_weights)) < 0 ||
        (rc = sx_session_details(&d, s, files, n, failure)) < 0)
        goto out;
    in.blocks = blocks;
    in.n_blocks = n;
    in.definitions = d.ranked;
    in.n_definitions = d.n;
    n_spans = sx_rank_spans(ranked, &in);
    reply->found = sx_rank_found(margin, ranked, n_spans);
    rc = keep_spans(reply, s, ranked, n_spans, &d, want);
out:
    if (rc == -ENOMEM)
        sx_failed_with(failure, SX_DOMAIN_MODEL, rc);
    sx_details_clear(&d);
    free(files);
    free(ranked);
    free(blocks);
    return rc;
}

/* ---- asking --------------------------------------------------------------------------------- */

static void find_quote(sx_reply *reply, bool finished)
{
    sx_quote_source sources[MIN_SPANS];
    size_t n = reply->n_spans < MIN_SPANS ? reply->n_spans : MIN_SPANS;

    for (size_t i = 0; i < n; i++)
        sources[i] = reply->spans[i].source;
    reply->quote = sx_quote_find(reply->text != NULL ? reply->text : "", reply->n_text, finished,
                                 sources, n);
}

static int add_text(sx_reply *reply, const char *text, size_t n)
{
    char *longer = realloc(reply->text, reply->n_text + n + 1);

    if (longer == NULL)
        return -ENOMEM;
    memcpy(longer + reply->n_text, text, n);
    reply->text = longer;
    reply->n_text += n;
    longer[reply->n_text] = '\0';
    return 0;
}

static int take_event(asking *a, const sx_event *event)
{
    sx_reply *reply = a->reply;
    int rc;

    if (event->kind == SX_EVENT_READ) {
        rc = rank_reply(a, event->blocks, event->n_blocks, event->margin);
        reply->source = event->source;
        if (rc == 0 && a->question->on_read != NULL)
            a->question->on_read(reply, a->question->user);
        return rc;
    }
    if (event->kind == SX_EVENT_TEXT) {
        if ((rc = add_text(reply, event->text, event->n_text)) < 0)
            return sx_failed_with(a->failure, SX_DOMAIN_MODEL, rc);
        reply->n_tokens++;
        find_quote(reply, false);
        if (a->question->on_text != NULL)
            a->question->on_text(reply, a->question->user);
    }
    return 0;
}

static int on_event(const sx_event *event, void *user)
{
    asking *a = user;

    if (sx_session_stopped(a->session))
        return 1;
    pthread_mutex_lock(&a->session->index_lock);
    a->rc = take_event(a, event);
    pthread_mutex_unlock(&a->session->index_lock);
    return a->rc < 0;
}

/* The answer quotes the span that came first when <a> had read: words and names put it there too.
 */
static size_t first_place(uint32_t *blocks, void *user)
{
    const asking *a = user;
    const sx_session *s = a->session;
    const sx_span *first = a->reply->spans;

    if (!a->reply->found || a->reply->n_spans == 0)
        return 0;
    return sx_session_blocks(s, &s->files[first->file], first->start_byte, first->end_byte, blocks,
                             SX_PLACE_MOST);
}

static int read_passages(sx_passage *out, const uint32_t *blocks, size_t n, void *user)
{
    asking *a = user;
    sx_rank_input in = rank_input(a);

    pthread_mutex_lock(&a->session->index_lock);
    a->rc = sx_session_passages(a->session, out, blocks, n,
                                a->question->landmarks_alone ? NULL : &in, a->failure);
    pthread_mutex_unlock(&a->session->index_lock);
    return a->rc < 0;
}

int sx_session_ask(sx_session *s, const sx_request *question, sx_reply *reply, sx_failure *failure)
{
    asking a = {.session = s, .question = question, .reply = reply, .failure = failure};
    sx_ask_options options = {
        .attention = question->attention, .place = first_place, .passages = read_passages};
    uint32_t joined[SX_FINDS * SX_FIND_BLOCKS];
    sx_answer answer = {0};
    char *text;
    int rc;

    memset(reply, 0, sizeof *reply);
    reply->tokens = sx_context_tokens(s->context);
    reply->blocks = sx_context_blocks(s->context);
    reply->read = s->commit.tokens > 0 ? (double)reply->tokens / (double)s->commit.tokens : 1.0;
    reply->timing = (sx_timing){.index = s->index_ms, .load = s->load_ms};
    options.joined = joined;
    if (!question->landmarks_alone &&
        (rc = sx_session_propose(s, question->text, a.finds, &a.n_finds, joined,
                                 &options.n_joined)) < 0)
        return sx_failed_with(failure, SX_DOMAIN_MODEL, rc);
    rc = sx_ask(s->context, question->text, &options, on_event, &a, &answer, failure->text,
                sizeof failure->text);
    if (a.rc < 0) {
        rc = a.rc;
        goto out;
    }
    if (rc < 0) {
        sx_failed_with(failure, SX_DOMAIN_MODEL, rc);
        goto out;
    }
    if ((text = strdup(answer.text != NULL ? answer.text : "")) == NULL) {
        rc = sx_failed_with(failure, SX_DOMAIN_MODEL, -ENOMEM);
        goto out;
    }
    free(reply->text);
    reply->text = text;
    reply->n_text = strlen(text);
    reply->n_tokens = answer.n_tokens;
    reply->timing.prefill = answer.prefill_ms;
    reply->timing.decode = answer.decode_ms;
    if ((rc = rank_reply(&a, answer.blocks, answer.n_blocks, answer.margin)) < 0)
        goto out;
    find_quote(reply, true);
out:
    sx_answer_clear(&answer);
    return rc;
}

char *sx_reply_answer(const sx_reply *reply)
{
    const char *text = reply->text != NULL ? reply->text : "";
    size_t n = strlen(text);

    if (reply->source && reply->found && reply->quote.kind == SX_QUOTE_NONE && reply->n_spans > 0) {
        const sx_quote_source *source = &reply->spans[0].source;
        uint32_t start, end;

        sx_quote_head(source, &start, &end);
        return strndup((const char *)source->bytes + start, end - start);
    }
    if (reply->quote.kind == SX_QUOTE_LINES) {
        const sx_quote_source *source = &reply->spans[reply->quote.source].source;

        return strndup((const char *)source->bytes + reply->quote.start,
                       reply->quote.end - reply->quote.start);
    }
    while (n > 0 && is_blank((uint8_t)*text)) {
        text++;
        n--;
    }
    while (n > 0 && is_blank((uint8_t)text[n - 1]))
        n--;
    return strndup(text, n);
}
