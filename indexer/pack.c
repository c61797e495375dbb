/* pack.c: see pack.h, which gives the formats. */
#include "indexer/pack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void sx_bytes_free(sx_bytes *bytes)
{
    free(bytes->at);
    *bytes = (sx_bytes){0};
}

void sx_bytes_put(sx_bytes *bytes, const void *from, size_t n)
{
    if (n > bytes->cap - bytes->n) {
        size_t cap = bytes->cap ? bytes->cap : 256;
        uint8_t *grown = NULL;

        while (cap - bytes->n < n && cap <= SIZE_MAX / 2)
            cap *= 2;
        if (cap - bytes->n >= n)
            grown = realloc(bytes->at, cap);
        if (!grown) {
            bytes->failed = true;
            return;
        }
        bytes->at = grown;
        bytes->cap = cap;
    }
    if (n)
        memcpy(bytes->at + bytes->n, from, n);
    bytes->n += n;
}

void sx_bytes_put_varint(sx_bytes *bytes, uint64_t value)
{
    uint8_t out[10];
    size_t n = 0;

    do {
        out[n] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
        n++;
    } while (value);
    sx_bytes_put(bytes, out, n);
}

static int get_varint(uint64_t *value, const uint8_t *from, size_t n_from, size_t *at)
{
    *value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (*at >= n_from)
            return -EBADMSG;
        *value |= (uint64_t)(from[*at] & 0x7f) << shift;
        if (!(from[(*at)++] & 0x80))
            return 0;
    }
    return -EBADMSG;
}

static int get_u32(uint32_t *value, uint32_t base, const uint8_t *from, size_t n_from, size_t *at)
{
    uint64_t step;

    if (get_varint(&step, from, n_from, at) < 0 || step > UINT32_MAX - base)
        return -EBADMSG;
    *value = base + (uint32_t)step;
    return 0;
}

void sx_pack_tokens(sx_bytes *out, const uint32_t *ids, size_t n)
{
    uint8_t width = 2;

    for (size_t i = 0; i < n; i++)
        if (ids[i] > UINT16_MAX)
            width = 4;
    sx_bytes_put(out, &width, 1);
    for (size_t i = 0; i < n; i++) {
        uint8_t id[4] = {(uint8_t)ids[i], (uint8_t)(ids[i] >> 8), (uint8_t)(ids[i] >> 16),
                         (uint8_t)(ids[i] >> 24)};
        sx_bytes_put(out, id, width);
    }
}

int sx_unpack_tokens(uint32_t *ids, size_t n, const uint8_t *from, size_t n_from)
{
    uint8_t width = n_from ? from[0] : 0;

    if ((width != 2 && width != 4) || n > (n_from - 1) / width || n * width != n_from - 1)
        return -EBADMSG;
    from++;
    for (size_t i = 0; i < n; i++, from += width)
        ids[i] = from[0] | (uint32_t)from[1] << 8 |
                 (width == 4 ? (uint32_t)from[2] << 16 | (uint32_t)from[3] << 24 : 0);
    return 0;
}

void sx_pack_blocks(sx_bytes *out, const sx_block_row *blocks, size_t n, uint32_t byte_start)
{
    sx_block_row before = {.token = 0, .byte = byte_start};

    for (size_t i = 0; i < n; i++) {
        sx_bytes_put_varint(out, blocks[i].token - before.token);
        sx_bytes_put_varint(out, blocks[i].byte - before.byte);
        before = blocks[i];
    }
}

int sx_unpack_blocks(sx_block_row *blocks, size_t n, uint32_t byte_start, uint32_t byte_end,
                     uint32_t n_tokens, const uint8_t *from, size_t n_from)
{
    sx_block_row before = {.token = 0, .byte = byte_start};
    size_t at = 0;

    for (size_t i = 0; i < n; i++) {
        if (get_u32(&blocks[i].token, before.token, from, n_from, &at) < 0 ||
            get_u32(&blocks[i].byte, before.byte, from, n_from, &at) < 0)
            return -EBADMSG;
        if (blocks[i].token >= n_tokens || blocks[i].byte > byte_end ||
            (i == 0 ? blocks[i].token != 0 : blocks[i].token == before.token))
            return -EBADMSG;
        before = blocks[i];
    }
    return at == n_from ? 0 : -EBADMSG;
}

