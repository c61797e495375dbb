/* harness.c: buffers with guards, comparing, counting, measuring. */
#include "tests/kernelcheck/harness.h"
#include "tests/kernelcheck/private.h"

#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define GUARD 512 /* bytes on either side; a multiple of the alignment */

int checks_passed, checks_failed;
double worst_share;
static uint64_t seed, state;
static const char *operation = "";
static char case_name[256];
static const backend *case_on;

/* ---- random numbers ---- */

void random_seed(uint64_t new_seed)
{
    seed = new_seed;
    state = new_seed ? new_seed : 1;
}

static uint32_t random_bits(void) /* xorshift64 (Marsaglia 2003) */
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32);
}

float uniform(void)
{
    return (float)(int32_t)random_bits() / 2147483648.0f;
}

float normal(void) /* Box and Muller 1958 */
{
    double u = (random_bits() + 1.0) / 4294967296.0, v = random_bits() / 4294967296.0;
    return (float)(sqrt(-2.0 * log(u)) * cos(6.283185307179586 * v));
}

int between(int low, int high)
{
    return low + (int)(random_bits() % (unsigned)(high - low + 1));
}

int tile_sizes(int sizes[7], int tile, int most)
{
    const int all[7] = {0, 1, tile - 1, tile, tile + 1, between(1, most), between(1, most)};
    int n = 0;
    for (int i = 0; i < 7; i++)
        if (all[i] <= most && (i < 2 || all[i] > 1))
            sizes[n++] = all[i];
    return n;
}

/* ---- a case ---- */

void begin_operation(const char *name)
{
    operation = name;
    worst_share = 0.0;
    case_name[0] = 0;
    /* one operation alone has the values it has among the others */
    state = seed ? seed : 1;
    for (const char *c = name; *c; c++)
        state = (state ^ (unsigned char)*c) * 0x100000001b3u;
    if (!state)
        state = 1;
    random_bits();
}

void begin_case(backend *on, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(case_name, sizeof case_name, format, args);
    va_end(args);
    case_on = on;
}

bool expect(bool ok, const char *format, ...)
{
    va_list args;
    if (ok) {
        checks_passed++;
        return true;
    }
    checks_failed++;
    printf("failed: %s, %s (%s): ", operation, case_on ? case_on->name : "", case_name);
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf(" [--op %s --seed %llu]\n", operation, (unsigned long long)seed);
    return false;
}

static void *have(void *p) /* out of memory ends a test program */
{
    if (!p) {
        printf("memory is short\n");
        exit(2);
    }
    return p;
}

void *host_memory(backend *on, size_t bytes)
{
    on->host = have(realloc(on->host, (on->n_host + 1) * sizeof *on->host));
    return on->host[on->n_host++] = have(calloc(1, bytes + 1));
}

double *numbers(backend *on, size_t n)
{
    return host_memory(on, n * sizeof(double));
}

static void wait_for(backend *on)
{
    char err[512] = "";
    if (on->kn.sync(on->stream, err, sizeof err)) {
        /* nothing can run there any more: a failed GPU context cannot be repaired */
        expect(false, "%s", err);
        printf("%d passed, %d failed\n", checks_passed, checks_failed);
        exit(1);
    }
}

static void fetch(buffer *b)
{
    b->on->kn.download(b->on->stream, b->image, b->base, b->bytes);
    wait_for(b->on);
}

void end_case(backend *on)
{
    wait_for(on);
    while (on->buffers) {
        buffer *b = on->buffers;
        size_t end = b->bytes - GUARD;
        if (b->role != OUTPUT) { /* an output was looked at after each run */
            fetch(b);
            if (b->role == WORK)
                expect(!memcmp(b->image, b->first, b->offset) &&
                           !memcmp(b->image + end, b->first + end, GUARD),
                       "wrote outside of work");
            else
                expect(!memcmp(b->image, b->first, b->bytes), "wrote to an input");
        }
        on->buffers = b->next;
        on->kn.free(on->stream, b->base);
        free(b->image);
        free(b->first);
        free(b->x);
        free(b);
    }
    while (on->n_host)
        free(on->host[--on->n_host]);
    while (on->n_device)
        on->kn.free(on->stream, on->device[--on->n_device]);
    free(on->host);
    free(on->device);
    on->host = on->device = NULL;
    on->skew = 0;
}

