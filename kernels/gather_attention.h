/* gather_attention.h: how many partial results the GPU's gather attention keeps: the size of its
 * work memory, which the CPU tells, and its launches must agree. */
#ifndef SX_GATHER_ATTENTION_H
#define SX_GATHER_ATTENTION_H

#include <stddef.h>
#include <stdint.h>

enum { SX_GATHER_OWN = 64 /* own tokens that are shared out together */ };

/* Parts that a token's rows are cut into at most: no more than it has runs. own_rows: the most own
 * rows of a token, or anything above. */
static inline int sx_gather_parts(int n, int n_runs, int64_t own_rows)
{
    int64_t most = n < 1024 ? 1024 / (n > 0 ? n : 1) : 1;
    int64_t units = n_runs + (own_rows + SX_GATHER_OWN - 1) / SX_GATHER_OWN;
    return units < 1 ? 1 : (int)(units < most ? units : most);
}

/* Bytes: o [n, parts, heads, d], its log-sum-exp [n, parts, heads], that of runs [n_runs, heads].
 */
static inline size_t sx_gather_bytes(int n, int n_runs, int64_t own_rows, int heads, int d)
{
    size_t rows = (size_t)n * (size_t)sx_gather_parts(n, n_runs, own_rows) * (size_t)heads;
    return (rows * ((size_t)d + 1) + (size_t)n_runs * (size_t)heads) * sizeof(float);
}

#endif
