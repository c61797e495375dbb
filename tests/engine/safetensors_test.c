/* safetensors_test.c: what a weights file must be, what is refused, which numbers come out. */
#include "engine/safetensors.h"
#include "tests/check.h"
#include "tests/engine/tiny.h"

#include <errno.h>
#include <math.h>
#include <sys/stat.h>

static char err[1024];

/* Opens the scratch folder; the code of the error, or "" when it opened. */
static const char *verdict(void)
{
    static char code[40];
    sx_safetensors *st = NULL;
    int rc;

    err[0] = 0;
    rc = sx_safetensors_open(&st, scratch, err, sizeof err);
    sx_safetensors_close(st);
    if ((rc == 0) != (st != NULL) || (rc < 0 && rc != -EBADMSG))
        return "wrong return value";
    snprintf(code, sizeof code, "%.*s", (int)strcspn(err, ":"), err);
    return code;
}

static const char *verdict_of(const char *header, size_t n_data)
{
    size_t n = 0;
    uint8_t *file = tiny_file(header, n_data, &n);

    scratch_write("model.safetensors", file, n);
    free(file);
    return verdict();
}

#define CHECK_VERDICT(got, want)                                                                   \
    do {                                                                                           \
        const char *g = (got);                                                                     \
        SX_CHECK(strcmp(g, want) == 0);                                                            \
        if (strcmp(g, want) != 0)                                                                  \
            fprintf(stderr, "    got %s, want %s (%s)\n", g, want, err);                           \
    } while (0)

#define F32(shape, range) "{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" range "]}"
#define HUGE_SIDE         "9223372036854775807"

