/* landmark_topk.h: how many lists of candidates the GPU's top-k keeps, and how long they are: the
 * size of its work memory, which the CPU tells, and its launches must agree. */
#ifndef SX_LANDMARK_TOPK_H
#define SX_LANDMARK_TOPK_H

#include <stddef.h>
#include <stdint.h>

enum {
    SX_TOPK_ROWS = 256,   /* most landmarks a block scores between two looks at its lists */
    SX_TOPK_LISTS = 1056, /* most lists a query has: one for each block that scans for it */
};
#define SX_TOPK_KEYS ((int64_t)1 << 24) /* keys of all lists together, where one a query allows */

/* Keys a list has room for: the k best, as many again before they are sorted out (at least a
 * round's), and a round's. rows: of a round, at most SX_TOPK_ROWS. */
static inline int sx_topk_room(int k, int rows)
{
    return k + (k > rows ? k : rows) + rows;
}

/* The most lists of a query. */
static inline int sx_topk_lists(int n, int64_t n_blocks, int k)
{
    int64_t lists = SX_TOPK_KEYS / ((int64_t)(n > 0 ? n : 1) * sx_topk_room(k, SX_TOPK_ROWS));
    int64_t rounds = (n_blocks + SX_TOPK_ROWS - 1) / SX_TOPK_ROWS;
    lists = lists < rounds ? lists : rounds;
    lists = lists < SX_TOPK_LISTS ? lists : SX_TOPK_LISTS;
    return lists > 0 ? (int)lists : 1;
}

/* Bytes: the lists, then how long each is. */
static inline size_t sx_topk_bytes(int n, int64_t n_blocks, int k)
{
    size_t lists = (size_t)n * (size_t)sx_topk_lists(n, n_blocks, k);
    return lists * ((size_t)sx_topk_room(k, SX_TOPK_ROWS) * sizeof(uint64_t) + sizeof(int32_t));
}

#endif
