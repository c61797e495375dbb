/* fuzz_safetensors.c: any bytes as a weights file: refused with a line, or every number can be
 * read. Built with libFuzzer where the compiler has it; otherwise replays the files given. */
#include "engine/safetensors.h"
#include "tests/fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    sx_safetensors *st = NULL;
    char err[512] = "";

    if (sx_safetensors_open_file(&st, fuzz_file(bytes, n), err, sizeof err) < 0) {
        if (st || strncmp(err, "E-", 2) != 0)
            abort();
        return 0;
    }
    for (size_t i = 0; i < sx_safetensors_count(st); i++) {
        const sx_tensor *t = sx_safetensors_at(st, i);
        uint64_t rows = t->n_dims >= 2 ? t->shape[0] : 1;
        float *out;
        if (t->dtype == SX_DTYPE_OTHER || (t->dtype == SX_DTYPE_I8 && !t->scale) ||
            t->n_elements == 0)
            continue;
        out = malloc(t->n_elements * sizeof *out);
        if (out)
            sx_tensor_rows(t, 0, rows, out);
        free(out);
        if (sx_safetensors_find(st, t->name) != t)
            abort();
    }
    sx_safetensors_close(st);
    return 0;
}
