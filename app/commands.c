/* commands.c: index, ask, status, forget: options -> session -> output.
 * Must not know how answers are found or laid out. */
#include "app/commands.h"
#include "app/ranking.h"
#include "app/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LOCK_WAIT_MS = 5000 };

/* ---- what could not be read ----------------------------------------------------------------- */

typedef struct damage {
    sx_skip skip;
    uint64_t n;
    char path[256]; /* the first one, display-safe */
} damage;

static int count_damage(const char *path, sx_skip skip, uint64_t size, void *user)
{
    damage *d = user;

    if (skip != SX_SKIP_MISSING && skip != SX_SKIP_CORRUPT && skip != SX_SKIP_TREE_DEEP &&
        skip != SX_SKIP_TREE_HUGE)
        return 0;
    if (d->n++ == 0) {
        d->skip = skip;
        sx_display_name(d->path, sizeof d->path, path);
    }
    return 0;
}

void sx_cli_note_damage(sx_cli *cli, sx_session *session)
{
    static const struct {
        const char *name, *what;
    } kinds[SX_SKIP_COUNT] = {
        [SX_SKIP_MISSING] = {"E-OBJECT-MISSING", "not in the object database"},
        [SX_SKIP_CORRUPT] = {"E-OBJECT-BAD", "damaged in the object database"},
        [SX_SKIP_TREE_DEEP] = {"E-TREE-DEEP", "left out, the tree is deeper than any that is read"},
        [SX_SKIP_TREE_HUGE] = {"E-TREE-HUGE", "left out, the tree has more paths than are read"},
    };
    damage d = {.skip = SX_SKIP_CORRUPT, .path = "unknown"};

    if (!sx_session_commit(session)->damaged)
        return;
    cli->exit_code = SX_EXIT_SKIPPED;
    sx_index_skipped(sx_session_index(session), sx_session_commit(session), count_damage, &d, NULL,
                     0);
    fprintf(stderr, "sparsex: %s: %s, %s", kinds[d.skip].name, kinds[d.skip].what, d.path);
    if (d.n > 1)
        fprintf(stderr, " and %llu more", (unsigned long long)(d.n - 1));
    fputs("; the rest is indexed; see `sparsex status`\n", stderr);
}

/* ---- index, status, forget ------------------------------------------------------------------ */

static int put_json(sx_cli *cli, bool ok)
{
    if (ok)
        return 0;
    return sx_failed_saying(
        &cli->failure, SX_DOMAIN_PROGRAM, -ENOMEM,
        "E-MEMORY: the result could not be written as JSON; what was read is kept; try again");
}

static int show_overview(sx_cli *cli, sx_session *session, bool indexed, double index_ms)
{
    sx_index_status status;
    sx_overview overview = {.repository = sx_index_repository(sx_session_index(session)),
                            .directory = sx_index_directory(sx_session_index(session)),
                            .commit = sx_session_commit(session),
                            .model = sx_session_model(session),
                            .status = indexed ? &status : NULL,
                            .index_ms = index_ms};
    int rc = indexed ? sx_session_status(session, &status, &cli->failure) : 0;

    if (rc < 0)
        return rc;
    sx_progress_clear(&cli->progress);
    if (cli->options.json)
        return put_json(cli, sx_output_overview_json(stdout, &overview));
    sx_output_overview(&cli->out, &overview);
    return 0;
}

int sx_command_index(sx_cli *cli)
{
    sx_session *session = NULL;
    double started = sx_clock_ms();
    int rc;

    if ((rc = sx_cli_session(cli, true, &session)) < 0 ||
        (rc = sx_session_prepare(session, cli->options.rev, SX_DEPTH_ENCODED, LOCK_WAIT_MS,
                                 &cli->failure)) < 0 ||
        (rc = show_overview(cli, session, true, sx_clock_ms() - started)) < 0)
        goto out;
    sx_cli_note_damage(cli, session);
out:
    sx_session_close(session);
    return rc;
}

int sx_command_status(sx_cli *cli)
{
    sx_session *session = NULL;
    int rc;

    if ((rc = sx_cli_session(cli, false, &session)) < 0)
        goto out;
    rc = sx_session_find(session, cli->options.rev, &cli->failure);
    if (rc == 0 || (rc == -ENOENT && sx_session_commit(session)->hex[0] != '\0'))
        rc = show_overview(cli, session, rc == 0, -1);
out:
    sx_session_close(session);
    return rc;
}

int sx_command_forget(sx_cli *cli)
{
    sx_index_options index = {.repository = cli->options.repository,
                              .cache_root = cli->options.cache,
                              .queries_dir = cli->queries,
                              .allow_outside = cli->options.allow_outside};
    uint64_t freed = 0;
    char bytes[32], name[512];
    int rc = sx_index_forget(&index, &freed, cli->failure.text, sizeof cli->failure.text);

    sx_display_name(name, sizeof name, cli->options.repository);
    if (rc == -ENOENT) {
        if (!cli->options.quiet)
            fprintf(stderr, "nothing was kept for %s\n", name);
        return 0;
    }
    if (rc < 0)
        return sx_failed_with(&cli->failure, SX_DOMAIN_REPOSITORY, rc);
    if (!cli->options.quiet)
        printf("deleted %s kept for %s\n", sx_text_bytes(bytes, sizeof bytes, freed), name);
    return 0;
}

/* ---- ask ------------------------------------------------------------------------------------ */

static void on_read(const sx_reply *reply, void *user)
{
    sx_answer_view_read(user, reply);
}

