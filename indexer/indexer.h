/* indexer.h: a git repository in, definitions and segments of tokens out.
 *
 *   repository -> blobs -> definitions -> segments -> catalogue
 *
 * Knows git, grammars and SQL; knows no model: how bytes become tokens is handed in as a function
 * (sx_text_model). Nothing here prints or exits.
 *
 * Errors: every function that can fail returns 0 or a negative errno and writes one line to err[]
 * of the form "E-NAME: what, which file; what was kept; what to do" (err may be NULL). The errno
 * tells the kind, and app/ turns it into the exit code of design.md section 5:
 *   -ECANCELED cancelled   -EBUSY another process holds the index   -ENOSPC, -ENOMEM short of room
 *   -EIO the catalogue or a file of the cache failed   -ENOENT no such thing (revision, name)
 *   -EBADMSG and -EACCES the repository is refused   -ENOTRECOVERABLE our bug
 * Names that come from a repository are bytes, not text; in err[] they are escaped already. */
#ifndef SX_INDEXER_H
#define SX_INDEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SX_OID_SIZE 20
typedef struct sx_oid {
    uint8_t id[SX_OID_SIZE];
} sx_oid;

/* How bytes become tokens and how tokens are grouped: the model's side of a segment.
 * tokenize() writes at most n ids (a token is at least one byte) and, for each, the offset of the
 * byte behind it; it returns the number of tokens and may be called from several threads at once.
 */
typedef struct sx_text_model {
    char fingerprint[33];    /* hex; two models with equal fingerprints cut equal segments */
    uint32_t file_token;     /* the control token <file> in front of a segment's path */
    uint32_t segment_tokens; /* most tokens of a file in a segment; the header comes on top */
    uint32_t block_tokens;   /* most tokens in a block */
    uint32_t header_tokens;  /* most tokens of the header, <file> included (64) */
    size_t (*tokenize)(void *user, const uint8_t *bytes, size_t n, uint32_t *ids, uint32_t *ends);
    void *user;
} sx_text_model;

/* ---- opening -------------------------------------------------------------------------------- */

typedef struct sx_index sx_index; /* one repository and its catalogue; one thread at a time */

typedef struct sx_index_options {
    const char *repository;  /* a path inside a work tree, a git directory or a bare repository */
    const char *cache_root;  /* NULL: $XDG_CACHE_HOME/sparsex, or ~/.cache/sparsex */
    const char *queries_dir; /* where <language>.scm are */
    bool allow_outside;      /* follow gitdir/alternates/includes that leave the repository */
    int threads;             /* 0: as many as there are cores */
} sx_index_options;

/* Looks at the control files of the git directory, opens the repository's object database and its
 * catalogue (made if absent). *out is the caller's, for sx_index_close(). */
int sx_index_open(sx_index **out, const sx_index_options *options, char *err, size_t errlen);
void sx_index_close(sx_index *index); /* NULL is fine */

const char *sx_index_directory(const sx_index *index); /* $CACHE/<repo-id>, absolute */
const char *
sx_index_repository(const sx_index *index); /* the git directory's work tree or itself, absolute */
const char *sx_index_git_directory(
    const sx_index *index); /* real path; of the main one for a linked work tree */

/* The right to write to this index: taken for update and for encoding. -EBUSY if another process
 * holds it after wait_ms. Released by sx_index_unlock() or by the death of the process. */
int sx_index_lock(sx_index *index, int wait_ms, char *err, size_t errlen);
void sx_index_unlock(sx_index *index);

/* ---- bringing the catalogue up to date ------------------------------------------------------ */

