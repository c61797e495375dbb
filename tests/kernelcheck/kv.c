/* kv.c: kept rows: exactly the reference's bytes, and numbers that come back within half a step. */
#include "tests/kernelcheck/harness.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *const format_name[] = {"f32", "bf16", "i8", "f8"};

static void check_shape(backend *on, sx_type format, int n, int kv_heads, int d, int gap)
{
    int width = kv_heads * d, stride = width + gap;
    size_t row = sx_kv_row_bytes(format, kv_heads, d), size = (size_t)n * row;

    begin_case(on, "%s, n %d kv heads %d d %d stride %d", format_name[format], n, kv_heads, d,
               stride);
    buffer *k = buffer_random(on, (size_t)n * stride, on->kn.type, 3.0f);
    buffer *v = buffer_random(on, (size_t)n * stride, on->kn.type, 0.01f);
    for (int j = 0; n && j < d; j++) /* a zero head; large and small in one head */
        k->x[j] = 0.0f;
    for (int j = 0; n && j < d; j++)
        v->x[j] = ldexpf(uniform(), -j % 12);
    buffer_upload(k);
    buffer_upload(v);
    char *want = host_memory(on, size);
    sx_kv_pack_c(NULL, want, format, k->x, v->x, n, stride, kv_heads, d);

    buffer *rows = buffer_bytes(on, NULL, size);
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(rows);
        on->kn.kv_pack(on->stream, rows->p, format, k->p, v->p, n, stride, kv_heads, d);
        buffer_result(rows, run);
    }
    for (size_t i = 0; i < size; i++)
        if (((char *)rows->raw)[i] != want[i]) {
            expect(false, "byte %zu of row %zu is %02x, the reference has %02x", i % row, i / row,
                   ((uint8_t *)rows->raw)[i], (uint8_t)want[i]);
            break;
        }
    expect(true, " ");

    buffer *k_back = buffer_new(on, (size_t)n * stride, on->kn.type);
    buffer *v_back = buffer_new(on, (size_t)n * stride, on->kn.type);
    for (int run = 0; run < on->repeat; run++) {
        buffer_reset(k_back);
        buffer_reset(v_back);
        on->kn.kv_unpack(on->stream, k_back->p, v_back->p, rows->p, format, n, stride, kv_heads, d);
        buffer_result(k_back, run);
        buffer_result(v_back, run);
    }
    for (int side = 0; side < 2; side++)
        for (int i = 0; i < n; i++)
            for (int h = 0; h < kv_heads; h++) {
                const buffer *from = side ? v : k, *back = side ? v_back : k_back;
                size_t at = (size_t)i * stride + (size_t)h * d;
                double head[128], slack[128], most = 0.0;
                for (int j = 0; j < d; j++) {
                    head[j] = from->x[at + j];
                    most = fmax(most, fabs(head[j]));
                }
                for (int j = 0; j < d; j++)
                    slack[j] = format == SX_F32    ? 0.0
                               : format == SX_BF16 ? fabs(head[j]) * 0x1p-8
                               : format == SX_I8
                                   ? most / 127.0 * 0.5001
                                   /* half of an eighth of a power of two; below 2^-6, of 2^-6 */
                                   : fmax(fabs(head[j]) * 0x1p-4, most / 448.0 * 0x1p-10) * 1.0001;
                check_range(back, at, (size_t)d, head, slack);
            }
    end_case(on);
}

void check_kv(backend *on)
{
    static const int shapes[][3] = {{1, 64, 0}, {4, 128, 0}, {2, 24, 8}, {1, 6, 3}, {3, 16, 16}};
    int sizes[7], n_sizes = tile_sizes(sizes, 16, 200);
    for (int format = on->gpu ? SX_BF16 : SX_F32; format <= SX_F8; format++)
        for (int s = 0; s < 5; s++)
            for (int i = 0; i < n_sizes; i++)
                check_shape(on, (sx_type)format, sizes[i], shapes[s][0], shapes[s][1],
                            shapes[s][2]);
}

typedef struct packing {
    char *rows, *k, *v;
    size_t row_bytes, kv_bytes;
    sx_type format;
    int n, copies;
    bool back;
} packing;

enum { KV_HEADS = 4, D = 128 };

static void run_pack(backend *on, void *user, int turn)
{
    packing *p = user;
    size_t copy = (size_t)(turn % p->copies) * p->n;
    char *rows = p->rows + copy * p->row_bytes, *k = p->k + copy * p->kv_bytes,
         *v = p->v + copy * p->kv_bytes;
    if (p->back)
        on->kn.kv_unpack(on->stream, k, v, rows, p->format, p->n, KV_HEADS * D, KV_HEADS, D);
    else
        on->kn.kv_pack(on->stream, rows, p->format, k, v, p->n, KV_HEADS * D, KV_HEADS, D);
}

void bench_kv(backend *on)
{
    for (int format = on->gpu ? SX_BF16 : SX_F32; format <= SX_F8; format++)
        for (int back = 0; back < 2; back++) {
            packing p = {.format = (sx_type)format, .back = back, .n = on->quick ? 64 : 1 << 16};
            size_t number = on->kn.type == SX_F32 ? 4 : 2;
            char what[64];
            p.row_bytes = sx_kv_row_bytes(p.format, KV_HEADS, D);
            p.kv_bytes = KV_HEADS * D * number;
            double bytes = (double)p.n * (double)(p.row_bytes + 2 * p.kv_bytes);
            p.copies = bench_copies(on, (size_t)bytes);
            size_t rows = (size_t)p.copies * p.n;
            p.k = bench_values(on, rows * KV_HEADS * D, on->kn.type);
            p.v = bench_values(on, rows * KV_HEADS * D, on->kn.type);
            p.rows = bench_memory(on, rows * p.row_bytes);
            p.back = false;
            for (int c = 0; c < p.copies; c++) /* rows that are rows */
                run_pack(on, &p, c);
            p.back = back;
            snprintf(what, sizeof what, "%s %s, %d rows of 2 x %d x %d", back ? "unpack" : "pack",
                     format_name[format], p.n, KV_HEADS, D);
            measure(on, what, bytes, 0, run_pack, &p);
            end_case(on);
        }
}
