/* context.c: an ordered list of extents, and k and v brought back where they were not kept. */
#include "engine/context.h"
#include "engine/encode.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RECOMPUTED_BYTES ((size_t)512 << 20) /* k and v kept in memory beyond the running step */

int sx_context_new(sx_context **out, sx_engine *engine, char *err, size_t errlen)
{
    sx_context *context = calloc(1, sizeof *context);
    *out = context;
    if (!context) {
        snprintf(err, err ? errlen : 0,
                 "E-MEMORY: not enough memory for a context; nothing was changed");
        return -ENOMEM;
    }
    context->engine = engine;
    return 0;
}

void sx_context_free(sx_context *context)
{
    if (!context)
        return;
    for (size_t i = 0; i < context->n_parts; i++)
        free(context->parts[i].recomputed);
    free(context->parts);
    free(context->block_start);
    free(context->block_part);
    free(context);
}

static bool grow(void **array, size_t need, size_t *cap, size_t element)
{
    if (need <= *cap)
        return true;
    size_t bigger = *cap * 2 > need ? *cap * 2 : need + 64;
    void *p = reallocarray(*array, bigger, element);
    if (!p)
        return false;
    *array = p;
    *cap = bigger;
    return true;
}

int sx_context_add(sx_context *context, const sx_context_segment *segment, char *err, size_t errlen)
{
    uint32_t n = segment->n_blocks;
    size_t cap_start = context->cap_blocks, cap_part = context->cap_blocks;

    if (n < 1 || n > segment->n_tokens || segment->n_tokens > context->engine->longest ||
        segment->block_starts[0] != 0)
        goto bad;
    for (uint32_t b = 0; b < n; b++) {
        uint32_t start = segment->block_starts[b];
        uint32_t end = b + 1 < n ? segment->block_starts[b + 1] : segment->n_tokens;

        if (end <= start || end > segment->n_tokens ||
            end - start > context->engine->info.block_tokens)
            goto bad;
    }
    if (context->n_blocks > INT32_MAX - n ||
        !grow((void **)&context->parts, context->n_parts + 1, &context->cap_parts,
              sizeof *context->parts) ||
        !grow((void **)&context->block_start, (size_t)context->n_blocks + n, &cap_start,
              sizeof *context->block_start) ||
        !grow((void **)&context->block_part, (size_t)context->n_blocks + n, &cap_part,
              sizeof *context->block_part)) {
        snprintf(err, err ? errlen : 0,
                 "E-MEMORY: not enough memory for the context; nothing was changed");
        return -ENOMEM;
    }
    context->cap_blocks = (uint32_t)cap_part;
    context->parts[context->n_parts] = (sx_context_part){
        .id = segment->id,
        .n_tokens = segment->n_tokens,
        .n_blocks = n,
        .first_block = context->n_blocks,
        .landmarks = segment->landmarks,
        .kept = segment->kv,
    };
    for (uint32_t b = 0; b < n; b++) {
        context->block_start[context->n_blocks + b] = segment->block_starts[b];
        context->block_part[context->n_blocks + b] = (uint32_t)context->n_parts;
    }
    context->n_parts++;
    context->n_blocks += n;
    context->n_tokens += segment->n_tokens;
    return 0;
bad:
    snprintf(err, err ? errlen : 0,
             "E-SEGMENT: a stored segment does not fit the model; nothing was changed; run "
             "`sparsex forget` on "
             "the repository and index it again");
    return -EINVAL;
}

void sx_context_set_tokens(sx_context *context, sx_context_tokens_fn fn, void *user)
{
    context->tokens = fn;
    context->tokens_user = user;
}

uint64_t sx_context_tokens(const sx_context *context)
{
    return context->n_tokens;
}

uint32_t sx_context_blocks(const sx_context *context)
{
    return context->n_blocks;
}

void sx_context_locate(const sx_context *context, uint32_t block, uint32_t *segment,
                       uint32_t *block_in_segment)
{
    *segment = context->block_part[block];
    *block_in_segment = block - context->parts[*segment].first_block;
}

