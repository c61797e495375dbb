/* matmul.cu: dense products by cuBLASLt: bfloat16 in, float32 sums. The library is half a gigabyte,
 * so it is looked for when the table is asked for, and never linked. */
#include "kernels/cuda/cuda.h"

#include <cublasLt.h>
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STRING_OF(x) #x
#define STRING(x)    STRING_OF(x)

/* ---- the library ---- */

#define FUNCTIONS(X)                                                                               \
    X(cublasLtCreate)                                                                              \
    X(cublasLtDestroy)                                                                             \
    X(cublasLtMatmul)                                                                              \
    X(cublasLtMatmulAlgoGetHeuristic)                                                              \
    X(cublasLtMatmulDescCreate)                                                                    \
    X(cublasLtMatmulDescDestroy)                                                                   \
    X(cublasLtMatmulDescSetAttribute)                                                              \
    X(cublasLtMatmulPreferenceCreate)                                                              \
    X(cublasLtMatmulPreferenceDestroy)                                                             \
    X(cublasLtMatmulPreferenceSetAttribute)                                                        \
    X(cublasLtMatrixLayoutCreate)                                                                  \
    X(cublasLtMatrixLayoutDestroy)

namespace
{
struct library {
    bool loaded;
    char missing[256];
#define MEMBER(name) decltype(&::name) name;
    FUNCTIONS(MEMBER)
#undef MEMBER
};
library lt;
pthread_once_t lt_once = PTHREAD_ONCE_INIT;

void load()
{
    static const char *const places[] = {"libcublasLt.so." STRING(CUBLAS_VER_MAJOR),
                                         SX_CUBLASLT_DIR
                                         "/libcublasLt.so." STRING(CUBLAS_VER_MAJOR),
                                         "libcublasLt.so.13", "libcublasLt.so.12"};
    void *handle = NULL;

    for (size_t i = 0; i < sizeof places / sizeof *places && !handle; i++)
        handle = dlopen(places[i], RTLD_LAZY | RTLD_LOCAL);
    if (!handle) {
        snprintf(lt.missing, sizeof lt.missing, "%s is not there: no dense products", places[0]);
        return;
    }
#define FIND(name)                                                                                 \
    if (!(lt.name = (decltype(lt.name))dlsym(handle, #name))) {                                    \
        snprintf(lt.missing, sizeof lt.missing, "cuBLASLt has no %s: no dense products", #name);   \
        return;                                                                                    \
    }
    FUNCTIONS(FIND)
#undef FIND
    lt.loaded = true;
}
} // namespace

bool sx_cublas_load(char *err, size_t errlen)
{
    pthread_once(&lt_once, load);
    if (!lt.loaded)
        snprintf(err, errlen, "%s", lt.missing);
    return lt.loaded;
}

/* ---- a stream's part ---- */

struct sx_cublas {
    cublasLtHandle_t handle;
    void *workspace;
    char failed[64]; /* for the stream's error */
};
enum { WORKSPACE = 32 << 20 };

void sx_cublas_free(struct sx_cublas *cublas)
{
    if (!cublas)
        return;
    if (cublas->handle)
        lt.cublasLtDestroy(cublas->handle);
    cudaFree(cublas->workspace);
    free(cublas);
}

/* ---- matrices ---- */

namespace
{
enum kind { PLAIN, ADDED, FLOAT32 }; /* y = w x, y += w x; y = w x in float32 */

/* One shape of one matrix, as cuBLASLt wants it said: w [rows, cols] row-major is for it a
 * column-major [cols, rows] to be transposed; x and y are column-major [cols, n] and [rows, n]. */
struct plan {
    int n;
    kind what;
    unsigned alignment; /* bytes, of x and y */
    cublasLtMatmulDesc_t op;
    cublasLtMatrixLayout_t w, x, y;
    cublasLtMatmulAlgo_t algo;
};
constexpr int PLANS = 32;
} // namespace

struct sx_matrix {
    int rows, cols, device;
    sx_bf16 *w;
    pthread_mutex_t lock; /* guards the plans, and a product while it is queued */
    int n_plans, next;    /* full: the oldest goes */
    plan plans[PLANS];
};

namespace
{
void plan_clear(plan *p)
{
    if (p->op)
        lt.cublasLtMatmulDescDestroy(p->op);
    if (p->w)
        lt.cublasLtMatrixLayoutDestroy(p->w);
    if (p->x)
        lt.cublasLtMatrixLayoutDestroy(p->x);
    if (p->y)
        lt.cublasLtMatrixLayoutDestroy(p->y);
    memset(p, 0, sizeof *p);
}

cublasStatus_t plan_make(plan *p, cublasLtHandle_t handle, const sx_matrix *m)
{
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t found;
    cublasOperation_t transposed = CUBLAS_OP_T;
    const size_t workspace = WORKSPACE;
    const uint32_t any = p->alignment, whole = 256;
    int count = 0;
    cublasStatus_t status;

    memset(&found, 0, sizeof found);
    if ((status = lt.cublasLtMatmulDescCreate(&p->op, CUBLAS_COMPUTE_32F, CUDA_R_32F)) ||
        (status = lt.cublasLtMatmulDescSetAttribute(p->op, CUBLASLT_MATMUL_DESC_TRANSA, &transposed,
                                                    sizeof transposed)) ||
        (status = lt.cublasLtMatrixLayoutCreate(&p->w, CUDA_R_16BF, (uint64_t)m->cols,
                                                (uint64_t)m->rows, m->cols)) ||
        (status = lt.cublasLtMatrixLayoutCreate(&p->x, CUDA_R_16BF, (uint64_t)m->cols,
                                                (uint64_t)p->n, m->cols)) ||
        (status = lt.cublasLtMatrixLayoutCreate(&p->y,
                                                p->what == FLOAT32 ? CUDA_R_32F : CUDA_R_16BF,
                                                (uint64_t)m->rows, (uint64_t)p->n, m->rows)) ||
        (status = lt.cublasLtMatmulPreferenceCreate(&preference)))
        goto out;
#define PREFER(what, value)                                                                        \
    (status = lt.cublasLtMatmulPreferenceSetAttribute(preference, what, &(value), sizeof(value)))
    if (PREFER(CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, workspace) ||
        PREFER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, whole) ||
        PREFER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, any) ||
        PREFER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, any) ||
        PREFER(CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, any))
        goto out;
#undef PREFER
    status = lt.cublasLtMatmulAlgoGetHeuristic(handle, p->op, p->w, p->x, p->y, p->y, preference, 1,
                                               &found, &count);
    if (!status && count == 0)
        status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (!status)
        status = found.state;
    p->algo = found.algo;
out:
    if (preference)
        lt.cublasLtMatmulPreferenceDestroy(preference);
    return status;
}

/* The plan for this shape; the matrix's lock is held. */
cublasStatus_t plan_for(plan **out, sx_matrix *m, cublasLtHandle_t handle, int n, kind what,
                        unsigned alignment)
{
    cublasStatus_t status;
    plan *p;

    for (int i = 0; i < m->n_plans; i++)
        if (m->plans[i].n == n && m->plans[i].what == what && m->plans[i].alignment == alignment) {
            *out = &m->plans[i];
            return CUBLAS_STATUS_SUCCESS;
        }
    p = &m->plans[m->next];
    plan_clear(p);
    p->n = n;
    p->what = what;
    p->alignment = alignment;
    if ((status = plan_make(p, handle, m))) {
        plan_clear(p); /* n = 0: nobody asks for it */
        return status;
    }
    m->next = (m->next + 1) % PLANS;
    if (m->n_plans < PLANS)
        m->n_plans++;
    *out = p;
    return CUBLAS_STATUS_SUCCESS;
}

/* The stream's cuBLASLt, made by its first product. */
struct sx_cublas *cublas_of(sx_stream *stream)
{
    cudaError_t error = cudaSuccess;

