/* tree.h: a commit's tree -> the list of its paths, in tree order, without recursion and with caps.
 * Names are bytes and nothing else: "..", ".git" or control characters mean nothing here. */
#ifndef SX_TREE_H
#define SX_TREE_H

#include "indexer/repository.h"

enum { /* numbers of the catalogue: part of a file's key */
       SX_ENTRY_FILE = 0,
       SX_ENTRY_SYMLINK = 1,
       SX_ENTRY_SUBMODULE = 2,
       SX_ENTRY_TREE = 3, /* a directory that was not entered; skip says why */
};

typedef struct sx_tree_entry {
    sx_oid oid;
    uint32_t path;      /* offset in sx_tree.paths */
    uint32_t next_copy; /* next entry with this blob; 0: none */
    uint32_t copy;      /* of files: how many entries with this blob stand before it */
    uint8_t kind;
    uint8_t skip; /* sx_skip; SX_SKIP_NONE: the content decides */
} sx_tree_entry;

typedef struct sx_tree_limits { /* 0: the default */
    uint32_t depth;             /* 256 directories */
    uint32_t paths;             /* 2,000,000 entries, directories included */
    uint32_t path_bytes;        /* 4096 bytes in one path */
    uint32_t
        copies; /* 1024 entries with the same blob; of those past it only the first is listed */
    size_t all_bytes; /* 256 MiB of paths in all */
} sx_tree_limits;

typedef struct sx_tree {
    sx_tree_entry *entries;
    size_t n_entries, cap_entries;
    char *paths; /* NUL-terminated, one behind the other */
    size_t n_paths, cap_paths;
    bool damaged; /* some of the tree is not in the list: see sx_commit */
} sx_tree;

/* Called every so often; non-zero stops the walk, which then returns -ECANCELED. */
typedef int (*sx_tree_tick_fn)(size_t n_entries, void *user);

/* Never fails because of what the tree holds: that is recorded in the entries. 0, -ENOMEM,
 * -ECANCELED. */
int sx_tree_walk(sx_tree *out, sx_objects *objects, const sx_oid *root,
                 const sx_tree_limits *limits, sx_tree_tick_fn tick, void *user, char *err,
                 size_t errlen);
void sx_tree_free(sx_tree *tree);

static inline const char *sx_tree_path(const sx_tree *tree, const sx_tree_entry *entry)
{
    return tree->paths + entry->path;
}

#endif
