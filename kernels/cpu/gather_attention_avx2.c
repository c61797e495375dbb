/* gather_attention_avx2.c: gather attention in vectors of 8. */
#define SX_LANES         8
#define GATHER_ATTENTION sx_gather_attention_avx2
#include "kernels/cpu/gather_attention_simd.h"
