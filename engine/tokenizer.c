/* tokenizer.c: bytes <-> tokens, byte-level BPE from a tokenizer.json. Knows no model.
 *
 * A piece of the splitter that is a token in one go is found in a hash table; every other piece starts as
 * its single bytes, and the neighbours whose merge has the lowest rank are joined, leftmost first, until no
 * neighbours have a merge. */
#define XXH_INLINE_ALL            /* the hash of a piece is a few instructions, the call would be more */
#include <xxhash.h>

#include "engine/tokenizer.h"

#include "engine/file.h"
#include "engine/json.h"
#include "engine/model.h"
#include "engine/pretokenize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TOKEN_BYTES 1024u
#define MAX_VALUES      4000000u
#define MAX_MERGES      ((1u << 24) - 1)
#define NONE            UINT32_MAX /* a rank: no merge; an id: no token */
#define SHORT_PIECE     64u        /* bytes; up to it the next merge is searched by looking at all */
#define GROUP           16u        /* ranks under one leaf of the search tree of a long piece */

struct sx_tokenizer {
    sx_splitter splitter;
    uint32_t n_ids;
    uint8_t *pool;                /* the tokens' bytes, back to back by id */
    uint32_t *offset;             /* [n_ids + 1] into pool */
    uint8_t *control;             /* [n_ids] */
    uint32_t byte_id[256];
    /* merges: slot = left << 44 | right << 24 | rank, or empty */
    uint64_t *merges;
    unsigned merges_shift;        /* 64 - log2(slots) */
    uint32_t *merged;             /* rank -> id */
    /* pieces that become one token; id or NONE */
    uint32_t *pieces;
    size_t pieces_mask;
    uint32_t longest;             /* bytes of the longest of them */
    char fingerprint[33];
};

#define EMPTY UINT64_MAX

static inline uint32_t token_length(const sx_tokenizer *t, uint32_t id)
{
    return t->offset[id + 1] - t->offset[id];
}

/* ---- merging ------------------------------------------------------------------------------------- */

static inline uint32_t merge_rank(const sx_tokenizer *t, uint32_t left, uint32_t right)
{
    uint64_t key = (uint64_t)left << 20 | right;
    size_t mask = ((size_t)1 << (64 - t->merges_shift)) - 1;
    size_t slot = (size_t)((key * 0x9e3779b97f4a7c15u) >> t->merges_shift);

    while (t->merges[slot] != EMPTY) {
        if (t->merges[slot] >> 24 == key)
            return (uint32_t)(t->merges[slot] & 0xffffff);
        slot = (slot + 1) & mask;
    }
    return NONE;
}

/* n <= SHORT_PIECE. ids: room for n. Returns how many tokens. */
static size_t merge_short(const sx_tokenizer *t, const uint8_t *bytes, size_t n, uint32_t *ids)
{
    uint32_t id[SHORT_PIECE], rank[SHORT_PIECE]; /* rank[i]: of joining i and i + 1 */

    for (size_t i = 0; i < n; i++)
        id[i] = t->byte_id[bytes[i]];
    for (size_t i = 0; i + 1 < n; i++)
        rank[i] = merge_rank(t, id[i], id[i + 1]);
    while (n > 1) {
        size_t best = 0;
        for (size_t i = 1; i + 1 < n; i++)
            best = rank[i] < rank[best] ? i : best;
        if (rank[best] == NONE)
            break;
        id[best] = t->merged[rank[best]];
        n--;
        for (size_t i = best + 1; i < n; i++) {
            id[i] = id[i + 1];
            rank[i - 1] = rank[i];
        }
        if (best > 0)
            rank[best - 1] = merge_rank(t, id[best - 1], id[best]);
        if (best + 1 < n)
            rank[best] = merge_rank(t, id[best], id[best + 1]);
    }
    memcpy(ids, id, n * sizeof *ids);
    return n;
}

/* A long piece: a doubly linked list of tokens addressed by their first byte, the rank of joining each with
 * its successor, and a tree of minima over groups of ranks: a merge costs O(log n). */
