/* session.h: one repository, its index and one engine: open, read, ask, cancel.
 * Every front door calls this; nothing here prints or exits. One thread at a time.
 *
 *   sx_session_open -> sx_session_prepare -> sx_session_ask ...  -> sx_session_close
 *
 * Functions return 0 or a negative errno and say in *failure what failed and the exit code for it.
 */
#ifndef SX_APP_SESSION_H
#define SX_APP_SESSION_H

#include "app/errors.h"
#include "app/progress.h"
#include "app/quote.h"
#include "engine/engine.h"
#include "indexer/indexer.h"

#include <stdatomic.h>

typedef struct sx_session sx_session;

typedef struct sx_session_options { /* strings are borrowed until close */
    sx_index_options index;
    sx_engine_options engine;
    uint64_t kv_budget; /* bytes of k and v kept on disk; UINT64_MAX: decided by the free space */
    double encode_ms;   /* encode for so long at most; 0: until all is done */
    bool confine;       /* give up rights before the first hostile byte (sandbox.h) */
    const atomic_bool *stop; /* true: what runs returns -ECANCELED */
    sx_progress_fn progress; /* may be NULL */
    void *user;
} sx_session_options;

/* *out is the caller's, for sx_session_close(). */
int sx_session_open(sx_session **out, const sx_session_options *options, sx_failure *failure);
void sx_session_close(sx_session *session); /* NULL is fine */

typedef enum sx_depth { /* how much must be done before sx_session_prepare() is content */
                        SX_DEPTH_CATALOG,    /* the commit's definitions and segments are in the
                                                catalogue */
                        SX_DEPTH_ENCODED,    /* ... and every segment is encoded */
                        SX_DEPTH_CONTEXT,    /* ... and questions can be asked */
                        SX_DEPTH_CONTEXT_NOW /* questions can be asked about what is encoded already
                                              */
} sx_depth;
/* Brings the commit `rev` (NULL: HEAD) up to `depth`. Where another process holds the index, waits
 * wait_ms for it, then -EBUSY; except that with SX_DEPTH_CONTEXT the other process's work is used
 * as far as it is done. A slab that was lost is noticed here, and everything is read again. */
int sx_session_prepare(sx_session *session, const char *rev, sx_depth depth, int wait_ms,
                       sx_failure *failure);
/* Only looks: -ENOENT where the commit is not in the catalogue (commit->hex is set all the same).
 */
int sx_session_find(sx_session *session, const char *rev, sx_failure *failure);

/* Borrowed, valid until close. */
sx_index *sx_session_index(sx_session *session);
const sx_engine_info *sx_session_model(const sx_session *session);
const sx_commit *sx_session_commit(const sx_session *session);
int sx_session_status(sx_session *session, sx_index_status *status, sx_failure *failure);

typedef struct sx_span {
    const char *path;              /* the session's */
    uint32_t file;                 /* its number in the session */
    char *name, *kind, *scope;     /* "", "text", "" for lines outside every definition */
    uint32_t start_byte, end_byte; /* without the doc comment */
    uint32_t start_line, end_line; /* from 1, inclusive */
    double rank, mass, words;      /* as ranking.h has them */
    bool named;                    /* the question gives its name outright (ranking.h) */
    sx_quote_source source;        /* the blob's bytes and the parts of the span in it */
} sx_span;

typedef struct sx_file_mass {
    const char *path;
    double mass;
} sx_file_mass;

typedef struct sx_timing {
    double index, load, prefill, decode; /* ms */
} sx_timing;

typedef struct sx_reply {
    sx_span *spans; /* best first; checked against their blobs */
    size_t n_spans;
    sx_file_mass *files; /* most mass first */
    size_t n_files;
    char *text; /* as generated so far, valid UTF-8 */
    size_t n_text;
    uint32_t n_tokens;
    sx_quote quote;  /* of `text` in the spans */
    uint64_t tokens; /* of the context */
    uint32_t blocks;
    bool found;  /* false: most likely nothing in this repository answers the question */
    bool source; /* the answer is source: a quotation of the first span, or made up */
    double read; /* share of the repository's tokens in the context, 0..1 */
    sx_timing timing;
    struct sx_reply_blob *blobs; /* owned bytes behind the spans */
    size_t n_blobs;
} sx_reply;
void sx_reply_clear(sx_reply *reply); /* frees what it points to */
/* The answer as it may be shown: the source's own bytes where it is a quotation, and the head of
 * the first span where it would be one and is none. For free(). */
char *sx_reply_answer(const sx_reply *reply);

typedef struct sx_request {
    const char *text;
    uint32_t top;         /* spans wanted; the reply may hold a few more, for quotations */
    bool landmarks_alone; /* rank without looking for names in the question: for measuring */
    sx_attention attention;
    /* READ: spans are known, by rank. TEXT: reply->text and ->quote have grown. Either may be NULL.
     */
    void (*on_read)(const sx_reply *reply, void *user);
    void (*on_text)(const sx_reply *reply, void *user);
    void *user;
} sx_request;
/* reply is cleared first, the caller's for sx_reply_clear(), and must not outlive the session. */
int sx_session_ask(sx_session *session, const sx_request *question, sx_reply *reply,
                   sx_failure *failure);

#endif
