/* bpe.c: byte-pair merging inside one piece. Knows ids and ranks only: no bytes of tokens, no file.
 *
 * A piece starts as its single bytes; the neighbours whose merge has the lowest rank are joined,
 * leftmost first, until no neighbours have a merge. */
#include "engine/bpe.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define EMPTY       UINT64_MAX
#define SHORT_PIECE 64u /* bytes; up to it the next merge is found by looking at all */
#define GROUP       16u /* ranks under one leaf of the search tree of a long piece */

int sx_bpe_init(sx_bpe *bpe, size_t n)
{
    size_t slots = 2;

    *bpe = (sx_bpe){.shift = 63};
    memset(bpe->byte_id, 0xff, sizeof bpe->byte_id);
    for (; slots < 2 * n; slots *= 2)
        bpe->shift--;
    bpe->slots = malloc(slots * sizeof *bpe->slots);
    bpe->merged = malloc((n + 1) * sizeof *bpe->merged);
    if (!bpe->slots || !bpe->merged) {
        sx_bpe_clear(bpe);
        return -ENOMEM;
    }
    memset(bpe->slots, 0xff, slots * sizeof *bpe->slots);
    return 0;
}

void sx_bpe_clear(sx_bpe *bpe)
{
    free(bpe->slots);
    free(bpe->merged);
    bpe->slots = NULL;
    bpe->merged = NULL;
}

static inline uint64_t pair_of(uint32_t left, uint32_t right)
{
    return (uint64_t)left << 20 | right;
}

/* The slot that holds the pair, or the empty one where it would go. */
static inline uint64_t *find_slot(const sx_bpe *bpe, uint64_t pair)
{
    size_t mask = ((size_t)1 << (64 - bpe->shift)) - 1;
    size_t slot = (size_t)((pair * 0x9e3779b97f4a7c15u) >> bpe->shift); /* 2^64 / golden ratio */

    while (bpe->slots[slot] != EMPTY && bpe->slots[slot] >> 24 != pair)
        slot = (slot + 1) & mask;
    return &bpe->slots[slot];
}

static inline uint32_t find_rank(const sx_bpe *bpe, uint32_t left, uint32_t right)
{
    uint64_t slot = *find_slot(bpe, pair_of(left, right));

    return slot == EMPTY ? SX_NONE : (uint32_t)(slot & 0xffffff);
}

int sx_bpe_add(sx_bpe *bpe, uint32_t left, uint32_t right, uint32_t rank, uint32_t joined)
{
    uint64_t *slot = find_slot(bpe, pair_of(left, right));

    if (*slot != EMPTY)
        return -EEXIST;
    *slot = pair_of(left, right) << 24 | rank;
    bpe->merged[rank] = joined;
    return 0;
}

/* n <= SHORT_PIECE. ids: room for n. Returns how many tokens. */
static size_t merge_short(const sx_bpe *bpe, const uint8_t *bytes, size_t n, uint32_t *ids)
{
    uint32_t id[SHORT_PIECE], rank[SHORT_PIECE]; /* rank[i]: of joining i and i + 1 */

    for (size_t i = 0; i < n; i++)
        id[i] = bpe->byte_id[bytes[i]];
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = find_rank(bpe, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            best = rank[i] < rank[best] ? i : best;
        if (rank[best] == SX_NONE)
            break;
        id[best] = bpe->merged[rank[best]];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            id[i] = id[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best > 0)
            rank[best - 1] = find_rank(bpe, id[best - 1], id[best]);
        if (best + 1 < n)
            rank[best] = find_rank(bpe, id[best], id[best + 1]);
    }
    memcpy(ids, id, n * sizeof *ids);
    return n;
}

/* A long piece: a doubly linked list of tokens addressed by their first byte, the rank of joining
 * each with its successor, and a tree of minima over groups of ranks: a merge costs O(log n). */
