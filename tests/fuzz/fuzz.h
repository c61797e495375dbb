/* fuzz.h: what the fuzz targets share: bytes as a file, and a main() that replays files where there
 * is no libFuzzer. */
#ifndef SX_FUZZ_H
#define SX_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static char fuzz_path[256];

static inline void fuzz_remove(void)
{
    unlink(fuzz_path);
}

/* A file of these bytes; its path is valid until the next call, and the file until the process
 * ends. (A real file in $TMPDIR or /tmp: the modules refuse links, /proc/self/fd among them.) */
static inline const char *fuzz_file(const uint8_t *bytes, size_t n)
{
    FILE *f;

    if (!*fuzz_path) {
        const char *dir = getenv("TMPDIR");
        snprintf(fuzz_path, sizeof fuzz_path, "%s/sparsex-fuzz-%ld", dir ? dir : "/tmp",
                 (long)getpid());
        atexit(fuzz_remove);
    }
    f = fopen(fuzz_path, "wb");
    if (!f || fwrite(bytes, 1, n, f) != n || fclose(f) != 0)
        exit(2);
    return fuzz_path;
}

#ifdef SX_FUZZ_REPLAY
int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        uint8_t *bytes = NULL;
        long n = -1;
        if (f && fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) >= 0) {
            rewind(f);
            bytes = malloc((size_t)n + 1);
        }
        if (!bytes || fread(bytes, 1, (size_t)n, f) != (size_t)n)
            return 2;
        fclose(f);
        LLVMFuzzerTestOneInput(bytes, (size_t)n);
        free(bytes);
    }
    printf("%d replayed\n", argc - 1);
    return 0;
}
#endif

#endif
