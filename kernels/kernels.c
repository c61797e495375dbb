/* kernels.c: the table: detect, mask, fill upwards from the reference. */
#include "kernels/kernels.h"

#include <stdlib.h>
#include <string.h>

static const char *const isa_names[] = {"c", "avx2", "avx512"};

int sx_isa_detect(void)
{
    int isa = SX_ISA_C;
    const char *forced = getenv("SPARSEX_ISA");

#ifdef SX_HAVE_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        isa = SX_ISA_AVX2;
    if (isa == SX_ISA_AVX2 && __builtin_cpu_supports("avx512f") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        isa = SX_ISA_AVX512;
#endif
    for (int i = 0; forced && i < isa; i++)
        if (!strcmp(forced, isa_names[i]))
            isa = i;
    return isa;
}

void sx_kernels_init(sx_kernels *kernels, int isa)
{
    *kernels = (sx_kernels){.isa = isa,
                            .isa_name = isa_names[isa],
                            .type = SX_F32,
#define SX_ENTRY(NAME, name) .name = sx_##name##_c,
                            SX_OPERATIONS(SX_ENTRY)
#undef SX_ENTRY
    };
#ifdef SX_HAVE_X86
    if (isa >= SX_ISA_AVX2) {
        kernels->window_attention = sx_window_attention_avx2;
        kernels->swiglu = sx_swiglu_avx2;
        kernels->landmark_score = sx_landmark_score_avx2;
        kernels->landmark_topk = sx_landmark_topk_avx2;
        kernels->gather_attention = sx_gather_attention_avx2;
    }
    if (isa >= SX_ISA_AVX512) {
        kernels->window_attention = sx_window_attention_avx512;
        kernels->swiglu = sx_swiglu_avx512;
        kernels->landmark_score = sx_landmark_score_avx512;
        kernels->landmark_topk = sx_landmark_topk_avx512;
        kernels->gather_attention = sx_gather_attention_avx512;
    }
#endif
#ifdef SX_HAVE_DNNL
    /* oneDNN looks at the CPU itself; level c means our own references throughout. */
    if (isa > SX_ISA_C) {
        kernels->matrix_new = sx_matrix_new_dnnl;
        kernels->matrix_free = sx_matrix_free_dnnl;
        kernels->matmul = sx_matmul_dnnl;
        kernels->matmul_f32 = sx_matmul_f32_dnnl;
        kernels->matmul_threads = sx_matmul_threads_dnnl;
    }
#endif
}
