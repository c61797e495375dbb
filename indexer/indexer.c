/* indexer.c: opening, locking, and the questions about an index as a whole; see indexer.h. */
#include "indexer/indexer.h"

#include "indexer/cache.h"
#include "indexer/index_private.h"
#include "indexer/pack.h"
#include "indexer/preflight.h"
#include "indexer/report.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- opening ----------------------------------------------------------------------------------------- */

static int open_catalog(sx_index *index, char *err, size_t errlen)
{
    int lock = -1, rc = sx_catalog_open(&index->catalog, index->directory, err, errlen);

    if (rc <= 0)
        return rc;
    /* No catalogue of ours: set aside, but never under the hands of another process, which may have
     * done it meanwhile. */
    if ((rc = sx_cache_lock(index->directory, 5000, &lock, err, errlen)) == 0 &&
        (rc = sx_catalog_open(&index->catalog, index->directory, err, errlen)) > 0 &&
        (rc = sx_catalog_set_aside(index->directory, err, errlen)) == 0 &&
        (rc = sx_catalog_open(&index->catalog, index->directory, err, errlen)) > 0)
        rc = sx_index_fail(err, errlen, -EIO,
                           "E-INDEX-BAD: the catalogue in %s cannot be rebuilt; it was set aside; sparsex "
                           "forget, then index again",
                           SX_SHOW(index->directory));
    if (lock >= 0)
        close(lock);
    return rc;
}

int sx_index_open(sx_index **out, const sx_index_options *options, char *err, size_t errlen)
{
    sx_index *index = NULL;
    char id[SX_REPOSITORY_ID_MAX];
    struct stat st;
    cpu_set_t cpus;
    int rc;

    *out = NULL;
    if (!(index = calloc(1, sizeof *index))) {
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for an index; free some");
        goto out;
    }
    index->lock_fd = -1;
    index->batch_ms = 700;
    if (options->queries_dir && !(index->queries_dir = strdup(options->queries_dir))) {
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for an index; free some");
        goto out;
    }
    index->threads = options->threads > 0 ? options->threads
                     : sched_getaffinity(0, sizeof cpus, &cpus) == 0 ? CPU_COUNT(&cpus)
                                                                     : 1;
    if ((rc = sx_repository_open(&index->repository, options->repository, options->allow_outside, err,
                                 errlen)) < 0 ||
        (rc = sx_objects_open(&index->objects, index->repository, err, errlen)) < 0 ||
        (rc = sx_repository_id(id, sx_repository_common_dir(index->repository), err, errlen)) < 0 ||
        (rc = sx_cache_directory(&index->directory, options->cache_root, id, true, err, errlen)) < 0)
        goto out;
    if (sx_path_inside(index->directory, sx_repository_common_dir(index->repository))) {
        rc = sx_index_fail(err, errlen, -EIO,
                           "E-CACHE: %s is inside the git directory; nothing more was written; name another "
                           "with --cache",
                           SX_SHOW(index->directory));
        goto out;
    }
    if ((rc = open_catalog(index, err, errlen)) < 0)
        goto out;
    if (stat(index->directory, &st) == 0) {
        index->device = st.st_dev;
        index->inode = st.st_ino;
    }
    *out = index;
    index = NULL;
out:
    sx_index_close(index);
    return rc;
}

void sx_index_close(sx_index *index)
{
    if (!index)
        return;
    sx_file_list_clear(&index->list);
    sx_catalog_close(index->catalog);
    sx_objects_close(index->objects);
    sx_repository_close(index->repository);
    sx_index_unlock(index);
    free(index->directory);
    free(index->queries_dir);
    free(index);
}

const char *sx_index_directory(const sx_index *index)
{
    return index->directory;
}

const char *sx_index_git_directory(const sx_index *index)
{
    return sx_repository_common_dir(index->repository);
}

const char *sx_index_repository(const sx_index *index)
{
    return sx_repository_name(index->repository);
}

int sx_index_lock(sx_index *index, int wait_ms, char *err, size_t errlen)
{
    struct stat st;
    int rc;

    if (index->lock_fd >= 0)
        return 0;
    if (stat(index->directory, &st) < 0 || st.st_dev != index->device || st.st_ino != index->inode)
        goto gone;
    if ((rc = sx_cache_lock(index->directory, wait_ms, &index->lock_fd, err, errlen)) < 0)
        return rc;
    if (stat(index->directory, &st) == 0 && st.st_dev == index->device && st.st_ino == index->inode)
        return 0;
    sx_index_unlock(index);
gone:
    return sx_index_fail(err, errlen, -EIO,
                         "E-NO-INDEX: %s was deleted meanwhile; nothing is kept; run it again",
                         SX_SHOW(index->directory));
}

