/* preflight.c: see preflight.h. What a hostile directory could say is read here first, by code that
 * neither blocks nor recurses; what the checks cannot see is a file exchanged behind them. */
#include "indexer/preflight.h"

#include "indexer/git_config.h"
#include "indexer/report.h"
#include "indexer/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The most a control file may weigh. Far above what git writes, far below what hurts. */
enum {
    POINTER_CAP = 64 << 10,      /* HEAD, commondir, gitdir, .git, alternates */
    CONFIG_CAP = 4 << 20,
    PACKED_REFS_CAP = 128 << 20,
    INCLUDES_CAP = 32,           /* configuration files in all */
    ALTERNATES_CAP = 32,
};

typedef struct preflight {
    sx_git_dirs *dirs;
    bool allow_outside;
    bool submodule;              /* core.worktree names the directory that holds the .git file */
    char *queue[INCLUDES_CAP];   /* configuration files, real paths; owned */
    size_t n_queue;
    const char *config;          /* the one being read */
    char *err;
    size_t errlen;
} preflight;

static char *join(const char *directory, const char *name)
{
    char *path = NULL;

    if (name[0] == '/')
        return strdup(name);
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');

    return !slash || slash == path ? strdup("/") : strndup(path, (size_t)(slash - path));
}

bool sx_path_inside(const char *path, const char *directory)
{
    size_t n = strlen(directory);

    if (n == 1 && directory[0] == '/')
        return true;
    return strncmp(path, directory, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

static bool is_inside(const preflight *pf, const char *real)
{
    const sx_git_dirs *dirs = pf->dirs;

    return sx_path_inside(real, dirs->common_dir) || sx_path_inside(real, dirs->git_dir) ||
           (dirs->work_tree && sx_path_inside(real, dirs->work_tree));
}

static int no_memory(const preflight *pf)
{
    return sx_index_fail(pf->err, pf->errlen, -ENOMEM,
                         "E-RAM: no memory while looking at the repository; nothing was read; free some");
}

static int outside(const preflight *pf, const char *what, const char *from, const char *to)
{
    return sx_index_fail(pf->err, pf->errlen, -EACCES,
                         "E-OUTSIDE: %s in %s leads out of the repository to %s; nothing was read; "
                         "--allow-outside follows it",
                         what, SX_SHOW(from), SX_SHOW(to));
}

/* Is the control file at `path` there, and regular? 1, 0 (absent), or refused. */
static int check_control(const preflight *pf, const char *path, off_t cap)
{
    struct stat st;
    char *real = NULL;
    int rc = 0;

    if (lstat(path, &st) < 0)
        goto out; /* absent, or not ours to see: then libgit2 sees nothing either */
    if (S_ISLNK(st.st_mode)) {
        real = realpath(path, NULL);
        if (!real || stat(real, &st) < 0)
            goto out;
        if (S_ISREG(st.st_mode) && !is_inside(pf, real) && !pf->allow_outside) {
            rc = outside(pf, "the link", path, real);
            goto out;
        }
    }
    if (!S_ISREG(st.st_mode))
        rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                           "E-GITDIR-SPECIAL: %s is no regular file; nothing was read; remove it or use "
                           "a fresh clone",
                           SX_SHOW(path));
    else if (st.st_size > cap)
        rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                           "E-GITDIR-SIZE: %s has %lld bytes, more than such a file may have; nothing was "
                           "read; use a fresh clone",
                           SX_SHOW(path), (long long)st.st_size);
    else
        rc = 1;
out:
    free(real);
    return rc;
}

/* Reads a control file: 1 and *text (NUL-terminated, the caller's), 0 if absent, or refused. */
static int read_control(const preflight *pf, const char *path, off_t cap, char **text, size_t *n)
{
    struct stat st;
    char *buffer = NULL;
    int fd = -1, rc;

    *text = NULL;
    *n = 0;
    if ((rc = check_control(pf, path, cap)) <= 0)
        goto out;
    /* It may be another file by now: O_NONBLOCK keeps a FIFO from holding us, fstat says the rest. */
    fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                           "E-GITDIR-SPECIAL: %s cannot be read; nothing was kept; look at its permissions",
                           SX_SHOW(path));
        goto out;
    }
    if (!(buffer = malloc((size_t)cap + 1))) {
        rc = no_memory(pf);
        goto out;
    }
    while (*n < (size_t)cap) {
        ssize_t got = read(fd, buffer + *n, (size_t)cap - *n);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        *n += (size_t)got;
    }
    buffer[*n] = '\0';
    *text = buffer;
    buffer = NULL;
out:
    if (fd >= 0)
        close(fd);
    free(buffer);
    return rc;
}

