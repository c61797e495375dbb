/* blob.c: see blob.h. Rules are tables; each has one line that says what it is after. */
#include "indexer/blob.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

static const char *base_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

static bool ends_with(const char *name, const char *end)
{
    size_t n = strlen(name), n_end = strlen(end);

    return n >= n_end && strcasecmp(name + n - n_end, end) == 0;
}

static bool is_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (strcasecmp(name, *list) == 0)
            return true;
    return false;
}

static bool ends_with_one_of(const char *name, const char *const *list)
{
    for (; *list; list++)
        if (ends_with(name, *list))
            return true;
    return false;
}

/* Does a directory of the path have one of these names? */
static bool has_directory(const char *path, const char *const *list)
{
    for (const char *slash; (slash = strchr(path, '/')); path = slash + 1)
        for (const char *const *name = list; *name; name++)
            if (strlen(*name) == (size_t)(slash - path) &&
                strncasecmp(path, *name, (size_t)(slash - path)) == 0)
                return true;
    return false;
}

/* ---- by path --------------------------------------------------------------------------------------- */

static const char *const binary_ends[] = {
    ".png", ".jpg", ".jpeg", ".gif", ".bmp", ".ico", ".icns", ".webp", ".tif", ".tiff", ".psd", ".xcf",
    ".avif", ".heic", ".mp3", ".mp4", ".m4a", ".ogg", ".oga", ".ogv", ".flac", ".wav", ".avi", ".mov",
    ".mkv", ".webm", ".woff", ".woff2", ".ttf", ".otf", ".eot", ".zip", ".gz", ".tgz", ".bz2", ".xz",
    ".zst", ".lz4", ".7z", ".rar", ".tar", ".jar", ".war", ".whl", ".deb", ".rpm", ".dmg", ".iso",
    ".exe", ".dll", ".so", ".dylib", ".a", ".o", ".ko", ".class", ".pyc", ".pyo", ".pdb", ".wasm", ".sqlite", ".sqlite3", ".pdf", ".doc", ".docx", ".xls", ".xlsx",
    ".ppt", ".pptx", ".odt", ".ods", ".npy", ".npz", ".safetensors", ".gguf", ".onnx", ".pt", ".pth",
    ".parquet", ".pack", ".idx", ".mo", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", NULL};

static const char *const generated_names[] = {
    "package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", "bun.lock", "Cargo.lock",
    "poetry.lock", "uv.lock", "Pipfile.lock", "pdm.lock", "composer.lock", "Gemfile.lock", "go.sum",
    "mix.lock", "pubspec.lock", "flake.lock", "Podfile.lock", "packages.lock.json", "Package.resolved",
    "gradle.lockfile", "deno.lock", "conan.lock", NULL};

static const char *const generated_ends[] = {
    ".min.js", ".min.mjs", ".min.css", ".js.map", ".mjs.map", ".css.map", ".pb.go", ".pb.cc", ".pb.h",
    ".pb.c", "_pb2.py", "_pb2.pyi", "_pb2_grpc.py", ".pb.dart", ".g.dart", ".freezed.dart", ".designer.cs",
    ".g.cs", "_generated.go", ".bundle.js", NULL};

/* Keys, tokens and passwords by the names that programs give them. */
static const char *const secret_names[] = {
    "id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".netrc", "_netrc", ".pgpass", ".my.cnf", ".htpasswd",
    ".git-credentials", ".dockercfg", ".pypirc", ".s3cfg", ".boto", "credentials.json",
    "service-account.json", "secrets.yml", "secrets.yaml", "master.key", NULL};
static const char *const env_examples[] = {".example", ".sample", ".template", ".dist", ".defaults", NULL};

static bool is_secret_name(const char *path)
{
    const char *base = base_of(path);

    if (is_one_of(base, secret_names) || ends_with(path, ".aws/credentials") ||
        ends_with(path, ".docker/config.json"))
        return true;
    return strncasecmp(base, ".env", 4) == 0 && (base[4] == '\0' || base[4] == '.') &&
           !ends_with_one_of(base, env_examples);
}

sx_skip sx_blob_skip_by_path(const char *path)
{
    const char *base = base_of(path);

    if (is_secret_name(path))
        return SX_SKIP_SECRET;
    if (ends_with_one_of(base, binary_ends))
        return SX_SKIP_BINARY;
    if (is_one_of(base, generated_names) || ends_with_one_of(base, generated_ends))
        return SX_SKIP_GENERATED;
    return SX_SKIP_NONE;
}

static const char *const data_ends[] = {
    ".json", ".jsonl", ".ndjson", ".geojson", ".ipynb", ".csv", ".tsv", ".xml", ".svg", ".po", ".pot",
    ".yaml", ".yml", ".snap", ".dat", ".log", ".dic", ".vocab", ".bib", ".lock", NULL};

uint64_t sx_blob_max_bytes(const char *path)
{
    return ends_with_one_of(path, data_ends) ? (uint64_t)128 << 10 : (uint64_t)2 << 20;
}

/* ---- by content ------------------------------------------------------------------------------------ */

/* The pointer that git-lfs leaves in place of a file: under 1024 bytes, this first line. */
static bool is_lfs_pointer(const uint8_t *bytes, size_t n)
{
    static const char first[] = "version https://git-lfs.github.com/spec/";

    return n < 1024 && n >= sizeof first - 1 && memcmp(bytes, first, sizeof first - 1) == 0;
}

/* UTF-16 and UTF-32: a byte order mark, or NULs on one side of the byte pairs and nearly none on the
 * other, as ASCII text has them in UTF-16. */
static bool is_wide_text(const uint8_t *bytes, size_t n)
{
    size_t look = n < 8000 ? n : 8000, nul[2] = {0, 0};

    if (n >= 2 && ((bytes[0] == 0xff && bytes[1] == 0xfe) || (bytes[0] == 0xfe && bytes[1] == 0xff)))
        return true;
    if (n >= 4 && memcmp(bytes, "\0\0\xfe\xff", 4) == 0)
        return true;
    for (size_t i = 0; i < look; i++)
        nul[i & 1] += bytes[i] == 0;
    return look >= 8 && ((nul[0] > look * 3 / 8 && nul[1] <= look / 64) ||
                         (nul[1] > look * 3 / 8 && nul[0] <= look / 64));
}

static const uint8_t *find(const uint8_t *bytes, size_t n, const char *what)
{
    return memmem(bytes, n, what, strlen(what));
}

static const char *const key_ends[] = {".pem", ".key", ".crt", ".cert", ".asc", ".ppk", ".gpg", ".p8", NULL};

static bool is_private_key(const char *path, const uint8_t *bytes, size_t n)
{
    size_t look = n < 8192 ? n : 8192;
    const uint8_t *line = memchr(bytes, '\n', look);
    size_t first = line ? (size_t)(line - bytes) : look;

    if (find(bytes, first, "-----BEGIN ") == bytes && find(bytes, first, "PRIVATE KEY"))
        return true;
    if (!ends_with_one_of(path, key_ends))
        return false;
    return find(bytes, look, "PRIVATE KEY") || find(bytes, first, "PuTTY-User-Key-File");
}

/* "Code generated ... DO NOT EDIT" or "@generated" near the beginning. */
static bool says_generated(const uint8_t *bytes, size_t n)
{
    char head[1025];
    size_t look = n < sizeof head - 1 ? n : sizeof head - 1, at = 0;

    for (int line = 0; line < 12 && at < look; at++) {
        head[at] = (char)tolower(bytes[at]);
        line += bytes[at] == '\n';
    }
    head[at] = '\0';
    return strstr(head, "@generated") ||
           (strstr(head, "generated") && (strstr(head, "do not edit") || strstr(head, "do not modify")));
}

/* More than half of it in lines that no person writes. */
static bool is_minified(const uint8_t *bytes, size_t n)
{
    enum { LONG_LINE = 4096 };
    size_t in_long = 0;

    for (const uint8_t *at = bytes, *end = bytes + n; at < end;) {
        const uint8_t *line = memchr(at, '\n', (size_t)(end - at));
        size_t length = line ? (size_t)(line - at) : (size_t)(end - at);

        in_long += length > LONG_LINE ? length : 0;
        at = line ? line + 1 : end;
    }
    return in_long > n / 2;
}

sx_skip sx_blob_skip_by_content(const char *path, const uint8_t *bytes, size_t n)
{
    if (is_lfs_pointer(bytes, n))
        return SX_SKIP_LFS_POINTER;
    if (is_wide_text(bytes, n))
        return SX_SKIP_ENCODING;
    if (memchr(bytes, '\0', n))
        return SX_SKIP_BINARY;
    if (is_private_key(path, bytes, n))
        return SX_SKIP_SECRET;
    if (says_generated(bytes, n) || is_minified(bytes, n))
        return SX_SKIP_GENERATED;
    return SX_SKIP_NONE;
}

/* ---- class ----------------------------------------------------------------------------------------- */

static const char *const vendored_directories[] = {
    "vendor", "vendored", "third_party", "third-party", "thirdparty", "3rdparty", "node_modules", "deps",
    "external", "externals", "extern", "bundled", "bower_components", "godeps", "subprojects", "_vendor",
    "contrib-deps", NULL};
static const char *const test_directories[] = {
    "test", "tests", "testing", "testdata", "test-data", "test_data", "spec", "specs", "__tests__",
    "__mocks__", "fixtures", "e2e", "unittests", NULL};
static const char *const test_ends[] = {
    "_test.go", "_test.py", "_test.c", "_test.cc", "_test.cpp", "_test.rs", "_test.rb", "_spec.rb",
    "_test.lua", "_test.dart", ".test.js", ".test.jsx", ".test.ts", ".test.tsx", ".test.mjs", ".spec.js",
    ".spec.ts", ".spec.tsx", "Test.java", "Tests.java", "Test.kt", "Tests.swift", "Tests.cs", "Test.php",
    NULL};
static const char *const document_ends[] = {
    ".md", ".markdown", ".mdx", ".rst", ".txt", ".adoc", ".asciidoc", ".org", ".tex", ".pod", ".rdoc",
    ".json", ".jsonl", ".json5", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".conf", ".properties", ".csv",
    ".tsv", ".xml", ".html", ".htm", ".xhtml", ".svg", ".po", ".pot", ".bib", ".log", ".diff", ".patch",
    ".lock", ".1", ".3", ".5", ".7", ".8", ".editorconfig", ".gitignore", ".gitattributes", ".gitmodules",
    ".prettierrc", ".eslintrc", ".dockerignore", NULL};
static const char *const document_names[] = {
    "license", "licence", "copying", "notice", "authors", "contributors", "maintainers", "readme",
    "changelog", "changes", "news", "todo", "history", "codeowners", "unlicense", NULL};
static const char *const build_names[] = {"cmakelists.txt", "meson_options.txt", NULL};

sx_file_class sx_blob_class(const char *path)
{
    const char *base = base_of(path);

    if ((ends_with_one_of(base, document_ends) && !is_one_of(base, build_names)) ||
        is_one_of(base, document_names))
        return SX_CLASS_DOCUMENT;
    if (has_directory(path, vendored_directories))
        return SX_CLASS_VENDORED;
    if (has_directory(path, test_directories) || ends_with_one_of(base, test_ends) ||
        strncmp(base, "test_", 5) == 0 || strcmp(base, "conftest.py") == 0)
        return SX_CLASS_TEST;
    return SX_CLASS_SOURCE;
}
