/* gather_attention_avx512.c: gather attention in vectors of 16. */
#define SX_LANES         16
#define GATHER_ATTENTION sx_gather_attention_avx512
#include "kernels/cpu/gather_attention_simd.h"