typedef enum sx_skip { /* why a path of the tree is no context; stored by name, not by number */
                       SX_SKIP_NONE,
                       SX_SKIP_EMPTY,
                       SX_SKIP_BINARY, /* holds NUL bytes or is an image, archive, object, ... by
                                          its name */
                       SX_SKIP_TOO_LARGE,
                       SX_SKIP_LFS_POINTER,
                       SX_SKIP_SUBMODULE,
                       SX_SKIP_SYMLINK,
                       SX_SKIP_GENERATED, /* minified, lock files, generated parsers: said by name
                                             or first lines */
                       SX_SKIP_ENCODING,  /* UTF-16/32 and other text that is not byte-compatible
                                             with ASCII */
                       SX_SKIP_SECRET,    /* .env, private keys, credentials */
                       SX_SKIP_MISSING, /* object not in the database (partial clone, corruption) */
                       SX_SKIP_CORRUPT, /* object there but unreadable */
                       SX_SKIP_TREE_DEEP, /* below the depth limit */
                       SX_SKIP_TREE_HUGE, /* past the limit on paths */
                       SX_SKIP_PATH_LONG,
                       SX_SKIP_COPIES, /* the same content again, past the limit on copies of one
                                          blob */
                       SX_SKIP_COUNT
} sx_skip;
const char *sx_skip_name(sx_skip skip); /* "too-large", ... */

/* What a file is, which decides when it is encoded: the order of these numbers. */
typedef enum sx_file_class {
    SX_CLASS_SOURCE,
    SX_CLASS_TEST,
    SX_CLASS_VENDORED,
    SX_CLASS_DOCUMENT, /* prose, data, configuration */
    SX_CLASS_COUNT
} sx_file_class;
const char *sx_file_class_name(sx_file_class file_class);

typedef struct sx_index_progress { /* counts what had to be done, not what was there already */
    const char *step;              /* "reading the tree", "parsing" */
    uint64_t files_done, files_total;
    uint64_t bytes_done, bytes_total;
    uint64_t tokens_done;
} sx_index_progress;
/* Called a few times a second, from one thread at a time; non-zero cancels, and what is already
 * committed to the catalogue stays. */
typedef int (*sx_index_progress_fn)(const sx_index_progress *progress, void *user);

typedef struct sx_commit {
    int64_t id; /* row of the catalogue */
    sx_oid oid;
    char hex[SX_OID_SIZE * 2 + 1];
    uint64_t files;   /* in the context */
    uint64_t skipped; /* not in it, with a reason */
    uint64_t bytes, tokens, segments, blocks, definitions, references;
    bool complete; /* every file of the commit was reached; false after a cancelled update */
    bool damaged;  /* something could not be read: missing, corrupt, tree-deep, tree-huge */
} sx_commit;

/* Reads the tree of `rev` (NULL: HEAD) and brings every blob of it that the catalogue does not hold
 * through definitions and segments, on all cores, a batch a transaction. Needs the lock.
 * What is there already for (path, blob, text model) is not touched again. */
int sx_index_update(sx_index *index, const char *rev, const sx_text_model *text,
                    sx_index_progress_fn progress, void *user, sx_commit *out, char *err,
                    size_t errlen);

/* The commit `rev` names now, without indexing: -ENOENT and a sentence if the catalogue has it not
 * (complete) for this text model. out->oid and out->hex are set even then if the revision exists.
 */
int sx_index_find_commit(sx_index *index, const char *rev, const char *text_fingerprint,
                         sx_commit *out, char *err, size_t errlen);

/* ---- segments: what the engine encodes ------------------------------------------------------ */

typedef struct sx_block_row { /* a block's start inside its segment */
    uint32_t token;           /* index into the segment's tokens, header included; first is 0 */
    uint32_t byte; /* offset in the blob, behind the blanks that the block begins with: where
                    * a definition starts when the block does */
} sx_block_row;

typedef struct sx_segment_row {
    int64_t id; /* row of the catalogue: stands for (path, blob, text model, ordinal) */
    int64_t blob_id;
    const char *path; /* bytes, NUL-terminated (git allows no NUL in a name) */
    uint32_t ordinal; /* 0, 1, ... inside its file */
    sx_file_class file_class;
    uint32_t n_tokens; /* header included */
    uint32_t n_blocks;
    uint32_t byte_start, byte_end; /* of the blob */
    const sx_block_row *blocks;    /* [n_blocks] */
    const uint32_t *tokens;        /* [n_tokens], header included; NULL where not asked for */
    int64_t landmark_row;          /* extents for the model asked for; -1: none */
    int64_t kv_row;
} sx_segment_row;

typedef enum sx_segment_order { SX_ORDER_TREE, SX_ORDER_ENCODE } sx_segment_order;
typedef struct sx_segment_cursor sx_segment_cursor;

