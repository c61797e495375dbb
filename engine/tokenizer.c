/* tokenizer.c: bytes <-> tokens, byte-level BPE from a tokenizer.json. Knows no model.
 *
 * The splitter cuts the text into pieces; a piece that is one token is found in a hash table, every
 * other is merged. */
#define XXH_INLINE_ALL /* the hash of a piece is a few instructions, the call would be more */
#include <xxhash.h>

#include "engine/tokenizer.h"

#include "engine/bpe.h"
#include "engine/file.h"
#include "engine/json.h"
#include "engine/pretokenize.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define MAX_TOKEN_BYTES 1024u
#define MAX_VALUES      4000000u

struct sx_tokenizer {
    sx_splitter splitter;
    uint32_t n_ids;
    uint8_t *pool;    /* the tokens' bytes, back to back by id */
    uint32_t *offset; /* [n_ids + 1] into pool */
    uint8_t *control; /* [n_ids] */
    sx_bpe bpe;
    /* pieces that become one token; id or SX_NONE */
    uint32_t *pieces;
    size_t pieces_mask;
    uint32_t longest; /* bytes of the longest of them */
    char fingerprint[33];
};

static inline uint32_t token_length(const sx_tokenizer *t, uint32_t id)
{
    return t->offset[id + 1] - t->offset[id];
}

/* ---- pieces that are one token --------------------------------------------------------- */

static inline uint32_t find_piece(const sx_tokenizer *t, const uint8_t *bytes, size_t n)
{
    size_t slot = (size_t)XXH3_64bits(bytes, n) & t->pieces_mask;
    uint32_t id;

    for (; (id = t->pieces[slot]) != SX_NONE; slot = (slot + 1) & t->pieces_mask)
        if (token_length(t, id) == n && memcmp(t->pool + t->offset[id], bytes, n) == 0)
            return id;
    return SX_NONE;
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
        count = sx_bpe_merge(&t->bpe, bytes, n, ids);
        if (count == SIZE_MAX)
            goto out;
        if (count != 1 || ids[0] != id)
            continue;
        slot = (size_t)XXH3_64bits(bytes, n) & t->pieces_mask;
        while (t->pieces[slot] != SX_NONE)
            slot = (slot + 1) & t->pieces_mask;
        t->pieces[slot] = id;
        t->longest = n > t->longest ? n : t->longest;
    }
    rc = 0;
out:
    free(ids);
    return rc;
}

/* ---- tokenizer.json -------------------------------------------------------------------- */

/* The alphabet of byte-level vocabularies: printable Latin-1 stands for itself, the other bytes, in
 * order, for U+0100 and on. Returns the byte of a code point or -1. */
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

/* added_tokens -> control[]. Tokens that are not special would have to be found in text:
 * unsupported. */
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
    int16_t byte_of[0x144]; /* the alphabet ends at U+0143 */
    json_t *value;
    size_t used = 0;
    int rc = 0;

    t->offset = calloc((size_t)t->n_ids + 1, sizeof *t->offset);
    t->pool = malloc(n_file); /* a token's bytes are fewer than its characters in the file */
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
            uint32_t code = SX_NONE;
            length = sx_utf8_decode((const uint8_t *)keys[id], n, i, &code);
            if (code >= 0x144 || byte_of[code] < 0) {
                rc = sx_json_fail(source, "token %u (%.80s) is not written in bytes: unsupported",
                                  id, sx_show(keys[id]).s);
                goto out;
            }
            t->pool[used++] = (uint8_t)byte_of[code];
        }
        if (used - start > MAX_TOKEN_BYTES) {
            rc = sx_json_fail(source, "token %u is longer than %u bytes", id, MAX_TOKEN_BYTES);
            goto out;
        }
        if (used - start == 1)
            t->bpe.byte_id[t->pool[start]] = id;
    }
    t->offset[t->n_ids] = (uint32_t)used;
    for (unsigned byte = 0; byte < 256; byte++) {
        if (t->bpe.byte_id[byte] == SX_NONE) {
            rc = sx_json_fail(source, "no token for byte 0x%02x", byte);
            goto out;
        }
    }
out:
    free(keys);
    return rc;
}

/* Token by its name in the file, or SX_NONE. Control tokens take no part in merges. */
static uint32_t find_name(const sx_tokenizer *t, const json_t *vocab, const char *name)
{
    const json_t *value = json_object_get(vocab, name);
    uint32_t id = (uint32_t)json_integer_value(value);

    return value && !t->control[id] ? id : SX_NONE;
}

