/* safetensors.c: a folder's weight files: map, check every offset, find a tensor. Knows no model.
 *
 * A file is 8 bytes of header length (little endian), a JSON header, and the tensors' bytes.
 * Accepted is a header that is one JSON object from its first byte, of at most 25 MB, no key twice,
 * whose tensors have a known dtype, a shape whose product times the dtype's size is exactly end -
 * begin, and whose ranges, sorted, cover the bytes behind the header without hole, overlap or rest.
 * (The rules of the format's README; the reference implementation takes headers up to 100 MB and
 * the last of equal keys.)
 *
 * On top of the format, three tensors may be one I4 matrix [rows, cols], cols a multiple of 32:
 *   N        U8  [rows, cols / 2]         q + 8 of two columns, the even one in the low nibble
 *   N.group  U8  [rows, ceil(cols / 64)]  m - 1 of two groups of 32 columns, likewise
 *   N.scale  F32 [rows]
 * A number is scale[row] * m[row][col / 32] * q: an int8 and its row's scale, as q is -8 .. 7 and
 * m 1 .. 16. (Whoever writes it leaves -8 out.) A U8 matrix without N.group is none. */
#include "engine/safetensors.h"

#include "engine/file.h"
#include "engine/json.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_HEADER  (25u << 20)
#define MAX_INDEX   (25u << 20)
#define MAX_TENSORS 100000u
#define MAX_SHARDS  1024u
#define MAX_VALUES  (1u << 19) /* JSON values of one header: about 16384 tensors */
#define MAX_NAME    512u

#define SINGLE_FILE "model.safetensors"
#define INDEX_FILE  "model.safetensors.index.json"

typedef struct shard {
    char *name;
    sx_file_id id;
    void *map; /* the whole file, read-only; NULL: not mapped yet */
    size_t size;
} shard;

typedef struct entry {
    sx_tensor tensor; /* first member: what callers see */
    char *name;
    bool is_u8; /* its dtype in the file: bytes that may be I4 or the groups of one */
    size_t shard;
    uint64_t begin, end; /* in the data part of the shard */
} entry;

struct sx_safetensors {
    int dir; /* what shard names are relative to; AT_FDCWD for a single path */
    shard *shards;
    size_t n_shards;
    entry *entries; /* sorted by name once open */
    size_t n_entries, room;
};

static const struct {
    const char *name;
    uint32_t bits;
    sx_dtype dtype;
} dtypes[] = {
    {"F32", 32, SX_DTYPE_F32},          {"F16", 16, SX_DTYPE_F16},
    {"BF16", 16, SX_DTYPE_BF16},        {"I8", 8, SX_DTYPE_I8},
    {"BOOL", 8, SX_DTYPE_OTHER},        {"F4", 4, SX_DTYPE_OTHER},
    {"F6_E2M3", 6, SX_DTYPE_OTHER},     {"F6_E3M2", 6, SX_DTYPE_OTHER},
    {"U8", 8, SX_DTYPE_OTHER},          {"F8_E5M2", 8, SX_DTYPE_OTHER},
    {"F8_E4M3", 8, SX_DTYPE_OTHER},     {"F8_E8M0", 8, SX_DTYPE_OTHER},
    {"F8_E4M3FNUZ", 8, SX_DTYPE_OTHER}, {"F8_E5M2FNUZ", 8, SX_DTYPE_OTHER},
    {"I16", 16, SX_DTYPE_OTHER},        {"U16", 16, SX_DTYPE_OTHER},
    {"I32", 32, SX_DTYPE_OTHER},        {"U32", 32, SX_DTYPE_OTHER},
    {"C64", 64, SX_DTYPE_OTHER},        {"F64", 64, SX_DTYPE_OTHER},
    {"I64", 64, SX_DTYPE_OTHER},        {"U64", 64, SX_DTYPE_OTHER},
};

/* One tensor's line for the checks below; `what` is an E-ST- suffix. */
#define REFUSE(source, what, ...)                                                                  \
    sx_json_fail(&(sx_json_source){"E-ST-" what, (source)->file, (source)->err, (source)->errlen}, \
                 __VA_ARGS__)

static int whole_number(const json_t *value, uint64_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return -EBADMSG;
    *out = (uint64_t)json_integer_value(value);
    return 0;
}

/* {"dtype": ..., "shape": [...], "data_offsets": [begin, end]} -> e. Sizes are checked here, the
 * place in the file by check_cover(). */