static void on_text(const sx_reply *reply, void *user)
{
    sx_answer_view_text(user, reply);
}

/* A name that the question gives outright and no span has: where the catalogue says it is. */
static int print_unread(const sx_definition_row *row, void *user)
{
    int *n = user;
    char name[512], path[1024];

    printf("Not selected by the model, but of that name: %s %s in %s:%u\n", row->kind,
           sx_display_name(name, sizeof name, row->name),
           sx_display_name(path, sizeof path, row->path), row->start_line);
    return ++*n == 3;
}

static void print_unread_names(sx_session *session, const char *question, const sx_reply *reply)
{
    static const char word[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_";

    for (const char *at = question + strcspn(question, word); *at != '\0';) {
        size_t n = strspn(at, word);
        char *name = strndup(at, n);
        bool shown = name == NULL || sx_question_names(question, name) != SX_NAMED_OUTRIGHT;
        int printed = 0;

        for (size_t i = 0; !shown && i < reply->n_spans; i++)
            shown = strcmp(reply->spans[i].name, name) == 0;
        if (!shown) /* a catalogue that fails here has nothing to add; the answer stands */
            sx_definitions_named(sx_session_index(session), sx_session_commit(session), name,
                                 print_unread, &printed, NULL, 0);
        free(name);
        at += n;
        at += strcspn(at, word);
    }
}

static int ask_one(sx_cli *cli, sx_session *session, const char *text)
{
    sx_answer_view view = {.terminal = &cli->out, .top = cli->options.top};
    sx_request question = {
        .text = text, .top = cli->options.top, .attention = cli->options.attention, .user = &view};
    const sx_engine_info *model = sx_session_model(session);
    sx_reply reply = {0};
    int rc;

    if (!cli->options.json) {
        question.on_read = on_read;
        question.on_text = on_text;
    }
    if ((rc = sx_session_ask(session, &question, &reply, &cli->failure)) < 0)
        goto out;
    if (cli->options.json)
        rc = put_json(cli, sx_output_reply_json(
                               stdout, &reply, text, sx_index_repository(sx_session_index(session)),
                               sx_session_commit(session)->hex, model, cli->options.top));
    else {
        sx_answer_view_end(&view, &reply, model);
        print_unread_names(session, text, &reply);
    }
out:
    sx_reply_clear(&reply);
    return rc;
}

/* One question a line, each checked before the first is asked. *text is for free(), its lines end
 * with NUL; *n is their number. */
static int read_batch(sx_cli *cli, char **text, size_t *n)
{
    const char *name = cli->options.batch;
    FILE *file = strcmp(name, "-") == 0 ? stdin : fopen(name, "re");
    char *line = NULL, shown[256];
    size_t cap = 0, length = 0;
    ssize_t got;
    int rc = 0;

    *text = NULL;
    *n = 0;
    sx_display_name(shown, sizeof shown, name);
    if (file == NULL)
        return sx_failed_saying(
            &cli->failure, SX_DOMAIN_PROGRAM, -ENOENT,
            "E-USAGE: the questions cannot be read: %s, %s; nothing was asked; name a file",
            strerror(errno), shown);
    while (rc == 0 && (got = getline(&line, &cap, file)) >= 0) {
        char *longer;

        if (got > 0 && line[got - 1] == '\n')
            got--;
        if (got > 0 && line[got - 1] == '\r')
            got--;
        if ((rc = sx_question_check(line, (size_t)got, &cli->failure)) < 0) {
            char what[512];

            snprintf(what, sizeof what, "%.400s", cli->failure.text);
            rc = sx_failed_saying(&cli->failure, SX_DOMAIN_PROGRAM, rc, "%s (line %zu of %s)", what,
                                  *n + 1, shown);
            break;
        }
        if ((longer = realloc(*text, length + (size_t)got + 1)) == NULL) {
            rc = sx_failed_with(&cli->failure, SX_DOMAIN_PROGRAM, -ENOMEM);
            break;
        }
        *text = longer;
        memcpy(longer + length, line, (size_t)got);
        length += (size_t)got;
        longer[length++] = '\0';
        ++*n;
    }
    if (rc == 0 && ferror(file))
        rc = sx_failed_saying(
            &cli->failure, SX_DOMAIN_PROGRAM, -EINVAL,
            "E-USAGE: the questions cannot be read: %s; nothing was asked; name a file", shown);
    free(line);
    if (file != stdin)
        fclose(file);
    return rc;
}

int sx_command_ask(sx_cli *cli)
{
    const sx_options *o = &cli->options;
    sx_session *session = NULL;
    char *batch = NULL;
    const char *text = o->question;
    size_t n = 1;
    int rc;

    if (o->batch != NULL) {
        if ((rc = read_batch(cli, &batch, &n)) < 0)
            goto out;
        text = batch;
    }
    if ((rc = sx_cli_session(cli, true, &session)) < 0 ||
        (rc = sx_session_prepare(session, o->rev, o->now ? SX_DEPTH_CONTEXT_NOW : SX_DEPTH_CONTEXT,
                                 LOCK_WAIT_MS, &cli->failure)) < 0)
        goto out;
    sx_progress_clear(&cli->progress);
    for (size_t i = 0; rc == 0 && i < n; i++, text += strlen(text) + 1) {
        rc = ask_one(cli, session, text);
        fflush(stdout);
    }
    if (rc == 0)
        sx_cli_note_damage(cli, session);
out:
    sx_session_close(session);
    free(batch);
    return rc;
}
