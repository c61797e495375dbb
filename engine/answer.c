/* answer.c: a question -> streamed answer, and for every block how it ranked and what attention it
 * got. */
#include "engine/attention.h"
#include "engine/order.h"
#include "engine/said.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <utf8proc.h>

#define MAX_TOKENS   72
#define MAX_QUESTION 8192 /* tokens of question and answer together */
/* A list that repeats an item takes the model's second choice where it is at most so much (in
 * logits) less likely than the first, or is over. */
#define FORK_GAP  9.0f
#define MOST_WAYS 8  /* second choices in one answer */
#define PEEK      12 /* tokens within which source shows that it is no value, list or sentence */
#define PEEK_NAME 32 /* to the end of a name that is cut there: it may be a function's */

typedef struct asking {
    sx_context *context;
    sx_event_fn event;
    void *user;
    float *rank, *mass, *token_mass; /* [n_blocks]; token_mass: of the running token */
    uint32_t *touched;               /* blocks with rank or mass, in order of first choice */
    bool *is_touched;
    size_t n_touched;
    sx_block_weight *weights; /* [n_touched] for events */
    uint32_t steps;           /* tokens whose mass was added */
    float margin;             /* sx_answer's */
    bool source;              /* sx_event's */
    char *text;
    size_t n_text, shown, cap_text;
} asking;

void sx_answer_clear(sx_answer *answer)
{
    free(answer->text);
    free(answer->blocks);
    *answer = (sx_answer){0};
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static int by_rank(const void *a, const void *b)
{
    const sx_block_weight *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank > y->rank ? -1 : 1;
    if (x->mass != y->mass)
        return x->mass > y->mass ? -1 : 1;
    return x->block < y->block ? -1 : x->block > y->block;
}

/* Log-softmax of the scores of what <a> saw and ordered. */
static void rank_blocks(asking *a, const sx_question *question)
{
    size_t n;
    const sx_scored_block *order = sx_question_order(question, &n);
    float most = n ? order[0].score : 0.0f, sum = 0.0f;

    for (size_t i = 0; i < n; i++)
        if (a->is_touched[order[i].block])
            sum += expf(order[i].score - most);
    for (size_t i = 0; i < n; i++)
        if (a->is_touched[order[i].block])
            a->rank[order[i].block] = order[i].score - most - logf(sum);
}

/* Adds what the last token chose. */
static void add_step(asking *a, const sx_question *question)
{
    int n_global = (int)a->context->engine->transformer->config.n_global;

    for (size_t i = 0; i < a->n_touched; i++)
        a->token_mass[a->touched[i]] = 0.0f;
    for (int g = 0; g < n_global; g++) {
        const sx_selection *s = sx_question_selection(question, g);
        for (int j = 0; j < s->n; j++) {
            uint32_t b = (uint32_t)s->block[j];
            if (!a->is_touched[b]) {
                a->is_touched[b] = true;
                a->touched[a->n_touched++] = b;
                a->rank[b] = -INFINITY;
            }
            a->token_mass[b] += s->mass[j] / (float)n_global;
        }
    }
    for (size_t i = 0; i < a->n_touched; i++)
        a->mass[a->touched[i]] += a->token_mass[a->touched[i]];
    a->steps++;
}

static int emit(asking *a, sx_event_kind kind, const float *mass, const char *text, size_t n_text)
{
    size_t n = 0;
    if (!a->event)
        return 0;
    for (size_t i = 0; i < a->n_touched; i++) {
        uint32_t b = a->touched[i];
        if (kind == SX_EVENT_READ || mass[b] > 0.0f)
            a->weights[n++] = (sx_block_weight){b, a->rank[b], mass[b]};
    }
    qsort(a->weights, n, sizeof *a->weights, by_rank);
    sx_event event = {.margin = a->margin,
                      .source = a->source,
                      .kind = kind,
                      .blocks = a->weights,
                      .n_blocks = n,
                      .text = text,
                      .n_text = n_text};
    return a->event(&event, a->user) ? -ECANCELED : 0;
}

/* Appends bytes of the answer and shows the whole characters there are; at the end also what is
 * left. Bytes that are no UTF-8 become U+FFFD. */
static int add_text(asking *a, const uint8_t *bytes, size_t n, bool end)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    size_t cap = a->n_text + 3 * n + 16;
    if (cap > a->cap_text) {
        char *p = realloc(a->text, cap * 2);
        if (!p)
            return -ENOMEM;
        a->text = p;
        a->cap_text = cap * 2;
    }
    if (n)
        memcpy(a->text + a->n_text, bytes, n);
    a->n_text += n;
    a->text[a->n_text] = 0;

    size_t at = a->shown; /* everything before is valid */
    while (at < a->n_text) {
        int32_t code;
        uint8_t lead = (uint8_t)a->text[at];
        size_t length = lead < 0x80    ? 1
                        : lead >= 0xF0 ? 4
                        : lead >= 0xE0 ? 3
                        : lead >= 0xC0 ? 2
                                       : 1;
        utf8proc_ssize_t ok = utf8proc_iterate((const uint8_t *)a->text + at,
                                               (utf8proc_ssize_t)(a->n_text - at), &code);
        if (ok > 0 && lead) {
            at += (size_t)ok;
            continue;
        }
        if (!end && length > a->n_text - at)
            break;
        if (a->n_text + 3 > a->cap_text) {
            char *p = realloc(a->text, a->cap_text * 2 + 16);
            if (!p)
                return -ENOMEM;
            a->text = p;
            a->cap_text = a->cap_text * 2 + 16;
        }
        memmove(a->text + at + 3, a->text + at + 1, a->n_text - at); /* with the NUL */
        memcpy(a->text + at, replacement, 3);
        a->n_text += 2;
        at += 3;
    }
    size_t from = a->shown;
    a->shown = at;
    return at > from ? emit(a, SX_EVENT_TEXT, a->token_mass, a->text + from, at - from) : 0;
}

