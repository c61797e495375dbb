/* late_interaction.c: each token of a question against each token of a block, the best of each. */
#include "engine/late_interaction.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct sx_late_interaction {
    const sx_transformer *t;
    const sx_matrix *matrix; /* lq */
    int tokens;              /* that count at most: the last ones */
    int n;                   /* tokens there have been */
    float *pushed;           /* [most_rows, heads * head_dim] */
    float *query;            /* [kv_heads, tokens, group, head_dim]: token i at place i % tokens */
    float *k, *v;            /* [block_tokens, kv_heads * head_dim]: a block's rows */
    float *head;             /* [block_tokens, head_dim]: one head's keys */
    float *score;            /* [tokens * group, block_tokens] */
};

int sx_late_interaction_new(sx_late_interaction **out, const sx_transformer *t, int most_rows)
{
    const sx_matrix *matrix = t->layers[t->config.global_layers[t->config.n_global - 1]].late;
    size_t tokens = t->config.late_tokens, rows = t->config.block_tokens;
    size_t d = (size_t)t->head_dim, heads = (size_t)t->heads, kv = (size_t)t->kv_heads * d;
    sx_late_interaction *late;

    *out = NULL;
    if (!matrix)
        return 0;
    if (!(late = calloc(1, sizeof *late)))
        return -ENOMEM;
    *late = (sx_late_interaction){.t = t, .matrix = matrix, .tokens = (int)tokens};
    late->pushed = sx_transformer_rows(most_rows, heads * d);
    late->query = calloc(tokens * heads * d + 16, sizeof(float));
    late->k = calloc(rows * kv + 16, sizeof(float));
    late->v = calloc(rows * kv + 16, sizeof(float));
    late->head = calloc(rows * d + 16, sizeof(float));
    late->score = calloc(tokens * heads * rows + 16, sizeof(float));
    if (!late->pushed || !late->query || !late->k || !late->v || !late->head || !late->score) {
        sx_late_interaction_free(late);
        return -ENOMEM;
    }
    *out = late;
    return 0;
}

void sx_late_interaction_free(sx_late_interaction *late)
{
    if (!late)
        return;
    free(late->pushed);
    free(late->query);
    free(late->k);
    free(late->v);
    free(late->head);
    free(late->score);
    free(late);
}

bool sx_late_interaction_push(sx_late_interaction *late, const float *h, int n)
{
    const sx_transformer *t = late->t;
    size_t group = (size_t)(t->heads / t->kv_heads) * (size_t)t->head_dim;

    if (!t->kn.matmul(NULL, late->pushed, h, late->matrix, n, false))
        return false;
    for (int i = 0; i < n; i++, late->n++)
        for (int a = 0; a < t->kv_heads; a++)
            memcpy(late->query +
                       ((size_t)a * (size_t)late->tokens + (size_t)(late->n % late->tokens)) *
                           group,
                   late->pushed + ((size_t)i * (size_t)t->kv_heads + (size_t)a) * group,
                   sizeof(float) * group);
    return true;
}

float sx_late_interaction_score(sx_late_interaction *late, const void *rows, sx_type format,
                                int n_rows)
{
    const sx_transformer *t = late->t;
    int d = t->head_dim, group = t->heads / t->kv_heads, kv = t->kv_heads * d;
    int n = (late->n < late->tokens ? late->n : late->tokens) * group;
    float sum = 0.0f;

    if (n_rows < 1)
        return 0.0f;
    t->kn.kv_unpack(NULL, late->k, late->v, rows, format, n_rows, kv, t->kv_heads, d);
    for (int a = 0; a < t->kv_heads; a++) {
        for (int j = 0; j < n_rows; j++)
            memcpy(late->head + (size_t)j * (size_t)d, late->k + (size_t)j * (size_t)kv + a * d,
                   sizeof(float) * (size_t)d);
        t->kn.landmark_score(NULL, late->score,
                             late->query + (size_t)a * (size_t)(late->tokens * group * d),
                             late->head, n, n_rows, d);
        for (int i = 0; i < n; i++) {
            const float *score = late->score + (size_t)i * (size_t)n_rows;
            float best = score[0];

            for (int j = 1; j < n_rows; j++)
                best = score[j] > best ? score[j] : best;
            sum += best;
        }
    }
    return sum * t->scale;
}
