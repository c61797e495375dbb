/* swiglu_avx2.c: SwiGLU in vectors of 8. */
#define SX_LANES 8
#define SWIGLU   sx_swiglu_avx2
#include "kernels/cpu/swiglu_simd.h"
