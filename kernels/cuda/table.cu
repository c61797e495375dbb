/* table.cu: the module's one door: the table of a GPU. */
#include "kernels/cuda/cuda.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SX_CUDA_DECL(NAME, name) extern "C" SX_DECL_##NAME(sx_##name##_cuda);
SX_OPERATIONS(SX_CUDA_DECL)
#undef SX_CUDA_DECL

int sx_cuda_device;

/* What sx_kernels_init_cuda() promises, as true and false. */
extern "C" __attribute__((visibility("default"))) bool
sx_cuda_table(sx_kernels *kernels, int device, char *err, size_t errlen)
{
    static char names[128][24]; /* by compute capability: a table's name outlives the table */
    const char *forced = getenv("SPARSEX_ISA");
    int devices = 0, driver = 0, major = 0, minor = 0;
    cudaError_t error = cudaGetDeviceCount(&devices);

    err[0] = 0;
    if (error == cudaErrorInsufficientDriver && cudaDriverGetVersion(&driver) == cudaSuccess &&
        driver > 0) {
        snprintf(err, errlen, "the NVIDIA driver is for CUDA %d.%d, this module needs %d.%d",
                 driver / 1000, driver % 1000 / 10, CUDART_VERSION / 1000,
                 CUDART_VERSION % 1000 / 10);
        return false;
    }
    if (error == cudaErrorInsufficientDriver || error == cudaErrorNoDevice ||
        (error == cudaSuccess && devices == 0)) {
        snprintf(err, errlen, "no CUDA device");
        return false;
    }
    if (error != cudaSuccess) {
        snprintf(err, errlen, "no CUDA device: %s", cudaGetErrorString(error));
        return false;
    }
    if (device < 0 || device >= devices) {
        snprintf(err, errlen, "CUDA device %d: there are %d, counted from 0", device, devices);
        return false;
    }
    if ((error = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device)) ||
        (error = cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device))) {
        snprintf(err, errlen, "CUDA device %d: %s", device, cudaGetErrorString(error));
        return false;
    }
    if (major < 8) {
        snprintf(err, errlen, "CUDA device %d is sm_%d%d, older than sm_80", device, major, minor);
        return false;
    }
    sx_cuda_device = device;
    sx_cublas_load(err, errlen); /* without it the rest still works; err says what does not */

    char *name = names[(10 * major + minor) % 128];
    bool plain = forced && !strcmp(forced, "sm80");
    static char name_plain[] = "cuda sm_80";
    snprintf(name, sizeof names[0], "cuda sm_%d%d", major, minor);
    memset(kernels, 0, sizeof *kernels);
    kernels->isa = SX_ISA_CUDA;
    kernels->isa_name = plain ? name_plain : name;
    kernels->type = SX_BF16;
#define SX_ENTRY(NAME, name) kernels->name = sx_##name##_cuda;
    SX_OPERATIONS(SX_ENTRY)
#undef SX_ENTRY
    return true;
}
