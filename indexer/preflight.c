/* preflight.c: see preflight.h. What a hostile directory could say is read here first, by code that
 * neither blocks nor recurses; what the checks cannot see is a file exchanged behind them. */
#include "indexer/preflight.h"

#include "indexer/control.h"
#include "indexer/git_config.h"
#include "indexer/report.h"
#include "indexer/scan.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most a control file may weigh. Far above what git writes, far below what hurts. */
enum {
    CONFIG_CAP = 4 << 20,
    PACKED_REFS_CAP = 128 << 20,
    INCLUDES_CAP = 32, /* configuration files in all */
    ALTERNATES_CAP = 32,
};

typedef struct preflight {
    sx_git_dirs *dirs;
    sx_control control;
    bool submodule;            /* core.worktree names the directory that holds the .git file */
    char *queue[INCLUDES_CAP]; /* configuration files, real paths; owned */
    size_t n_queue;
    const char *config; /* the one being read */
} preflight;

/* ---- where is it? --------------------------------------------------------------------------- */

static bool exists_in(const char *directory, const char *name, bool as_directory)
{
    char *path = sx_path_join(directory, name);
    struct stat st;
    bool yes = path &&
               (as_directory ? stat(path, &st) == 0 && S_ISDIR(st.st_mode) : lstat(path, &st) == 0);

    free(path);
    return yes;
}

/* Like git: HEAD is there (whatever it is), and objects and refs or the way to them. */
static bool is_git_dir(const char *directory)
{
    return exists_in(directory, "HEAD", false) &&
           (exists_in(directory, "commondir", false) ||
            (exists_in(directory, "objects", true) && exists_in(directory, "refs", true)));
}

/* Is there a git directory at `at`, or one that belongs to the work tree `at`? 1 and dirs->git_dir.
 */
