/* dot.h: the dot product of the references, in 16 independent sums so that any compiler can use the
 * vectors of its baseline. */
#ifndef SX_DOT_H
#define SX_DOT_H

static inline float sx_dot(const float *a, const float *b, int n)
{
    float part[16] = {0}, sum = 0.0f;
    int i = 0;
    for (; i + 16 <= n; i += 16)
        for (int l = 0; l < 16; l++)
            part[l] += a[i + l] * b[i + l];
    for (; i < n; i++)
        sum += a[i] * b[i];
    for (int l = 0; l < 16; l++)
        sum += part[l];
    return sum;
}

#endif
