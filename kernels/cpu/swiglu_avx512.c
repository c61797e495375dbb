/* swiglu_avx512.c: SwiGLU in vectors of 16. */
#define SX_LANES 16
#define SWIGLU   sx_swiglu_avx512
#include "kernels/cpu/swiglu_simd.h"
