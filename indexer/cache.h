/* cache.h: the directory of an index: made safely, locked, measured, deleted. No SQL, no git. */
#ifndef SX_CACHE_H
#define SX_CACHE_H

#include "indexer/indexer.h"

/* <root>/<id>, absolute, malloc'ed into *directory. root NULL: $XDG_CACHE_HOME/sparsex or
 * ~/.cache/sparsex. `make`: with mode 0700, and a CACHEDIR.TAG; without, and if absent: -ENOENT.
 * E-CACHE (-EIO) where it is a link or belongs to somebody else. */
int sx_cache_directory(char **directory, const char *root, const char *id, bool make, char *err,
                       size_t errlen);

/* *fd: close() gives the lock back, and so does the end of the process. -EBUSY after wait_ms. */
int sx_cache_lock(const char *directory, int wait_ms, int *fd, char *err, size_t errlen);

/* Bytes on disk: the slabs (landmarks.*, kv.*) and everything else. */
void sx_cache_sizes(const char *directory, uint64_t *slabs, uint64_t *rest);

/* Deletes the files and the directory. The caller holds the lock. */
int sx_cache_delete(const char *directory, uint64_t *freed, char *err, size_t errlen);

#endif
