/* cuda_load.c: the table of a GPU, from a library that is loaded only when one is asked for. */
#include "kernels/kernels.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LIBRARY "libsparsex-cuda.so"

typedef bool (*table_fn)(sx_kernels *kernels, int device, char *err, size_t errlen);

/* The library, once in a process and never closed: its kernels may be in a table anywhere. */
static void *library(char *err, size_t errlen)
{
    static const char *const places[] = {SX_CUDA_BUILD_DIR "/" LIBRARY, SX_CUDA_DIR "/" LIBRARY};
    const char *given = getenv("SPARSEX_CUDA");
    void *handle = NULL;

    if (given && *given) {
        if (!(handle = dlopen(given, RTLD_NOW | RTLD_LOCAL)))
            snprintf(err, errlen, "SPARSEX_CUDA: %s", dlerror());
        return handle;
    }
    snprintf(err, errlen, "%s is not installed", LIBRARY);
    for (size_t i = 0; i < sizeof places / sizeof *places && !handle; i++)
        if (!access(places[i], F_OK) && !(handle = dlopen(places[i], RTLD_NOW | RTLD_LOCAL)))
            snprintf(err, errlen, "%s", dlerror());
    return handle;
}

int sx_kernels_init_cuda(sx_kernels *kernels, int device, char *err, size_t errlen)
{
    char reason[512] = "";
    table_fn table = NULL;
    void *handle = library(reason, sizeof reason);
    bool ok = false;

    if (handle && !(*(void **)&table = dlsym(handle, "sx_cuda_table")))
        snprintf(reason, sizeof reason, "%s: %s", LIBRARY, dlerror());
    if (table)
        ok = table(kernels, device, reason, sizeof reason);
    if (err && errlen)
        snprintf(err, errlen, "%s", reason);
    return ok ? 0 : -ENODEV;
}