    pthread_mutex_lock(&stream->lock);
    if (!stream->cublas) {
        struct sx_cublas *c = (struct sx_cublas *)calloc(1, sizeof *c);
        if (!c)
            error = cudaErrorMemoryAllocation;
        else if (!(error = cudaMalloc(&c->workspace, WORKSPACE)) &&
                 lt.cublasLtCreate(&c->handle) != CUBLAS_STATUS_SUCCESS)
            error = cudaErrorInitializationError;
        if (error)
            sx_cublas_free(c);
        else
            stream->cublas = c;
    }
    pthread_mutex_unlock(&stream->lock);
    sx_cuda_failed(stream, "cublasLtCreate", error);
    return stream->cublas;
}

bool product(sx_stream *stream, void *y, const void *x, const sx_matrix *w, int n, kind what)
{
    const float one = 1.0f, zero = 0.0f;
    sx_matrix *m = (sx_matrix *)w; /* the plans behind the lock are all that changes */
    struct sx_cublas *cublas;
    uintptr_t both = (uintptr_t)y | (uintptr_t)x | 256;
    cublasStatus_t status;
    plan *p;

    if (n <= 0)
        return true;
    if (!sx_cuda_begin(stream) || !(cublas = cublas_of(stream)))
        return false;
    pthread_mutex_lock(&m->lock);
    status = plan_for(&p, m, cublas->handle, n, what, (unsigned)(both & -both));
    if (!status)
        status = lt.cublasLtMatmul(cublas->handle, p->op, &one, m->w, p->w, x, p->x,
                                   what == ADDED ? &one : &zero, y, p->y, y, p->y, &p->algo,
                                   cublas->workspace, WORKSPACE, stream->cuda);
    if (status && stream->error == cudaSuccess)
        snprintf(cublas->failed, sizeof cublas->failed, "matmul %d x %d x %d (cuBLASLt status %d)",
                 n, m->rows, m->cols, (int)status);
    pthread_mutex_unlock(&m->lock);
    stream->last = "matmul";
    if (status)
        sx_cuda_failed(stream, cublas->failed, cudaErrorUnknown);
    return !status;
}
} // namespace