static uint32_t argmax(const float *x, uint32_t n)
{
    uint32_t best = 0;
    for (uint32_t i = 1; i < n; i++)
        if (x[i] > x[best])
            best = i;
    return best;
}

/* Of a token of an answer: what would have come instead, and how much less likely (logits). */
typedef struct second {
    uint32_t token;
    float gap;
} second;

static uint32_t best_two(const float *logits, uint32_t n, second *other)
{
    uint32_t best = argmax(logits, n), next = best == 0 ? 1 : 0;

    for (uint32_t i = next + 1; i < n; i++)
        if (i != best && logits[i] > logits[next])
            next = i;
    *other = (second){next, logits[best] - logits[next]};
    return best;
}

static sx_said_kind kind_of(const sx_engine *engine, uint32_t token)
{
    size_t n;
    const uint8_t *bytes = sx_tokenizer_bytes(engine->tokenizer, token, &n);

    return sx_said_kind_of(bytes, n);
}

/* The running item was said before: goes back to where the model was least sure of it, and on with
 * its second choice there, which is at most `most` less likely; else <eos>: the list is over. */
static uint32_t other_way(sx_said *said, second *others, float most, uint32_t eos)
{
    size_t at = said->item;
    uint32_t token;

    for (size_t i = at; i < said->n; i++)
        if (others[i].gap < others[at].gap)
            at = i;
    token = others[at].gap > most ? eos : others[at].token;
    others[at].gap = INFINITY; /* once */
    said->n = token == eos ? said->item - 1 : at;
    return token;
}

/* Greedy decoding: a token costs one row. */
static int decode(asking *a, sx_question *timeline, uint32_t max_tokens, sx_answer *out, char *err,
                  size_t errlen)
{
    const sx_engine *engine = a->context->engine;
    const sx_config *c = &engine->transformer->config;
    second *others = malloc(sizeof *others * (max_tokens + 1u));
    sx_said said = {.token = malloc(sizeof *said.token * (max_tokens + 1u))};
    size_t shown = 0;
    bool end = false;
    int rc = others && said.token ? 0 : -ENOMEM, ways = 0;

    while (rc >= 0 && !end) {
        second other;
        uint32_t token = best_two(sx_question_logits(timeline), c->vocab_size, &other);
        size_t pushed = said.n;

        if ((token == c->token_eos || kind_of(engine, token) == SX_SAID_COMMA) &&
            sx_said_again(&said)) {
            token = other_way(&said, others, ways++ < MOST_WAYS ? FORK_GAP : -1.0f, c->token_eos);
            other = others[said.n];
            sx_question_take_back(timeline, (int)(pushed - said.n));
        }
        end = token == c->token_eos;
        if (!end) {
            others[said.n] = other;
            sx_said_add(&said, token, kind_of(engine, token));
            end = said.n == max_tokens;
        }
        for (size_t n_bytes; rc >= 0 && shown < (end ? said.n : sx_said_sure(&said)); shown++) {
            const uint8_t *bytes = sx_tokenizer_bytes(engine->tokenizer, said.token[shown],
                                                      &n_bytes);

            rc = add_text(a, bytes, n_bytes, false);
        }
        if (rc < 0 || end ||
            (rc = sx_question_push(timeline, &token, 1, a->event, a->user, err, errlen)) < 0)
            break;
        add_step(a, timeline);
        sx_question_hold(timeline, SX_HELD_BEST);
    }
    out->n_tokens = (uint32_t)said.n;
    free(others);
    free(said.token);
    return rc < 0 ? rc : add_text(a, NULL, 0, true);
}