static int read_tensor(entry *e, const json_t *info, const sx_json_source *source)
{
    const json_t *shape = json_object_get(info, "shape");
    const json_t *offsets = json_object_get(info, "data_offsets");
    const char *dtype = json_string_value(json_object_get(info, "dtype"));
    sx_tensor *t = &e->tensor;
    uint64_t bits = 0;

    if (!dtype || !json_is_array(shape) || !json_is_array(offsets))
        return REFUSE(source, "KEY", "tensor %s lacks dtype, shape or data_offsets",
                      sx_show(e->name).s);
    for (size_t i = 0; i < sizeof dtypes / sizeof dtypes[0]; i++) {
        if (strcmp(dtypes[i].name, dtype) == 0) {
            t->dtype = dtypes[i].dtype;
            bits = dtypes[i].bits;
        }
    }
    e->is_u8 = strcmp(dtype, "U8") == 0;
    if (!bits)
        return REFUSE(source, "DTYPE", "tensor %s is of unknown dtype %.40s", sx_show(e->name).s,
                      sx_show(dtype).s);
    if (json_array_size(shape) > SX_MAX_DIMS)
        return REFUSE(source, "SHAPE", "tensor %s has more than %d dimensions", sx_show(e->name).s,
                      SX_MAX_DIMS);
    t->n_dims = (uint32_t)json_array_size(shape);
    t->n_elements = 1;
    for (uint32_t i = 0; i < t->n_dims; i++) {
        if (whole_number(json_array_get(shape, i), &t->shape[i]) < 0)
            return REFUSE(source, "SHAPE", "dimension %u of tensor %s is no whole number", i,
                          sx_show(e->name).s);
        if (__builtin_mul_overflow(t->n_elements, t->shape[i], &t->n_elements))
            return REFUSE(source, "SHAPE", "the shape of tensor %s overflows", sx_show(e->name).s);
    }
    if (__builtin_mul_overflow(t->n_elements, bits, &bits))
        return REFUSE(source, "SHAPE", "the size of tensor %s overflows", sx_show(e->name).s);
    if (bits % 8)
        return REFUSE(source, "SHAPE", "tensor %s ends inside a byte", sx_show(e->name).s);
    if (json_array_size(offsets) != 2 || whole_number(json_array_get(offsets, 0), &e->begin) < 0 ||
        whole_number(json_array_get(offsets, 1), &e->end) < 0 || e->end < e->begin)
        return REFUSE(source, "OFFSETS", "data_offsets of tensor %s are no range",
                      sx_show(e->name).s);
    if (e->end - e->begin != bits / 8)
        return REFUSE(source, "SIZE", "tensor %s has %llu bytes, its shape and dtype need %llu",
                      sx_show(e->name).s, (unsigned long long)(e->end - e->begin),
                      (unsigned long long)(bits / 8));
    return 0;
}

static int by_place(const void *a, const void *b)
{
    const entry *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const entry *)a)->name, ((const entry *)b)->name);
}

/* The entries of one shard must cover its `size` data bytes exactly, one behind the other. */
static int check_cover(entry *entries, size_t n, uint64_t size, const sx_json_source *source)
{
    uint64_t at = 0;

    if (n)
        qsort(entries, n, sizeof *entries, by_place);
    for (size_t i = 0; i < n; i++) {
        const entry *e = &entries[i];
        if (e->begin != at)
            return REFUSE(source, "OFFSETS", "tensor %s begins at %llu instead of %llu (%s)",
                          sx_show(e->name).s, (unsigned long long)e->begin, (unsigned long long)at,
                          e->begin < at ? "overlap" : "hole");
        at = e->end;
        if (at > size)
            return REFUSE(source, "CUT", "tensor %s ends at %llu of %llu bytes", sx_show(e->name).s,
                          (unsigned long long)at, (unsigned long long)size);
    }
    if (at != size)
        return REFUSE(source, "REST", "%llu bytes behind the last tensor",
                      (unsigned long long)(size - at));
    return 0;
}

