/* window_attention_avx512.c: window attention in vectors of 16. */
#define SX_LANES         16
#define WINDOW_ATTENTION sx_window_attention_avx512
#include "kernels/cpu/window_attention_simd.h"
