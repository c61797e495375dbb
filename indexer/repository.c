/* repository.c: see repository.h. libgit2 1.5.
 *
 * Strict hash verification stays on: it costs 0.3 s per 100 MB read, a hundredth of what parsing them
 * costs, and says which object is damaged. */
#include "indexer/repository.h"

#include "indexer/git_memory.h"
#include "indexer/preflight.h"
#include "indexer/report.h"

#include <ctype.h>
#include <errno.h>
#include <git2.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct sx_repository {
    sx_git_dirs dirs;
    git_repository *git;
};

struct sx_objects {
    git_odb *odb;
};

/* ---- once per process ---------------------------------------------------------------------------- */

static pthread_once_t git_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t owner_mutex = PTHREAD_MUTEX_INITIALIZER;
static int git_rc;

static void git_start(void)
{
    static const git_config_level_t levels[] = {GIT_CONFIG_LEVEL_PROGRAMDATA, GIT_CONFIG_LEVEL_SYSTEM,
                                                GIT_CONFIG_LEVEL_XDG, GIT_CONFIG_LEVEL_GLOBAL};
    const char *extensions[] = {"worktreeconfig", "partialclone", "preciousobjects",
                                "relativeworktrees"};

    if ((git_rc = sx_git_memory_init()) < 0 || (git_rc = git_libgit2_init()) < 0)
        return;
    for (size_t i = 0; i < sizeof levels / sizeof *levels; i++)
        git_libgit2_opts(GIT_OPT_SET_SEARCH_PATH, levels[i], "");
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1);
    git_libgit2_opts(GIT_OPT_SET_EXTENSIONS, extensions, sizeof extensions / sizeof *extensions);
    git_libgit2_opts(GIT_OPT_ENABLE_STRICT_HASH_VERIFICATION, 1);
    git_libgit2_opts(GIT_OPT_SET_CACHE_MAX_SIZE, (ssize_t)16 << 20);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_MAPPED_LIMIT, (size_t)1 << 30);
    git_libgit2_opts(GIT_OPT_SET_MWINDOW_FILE_LIMIT, (size_t)64);
}

static int git_ready(char *err, size_t errlen)
{
    pthread_once(&git_once, git_start);
    if (git_rc < 0)
        return sx_index_fail(err, errlen, -ENOMEM,
                             "E-RAM: libgit2 does not start; nothing was read; free memory");
    return 0;
}

static const char *git_says(void)
{
    const git_error *error = git_error_last();

    return error && error->message ? error->message : "no reason given";
}

/* ---- opening --------------------------------------------------------------------------------------- */

int sx_repository_open(sx_repository **out, const char *path, bool allow_outside, char *err,
                       size_t errlen)
{
    sx_repository *repository = NULL;
    int rc, git;

    *out = NULL;
    if ((rc = git_ready(err, errlen)) < 0)
        goto out;
    if (!(repository = calloc(1, sizeof *repository))) {
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a repository; free some");
        goto out;
    }
    if ((rc = sx_preflight(&repository->dirs, path, allow_outside, err, errlen)) < 0)
        goto out;
    /* libgit2 would look for safe.directory in the files we told it not to read: where preflight found
     * it, the check is off for this one call. */
    pthread_mutex_lock(&owner_mutex);
    if (repository->dirs.trusted)
        git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 0);
    git = git_repository_open_ext(&repository->git, repository->dirs.git_dir,
                                  GIT_REPOSITORY_OPEN_NO_SEARCH | GIT_REPOSITORY_OPEN_NO_DOTGIT, NULL);
    git_libgit2_opts(GIT_OPT_SET_OWNER_VALIDATION, 1);
    pthread_mutex_unlock(&owner_mutex);
    if (git == GIT_EOWNER)
        rc = sx_index_fail(err, errlen, -EACCES,
                           "E-OWNER: %s belongs to another user; nothing was read; if you trust it: "
                           "git config --global --add safe.directory %s",
                           SX_SHOW(repository->dirs.git_dir), SX_SHOW(sx_repository_name(repository)));
    else if (git < 0)
        rc = sx_index_fail(err, errlen, -EBADMSG,
                           "E-NOREPO: %s does not open (%s); nothing was read; look at it with git fsck",
                           SX_SHOW(repository->dirs.git_dir), SX_SHOW(git_says()));
    if (rc < 0)
        goto out;
    *out = repository;
    repository = NULL;
out:
    sx_repository_close(repository);
    return rc;
}

void sx_repository_close(sx_repository *repository)
{
    if (!repository)
        return;
    git_repository_free(repository->git);
    sx_git_dirs_clear(&repository->dirs);
    free(repository);
}

const char *sx_repository_name(const sx_repository *repository)
{
    return repository->dirs.work_tree ? repository->dirs.work_tree : repository->dirs.git_dir;
}

const char *sx_repository_common_dir(const sx_repository *repository)
{
    return repository->dirs.common_dir;
}

int sx_repository_id(char id[SX_REPOSITORY_ID_MAX], const char *common_dir, char *err, size_t errlen)
{
    size_t end = strlen(common_dir), start, n = 0;
    char hex[GIT_OID_HEXSZ + 1];
    git_oid oid;
    int rc;

    if ((rc = git_ready(err, errlen)) < 0)
        return rc;
    if (git_odb_hash(&oid, common_dir, end, GIT_OBJECT_BLOB) < 0)
        return sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory to name the index; free some");
    git_oid_tostr(hex, sizeof hex, &oid);
    /* the name a person gave it: without /.git or .git at the end */
    if (end >= 5 && strcmp(common_dir + end - 5, "/.git") == 0)
        end -= 5;
    else if (end > 4 && strcmp(common_dir + end - 4, ".git") == 0)
        end -= 4;
    for (start = end; start > 0 && common_dir[start - 1] != '/';)
        start--;
    for (; start < end && n < 40; start++, n++) {
        char c = common_dir[start];

        id[n] = isalnum((unsigned char)c) || c == '_' || c == '-' || (c == '.' && n > 0) ? c : '_';
    }
    snprintf(id + n, SX_REPOSITORY_ID_MAX - n, "%s%.12s", n ? "-" : "root-", hex);
    return 0;
}