static int add_tensor(sx_safetensors *st, const char *name, size_t shard_index, const json_t *info,
                      const sx_json_source *source)
{
    entry *e;

    if (!*name || strlen(name) > MAX_NAME)
        return REFUSE(source, "NAME", "a tensor's name is empty or longer than %u bytes", MAX_NAME);
    if (st->n_entries == MAX_TENSORS)
        return REFUSE(source, "COUNT", "more than %u tensors", MAX_TENSORS);
    if (st->n_entries == st->room) {
        size_t room = st->room ? 2 * st->room : 256;
        entry *more = realloc(st->entries, room * sizeof *more);
        if (!more)
            return sx_fail(source->err, source->errlen, -ENOMEM,
                           "E-RAM: table of tensors; nothing was loaded; free memory");
        st->entries = more;
        st->room = room;
    }
    e = &st->entries[st->n_entries];
    *e = (entry){.shard = shard_index, .name = strdup(name)};
    if (!e->name)
        return sx_fail(source->err, source->errlen, -ENOMEM,
                       "E-RAM: table of tensors; nothing was loaded; free memory");
    st->n_entries++; /* from here on close() frees the name */
    return read_tensor(e, info, source);
}

static int read_at(int fd, void *room, size_t n, uint64_t at)
{
    while (n) {
        ssize_t got = pread(fd, room, n, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : -EBADMSG;
        room = (uint8_t *)room + got;
        n -= (size_t)got;
        at += (uint64_t)got;
    }
    return 0;
}

/* Opens, checks and maps st->shards[index]. */
static int load_shard(sx_safetensors *st, size_t index, char *err, size_t errlen)
{
    shard *s = &st->shards[index];
    sx_json_source source = {"E-ST-HEADER", s->name, err, errlen};
    uint8_t length[8] = {0}, *header = NULL;
    json_t *root = NULL, *info;
    const char *name;
    uint64_t n = 0;
    size_t first = st->n_entries;
    int fd, rc;

    fd = sx_file_open(st->dir, s->name, &s->id, err, errlen);
    if (fd < 0)
        return fd;
    if (s->id.size < sizeof length || read_at(fd, length, sizeof length, 0) < 0) {
        rc = REFUSE(&source, "HEADER", "shorter than a header's length");
        goto out;
    }
    for (int i = 7; i >= 0; i--)
        n = n << 8 | length[i];
    if (n > MAX_HEADER || n > s->id.size - sizeof length) {
        rc = REFUSE(&source, "HEADER",
                    "a header of %llu bytes does not fit (at most %u, file %llu)",
                    (unsigned long long)n, MAX_HEADER, (unsigned long long)s->id.size);
        goto out;
    }
    header = malloc(n ? n : 1);
    if (!header) {
        rc = sx_fail(err, errlen, -ENOMEM, "E-RAM: header; nothing was loaded; free memory");
        goto out;
    }
    if (n == 0 || read_at(fd, header, n, sizeof length) < 0 || header[0] != '{') {
        rc = REFUSE(&source, "HEADER", "the header does not begin with {");
        goto out;
    }
    if ((rc = sx_json_parse(&root, header, n, MAX_VALUES, &source)) < 0)
        goto out;
    json_object_foreach(root, name, info) {
        if (strcmp(name, "__metadata__") == 0) { /* a map of strings for people; not ours to read */
            const char *key;
            json_t *value;
            bool strings = json_is_object(info) || json_is_null(info);
            json_object_foreach(info, key, value)
                strings = strings && json_is_string(value);
            rc = strings ? 0 : REFUSE(&source, "KEY", "__metadata__ is no map of strings");
        } else
            rc = add_tensor(st, name, index, info, &source);
        if (rc < 0)
            goto out;
    }
    rc = check_cover(st->entries + first, st->n_entries - first, s->id.size - sizeof length - n,
                     &source);
    if (rc < 0)
        goto out;
    s->map = mmap(NULL, (size_t)s->id.size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (s->map == MAP_FAILED) {
        s->map = NULL;
        rc = sx_fail(err, errlen, -ENOMEM, "E-RAM: cannot map %s; nothing was loaded; free memory",
                     sx_show(s->name).s);
        goto out;
    }
    s->size = (size_t)s->id.size;
    for (size_t i = first; i < st->n_entries; i++)
        st->entries[i].tensor.data = (const uint8_t *)s->map + sizeof length + n +
                                     st->entries[i].begin;
out:
    json_decref(root);
    free(header);
    close(fd);
    return rc;
}

/* A shard may only be a plain file name: no way to another directory. */
static bool is_plain_name(const char *name)
{
    size_t n = strlen(name);

    return n > 12 && n <= 255 && name[0] != '.' && !strchr(name, '/') &&
           strcmp(name + n - 12, ".safetensors") == 0;
}

static int add_shard(sx_safetensors *st, const char *name, char *err, size_t errlen)
{
    shard *more = realloc(st->shards, (st->n_shards + 1) * sizeof *more);
    char *copy = strdup(name);

    if (more)
        st->shards = more;
    if (!more || !copy) {
        free(copy);
        return sx_fail(err, errlen, -ENOMEM,
                       "E-RAM: table of files; nothing was loaded; free memory");
    }
    st->shards[st->n_shards++] = (shard){.name = copy};
    return 0;
}

/* {"weight_map": {tensor: file}}: opens each file once, then compares what is in it with the map.
 */
static int load_index(sx_safetensors *st, char *err, size_t errlen)
{
    sx_json_source source = {"E-ST-INDEX", INDEX_FILE, err, errlen};
    uint8_t *bytes = NULL;
    json_t *root = NULL, *seen = json_object();
    const json_t *map = NULL;
    const char *tensor;
    json_t *value;
    size_t n = 0;
    int rc;

    if (!seen) {
        rc = sx_fail(err, errlen, -ENOMEM,
                     "E-RAM: table of files; nothing was loaded; free memory");
        goto out;
    }
    if ((rc = sx_file_read(st->dir, INDEX_FILE, MAX_INDEX, &bytes, &n, err, errlen)) < 0 ||
        (rc = sx_json_parse(&root, bytes, n, 2 * MAX_TENSORS, &source)) < 0 ||
        (rc = sx_json_object(root, "weight_map", &map, &source)) < 0)
        goto out;
    json_object_foreach((json_t *)map, tensor, value) {
        const char *name = json_string_value(value);
        if (!name || !is_plain_name(name)) {
            rc = sx_json_fail(&source, "tensor %s: %s is no plain name of a .safetensors file",
                              sx_show(tensor).s, name ? sx_show(name).s : "this");
            goto out;
        }
        if (json_object_get(seen, name))
            continue;
        if (st->n_shards == MAX_SHARDS) {
            rc = sx_json_fail(&source, "more than %u files", MAX_SHARDS);
            goto out;
        }
        if (json_object_set_new(seen, name, json_integer((json_int_t)st->n_shards)) < 0) {
            rc = sx_fail(err, errlen, -ENOMEM,
                         "E-RAM: table of files; nothing was loaded; free memory");
            goto out;
        }
        if ((rc = add_shard(st, name, err, errlen)) < 0)
            goto out;
    }
    if (!st->n_shards) {
        rc = sx_json_fail(&source, "weight_map is empty");
        goto out;
    }
    for (size_t i = 0; i < st->n_shards; i++) {
        if ((rc = load_shard(st, i, err, errlen)) < 0)
            goto out;
    }
    for (size_t i = 0; i < st->n_entries; i++) {
        const char *name = st->entries[i].name;
        const char *file = json_string_value(json_object_get(map, name));
        if (!file || strcmp(file, st->shards[st->entries[i].shard].name) != 0) {
            rc = sx_json_fail(&source, "tensor %s is in %s, where weight_map does not have it",
                              sx_show(name).s, sx_show(st->shards[st->entries[i].shard].name).s);
            goto out;
        }
    }
    if (st->n_entries != json_object_size(map))
        rc = sx_json_fail(&source, "weight_map names %zu tensors, the files hold %zu",
                          json_object_size(map), st->n_entries);
out:
    json_decref(seen);
    json_decref(root);
    free(bytes);
    return rc;
}

/* *out: the row scales of the matrix t. */
static int find_scale(const sx_safetensors *st, const sx_tensor *t, const char *kind,
                      const sx_tensor **out, const sx_json_source *source)
{
    char name[MAX_NAME + sizeof ".scale"];
    const sx_tensor *scale;

    snprintf(name, sizeof name, "%s.scale", t->name);
    scale = sx_safetensors_find(st, name);
    if (!scale || scale->dtype != SX_DTYPE_F32 || scale->n_dims != 1 ||
        scale->shape[0] != t->shape[0])
        return REFUSE(source, "SCALE", "%s matrix %s has no F32 row scales %s of its height", kind,
                      sx_show(t->name).s, sx_show(name).s);
    *out = scale;
    return 0;
}

/* A matrix of bytes that has groups becomes I4, of its logical shape; another one stays what it is.
 */
static int join_i4(const sx_safetensors *st, entry *e, const sx_json_source *source)
{
    sx_tensor *t = &e->tensor;
    char name[MAX_NAME + sizeof ".group"];
    const sx_tensor *group;
    uint64_t cols, n, bytes;

    snprintf(name, sizeof name, "%s.group", t->name);
    group = sx_safetensors_find(st, name);
    if (!group)
        return 0;
    if (__builtin_mul_overflow(t->shape[1], 2, &cols) ||
        __builtin_mul_overflow(t->n_elements, 2, &n) || cols % 32)
        return REFUSE(source, "GROUP", "I4 matrix %s has rows of %llu bytes, no groups of 16",
                      sx_show(t->name).s, (unsigned long long)t->shape[1]);
    bytes = cols / 64 + (cols % 64 != 0);
    if (!((const entry *)group)->is_u8 || group->n_dims != 2 || group->shape[0] != t->shape[0] ||
        group->shape[1] != bytes)
        return REFUSE(source, "GROUP", "I4 matrix %s: its groups %s are not U8 [%llu, %llu]",
                      sx_show(t->name).s, sx_show(name).s, (unsigned long long)t->shape[0],
                      (unsigned long long)bytes);
    t->dtype = SX_DTYPE_I4;
    t->shape[1] = cols;
    t->n_elements = n;
    t->group = group;
    return find_scale(st, t, "I4", &t->scale, source);
}

/* Sorts by name and joins every I8 and I4 matrix with its companions. (A name comes before itself
 * with ".group" behind: groups are looked at before they could be taken for a matrix.) */
static int finish(sx_safetensors *st, char *err, size_t errlen)
{
    if (st->n_entries)
        qsort(st->entries, st->n_entries, sizeof *st->entries, by_name);
    for (size_t i = 0; i < st->n_entries; i++) {
        entry *e = &st->entries[i];
        e->tensor.name = e->name;
        if (i && strcmp(e[-1].name, e->name) == 0)
            return REFUSE((&(sx_json_source){NULL, st->shards[e->shard].name, err, errlen}),
                          "TWICE", "tensor %s is in two files", sx_show(e->name).s);
    }
    for (size_t i = 0; i < st->n_entries; i++) {
        entry *e = &st->entries[i];
        sx_tensor *t = &e->tensor;
        sx_json_source source = {NULL, st->shards[e->shard].name, err, errlen};
        int rc = 0;
        if (t->n_dims != 2)
            continue;
        if (t->dtype == SX_DTYPE_I8)
            rc = find_scale(st, t, "I8", &t->scale, &source);
        else if (e->is_u8)
            rc = join_i4(st, e, &source);
        if (rc < 0)
            return rc;
    }
    return 0;
}

static int open_weights(sx_safetensors **out, const char *dir, const char *path, char *err,
                        size_t errlen)
{
    sx_safetensors *st = calloc(1, sizeof *st);
    struct stat unused;
    int rc;

    *out = NULL;
    if (!st)
        return sx_fail(err, errlen, -ENOMEM, "E-RAM: weights; nothing was loaded; free memory");
    st->dir = AT_FDCWD;
    if (dir) {
        st->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (st->dir < 0) {
            rc = sx_fail(err, errlen, -EBADMSG,
                         "E-MODEL-FILE: %s, %s; nothing was loaded; check --model", strerror(errno),
                         sx_show(dir).s);
            goto out;
        }
        path = SINGLE_FILE;
    }
    if (dir && fstatat(st->dir, SINGLE_FILE, &unused, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
        fstatat(st->dir, INDEX_FILE, &unused, AT_SYMLINK_NOFOLLOW) == 0)
        rc = load_index(st, err, errlen);
    else if ((rc = add_shard(st, path, err, errlen)) == 0)
        rc = load_shard(st, 0, err, errlen);
    if (rc < 0 || (rc = finish(st, err, errlen)) < 0)
        goto out;
    *out = st;
    st = NULL;
out:
    sx_safetensors_close(st);
    return rc;
}

int sx_safetensors_open(sx_safetensors **out, const char *dir, char *err, size_t errlen)
{
    return open_weights(out, dir, NULL, err, errlen);
}

int sx_safetensors_open_file(sx_safetensors **out, const char *path, char *err, size_t errlen)
{
    return open_weights(out, NULL, path, err, errlen);
}

void sx_safetensors_close(sx_safetensors *st)
{
    if (!st)
        return;
    for (size_t i = 0; i < st->n_entries; i++)
        free(st->entries[i].name);
    for (size_t i = 0; i < st->n_shards; i++) {
        if (st->shards[i].map)
            munmap(st->shards[i].map, st->shards[i].size);
        free(st->shards[i].name);
    }
    if (st->dir >= 0)
        close(st->dir);
    free(st->entries);
    free(st->shards);
    free(st);
}

const sx_tensor *sx_safetensors_find(const sx_safetensors *st, const char *name)
{
    size_t low = 0, high = st->n_entries;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = strcmp(name, st->entries[middle].name);
        if (order == 0)
            return &st->entries[middle].tensor;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return NULL;
}

size_t sx_safetensors_count(const sx_safetensors *st)
{
    return st->n_entries;
}

const sx_tensor *sx_safetensors_at(const sx_safetensors *st, size_t i)
{
    return &st->entries[i].tensor;
}

size_t sx_safetensors_files(const sx_safetensors *st)
{
    return st->n_shards;
}

const char *sx_safetensors_file(const sx_safetensors *st, size_t i, const uint8_t **bytes,
                                size_t *n)
{
    *bytes = st->shards[i].map;
    *n = st->shards[i].size;
    return st->shards[i].name;
}

bool sx_safetensors_unchanged(const sx_safetensors *st)
{
    for (size_t i = 0; i < st->n_shards; i++) {
        const sx_file_id *id = &st->shards[i].id;
        struct stat now;
        if (fstatat(st->dir, st->shards[i].name, &now, AT_SYMLINK_NOFOLLOW) < 0 ||
            (uint64_t)now.st_dev != id->device || (uint64_t)now.st_ino != id->inode ||
            (uint64_t)now.st_size != id->size || now.st_mtim.tv_sec != id->modified.tv_sec ||
            now.st_mtim.tv_nsec != id->modified.tv_nsec)
            return false;
    }
    return true;
}

/* ---- numbers --------------------------------------------------------------------------- */

static float float_of_bits(uint32_t bits)
{
    float value;

    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE half -> single: exact for every value */
static float float_of_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000) << 16;
    uint32_t exponent = half >> 10 & 31, fraction = half & 0x3ff;

    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24 */
        float value = (float)fraction * 0x1p-24f;
        return sign ? -value : value;
    }
    if (exponent == 31)
        return float_of_bits(sign | 0x7f800000 | fraction << 13);
    return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
}

void sx_tensor_rows(const sx_tensor *tensor, uint64_t row, uint64_t n, float *out)
{
    uint64_t cols = tensor->n_elements;
    const uint8_t *data = tensor->data;

    if (tensor->n_dims >= 2)
        cols = tensor->shape[0] ? tensor->n_elements / tensor->shape[0] : 0;
    if (tensor->dtype == SX_DTYPE_F32) {
        memcpy(out, data + row * cols * 4, n * cols * 4);
        return;
    }
    if (tensor->dtype == SX_DTYPE_I8 && tensor->scale) {
        for (uint64_t r = row; r < row + n; r++) {
            const int8_t *in = (const int8_t *)data + r * cols;
            float scale;
            memcpy(&scale, (const uint8_t *)tensor->scale->data + r * 4, sizeof scale);
            for (uint64_t c = 0; c < cols; c++)
                *out++ = scale * (float)in[c];
        }
        return;
    }
    if (tensor->dtype == SX_DTYPE_I4) {
        const uint8_t *groups = tensor->group->data;
        uint64_t group_bytes = cols / 64 + (cols % 64 != 0);
        for (uint64_t r = row; r < row + n; r++) {
            const uint8_t *in = data + r * (cols / 2), *group = groups + r * group_bytes;
            float scale;
            memcpy(&scale, (const uint8_t *)tensor->scale->data + r * 4, sizeof scale);
            for (uint64_t g = 0; g < cols / 32; g++) {
                int m = (group[g / 2] >> (g % 2 * 4) & 15) + 1;
                for (int i = 0; i < 16; i++, in++) {
                    *out++ = scale * (float)(m * ((*in & 15) - 8));
                    *out++ = scale * (float)(m * ((*in >> 4) - 8));
                }
            }
        }
        return;
    }
    if (tensor->dtype == SX_DTYPE_F16 || tensor->dtype == SX_DTYPE_BF16) {
        for (uint64_t i = row * cols; i < (row + n) * cols; i++) {
            uint16_t half;
            memcpy(&half, data + i * 2, sizeof half);
            *out++ = tensor->dtype == SX_DTYPE_F16 ? float_of_half(half)
                                                   : float_of_bits((uint32_t)half << 16);
        }
    }
}
