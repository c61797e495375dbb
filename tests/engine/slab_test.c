/* slab_test.c: rows written are the rows read, older mappings stay good, and a file that is no slab
 * of this row size is refused before anything of it is believed. */
#include "engine/engine.h"
#include "tests/check.h"
#include "tests/engine/scratch.h"

#include <errno.h>
#include <sys/stat.h>

#define ROW 24

static void fill(char *rows, int n, int seed)
{
    for (int i = 0; i < n * ROW; i++)
        rows[i] = (char)(i * 7 + seed);
}

static void test_rows(void)
{
    const char *path = scratch_path("rows");
    char rows[10 * ROW], more[5 * ROW], err[512];
    sx_slab *slab = NULL, *reader = NULL;
    struct stat st;

    fill(rows, 10, 1);
    fill(more, 5, 90);
    SX_CHECK(sx_slab_open(&slab, path, ROW, true, err, sizeof err) == 0);
    SX_CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
    SX_CHECK(sx_slab_rows(slab, 0, 1) == NULL); /* nothing is there yet */
    SX_CHECK(sx_slab_write(slab, 0, rows, 10, err, sizeof err) == 0);
    SX_CHECK(sx_slab_sync(slab, err, sizeof err) == 0);
    const void *first = sx_slab_rows(slab, 0, 10);
    SX_CHECK(first && !memcmp(first, rows, sizeof rows));
    SX_CHECK(sx_slab_rows(slab, 7, 3) &&
             !memcmp(sx_slab_rows(slab, 7, 3), rows + 7 * ROW, 3 * ROW));
    SX_CHECK(sx_slab_rows(slab, 7, 4) == NULL); /* one too many */

    /* an unreferenced tail is written over, the file grows, and what was mapped before stays */
    SX_CHECK(sx_slab_write(slab, 8, more, 5, err, sizeof err) == 0);
    const char *grown = sx_slab_rows(slab, 0, 13);
    SX_CHECK(grown && !memcmp(grown, rows, 8 * ROW) && !memcmp(grown + 8 * ROW, more, sizeof more));
    SX_CHECK(!memcmp(first, rows, 8 * ROW));

    /* offsets that do not exist or do not fit a number */
    SX_CHECK(sx_slab_rows(slab, -1, 1) == NULL);
    SX_CHECK(sx_slab_rows(slab, INT64_MAX, 1) == NULL);
    SX_CHECK(sx_slab_rows(slab, 0, SIZE_MAX / 2) == NULL);
    SX_CHECK(sx_slab_write(slab, INT64_MAX / ROW, rows, 10, err, sizeof err) == -ENOSPC);
    SX_CHECK(sx_slab_write(slab, -1, rows, 1, err, sizeof err) == -ENOSPC);
    sx_slab_close(slab);

    /* another process's view, and a file cut behind our back */
    SX_CHECK(sx_slab_open(&reader, path, ROW, false, err, sizeof err) == 0);
    SX_CHECK(truncate(path, 4096 + 3 * ROW) == 0);
    SX_CHECK(sx_slab_rows(reader, 0, 3) && !sx_slab_rows(reader, 0, 4));
    sx_slab_close(reader);
}

static void refused(const char *path, bool writable, const char *name)
{
    char err[512] = "";
    sx_slab *slab = NULL;
    int rc = sx_slab_open(&slab, path, ROW, writable, err, sizeof err);

    if (rc != -EIO || slab || strncmp(err, name, strlen(name)) || strchr(err, '\n'))
        printf("%s: %d %s\n", path, rc, err);
    SX_CHECK(rc == -EIO && !slab && !strncmp(err, name, strlen(name)) && !strchr(err, '\n'));
}

static void test_refused(void)
{
    char path[512], err[512], garbage[5000];
    sx_slab *slab = NULL;
    FILE *file;

    snprintf(path, sizeof path, "%s", scratch_path("other"));
    SX_CHECK(sx_slab_open(&slab, path, ROW + 8, true, err, sizeof err) == 0);
    sx_slab_close(slab);
    refused(path, false, "E-SLAB-BAD"); /* of another row size */
    refused(path, true, "E-SLAB-BAD");

    snprintf(path, sizeof path, "%s", scratch_path("garbage"));
    memset(garbage, 'x', sizeof garbage);
    SX_CHECK((file = fopen(path, "wb")) &&
             fwrite(garbage, 1, sizeof garbage, file) == sizeof garbage);
    fclose(file);
    refused(path, true, "E-SLAB-BAD"); /* and is not overwritten */
    SX_CHECK((file = fopen(path, "rb")) && fgetc(file) == 'x');
    fclose(file);

    snprintf(path, sizeof path, "%s", scratch_path("fifo"));
    SX_CHECK(mkfifo(path, 0600) == 0);
    refused(path, false, "E-SLAB-BAD"); /* and does not block */
    snprintf(path, sizeof path, "%s", scratch_path("link"));
    SX_CHECK(symlink("garbage", path) == 0);
    refused(path, true, "E-IO");
    refused(scratch_path("absent"), false, "E-IO");
}

int main(void)
{
    scratch_make();
    test_rows();
    test_refused();
    scratch_remove();
    return sx_check_end();
}