static int look_at(preflight *pf, const char *at)
{
    sx_git_dirs *dirs = pf->dirs;
    char *dot_git = sx_path_join(at, ".git"), *real = NULL;
    struct stat st;
    int rc = 0;

    if (!dot_git) {
        rc = sx_control_no_memory(&pf->control);
        goto out;
    }
    if (stat(dot_git, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (is_git_dir(dot_git) && (dirs->git_dir = realpath(dot_git, NULL))) {
            rc = (dirs->work_tree = strdup(at)) ? 1 : sx_control_no_memory(&pf->control);
            goto out;
        }
    } else if (lstat(dot_git, &st) == 0) {
        if (!(dirs->work_tree = strdup(at)) || !(dirs->git_dir = strdup(at)) ||
            !(dirs->common_dir = strdup(at))) { /* what check_control() calls inside, for now */
            rc = sx_control_no_memory(&pf->control);
            goto out;
        }
        rc = sx_control_pointer(&pf->control, dot_git, "gitdir: ", at, &real);
        free(dirs->git_dir);
        free(dirs->common_dir);
        dirs->common_dir = NULL;
        dirs->git_dir = real;
        if (rc == 0 || (rc > 0 && !is_git_dir(real)))
            rc = sx_index_fail(
                pf->control.err, pf->control.errlen, -EBADMSG,
                "E-NOREPO: %s names no git directory; nothing was read; use a whole clone",
                SX_SHOW(dot_git));
        goto out;
    }
    if (is_git_dir(at)) {
        const char *name = strrchr(at, '/');

        dirs->git_dir = strdup(at);
        if (name && strcmp(name, "/.git") == 0)
            dirs->work_tree = sx_path_parent(at);
        rc = dirs->git_dir ? 1 : sx_control_no_memory(&pf->control);
    }
out:
    free(dot_git);
    return rc;
}

static int find(preflight *pf, const char *path)
{
    char *at = realpath(path, NULL);
    struct stat st;
    int rc = 0;

    if (!at || stat(at, &st) < 0 || !S_ISDIR(st.st_mode)) {
        rc = sx_index_fail(pf->control.err, pf->control.errlen, -EBADMSG,
                           "E-NOREPO: %s is no directory; nothing was read; name a git repository",
                           SX_SHOW(path));
        goto out;
    }
    while ((rc = look_at(pf, at)) == 0 && strcmp(at, "/") != 0) {
        char *up = sx_path_parent(at);

        free(at);
        if (!(at = up)) {
            rc = sx_control_no_memory(&pf->control);
            goto out;
        }
    }
    if (rc == 0)
        rc = sx_index_fail(
            pf->control.err, pf->control.errlen, -EBADMSG,
            "E-NOREPO: neither %s nor a directory above it is a git repository; nothing was "
            "read; name one",
            SX_SHOW(path));
out:
    free(at);
    return rc < 0 ? rc : 0;
}

/* Fills dirs->common_dir. A work tree is linked where its repository says so too. */
static int find_common(preflight *pf)
{
    sx_git_dirs *dirs = pf->dirs;
    char *pointer = NULL, *worktrees = NULL, *real = NULL;
    int rc;

    if (!(dirs->common_dir = strdup(dirs->git_dir)) ||
        !(pointer = sx_path_join(dirs->git_dir, "commondir"))) {
        rc = sx_control_no_memory(&pf->control);
        goto out;
    }
    if ((rc = sx_control_pointer(&pf->control, pointer, "", dirs->git_dir, &real)) <= 0) {
        if (rc == 0 && exists_in(dirs->git_dir, "commondir", false))
            rc = sx_index_fail(pf->control.err, pf->control.errlen, -EBADMSG,
                               "E-NOREPO: %s leads nowhere; nothing was read; use a whole clone",
                               SX_SHOW(pointer));
        goto out;
    }
    if (!exists_in(real, "objects", true) || !exists_in(real, "refs", true)) {
        rc = sx_index_fail(
            pf->control.err, pf->control.errlen, -EBADMSG,
            "E-NOREPO: %s names no git directory; nothing was read; use a whole clone",
            SX_SHOW(pointer));
        goto out;
    }
    free(dirs->common_dir);
    dirs->common_dir = real;
    real = NULL;
    rc = 0;
    if (!(worktrees = sx_path_join(dirs->common_dir, "worktrees"))) {
        rc = sx_control_no_memory(&pf->control);
        goto out;
    }
    if (!sx_path_inside(dirs->git_dir, worktrees) && !pf->control.allow_outside)
        rc = sx_control_outside(&pf->control, "commondir", dirs->git_dir, dirs->common_dir);
out:
    free(pointer);
    free(worktrees);
    free(real);
    return rc;
}

/* ---- whose is it? --------------------------------------------------------------------------- */

static bool is_mine(const char *path)
{
    const char *sudo_uid = getenv("SUDO_UID");
    struct stat st;

    if (lstat(path, &st) < 0)
        return false;
    return st.st_uid == geteuid() ||
           (geteuid() == 0 && sudo_uid && *sudo_uid && st.st_uid == strtoul(sudo_uid, NULL, 10));
}

typedef struct trust {
    const sx_git_dirs *dirs;
    bool yes;
} trust;

static int see_safe_directory(const sx_git_setting *setting, void *user)
{
    trust *t = user;
    const char *value = setting->value;
    char *real = NULL;

    if (strcmp(setting->section, "safe") != 0 || strcmp(setting->key, "directory") != 0 || !value)
        return 0;
    if (!*value) {
        t->yes = false; /* an empty value takes back what was said before */
        return 0;
    }
    real = realpath(value, NULL);
    if (strcmp(value, "*") == 0 ||
        (real && (strcmp(real, t->dirs->git_dir) == 0 ||
                  (t->dirs->work_tree && strcmp(real, t->dirs->work_tree) == 0))))
        t->yes = true;
    free(real);
    return 0;
}

/* The user's own configuration, the one place that may say safe.directory. */
static int is_trusted(const preflight *pf, bool *yes)
{
    const char *home = getenv("HOME"), *xdg = getenv("XDG_CONFIG_HOME");
    preflight own = *pf;
    trust t = {.dirs = pf->dirs};
    char paths[3][PATH_MAX] = {"/etc/gitconfig", "", ""};
    int rc = 0;

    own.control.allow_outside = true; /* it may be a link into the user's other files */
    if (xdg && *xdg)
        snprintf(paths[1], sizeof paths[1], "%s/git/config", xdg);
    else if (home)
        snprintf(paths[1], sizeof paths[1], "%s/.config/git/config", home);
    if (home)
        snprintf(paths[2], sizeof paths[2], "%s/.gitconfig", home);
    for (int i = 0; i < 3 && rc >= 0; i++) {
        char *text = NULL;
        size_t n = 0;

        rc = paths[i][0] ? sx_control_read(&own.control, paths[i], CONFIG_CAP, &text, &n) : 0;
        if (rc > 0)
            rc = sx_git_config_parse(text, n, see_safe_directory, &t);
        if (rc == -EBADMSG || rc == -EILSEQ)
            rc = 0; /* not the repository's fault; it just grants nothing */
        free(text);
    }
    *yes = t.yes;
    return rc < 0 ? rc : 0;
}

static int check_owner(preflight *pf)
{
    sx_git_dirs *dirs = pf->dirs;
    const char *foreign = !is_mine(dirs->git_dir)                        ? dirs->git_dir
                          : !is_mine(dirs->common_dir)                   ? dirs->common_dir
                          : dirs->work_tree && !is_mine(dirs->work_tree) ? dirs->work_tree
                                                                         : NULL;
    const char *name = dirs->work_tree ? dirs->work_tree : dirs->git_dir;
    int rc;

    if (!foreign)
        return 0;
    if ((rc = is_trusted(pf, &dirs->trusted)) < 0 || dirs->trusted)
        return rc;
    return sx_index_fail(pf->control.err, pf->control.errlen, -EACCES,
                         "E-OWNER: %s belongs to another user; nothing was read; if you trust it: "
                         "git config --global --add safe.directory %s",
                         SX_SHOW(foreign), SX_SHOW(name));
}

/* ---- where does it lead? -------------------------------------------------------------------- */

static int add_config(preflight *pf, const char *path)
{
    char *copy = NULL;

    for (size_t i = 0; i < pf->n_queue; i++)
        if (strcmp(pf->queue[i], path) == 0)
            return 0;
    if (pf->n_queue == INCLUDES_CAP)
        return sx_index_fail(
            pf->control.err, pf->control.errlen, -EBADMSG,
            "E-GITDIR-CONFIG: %s includes more than %d files; nothing was read; use a fresh "
            "clone",
            SX_SHOW(pf->queue[0]), INCLUDES_CAP);
    if (!(copy = strdup(path)))
        return sx_control_no_memory(&pf->control);
    pf->queue[pf->n_queue++] = copy;
    return 0;
}

/* include.path and includeIf.<condition>.path: whatever the condition, it must stay inside. */
static int see_include(preflight *pf, const char *value)
{
    const char *home = getenv("HOME");
    char *base = sx_path_parent(pf->config), *path = NULL, *real = NULL;
    int rc = 0;

    if (!base) {
        rc = sx_control_no_memory(&pf->control);
        goto out;
    }
    path = value[0] == '~' && value[1] == '/' && home ? sx_path_join(home, value + 2)
                                                      : sx_path_join(base, value);
    if (!path) {
        rc = sx_control_no_memory(&pf->control);
        goto out;
    }
    if (!(real = realpath(path, NULL)))
        goto out; /* git and libgit2 pass over an include that is not there */
    if (!sx_control_inside(&pf->control, real) && !pf->control.allow_outside)
        rc = sx_control_outside(&pf->control, "include.path", pf->config, real);
    else
        rc = add_config(pf, real);
out:
    free(base);
    free(path);
    free(real);
    return rc;
}

/* We never open the work tree, but one that is elsewhere says that this repository is not what the
 * path given looks like. */
static int see_worktree(preflight *pf, const char *value)
{
    const sx_git_dirs *dirs = pf->dirs;
    char *path = sx_path_join(dirs->git_dir, value), *real = NULL, *dot_git = NULL, *back = NULL,
         *above = NULL;
    struct stat st;
    int rc = 0;

    if (!path || !(above = sx_path_parent(dirs->git_dir))) {
        rc = sx_control_no_memory(&pf->control);
        goto out;
    }
    real = realpath(path, NULL);
    if (!real || strcmp(real, above) == 0)
        goto out;
    if (!(dot_git = sx_path_join(real, ".git"))) {
        rc = sx_control_no_memory(&pf->control);
        goto out;
    }
    if (lstat(dot_git, &st) == 0 && S_ISREG(st.st_mode) &&
        sx_control_pointer(&pf->control, dot_git, "gitdir: ", real, &back) > 0 &&
        strcmp(back, dirs->git_dir) == 0)
        pf->submodule = true; /* each names the other: a submodule or a separate git directory */
    else if (!pf->control.allow_outside)
        rc = sx_control_outside(&pf->control, "core.worktree", pf->config, real);
out:
    free(path);
    free(real);
    free(dot_git);
    free(back);
    free(above);
    return rc;
}

static int see_setting(const sx_git_setting *setting, void *user)
{
    preflight *pf = user;
    const char *value = setting->value ? setting->value : "";

    if ((strcmp(setting->section, "include") == 0 || strcmp(setting->section, "includeif") == 0) &&
        strcmp(setting->key, "path") == 0)
        return see_include(pf, value);
    if (strcmp(setting->section, "core") == 0 && strcmp(setting->key, "worktree") == 0)
        return see_worktree(pf, value);
    if (strcmp(setting->section, "extensions") == 0 && strcmp(setting->key, "objectformat") == 0 &&
        strcasecmp(value, "sha1") != 0)
        return sx_index_fail(
            pf->control.err, pf->control.errlen, -EBADMSG,
            "E-SHA256: %s uses object format %s; nothing was read; this version reads sha1 "
            "repositories",
            SX_SHOW(pf->dirs->common_dir), SX_SHOW(value));
    if (strcmp(setting->section, "extensions") == 0 && strcmp(setting->key, "refstorage") == 0 &&
        strcasecmp(value, "files") != 0)
        return sx_index_fail(
            pf->control.err, pf->control.errlen, -EBADMSG,
            "E-REFTABLE: %s stores its references as %s; nothing was read; git refs migrate "
            "--ref-format=files makes it readable",
            SX_SHOW(pf->dirs->common_dir), SX_SHOW(value));
    return 0;
}

static int check_configs(preflight *pf)
{
    static const char *const names[] = {"config", "config.worktree"};
    int rc = 0;

    for (size_t i = 0; i < 2 && rc == 0; i++) {
        char *path = sx_path_join(i ? pf->dirs->git_dir : pf->dirs->common_dir, names[i]);

        rc = path ? add_config(pf, path) : sx_control_no_memory(&pf->control);
        free(path);
    }
    for (size_t i = 0; i < pf->n_queue && rc == 0; i++) {
        char *text = NULL;
        size_t n = 0;

        pf->config = pf->queue[i];
        if ((rc = sx_control_read(&pf->control, pf->config, CONFIG_CAP, &text, &n)) > 0) {
            rc = sx_git_config_parse(text, n, see_setting, pf);
            if (rc == -EILSEQ)
                rc = sx_index_fail(
                    pf->control.err, pf->control.errlen, -EBADMSG,
                    "E-GITDIR-CONFIG: %s is no git configuration; nothing was read; repair it "
                    "or use a fresh clone",
                    SX_SHOW(pf->config));
        }
        free(text);
    }
    return rc;
}

/* A .git file, or a .git that is a link, leads to the git directory: does that lead back? */
static int check_way_in(preflight *pf)
{
    const sx_git_dirs *dirs = pf->dirs;
    char *pointer = NULL, *dot_git = NULL, *back = NULL;
    int rc = 0;

    if (!dirs->work_tree || sx_path_inside(dirs->git_dir, dirs->work_tree) || pf->submodule ||
        pf->control.allow_outside)
        goto out;
    if (!(pointer = sx_path_join(dirs->git_dir, "gitdir")) ||
        !(dot_git = sx_path_join(dirs->work_tree, ".git"))) {
        rc = sx_control_no_memory(&pf->control);
        goto out;
    }
    if ((rc = sx_control_pointer(&pf->control, pointer, "", dirs->git_dir, &back)) < 0)
        goto out;
    rc = back && strcmp(back, dot_git) == 0
             ? 0
             : sx_control_outside(&pf->control, "gitdir", dot_git, dirs->git_dir);
out:
    free(pointer);
    free(dot_git);
    free(back);
    return rc;
}

/* objects/info/alternates, and theirs. */
static int check_alternates(preflight *pf, const char *objects)
{
    char *queue[ALTERNATES_CAP] = {strdup(objects)};
    size_t n_queue = 1;
    int rc = queue[0] ? 0 : sx_control_no_memory(&pf->control);

    for (size_t i = 0; i < n_queue && rc == 0; i++) {
        char *path = sx_path_join(queue[i], "info/alternates"), *text = NULL, *rest, *line;
        size_t n = 0;

        rc = path ? sx_control_read(&pf->control, path, SX_POINTER_CAP, &text, &n)
                  : sx_control_no_memory(&pf->control);
        rest = rc > 0 ? text : NULL;
        rc = rc > 0 ? 0 : rc;
        while (rc == 0 && (line = strsep(&rest, "\n"))) {
            char *target = NULL, *real = NULL;

            if (!*line || *line == '#')
                continue;
            target = sx_path_join(queue[i], line);
            real = target ? realpath(target, NULL) : NULL;
            free(target);
            if (!real)
                continue;
            if (!sx_control_inside(&pf->control, real) && !pf->control.allow_outside)
                rc = sx_control_outside(&pf->control, "an alternate", path, real);
            else if (n_queue == ALTERNATES_CAP)
                rc = sx_index_fail(
                    pf->control.err, pf->control.errlen, -EBADMSG,
                    "E-GITDIR-SIZE: %s names more than %d alternates; nothing was read; use a "
                    "fresh clone",
                    SX_SHOW(path), ALTERNATES_CAP);
            else if ((rc = sx_scan_directory(real, pf->control.allow_outside, pf->control.err,
                                             pf->control.errlen)) == 0) {
                queue[n_queue++] = real;
                real = NULL;
            }
            free(real);
        }
        free(path);
        free(text);
    }
    for (size_t i = 0; i < n_queue; i++)
        free(queue[i]);
    return rc;
}

static int check_files(preflight *pf)
{
    const sx_git_dirs *dirs = pf->dirs;
    const struct {
        const char *directory, *name;
        off_t cap;
    } files[] = {
        {dirs->git_dir, "HEAD", SX_POINTER_CAP},
        {dirs->git_dir, "gitdir", SX_POINTER_CAP},
        {dirs->git_dir, "index", INT64_MAX}, /* never opened by us; only its kind matters */
        {dirs->common_dir, "HEAD", SX_POINTER_CAP},
        {dirs->common_dir, "packed-refs", PACKED_REFS_CAP},
        {dirs->common_dir, "shallow", PACKED_REFS_CAP},
        {dirs->common_dir, "info/grafts", PACKED_REFS_CAP},
    };
    int rc = 0;

    for (size_t i = 0; i < sizeof files / sizeof *files && rc >= 0; i++) {
        char *path = sx_path_join(files[i].directory, files[i].name);

        rc = path ? sx_control_check(&pf->control, path, files[i].cap)
                  : sx_control_no_memory(&pf->control);
        free(path);
    }
    return rc < 0 ? rc : 0;
}

/* Loose references, loose objects and packs are opened by libgit2 by name: none may be special. */
static int check_trees(preflight *pf)
{
    const char *const tops[][2] = {{pf->dirs->common_dir, "objects"},
                                   {pf->dirs->common_dir, "refs"},
                                   {pf->dirs->git_dir, "refs"}};
    int rc = 0;

    for (size_t i = 0; i < 3 && rc == 0; i++) {
        char *path = sx_path_join(tops[i][0], tops[i][1]);
        char *real = path ? realpath(path, NULL) : NULL;

        if (!path)
            rc = sx_control_no_memory(&pf->control);
        else if (real && !sx_control_inside(&pf->control, real) && !pf->control.allow_outside)
            rc = sx_control_outside(&pf->control, "the link", path, real);
        else
            rc = sx_scan_directory(path, pf->control.allow_outside, pf->control.err,
                                   pf->control.errlen);
        if (rc == 0 && i == 0)
            rc = check_alternates(pf, path);
        free(path);
        free(real);
    }
    return rc;
}

int sx_preflight(sx_git_dirs *out, const char *path, bool allow_outside, char *err, size_t errlen)
{
    preflight pf = {.dirs = out, .control = {out, allow_outside, err, errlen}};
    int rc;

    *out = (sx_git_dirs){0};
    if ((rc = find(&pf, path)) < 0 || (rc = find_common(&pf)) < 0 || (rc = check_owner(&pf)) < 0 ||
        (rc = check_files(&pf)) < 0 || (rc = check_configs(&pf)) < 0 ||
        (rc = check_way_in(&pf)) < 0 || (rc = check_trees(&pf)) < 0)
        goto out;
out:
    for (size_t i = 0; i < pf.n_queue; i++)
        free(pf.queue[i]);
    if (rc < 0)
        sx_git_dirs_clear(out);
    return rc;
}

void sx_git_dirs_clear(sx_git_dirs *dirs)
{
    free(dirs->git_dir);
    free(dirs->common_dir);
    free(dirs->work_tree);
    *dirs = (sx_git_dirs){0};
}