typedef enum beginning { SAYS, QUOTES_SOURCE, SAYS_ABSENT } beginning;

/* Do these bytes hold what source has and values, lists of names and sentences have not, at least
 * not where they begin? */
static bool is_source(const uint8_t *bytes, size_t n)
{
    static const char marks[] = "(){}[]<>=;:\"'#@*&\t\n";

    for (size_t i = 0; i < n; i++)
        if (memchr(marks, bytes[i], sizeof marks - 1) != NULL)
            return true;
    return false;
}

/* Does a token with these bytes go on with the word that the one before ended in? */
static bool goes_on(const uint8_t *bytes, size_t n)
{
    return n > 0 && (isalnum(bytes[0]) || bytes[0] == '_' || bytes[0] >= 0x80);
}

/* How the answer would begin: it is begun, and taken back. */
static int peek(asking *a, sx_question *timeline, uint32_t max_tokens, beginning *out, char *err,
                size_t errlen)
{
    static const char absent[] = " Not found in this repository."; /* data/training/questions.py */
    const sx_engine *engine = a->context->engine;
    const sx_config *c = &engine->transformer->config;
    char text[sizeof absent];
    size_t length = 0;
    uint32_t token, n = 0;
    int rc;

    for (*out = SAYS; n < PEEK_NAME && n < max_tokens; n++) {
        size_t n_bytes;
        const uint8_t *bytes;

        token = argmax(sx_question_logits(timeline), c->vocab_size);
        if (token == c->token_eos)
            break;
        bytes = sx_tokenizer_bytes(engine->tokenizer, token, &n_bytes);
        if (is_source(bytes, n_bytes)) {
            *out = QUOTES_SOURCE;
            break;
        }
        if (n >= PEEK && !goes_on(bytes, n_bytes))
            break;
        if (n_bytes < sizeof text - length)
            memcpy(text + length, bytes, n_bytes);
        length += n_bytes < sizeof text - length ? n_bytes : sizeof text - length;
        if ((rc = sx_question_push(timeline, &token, 1, a->event, a->user, err, errlen)) < 0)
            return rc;
    }
    if (*out == SAYS && length == sizeof absent - 1 && memcmp(text, absent, length) == 0)
        *out = SAYS_ABSENT;
    token = c->token_answer;
    sx_question_take_back(timeline, (int)n + 1);
    return sx_question_push(timeline, &token, 1, a->event, a->user, err, errlen);
}

/* An answer that quotes source quotes one place. Which one, the caller knows better, by all that
 * orders places, than the tokens that are copied, each of which finds its way by landmarks alone:
 * on repositories that nothing was trained on one answer in three quoted the right place, and one
 * in two does where <a> looks once more, at the first place alone. */
static int choose_place(asking *a, sx_question *timeline, const sx_ask_options *options, char *err,
                        size_t errlen)
{
    uint32_t blocks[SX_PLACE_MOST];
    size_t n = options->place ? options->place(blocks, a->user) : 0;
    int rc;

    if (n == 0)
        return 0;
    rc = sx_question_read_only(timeline, blocks, n,
                               a->context->engine->transformer->config.token_answer, a->event,
                               a->user, err, errlen);
    if (rc >= 0)
        add_step(a, timeline);
    return rc;
}

static int finish(asking *a, sx_answer *out)
{
    out->blocks = malloc(sizeof *out->blocks * (a->n_touched + 1));
    if (!out->blocks)
        return -ENOMEM;
    for (size_t i = 0; i < a->n_touched; i++) {
        uint32_t b = a->touched[i];
        out->blocks[i] = (sx_block_weight){b, a->rank[b],
                                           a->mass[b] / (float)(a->steps ? a->steps : 1)};
    }
    out->n_blocks = a->n_touched;
    qsort(out->blocks, out->n_blocks, sizeof *out->blocks, by_rank);
    out->text = a->text;
    a->text = NULL;
    return 0;
}