/* ---- types ---- */

static size_t type_size(sx_type type)
{
    return type == SX_F32 ? 4 : type == SX_BF16 ? 2 : 1;
}

static float f8_value(uint8_t bits) /* e4m3: 1 sign, 4 exponent (bias 7), 3 mantissa; no infinity */
{
    int exponent = bits >> 3 & 15, mantissa = bits & 7;
    float x = exponent ? ldexpf(1.0f + (float)mantissa / 8.0f, exponent - 7)
                       : ldexpf((float)mantissa / 8.0f, -6);
    return (bits & 127) == 127 ? NAN : bits & 128 ? -x : x;
}

static uint8_t f8_bits(float x)
{
    float size = fabsf(x);
    uint8_t sign = signbit(x) ? 128 : 0;
    int exponent;
    if (isnan(x))
        return 127;
    if (size >= 448.0f) /* saturates */
        return sign | 126;
    frexpf(size, &exponent); /* size = m 2^exponent, m in [1/2, 1) */
    exponent = exponent - 1 < -6 ? -6 : exponent - 1;
    int steps = (int)rintf(ldexpf(size, 3 - exponent));         /* eighths of 2^exponent, to even */
    return sign | (uint8_t)(((exponent + 7 - 1) << 3) + steps); /* a carry moves up by itself */
}

static float decode(sx_type type, const char *raw, size_t i)
{
    float x;
    uint32_t bits;
    if (type == SX_F32) {
        memcpy(&x, raw + 4 * i, 4);
    } else if (type == SX_BF16) {
        uint16_t high;
        memcpy(&high, raw + 2 * i, 2);
        bits = (uint32_t)high << 16;
        memcpy(&x, &bits, 4);
    } else {
        x = type == SX_I8 ? (float)(int8_t)raw[i] : f8_value((uint8_t)raw[i]);
    }
    return x;
}

static void encode(sx_type type, char *raw, size_t i, float x)
{
    uint32_t bits;
    if (type == SX_F32) {
        memcpy(raw + 4 * i, &x, 4);
    } else if (type == SX_BF16) {
        memcpy(&bits, &x, 4);
        if (!isnan(x))
            bits += 0x7fff + (bits >> 16 & 1); /* to nearest even */
        uint16_t high = (uint16_t)(bits >> 16);
        memcpy(raw + 2 * i, &high, 2);
    } else if (type == SX_I8) {
        raw[i] = (char)(int8_t)fmaxf(-127.0f, fminf(127.0f, rintf(x)));
    } else {
        raw[i] = (char)f8_bits(x);
    }
}

/* ---- buffers ---- */

/* bf16 0xffc5, float32 0xffc5ffc5: NaNs, but none that arithmetic makes. */
static void poison(char *bytes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)(i % 2 ? 0xff : 0xc5);
}

static void decode_all(buffer *b)
{
    for (size_t i = 0; b->x && i < b->n; i++)
        b->x[i] = decode(b->type, b->raw, i);
}

static void send_first(buffer *b)
{
    memcpy(b->image, b->first, b->bytes);
    b->on->kn.upload(b->on->stream, b->base, b->first, b->bytes);
    wait_for(b->on);
}

static buffer *make(backend *on, size_t n, sx_type type, bool bytes_only)
{
    buffer *b = have(calloc(1, sizeof *b));
    size_t size = type_size(type), skew = (size_t)on->skew * size;

    b->on = on;
    b->type = type;
    b->n = n;
    b->offset = GUARD + skew;
    b->bytes = b->offset + n * size + GUARD;
    b->image = have(malloc(b->bytes));
    b->first = have(malloc(b->bytes));
    b->raw = b->image + b->offset;
    b->x = bytes_only ? NULL : have(malloc(n * sizeof(float) + 1));
    b->base = have(on->kn.alloc(on->stream, b->bytes));
    b->p = b->base + b->offset;
    b->next = on->buffers;
    on->buffers = b;
    poison(b->first, b->bytes);
    return b;
}