bool sx_context_has(const sx_context *context, uint32_t block)
{
    const sx_context_part *part = &context->parts[context->block_part[block]];
    return part->kept || part->recomputed;
}

const void *sx_context_rows(const sx_context *context, uint32_t block, int global, int32_t *n_rows)
{
    const sx_context_part *part = &context->parts[context->block_part[block]];
    const char *kv = part->kept ? part->kept : part->recomputed;
    uint32_t start = context->block_start[block];
    bool last = block - part->first_block == part->n_blocks - 1;
    *n_rows = (int32_t)((last ? part->n_tokens : context->block_start[block + 1]) - start);
    return kv + ((size_t)global * part->n_tokens + start) * context->engine->info.kv_row;
}

/* ---- recomputing: the wanted segments through the encoder, their k and v into memory
 * ------------------ */

typedef struct recompute {
    sx_context *context;
    size_t next; /* part to look at */
    uint64_t done, total;
    sx_event_fn event;
    void *user;
} recompute;

static int recompute_source(sx_encode_input *in, void *user)
{
    recompute *job = user;
    sx_context *context = job->context;

    for (; job->next < context->n_parts; job->next++) {
        sx_context_part *part = &context->parts[job->next];
        if (!part->wanted || part->kept || part->recomputed)
            continue;
        in->id = (int64_t)job->next++;
        in->n_blocks = part->n_blocks;
        in->block_starts = malloc(sizeof(uint32_t) * part->n_blocks);
        if (!in->block_starts)
            return -ENOMEM;
        memcpy(in->block_starts, context->block_start + part->first_block,
               sizeof(uint32_t) * part->n_blocks);
        int rc = context->tokens(part->id, &in->tokens, &in->n_tokens, context->tokens_user);
        if (rc >= 0 && in->n_tokens == part->n_tokens)
            return 1;
        free(in->block_starts);
        if (rc >= 0)
            free(in->tokens);
        return rc < 0 ? rc : -EINVAL;
    }
    return 0;
}

static int recompute_sink(const sx_encode_output *out, void *user)
{
    recompute *job = user;
    sx_context_part *part = &job->context->parts[out->id];
    const sx_engine_info *info = &job->context->engine->info;
    size_t bytes = (size_t)info->n_global * part->n_tokens * info->kv_row;

    if (!(part->recomputed = malloc(bytes)))
        return -ENOMEM;
    memcpy(part->recomputed, out->kv, bytes);
    job->context->recomputed_bytes += bytes;
    job->done++;
    return 0;
}

static int recompute_poll(void *user)
{
    recompute *job = user;
    if (!job->event)
        return 0;
    sx_event event = {.kind = SX_EVENT_WORK, .done = job->done, .total = job->total};
    return job->event(&event, job->user);
}

int sx_context_need(sx_context *context, const int32_t *blocks, size_t n, sx_event_fn event,
                    void *user, char *err, size_t errlen)
{
    const sx_engine_info *info = &context->engine->info;
    recompute job = {.context = context, .event = event, .user = user};

    for (size_t i = 0; i < context->n_parts; i++)
        context->parts[i].wanted = false;
    for (size_t i = 0; i < n; i++) {
        if (blocks[i] < 0)
            continue;
        sx_context_part *part = &context->parts[context->block_part[blocks[i]]];
        if (part->wanted)
            continue;
        part->wanted = true;
        job.total += !part->kept && !part->recomputed;
    }
    if (!job.total)
        return 0;
    if (!context->tokens) {
        snprintf(err, err ? errlen : 0,
                 "E-BUG: k and v were not kept and there is nothing to recompute from");
        return -ENOTRECOVERABLE;
    }
    if (context->recomputed_bytes > RECOMPUTED_BYTES)
        for (size_t i = 0; i < context->n_parts; i++) {
            sx_context_part *part = &context->parts[i];
            if (part->wanted || !part->recomputed)
                continue;
            context->recomputed_bytes -= (size_t)info->n_global * part->n_tokens * info->kv_row;
            free(part->recomputed);
            part->recomputed = NULL;
        }
    return sx_encode_polled(context->engine, recompute_source, recompute_sink, recompute_poll, &job,
                            NULL, err, errlen);
}