typedef struct long_piece {
    uint32_t *id, *next, *prev;   /* [n] */
    uint32_t *rank;               /* [groups * GROUP], NONE where there is nothing to join */
    uint32_t *tree;               /* [2 * leaves]: tree[leaves + g] the least rank of group g, tree[1] of all */
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

static size_t merge_long(const sx_tokenizer *t, const uint8_t *bytes, size_t n, uint32_t *ids)
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
        p.id[i] = t->byte_id[bytes[i]];
        p.next[i] = (uint32_t)i + 1;
        p.prev[i] = (uint32_t)i - 1;
    }
    for (size_t i = 0; i < groups * GROUP; i++)
        p.rank[i] = i + 1 < n ? merge_rank(t, p.id[i], p.id[i + 1]) : NONE;
    for (size_t i = 0; i < p.leaves; i++)
        p.tree[p.leaves + i] = i < groups ? group_minimum(&p, i) : NONE;
    for (size_t i = p.leaves - 1; i > 0; i--)
        p.tree[i] = p.tree[2 * i] < p.tree[2 * i + 1] ? p.tree[2 * i] : p.tree[2 * i + 1];

    while (p.tree[1] != NONE) {
        size_t left = find_least(&p), right = p.next[left], behind = p.next[right];
        p.id[left] = t->merged[p.rank[left]];
        p.next[left] = (uint32_t)behind;
        set_rank(&p, right, NONE);
        if (behind < n)
            p.prev[behind] = (uint32_t)left;
        set_rank(&p, left, behind < n ? merge_rank(t, p.id[left], p.id[behind]) : NONE);
        if (left > 0)
            set_rank(&p, p.prev[left], merge_rank(t, p.id[p.prev[left]], p.id[left]));
    }
    count = 0;
    for (size_t i = 0; i < n; i = p.next[i])
        ids[count++] = p.id[i];
out:
    free(p.id);
    return count;
}

static size_t merge(const sx_tokenizer *t, const uint8_t *bytes, size_t n, uint32_t *ids)
{
    return n <= SHORT_PIECE ? merge_short(t, bytes, n, ids) : merge_long(t, bytes, n, ids);
}

/* ---- pieces that are one token --------------------------------------------------------------------- */

static inline uint32_t find_piece(const sx_tokenizer *t, const uint8_t *bytes, size_t n)
{
    size_t slot = (size_t)XXH3_64bits(bytes, n) & t->pieces_mask;
    uint32_t id;

    for (; (id = t->pieces[slot]) != NONE; slot = (slot + 1) & t->pieces_mask)
        if (token_length(t, id) == n && memcmp(t->pool + t->offset[id], bytes, n) == 0)
            return id;
    return NONE;
}

/* Every token that its own bytes are merged into. (A vocabulary may hold others.) */
static int index_pieces(sx_tokenizer *t)
{
    uint32_t *ids = malloc(MAX_TOKEN_BYTES * sizeof *ids);
    size_t slots = 2;
    int rc = -ENOMEM;

    while (slots < 2 * (size_t)t->n_ids)
        slots *= 2;
    t->pieces = malloc(slots * sizeof *t->pieces);
    if (!ids || !t->pieces)
        goto out;
    memset(t->pieces, 0xff, slots * sizeof *t->pieces);
    t->pieces_mask = slots - 1;
    for (uint32_t id = 0; id < t->n_ids; id++) {
        const uint8_t *bytes = t->pool + t->offset[id];
        uint32_t n = token_length(t, id);
        size_t count, slot;
        if (n == 0)
            continue;
        count = merge(t, bytes, n, ids);
        if (count == SIZE_MAX)
            goto out;
        if (count != 1 || ids[0] != id)
            continue;
        slot = (size_t)XXH3_64bits(bytes, n) & t->pieces_mask;
        while (t->pieces[slot] != NONE)
            slot = (slot + 1) & t->pieces_mask;
        t->pieces[slot] = id;
        t->longest = n > t->longest ? n : t->longest;
    }
    rc = 0;
out:
    free(ids);
    return rc;
}

/* ---- tokenizer.json -------------------------------------------------------------------------------- */

/* The alphabet of byte-level vocabularies: printable Latin-1 stands for itself, the other bytes, in order,
 * for U+0100 and on. Returns the byte of a code point or -1. */
static int byte_of_code(uint32_t code)
{
    uint32_t next = 0x100;

    for (uint32_t byte = 0; byte < 256; byte++) {
        bool itself = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        if (code == (itself ? byte : next))
            return (int)byte;
        next += !itself;
    }
    return -1;
}

/* added_tokens -> control[]. Tokens that are not special would have to be found in text: unsupported. */
static int read_added(sx_tokenizer *t, const json_t *root, const json_t *vocab,
                      const sx_json_source *source)
{
    const json_t *added = NULL, *token;
    size_t i;
    int rc;

    if ((rc = sx_json_array(root, "added_tokens", &added, source)) < 0)
        return rc;
    json_array_foreach(added, i, token) {
        const char *content = NULL;
        const json_t *known;
        uint32_t id = 0;
        if ((rc = sx_json_u32(token, "id", 0, t->n_ids - 1, &id, source)) < 0 ||
            (rc = sx_json_string(token, "content", &content, source)) < 0)
            return rc;
        if (!json_is_true(json_object_get(token, "special")))
            return sx_json_fail(source, "added token %u is not special: unsupported", id);
        known = json_object_get(vocab, content);
        if (t->control[id] || (known && json_integer_value(known) != (json_int_t)id))
            return sx_json_fail(source, "added token %u is named twice", id);
        t->control[id] = 1;
    }
    return 0;
}