/* One header a rule: {"t": ...} and how many bytes lie behind it. */
static const struct {
    const char *header;
    size_t n_data;
    const char *want;
} headers[] = {
    {"{}", 0, ""},
    {"{}   ", 0, ""}, /* padding behind the object */
    {"{\"t\":" F32("2,2", "0,16") "}", 16, ""},
    {"{\"t\":" F32("", "0,4") "}", 4, ""},             /* a scalar */
    {"{\"t\":" F32("0," HUGE_SIDE, "0,0") "}", 0, ""}, /* empty, of any width */
    {"{\"a\":" F32("1", "4,8") ",\"b\":" F32("1", "0,4") "}", 8, ""},
    {"{\"a\":" F32("0", "4,4") ",\"b\":" F32("1", "0,4") "}", 4, ""},
    {"{\"__metadata__\":{\"format\":\"pt\"},\"t\":" F32("1", "0,4") "}", 4, ""},
    {"{\"t\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4],\"more\":1}}", 4, ""},
    {"{\"t\":{\"dtype\":\"F4\",\"shape\":[2],\"data_offsets\":[0,1]}}", 1, ""},
    {"", 0, "E-ST-HEADER"},
    {"", 8, "E-ST-HEADER"},
    {" {}", 0, "E-ST-HEADER"},
    {"[]", 0, "E-ST-HEADER"},
    {"{", 0, "E-ST-HEADER"},
    {"{}x", 0, "E-ST-HEADER"},
    {"{}{}", 0, "E-ST-HEADER"},
    {"nonsense", 0, "E-ST-HEADER"},
    {"{\"\xff\":" F32("1", "0,4") "}", 4, "E-ST-HEADER"},
    {"{\"\\ud800\":" F32("1", "0,4") "}", 4, "E-ST-HEADER"},
    {"{\"a\":" F32("1", "0,4") ",\"a\":" F32("1", "4,8") "}", 8, "E-ST-HEADER"},
    {"{\"t\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4,
     "E-ST-HEADER"},
    {"{\"t\":" F32("1", "0,18446744073709551615") "}", 4, "E-ST-HEADER"}, /* over 2^63 */
    {"{\"t\":" F32("2,18446744073709551614", "0,16") "}", 16, "E-ST-HEADER"},
    {"{\"t\":1}", 0, "E-ST-KEY"},
    {"{\"t\":[]}", 0, "E-ST-KEY"},
    {"{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4, "E-ST-KEY"},
    {"{\"t\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "E-ST-KEY"},
    {"{\"__metadata__\":{\"a\":1}}", 0, "E-ST-KEY"},
    {"{\"__metadata__\":[]}", 0, "E-ST-KEY"},
    {"{\"\":" F32("1", "0,4") "}", 4, "E-ST-NAME"},
    {"{\"t\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "E-ST-DTYPE"},
    {"{\"t\":{\"dtype\":\"f32\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "E-ST-DTYPE"},
    {"{\"t\":" F32("-1", "0,4") "}", 4, "E-ST-SHAPE"},
    {"{\"t\":" F32("1e0", "0,4") "}", 4, "E-ST-SHAPE"},
    {"{\"t\":" F32("1.0", "0,4") "}", 4, "E-ST-SHAPE"},
    {"{\"t\":" F32("\"1\"", "0,4") "}", 4, "E-ST-SHAPE"},
    {"{\"t\":" F32("null", "0,4") "}", 4, "E-ST-SHAPE"},
    {"{\"t\":" F32("2," HUGE_SIDE, "0,16") "}", 16, "E-ST-SHAPE"}, /* bits wrap */
    {"{\"t\":" F32("4," HUGE_SIDE, "0,16") "}", 16, "E-ST-SHAPE"}, /* elements wrap */
    {"{\"t\":" F32("4194305,4194305,4194305,211106198978564", "0,16") "}", 16, "E-ST-SHAPE"},
    {"{\"t\":" F32("1,1,1,1,1,1,1,1,1", "0,4") "}", 4, "E-ST-SHAPE"},
    {"{\"t\":{\"dtype\":\"F4\",\"shape\":[3],\"data_offsets\":[0,2]}}", 2, "E-ST-SHAPE"},
    {"{\"t\":{\"dtype\":\"F6_E2M3\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "E-ST-SHAPE"},
    {"{\"t\":" F32("1", "4,0") "}", 4, "E-ST-OFFSETS"},
    {"{\"t\":" F32("1", "-4,0") "}", 4, "E-ST-OFFSETS"},
    {"{\"t\":" F32("1", "0") "}", 4, "E-ST-OFFSETS"},
    {"{\"t\":" F32("1", "0,4,8") "}", 8, "E-ST-OFFSETS"},
    {"{\"t\":" F32("1", "0,4.0") "}", 4, "E-ST-OFFSETS"},
    {"{\"t\":" F32("1", "4,8") "}", 8, "E-ST-OFFSETS"}, /* a hole in front */
    {"{\"a\":" F32("1", "0,4") ",\"b\":" F32("1", "8,12") "}", 12, "E-ST-OFFSETS"},
    {"{\"a\":" F32("2", "0,8") ",\"b\":" F32("1", "4,8") "}", 8, "E-ST-OFFSETS"}, /* overlap */
    {"{\"a\":" F32("1", "0,4") ",\"b\":" F32("1", "0,4") "}", 4, "E-ST-OFFSETS"}, /* alias */
    {"{\"a\":" F32("2", "0,8") ",\"b\":" F32("0", "4,4") "}", 8,
     "E-ST-OFFSETS"}, /* empty, inside */
    {"{\"t\":" F32("1", "0,8") "}", 8, "E-ST-SIZE"},
    {"{\"t\":" F32("2", "0,4") "}", 4, "E-ST-SIZE"},
    {"{\"t\":" F32("2", "0,8") "}", 7, "E-ST-CUT"},
    {"{\"t\":" F32("2", "0,8") "}", 9, "E-ST-REST"},
    {"{}", 1, "E-ST-REST"},
    {"{\"w\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]}}", 4, "E-ST-SCALE"},
    {"{\"w\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]},\"w.scale\":" F32(
         "3", "4,16") "}",
     16, "E-ST-SCALE"},
    {"{\"w\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]},\"w.scale\":{\"dtype\":"
     "\"F16\","
     "\"shape\":[2],\"data_offsets\":[4,8]}}",
     8, "E-ST-SCALE"},
};

/* A U8 matrix "w" [2, cols] and its companions as given; how many bytes lie behind the header. */
static const struct {
    int cols;
    const char *companions;
    size_t n_data;
    const char *want;
} packed[] = {
#define U8(shape, range) "{\"dtype\":\"U8\",\"shape\":[" shape "],\"data_offsets\":[" range "]}"
    {16, "", 32, ""}, /* bytes */
    {16, ",\"w.scale\":" F32("2", "32,40"), 40, ""},
    {16, ",\"w.group\":" U8("2,1", "32,34") ",\"w.scale\":" F32("2", "34,42"), 42, ""},
    {32, ",\"w.group\":" U8("2,1", "64,66") ",\"w.scale\":" F32("2", "66,74"), 74, ""},
    {48, ",\"w.group\":" U8("2,2", "96,100") ",\"w.scale\":" F32("2", "100,108"), 108, ""},
    {0, ",\"w.group\":" U8("2,0", "0,0") ",\"w.scale\":" F32("2", "0,8"), 8, ""},
    {15, ",\"w.group\":" U8("2,1", "30,32") ",\"w.scale\":" F32("2", "32,40"), 40, "E-ST-GROUP"},
    {24, ",\"w.group\":" U8("2,1", "48,50") ",\"w.scale\":" F32("2", "50,58"), 58, "E-ST-GROUP"},
    {16, ",\"w.group\":" U8("1,2", "32,34") ",\"w.scale\":" F32("2", "34,42"), 42, "E-ST-GROUP"},
    {16, ",\"w.group\":" U8("2", "32,34") ",\"w.scale\":" F32("2", "34,42"), 42, "E-ST-GROUP"},
    {16, ",\"w.group\":" U8("2,2", "32,36") ",\"w.scale\":" F32("2", "36,44"), 44, "E-ST-GROUP"},
    {48, ",\"w.group\":" U8("2,1", "96,98") ",\"w.scale\":" F32("2", "98,106"), 106, "E-ST-GROUP"},
    {16,
     ",\"w.group\":{\"dtype\":\"BOOL\",\"shape\":[2,1],\"data_offsets\":[32,34]},"
     "\"w.scale\":" F32("2", "34,42"),
     42, "E-ST-GROUP"},
    {16, ",\"w.group\":" U8("2,1", "32,34"), 34, "E-ST-SCALE"},
    {16, ",\"w.group\":" U8("2,1", "32,34") ",\"w.scale\":" F32("1", "34,38"), 38, "E-ST-SCALE"},
    {16, ",\"w.group\":" U8("2,1", "32,34") ",\"w.scale\":" F32("2,1", "34,42"), 42, "E-ST-SCALE"},
    {16, ",\"w.group\":" U8("2,1", "32,34") ",\"w.scale\":" U8("2", "34,36"), 36, "E-ST-SCALE"},
    /* groups that have groups are a matrix too, and too narrow for one */
    {16,
     ",\"w.group\":" U8("2,1", "32,34") ",\"w.scale\":" F32("2", "34,42") ",\"w.group.group\":" U8(
         "2,1", "42,44"),
     44, "E-ST-GROUP"},
};

static void test_packed(void)
{
    for (size_t i = 0; i < sizeof packed / sizeof packed[0]; i++) {
        char header[600];

        add(header, 0, "{\"w\":{\"dtype\":\"U8\",\"shape\":[2,%d],\"data_offsets\":[0,%d]}%s}",
            packed[i].cols, 2 * packed[i].cols, packed[i].companions);
        CHECK_VERDICT(verdict_of(header, packed[i].n_data), packed[i].want);
        SX_CHECK(!*packed[i].want || (strstr(err, "I4 matrix w") && !strchr(err, '\n')));
    }
    /* empty and as wide as a number can be: nothing that could be indexed */
    CHECK_VERDICT(
        verdict_of("{\"w\":" U8("0," HUGE_SIDE, "0,0") ",\"w.group\":" U8("0,1", "0,0") "}", 0),
        "E-ST-GROUP");
}

static void test_headers(void)
{
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
        const char *got = verdict_of(headers[i].header, headers[i].n_data);
        SX_CHECK(strcmp(got, headers[i].want) == 0);
        if (strcmp(got, headers[i].want) != 0)
            fprintf(stderr, "    %s: got %s, want %s (%s)\n", headers[i].header, got,
                    headers[i].want, err);
    }
}

/* Lengths that lie, depth, numbers of things. */
static void test_sizes(void)
{
    static const uint64_t lengths[] = {0, 1, 3, 100000001, (25u << 20) + 1, INT64_MAX, UINT64_MAX};
    size_t n = 0, many = 300000;
    uint8_t *file = tiny_file("{}", 0, &n);
    char *text;

    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        for (int k = 0; k < 8; k++)
            file[k] = (uint8_t)(lengths[i] >> 8 * k);
        scratch_write("model.safetensors", file, n);
        CHECK_VERDICT(verdict(), "E-ST-HEADER");
    }
    for (size_t cut = 0; cut < n; cut++) {
        scratch_write("model.safetensors", file, cut);
        CHECK_VERDICT(verdict(), "E-ST-HEADER");
    }
    free(file);

    text = room(many * 60 + 100);
    memset(text, '[', many);
    memcpy(text, "{\"t\":", 5);
    text[many] = 0;
    CHECK_VERDICT(verdict_of(text, 0), "E-ST-HEADER");
    n = add(text, 0, "{"); /* more tensors than we take */
    for (size_t i = 0; i < many; i++)
        n = add(text, n, "%s\"%zu\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}",
                i ? "," : "", i);
    strcpy(text + n, "}");
    CHECK_VERDICT(verdict_of(text, 0), "E-ST-HEADER");
    SX_CHECK(strstr(err, "JSON values") != NULL);
    free(text);
}

static void test_numbers(void)
{
    /* halves: 1, -2, 2^-24 (the least subnormal), 65504, inf; bfloat: 1, -2, 3.140625 */
    static const uint16_t half[] = {0x3c00, 0xc000, 0x0001, 0x7bff, 0x7c00};
    static const uint16_t bf[] = {0x3f80, 0xc000, 0x4049};
    static const int8_t bytes[] = {1, -128, 127, 0, 2, -3};
    static const float scale[] = {0.5f, 1e-40f}, single[] = {-0.0f, 1e30f, 7.25f};
    static const char header[] =
        "{\"h\":{\"dtype\":\"F16\",\"shape\":[5],\"data_offsets\":[0,10]},"
        "\"b\":{\"dtype\":\"BF16\",\"shape\":[1,3],\"data_offsets\":[10,16]},"
        "\"w\":{\"dtype\":\"I8\",\"shape\":[2,3],\"data_offsets\":[16,22]},"
        "\"w.scale\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[22,30]},"
        "\"s\":{\"dtype\":\"F32\",\"shape\":[3,1],\"data_offsets\":[30,42]}} ";
    sx_safetensors *st = NULL;
    const sx_tensor *t;
    size_t n = 0;
    uint8_t *file = tiny_file(header, 42, &n), *data = file + 8 + strlen(header);
    float out[8];

    memcpy(data, half, 10);
    memcpy(data + 10, bf, 6);
    memcpy(data + 16, bytes, 6);
    memcpy(data + 22, scale, 8);
    memcpy(data + 30, single, 12);
    scratch_write("model.safetensors", file, n);
    free(file);
    SX_CHECK(sx_safetensors_open(&st, scratch, err, sizeof err) == 0);
    if (!st)
        return;
    SX_CHECK(sx_safetensors_count(st) == 5);
    for (size_t i = 0; i + 1 < sx_safetensors_count(st); i++)
        SX_CHECK(strcmp(sx_safetensors_at(st, i)->name, sx_safetensors_at(st, i + 1)->name) < 0);
    SX_CHECK(sx_safetensors_find(st, "x") == NULL && sx_safetensors_find(st, "") == NULL);
    t = sx_safetensors_find(st, "h");
    SX_CHECK(t && t->dtype == SX_DTYPE_F16 && t->n_elements == 5);
    sx_tensor_rows(t, 0, 1, out);
    SX_CHECK(out[0] == 1.0f && out[1] == -2.0f && out[2] == 0x1p-24f && out[3] == 65504.0f &&
             isinf(out[4]));
    sx_tensor_rows(sx_safetensors_find(st, "b"), 0, 1, out);
    SX_CHECK(out[0] == 1.0f && out[1] == -2.0f && out[2] == 3.140625f);
    t = sx_safetensors_find(st, "w");
    SX_CHECK(t->scale == sx_safetensors_find(st, "w.scale"));
    sx_tensor_rows(t, 0, 2, out);
    SX_CHECK(out[0] == 0.5f && out[1] == -64.0f && out[2] == 63.5f);
    SX_CHECK(out[3] == 0.0f && out[4] == 2.0f * 1e-40f && out[5] == -3.0f * 1e-40f);
    sx_tensor_rows(t, 1, 1, out);
    SX_CHECK(out[2] == -3.0f * 1e-40f);
    sx_tensor_rows(sx_safetensors_find(st, "s"), 1, 2, out);
    SX_CHECK(out[0] == 1e30f && out[1] == 7.25f);

    SX_CHECK(sx_safetensors_unchanged(st));
    SX_CHECK(truncate(scratch_path("model.safetensors"), (off_t)n - 1) == 0);
    SX_CHECK(!sx_safetensors_unchanged(st));
    SX_CHECK(unlink(scratch_path("model.safetensors")) == 0);
    SX_CHECK(!sx_safetensors_unchanged(st));
    sx_safetensors_close(st);
}

/* Three groups of 32 columns: the last high nibble of a row's groups is nobody's. */
static void test_i4(void)
{
    enum { ROWS = 3, COLS = 96 };
    static const char header[] =
        "{\"w\":{\"dtype\":\"U8\",\"shape\":[3,48],\"data_offsets\":[0,144]},"
        "\"w.group\":{\"dtype\":\"U8\",\"shape\":[3,2],\"data_offsets\":[144,150]},"
        "\"w.scale\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[150,162]}}";
    static const float scale[ROWS] = {0.5f, -0.0037f, 1e-40f};
    sx_safetensors *st = NULL;
    const sx_tensor *t;
    size_t n = 0;
    uint8_t *file = tiny_file(header, 162, &n), *data = file + 8 + strlen(header);
    float want[ROWS][COLS], out[ROWS * COLS];

    memset(data, 0, 144 + 6);
    for (int r = 0; r < ROWS; r++) {
        for (int c = 0; c < COLS; c++) {
            int q = (7 * c + 5 * r + c / 32) % 16 - 8, m = (11 * (c / 32) + 15 - r) % 16 + 1;

            data[48 * r + c / 2] |= (uint8_t)((q + 8) << c % 2 * 4);
            data[144 + 2 * r + c / 64] |= (uint8_t)((m - 1) << c / 32 % 2 * 4);
            SX_CHECK((int8_t)(m * q) == m * q);
            want[r][c] = scale[r] * (float)(int8_t)(m * q);
        }
        data[144 + 2 * r + 1] |= 0xf0;
    }
    memcpy(data + 150, scale, sizeof scale);
    scratch_write("model.safetensors", file, n);
    free(file);
    SX_CHECK(sx_safetensors_open(&st, scratch, err, sizeof err) == 0);
    if (!st)
        return;
    t = sx_safetensors_find(st, "w");
    SX_CHECK(t->dtype == SX_DTYPE_I4 && t->n_dims == 2 && t->shape[0] == ROWS &&
             t->shape[1] == COLS && t->n_elements == ROWS * COLS);
    SX_CHECK(t->group == sx_safetensors_find(st, "w.group") &&
             t->scale == sx_safetensors_find(st, "w.scale"));
    SX_CHECK(t->group->dtype == SX_DTYPE_OTHER);
    sx_tensor_rows(t, 0, ROWS, out);
    SX_CHECK(memcmp(out, want, sizeof want) == 0);
    sx_tensor_rows(t, 1, 2, out);
    SX_CHECK(memcmp(out, want[1], 2 * sizeof want[1]) == 0);
    sx_safetensors_close(st);
}

static void write_shard(const char *name, const char *header, size_t n_data)
{
    size_t n = 0;
    uint8_t *file = tiny_file(header, n_data, &n);

    scratch_write(name, file, n);
    free(file);
}

#define INDEX(map) "{\"metadata\":{},\"weight_map\":{" map "}}"

static const char *index_verdict(const char *index)
{
    scratch_text("model.safetensors.index.json", index);
    return verdict();
}

static void test_shards(void)
{
    sx_safetensors *st = NULL;
    const uint8_t *bytes;
    size_t n;
    char *text;

    scratch_empty();
    write_shard("a.safetensors",
                "{\"w\":{\"dtype\":\"I8\",\"shape\":[2,2],\"data_offsets\":[0,4]}}", 4);
    write_shard("b.safetensors", "{\"w.scale\":" F32("2", "0,8") ",\"v\":" F32("1", "8,12") "}",
                12);
    scratch_text(
        "model.safetensors.index.json",
        INDEX("\"w\":\"a.safetensors\",\"w.scale\":\"b.safetensors\",\"v\":\"b.safetensors\""));
    SX_CHECK(sx_safetensors_open(&st, scratch, err, sizeof err) == 0);
    if (st) {
        SX_CHECK(sx_safetensors_files(st) == 2 && sx_safetensors_count(st) == 3);
        SX_CHECK(strcmp(sx_safetensors_file(st, 0, &bytes, &n), "a.safetensors") == 0 && n > 4);
        SX_CHECK(sx_safetensors_find(st, "w")->scale == sx_safetensors_find(st, "w.scale"));
        SX_CHECK(sx_safetensors_unchanged(st));
        sx_safetensors_close(st);
    }
    CHECK_VERDICT(index_verdict(INDEX("")), "E-ST-INDEX");
    CHECK_VERDICT(index_verdict("{\"weight_map\":[]}"), "E-ST-INDEX");
    CHECK_VERDICT(index_verdict("{\"weight_map\":{\"w\":1}}"), "E-ST-INDEX");
    CHECK_VERDICT(index_verdict("no JSON"), "E-ST-INDEX");
    CHECK_VERDICT(index_verdict(INDEX("\"w\":\"../a.safetensors\"")), "E-ST-INDEX");
    CHECK_VERDICT(index_verdict(INDEX("\"w\":\"/tmp/a.safetensors\"")), "E-ST-INDEX");
    CHECK_VERDICT(index_verdict(INDEX("\"w\":\"./a.safetensors\"")), "E-ST-INDEX");
    CHECK_VERDICT(index_verdict(INDEX("\"w\":\"tokenizer.json\"")), "E-ST-INDEX");
    CHECK_VERDICT(index_verdict(INDEX("\"w\":\"none.safetensors\"")), "E-MODEL-FILE");
    CHECK_VERDICT(index_verdict(INDEX("\"v\":\"b.safetensors\"")),
                  "E-ST-INDEX"); /* w.scale unnamed */
    CHECK_VERDICT(index_verdict(INDEX("\"w.scale\":\"b.safetensors\",\"v\":\"b.safetensors\","
                                      "\"u\":\"b.safetensors\"")),
                  "E-ST-INDEX");
    write_shard("c.safetensors", "{\"v\":" F32("1", "0,4") "}", 4); /* v in two files */
    CHECK_VERDICT(index_verdict(INDEX("\"w.scale\":\"b.safetensors\",\"v\":\"b.safetensors\","
                                      "\"u\":\"c.safetensors\"")),
                  "E-ST-INDEX");
    SX_CHECK(symlink("b.safetensors", scratch_path("l.safetensors")) == 0);
    CHECK_VERDICT(index_verdict(INDEX("\"v\":\"l.safetensors\",\"w.scale\":\"l.safetensors\"")),
                  "E-MODEL-FILE");
    SX_CHECK(mkfifo(scratch_path("f.safetensors"), 0600) == 0);
    CHECK_VERDICT(index_verdict(INDEX("\"v\":\"f.safetensors\"")), "E-MODEL-FILE");

    text = room(100000 * 40); /* 10^5 files */
    n = add(text, 0, "{\"weight_map\":{");
    for (int i = 0; i < 100000; i++)
        n = add(text, n, "%s\"%d\":\"%d.safetensors\"", i ? "," : "", i, i);
    strcpy(text + n, "}}");
    CHECK_VERDICT(index_verdict(text), "E-ST-INDEX");
    free(text);

    scratch_empty();
    CHECK_VERDICT(verdict(), "E-MODEL-FILE");
    SX_CHECK(symlink("/dev/zero", scratch_path("model.safetensors")) == 0);
    CHECK_VERDICT(verdict(), "E-MODEL-FILE");
    unlink(scratch_path("model.safetensors"));
    SX_CHECK(mkdir(scratch_path("model.safetensors"), 0700) == 0);
    CHECK_VERDICT(verdict(), "E-MODEL-FILE");
    rmdir(scratch_path("model.safetensors"));
}

/* Names from a file are shown, never printed as they are. */
static void test_escape(void)
{
    CHECK_VERDICT(verdict_of("{\"\\u001b]0;x\\u0007\\n\\u202e\":" F32("2", "0,4") "}", 4),
                  "E-ST-SIZE");
    for (const char *p = err; *p; p++)
        SX_CHECK((uint8_t)*p >= 0x20 && (uint8_t)*p < 0x7f);
    SX_CHECK(strstr(err, "\\x1b]0;x\\x07\\x0a") != NULL);
}

int main(void)
{
    scratch_make();
    test_headers();
    test_packed();
    test_sizes();
    test_numbers();
    test_i4();
    test_shards();
    test_escape();
    scratch_remove();
    return sx_check_end();
}
