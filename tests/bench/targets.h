/* targets.h: functions of a commit that may be asked for by name, drawn with a fixed seed. */
#ifndef SX_BENCH_TARGETS_H
#define SX_BENCH_TARGETS_H

#include "indexer/indexer.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

typedef struct target {
    char *name, *path;
    uint32_t start_byte;
} target;

typedef struct targets {
    target *items;
    size_t n, cap;
} targets;

static inline bool target_name_is_good(const char *name)
{
    size_t n = 0;
    if (isdigit((unsigned char)name[0]))
        return false;
    for (; name[n]; n++)
        if (!isalnum((unsigned char)name[n]) && name[n] != '_')
            return false;
    return n >= 3;
}

static inline int target_collect(const sx_definition_row *row, void *user)
{
    targets *t = user;
    if (t->n == t->cap) {
        t->cap = t->cap * 2 + 256;
        t->items = realloc(t->items, t->cap * sizeof *t->items);
    }
    /* all names, so that those with several definitions can be told; others are marked by a NULL
     * path */
    bool wanted = (!strcmp(row->kind, "function") || !strcmp(row->kind, "method")) &&
                  target_name_is_good(row->name);
    t->items[t->n++] = (target){strdup(row->name), wanted ? strdup(row->path) : NULL,
                                row->start_byte};
    return 0;
}

static inline int target_by_name(const void *a, const void *b)
{
    return strcmp(((const target *)a)->name, ((const target *)b)->name);
}

static inline uint64_t targets_random(void) /* splitmix64 (Steele, Lea, Flood 2014) */
{
    static uint64_t state = 11;
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* All functions and methods of the commit whose name only one definition has, shuffled. */
static inline int targets_draw(targets *t, sx_index *index, const sx_commit *commit, char *err,
                               size_t errlen)
{
    size_t n = 0;
    int rc = sx_definitions_all(index, commit, target_collect, t, err, errlen);

    if (rc < 0)
        return rc;
    qsort(t->items, t->n, sizeof *t->items, target_by_name);
    for (size_t i = 0; i < t->n; i++)
        if (t->items[i].path && (i == 0 || strcmp(t->items[i].name, t->items[i - 1].name)) &&
            (i + 1 == t->n || strcmp(t->items[i].name, t->items[i + 1].name))) {
            target keep = t->items[n];
            t->items[n++] = t->items[i];
            t->items[i] = keep;
        }
    for (size_t i = n; i > 1; i--) {
        size_t j = targets_random() % i;
        target keep = t->items[i - 1];
        t->items[i - 1] = t->items[j];
        t->items[j] = keep;
    }
    t->n = n;
    return 0;
}

#endif
