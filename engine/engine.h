/* engine.h: segments of tokens and a question in, answer text and attended blocks out.
 *
 *   segments -> k, v, landmarks -> selection -> attention -> answer + mass
 *
 * Knows no git, no SQL, no widgets; nothing here prints or exits.
 *
 * Errors: 0 or a negative errno, and one line in err[] (may be NULL) of the form
 * "E-NAME: what, which file; what was kept; what to do":
 *   -ECANCELED stopped   -ENOMEM, -ENOSPC short of room   -EIO a slab failed
 *   -EBADMSG the model is refused   -EINVAL a wrong argument   -ENOTRECOVERABLE our bug */
#ifndef SX_ENGINE_H
#define SX_ENGINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- the engine: model, tokenizer, kernels; read-only once open and shared between threads ------
 */

typedef struct sx_engine sx_engine;

typedef struct sx_engine_options {
    const char *model_dir; /* config.json, tokenizer.json, *.safetensors */
    int threads;           /* 0: as many as this process may use */
    const char *device;    /* NULL or "auto", "cpu", "cuda" */
    bool tokenizer_only;   /* no weights: enough for sx_engine_tokenize() and sx_engine_info */
} sx_engine_options;

typedef struct sx_engine_info {
    char model[33];    /* hex fingerprint of config, weights, tokenizer: names the slabs */
    char text[33];     /* hex fingerprint of what segments depend on: tokenizer and segment sizes */
    char name[64];     /* for people: the directory's name or config's, display-safe */
    char device[64];   /* "cpu (avx512, 2 threads)" */
    uint32_t n_global; /* global layers */
    uint32_t segment_tokens, block_tokens, header_tokens, file_token, top_k;
    /* Tokens of its path, and blocks, that a block is read with at most (sx_passage); 0: none */
    uint32_t read_path, read_blocks;
    float lexical_weight; /* what words count beside landmarks in the ranking (app/ranking.h) */
    size_t landmark_row;  /* bytes of a row in the slab landmarks.<model>: one block, one layer */
    size_t kv_row;        /* bytes of a row in the slab kv.<model>: one token, one layer */
} sx_engine_info;

int sx_engine_open(sx_engine **out, const sx_engine_options *options, char *err, size_t errlen);
void sx_engine_close(sx_engine *engine); /* NULL is fine */
const sx_engine_info *sx_engine_get_info(const sx_engine *engine);

/* Bytes -> token ids, with the offset of the byte behind each token. ids, ends: room for n. Returns
 * how many. Any bytes; never a control token. Thread-safe. */
size_t sx_engine_tokenize(const sx_engine *engine, const uint8_t *bytes, size_t n, uint32_t *ids,
                          uint32_t *ends);

/* ---- slabs: append-only files of fixed-size rows
 * ------------------------------------------------- */

typedef struct sx_slab sx_slab;
/* Opens, or makes where `writable`, the slab at `path`. -EIO with E-SLAB-BAD if the file is no slab
 * of this row size. *out is the caller's. */
int sx_slab_open(sx_slab **out, const char *path, size_t row_bytes, bool writable, char *err,
                 size_t errlen);
void sx_slab_close(sx_slab *slab);
/* Writes rows at `row`, which is the end or an unreferenced row before it. */
int sx_slab_write(sx_slab *slab, int64_t row, const void *rows, size_t n, char *err, size_t errlen);
/* Makes what was written durable; after it, the catalogue may reference the rows. */
int sx_slab_sync(sx_slab *slab, char *err, size_t errlen);
/* Address of `n` rows from `row` in a read-only mapping that lives until close; NULL if the file
 * does not hold them. */
const void *sx_slab_rows(sx_slab *slab, int64_t row, size_t n);

/* ---- encoding a context
 * ----------------------------------------------------------------------------- */

typedef struct sx_encode_input { /* tokens and block_starts are malloc'ed and become the encoder's
                                  */
    int64_t id;
    uint32_t n_tokens, n_blocks;
    uint32_t *tokens;
    uint32_t *block_starts; /* token index in the segment; first is 0 */
} sx_encode_input;
typedef struct sx_encode_output { /* lives until the sink returns */
    int64_t id;
    uint32_t n_tokens, n_blocks;
    const void *landmarks; /* n_global * n_blocks rows, layer by layer */
    const void *kv;        /* n_global * n_tokens rows, layer by layer */
} sx_encode_output;
/* Source: 1 and *in, 0 when there are no more, negative to stop with that error. Source and sink
 * are called from worker threads, one call at a time. A segment's result depends on its tokens
 * alone. */
typedef int (*sx_encode_source_fn)(sx_encode_input *in, void *user);
typedef int (*sx_encode_sink_fn)(const sx_encode_output *out, void *user);
/* Encodes until the source is dry, on all threads. *stop true: -ECANCELED within 100 ms; what the
 * sink got is whole. */
int sx_encode(sx_engine *engine, sx_encode_source_fn source, sx_encode_sink_fn sink, void *user,
              const atomic_bool *stop, char *err, size_t errlen);

/* ---- a context: what a question sees
 * ------------------------------------------------------------------ */

typedef struct sx_context sx_context; /* one thread at a time */

typedef struct sx_context_segment {
    int64_t id;
    uint32_t n_tokens, n_blocks;
    const uint32_t *block_starts; /* [n_blocks], copied */
    const void *landmarks; /* rows as sx_encode_output gives them; must outlive the context */
    const void *kv;        /* likewise; NULL: recomputed from tokens when selected */
} sx_context_segment;

