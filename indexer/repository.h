/* repository.h: libgit2, opened safely: a revision -> a tree, an object id -> its bytes.
 * Reads the object database and references, never a file of the work tree. */
#ifndef SX_REPOSITORY_H
#define SX_REPOSITORY_H

#include "indexer/indexer.h"

typedef struct sx_repository sx_repository; /* one thread at a time */

/* Preflight first (preflight.h, whose errors it returns), then libgit2. *out is the caller's. */
int sx_repository_open(sx_repository **out, const char *path, bool allow_outside, char *err,
                       size_t errlen);
void sx_repository_close(sx_repository *repository);             /* NULL is fine */
const char *sx_repository_name(const sx_repository *repository); /* work tree, or git directory */
const char *sx_repository_common_dir(const sx_repository *repository); /* real path */

#define SX_REPOSITORY_ID_MAX 64
/* <basename>-<12 hex>: the same for all work trees of a repository. From the real path alone, which
 * need not exist any more; the hex is the beginning of git's blob id of that path. */
int sx_repository_id(char id[SX_REPOSITORY_ID_MAX], const char *common_dir, char *err,
                     size_t errlen);

/* rev NULL: HEAD. E-UNBORN (-EBADMSG): HEAD names a branch without a commit. E-REV (-ENOENT). */
int sx_repository_resolve(sx_repository *repository, const char *rev, sx_oid *commit, sx_oid *tree,
                          char *err, size_t errlen);

/* One thread's way to the objects: a handle of its own, because a shared one does not scale. */
typedef struct sx_objects sx_objects;
int sx_objects_open(sx_objects **out, const sx_repository *repository, char *err, size_t errlen);
void sx_objects_close(sx_objects *objects);

typedef enum sx_object_type { SX_OBJECT_BLOB, SX_OBJECT_TREE } sx_object_type;
typedef struct sx_content { /* an object's bytes; any thread may free or share it */
    const uint8_t *bytes;
    size_t n;
    void *handle;
} sx_content;
void sx_content_free(sx_content *content);
sx_content sx_content_share(const sx_content *content);

/* The size from the object's header, without inflating it. SX_SKIP_NONE, SX_SKIP_MISSING, or
 * SX_SKIP_CORRUPT (also where the object is of another type). */
sx_skip sx_objects_size(sx_objects *objects, const sx_oid *oid, sx_object_type type,
                        uint64_t *size);
/* Reads it and checks it against its id. Ask for the size first. */
sx_skip sx_objects_read(sx_objects *objects, const sx_oid *oid, sx_object_type type,
                        sx_content *out);

void sx_oid_hex(char hex[SX_OID_SIZE * 2 + 1], const sx_oid *oid);

#endif