/* Reads a file that holds one path after `prefix`: 1 and its real path (the caller's), 0 if the file is
 * absent or leads nowhere, or refused. */
static int read_pointer(const preflight *pf, const char *path, const char *prefix, const char *base,
                        char **real)
{
    char *text = NULL, *target = NULL;
    size_t n = 0;
    int rc;

    *real = NULL;
    if ((rc = read_control(pf, path, POINTER_CAP, &text, &n)) <= 0)
        goto out;
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        text[--n] = '\0';
    rc = 0;
    if (strncmp(text, prefix, strlen(prefix)) != 0)
        goto out;
    if (!(target = join(base, text + strlen(prefix)))) {
        rc = no_memory(pf);
        goto out;
    }
    if ((*real = realpath(target, NULL)))
        rc = 1;
out:
    free(text);
    free(target);
    return rc;
}

/* ---- where is it? ------------------------------------------------------------------------------ */

static bool exists_in(const char *directory, const char *name, bool as_directory)
{
    char *path = join(directory, name);
    struct stat st;
    bool yes = path && (as_directory ? stat(path, &st) == 0 && S_ISDIR(st.st_mode) : lstat(path, &st) == 0);

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

/* Is there a git directory at `at`, or one that belongs to the work tree `at`? 1 and dirs->git_dir. */
static int look_at(preflight *pf, const char *at)
{
    sx_git_dirs *dirs = pf->dirs;
    char *dot_git = join(at, ".git"), *real = NULL;
    struct stat st;
    int rc = 0;

    if (!dot_git) {
        rc = no_memory(pf);
        goto out;
    }
    if (stat(dot_git, &st) == 0 && S_ISDIR(st.st_mode)) {
        if (is_git_dir(dot_git) && (dirs->git_dir = realpath(dot_git, NULL))) {
            rc = (dirs->work_tree = strdup(at)) ? 1 : no_memory(pf);
            goto out;
        }
    } else if (lstat(dot_git, &st) == 0) {
        if (!(dirs->work_tree = strdup(at)) || !(dirs->git_dir = strdup(at)) ||
            !(dirs->common_dir = strdup(at))) { /* what check_control() calls inside, for now */
            rc = no_memory(pf);
            goto out;
        }
        rc = read_pointer(pf, dot_git, "gitdir: ", at, &real);
        free(dirs->git_dir);
        free(dirs->common_dir);
        dirs->common_dir = NULL;
        dirs->git_dir = real;
        if (rc == 0 || (rc > 0 && !is_git_dir(real)))
            rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                               "E-NOREPO: %s names no git directory; nothing was read; use a whole clone",
                               SX_SHOW(dot_git));
        goto out;
    }
    if (is_git_dir(at)) {
        const char *name = strrchr(at, '/');

        dirs->git_dir = strdup(at);
        if (name && strcmp(name, "/.git") == 0)
            dirs->work_tree = parent_of(at);
        rc = dirs->git_dir ? 1 : no_memory(pf);
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
        rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                           "E-NOREPO: %s is no directory; nothing was read; name a git repository",
                           SX_SHOW(path));
        goto out;
    }
    while ((rc = look_at(pf, at)) == 0 && strcmp(at, "/") != 0) {
        char *up = parent_of(at);

        free(at);
        if (!(at = up)) {
            rc = no_memory(pf);
            goto out;
        }
    }
    if (rc == 0)
        rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
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

    if (!(dirs->common_dir = strdup(dirs->git_dir)) || !(pointer = join(dirs->git_dir, "commondir"))) {
        rc = no_memory(pf);
        goto out;
    }
    if ((rc = read_pointer(pf, pointer, "", dirs->git_dir, &real)) <= 0) {
        if (rc == 0 && exists_in(dirs->git_dir, "commondir", false))
            rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                               "E-NOREPO: %s leads nowhere; nothing was read; use a whole clone",
                               SX_SHOW(pointer));
        goto out;
    }
    if (!exists_in(real, "objects", true) || !exists_in(real, "refs", true)) {
        rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                           "E-NOREPO: %s names no git directory; nothing was read; use a whole clone",
                           SX_SHOW(pointer));
        goto out;
    }
    free(dirs->common_dir);
    dirs->common_dir = real;
    real = NULL;
    rc = 0;
    if (!(worktrees = join(dirs->common_dir, "worktrees"))) {
        rc = no_memory(pf);
        goto out;
    }
    if (!sx_path_inside(dirs->git_dir, worktrees) && !pf->allow_outside)
        rc = outside(pf, "commondir", dirs->git_dir, dirs->common_dir);