/* merges[rank] is ["a", "b"] or "a b"; both and their join must be tokens. */
static int read_merge(sx_tokenizer *t, const json_t *vocab, const json_t *pair, uint32_t rank,
                      const sx_json_source *source)
{
    char name[2 * 2 * MAX_TOKEN_BYTES + 2]; /* a byte is at most two bytes of UTF-8 */
    const char *text = json_string_value(pair), *left = NULL, *right = NULL;
    uint32_t a, b, joined;
    size_t n;

    if (text && strlen(text) < sizeof name) {
        char *space;
        memcpy(name, text, strlen(text) + 1);
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
    if (a == SX_NONE || b == SX_NONE)
        return sx_json_fail(source, "merge %u names a token that is not in the vocabulary", rank);
    n = strlen(left);
    if (n + strlen(right) >= sizeof name)
        return sx_json_fail(source, "merge %u makes a token longer than %u bytes", rank,
                            MAX_TOKEN_BYTES);
    /* `right` may lie in name, behind left and its NUL */
    memmove(name + n, right, strlen(right) + 1);
    if (left != name)
        memcpy(name, left, n);
    joined = find_name(t, vocab, name);
    if (joined == SX_NONE)
        return sx_json_fail(source, "merge %u makes a token that is not in the vocabulary", rank);
    if (sx_bpe_add(&t->bpe, a, b, rank, joined) < 0)
        return sx_json_fail(source, "merge %u is there twice", rank);
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

/* Everything in the file that changes ids must be what this file implements. post_processor only
 * adds control tokens, which are the engine's business; decoder is fixed by the byte alphabet. */
static int check_supported(const json_t *root, const sx_json_source *source)
{
    const json_t *model = json_object_get(root, "model");
    const json_t *pre = json_object_get(root, "pre_tokenizer");
    const json_t *steps = json_object_get(pre, "pretokenizers");
    const json_t *split = json_array_get(steps, 0), *level = json_array_get(steps, 1);
    const char *pattern = json_string_value(
        json_object_get(json_object_get(split, "pattern"), "Regex"));
    const char *behavior = json_string_value(json_object_get(split, "behavior"));
    static const char *const off[] = {
        "dropout",       "unk_token",    "continuing_subword_prefix", "end_of_word_suffix",
        "byte_fallback", "ignore_merges"};

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
        !is_type(level, "ByteLevel") ||
        !json_is_false(json_object_get(level, "add_prefix_space")) ||
        !json_is_false(json_object_get(level, "use_regex")))
        return sx_json_fail(source,
                            "pre_tokenizer is not a Split and a ByteLevel without prefix and "
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
    const json_t *model = NULL, *vocab = NULL, *merges = NULL;
    uint8_t *bytes = NULL;
    json_t *root = NULL;
    size_t n = 0, n_merges;
    int rc;

    *out = NULL;
    if (vocab_size < 1 || vocab_size > SX_MAX_VOCAB) {
        rc = sx_json_fail(&source, "vocab_size is %u, must be from 1 to %u", vocab_size,
                          SX_MAX_VOCAB);
        goto out;
    }
    if (!t || !(t->control = calloc(vocab_size, 1))) {
        rc = sx_fail(err, errlen, -ENOMEM, "E-RAM: tokenizer; nothing was loaded; free memory");
        goto out;
    }
    t->n_ids = vocab_size;
    if ((rc = sx_file_read(AT_FDCWD, path, SX_MAX_TOKENIZER, &bytes, &n, err, errlen)) < 0)
        goto out;
    sx_hash_hex(bytes, n, t->fingerprint);
    if ((rc = sx_json_parse(&root, bytes, n, MAX_VALUES, &source)) < 0 ||
        (rc = check_supported(root, &source)) < 0 ||
        (rc = sx_json_object(root, "model", &model, &source)) < 0 ||
        (rc = sx_json_object(model, "vocab", &vocab, &source)) < 0 ||
        (rc = sx_json_array(model, "merges", &merges, &source)) < 0)
        goto out;
    n_merges = json_array_size(merges);
    if (n_merges > SX_MAX_MERGES) {
        rc = sx_json_fail(&source, "more than %u merges", SX_MAX_MERGES);
        goto out;
    }
    if ((rc = sx_bpe_init(&t->bpe, n_merges)) < 0) {
        sx_fail(err, errlen, rc, "E-RAM: merges; nothing was loaded; free memory");
        goto out;
    }
    if ((rc = read_added(t, root, vocab, &source)) < 0 ||
        (rc = read_vocab(t, vocab, n, &source)) < 0)
        goto out;
    for (size_t rank = 0; rank < n_merges; rank++) {
        const json_t *pair = json_array_get(merges, rank);
        if ((rc = read_merge(t, vocab, pair, (uint32_t)rank, &source)) < 0)
            goto out;
    }
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
    sx_bpe_clear(&t->bpe);
    free(t->pieces);
    free(t);
}

/* ---- use ------------------------------------------------------------------------------- */

size_t sx_tokenizer_encode(const sx_tokenizer *t, const uint8_t *bytes, size_t n, uint32_t *ids,
                           uint32_t *ends)
{
    size_t count = 0;

    if (n >= UINT32_MAX) /* ends[] and the list of a long piece count in 32 bits */
        return SIZE_MAX;
    for (size_t at = 0; at < n;) {
        size_t end = sx_split_next(&t->splitter, bytes, n, at), length = end - at, more = 1;
        uint32_t id = length <= t->longest ? find_piece(t, bytes + at, length) : SX_NONE;
        if (id != SX_NONE)
            ids[count] = id;
        else if ((more = sx_bpe_merge(&t->bpe, bytes + at, length, ids + count)) == SIZE_MAX)
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
