/* definitions.c: files of the context -> their definitions, as the catalogue has them, in the order
 * that ranking.h wants. */
#include "app/session_private.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

typedef struct taking {
    sx_details *details;
    size_t cap;
    uint32_t file;
    int rc;
} taking;

void sx_details_clear(sx_details *d)
{
    for (size_t i = 0; i < d->n; i++) {
        free((char *)d->rows[i].rank.name);
        free(d->rows[i].kind);
        free(d->rows[i].scope);
    }
    free(d->rows);
    free(d->ranked);
    *d = (sx_details){0};
}

static int take_definition(const sx_definition_row *row, void *user)
{
    taking *t = user;
    sx_details *d = t->details;
    bool doc_first = row->doc_end > row->doc_start && row->doc_start < row->start_byte;
    sx_detail *at;

    if (d->n == t->cap) {
        size_t cap = t->cap < 64 ? 64 : t->cap * 2;
        sx_detail *rows = reallocarray(d->rows, cap, sizeof *rows);

        if (rows == NULL)
            return t->rc = -ENOMEM;
        d->rows = rows;
        t->cap = cap;
    }
    at = &d->rows[d->n];
    *at = (sx_detail){.rank = {.file = t->file,
                               .boundary = doc_first ? row->doc_start : row->start_byte,
                               .start_byte = row->start_byte,
                               .end_byte = row->end_byte,
                               .name = strdup(row->name)},
                      .kind = strdup(row->kind),
                      .scope = strdup(row->scope),
                      .name_start = row->name_start,
                      .name_end = row->name_end,
                      .doc_start = row->doc_start,
                      .doc_end = row->doc_end,
                      .signature_end = row->signature_end};
    d->n++;
    return at->rank.name == NULL || at->kind == NULL || at->scope == NULL ? (t->rc = -ENOMEM) : 0;
}

static int by_boundary(const void *pa, const void *pb)
{
    return sx_rank_definition_compare(&((const sx_detail *)pa)->rank,
                                      &((const sx_detail *)pb)->rank);
}

static int by_number(const void *pa, const void *pb)
{
    uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;

    return a < b ? -1 : a > b;
}

int sx_session_details(sx_details *out, sx_session *s, const uint32_t *files, size_t n,
                       sx_failure *failure)
{
    taking t = {.details = out};
    uint32_t *sorted = malloc((n + 1) * sizeof *sorted);
    int rc = 0;

    *out = (sx_details){0};
    if (sorted == NULL)
        return sx_failed_with(failure, SX_DOMAIN_MODEL, -ENOMEM);
    if (n > 0) {
        memcpy(sorted, files, n * sizeof *sorted);
        qsort(sorted, n, sizeof *sorted, by_number);
    }
    for (size_t i = 0; i < n && rc >= 0; i++) {
        if (i > 0 && sorted[i] == sorted[i - 1])
            continue;
        t.file = sorted[i];
        rc = sx_definitions_of_blob(s->index, s->files[t.file].blob_id, take_definition, &t,
                                    failure->text, sizeof failure->text);
        if (t.rc < 0)
            rc = t.rc;
    }
    free(sorted);
    if (rc >= 0 && (out->ranked = malloc((out->n + 1) * sizeof *out->ranked)) == NULL)
        rc = -ENOMEM;
    if (rc < 0) {
        sx_details_clear(out);
        return sx_failed_with(failure, SX_DOMAIN_REPOSITORY, rc);
    }
    if (out->n > 0)
        qsort(out->rows, out->n, sizeof *out->rows, by_boundary);
    for (size_t i = 0; i < out->n; i++)
        out->ranked[i] = out->rows[i].rank;
    return 0;
}
