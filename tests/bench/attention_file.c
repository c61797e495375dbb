/* attention_file.c: attention over tensors in files, so that other programs can compare.
 *
 * usage: attention_file < JOBS
 *
 * A job is a line, `MODE WINDOW N HEADS KV_HEADS D IN OUT`. IN holds N rows of bfloat16: HEADS * D
 * numbers of q, KV_HEADS * D of k, as many of v. OUT gets N rows of HEADS * D. Scores are scaled by
 * 1 / sqrt(D). MODE is
 *   dense     sparse_attention, its window over everything
 *   selected  sparse_attention with a window of WINDOW and all blocks before it selected: the same
 *             result by the other way
 *   window    window_attention over one segment
 * Each job is answered with a line, "ok" or what failed; the exit status is 1 if one did. */
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct job {
    char mode[16], in[1024], out[1024];
    int window, n, heads, kv_heads, d;
} job;

typedef struct device {
    sx_kernels kn;
    sx_stream *stream;
} device;

/* Rows of a file of exactly `bytes`, for free(); NULL if it is not that. */
static void *read_rows(const char *path, size_t bytes)
{
    FILE *file = fopen(path, "rb");
    char *rows = malloc(bytes + 1);
    bool ok = file && rows && fread(rows, 1, bytes + 1, file) == bytes;

    if (file)
        fclose(file);
    if (ok)
        return rows;
    free(rows);
    return NULL;
}

static bool write_rows(const char *path, const void *rows, size_t bytes)
{
    FILE *file = fopen(path, "wb");
    bool ok = file && fwrite(rows, 1, bytes, file) == bytes;
    return file && !fclose(file) && ok;
}

/* qkv -> o, both on the device. NULL, or what failed. */
static const char *attend(device *on, const job *job, void *o, const char *qkv)
{
    const sx_kernels *kn = &on->kn;
    int width = job->kv_heads * job->d, row = job->heads * job->d + 2 * width;
    int query_blocks = (job->n + SX_QUERY_BLOCK - 1) / SX_QUERY_BLOCK;
    const char *k = qkv + (size_t)(job->heads * job->d) * 2, *v = k + (size_t)width * 2;
    float scale = 1.0f / sqrtf((float)job->d);
    sx_sparse shape = {.heads = job->heads,
                       .kv_heads = job->kv_heads,
                       .d = job->d,
                       .n = job->n,
                       .window = 1 << 30,
                       .scale = scale,
                       .gate = {1, 1, 1}};
    void *mean = NULL, *selection = NULL, *work = NULL;
    const char *failed = NULL;

    if (!strcmp(job->mode, "window")) {
        int32_t segment[] = {0, job->n};
        selection = kn->alloc(on->stream, sizeof segment);
        work = kn->alloc(on->stream,
                         sx_window_attention_work(job->n, 1, job->n, job->d, job->window));
        if (!selection || !work) {
            failed = "memory is short";
            goto out;
        }
        kn->upload(on->stream, selection, segment, sizeof segment);
        kn->window_attention(on->stream, o, qkv, k, v, row, selection, 1, job->n, job->heads,
                             job->kv_heads, job->d, job->window, scale, work);
    } else if (!strcmp(job->mode, "dense")) {
        kn->sparse_attention(on->stream, o, NULL, &shape, qkv, row, k, v, row, NULL, NULL, NULL, 0);
    } else if (!strcmp(job->mode, "selected")) {
        if (job->n - job->window >= SX_BLOCKS_MAX * SX_BLOCK) {
            failed = "more blocks than can be selected";
            goto out;
        }
        shape.window = job->window;
        shape.k = SX_BLOCKS_MAX;
        mean = kn->alloc(on->stream, (size_t)(job->n / SX_BLOCK + 1) * (size_t)width * 2);
        selection = kn->alloc(on->stream, sizeof(int32_t) * (size_t)job->kv_heads *
                                              (size_t)query_blocks * SX_BLOCKS_MAX);
        work = kn->alloc(on->stream, sx_sparse_select_work(&shape) + 1);
        if (!mean || !selection || !work) {
            failed = "memory is short";
            goto out;
        }
        kn->block_mean(on->stream, mean, k, 0, job->n / SX_BLOCK, row, width);
        kn->sparse_select(on->stream, selection, query_blocks, &shape, qkv, row, k, row, mean,
                          work);
        kn->sparse_attention(on->stream, o, NULL, &shape, qkv, row, k, v, row, NULL, NULL,
                             selection, query_blocks);
    } else {
        failed = "no such mode";
    }
out:
    kn->sync(on->stream, NULL, 0); /* what fails is said again by the caller's */
    kn->free(on->stream, work);
    kn->free(on->stream, selection);
    kn->free(on->stream, mean);
    return failed;
}

static bool run(device *on, const job *job)
{
    size_t q_bytes = (size_t)job->n * (size_t)(job->heads * job->d) * 2;
    size_t bytes = q_bytes + 2 * (size_t)job->n * (size_t)(job->kv_heads * job->d) * 2;
    char err[512] = "";
    const char *failed = "memory is short";
    void *rows = read_rows(job->in, bytes), *result = malloc(q_bytes);
    void *qkv = on->kn.alloc(on->stream, bytes), *o = on->kn.alloc(on->stream, q_bytes);

    if (!rows) {
        failed = "the input has another size";
    } else if (result && qkv && o) {
        on->kn.upload(on->stream, qkv, rows, bytes);
        failed = attend(on, job, o, qkv);
        on->kn.download(on->stream, result, o, q_bytes);
        if (on->kn.sync(on->stream, err, sizeof err))
            failed = err;
        if (!failed && !write_rows(job->out, result, q_bytes))
            failed = "the output cannot be written";
    }
    on->kn.free(on->stream, o);
    on->kn.free(on->stream, qkv);
    free(result);
    free(rows);
    printf("%s\n", failed ? failed : "ok");
    fflush(stdout);
    return !failed;
}

int main(void)
{
    char line[4096], err[512] = "";
    device on = {.stream = NULL};
    bool ok = true;

    if (sx_kernels_init_cuda(&on.kn, 0, err, sizeof err) ||
        !(on.stream = on.kn.stream_new(0, err, sizeof err))) {
        printf("%s\n", err);
        return 1;
    }
    while (fgets(line, sizeof line, stdin)) {
        job job = {.n = 0};
        if (sscanf(line, "%15s %d %d %d %d %d %1023s %1023s", job.mode, &job.window, &job.n,
                   &job.heads, &job.kv_heads, &job.d, job.in, job.out) != 8 ||
            job.window < 1 || job.n < 1 || job.heads < 1 || job.kv_heads < 1 || job.d < 1) {
            printf("not a job: %s", line);
            fflush(stdout);
            ok = false;
            continue;
        }
        ok = run(&on, &job) && ok;
    }
    on.kn.stream_free(on.stream);
    return !ok;
}