extern "C" SX_DECL_MATRIX_FREE(sx_matrix_free_cuda)
{
    if (!matrix)
        return;
    cudaSetDevice(matrix->device);
    cudaFree(matrix->w); /* waits for what still reads it */
    for (int i = 0; i < PLANS; i++)
        plan_clear(&matrix->plans[i]);
    pthread_mutex_destroy(&matrix->lock);
    free(matrix);
}

extern "C" SX_DECL_MATRIX_NEW(sx_matrix_new_cuda)
{
    size_t n = (size_t)rows * (size_t)cols;
    sx_matrix *m = lt.loaded ? (sx_matrix *)calloc(1, sizeof *m) : NULL;
    sx_bf16 *rounded = (sx_bf16 *)malloc(n * sizeof *rounded);

    if (m) {
        m->rows = rows;
        m->cols = cols;
        m->device = sx_cuda_device;
        pthread_mutex_init(&m->lock, NULL);
    }
    if (!m || !rounded || cudaSetDevice(m->device) || cudaMalloc(&m->w, n * sizeof *m->w))
        goto fail;
    for (size_t i = 0; i < n; i++)
        rounded[i] = __float2bfloat16_rn(w[i]);
    if (cudaMemcpy(m->w, rounded, n * sizeof *m->w, cudaMemcpyHostToDevice) ||
        cudaStreamSynchronize(cudaStreamLegacy)) /* other streams do not wait for that one */
        goto fail;
    free(rounded);
    return m;
fail:
    cudaGetLastError(); /* NULL says it */
    free(rounded);
    sx_matrix_free_cuda(m);
    return NULL;
}

extern "C" SX_DECL_MATMUL(sx_matmul_cuda)
{
    return product(stream, y, x, w, n, accumulate ? ADDED : PLAIN);
}

extern "C" SX_DECL_MATMUL_F32(sx_matmul_f32_cuda)
{
    return product(stream, y, x, w, n, FLOAT32);
}

extern "C" SX_DECL_MATMUL_THREADS(sx_matmul_threads_cuda)
{
    (void)threads; /* the GPU has its own */
}