out:
    free(pointer);
    free(worktrees);
    free(real);
    return rc;
}

/* ---- whose is it? ------------------------------------------------------------------------------- */

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

    own.allow_outside = true; /* it may be a link into the user's other files */
    if (xdg && *xdg)
        snprintf(paths[1], sizeof paths[1], "%s/git/config", xdg);
    else if (home)
        snprintf(paths[1], sizeof paths[1], "%s/.config/git/config", home);
    if (home)
        snprintf(paths[2], sizeof paths[2], "%s/.gitconfig", home);
    for (int i = 0; i < 3 && rc >= 0; i++) {
        char *text = NULL;
        size_t n = 0;

        rc = paths[i][0] ? read_control(&own, paths[i], CONFIG_CAP, &text, &n) : 0;
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
    const char *foreign = !is_mine(dirs->git_dir)      ? dirs->git_dir
                          : !is_mine(dirs->common_dir) ? dirs->common_dir
                          : dirs->work_tree && !is_mine(dirs->work_tree) ? dirs->work_tree
                                                                         : NULL;
    const char *name = dirs->work_tree ? dirs->work_tree : dirs->git_dir;
    int rc;

    if (!foreign)
        return 0;
    if ((rc = is_trusted(pf, &dirs->trusted)) < 0 || dirs->trusted)
        return rc;
    return sx_index_fail(pf->err, pf->errlen, -EACCES,
                         "E-OWNER: %s belongs to another user; nothing was read; if you trust it: "
                         "git config --global --add safe.directory %s",
                         SX_SHOW(foreign), SX_SHOW(name));
}

/* ---- where does it lead? ------------------------------------------------------------------------ */

static int add_config(preflight *pf, const char *path)
{
    char *copy = NULL;

    for (size_t i = 0; i < pf->n_queue; i++)
        if (strcmp(pf->queue[i], path) == 0)
            return 0;
    if (pf->n_queue == INCLUDES_CAP)
        return sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                             "E-GITDIR-CONFIG: %s includes more than %d files; nothing was read; use a fresh "
                             "clone",
                             SX_SHOW(pf->queue[0]), INCLUDES_CAP);
    if (!(copy = strdup(path)))
        return no_memory(pf);
    pf->queue[pf->n_queue++] = copy;
    return 0;
}