static int read_vocab(sx_tokenizer *t, const json_t *vocab, size_t n_file,
                      const sx_json_source *source)
{
    const char **keys = calloc(t->n_ids, sizeof *keys), *key;
    int16_t byte_of[0x144];       /* the alphabet ends at U+0143 */
    json_t *value;
    size_t used = 0;
    int rc = 0;

    t->offset = calloc((size_t)t->n_ids + 1, sizeof *t->offset);
    t->pool = malloc(n_file);     /* a token's bytes are fewer than its characters in the file */
    if (!keys || !t->offset || !t->pool) {
        rc = sx_fail(source->err, source->errlen, -ENOMEM,
                     "E-RAM: vocabulary; nothing was loaded; free memory");
        goto out;
    }
    for (uint32_t code = 0; code < 0x144; code++)
        byte_of[code] = (int16_t)byte_of_code(code);
    json_object_foreach((json_t *)vocab, key, value) {
        json_int_t id = json_integer_value(value);
        if (!json_is_integer(value) || id < 0 || id >= (json_int_t)t->n_ids) {
            rc = sx_json_fail(source, "the id of token %.80s must be an integer from 0 to %u",
                              sx_show(key).s, t->n_ids - 1);
            goto out;
        }
        if (keys[id]) {
            rc = sx_json_fail(source, "id %lld stands for two tokens", (long long)id);
            goto out;
        }
        keys[id] = key;
    }
    for (uint32_t id = 0; id < t->n_ids; id++) {
        size_t n = keys[id] && !t->control[id] ? strlen(keys[id]) : 0, start = used, length;
        t->offset[id] = (uint32_t)used;
        if (keys[id] && !t->control[id] && n == 0) {
            rc = sx_json_fail(source, "token %u is empty", id);
            goto out;
        }
        for (size_t i = 0; i < n; i += length) {
            uint32_t code = NONE;
            length = sx_utf8_decode((const uint8_t *)keys[id], n, i, &code);
            if (code >= 0x144 || byte_of[code] < 0) {
                rc = sx_json_fail(source, "token %u (%.80s) is not written in bytes: unsupported", id,
                                  sx_show(keys[id]).s);
                goto out;
            }
            t->pool[used++] = (uint8_t)byte_of[code];
        }
        if (used - start > MAX_TOKEN_BYTES) {
            rc = sx_json_fail(source, "token %u is longer than %u bytes", id, MAX_TOKEN_BYTES);
            goto out;
        }
        if (used - start == 1)
            t->byte_id[t->pool[start]] = id;
    }
    t->offset[t->n_ids] = (uint32_t)used;
    for (unsigned byte = 0; byte < 256; byte++) {
        if (t->byte_id[byte] == NONE) {
            rc = sx_json_fail(source, "no token for byte 0x%02x", byte);
            goto out;
        }
    }
out:
    free(keys);
    return rc;
}

/* Token by its name in the file, or NONE. Control tokens take no part in merges. */
static uint32_t find_name(const sx_tokenizer *t, const json_t *vocab, const char *name)
{
    const json_t *value = json_object_get(vocab, name);
    uint32_t id = (uint32_t)json_integer_value(value);

    return value && !t->control[id] ? id : NONE;
}