typedef struct long_piece {
    uint32_t *id, *next, *prev; /* [n] */
    uint32_t *rank;             /* [groups * GROUP], SX_NONE where there is nothing to join */
    uint32_t *tree; /* [2 * leaves]: tree[leaves + g] the least rank of group g, tree[1] of all */
    size_t leaves;
} long_piece;

static uint32_t group_minimum(const long_piece *p, size_t group)
{
    const uint32_t *rank = p->rank + group * GROUP;
    uint32_t least = rank[0];

    for (unsigned i = 1; i < GROUP; i++)
        least = rank[i] < least ? rank[i] : least;
    return least;
}

static void set_rank(long_piece *p, size_t at, uint32_t rank)
{
    size_t node = p->leaves + at / GROUP;
    uint32_t least;

    p->rank[at] = rank;
    least = group_minimum(p, at / GROUP);
    while (p->tree[node] != least) {
        p->tree[node] = least;
        if (node == 1)
            break;
        least = p->tree[node] < p->tree[node ^ 1] ? p->tree[node] : p->tree[node ^ 1];
        node /= 2;
    }
}

/* The leftmost place of the least rank, which exists. */
static size_t find_least(const long_piece *p)
{
    uint32_t least = p->tree[1];
    size_t node = 1, at;

    while (node < p->leaves)
        node = 2 * node + (p->tree[2 * node] != least);
    for (at = (node - p->leaves) * GROUP; p->rank[at] != least; at++)
        ;
    return at;
}

static size_t merge_long(const sx_bpe *bpe, const uint8_t *bytes, size_t n, uint32_t *ids)
{
    long_piece p = {.leaves = 1};
    size_t groups = (n + GROUP - 1) / GROUP, count = SIZE_MAX;

    while (p.leaves < groups)
        p.leaves *= 2;
    p.id = malloc((3 * n + groups * GROUP + 2 * p.leaves) * sizeof *p.id);
    if (!p.id)
        goto out;
    p.next = p.id + n;
    p.prev = p.next + n;
    p.rank = p.prev + n;
    p.tree = p.rank + groups * GROUP;
    for (size_t i = 0; i < n; i++) {
        p.id[i] = bpe->byte_id[bytes[i]];
        p.next[i] = (uint32_t)i + 1;
        p.prev[i] = (uint32_t)i - 1;
    }
    for (size_t i = 0; i < groups * GROUP; i++)
        p.rank[i] = i + 1 < n ? find_rank(bpe, p.id[i], p.id[i + 1]) : SX_NONE;
    for (size_t i = 0; i < p.leaves; i++)
        p.tree[p.leaves + i] = i < groups ? group_minimum(&p, i) : SX_NONE;
    for (size_t i = p.leaves - 1; i > 0; i--)
        p.tree[i] = p.tree[2 * i] < p.tree[2 * i + 1] ? p.tree[2 * i] : p.tree[2 * i + 1];

    while (p.tree[1] != SX_NONE) {
        size_t left = find_least(&p), right = p.next[left], behind = p.next[right];
        p.id[left] = bpe->merged[p.rank[left]];
        p.next[left] = (uint32_t)behind;
        set_rank(&p, right, SX_NONE);
        if (behind < n)
            p.prev[behind] = (uint32_t)left;
        set_rank(&p, left, behind < n ? find_rank(bpe, p.id[left], p.id[behind]) : SX_NONE);
        if (left > 0)
            set_rank(&p, p.prev[left], find_rank(bpe, p.id[p.prev[left]], p.id[left]));
    }
    count = 0;
    for (size_t i = 0; i < n; i = p.next[i])
        ids[count++] = p.id[i];
out:
    free(p.id);
    return count;
}

size_t sx_bpe_merge(const sx_bpe *bpe, const uint8_t *bytes, size_t n, uint32_t *ids)
{
    return n <= SHORT_PIECE ? merge_short(bpe, bytes, n, ids) : merge_long(bpe, bytes, n, ids);
}
