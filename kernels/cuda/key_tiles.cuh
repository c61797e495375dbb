/* key_tiles.cuh: which keys a tile of 128 query rows meets, as a list of half tiles of 64 keys, and
 * which of them each row sees. The one place where local, far and selected keys become memory
 * addresses; both attention kernels walk this list, so they cannot differ.
 *
 * Positions count from the start of the sequence (of the segment, for windows over segments). */
#ifndef SX_CUDA_KEY_TILES_CUH
#define SX_CUDA_KEY_TILES_CUH

#include <stdint.h>

enum { TILE_ROWS = 128, HALF_KEYS = 64, SELECTION_LANES = 4 }; /* 4 x 32 selected blocks at most */

/* What a half tile's keys are, and so who sees them: */
enum key_kind {
    KEYS_LOCAL,   /* lo(row) <= key <= row */
    KEYS_FAR,     /* key < lo(row): strided keys and selected blocks */
    KEYS_LANDMARK /* key + 63 < lo(row): a mean of the block at key */
};

struct key_half {
    int key;    /* position of the first key */
    int step;   /* and the distance to the next */
    int source; /* 0: k and v; 1: strided or landmark rows */
    int row;    /* first row in the source */
    int kind;
    uint32_t drop[2]; /* keys that nobody sees here, a bit each */
    float bias;       /* logarithm of the level's weight, base 2 */
    /* bit i, for rows 64 i .. of the tile: */
    int masked; /* some row does not see some key: ask columns_seen() */
    int hidden; /* no row sees any key */
};

/* What is the same for all tiles of a launch. */
struct key_levels {
    int window, dense; /* tiles before position `dense` see everything as local */
    bool own_block;    /* rows always see their own query block */
    int stride;        /* > 0: strided keys */
    bool landmarks;
    int k;         /* blocks selected at most */
    float bias[3]; /* local, far, selected */
};

__device__ __forceinline__ int first_seen(const key_levels &levels, int row, int tile)
{
    int lo = tile < levels.dense ? 0 : row - levels.window + 1;
    if (levels.own_block && lo > tile)
        lo = tile;
    return lo > 0 ? lo : 0;
}

/* Row `row` sees columns first .. last of the half tile (and of these what is not dropped). */
__device__ __forceinline__ void columns_seen(int &first, int &last, int key, int step, int kind,
                                             int row, int lo)
{
    if (kind == KEYS_LOCAL) {
        first = lo - key;
        last = row - key;
    } else {
        int before = lo - key - (kind == KEYS_LANDMARK ? HALF_KEYS : 1);
        first = 0;
        last = before < 0 ? -1 : step == 1 ? before : before / step;
    }
}

/* The list of one tile. A warp makes it together and every lane holds all of it. */
struct key_list {
    int tile;
    int lo[4]; /* first_seen of rows 0, 63, 64 and 127 */
    int n_local, n_selected, n_far, n;
    int selected[SELECTION_LANES]; /* entry 32 i + lane */
    bool drop_strided;
};

__device__ __forceinline__ void key_list_make(key_list &list, const key_levels &levels, int tile,
                                              const int32_t *selection, int lane)
{
    int found = 0, lo_max, k = tile < levels.dense ? 0 : levels.k;
    list.tile = tile;
#pragma unroll
    for (int i = 0; i < 4; i++)
        list.lo[i] = first_seen(levels, tile + i / 2 * 64 + i % 2 * 63, tile);
    lo_max = list.lo[3];
    list.n_local = (tile + TILE_ROWS - list.lo[0] / HALF_KEYS * HALF_KEYS) / HALF_KEYS;
    if (k > 0) {
#pragma unroll
        for (int i = 0; i < SELECTION_LANES; i++) {
            int at = 32 * i + lane;
            list.selected[i] = at < k ? selection[at] : -1;
            found += __popc(__ballot_sync(~0u, list.selected[i] >= 0));
        }
    }
    list.n_selected = found;
    list.n_far = 0;
    if (levels.landmarks)
        list.n_far = (lo_max / HALF_KEYS + HALF_KEYS - 1) / HALF_KEYS;
    else if (levels.stride > 0)
        list.n_far = ((lo_max + levels.stride - 1) / levels.stride + HALF_KEYS - 1) / HALF_KEYS;
    list.drop_strided = levels.stride > 0;
    /* Everything selected: strided keys and landmarks add nothing that the blocks do not hold. */
    if (found == (lo_max + HALF_KEYS - 1) / HALF_KEYS &&
        (levels.landmarks || levels.bias[1] == levels.bias[2])) {
        list.n_far = 0;
        list.drop_strided = false;
    }
    list.n = list.n_local + list.n_selected + list.n_far;
}

