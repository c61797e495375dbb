/* output_json.c: replies, definitions, references and status -> JSON.
 * Must not know terminals. Keys stand in the order they are set. */
#include "app/output.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* Bytes -> JSON string. reversible: \ becomes \\ and a bad byte \xNN; else a bad byte U+FFFD. Bad
 * is what is no UTF-8, and DEL, the one control character that JSON lets through. */
static json_t *json_bytes(const uint8_t *bytes, size_t n, bool reversible)
{
    char *text = malloc(n * 4 + 1);
    size_t at = 0;
    json_t *json;

    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < n;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t size = utf8proc_iterate(bytes + i, (utf8proc_ssize_t)(n - i), &c);

        if (size > 0 && bytes[i] != 0x7f && !(reversible && bytes[i] == '\\')) {
            memcpy(text + at, bytes + i, (size_t)size);
            at += (size_t)size;
            i += (size_t)size;
        } else if (reversible) {
            at += (size_t)sprintf(text + at, bytes[i] == '\\' ? "\\\\" : "\\x%02x", bytes[i]);
            i++;
        } else {
            at += (size_t)sprintf(text + at, "\xef\xbf\xbd");
            i++;
        }
    }
    json = json_stringn(text, at);
    free(text);
    return json;
}

static json_t *json_name(const char *name)
{
    return json_bytes((const uint8_t *)name, strlen(name), true);
}

static json_t *json_count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* Takes `json`; false if it or the line could not be made. */
static bool put_line(FILE *file, json_t *json)
{
    bool ok = json != NULL && json_dumpf(json, file, JSON_REAL_PRECISION(8) | JSON_COMPACT) == 0;

    json_decref(json);
    if (ok)
        putc('\n', file);
    return ok;
}

static int span_json(json_t *spans, const sx_span *span)
{
    return json_array_append_new(
        spans, json_pack("{s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:f, s:f, s:f}", "path",
                         json_name(span->path), "name", json_name(span->name), "kind", span->kind,
                         "start_line", json_count(span->start_line), "end_line",
                         json_count(span->end_line), "start_byte", json_count(span->start_byte),
                         "end_byte", json_count(span->end_byte), "mass", span->mass, "rank",
                         span->rank, "words", span->words));
}

bool sx_output_reply_json(FILE *file, const sx_reply *reply, const char *question,
                          const char *repository, const char *commit, const sx_engine_info *model,
                          uint32_t top)
{
    char *answer = sx_reply_answer(reply);
    json_t *json = NULL, *spans = json_array(), *files = json_array();
    int rc = answer == NULL ? -1 : 0;

    for (size_t i = 0; rc == 0 && i < reply->n_spans && i < top; i++)
        rc = span_json(spans, &reply->spans[i]);
    for (size_t i = 0; rc == 0 && i < reply->n_files; i++)
        rc = json_array_append_new(files,
                                   json_pack("{s:o, s:f}", "path", json_name(reply->files[i].path),
                                             "mass", reply->files[i].mass));
    if (rc == 0)
        json = json_pack(
            "{s:s, s:o, s:s, s:s, s:s, s:o, s:o, s:f, s:b, s:o, s:O, s:O, s:{s:f, s:f, s:f, s:f}}",
            "question", question, "repo", json_name(repository), "commit", commit, "model",
            model->name, "device", model->device, "tokens", json_count(reply->tokens), "blocks",
            json_count(reply->blocks), "read", reply->read, "found", reply->found, "answer",
            json_bytes((const uint8_t *)answer, strlen(answer), false), "spans", spans, "files",
            files, "timing_ms", "index", reply->timing.index, "load", reply->timing.load, "prefill",
            reply->timing.prefill, "decode", reply->timing.decode);
    json_decref(spans);
    json_decref(files);
    free(answer);
    return put_line(file, json);
}

