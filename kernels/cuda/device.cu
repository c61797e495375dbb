/* device.cu: streams of a GPU, its memory, and what went wrong on it. */
#include "kernels/cuda/cuda.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool sx_cuda_failed(sx_stream *stream, const char *op, cudaError_t error)
{
    if (error == cudaSuccess)
        return false;
    pthread_mutex_lock(&stream->lock);
    if (stream->error == cudaSuccess) {
        stream->error = error;
        stream->failed = op;
    }
    pthread_mutex_unlock(&stream->lock);
    return true;
}

extern "C" SX_DECL_STREAM_FREE(sx_stream_free_cuda);

extern "C" SX_DECL_STREAM_NEW(sx_stream_new_cuda)
{
    sx_stream *stream = (sx_stream *)calloc(1, sizeof *stream);
    const char *forced = getenv("SPARSEX_ISA"), *splits = getenv("SPARSEX_SPLITS");
    int major = 0, minor = 0, l2 = 0;
    cudaError_t error;

    if (err && errlen)
        err[0] = 0;
    if (!stream) {
        if (err)
            snprintf(err, errlen, "memory is short");
        return NULL;
    }
    pthread_mutex_init(&stream->lock, NULL);
    stream->device = device;
    if ((error = cudaSetDevice(device)) ||
        (error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device)) ||
        (error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device)) ||
        (error = cudaDeviceGetAttribute(&stream->multiprocessors, cudaDevAttrMultiProcessorCount,
                                        device)) ||
        (error = cudaDeviceGetAttribute(&stream->shared_most,
                                        cudaDevAttrMaxSharedMemoryPerBlockOptin, device)) ||
        (error = cudaDeviceGetAttribute(&l2, cudaDevAttrL2CacheSize, device)) ||
        (error = cudaStreamCreateWithFlags(&stream->cuda, cudaStreamNonBlocking)) ||
        (error = cudaMalloc(&stream->scratch, SX_SCRATCH)) ||
        (error = cudaMemsetAsync(stream->scratch, 0, SX_SCRATCH, stream->cuda))) {
        cudaGetLastError(); /* it is said here; the next call starts afresh */
        if (err)
            snprintf(err, errlen, "CUDA device %d: %s", device, cudaGetErrorString(error));
        sx_stream_free_cuda(stream);
        return NULL;
    }
    stream->sm = 10 * major + minor;
    stream->l2 = (size_t)l2;
    stream->force_splits = splits ? atoi(splits) : 0;
    stream->plain = stream->sm != 90 || (forced && !strcmp(forced, "sm80"));
#ifndef SX_HAVE_SM90A
    stream->plain = true;
#endif
    return stream;
}

extern "C" SX_DECL_STREAM_FREE(sx_stream_free_cuda)
{
    if (!stream)
        return;
    cudaSetDevice(stream->device);
    if (stream->cuda) {
        cudaStreamSynchronize(stream->cuda);
        cudaStreamDestroy(stream->cuda);
    }
    sx_cublas_free(stream->cublas);
    cudaFree(stream->scratch);
    cudaGetLastError();
    pthread_mutex_destroy(&stream->lock);
    free(stream);
}

extern "C" SX_DECL_ALLOC(sx_alloc_cuda)
{
    void *p = NULL;
    if (!n || !sx_cuda_begin(stream))
        return NULL;
    if (cudaMalloc(&p, n) != cudaSuccess) {
        cudaGetLastError(); /* NULL says it */
        return NULL;
    }
    return p;
}

extern "C" SX_DECL_FREE(sx_free_cuda)
{
    if (!p)
        return;
    cudaSetDevice(stream->device);
    sx_cuda_failed(stream, "free", cudaFree(p));
}

extern "C" SX_DECL_UPLOAD(sx_upload_cuda)
{
    if (!n || !sx_cuda_begin(stream))
        return;
    /* Default: the addresses say which side they are of. */
    sx_cuda_failed(stream, "upload", cudaMemcpyAsync(to, host, n, cudaMemcpyDefault, stream->cuda));
}

extern "C" SX_DECL_DOWNLOAD(sx_download_cuda)
{
    if (!n || !sx_cuda_begin(stream))
        return;
    sx_cuda_failed(stream, "download",
                   cudaMemcpyAsync(host, from, n, cudaMemcpyDefault, stream->cuda));
}

extern "C" SX_DECL_SYNC(sx_sync_cuda)
{
    cudaError_t error;

    if (err && errlen)
        err[0] = 0;
    if (sx_cuda_begin(stream)) /* what a running kernel did shows only now */
        sx_cuda_failed(stream, stream->last ? stream->last : "sync",
                       cudaStreamSynchronize(stream->cuda));
    pthread_mutex_lock(&stream->lock);
    error = stream->error;
    if (error && err)
        snprintf(err, errlen, "CUDA device %d, at or before %s: %s", stream->device, stream->failed,
                 cudaGetErrorString(error));
    pthread_mutex_unlock(&stream->lock);
    return error == cudaSuccess ? 0 : error == cudaErrorMemoryAllocation ? -ENOMEM : -EIO;
}
