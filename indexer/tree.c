/* tree.c: see tree.h. A tree object is rows of "<octal mode> <name>\0<20 bytes of id>"; the walk
 * keeps one open tree a level. */
#include "indexer/tree.h"

#include "indexer/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { TICK = 4096 };
#define ONE_TREE_CAP  ((uint64_t)64 << 20)  /* bytes of one tree object: 1.5 million entries */
#define OPEN_TREE_CAP ((uint64_t)128 << 20) /* bytes of all that are open */

typedef struct frame {
    sx_content tree;
    size_t at;       /* next row */
    size_t path_len; /* of the directory, with the slash behind it */
} frame;

typedef struct walk {
    sx_tree *out;
    sx_objects *objects;
    sx_tree_limits limits;
    frame *stack;
    size_t n_stack;
    uint64_t open_bytes;
    size_t n_seen;   /* entries met, directories included */
    bool full;       /* over a limit on the whole: stop */
    char *path;      /* of the entry being looked at */
    uint32_t *slots; /* hash table: index of the last entry of a blob + 1; 0: free */
    size_t n_slots, n_blobs;
} walk;

static size_t hash_of(const sx_oid *oid)
{
    uint64_t h;

    memcpy(&h, oid->id, sizeof h);
    return (size_t)((h ^ h >> 29) * 0x9e3779b97f4a7c15u >> 16);
}

/* The slot of a blob, or the free one where it belongs. */
static uint32_t *slot_of(walk *w, const sx_oid *oid)
{
    size_t i = hash_of(oid) & (w->n_slots - 1);

    while (w->slots[i] && memcmp(&w->out->entries[w->slots[i] - 1].oid, oid, sizeof *oid) != 0)
        i = (i + 1) & (w->n_slots - 1);
    return &w->slots[i];
}

static int grow_slots(walk *w)
{
    uint32_t *old = w->slots;
    size_t n_old = w->n_slots;

    if (2 * (w->n_blobs + 1) <= n_old)
        return 0;
    w->n_slots = n_old ? 2 * n_old : 1024;
    if (!(w->slots = calloc(w->n_slots, sizeof *w->slots))) {
        w->slots = old;
        w->n_slots = n_old;
        return -ENOMEM;
    }
    for (size_t i = 0; i < n_old; i++)
        if (old[i])
            *slot_of(w, &w->out->entries[old[i] - 1].oid) = old[i];
    free(old);
    return 0;
}

/* Appends an entry for w->path cut to `length`; *out is its index. */
static int add(walk *w, size_t length, const sx_oid *oid, uint8_t kind, sx_skip skip)
{
    sx_tree *tree = w->out;

    if (tree->n_entries == tree->cap_entries) {
        size_t cap = tree->cap_entries ? 2 * tree->cap_entries : 1024;
        sx_tree_entry *grown = realloc(tree->entries, cap * sizeof *grown);

        if (!grown)
            return -ENOMEM;
        tree->entries = grown;
        tree->cap_entries = cap;
    }
    if (tree->cap_paths - tree->n_paths < length + 1) {
        size_t cap = (tree->cap_paths ? 2 * tree->cap_paths : 65536) + length + 1;
        char *grown = realloc(tree->paths, cap);

        if (!grown)
            return -ENOMEM;
        tree->paths = grown;
        tree->cap_paths = cap;
    }
    tree->entries[tree->n_entries++] = (sx_tree_entry){
        .oid = *oid, .path = (uint32_t)tree->n_paths, .kind = kind, .skip = (uint8_t)skip};
    memcpy(tree->paths + tree->n_paths, w->path, length);
    tree->paths[tree->n_paths + length] = '\0';
    tree->n_paths += length + 1;
    if (skip == SX_SKIP_MISSING || skip == SX_SKIP_CORRUPT || skip == SX_SKIP_TREE_DEEP ||
        skip == SX_SKIP_TREE_HUGE)
        tree->damaged = true;
    return 0;
}

/* A regular file: chained to the others with its blob. */
static int add_file(walk *w, size_t length, const sx_oid *oid)
{
    sx_tree *tree = w->out;
    uint32_t *slot, copy = 0;
    int rc;

    if ((rc = grow_slots(w)) < 0)
        return rc;
    slot = slot_of(w, oid);
    if (*slot) {
        copy = tree->entries[*slot - 1].copy + 1;
        if (copy > w->limits.copies)
            return 0;
    }
    if ((rc = add(w, length, oid, SX_ENTRY_FILE,
                  copy == w->limits.copies ? SX_SKIP_COPIES : SX_SKIP_NONE)) < 0)
        return rc;
    tree->entries[tree->n_entries - 1].copy = copy;
    if (*slot)
        tree->entries[*slot - 1].next_copy = (uint32_t)(tree->n_entries - 1);
    else
        w->n_blobs++;
    *slot = (uint32_t)tree->n_entries;
    return 0;
}

/* Opens the directory w->path (`length`, no slash) or records why not. */
static int enter(walk *w, size_t length, const sx_oid *oid)
{
    frame *top = &w->stack[w->n_stack];
    uint64_t size = 0;
    sx_skip skip;

    if (w->n_stack == w->limits.depth)
        skip = SX_SKIP_TREE_DEEP;
    else if ((skip = sx_objects_size(w->objects, oid, SX_OBJECT_TREE, &size)) != SX_SKIP_NONE)
        ;
    else if (size > ONE_TREE_CAP || size > OPEN_TREE_CAP - w->open_bytes)
        skip = SX_SKIP_TREE_HUGE;
    else
        skip = sx_objects_read(w->objects, oid, SX_OBJECT_TREE, &top->tree);
    if (skip != SX_SKIP_NONE)
        return add(w, length, oid, SX_ENTRY_TREE, skip);
    top->at = 0;
    top->path_len = length;
    if (length)
        w->path[top->path_len++] = '/';
    w->open_bytes += top->tree.n;
    w->n_stack++;
    return 0;
}