buffer *buffer_new(backend *on, size_t n, sx_type type)
{
    buffer *b = make(on, n, type, false);
    send_first(b);
    decode_all(b);
    return b;
}

buffer *buffer_random(backend *on, size_t n, sx_type type, float scale)
{
    buffer *b = make(on, n, type, false);
    for (size_t i = 0; i < n; i++)
        b->x[i] = scale * uniform();
    buffer_upload(b);
    return b;
}

buffer *buffer_of(backend *on, const float *x, size_t n, sx_type type)
{
    buffer *b = make(on, n, type, false);
    memcpy(b->x, x, n * sizeof *x);
    buffer_upload(b);
    return b;
}

buffer *buffer_bytes(backend *on, const void *data, size_t bytes)
{
    int skew = on->skew;
    on->skew = 0;
    buffer *b = make(on, bytes, SX_I8, true);
    on->skew = skew;
    if (data)
        memcpy(b->first + b->offset, data, bytes);
    send_first(b);
    return b;
}

buffer *buffer_work(backend *on, size_t bytes)
{
    buffer *b = buffer_bytes(on, NULL, bytes);
    b->role = WORK;
    return b;
}

void buffer_upload(buffer *b)
{
    for (size_t i = 0; i < b->n; i++)
        encode(b->type, b->first + b->offset, i, b->x[i]);
    send_first(b);
    decode_all(b);
}

void *buffer_at(const buffer *b, size_t i)
{
    return (char *)b->p + i * type_size(b->type);
}

void buffer_reset(buffer *b)
{
    b->on->kn.upload(b->on->stream, b->base, b->first, b->bytes);
}

void buffer_result(buffer *b, int run)
{
    size_t end = b->bytes - GUARD;
    char *before = NULL;

    b->role = OUTPUT;
    if (run > 0) {
        before = have(malloc(b->bytes));
        memcpy(before, b->image, b->bytes);
    }
    fetch(b);
    expect(!memcmp(b->image, b->first, b->offset), "wrote before the output");
    expect(!memcmp(b->image + end, b->first + end, GUARD), "wrote behind the output");
    if (run > 0)
        expect(!memcmp(before, b->image, b->bytes), "run %d gave other bits than the one before",
               run);
    free(before);
    decode_all(b);
}

/* ---- comparing ---- */

double rounding(sx_type type, double value)
{
    /* half a unit in the last place: bfloat16 has 8 bits of precision, float32 24 */
    if (type == SX_BF16)
        return fabs(value) * 0x1p-8 + 0x1p-134;
    return type == SX_F32 ? fabs(value) * 0x1p-24 + 0x1p-149 : 0.5;
}

double sum_error(double terms, double magnitude)
{
    return (terms + 2) * FLT_EPSILON * magnitude;
}

bool check_range(const buffer *got, size_t first, size_t n, const double *want, const double *slack)
{
    for (size_t i = 0; i < n; i++) {
        double g = (double)got->x[first + i];
        double allowed = slack[i] + rounding(got->type, fabs(want[i]) + slack[i]);
        double error = fabs(g - want[i]);
        if (g == want[i])
            continue;
        if (error / allowed > worst_share)
            worst_share = error / allowed;
        if (!(error <= allowed)) /* NaN fails */
            return expect(false, "number %zu of %zu is %.9g, expected %.9g +- %.3g", first + i,
                          got->n, g, want[i], allowed);
    }
    return expect(true, " ");
}

bool check_within(const buffer *got, const double *want, const double *slack)
{
    return check_range(got, 0, got->n, want, slack);
}

bool check_near(const buffer *got, const double *want, double relative)
{
    double *slack = numbers(got->on, got->n);
    for (size_t i = 0; i < got->n; i++)
        slack[i] = relative * (1.0 + fabs(want[i]));
    return check_within(got, want, slack);
}