bool sx_output_definitions_json(FILE *file, const sx_place *places, size_t n)
{
    json_t *array = json_array();
    int rc = array == NULL ? -1 : 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const sx_place *p = &places[i];

        rc = json_array_append_new(
            array,
            json_pack("{s:o, s:o, s:o, s:s, s:o, s:o, s:o, s:o, s:o}", "path", json_name(p->path),
                      "name", json_name(p->name), "scope", json_name(p->scope), "kind", p->kind,
                      "start_line", json_count(p->start_line), "end_line", json_count(p->end_line),
                      "start_byte", json_count(p->start_byte), "end_byte", json_count(p->end_byte),
                      "signature", json_bytes(p->line, p->n_line, false)));
    }
    if (rc == 0)
        return put_line(file, array);
    json_decref(array);
    return false;
}

bool sx_output_references_json(FILE *file, const sx_place *places, size_t n)
{
    json_t *array = json_array();
    int rc = array == NULL ? -1 : 0;

    for (size_t i = 0; rc == 0 && i < n; i++) {
        const sx_place *p = &places[i];

        rc = json_array_append_new(
            array,
            json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "path", json_name(p->path), "name",
                      json_name(p->name), "line", json_count(p->start_line), "start_byte",
                      json_count(p->start_byte), "end_byte", json_count(p->end_byte), "in",
                      json_name(p->scope), "text", json_bytes(p->line, p->n_line, false)));
    }
    if (rc == 0)
        return put_line(file, array);
    json_decref(array);
    return false;
}

bool sx_output_overview_json(FILE *file, const sx_overview *o)
{
    const sx_commit *c = o->commit;
    const sx_index_status *s = o->status;
    json_t *json = json_pack("{s:o, s:s, s:b}", "repository", json_name(o->repository), "commit",
                             c->hex, "indexed", s != NULL);
    json_t *classes = json_object(), *skipped = json_object();
    int rc = json == NULL || classes == NULL || skipped == NULL ? -1 : 0;

    if (rc == 0 && s != NULL) {
        for (int i = 0; i < SX_CLASS_COUNT; i++)
            rc |= json_object_set_new(classes, sx_file_class_name((sx_file_class)i),
                                      json_count(s->files[i]));
        for (int i = 1; i < SX_SKIP_COUNT; i++)
            if (s->skipped[i] > 0)
                rc |= json_object_set_new(skipped, sx_skip_name((sx_skip)i),
                                          json_count(s->skipped[i]));
        rc |= json_object_set_new(json, "complete", json_boolean(c->complete));
        rc |= json_object_set_new(json, "damaged", json_boolean(c->damaged));
        rc |= json_object_set_new(json, "files", json_count(c->files));
        rc |= json_object_set(json, "classes", classes);
        rc |= json_object_set_new(json, "skipped", json_count(c->skipped));
        rc |= json_object_set(json, "reasons", skipped);
        rc |= json_object_set_new(json, "bytes", json_count(c->bytes));
        rc |= json_object_set_new(json, "tokens", json_count(c->tokens));
        rc |= json_object_set_new(json, "segments", json_count(c->segments));
        rc |= json_object_set_new(json, "blocks", json_count(c->blocks));
        rc |= json_object_set_new(json, "definitions", json_count(c->definitions));
        rc |= json_object_set_new(json, "references", json_count(c->references));
        rc |= json_object_set_new(json, "encoded_tokens", json_count(s->encoded_tokens));
        rc |= json_object_set_new(
            json, "read",
            json_real(c->tokens > 0 ? (double)s->encoded_tokens / (double)c->tokens : 1.0));
        rc |= json_object_set_new(json, "kv_tokens", json_count(s->kv_tokens));
        rc |= json_object_set_new(json, "commits", json_count(s->commits));
        rc |= json_object_set_new(json, "catalog_bytes", json_count(s->catalog_bytes));
        rc |= json_object_set_new(json, "slab_bytes", json_count(s->slab_bytes));
    }
    if (rc == 0) {
        rc |= json_object_set_new(json, "directory", json_name(o->directory));
        rc |= json_object_set_new(json, "model", json_string(o->model->name));
        rc |= json_object_set_new(json, "device", json_string(o->model->device));
        if (o->index_ms >= 0)
            rc |= json_object_set_new(json, "index_ms", json_real(o->index_ms));
    }
    json_decref(classes);
    json_decref(skipped);
    if (rc == 0)
        return put_line(file, json);
    json_decref(json);
    return false;
}
