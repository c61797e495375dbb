/* safetensors.h: a folder's weight files: map, check every offset, find a tensor.
 * model.safetensors, or, where there is none, the shards that model.safetensors.index.json names
 * (plain names in the same folder only). What a file must fulfil is listed in safetensors.c.
 * Refused files: -EBADMSG and E-ST-WHAT, or E-MODEL-FILE where a file cannot be opened. */
#ifndef SX_SAFETENSORS_H
#define SX_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SX_MAX_DIMS 8

/* I4: four bits a number, not a type of the format but two of its U8 tensors and row scales read as
 * one; what is where stands in safetensors.c. OTHER: known, of the right size, but no type we
 * calculate with */
typedef enum sx_dtype {
    SX_DTYPE_F32,
    SX_DTYPE_F16,
    SX_DTYPE_BF16,
    SX_DTYPE_I8,
    SX_DTYPE_I4,
    SX_DTYPE_OTHER
} sx_dtype;

typedef struct sx_tensor {
    const char *name;
    sx_dtype dtype;
    uint32_t n_dims;
    uint64_t shape[SX_MAX_DIMS];
    uint64_t n_elements; /* product of shape, checked against the bytes there are */
    const void *data;    /* in the mapping; any alignment */
    const struct sx_tensor
        *scale; /* of an I8 or I4 matrix: F32 [rows], tensor "<name>.scale"; else NULL */
    const struct sx_tensor
        *group; /* of an I4 matrix: U8 [rows, bytes of its groups], "<name>.group"; else NULL */
} sx_tensor;

typedef struct sx_safetensors sx_safetensors;
int sx_safetensors_open(sx_safetensors **out, const char *dir, char *err, size_t errlen);
/* One file by its path, whatever its name. */
int sx_safetensors_open_file(sx_safetensors **out, const char *path, char *err, size_t errlen);
void sx_safetensors_close(sx_safetensors *st);
const sx_tensor *sx_safetensors_find(const sx_safetensors *st, const char *name); /* NULL: absent */
size_t sx_safetensors_count(const sx_safetensors *st);
const sx_tensor *sx_safetensors_at(const sx_safetensors *st, size_t i); /* in the order of names */

/* The files themselves, in the order they were opened: name, and the mapped bytes. */
size_t sx_safetensors_files(const sx_safetensors *st);
const char *sx_safetensors_file(const sx_safetensors *st, size_t i, const uint8_t **bytes,
                                size_t *n);

/* Rows [row, row + n) of a tensor seen as [shape[0], the rest] (a vector or scalar is one row) as
 * float32, dequantised. out: n * cols floats. The caller checked shape and type (not OTHER). */
void sx_tensor_rows(const sx_tensor *tensor, uint64_t row, uint64_t n, float *out);

/* Files may change or shrink under a mapping: true while size, mtime and inode of every file are
 * what they were at open. */
bool sx_safetensors_unchanged(const sx_safetensors *st);

#endif