static void leave(walk *w)
{
    frame *top = &w->stack[--w->n_stack];

    w->open_bytes -= top->tree.n;
    sx_content_free(&top->tree);
}

/* Parses the next row. 1, 0 at the end, -EBADMSG where the rest is no tree. */
static int next_row(frame *f, uint32_t *mode, const char **name, size_t *name_len, sx_oid *oid)
{
    const uint8_t *at = f->tree.bytes + f->at, *end = f->tree.bytes + f->tree.n, *nul;

    if (at == end)
        return 0;
    for (*mode = 0; at < end && *at != ' '; at++) {
        if (*at < '0' || *at > '7' || *mode > 0777777)
            return -EBADMSG;
        *mode = *mode << 3 | (uint32_t)(*at - '0');
    }
    if (at == end || !(nul = memchr(at, '\0', (size_t)(end - at))) ||
        (size_t)(end - nul) < 1 + SX_OID_SIZE || nul == at + 1)
        return -EBADMSG;
    *name = (const char *)at + 1;
    *name_len = (size_t)(nul - at) - 1;
    memcpy(oid->id, nul + 1, SX_OID_SIZE);
    f->at = (size_t)(nul + 1 + SX_OID_SIZE - f->tree.bytes);
    return 1;
}

static int step(walk *w)
{
    frame *top = &w->stack[w->n_stack - 1];
    const char *name = NULL;
    size_t length = 0, base = top->path_len;
    uint32_t mode = 0;
    sx_oid oid = {{0}};
    int rc = next_row(top, &mode, &name, &length, &oid);

    if (rc == 0) {
        leave(w);
        return 0;
    }
    if (rc < 0) { /* what stood before stays; the directory is recorded as corrupt */
        rc = add(w, base ? base - 1 : 0, &oid, SX_ENTRY_TREE, SX_SKIP_CORRUPT);
        leave(w);
        return rc;
    }
    bool is_long = length > w->limits.path_bytes - base;

    if (is_long)
        length = w->limits.path_bytes - base;
    memcpy(w->path + base, name, length);
    length += base;
    if (++w->n_seen > w->limits.paths || w->out->n_paths > w->limits.all_bytes) {
        w->full = true;
        return add(w, length, &oid, SX_ENTRY_TREE, SX_SKIP_TREE_HUGE);
    }
    switch (mode & 0170000) {
    case 0040000:
        /* a path must stay under the limit with the slash and one byte more */
        if (is_long || length + 2 > w->limits.path_bytes)
            return add(w, length, &oid, SX_ENTRY_TREE, SX_SKIP_PATH_LONG);
        return enter(w, length, &oid);
    case 0120000:
        return add(w, length, &oid, SX_ENTRY_SYMLINK,
                   is_long ? SX_SKIP_PATH_LONG : SX_SKIP_SYMLINK);
    case 0160000:
        return add(w, length, &oid, SX_ENTRY_SUBMODULE,
                   is_long ? SX_SKIP_PATH_LONG : SX_SKIP_SUBMODULE);
    case 0100000:
        return is_long ? add(w, length, &oid, SX_ENTRY_FILE, SX_SKIP_PATH_LONG)
                       : add_file(w, length, &oid);
    default:
        return add(w, length, &oid, SX_ENTRY_FILE, SX_SKIP_CORRUPT);
    }
}

int sx_tree_walk(sx_tree *out, sx_objects *objects, const sx_oid *root,
                 const sx_tree_limits *limits, sx_tree_tick_fn tick, void *user, char *err,
                 size_t errlen)
{
    walk w = {.out = out, .objects = objects, .limits = limits ? *limits : (sx_tree_limits){0}};
    size_t ticks = 0;
    int rc;

    *out = (sx_tree){0};
    w.limits.depth = w.limits.depth ? w.limits.depth : 256;
    w.limits.paths = w.limits.paths ? w.limits.paths : 2000000;
    w.limits.path_bytes = w.limits.path_bytes ? w.limits.path_bytes : 4096;
    w.limits.copies = w.limits.copies ? w.limits.copies : 1024;
    w.limits.all_bytes = w.limits.all_bytes ? w.limits.all_bytes : (size_t)256 << 20;
    w.stack = calloc(w.limits.depth, sizeof *w.stack);
    w.path = malloc((size_t)w.limits.path_bytes + 2);
    rc = w.stack && w.path ? enter(&w, 0, root) : -ENOMEM;
    while (rc == 0 && w.n_stack && !w.full) {
        if (++ticks % TICK == 0 && tick && tick(out->n_entries, user))
            rc = -ECANCELED;
        else
            rc = step(&w);
    }
    while (w.n_stack)
        leave(&w);
    free(w.stack);
    free(w.path);
    free(w.slots);
    if (rc == -ENOMEM)
        sx_index_fail(
            err, errlen, rc,
            "E-RAM: no memory for the tree's paths; what was indexed before is kept; free some");
    if (rc < 0)
        sx_tree_free(out);
    return rc;
}

void sx_tree_free(sx_tree *tree)
{
    free(tree->entries);
    free(tree->paths);
    *tree = (sx_tree){0};
}
