/* memory.c: alloc, free, upload, download, sync. */
#include "tests/kernelcheck/harness.h"

#include <stdint.h>
#include <string.h>

void check_memory_entries(backend *on)
{
    static const size_t sizes[] = {1, 2, 255, 256, 257, 4099, 1 << 20, (16 << 20) + 3};
    char err[256] = "something";

    begin_case(on, "nothing");
    expect(on->kn.alloc(on->stream, 0) == NULL, "alloc of 0 bytes is not NULL");
    on->kn.free(on->stream, NULL);
    expect(!on->kn.sync(on->stream, err, sizeof err) && !err[0], "sync of nothing: %s", err);
    expect(!on->kn.sync(on->stream, NULL, 0), "sync without err[]");
    end_case(on);

    for (size_t i = 0; i < sizeof sizes / sizeof *sizes && !(on->quick && i > 5); i++) {
        size_t n = sizes[i];
        uint8_t *sent = host_memory(on, n), *back = host_memory(on, n + 1);
        uint8_t *there = on->kn.alloc(on->stream, n), *also = on->kn.alloc(on->stream, n);

        begin_case(on, "%zu bytes", n);
        for (size_t j = 0; j < n; j++)
            sent[j] = (uint8_t)between(0, 255);
        if (expect(there && also, "alloc gave NULL")) {
            expect((uintptr_t)there % 256 == 0 && (uintptr_t)also % 256 == 0, "not aligned to 256");
            back[n] = 0xa5;
            on->kn.upload(on->stream, there, sent, n);
            on->kn.upload(on->stream, also, there, n); /* a copy on the device */
            on->kn.download(on->stream, back, also, n);
            on->kn.upload(on->stream, NULL, NULL, 0);
            on->kn.download(on->stream, NULL, NULL, 0);
            expect(!on->kn.sync(on->stream, err, sizeof err), "%s", err);
            expect(!memcmp(sent, back, n) && back[n] == 0xa5, "came back changed");
        }
        on->kn.free(on->stream, there);
        on->kn.free(on->stream, also);
        end_case(on);
    }
}

typedef struct moving {
    char *device, *host;
    size_t bytes;
} moving;

static void run_upload(backend *on, void *user, int turn)
{
    moving *m = user;
    on->kn.upload(on->stream, m->device, m->host, m->bytes);
}

static void run_download(backend *on, void *user, int turn)
{
    moving *m = user;
    on->kn.download(on->stream, m->host, m->device, m->bytes);
}

void bench_memory_entries(backend *on)
{
    moving m = {.bytes = 64 << 20};
    m.device = bench_values(on, m.bytes / 4, SX_F32);
    m.host = host_memory(on, m.bytes);
    measure(on, "upload 64 MB", (double)m.bytes, 0, run_upload, &m);
    measure(on, "download 64 MB", (double)m.bytes, 0, run_download, &m);
}