/* Sets masked and hidden from the rest. */
__device__ __forceinline__ void key_half_rows(key_half &half, const key_list &list)
{
    half.masked = half.hidden = 0;
#pragma unroll
    for (int part = 0; part < 2; part++) {
        int row = list.tile + 64 * part, lo = list.lo[2 * part], lo_last = list.lo[2 * part + 1];
        int end = half.kind == KEYS_LANDMARK ? HALF_KEYS - 1 : 0;
        int last = half.key + half.step * (HALF_KEYS - 1);
        bool local = half.kind == KEYS_LOCAL;
        bool hidden = local ? half.key > row + 63 || last < lo : half.key + end >= lo_last;
        bool masked = local ? last > row || half.key < lo_last : last + end >= lo;
        half.hidden |= hidden << part;
        half.masked |= (masked || half.drop[0] || half.drop[1]) << part;
    }
}

/* Half tile i of the list, nearest keys first, so that every row meets a key it sees in the first
 * two. The whole warp calls. */
__device__ __forceinline__ void key_list_at(key_half &half, const key_list &list,
                                            const key_levels &levels, int i)
{
    half.drop[0] = half.drop[1] = 0;
    half.step = 1;
    half.source = 0;
    if (i < list.n_local) {
        half.key = half.row = list.tile + TILE_ROWS - HALF_KEYS * (i + 1);
        half.kind = KEYS_LOCAL;
        half.bias = levels.bias[0];
        key_half_rows(half, list);
        return;
    }
    i -= list.n_local;
    if (i < list.n_selected) {
        int block = 0; /* each part is asked, so that the list stays in registers */
#pragma unroll
        for (int j = 0; j < SELECTION_LANES; j++) {
            int here = __shfl_sync(~0u, list.selected[j], i & 31);
            block = i >> 5 == j ? here : block;
        }
        half.key = half.row = block * HALF_KEYS;
        half.kind = KEYS_FAR;
        half.bias = levels.bias[2];
        if (list.drop_strided) { /* they are counted as strided keys */
            if (levels.stride >= HALF_KEYS)
                half.drop[0] = half.key % levels.stride == 0;
            else /* a bit every stride bits */
                half.drop[0] = half.drop[1] = levels.stride < 32 ? ~0u / ((1u << levels.stride) - 1)
                                                                 : 1;
        }
        key_half_rows(half, list);
        return;
    }
    i -= list.n_selected;
    if (i >= list.n_far) { /* behind an odd list: keys that nobody sees */
        half.key = half.row = list.tile;
        half.kind = KEYS_LOCAL;
        half.masked = half.hidden = 3;
        half.bias = 0.0f;
        return;
    }
    half.source = 1;
    half.row = i * HALF_KEYS;
    half.step = levels.landmarks ? HALF_KEYS : levels.stride;
    half.key = half.row * half.step;
    half.kind = levels.landmarks ? KEYS_LANDMARK : KEYS_FAR;
    half.bias = levels.bias[1];
    if (levels.landmarks) { /* selected blocks stand for themselves */
        uint32_t low = 0, high = 0;
#pragma unroll
        for (int j = 0; j < SELECTION_LANES; j++) {
            int at = list.selected[j] - half.row;
            if (levels.k > 32 * j && list.selected[j] >= 0 && at >= 0 && at < HALF_KEYS) {
                low |= at < 32 ? 1u << at : 0;
                high |= at < 32 ? 0 : 1u << (at - 32);
            }
        }
        half.drop[0] = __reduce_or_sync(~0u, low);
        half.drop[1] = __reduce_or_sync(~0u, high);
    }
    key_half_rows(half, list);
}

#endif