void sx_index_unlock(sx_index *index)
{
    if (index->lock_fd >= 0)
        close(index->lock_fd);
    index->lock_fd = -1;
}

/* ---- commits ------------------------------------------------------------------------------------------- */

int sx_index_find_commit(sx_index *index, const char *rev, const char *text_fingerprint,
                         sx_commit *out, char *err, size_t errlen)
{
    int64_t text = 0;
    sx_oid tree;
    int rc;

    *out = (sx_commit){0};
    if ((rc = sx_repository_resolve(index->repository, rev, &out->oid, &tree, err, errlen)) < 0)
        return rc;
    sx_oid_hex(out->hex, &out->oid);
    if ((rc = sx_catalog_text(index->catalog, text_fingerprint, false, &text, err, errlen)) < 0 ||
        (text && (rc = sx_catalog_find_revision(index->catalog, text, out, err, errlen)) < 0))
        return rc;
    if (out->id && out->complete)
        return 0;
    return sx_index_fail(err, errlen, -ENOENT,
                         "E-NOT-INDEXED: commit %.12s of %s is not indexed%s; nothing was changed; sparsex "
                         "index does it",
                         out->hex, SX_SHOW(sx_index_repository(index)), out->id ? " completely" : "");
}

void sx_file_list_clear(sx_file_list *list)
{
    free(list->ids);
    free(list->places);
    *list = (sx_file_list){0};
}

int sx_index_list(sx_index *index, const sx_commit *commit, sx_file_list **out, char *err,
                  size_t errlen)
{
    sx_file_list *list = &index->list;
    sqlite3_stmt *statement = NULL;
    size_t n_bytes, at = 0;
    const uint8_t *bytes;
    int64_t id = 0;
    int rc;

    *out = list;
    if (list->commit && list->commit == commit->id)
        return 0;
    sx_file_list_clear(list);
    if ((rc = sx_catalog_prepare(&statement, index->catalog,
                                 "SELECT files FROM revision WHERE id = ?1 AND oid = ?2 AND complete", err,
                                 errlen)) < 0)
        goto out;
    sqlite3_bind_int64(statement, 1, commit->id);
    sqlite3_bind_blob(statement, 2, commit->oid.id, SX_OID_SIZE, SQLITE_STATIC);
    if ((rc = sx_catalog_step(index->catalog, statement, err, errlen)) <= 0) {
        rc = rc < 0 ? rc
                    : sx_index_fail(err, errlen, -ENOENT,
                                    "E-NOT-INDEXED: the catalogue holds commit %.12s no more; what is derived "
                                    "from its files is kept; sparsex index does it again",
                                    commit->hex);
        goto out;
    }
    bytes = sqlite3_column_blob(statement, 0);
    n_bytes = (size_t)sqlite3_column_bytes(statement, 0);
    if (!(list->ids = malloc((n_bytes + 1) * sizeof *list->ids))) { /* an id is at least a byte */
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a list of files; free some");
        goto out;
    }
    while ((rc = sx_unpack_file(&id, bytes, n_bytes, &at)) > 0)
        list->ids[list->n++] = id;
    if (rc < 0)
        rc = sx_catalog_damaged(err, errlen);
    else
        list->commit = commit->id;
out:
    sqlite3_finalize(statement);
    if (rc < 0)
        sx_file_list_clear(list);
    return rc;
}

/* ---- blobs ----------------------------------------------------------------------------------------------- */

