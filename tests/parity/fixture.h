/* fixture.h: reads the parity vectors: a safetensors file of float32 and int32 tensors that we
 * wrote ourselves, so nothing is checked here beyond what a wrong path would show. */
#ifndef SX_FIXTURE_H
#define SX_FIXTURE_H

#include <jansson.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    char *bytes;
    const char *data;
    json_t *header;
} fixture;

static inline int fixture_open(fixture *f, const char *path)
{
    FILE *in = fopen(path, "rb");
    uint64_t n;
    long size;

    if (!in || fseek(in, 0, SEEK_END) || (size = ftell(in)) < 8 || fseek(in, 0, SEEK_SET))
        return -1;
    f->bytes = malloc((size_t)size);
    if (!f->bytes || fread(f->bytes, 1, (size_t)size, in) != (size_t)size)
        return -1;
    fclose(in);
    memcpy(&n, f->bytes, 8);
    f->header = json_loadb(f->bytes + 8, (size_t)n, 0, NULL);
    f->data = f->bytes + 8 + n;
    return f->header ? 0 : -1;
}

/* A tensor's numbers, four bytes each, as a copy with proper alignment; the caller's. */
static inline void *fixture_tensor(const fixture *f, const char *name, size_t *n)
{
    json_t *offsets = json_object_get(json_object_get(f->header, name), "data_offsets");
    size_t begin, end;

    if (!offsets) {
        fprintf(stderr, "no tensor %s in the fixture\n", name);
        exit(1);
    }
    begin = (size_t)json_integer_value(json_array_get(offsets, 0));
    end = (size_t)json_integer_value(json_array_get(offsets, 1));
    void *copy = malloc(end - begin + 1);
    memcpy(copy, f->data + begin, end - begin);
    *n = (end - begin) / 4;
    return copy;
}

static inline void fixture_close(fixture *f)
{
    json_decref(f->header);
    free(f->bytes);
}

#endif
