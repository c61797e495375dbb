/* catalog.h: catalog.db (schema.sql): open, check, write, and the statements lookup.c reads with.
 * Knows SQL; no git, no grammars. One thread at a time. */
#ifndef SX_CATALOG_H
#define SX_CATALOG_H

#include "indexer/definitions.h"
#include "indexer/indexer.h"
#include "indexer/pack.h"
#include "indexer/segments.h"

#include <sqlite3.h>

#define SX_CATALOG_VERSION        3
#define SX_CATALOG_APPLICATION_ID 0x53707258 /* "SprX" */
#define SX_CATALOG_KEPT_COMMITS   32         /* lists of files; what is derived from blobs stays */

typedef struct sx_catalog sx_catalog;

/* Opens directory/catalog.db, makes it if absent. 1: what is there is no catalogue, is damaged, or
 * is of an older version, and why is in err[]: the caller sets it aside and tries again. A newer
 * version is E-INDEX-NEWER (-EIO). *out is the caller's. */
int sx_catalog_open(sx_catalog **out, const char *directory, char *err, size_t errlen);
void sx_catalog_close(sx_catalog *catalog);
/* Renames it to catalog.db.bad-N, the first N that is free. The caller holds the index's lock. */
int sx_catalog_set_aside(const char *directory, char *err, size_t errlen);
/* See sx_index_verify(). */
int sx_catalog_verify(sx_catalog *catalog, char *err, size_t errlen);

/* ---- statements ----------------------------------------------------------------------------- */

int sx_catalog_prepare(sqlite3_stmt **out, sx_catalog *catalog, const char *sql, char *err,
                       size_t errlen);
/* 1: a row, 0: done, or negative. */
int sx_catalog_step(sx_catalog *catalog, sqlite3_stmt *statement, char *err, size_t errlen);
/* The sentence and errno for what SQLite said last. */
int sx_catalog_fail(sx_catalog *catalog, char *err, size_t errlen);
/* A packed column or list that does not unpack. */
int sx_catalog_damaged(char *err, size_t errlen);

int sx_catalog_begin(sx_catalog *catalog, char *err, size_t errlen); /* takes the right to write */
int sx_catalog_commit(sx_catalog *catalog, char *err, size_t errlen);
/* Many reads under one lock instead of one each; true: end it with sx_catalog_read_end(). */
bool sx_catalog_read_begin(sx_catalog *catalog);
void sx_catalog_read_end(sx_catalog *catalog, bool begun);
void sx_catalog_rollback(sx_catalog *catalog); /* nothing to do outside a transaction */

/* ---- rows (catalog_put.c) ------------------------------------------------------------------- */

/* *id: 0 if the catalogue does not have it and add is false. */
int sx_catalog_text(sx_catalog *catalog, const char *fingerprint, bool add, int64_t *id, char *err,
                    size_t errlen);
int sx_catalog_model(sx_catalog *catalog, const char *fingerprint, uint32_t layers, int64_t *id,
                     char *err, size_t errlen);

typedef struct sx_file_row {
    int64_t id;   /* 0: not there */
    int64_t blob; /* 0: skipped */
    sx_skip skip;
    sx_file_class file_class;
    uint64_t size;
    bool is_cut; /* for the text model asked for; the counts below are of that cut and blob */
    uint64_t n_segments, n_tokens, n_blocks, n_definitions, n_references;
} sx_file_row;
int sx_catalog_find_file(sx_catalog *catalog, const char *path, const sx_oid *oid, int kind,
                         int64_t text, sx_file_row *row, char *err, size_t errlen);
/* The row for (path, oid, kind), new or brought up to date. Sets row->id. */
int sx_catalog_put_file(sx_catalog *catalog, const char *path, const sx_oid *oid, int kind,
                        sx_file_row *row, char *err, size_t errlen);

/* The row for (oid, language) with its definitions, references and words, unless it is there.
 * `bytes` is the blob, for the names; `words` are its units, packed. Sets row->blob, n_definitions,
 * n_references. */
int sx_catalog_put_blob(sx_catalog *catalog, const sx_oid *oid, const char *language,
                        const uint8_t *bytes, size_t n, const sx_parse *parse,
                        const sx_bytes *words, sx_file_row *row, char *err, size_t errlen);
/* The segments of a file for a text model, unless they are there. Sets row->n_segments, ... */
int sx_catalog_put_cut(sx_catalog *catalog, int64_t text, const sx_segments *segments,
                       sx_file_row *row, char *err, size_t errlen);

/* Fills commit->id and the rest, or leaves id 0. commit->oid is given. */
int sx_catalog_find_revision(sx_catalog *catalog, int64_t text, sx_commit *commit, char *err,
                             size_t errlen);
/* Writes the row; `list` (packed files, NULL unless complete). Forgets the lists of the commits
 * used longest ago. Sets commit->id. */
int sx_catalog_put_revision(sx_catalog *catalog, int64_t text, sx_commit *commit,
                            const uint8_t *list, size_t n_list, char *err, size_t errlen);

#endif
