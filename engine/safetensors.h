/* safetensors.h: a folder's weight files: map, check every offset, find a tensor.
 * One file or shards named by model.safetensors.index.json (plain names in the same folder only). */
#ifndef SX_SAFETENSORS_H
#define SX_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sx_dtype { SX_F32, SX_F16, SX_BF16, SX_I8, SX_DTYPE_OTHER } sx_dtype;

typedef struct sx_tensor {
    const char *name;
    sx_dtype dtype;
    uint32_t n_dims;
    uint64_t shape[8];
    uint64_t n_elements;       /* product of shape, checked against the bytes there are */
    const void *data;          /* in the mapping; any alignment */
    const struct sx_tensor *scale; /* of an I8 matrix: F32 [rows], tensor "<name>.scale"; else NULL */
} sx_tensor;

typedef struct sx_safetensors sx_safetensors;
int sx_safetensors_open(sx_safetensors **out, const char *dir, char *err, size_t errlen);
void sx_safetensors_close(sx_safetensors *st);
const sx_tensor *sx_safetensors_find(const sx_safetensors *st, const char *name); /* NULL: absent */
size_t sx_safetensors_count(const sx_safetensors *st);
const sx_tensor *sx_safetensors_at(const sx_safetensors *st, size_t i);

/* Rows [row, row + n) of a tensor seen as [rows, cols] (a vector is one row) as float32, dequantised.
 * out: n * cols floats. The caller checked the shape. */
void sx_tensor_rows(const sx_tensor *tensor, uint64_t row, uint64_t n, float *out);

/* Files may change or shrink under a mapping: true while size, mtime and inode of every file are what
 * they were at open. */
bool sx_safetensors_unchanged(const sx_safetensors *st);

#endif