int sx_blob_read(sx_index *index, int64_t blob_id, uint8_t **bytes, size_t *n, char *err,
                 size_t errlen)
{
    sqlite3_stmt *statement = NULL;
    sx_content content = {0};
    char hex[SX_OID_SIZE * 2 + 1];
    uint64_t size = 0, stored = 0;
    sx_skip skip;
    sx_oid oid;
    int rc;

    *bytes = NULL;
    *n = 0;
    if ((rc = sx_catalog_prepare(&statement, index->catalog, "SELECT oid, size FROM blob WHERE id = ?1",
                                 err, errlen)) < 0)
        goto out;
    sqlite3_bind_int64(statement, 1, blob_id);
    if ((rc = sx_catalog_step(index->catalog, statement, err, errlen)) < 0)
        goto out;
    if (rc == 0 || sqlite3_column_bytes(statement, 0) != SX_OID_SIZE) {
        rc = sx_index_fail(err, errlen, -ENOENT,
                           "E-BLOB: the catalogue holds no blob %lld; nothing was read; index again",
                           (long long)blob_id);
        goto out;
    }
    memcpy(oid.id, sqlite3_column_blob(statement, 0), SX_OID_SIZE);
    stored = (uint64_t)sqlite3_column_int64(statement, 1);
    sx_oid_hex(hex, &oid);
    rc = 0;
    if ((skip = sx_objects_size(index->objects, &oid, SX_OBJECT_BLOB, &size)) == SX_SKIP_NONE &&
        size == stored)
        skip = sx_objects_read(index->objects, &oid, SX_OBJECT_BLOB, &content);
    if (skip != SX_SKIP_NONE || content.n != stored) {
        rc = sx_index_fail(err, errlen, -ENOENT,
                           "E-BLOB: object %s of %s is %s now; the index is kept; git fsck says more", hex,
                           SX_SHOW(sx_index_repository(index)),
                           skip == SX_SKIP_MISSING ? "missing" : "corrupt");
        goto out;
    }
    if (!(*bytes = malloc(content.n + 1))) {
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a blob; free some");
        goto out;
    }
    memcpy(*bytes, content.bytes, content.n);
    (*bytes)[content.n] = '\0';
    *n = content.n;
out:
    sqlite3_finalize(statement);
    sx_content_free(&content);
    return rc;
}

/* ---- the whole ------------------------------------------------------------------------------------------- */

int sx_index_verify(sx_index *index, char *err, size_t errlen)
{
    return sx_catalog_verify(index->catalog, err, errlen);
}

/* The directory of a repository that is no more: its path as it would be resolved. */
static int directory_of_path(char **directory, const sx_index_options *options, const char *below,
                             char *err, size_t errlen)
{
    char *path = NULL, *above = NULL, *real = NULL, *whole = NULL, id[SX_REPOSITORY_ID_MAX];
    size_t end = strlen(options->repository);
    const char *name;
    int rc = -ENOMEM;

    while (end > 1 && options->repository[end - 1] == '/')
        end--;
    if (!(path = strndup(options->repository, end)))
        goto out;
    name = strrchr(path, '/');
    above = !name ? strdup(".") : name == path ? strdup("/") : strndup(path, (size_t)(name - path));
    name = name ? name + 1 : path;
    if (!above)
        goto out;
    real = realpath(above, NULL);
    if (asprintf(&whole, "%s/%s%s", !real ? above : strcmp(real, "/") == 0 ? "" : real, name, below) < 0) {
        whole = NULL;
        goto out;
    }
    if ((rc = sx_repository_id(id, whole, err, errlen)) == 0)
        rc = sx_cache_directory(directory, options->cache_root, id, false, err, errlen);
out:
    free(path);
    free(whole);
    free(above);
    free(real);
    return rc;
}

int sx_index_forget(const sx_index_options *options, uint64_t *freed, char *err, size_t errlen)
{
    char *directory = NULL, id[SX_REPOSITORY_ID_MAX];
    sx_git_dirs dirs = {0};
    int lock = -1, rc;

    /* Nothing of the repository is read, so what it leads to does not matter. */
    if ((rc = sx_preflight(&dirs, options->repository, true, err, errlen)) == 0) {
        if ((rc = sx_repository_id(id, dirs.common_dir, err, errlen)) == 0)
            rc = sx_cache_directory(&directory, options->cache_root, id, false, err, errlen);
    } else if (rc != -ENOMEM &&
               (rc = directory_of_path(&directory, options, "/.git", err, errlen)) == -ENOENT) {
        rc = directory_of_path(&directory, options, "", err, errlen);
    }
    if (rc == 0 && (rc = sx_cache_lock(directory, 0, &lock, err, errlen)) == 0)
        rc = sx_cache_delete(directory, freed, err, errlen);
    if (lock >= 0)
        close(lock);
    free(directory);
    sx_git_dirs_clear(&dirs);
    return rc;
}
