/* session_private.h: what session.c, encoder.c and reply.c share. */
#ifndef SX_APP_SESSION_PRIVATE_H
#define SX_APP_SESSION_PRIVATE_H

#include "app/ranking.h"
#include "app/session.h"

#include <pthread.h>

typedef struct sx_context_file { /* of the context, in tree order */
    char *path;
    int64_t blob_id;
    bool aside; /* a test or a vendored copy (ranking.h) */
    size_t first_piece, n_pieces;
} sx_context_file;

typedef struct sx_context_piece { /* a segment of the context, as the engine counts them */
    uint32_t file;
    uint32_t first_block; /* in block_bytes */
    uint32_t n_blocks;
    uint32_t byte_end;
} sx_context_piece;

struct sx_session {
    sx_session_options options;
    sx_index *index;
    sx_engine *engine;
    const sx_engine_info *info;
    sx_commit commit;
    pthread_mutex_t index_lock; /* engine threads ask the index for tokens while it answers */
    bool writing;               /* this session holds the index's lock */

    sx_slab *landmarks, *kv; /* mapped behind `context` */
    sx_context *context;
    sx_context_file *files;
    size_t n_files, cap_files;
    sx_context_piece *pieces;
    size_t n_pieces, cap_pieces;
    uint32_t *block_bytes; /* first byte of each block of the context */
    size_t n_blocks, cap_blocks;
    sx_words *words;   /* the lexical channel's side of the context */
    uint32_t *by_path; /* [n_files] sorted by path */

    double index_ms, load_ms;
};

/* Paths of the slabs, for free(); NULL if memory is short. */
char *sx_session_slab_path(const sx_session *session, const char *slab);
bool sx_session_stopped(const sx_session *session);

/* lexical.c: which blocks the question's words propose. finds: room for SX_FINDS, filled for
 * ranking.h; blocks: room for SX_FINDS * SX_FIND_BLOCKS. Numbers in *n_finds, *n_blocks; 0 or
 * -ENOMEM. */
enum {
    SX_FINDS = 16,      /* units that are joined to the selection */
    SX_FINDS_ASIDE = 4, /* of those at most from tests and vendored copies (see ranking.h) */
    SX_FIND_BLOCKS = 2, /* blocks of each: its beginning */
};
/* Block `b` of a piece as ranking.h wants it, its rank and mass 0. */
sx_rank_block sx_session_rank_block(const sx_session *session, const sx_context_piece *piece,
                                    uint32_t b);
/* The first blocks of bytes [start, end) of a file, at most `most`; returns how many. */
size_t sx_session_blocks(const sx_session *session, const sx_context_file *file, uint32_t start,
                         uint32_t end, uint32_t *blocks, size_t most);
int sx_session_propose(sx_session *session, const char *question, sx_rank_find *finds,
                       size_t *n_finds, uint32_t *blocks, size_t *n_blocks);

/* definitions.c: the definitions of n of the context's files, which may repeat, as ranking.h wants
 * them. Needs the index's mutex. *out is the caller's, for sx_details_clear(). 0, or -ENOMEM or the
 * index's error, told in *failure; then there is nothing to clear. */
typedef struct sx_detail {
    sx_rank_definition rank; /* name is ours */
    char *kind, *scope;
    uint32_t name_start, name_end, doc_start, doc_end, signature_end;
} sx_detail;
typedef struct sx_details {
    sx_detail *rows;
    sx_rank_definition *ranked; /* [n]: of the rows */
    size_t n;
} sx_details;
int sx_session_details(sx_details *out, sx_session *session, const uint32_t *files, size_t n,
                       sx_failure *failure);
void sx_details_clear(sx_details *details);

/* passages.c: what each of n blocks is read with, alone: out [n]. in: as sx_rank_prior() takes it,
 * for their priors, or NULL: 0. Needs the index's mutex. 0, or -ENOMEM or the index's error, told
 * in *failure. */
int sx_session_passages(sx_session *session, sx_passage *out, const uint32_t *blocks, size_t n,
                        const sx_rank_input *in, sx_failure *failure);

/* encoder.c: encodes every segment of the commit that has no landmarks yet. Needs the lock. */
int sx_session_encode(sx_session *session, sx_failure *failure);

#endif