/* include.path and includeIf.<condition>.path: whatever the condition, it must stay inside. */
static int see_include(preflight *pf, const char *value)
{
    const char *home = getenv("HOME");
    char *base = parent_of(pf->config), *path = NULL, *real = NULL;
    int rc = 0;

    if (!base) {
        rc = no_memory(pf);
        goto out;
    }
    path = value[0] == '~' && value[1] == '/' && home ? join(home, value + 2) : join(base, value);
    if (!path) {
        rc = no_memory(pf);
        goto out;
    }
    if (!(real = realpath(path, NULL)))
        goto out; /* git and libgit2 pass over an include that is not there */
    if (!is_inside(pf, real) && !pf->allow_outside)
        rc = outside(pf, "include.path", pf->config, real);
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
    char *path = join(dirs->git_dir, value), *real = NULL, *dot_git = NULL, *back = NULL, *above = NULL;
    struct stat st;
    int rc = 0;

    if (!path || !(above = parent_of(dirs->git_dir))) {
        rc = no_memory(pf);
        goto out;
    }
    real = realpath(path, NULL);
    if (!real || strcmp(real, above) == 0)
        goto out;
    if (!(dot_git = join(real, ".git"))) {
        rc = no_memory(pf);
        goto out;
    }
    if (lstat(dot_git, &st) == 0 && S_ISREG(st.st_mode) &&
        read_pointer(pf, dot_git, "gitdir: ", real, &back) > 0 && strcmp(back, dirs->git_dir) == 0)
        pf->submodule = true; /* each names the other: a submodule or a separate git directory */
    else if (!pf->allow_outside)
        rc = outside(pf, "core.worktree", pf->config, real);
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
        return sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                             "E-SHA256: %s uses object format %s; nothing was read; this version reads sha1 "
                             "repositories",
                             SX_SHOW(pf->dirs->common_dir), SX_SHOW(value));
    if (strcmp(setting->section, "extensions") == 0 && strcmp(setting->key, "refstorage") == 0 &&
        strcasecmp(value, "files") != 0)
        return sx_index_fail(pf->err, pf->errlen, -EBADMSG,
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
        char *path = join(i ? pf->dirs->git_dir : pf->dirs->common_dir, names[i]);

        rc = path ? add_config(pf, path) : no_memory(pf);
        free(path);
    }
    for (size_t i = 0; i < pf->n_queue && rc == 0; i++) {
        char *text = NULL;
        size_t n = 0;

        pf->config = pf->queue[i];
        if ((rc = read_control(pf, pf->config, CONFIG_CAP, &text, &n)) > 0) {
            rc = sx_git_config_parse(text, n, see_setting, pf);
            if (rc == -EILSEQ)
                rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
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
        pf->allow_outside)
        goto out;
    if (!(pointer = join(dirs->git_dir, "gitdir")) || !(dot_git = join(dirs->work_tree, ".git"))) {
        rc = no_memory(pf);
        goto out;
    }
    if ((rc = read_pointer(pf, pointer, "", dirs->git_dir, &back)) < 0)
        goto out;
    rc = back && strcmp(back, dot_git) == 0 ? 0 : outside(pf, "gitdir", dot_git, dirs->git_dir);
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
    int rc = queue[0] ? 0 : no_memory(pf);

    for (size_t i = 0; i < n_queue && rc == 0; i++) {
        char *path = join(queue[i], "info/alternates"), *text = NULL, *rest, *line;
        size_t n = 0;

        rc = path ? read_control(pf, path, POINTER_CAP, &text, &n) : no_memory(pf);
        rest = rc > 0 ? text : NULL;
        rc = rc > 0 ? 0 : rc;
        while (rc == 0 && (line = strsep(&rest, "\n"))) {
            char *target = NULL, *real = NULL;

            if (!*line || *line == '#')
                continue;
            target = join(queue[i], line);
            real = target ? realpath(target, NULL) : NULL;
            free(target);
            if (!real)
                continue;
            if (!is_inside(pf, real) && !pf->allow_outside)
                rc = outside(pf, "an alternate", path, real);
            else if (n_queue == ALTERNATES_CAP)
                rc = sx_index_fail(pf->err, pf->errlen, -EBADMSG,
                                   "E-GITDIR-SIZE: %s names more than %d alternates; nothing was read; use a "
                                   "fresh clone",
                                   SX_SHOW(path), ALTERNATES_CAP);
            else if ((rc = sx_scan_directory(real, pf->allow_outside, pf->err, pf->errlen)) == 0) {
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
        {dirs->git_dir, "HEAD", POINTER_CAP},
        {dirs->git_dir, "gitdir", POINTER_CAP},
        {dirs->git_dir, "index", INT64_MAX}, /* never opened by us; only its kind matters */
        {dirs->common_dir, "HEAD", POINTER_CAP},
        {dirs->common_dir, "packed-refs", PACKED_REFS_CAP},
        {dirs->common_dir, "shallow", PACKED_REFS_CAP},
        {dirs->common_dir, "info/grafts", PACKED_REFS_CAP},
    };
    int rc = 0;

    for (size_t i = 0; i < sizeof files / sizeof *files && rc >= 0; i++) {
        char *path = join(files[i].directory, files[i].name);

        rc = path ? check_control(pf, path, files[i].cap) : no_memory(pf);
        free(path);
    }
    return rc < 0 ? rc : 0;
}

/* Loose references, loose objects and packs are opened by libgit2 by name: none may be special. */
static int check_trees(preflight *pf)
{
    const char *const tops[][2] = {
        {pf->dirs->common_dir, "objects"}, {pf->dirs->common_dir, "refs"}, {pf->dirs->git_dir, "refs"}};
    int rc = 0;

    for (size_t i = 0; i < 3 && rc == 0; i++) {
        char *path = join(tops[i][0], tops[i][1]);
        char *real = path ? realpath(path, NULL) : NULL;

        if (!path)
            rc = no_memory(pf);
        else if (real && !is_inside(pf, real) && !pf->allow_outside)
            rc = outside(pf, "the link", path, real);
        else
            rc = sx_scan_directory(path, pf->allow_outside, pf->err, pf->errlen);
        if (rc == 0 && i == 0)
            rc = check_alternates(pf, path);
        free(path);
        free(real);
    }
    return rc;
}

int sx_preflight(sx_git_dirs *out, const char *path, bool allow_outside, char *err, size_t errlen)
{
    preflight pf = {.dirs = out, .allow_outside = allow_outside, .err = err, .errlen = errlen};
    int rc;

    *out = (sx_git_dirs){0};
    if ((rc = find(&pf, path)) < 0 || (rc = find_common(&pf)) < 0 || (rc = check_owner(&pf)) < 0 ||
        (rc = check_files(&pf)) < 0 || (rc = check_configs(&pf)) < 0 || (rc = check_way_in(&pf)) < 0 ||
        (rc = check_trees(&pf)) < 0)
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
