/* tiny.h: a whole model of a few kilobytes, made by the tests: two layers, the second global, a
 * table of words, every dtype the engine calculates with, a byte-level vocabulary with two merges.
 */
#ifndef SX_TINY_H
#define SX_TINY_H

#include "tests/engine/scratch.h"

#include <stdbool.h>

#define TINY_VOCAB 272

static const char tiny_config[] =
    "{\"model_type\": \"sparsex\", \"vocab_size\": 272, \"hidden_size\": 8, \"num_hidden_layers\": "
    "2,\n"
    " \"num_attention_heads\": 2, \"num_key_value_heads\": 1, \"head_dim\": 4, "
    "\"intermediate_size\": 6,\n"
    " \"sliding_window\": 16, \"global_layers\": [1], \"landmark_dim\": 4, \"segment_tokens\": "
    "64,\n"
    " \"block_tokens\": 8, \"top_k_blocks\": 4, \"rope_theta\": 10000.0, \"rms_norm_eps\": 1e-6,\n"
    " \"logit_softcap\": 20.0, \"late_tokens\": 6, \"read_tokens\": 9, "
    "\"word_rows\": 16, \"word_dim\": 32, \"tie_word_embeddings\": "
    "true, "
    "\"eos_token_id\": 4, "
    "\"pad_token_id\": 0,\n"
    " \"special_tokens\": {\"file\": 1, \"question\": 2, \"answer\": 3, \"eos\": 4}}\n";

typedef struct tiny_tensor {
    const char *name, *dtype, *shape;
    unsigned bytes;
} tiny_tensor;

static const tiny_tensor tiny_tensors[] = {
    {"emb.weight", "I8", "[272,8]", 2176},
    {"emb.weight.scale", "F32", "[272]", 1088},
    {"nf", "F32", "[8]", 32},
#define TINY_LAYER(l)                                                                              \
    {"layers." l ".n1", "F32", "[8]", 32}, {"layers." l ".n2", "F16", "[8]", 16},                  \
        {"layers." l ".wq.weight", "I8", "[8,8]", 64},                                             \
        {"layers." l ".wq.weight.scale", "F32", "[8]", 32},                                        \
        {"layers." l ".wk.weight", "F16", "[4,8]", 64},                                            \
        {"layers." l ".wv.weight", "BF16", "[4,8]", 64},                                           \
        {"layers." l ".wo.weight", "F32", "[8,8]", 256},                                           \
        {"layers." l ".w1.weight", "BF16", "[12,8]", 192},                                         \
        {"layers." l ".w2.weight", "F16", "[8,6]", 96}, {"layers." l ".qs", "BF16", "[4]", 8},     \
    {                                                                                              \
        "layers." l ".ks", "F32", "[4]", 16                                                        \
    }
    TINY_LAYER("0"),
    TINY_LAYER("1"),
    {"layers.1.iq.weight", "F32", "[4,8]", 128},
    {"layers.1.ik.weight", "F32", "[4,8]", 128},
    {"layers.1.ig.weight", "F32", "[1,8]", 32},
    {"layers.1.ig.bias", "F32", "[1]", 4},
    {"layers.1.it", "F32", "[]", 4},
    {"layers.1.lq.weight", "F32", "[8,8]", 256},
    {"read", "F32", "[8]", 32},
    {"words.weight", "U8", "[16,16]", 256}, /* I4 */
    {"words.weight.group", "U8", "[16,1]", 16},
    {"words.weight.scale", "F32", "[16]", 64},
    {"wp.weight", "I8", "[8,32]", 256},
    {"wp.weight.scale", "F32", "[8]", 32},
};
#define TINY_TENSORS (sizeof tiny_tensors / sizeof tiny_tensors[0])

/* A weights file of `n` tensors; the data bytes are 0x11, which is finite in every dtype.
 * malloc'ed. */
