/* harness.h: what the checks of the operations share. One check for every backend: it makes values,
 * calls the backend's table, and compares with double arithmetic on the same rounded values.
 *
 *   void check_swiglu(backend *on)
 *   {
 *       begin_case(on, "n %d f %d", n, f);                        said when something fails
 *       buffer *ab = buffer_random(on, n * 2 * f, on->kn.type, 20);  rounded, and on the device
 *       buffer *y = buffer_new(on, n * f, on->kn.type);           poisoned, guards around it
 *       double *want = numbers(on, n * f), *slack = numbers(on, n * f);
 *       ... want and slack from ab->x ...
 *       for (int run = 0; run < on->repeat; run++) {              bitwise the same every time
 *           buffer_reset(y);
 *           on->kn.swiglu(on->stream, y->p, ab->p, n, f);
 *           buffer_result(y, run);                                y->x is the result now
 *       }
 *       check_within(y, want, slack);
 *       end_case(on);                                             guards, inputs unchanged; frees
 * all
 *   }
 *
 * A new operation is one line in OPERATIONS below, check_<name>() and bench_<name>(). */
#ifndef SX_HARNESS_H
#define SX_HARNESS_H

#include "kernels/kernels.h"

/* X(check's name, the table's entry that has to be there) */
#define OPERATIONS(X)                                                                              \
    X(memory_entries, alloc)                                                                       \
    X(rms_norm, rms_norm)                                                                          \
    X(embedding, embedding)                                                                        \
    X(head_norm_rope, head_norm_rope)                                                              \
    X(swiglu, swiglu)                                                                              \
    X(softcap, softcap)                                                                            \
    X(softcap_argmax, softcap_argmax)                                                              \
    X(window_attention, window_attention)                                                          \
    X(landmark_pool, landmark_pool)                                                                \
    X(landmark_score, landmark_score)                                                              \
    X(landmark_topk, landmark_topk)                                                                \
    X(kv, kv_pack)                                                                                 \
    X(lse_merge, lse_merge)                                                                        \
    X(gather_attention, gather_attention)                                                          \
    X(block_mean, block_mean)                                                                      \
    X(sparse_select, sparse_select)                                                                \
    X(sparse_attention, sparse_attention)                                                          \
    X(matmul, matrix_new)                                                                          \
    X(large, alloc)

typedef struct buffer buffer;

/* One version of the table, and where it runs. */
typedef struct backend {
    char name[32];
    sx_kernels kn;
    sx_stream *stream;
    int repeat; /* runs of a case, at least 2 */
    bool quick; /* small shapes: a sanitizer slows everything down */
    bool large; /* operands beyond 2^31 numbers, too: 20 GB of memory */
    bool gpu;
    int skew; /* buffers made from now on start this many numbers off their alignment; ends with the
                 case */
    double bytes_per_s, flop_per_s; /* of --bench: what a copy and a product reach */
    /* private */
    buffer *buffers;
    void **host, **device;
    size_t n_host, n_device;
} backend;

#define DECLARE(name, entry)                                                                       \
    void check_##name(backend *on);                                                                \
    void bench_##name(backend *on);
OPERATIONS(DECLARE)
#undef DECLARE

/* ---- random numbers: the same for every backend ---- */

float uniform(void);            /* in [-1, 1) */
float normal(void);             /* mean 0, variance 1 */
int between(int low, int high); /* both included */
/* 0, 1, tile - 1, tile, tile + 1 and two random sizes up to `most`: how many were written. */
int tile_sizes(int sizes[7], int tile, int most);

/* ---- a case ---- */

#define PRINTF(a, b) __attribute__((format(printf, a, b)))
void begin_case(backend *on, const char *format, ...) PRINTF(2, 3);
void end_case(backend *on);
/* Counted; when not ok, printed with backend, operation, case and seed. Returns ok. */
bool expect(bool ok, const char *format, ...) PRINTF(2, 3);
/* Zeroed numbers, freed with the case. */
double *numbers(backend *on, size_t n);
void *host_memory(backend *on, size_t bytes);

/* ---- memory on the device, with guards before and behind, and its image here ---- */

struct buffer {
    backend *on;
    sx_type type;
    size_t n;
    float *x;  /* the numbers as the device has them, as float32: what was uploaded, or a result */
    void *raw; /* the same as bytes of `type` */
    void *p;   /* on the device: number 0 */
    /* private */
    char *base, *image, *first; /* device; host: as it is now, as it was before the first run */
    size_t bytes, offset;       /* of the allocation; of number 0 in it */
    enum { INPUT, OUTPUT, WORK } role;
    buffer *next;
};

buffer *buffer_new(backend *on, size_t n, sx_type type); /* poisoned: every number is a NaN */
buffer *buffer_random(backend *on, size_t n, sx_type type, float scale); /* scale * uniform() */
buffer *buffer_of(backend *on, const float *x, size_t n, sx_type type);
/* Anything else: int32_t, pointers, rows. data may be NULL: poisoned. Read the result in raw. */
buffer *buffer_bytes(backend *on, const void *data, size_t bytes);
buffer *buffer_work(backend *on, size_t bytes); /* its content is nobody's */
/* x, written by the caller, rounded to the type and sent. */
void buffer_upload(buffer *b);
/* Number i on the device. */
void *buffer_at(const buffer *b, size_t i);
/* Before a run: the device has again what was uploaded last, or poison. */
void buffer_reset(buffer *b);
/* After it: waits, fetches, looks at the guards, and from run 1 on for bitwise the same result. */
void buffer_result(buffer *b, int run);

/* ---- comparing; NaN never passes ---- */

/* What rounding to the type may cost a result of this size. */
double rounding(sx_type type, double value);
/* What float32 sums of so many terms may be off, when the terms weigh `magnitude` together. */
double sum_error(double terms, double magnitude);
/* |got - want[i]| <= slack[i] + rounding for number first + i of `got`, i < n. */
bool check_range(const buffer *got, size_t first, size_t n, const double *want,
                 const double *slack);
bool check_within(const buffer *got, const double *want, const double *slack); /* all of it */
/* The same with slack = relative * (1 + |want|). */
bool check_near(const buffer *got, const double *want, double relative);

/* ---- --bench ---- */

/* Device memory without guards or image, freed with the case; values are random. */
void *bench_memory(backend *on, size_t bytes);
void *bench_values(backend *on, size_t n, sx_type type);
void *bench_upload(backend *on, const void *data, size_t bytes);
/* How many copies of so many bytes are beyond the caches. */
int bench_copies(const backend *on, size_t bytes);
/* Prints the median time of run(user, turn), turn = 0, 1, 2 ..., with what it moves and computes
 * and the share of the peak. Returns seconds. */
double measure(backend *on, const char *what, double bytes, double flop,
               void (*run)(backend *on, void *user, int turn), void *user);
/* --json FILE: every measurement also as one JSON object a line. */
void bench_json(const char *path);
/* What --bench compares with: sets bytes_per_s and flop_per_s. */
void measure_peak(backend *on);

#endif
