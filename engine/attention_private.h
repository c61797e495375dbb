/* attention_private.h: the parts of a question that attention.c (what its tokens read) and order.c
 * (in which order it would read) share. */
#ifndef SX_ENGINE_ATTENTION_PRIVATE_H
#define SX_ENGINE_ATTENTION_PRIVATE_H

#include "engine/attention.h"
#include "engine/late_interaction.h"
#include "engine/order.h"
#include "engine/reading.h"

struct sx_question {
    sx_context *context;
    const sx_transformer *t;
    int capacity, n; /* tokens there may be, tokens there are */
    int k;           /* blocks a token selects by itself */
    int width;       /* and with those that are joined, at most */
    bool joins;      /* something may be joined: it selects neither nothing nor everything */
    bool closed;     /* what is joined is all that is selected: sx_question_read_only() */
    int n_joined, most_joined;
    int32_t *joined;      /* [width - k, at least SX_PLACE_MOST]; the first n_joined count */
    float *own_k, *own_v; /* [layers, capacity, kv_width] */
    float *x, *h, *qkv, *o, *ffn, *rope, *logits;
    float *part;        /* [CHUNK, word_dim] */
    sx_word *word;      /* [capacity + 1]: in front of each token; tokens may be taken back */
    float *iq;          /* [CHUNK, landmark_dim] */
    float *last_iq;     /* [n_global, landmark_dim]: the last token's */
    float *part_score;  /* [CHUNK, longest]: one segment's landmarks */
    void *topk_work;    /* for the longest segment */
    int32_t *top_block; /* [CHUNK, k] */
    float *top_score;   /* [CHUNK, k] */
    int32_t *block;     /* [CHUNK, width]: the same, then those joined that are not among them */
    float *score;       /* [CHUNK, width] */
    const void **run;   /* [CHUNK, width] */
    int32_t *run_rows;  /* [CHUNK, width] */
    int32_t *first_run; /* [CHUNK + 1] */
    float *mass;        /* [CHUNK, width] */
    void *work;
    size_t work_bytes;
    sx_selection *selection;   /* [n_global] of the last token */
    sx_late_interaction *late; /* NULL: the model has none, or nothing is selected */
    sx_reading *reading;       /* likewise */
    int (*passages)(sx_passage *out, const uint32_t *blocks, size_t n, void *user); /* options' */
    sx_scored_block *order; /* [n_order] best first: sx_question_look_again() */
    size_t n_order;
    float read_first; /* what the passage of the first of them says read alone; NAN: it was not */
};

/* Error lines of a question -> its error code. */
int sx_question_no_memory(char *err, size_t errlen);
int sx_question_cancelled(char *err, size_t errlen);
/* May the work go on? */
bool sx_question_go_on(sx_event_fn event, void *user);

/* A block's landmark in a global layer, [landmark_dim]. */
const float *sx_question_landmark(const sx_question *question, int global, uint32_t block);
/* Is `block` among the n? */
bool sx_question_contains(const int32_t *blocks, int n, int32_t block);
float sx_question_dot(const float *a, const float *b, int n);
/* For qsort: best first, of equals the one that comes first. */
int sx_scored_block_compare(const void *a, const void *b);

#endif
