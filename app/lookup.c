/* lookup.c: def and refs: exact answers from the catalogue, no weights loaded.
 * Must not know how names were found. */
#include "app/commands.h"
#include "app/output.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { LOCK_WAIT_MS = 5000, NEAR = 5 };

typedef struct places {
    sx_place *rows; /* path, name, scope, kind, line: ours */
    int64_t *blobs; /* of each row */
    uint32_t *ends; /* of each row: behind its signature; 0: its whole line */
    size_t n, cap;
    int rc;
} places;

static void places_clear(places *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free((char *)p->rows[i].path);
        free((char *)p->rows[i].name);
        free((char *)p->rows[i].scope);
        free((char *)p->rows[i].kind);
        free((uint8_t *)p->rows[i].line);
    }
    free(p->rows);
    free(p->blobs);
    free(p->ends);
}

static sx_place *add_place(places *p, const char *path, const char *name, const char *scope,
                           const char *kind, int64_t blob, uint32_t end)
{
    sx_place *row;

    if (p->n == p->cap) {
        size_t cap = p->cap < 16 ? 16 : p->cap * 2;
        sx_place *rows = reallocarray(p->rows, cap, sizeof *rows);
        int64_t *blobs;
        uint32_t *ends;

        if (rows != NULL)
            p->rows = rows;
        if ((blobs = reallocarray(p->blobs, cap, sizeof *blobs)) != NULL)
            p->blobs = blobs;
        if ((ends = reallocarray(p->ends, cap, sizeof *ends)) != NULL)
            p->ends = ends;
        if (rows == NULL || blobs == NULL || ends == NULL) {
            p->rc = -ENOMEM;
            return NULL;
        }
        p->cap = cap;
    }
    p->blobs[p->n] = blob;
    p->ends[p->n] = end;
    row = &p->rows[p->n++];
    *row = (sx_place){
        .path = strdup(path), .name = strdup(name), .scope = strdup(scope), .kind = strdup(kind)};
    if (row->path == NULL || row->name == NULL || row->scope == NULL || row->kind == NULL) {
        p->rc = -ENOMEM;
        return NULL;
    }
    return row;
}

static int take_definition(const sx_definition_row *d, void *user)
{
    sx_place *place = add_place(user, d->path, d->name, d->scope, d->kind, d->blob_id,
                                d->signature_end);

    if (place == NULL)
        return -ENOMEM;
    place->start_byte = d->start_byte;
    place->end_byte = d->end_byte;
    place->start_line = d->start_line;
    place->end_line = d->end_line;
    return 0;
}

static int take_reference(const sx_reference_row *r, void *user)
{
    sx_place *place = add_place(user, r->path, r->name, r->in_definition, "", r->blob_id, 0);

    if (place == NULL)
        return -ENOMEM;
    place->start_byte = r->start_byte;
    place->end_byte = r->end_byte;
    place->start_line = place->end_line = r->line;
    return 0;
}

/* The source behind each place: the signature of a definition, the line of a reference. A blob that
 * cannot be read any more leaves its places without one. */
static int read_lines(places *p, sx_index *index)
{
    uint8_t *bytes = NULL;
    int64_t blob = -1;
    size_t n = 0;
    int rc = 0;

    for (size_t i = 0; i < p->n && rc == 0; i++) {
        sx_place *place = &p->rows[i];
        size_t start = place->start_byte, end = p->ends[i];

        if (p->blobs[i] != blob) {
            free(bytes);
            bytes = NULL;
            n = 0;
            blob = p->blobs[i];
            if (sx_blob_read(index, blob, &bytes, &n, NULL, 0) < 0)
                n = 0;
        }
        if (start >= n)
            continue;
        if (end == 0) {
            const uint8_t *newline = memchr(bytes + start, '\n', n - start);

            end = newline != NULL ? (size_t)(newline - bytes) : n;
            while (start > 0 && bytes[start - 1] != '\n')
                start--;
        }
        if (end > n || end < start)
            continue;
        place->n_line = end - start;
        if ((place->line = malloc(place->n_line + 1)) == NULL)
            rc = -ENOMEM;
        else
            memcpy((uint8_t *)place->line, bytes + start, place->n_line);
    }
    free(bytes);
    return rc;
}