/* ---- revisions --------------------------------------------------------------------------------------- */

/* git_revparse_single() loses the reference where the object it names is damaged: not for HEAD. */
static int find_object(git_object **out, git_repository *git, const char *rev)
{
    git_oid id;
    int rc;

    if (rev)
        return git_revparse_single(out, git, rev);
    if ((rc = git_reference_name_to_id(&id, git, "HEAD")) < 0)
        return rc;
    return git_object_lookup(out, git, &id, GIT_OBJECT_ANY);
}

int sx_repository_resolve(sx_repository *repository, const char *rev, sx_oid *commit, sx_oid *tree,
                          char *err, size_t errlen)
{
    git_object *named = NULL, *peeled = NULL;
    int rc = 0, git;

    if (!rev && git_repository_head_unborn(repository->git) == 1) {
        rc = sx_index_fail(err, errlen, -EBADMSG,
                           "E-UNBORN: HEAD of %s names a branch without a commit; nothing was read; commit "
                           "something or name a revision",
                           SX_SHOW(sx_repository_name(repository)));
        goto out;
    }
    if ((git = find_object(&named, repository->git, rev)) < 0 ||
        (git = git_object_peel(&peeled, named, GIT_OBJECT_COMMIT)) < 0) {
        rc = sx_index_fail(err, errlen, -ENOENT,
                           "E-REV: %s names no commit of %s (%s); nothing was read; name a branch, tag or "
                           "commit",
                           SX_SHOW(rev ? rev : "HEAD"), SX_SHOW(sx_repository_name(repository)),
                           SX_SHOW(git_says()));
        goto out;
    }
    memcpy(commit->id, git_commit_id((git_commit *)peeled)->id, SX_OID_SIZE);
    memcpy(tree->id, git_commit_tree_id((git_commit *)peeled)->id, SX_OID_SIZE);
out:
    git_object_free(peeled);
    git_object_free(named);
    return rc;
}

/* ---- objects ------------------------------------------------------------------------------------------- */

int sx_objects_open(sx_objects **out, const sx_repository *repository, char *err, size_t errlen)
{
    sx_objects *objects = NULL;
    char *path = NULL;
    int rc = 0;

    *out = NULL;
    if (!(objects = calloc(1, sizeof *objects)) ||
        asprintf(&path, "%s/objects", repository->dirs.common_dir) < 0) {
        path = NULL;
        rc = sx_index_fail(err, errlen, -ENOMEM, "E-RAM: no memory for a repository; free some");
        goto out;
    }
    if (git_odb_open(&objects->odb, path) < 0) {
        rc = sx_index_fail(err, errlen, -EBADMSG,
                           "E-NOREPO: %s does not open (%s); nothing was read; look at it with git fsck",
                           SX_SHOW(path), SX_SHOW(git_says()));
        goto out;
    }
    *out = objects;
    objects = NULL;
out:
    sx_objects_close(objects);
    free(path);
    return rc;
}

void sx_objects_close(sx_objects *objects)
{
    if (objects)
        git_odb_free(objects->odb);
    free(objects);
}

static bool type_fits(git_object_t git, sx_object_type type)
{
    return git == (type == SX_OBJECT_TREE ? GIT_OBJECT_TREE : GIT_OBJECT_BLOB);
}

sx_skip sx_objects_size(sx_objects *objects, const sx_oid *oid, sx_object_type type, uint64_t *size)
{
    git_object_t git_type = GIT_OBJECT_INVALID;
    size_t n = 0;
    git_oid id;
    int git;

    git_oid_fromraw(&id, oid->id);
    git = git_odb_read_header(&n, &git_type, objects->odb, &id);
    *size = n;
    if (git < 0)
        return git == GIT_ENOTFOUND ? SX_SKIP_MISSING : SX_SKIP_CORRUPT;
    return type_fits(git_type, type) ? SX_SKIP_NONE : SX_SKIP_CORRUPT;
}

sx_skip sx_objects_read(sx_objects *objects, const sx_oid *oid, sx_object_type type, sx_content *out)
{
    git_odb_object *object = NULL;
    git_oid id;
    int git;

    *out = (sx_content){0};
    git_oid_fromraw(&id, oid->id);
    if ((git = git_odb_read(&object, objects->odb, &id)) < 0)
        return git == GIT_ENOTFOUND ? SX_SKIP_MISSING : SX_SKIP_CORRUPT;
    if (!type_fits(git_odb_object_type(object), type)) {
        git_odb_object_free(object);
        return SX_SKIP_CORRUPT;
    }
    *out = (sx_content){git_odb_object_data(object), git_odb_object_size(object), object};
    return SX_SKIP_NONE;
}

void sx_content_free(sx_content *content)
{
    git_odb_object_free(content->handle);
    *content = (sx_content){0};
}

sx_content sx_content_share(const sx_content *content)
{
    sx_content share = *content;
    git_odb_object *handle = NULL;

    if (git_odb_object_dup(&handle, content->handle) < 0)
        return (sx_content){0};
    share.handle = handle;
    return share;
}

void sx_oid_hex(char hex[SX_OID_SIZE * 2 + 1], const sx_oid *oid)
{
    for (size_t i = 0; i < SX_OID_SIZE; i++)
        snprintf(hex + 2 * i, 3, "%02x", oid->id[i]);
}
