/* memory.c: the CPU's memory and stream: plain memory, and nothing to wait for. */
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

SX_DECL_STREAM_NEW(sx_stream_new_c)
{
    if (err && errlen)
        err[0] = 0;
    return NULL;
}

SX_DECL_STREAM_FREE(sx_stream_free_c)
{
    (void)stream;
}

SX_DECL_ALLOC(sx_alloc_c)
{
    (void)stream;
    if (!n || n > SIZE_MAX - 255)
        return NULL;
    return aligned_alloc(256, (n + 255) / 256 * 256);
}

SX_DECL_FREE(sx_free_c)
{
    (void)stream;
    free(p);
}

SX_DECL_UPLOAD(sx_upload_c)
{
    (void)stream;
    if (n)
        memcpy(to, host, n);
}

SX_DECL_DOWNLOAD(sx_download_c)
{
    (void)stream;
    if (n)
        memcpy(host, from, n);
}

SX_DECL_SYNC(sx_sync_c)
{
    (void)stream;
    if (err && errlen)
        err[0] = 0;
    return 0;
}
