/* window_attention_avx2.c: window attention in vectors of 8. */
#define SX_LANES         8
#define WINDOW_ATTENTION sx_window_attention_avx2
#include "kernels/cpu/window_attention_simd.h"