/* Walks the segments of a commit: in tree order (the context), or in the order of encoding (source,
 * test, vendored, document; tree order inside), there only those without a landmark extent for
 * `model`. model names the slabs' extents (hex fingerprint of the model files). */
int sx_segments_begin(sx_segment_cursor **out, sx_index *index, const sx_commit *commit,
                      const char *text_fingerprint, const char *model, sx_segment_order order,
                      bool with_tokens, char *err, size_t errlen);
/* 1 and *row (valid until the next call), 0 at the end, or negative. Between calls the index may be
 * asked other things and extents may be put. */
int sx_segments_next(sx_segment_cursor *cursor, sx_segment_row *row, char *err, size_t errlen);
void sx_segments_end(sx_segment_cursor *cursor);

/* One segment's tokens, for recomputing: *ids is the caller's, for free(). */
int sx_segment_tokens(sx_index *index, int64_t segment_id, uint32_t **ids, uint32_t *n_ids,
                      char *err, size_t errlen);

typedef struct sx_extent {
    int64_t segment_id;
    int64_t landmark_row; /* first row in landmarks.<model>; rows = n_blocks * global layers */
    int64_t kv_row; /* first row in kv.<model>; rows = n_tokens * global layers; -1: not kept */
} sx_extent;
/* Records extents whose rows are on disk already; one transaction. Needs the lock. layers: global
 * layers of the model; with another number than the first time: -EIO. */
int sx_extents_put(sx_index *index, const char *model, uint32_t layers, const sx_extent *extents,
                   size_t n, char *err, size_t errlen);
/* First free row behind everything referenced, per slab. 0 if nothing is. */
int sx_extents_end(sx_index *index, const char *model, int64_t *landmark_rows, int64_t *kv_rows,
                   char *err, size_t errlen);

/* ---- looking things up ---------------------------------------------------------------------- */

typedef struct sx_definition_row {
    int64_t id;
    int64_t blob_id;
    const char *path;              /* NULL from sx_definitions_of_blob() */
    const char *name;              /* bytes of the blob; qualified by `scope` */
    const char *scope;             /* names of the enclosing definitions joined by '.', or "" */
    const char *kind;              /* "function", "method", "class", "struct", ... */
    uint32_t start_byte, end_byte; /* the definition, doc comment not included */
    uint32_t name_start, name_end;
    uint32_t doc_start, doc_end;   /* equal: no doc comment */
    uint32_t signature_end;        /* [start_byte, signature_end) is the signature */
    uint32_t start_line, end_line; /* from 1, inclusive, of start_byte and end_byte - 1 */
} sx_definition_row;
/* Non-zero from the callback ends the walk. Strings live until it returns. It may call other
 * functions of the index that read, for the same commit. */
typedef int (*sx_definition_fn)(const sx_definition_row *row, void *user);

/* Every definition of that name in the commit, in tree order. Exact, byte for byte; a name with
 * scope ("Ring.push", "Ring::push") is matched with its scope. */
int sx_definitions_named(sx_index *index, const sx_commit *commit, const char *name,
                         sx_definition_fn fn, void *user, char *err, size_t errlen);
/* All definitions of one blob by start_byte. */
int sx_definitions_of_blob(sx_index *index, int64_t blob_id, sx_definition_fn fn, void *user,
                           char *err, size_t errlen);
/* The definitions of the commit, all of them, in tree order (path set). */
int sx_definitions_all(sx_index *index, const sx_commit *commit, sx_definition_fn fn, void *user,
                       char *err, size_t errlen);

typedef struct sx_reference_row {
    int64_t blob_id;
    const char *path;
    const char *name;
    uint32_t start_byte, end_byte;
    uint32_t line;
    const char *in_definition; /* name of the innermost definition around it, or "" */
} sx_reference_row;
typedef int (*sx_reference_fn)(const sx_reference_row *row, void *user);
int sx_references_named(sx_index *index, const sx_commit *commit, const char *name,
                        sx_reference_fn fn, void *user, char *err, size_t errlen);

/* ---- words ---------------------------------------------------------------------------------- */

