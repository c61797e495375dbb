/* index_private.h: what the files behind indexer.h share. */
#ifndef SX_INDEX_PRIVATE_H
#define SX_INDEX_PRIVATE_H

#include "indexer/catalog.h"
#include "indexer/repository.h"

#include <sys/types.h>

typedef struct sx_file_list { /* the files of a commit, in tree order */
    int64_t commit;           /* row of revision; 0: none is loaded */
    int64_t *ids;
    size_t n;
    struct sx_list_place {
        int64_t id;
        size_t at;
    } *places;                /* by id; made when first asked for */
} sx_file_list;

struct sx_index {
    sx_repository *repository;
    sx_objects *objects;
    sx_catalog *catalog;
    char *directory;
    char *queries_dir;        /* NULL where none was given */
    dev_t device;             /* of the directory: sparsex forget may take it away under us */
    ino_t inode;
    int lock_fd;              /* -1: not held */
    int threads;
    int batch_ms;             /* work in one transaction; tests shorten it */
    sx_file_list list;        /* of the commit asked about last */
};

/* Loads the list of `commit`; -ENOENT if the catalogue does not hold it any more. */
int sx_index_list(sx_index *index, const sx_commit *commit, sx_file_list **list, char *err,
                  size_t errlen);
void sx_file_list_clear(sx_file_list *list);

#endif
