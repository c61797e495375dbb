/* paths.c: where the program's own data are.
 * Must not know what is in them. */
#include "app/paths.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* realpath() of `root`/`name` if it can be entered. */
static char *directory(const char *root, const char *name)
{
    char path[PATH_MAX];

    if (snprintf(path, sizeof path, "%s/%s", root, name) >= (int)sizeof path ||
        access(path, R_OK | X_OK) != 0)
        return NULL;
    return realpath(path, NULL);
}

static char *in_data_directories(const char *name)
{
    char executable[PATH_MAX], *slash, *found = NULL;
    ssize_t n = readlink("/proc/self/exe", executable,
                         sizeof executable - sizeof "/../share/sparsex");

    if (n > 0) {
        executable[n] = '\0';
        slash = strrchr(executable, '/');
        strcpy(slash, "/../share/sparsex");
        found = directory(executable, name);
    }
    return found != NULL ? found : directory(SX_DATADIR, name);
}

char *sx_model_directory(const char *wanted)
{
    const char *named = wanted != NULL ? wanted : getenv("SPARSEX_MODEL");
    char *found;

    if (named != NULL &&
        *named != '\0') /* even where it is no directory: the engine says what is wrong */
        return (found = realpath(named, NULL)) != NULL ? found : strdup(named);
    found = in_data_directories("model");
    return found != NULL ? found : directory(SX_MODEL_DIR, ".");
}

char *sx_queries_directory(void)
{
    return in_data_directories("queries");
}