/* merges[rank] is ["a", "b"] or "a b"; both and their join must be tokens. */
static int read_merge(sx_tokenizer *t, const json_t *vocab, const json_t *pair, uint32_t rank,
                      const sx_json_source *source)
{
    char name[2 * 2 * MAX_TOKEN_BYTES + 2]; /* a byte is at most two bytes of UTF-8 */
    const char *text = json_string_value(pair), *left = NULL, *right = NULL;
    uint32_t a, b, joined;
    uint64_t key;
    size_t slot, mask = ((size_t)1 << (64 - t->merges_shift)) - 1, n;

    if (text && strlen(text) < sizeof name) {
        char *space;
        strcpy(name, text);
        space = strchr(name, ' ');
        if (space) {
            *space = 0;
            left = name;
            right = space + 1;
        }
    } else if (json_is_array(pair) && json_array_size(pair) == 2) {
        left = json_string_value(json_array_get(pair, 0));
        right = json_string_value(json_array_get(pair, 1));
    }
    if (!left || !right)
        return sx_json_fail(source, "merge %u is no pair of tokens", rank);
    a = find_name(t, vocab, left);
    b = find_name(t, vocab, right);
    if (a == NONE || b == NONE)
        return sx_json_fail(source, "merge %u names a token that is not in the vocabulary", rank);
    n = strlen(left);
    if (n + strlen(right) >= sizeof name)
        return sx_json_fail(source, "merge %u makes a token longer than %u bytes", rank,
                            MAX_TOKEN_BYTES);
    memmove(name + n, right, strlen(right) + 1); /* `right` may lie in name, behind left and its NUL */
    if (left != name)
        memcpy(name, left, n);
    joined = find_name(t, vocab, name);
    if (joined == NONE)
        return sx_json_fail(source, "merge %u makes a token that is not in the vocabulary", rank);
    if (merge_rank(t, a, b) != NONE)
        return sx_json_fail(source, "merge %u is there twice", rank);
    t->merged[rank] = joined;
    key = (uint64_t)a << 20 | b;
    slot = (size_t)((key * 0x9e3779b97f4a7c15u) >> t->merges_shift);
    while (t->merges[slot] != EMPTY)
        slot = (slot + 1) & mask;
    t->merges[slot] = key << 24 | rank;
    return 0;
}