static inline uint8_t *tiny_weights(const tiny_tensor *tensors, size_t n, size_t *n_bytes)
{
    char *header = room(n * 160 + 16);
    size_t n_header = 1, at = 0;
    uint8_t *file;

    strcpy(header, "{");
    for (size_t i = 0; i < n; i++) {
        n_header = add(header, n_header,
                       "%s\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[%zu,%zu]}",
                       i ? "," : "", tensors[i].name, tensors[i].dtype, tensors[i].shape, at,
                       at + tensors[i].bytes);
        at += tensors[i].bytes;
    }
    header[n_header++] = '}';
    *n_bytes = 8 + n_header + at;
    file = room(*n_bytes);
    memset(file, 0x11, *n_bytes);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)n_header >> 8 * i);
    memcpy(file + 8, header, n_header);
    free(header);
    return file;
}

/* A weights file of a header as given, and `n_data` bytes. malloc'ed. */
static inline uint8_t *tiny_file(const char *header, size_t n_data, size_t *n_bytes)
{
    size_t n = strlen(header);
    uint8_t *file = room(8 + n + n_data);

    memset(file, 0x11, 8 + n + n_data);
    for (int i = 0; i < 8; i++)
        file[i] = (uint8_t)((uint64_t)n >> 8 * i);
    memcpy(file + 8, header, n);
    *n_bytes = 8 + n + n_data;
    return file;
}

/* Ids: 0-4 control, 8-263 the bytes, 264 "ab", 265 "abc", 266 " a". malloc'ed. */
static inline char *tiny_tokenizer(void)
{
    static const char *const control[] = {"<pad>", "<file>", "<q>", "<a>", "<eos>"};
    char *text = room(1 << 15);
    unsigned next = 0x100;
    size_t n = 0;

    n = add(text, n,
            "{\"version\":\"1.0\",\"truncation\":null,\"padding\":null,\"added_tokens\":[");
    for (unsigned i = 0; i < 5; i++)
        n = add(text, n, "%s{\"id\":%u,\"content\":\"%s\",\"special\":true}", i ? "," : "", i,
                control[i]);
    n = add(text, n,
            "],\"normalizer\":null,\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":["
            "{\"type\":\"Split\",\"pattern\":{\"Regex\":\"'(?i:[sdmt]|ll|ve|re)|"
            "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+"
            "[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]|\\\\s+(?!\\\\S)|\\\\s+\"},"
            "\"behavior\":\"Isolated\",\"invert\":false},{\"type\":\"ByteLevel\","
            "\"add_prefix_space\":false,\"use_regex\":false}]},\"post_processor\":null,"
            "\"decoder\":{\"type\":\"ByteLevel\"},\"model\":{\"type\":\"BPE\",\"dropout\":null,"
            "\"unk_token\":null,\"vocab\":{");
    for (unsigned i = 0; i < 5; i++)
        n = add(text, n, "\"%s\":%u,", control[i], i);
    for (unsigned byte = 0; byte < 256; byte++) {
        bool itself = (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte != 0xad);
        n = add(text, n, "\"\\u%04x\":%u,", itself ? byte : next++, 8 + byte);
    }
    add(text, n,
        "\"ab\":264,\"abc\":265,\"\\u0120a\":266},\"merges\":[[\"a\",\"b\"],[\"ab\",\"c\"],"
        "\"\\u0120 a\"]}}\n");
    return text;
}

/* `text` with its first `from` replaced by `to`; malloc'ed. `from` must be there. */
static inline char *tiny_replace(const char *text, const char *from, const char *to)
{
    const char *at = strstr(text, from);
    char *out;

    if (!at) {
        fprintf(stderr, "no %s in the text\n", from);
        exit(2);
    }
    out = room(strlen(text) + strlen(to) + 1);
    add(out, 0, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    return out;
}

static inline void tiny_write(void)
{
    size_t n = 0;
    uint8_t *weights = tiny_weights(tiny_tensors, TINY_TENSORS, &n);
    char *tokenizer = tiny_tokenizer();

    scratch_text("config.json", tiny_config);
    scratch_write("model.safetensors", weights, n);
    scratch_text("tokenizer.json", tokenizer);
    free(weights);
    free(tokenizer);
}

#endif