int sx_ask(sx_context *context, const char *question, const sx_ask_options *options,
           sx_event_fn event, void *user, sx_answer *out, char *err, size_t errlen)
{
    const sx_engine *engine = context->engine;
    sx_ask_options plain = {0};
    asking a = {.context = context, .event = event, .user = user};
    sx_question *timeline = NULL;
    uint32_t *prompt = NULL, n_blocks = context->n_blocks, max_tokens;
    size_t n, length = strlen(question);
    beginning begins = SAYS;
    double start = now_ms();
    int rc = -ENOMEM;

    *out = (sx_answer){0};
    if (!options)
        options = &plain;
    max_tokens = options->max_tokens ? options->max_tokens : MAX_TOKENS;
    if (!engine->transformer) {
        snprintf(err, err ? errlen : 0,
                 "E-BUG: a question asked of an engine opened without weights");
        return -ENOTRECOVERABLE;
    }
    const sx_config *c = &engine->transformer->config;
    if (!(prompt = malloc(sizeof *prompt * (length + 2))) ||
        !(a.rank = calloc(n_blocks + 1u, sizeof *a.rank)) ||
        !(a.mass = calloc(n_blocks + 1u, sizeof *a.mass)) ||
        !(a.token_mass = calloc(n_blocks + 1u, sizeof *a.token_mass)) ||
        !(a.touched = calloc(n_blocks + 1u, sizeof *a.touched)) ||
        !(a.is_touched = calloc(n_blocks + 1u, sizeof *a.is_touched)) ||
        !(a.weights = calloc(n_blocks + 1u, sizeof *a.weights)))
        goto out;
    n = sx_tokenizer_encode(engine->tokenizer, (const uint8_t *)question, length, prompt + 1, NULL);
    if (n == SIZE_MAX)
        goto out;
    if (max_tokens > MAX_QUESTION || n + 2 + max_tokens > MAX_QUESTION) {
        rc = -EINVAL;
        snprintf(err, err ? errlen : 0,
                 "E-QUESTION: the question has %zu tokens, at most %d fit; nothing was asked; "
                 "shorten it",
                 n, MAX_QUESTION - 2 - MAX_TOKENS);
        goto out;
    }
    prompt[0] = c->token_question;
    prompt[n + 1] = c->token_answer;

    /* the question, up to <a>: which blocks it reads */
    if ((rc = sx_question_new(&timeline, context, (int)(n + 2 + max_tokens), options, err,
                              errlen)) < 0 ||
        (rc = sx_question_push(timeline, prompt, (int)n + 2, event, user, err, errlen)) < 0)
        goto out;
    a.margin = sx_question_margin(timeline);
    if ((rc = sx_question_look_again(timeline, c->token_answer, event, user, err, errlen)) < 0 ||
        (options->attention == SX_ATTENTION_SPARSE &&
         (rc = peek(&a, timeline, max_tokens, &begins, err, errlen)) < 0))
        goto out;
    a.margin += sx_question_read_margin(timeline);
    if (begins == SAYS_ABSENT)
        a.margin = -INFINITY;
    out->margin = a.margin;
    a.source = begins == QUOTES_SOURCE;
    add_step(&a, timeline);
    rank_blocks(&a, timeline);
    out->prefill_ms = now_ms() - start;
    start = now_ms();
    if ((rc = emit(&a, SX_EVENT_READ, a.token_mass, NULL, 0)) < 0)
        goto out;
    sx_question_hold(timeline, 0);

    if ((a.source && (rc = choose_place(&a, timeline, options, err, errlen)) < 0) ||
        (rc = decode(&a, timeline, max_tokens, out, err, errlen)) < 0)
        goto out;
    out->decode_ms = now_ms() - start;
    rc = finish(&a, out);
out:
    if (rc == -ENOMEM && err && errlen)
        snprintf(
            err, errlen,
            "E-MEMORY: not enough memory for the question; the index is kept; free memory or ask a "
            "shorter one");
    else if (rc == -ECANCELED && err && errlen)
        snprintf(err, errlen, "E-CANCELLED: the answer was stopped; the index is kept; ask again");
    sx_question_free(timeline);
    free(prompt);
    free(a.rank);
    free(a.mass);
    free(a.token_mass);
    free(a.touched);
    free(a.is_touched);
    free(a.weights);
    free(a.text);
    if (rc < 0)
        sx_answer_clear(out);
    return rc;
}