int sx_context_new(sx_context **out, sx_engine *engine, char *err, size_t errlen);
void sx_context_free(sx_context *context);
/* Segments in tree order. -EINVAL for one that does not fit the model: too long, a block too long
 * or empty. */
int sx_context_add(sx_context *context, const sx_context_segment *segment, char *err,
                   size_t errlen);
/* Where tokens come from when k and v were not kept. *tokens is malloc'ed and becomes the engine's.
 */
typedef int (*sx_context_tokens_fn)(int64_t segment_id, uint32_t **tokens, uint32_t *n, void *user);
void sx_context_set_tokens(sx_context *context, sx_context_tokens_fn fn, void *user);
uint64_t sx_context_tokens(const sx_context *context);
uint32_t sx_context_blocks(const sx_context *context);
/* Block index of the context -> index of its segment (order of sx_context_add) and block inside it.
 */
void sx_context_locate(const sx_context *context, uint32_t block, uint32_t *segment,
                       uint32_t *block_in_segment);

/* ---- asking
 * ------------------------------------------------------------------------------------------- */

typedef enum sx_attention {
    SX_ATTENTION_SPARSE,
    SX_ATTENTION_DENSE,
    SX_ATTENTION_WINDOW
} sx_attention;

typedef struct sx_block_weight {
    uint32_t block; /* index in the context */
    float rank; /* log-probability at <a> among the blocks it saw: log-softmax over them of the sum
                 * over the global layers of rank_weight * exp(it) * score, the late interaction
                 * (late_interaction.h) and what its passage says read alone (reading.h); -INFINITY
                 * for what only the answer's tokens chose, or <a> when it looked again */
    float mass; /* share of the attention of <a> and the answer's tokens, mean over heads and
                 * global layers, mean over those tokens; in [0, 1] */
} sx_block_weight;

typedef enum sx_event_kind {
    SX_EVENT_READ, /* <a> has chosen its blocks: blocks[] by rank, mass of <a> alone so far */
    SX_EVENT_TEXT, /* a piece of the answer, whole UTF-8 characters, not NUL-terminated */
    SX_EVENT_WORK  /* still busy: done of total segments recomputed; total 0: only asks to go on */
} sx_event_kind;
typedef struct sx_event {
    sx_event_kind kind;
    const sx_block_weight *blocks; /* READ: all blocks chosen, best first. TEXT: blocks attended by
                                    * this token, mass of this token alone */
    size_t n_blocks;
    float margin; /* READ: see sx_answer */
    bool source;  /* READ: the answer begins as source does: it quotes a place, or tries to */
    const char *text;
    size_t n_text;
    uint64_t done, total;
} sx_event;
/* Non-zero stops the answer; sx_ask() then returns -ECANCELED. Asked at least every 100 ms. */
typedef int (*sx_event_fn)(const sx_event *event, void *user);

enum { SX_PLACE_MOST = 8 }; /* as many as training holds right for one definition */
/* What is read where a question is to say of a block, alone, how well it answers: the definition
 * that the block belongs to, as far as it fits, and what a reader of it would look up to. */
enum { SX_PASSAGE_BLOCKS = 5 };
typedef struct sx_passage {
    uint32_t path, path_first, path_tokens; /* the path: tokens of block `path`; 0 tokens: none */
    int32_t around; /* block in which the definition around begins, -1: none, or among `blocks` */
    uint32_t n;     /* 1 to SX_PASSAGE_BLOCKS - 1 */
    uint32_t blocks[SX_PASSAGE_BLOCKS - 1]; /* the block itself and others; two with the same ones
                                             * are one passage */
    float prior; /* what the caller counts for the block beside its score: the first by both are
                  * read */
} sx_passage;
typedef struct sx_ask_options {
    uint32_t max_tokens; /* 0: 72 */
    uint32_t top_k;      /* 0: the model's */
    sx_attention attention;
    const uint32_t *joined; /* blocks that every token of the question and the answer selects in
                             * every global layer beside its own choice (sparse attention only) */
    size_t n_joined;
    /* Asked after READ: which blocks an answer that is source, and quotes one place, is to be read
     * from and from no other (sparse attention only). blocks: room for SX_PLACE_MOST -> how many;
     * 0: from wherever each token chooses. Called with sx_ask()'s user. NULL: likewise. */
    size_t (*place)(uint32_t *blocks, void *user);
    /* Asked before READ, where the model reads passages (sx_engine_info.read_blocks): those of n
     * blocks. Non-zero stops the answer, as an event's. Called with sx_ask()'s user. NULL: a block
     * is its own passage. */
    int (*passages)(sx_passage *out, const uint32_t *blocks, size_t n, void *user);
} sx_ask_options;

typedef struct sx_answer {
    char *text; /* as generated, NUL-terminated, valid UTF-8 */
    uint32_t n_tokens;
    sx_block_weight *blocks; /* every block that <a> or an answer token chose; by rank, then mass */
    size_t n_blocks;
    float margin; /* above 0: some block answers better than "not in this repository", by landmarks
                   * and by what the first passage says read alone; +INFINITY where the model cannot
                   * tell, -INFINITY where the answer says that it is not */
    double prefill_ms, decode_ms;
} sx_answer;
void sx_answer_clear(sx_answer *answer); /* frees what it points to */

/* <q> question <a>, then greedy decoding until <eos>. An empty context is fine: the answer then
 * comes from nothing. out is cleared first. */
int sx_ask(sx_context *context, const char *question, const sx_ask_options *options,
           sx_event_fn event, void *user, sx_answer *out, char *err, size_t errlen);

#endif