void sx_pack_place(sx_bytes *out, const sx_reference *place, const sx_reference *before)
{
    sx_bytes_put_varint(out, place->start_byte - before->start_byte);
    sx_bytes_put_varint(out, place->line - before->line);
    sx_bytes_put_varint(out, (uint64_t)((int64_t)place->definition + 1));
}

int sx_unpack_place(sx_reference *place, const uint8_t *from, size_t n_from, size_t *at)
{
    uint64_t definition;

    if (*at == n_from)
        return 0;
    if (get_u32(&place->start_byte, place->start_byte, from, n_from, at) < 0 ||
        get_u32(&place->line, place->line, from, n_from, at) < 0 ||
        get_varint(&definition, from, n_from, at) < 0 || definition > INT32_MAX)
        return -EBADMSG;
    place->definition = (int32_t)definition - 1;
    return 1;
}

void sx_pack_file(sx_bytes *out, int64_t id, int64_t before)
{
    int64_t step = id - before;

    sx_bytes_put_varint(out, (uint64_t)step << 1 ^ (uint64_t)(step >> 63));
}

int sx_unpack_file(int64_t *id, const uint8_t *from, size_t n_from, size_t *at)
{
    uint64_t step;

    if (*at == n_from)
        return 0;
    if (get_varint(&step, from, n_from, at) < 0)
        return -EBADMSG;
    *id = (int64_t)((uint64_t)*id + (step >> 1 ^ (0 - (step & 1))));
    return *id > 0 ? 1 : -EBADMSG;
}

void sx_pack_unit(sx_bytes *out, const sx_unit *unit, const sx_word *words, uint32_t before)
{
    uint32_t hash = 0;

    sx_bytes_put_varint(out, unit->start_byte - before);
    sx_bytes_put_varint(out, unit->end_byte - unit->start_byte);
    sx_bytes_put_varint(out, 4 * (uint64_t)unit->length + unit->sort);
    sx_bytes_put_varint(out, unit->n_words);
    for (uint32_t i = 0; i < unit->n_words; i++) {
        const sx_word *word = &words[i];

        sx_bytes_put_varint(out, word->hash - hash);
        sx_bytes_put_varint(out, 2u * word->body + (word->head > 0));
        if (word->head)
            sx_bytes_put_varint(out, word->head);
        hash = word->hash;
    }
}

static int unpack_word(sx_word *word, uint32_t before, const uint8_t *from, size_t n_from,
                       size_t *at)
{
    uint64_t body, head = 0;

    if (get_u32(&word->hash, before, from, n_from, at) < 0 ||
        get_varint(&body, from, n_from, at) < 0 ||
        ((body & 1) && (get_varint(&head, from, n_from, at) < 0 || head == 0)) ||
        body / 2 > UINT8_MAX || head > UINT8_MAX || body == 0)
        return -EBADMSG;
    word->body = (uint8_t)(body / 2);
    word->head = (uint8_t)head;
    return 0;
}

int sx_unpack_unit(sx_unit *unit, sx_word *words, int64_t size, const uint8_t *from, size_t n_from,
                   size_t *at)
{
    uint64_t length;

    if (*at == n_from)
        return 0;
    if (get_u32(&unit->start_byte, unit->start_byte, from, n_from, at) < 0 ||
        get_u32(&unit->end_byte, unit->start_byte, from, n_from, at) < 0 ||
        get_varint(&length, from, n_from, at) < 0 || length / 4 > UINT32_MAX ||
        get_u32(&unit->n_words, 0, from, n_from, at) < 0)
        return -EBADMSG;
    if (unit->start_byte >= unit->end_byte || unit->end_byte > size || unit->n_words == 0 ||
        unit->n_words > SX_UNIT_WORDS)
        return -EBADMSG;
    unit->length = (uint32_t)(length / 4);
    unit->sort = length % 4;
    for (uint32_t i = 0; i < unit->n_words; i++)
        if (unpack_word(&words[i], i ? words[i - 1].hash : 0, from, n_from, at) < 0 ||
            (i > 0 && words[i].hash == words[i - 1].hash))
            return -EBADMSG;
    return 1;
}