/* What a question's own words lead to. A unit is a definition's own text with its doc comment,
 * without the definitions inside it, or at most 40 lines outside of definitions (units.h says
 * exactly, and terms.h what a term is). */
typedef struct sx_words sx_words; /* the words of a commit's context; read-only, may be shared */

typedef struct sx_word_hit {
    const char *path; /* of the sx_words */
    int64_t blob_id;
    uint32_t start_byte, end_byte; /* of the definition as sx_definition_row has it, or the lines;
                                    * what a unit too full for one is continued in starts later */
    float score;                   /* 0 .. 1: share of the most that can be scored */
} sx_word_hit;

/* Reads the words of every file of the commit that is in the context: about 6 bytes for each
 * different word of a unit, once a blob. *out is the caller's; it does not need the index any more.
 */
int sx_words_load(sx_words **out, sx_index *index, const sx_commit *commit, char *err,
                  size_t errlen);
void sx_words_free(sx_words *words); /* NULL is fine */

/* The units that hold the question's words, best first, equals in tree order: how many, at most
 * `most` (hits: room for those), or -ENOMEM. Scores are BM25F over the units of the commit, a blob
 * at two paths counted twice: the sum over the question's terms, without those that say nothing
 * unless it has no others, of weight * tf / (1.5 + tf), over the sum of the weights of those that
 * some unit holds
 *
 *   weight = ln(1 + (N - df + 0.5) / (df + 0.5)) + what associations.h says, at least 0.05
 *   tf = head + body / (0.15 + 0.85 * length / mean length) + (the path holds it ? 1 : 0)
 *
 * with df of the N units holding the term in head, body or path. tf and df are of the term itself
 * and, each times its strength, of the terms associated with it (number: num, count) that the
 * question does not hold. That counts in full for functions; for other definitions 0.7 and for
 * lines 0.5 of it, unless the question has a word for that sort (words.c). A question is cut to its
 * first 64 terms, and of the associated ones the strongest are taken that 64 leave room for. */
int sx_words_find(const sx_words *words, const char *question, sx_word_hit *hits, size_t most,
                  char *err, size_t errlen);

/* The bytes of a blob, from the object database; *bytes is the caller's, for free(); one NUL byte
 * follows them. The blob must be one the catalogue holds. */
int sx_blob_read(sx_index *index, int64_t blob_id, uint8_t **bytes, size_t *n, char *err,
                 size_t errlen);

/* ---- status, forget ------------------------------------------------------------------------- */

typedef struct sx_index_status {
    uint64_t skipped[SX_SKIP_COUNT];           /* of the commit, by reason */
    uint64_t files[SX_CLASS_COUNT];            /* of the commit, by class */
    uint64_t encoded_segments, encoded_tokens; /* of the commit, for the model */
    uint64_t kv_tokens;                        /* of those, with k and v kept */
    uint64_t commits;                          /* in the catalogue */
    uint64_t catalog_bytes, slab_bytes;        /* on disk, whole index */
} sx_index_status;
int sx_index_get_status(sx_index *index, const sx_commit *commit, const char *text_fingerprint,
                        const char *model, sx_index_status *out, char *err, size_t errlen);

/* The skipped paths of a commit with their reasons, in tree order. */
typedef int (*sx_skipped_fn)(const char *path, sx_skip skip, uint64_t size, void *user);
int sx_index_skipped(sx_index *index, const sx_commit *commit, sx_skipped_fn fn, void *user,
                     char *err, size_t errlen);

/* Deletes everything stored for this repository: the directory of sx_index_directory(). The
 * repository itself need not exist any more. *freed: bytes deleted (may be NULL). -ENOENT if
 * nothing is stored for it, -EBUSY while another process holds the lock. */
int sx_index_forget(const sx_index_options *options, uint64_t *freed, char *err, size_t errlen);

/* SQLite's integrity check and the numbered invariants of schema.sql: 0, or -EIO and the first that
 * does not hold. */
int sx_index_verify(sx_index *index, char *err, size_t errlen);

/* Writes `bytes` as text that is safe on a terminal and inside one line: control characters,
 * invalid UTF-8, bidi overrides become \xNN or \u{N}; cut to fit `out`. Returns out. */
const char *sx_display_name(char *out, size_t outlen, const char *bytes);

#endif
