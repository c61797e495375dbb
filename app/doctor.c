/* doctor.c: what this machine offers, one line each.
 * Must not know repositories. It is the one file of app/ that names the libraries of the others,
 * for their versions. */
#include "app/commands.h"
#include "app/sandbox.h"

#include <errno.h>
#include <git2.h>
#include <jansson.h>
#include <sched.h>
#include <seccomp.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <utf8proc.h>

typedef struct report {
    sx_cli *cli;
    json_t *json; /* NULL: for people */
} report;

static void tell(report *r, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void tell(report *r, const char *key, const char *format, ...)
{
    char text[1024], safe[2048];
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    sx_display_name(safe, sizeof safe, text);
    if (r->json != NULL)
        json_object_set_new(r->json, key, json_string(safe));
    else
        printf("%s%-12s%s %s\n", sx_style_code(&r->cli->out, SX_BOLD), key,
               sx_style_code(&r->cli->out, SX_PLAIN), safe);
}

static void tell_processor(report *r)
{
    cpu_set_t set;
    int usable = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 0;

#if defined(__x86_64__)
    tell(r, "processor", "x86-64%s%s%s%s, %d threads",
         __builtin_cpu_supports("avx2") ? " avx2" : "", __builtin_cpu_supports("fma") ? " fma" : "",
         __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") ? " avx512" : "",
         __builtin_cpu_supports("avx512vnni") ? " vnni" : "", usable);
#else
    tell(r, "processor", "%d threads", usable);
#endif
}

/* The nearest directory above the cache that exists tells whether it can be made. */
static int tell_cache(report *r)
{
    const char *wanted = r->cli->options.cache, *xdg = getenv("XDG_CACHE_HOME"),
               *home = getenv("HOME");
    char path[4096], above[4096], *slash;
    struct stat st;

    if (wanted != NULL)
        snprintf(path, sizeof path, "%s", wanted);
    else if (xdg != NULL && *xdg == '/')
        snprintf(path, sizeof path, "%s/sparsex", xdg);
    else
        snprintf(path, sizeof path, "%s/.cache/sparsex", home != NULL ? home : "");
    if (stat(path, &st) == 0) {
        bool ours = st.st_uid == geteuid() && (st.st_mode & 022) == 0;

        tell(r, "cache", "%s, mode %04o%s%s", path, st.st_mode & 07777,
             ours ? "" : ", owned or writable by others: refused",
             access(path, W_OK) == 0 ? "" : ", not writable");
        return ours && access(path, W_OK) == 0 ? 0 : -EIO;
    }
    snprintf(above, sizeof above, "%s", path);
    while (access(above, F_OK) != 0 && (slash = strrchr(above, '/')) != NULL && slash != above)
        *slash = '\0';
    tell(r, "cache", "%s, %s", path,
         access(above, W_OK) == 0 ? "made when needed" : "cannot be made");
    return access(above, W_OK) == 0 ? 0 : -EIO;
}

static int tell_model(report *r)
{
    sx_engine *engine = NULL;
    sx_engine_options options = {.model_dir = r->cli->model,
                                 .threads = r->cli->options.threads,
                                 .device = r->cli->options.device};
    char err[1024] = "";
    int rc;

    if (r->cli->model == NULL) {
        tell(r, "model", "not found: install one or give --model DIR");
        return -ENOENT;
    }
    rc = sx_engine_open(&engine, &options, err, sizeof err);
    if (rc < 0) {
        tell(r, "model", "refused, %s", err);
    } else {
        const sx_engine_info *info = sx_engine_get_info(engine);

        tell(r, "model", "%s, %s", info->name, r->cli->model);
        tell(r, "fingerprint", "%s", info->model);
        tell(r, "device", "%s", info->device);
    }
    sx_engine_close(engine);
    return rc;
}

int sx_command_doctor(sx_cli *cli)
{
    report r = {.cli = cli, .json = cli->options.json ? json_object() : NULL};
    const struct scmp_version *seccomp = seccomp_version();
    int major, minor, patch, cache, model, abi = sx_sandbox_landlock_abi();

    git_libgit2_version(&major, &minor, &patch);
    tell(&r, "sparsex", "%s", SX_VERSION);
    tell_processor(&r);
    model = tell_model(&r);
    if (cli->queries != NULL)
        tell(&r, "queries", "%s", cli->queries);
    else
        tell(&r, "queries", "not found: install the program again");
    cache = tell_cache(&r);
    if (abi > 0)
        tell(&r, "landlock", "version %d%s", abi,
             sx_sandbox_wanted() ? "" : ", switched off by SPARSEX_SANDBOX");
    else
        tell(&r, "landlock", "not in this kernel: files are protected by their rights only");
    tell(&r, "seccomp", "%s%s", sx_sandbox_has_seccomp() ? "yes" : "not in this kernel",
         sx_sandbox_wanted() ? "" : ", switched off by SPARSEX_SANDBOX");
    tell(&r, "libraries",
         "libgit2 %d.%d.%d, SQLite %s, jansson %s, utf8proc %s, libseccomp %u.%u.%u", major, minor,
         patch, sqlite3_libversion(), jansson_version_str(), utf8proc_version(), seccomp->major,
         seccomp->minor, seccomp->micro);
    if (r.json != NULL) {
        json_dumpf(r.json, stdout, JSON_INDENT(2));
        putchar('\n');
    }
    json_decref(r.json);
    if (model < 0)
        return sx_failed_saying(
            &cli->failure, SX_DOMAIN_MODEL, model,
            "E-MODEL: the model cannot be used; nothing was changed; see above");
    if (cache < 0)
        return sx_failed_saying(
            &cli->failure, SX_DOMAIN_REPOSITORY, cache,
            "E-CACHE: the cache directory cannot be used; nothing was changed; see "
            "above, or give --cache DIR");
    return 0;
}