static int read_merges(sx_tokenizer *t, const json_t *model, const json_t *vocab,
                       const sx_json_source *source)
{
    const json_t *merges = NULL;
    size_t n, slots = 2;
    int rc;

    if ((rc = sx_json_array(model, "merges", &merges, source)) < 0)
        return rc;
    n = json_array_size(merges);
    if (n >= MAX_MERGES)
        return sx_json_fail(source, "more than %u merges", MAX_MERGES - 1);
    for (t->merges_shift = 63; slots < 2 * n; slots *= 2)
        t->merges_shift--;
    t->merges = malloc(slots * sizeof *t->merges);
    t->merged = malloc((n + 1) * sizeof *t->merged);
    if (!t->merges || !t->merged)
        return sx_fail(source->err, source->errlen, -ENOMEM,
                       "E-RAM: merges; nothing was loaded; free memory");
    memset(t->merges, 0xff, slots * sizeof *t->merges);
    for (size_t rank = 0; rank < n; rank++) {
        rc = read_merge(t, vocab, json_array_get(merges, rank), (uint32_t)rank, source);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static bool is_type(const json_t *object, const char *type)
{
    const char *value = json_string_value(json_object_get(object, "type"));

    return value && strcmp(value, type) == 0;
}

static bool is_absent(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return !value || json_is_null(value);
}

/* null, absent, false or "" */
static bool is_off(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    return is_absent(object, key) || json_is_false(value) ||
           (json_is_string(value) && json_string_length(value) == 0);
}

/* Everything in the file that changes ids must be what this file implements. post_processor only adds
 * control tokens, which are the engine's business; decoder is fixed by the byte alphabet. */
static int check_supported(const json_t *root, const sx_json_source *source)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    const json_t *steps = json_object_get(pre, "pretokenizers");
    const json_t *split = json_array_get(steps, 0), *level = json_array_get(steps, 1);
    const char *pattern = json_string_value(json_object_get(json_object_get(split, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(split, "behavior"));
    static const char *const off[] = {"dropout", "unk_token", "continuing_subword_prefix",
                                      "end_of_word_suffix", "byte_fallback", "ignore_merges"};

    if (!is_absent(root, "normalizer"))
        return sx_json_fail(source, "normalizer: unsupported");
    if (!is_absent(root, "truncation") || !is_absent(root, "padding"))
        return sx_json_fail(source, "truncation or padding: unsupported");
    if (!is_absent(root, "decoder") && !is_type(json_object_get(root, "decoder"), "ByteLevel"))
        return sx_json_fail(source, "decoder is not ByteLevel: unsupported");
    if (!is_type(model, "BPE"))
        return sx_json_fail(source, "model is not BPE: unsupported");
    for (size_t i = 0; i < sizeof off / sizeof off[0]; i++)
        if (!is_off(model, off[i]))
            return sx_json_fail(source, "model.%s: unsupported", off[i]);
    if (!is_type(pre, "Sequence") || json_array_size(steps) != 2 || !is_type(split, "Split") ||
        !is_type(level, "ByteLevel") || !json_is_false(json_object_get(level, "add_prefix_space")) ||
        !json_is_false(json_object_get(level, "use_regex")))
        return sx_json_fail(source, "pre_tokenizer is not a Split and a ByteLevel without prefix and "
                                    "regex: unsupported");
    if (!behavior || strcmp(behavior, "Isolated") != 0 ||
        !json_is_false(json_object_get(split, "invert")))
        return sx_json_fail(source, "pre_tokenizer splits otherwise than Isolated: unsupported");
    if (!pattern || !sx_splitter_knows(pattern))
        return sx_json_fail(source, "pre_tokenizer pattern: unsupported");
    return 0;
}

int sx_tokenizer_open(sx_tokenizer **out, const char *path, uint32_t vocab_size, char *err,
                      size_t errlen)
{
    sx_json_source source = {"E-VOCAB", path, err, errlen};
    sx_tokenizer *t = calloc(1, sizeof *t);
    const json_t *model = NULL, *vocab = NULL;
    uint8_t *bytes = NULL;
    json_t *root = NULL;
    size_t n = 0;
    int rc;

    *out = NULL;
    if (vocab_size < 1 || vocab_size > SX_MAX_VOCAB) {
        rc = sx_json_fail(&source, "vocab_size is %u, must be from 1 to %u", vocab_size, SX_MAX_VOCAB);
        goto out;
    }
    if (!t || !(t->control = calloc(vocab_size, 1))) {
        rc = sx_fail(err, errlen, -ENOMEM, "E-RAM: tokenizer; nothing was loaded; free memory");
        goto out;
    }
    t->n_ids = vocab_size;
    memset(t->byte_id, 0xff, sizeof t->byte_id);
    if ((rc = sx_file_read(AT_FDCWD, path, SX_MAX_TOKENIZER, &bytes, &n, err, errlen)) < 0)
        goto out;
    sx_hash_hex(bytes, n, t->fingerprint);
    if ((rc = sx_json_parse(&root, bytes, n, MAX_VALUES, &source)) < 0 ||
        (rc = check_supported(root, &source)) < 0 ||
        (rc = sx_json_object(root, "model", &model, &source)) < 0 ||
        (rc = sx_json_object(model, "vocab", &vocab, &source)) < 0 ||
        (rc = read_added(t, root, vocab, &source)) < 0 ||
        (rc = read_vocab(t, vocab, n, &source)) < 0 ||
        (rc = read_merges(t, model, vocab, &source)) < 0)
        goto out;
    if ((rc = index_pieces(t)) < 0 || (rc = sx_splitter_init(&t->splitter)) < 0) {
        sx_fail(err, errlen, rc, "E-RAM: tokenizer; nothing was loaded; free memory");
        goto out;
    }
    *out = t;
    t = NULL;
out:
    json_decref(root);
    free(bytes);
    sx_tokenizer_close(t);
    return rc;
}

void sx_tokenizer_close(sx_tokenizer *t)
{
    if (!t)
        return;
    sx_splitter_clear(&t->splitter);
    free(t->pool);
    free(t->offset);
    free(t->control);
    free(t->merges);
    free(t->merged);
    free(t->pieces);
    free(t);
}

/* ---- use ------------------------------------------------------------------------------------------ */

size_t sx_tokenizer_encode(const sx_tokenizer *t, const uint8_t *bytes, size_t n, uint32_t *ids,
                           uint32_t *ends)
{
    size_t count = 0;

    if (n >= UINT32_MAX)          /* ends[] and the list of a long piece count in 32 bits */
        return SIZE_MAX;
    for (size_t at = 0; at < n;) {
        size_t end = sx_split_next(&t->splitter, bytes, n, at), length = end - at, more = 1;
        uint32_t id = length <= t->longest ? find_piece(t, bytes + at, length) : NONE;
        if (id != NONE)
            ids[count] = id;
        else if ((more = merge(t, bytes + at, length, ids + count)) == SIZE_MAX)
            return SIZE_MAX;
        for (size_t i = count; ends && i < count + more; i++) {
            at += token_length(t, ids[i]);
            ends[i] = (uint32_t)at;
        }
        count += more;
        at = end;
    }
    return count;
}

const uint8_t *sx_tokenizer_bytes(const sx_tokenizer *t, uint32_t id, size_t *n)
{
    if (id >= t->n_ids) {
        *n = 0;
        return t->pool;
    }
    *n = token_length(t, id);
    return t->pool + t->offset[id];
}

int sx_tokenizer_is_control(const sx_tokenizer *t, uint32_t id)
{
    return id < t->n_ids && t->control[id];
}

const char *sx_tokenizer_fingerprint(const sx_tokenizer *t)
{
    return t->fingerprint;
}