/* ---- names close to one that is not there --------------------------------------------------- */

typedef struct near_names {
    const char *name;
    char *found[NEAR]; /* equal but for case first, then those that begin alike */
    size_t n, n_equal;
} near_names;

static int take_near(const sx_definition_row *d, void *user)
{
    near_names *near = user;
    size_t length = strlen(near->name);
    bool equal = strcasecmp(d->name, near->name) == 0;
    char *copy;

    if (!equal && (length < 2 || strncasecmp(d->name, near->name, length) != 0))
        return 0;
    for (size_t i = 0; i < near->n; i++)
        if (strcmp(near->found[i], d->name) == 0)
            return 0;
    if (near->n == NEAR && !equal)
        return 0;
    if ((copy = strdup(d->name)) == NULL)
        return -ENOMEM;
    if (near->n == NEAR)
        free(near->found[--near->n]);
    if (equal) {
        memmove(near->found + near->n_equal + 1, near->found + near->n_equal,
                (near->n - near->n_equal) * sizeof *near->found);
        near->found[near->n_equal++] = copy;
    } else {
        near->found[near->n] = copy;
    }
    near->n++;
    return near->n_equal == NEAR;
}

static void note_not_found(sx_cli *cli, sx_session *session, const char *what)
{
    near_names near = {.name = cli->options.name};
    char name[256];

    fprintf(stderr, "no %s named %s", what, sx_display_name(name, sizeof name, cli->options.name));
    if (sx_definitions_all(sx_session_index(session), sx_session_commit(session), take_near, &near,
                           NULL, 0) >= 0 &&
        near.n > 0) {
        fputs("; defined are ", stderr);
        for (size_t i = 0; i < near.n; i++)
            fprintf(stderr, "%s%s", i > 0 ? ", " : "",
                    sx_display_name(name, sizeof name, near.found[i]));
    }
    putc('\n', stderr);
    for (size_t i = 0; i < near.n; i++)
        free(near.found[i]);
}

/* ---- the commands --------------------------------------------------------------------------- */

static int look_up(sx_cli *cli, bool references)
{
    sx_session *session = NULL;
    sx_failure *failure = &cli->failure;
    places found = {0};
    bool ok = true;
    int rc;

    if ((rc = sx_cli_session(cli, false, &session)) < 0 ||
        (rc = sx_session_prepare(session, cli->options.rev, SX_DEPTH_CATALOG, LOCK_WAIT_MS,
                                 failure)) < 0)
        goto out;
    sx_progress_clear(&cli->progress);
    rc = references ? sx_references_named(sx_session_index(session), sx_session_commit(session),
                                          cli->options.name, take_reference, &found, failure->text,
                                          sizeof failure->text)
                    : sx_definitions_named(sx_session_index(session), sx_session_commit(session),
                                           cli->options.name, take_definition, &found,
                                           failure->text, sizeof failure->text);
    if (rc >= 0)
        rc = found.rc < 0 ? found.rc : read_lines(&found, sx_session_index(session));
    if (rc < 0) {
        sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
        goto out;
    }
    if (cli->options.json)
        ok = references ? sx_output_references_json(stdout, found.rows, found.n)
                        : sx_output_definitions_json(stdout, found.rows, found.n);
    for (size_t i = 0; !cli->options.json && i < found.n; i++)
        (references ? sx_output_reference : sx_output_definition)(&cli->out, &found.rows[i]);
    fflush(stdout);
    if (!ok)
        rc = sx_failed_with(failure, SX_DOMAIN_PROGRAM, -ENOMEM);
    else if (found.n == 0 && !cli->options.quiet)
        note_not_found(cli, session, references ? "mention of anything" : "definition");
    if (rc == 0)
        sx_cli_note_damage(cli, session);
out:
    places_clear(&found);
    sx_session_close(session);
    return rc;
}

int sx_command_def(sx_cli *cli)
{
    return look_up(cli, false);
}

int sx_command_refs(sx_cli *cli)
{
    return look_up(cli, true);
}
