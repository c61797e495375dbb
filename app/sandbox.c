/* sandbox.c: confine this process before it reads what others wrote.
 * Must not know what the process goes on to do with the paths that stay open to it. */
#include "app/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Rights that newer kernels know and older headers do not. */
#define FS_REFER     (UINT64_C(1) << 13) /* ABI 2 */
#define FS_TRUNCATE  (UINT64_C(1) << 14) /* ABI 3 */
#define FS_IOCTL_DEV (UINT64_C(1) << 15) /* ABI 5 */

static const uint64_t READ = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
static const uint64_t WRITE = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR |
                              LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
                              LANDLOCK_ACCESS_FS_REMOVE_DIR | LANDLOCK_ACCESS_FS_MAKE_REG |
                              LANDLOCK_ACCESS_FS_MAKE_DIR | FS_TRUNCATE;

bool sx_sandbox_wanted(void)
{
    const char *value = getenv("SPARSEX_SANDBOX");

    return value == NULL || strcmp(value, "off") != 0;
}

int sx_sandbox_landlock_abi(void)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    return abi > 0 ? (int)abi : 0;
}

bool sx_sandbox_has_seccomp(void)
{
    return prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0;
}

/* ---- Landlock ------------------------------------------------------------------------------- */

/* What is not there needs no rule. */
static int allow(int ruleset, const char *path, uint64_t rights, uint64_t handled)
{
    struct landlock_path_beneath_attr rule = {.allowed_access = rights & handled};
    struct stat st;
    int rc = 0;

    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0)
        return 0;
    if (fstat(rule.parent_fd, &st) == 0 && !S_ISDIR(st.st_mode))
        rule.allowed_access &= LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE |
                               FS_TRUNCATE;
    if (syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0) != 0)
        rc = -errno;
    close(rule.parent_fd);
    return rc;
}

static int enter_landlock(const sx_index *index, const char *model_dir, const char *queries_dir,
                          bool outside)
{
    const char *const readable[] = {
        sx_index_git_directory(index), model_dir, queries_dir,
        /* libraries that are loaded late, processor and memory sizes, random numbers */
        "/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/proc/self", "/proc/cpuinfo",
        "/proc/meminfo", "/sys/devices/system", "/sys/fs/cgroup", "/dev/urandom", "/dev/random",
        outside ? "/" : NULL};
    struct landlock_ruleset_attr attributes = {0};
    int abi = sx_sandbox_landlock_abi(), ruleset = -1, rc = 0;
    char cache[4096], *slash;

    if (abi == 0)
        return 0;
    attributes.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
    if (abi >= 2)
        attributes.handled_access_fs |= FS_REFER;
    if (abi >= 3)
        attributes.handled_access_fs |= FS_TRUNCATE;
    if (abi >= 5)
        attributes.handled_access_fs |= FS_IOCTL_DEV;
    ruleset = (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof attributes, 0);
    if (ruleset < 0)
        return -errno;
    /* the index's parent too: an index that has lost a file is deleted and made anew */
    snprintf(cache, sizeof cache, "%s", sx_index_directory(index));
    if ((slash = strrchr(cache, '/')) != NULL && slash != cache)
        *slash = '\0';
    if ((rc = allow(ruleset, cache, WRITE, attributes.handled_access_fs)) < 0 ||
        (rc = allow(ruleset, "/dev/null", WRITE, attributes.handled_access_fs)) < 0)
        goto out;
    for (size_t i = 0; i < sizeof readable / sizeof *readable; i++)
        if (readable[i] != NULL &&
            (rc = allow(ruleset, readable[i], READ, attributes.handled_access_fs)) < 0)
            goto out;
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        rc = -errno;
out:
    close(ruleset);
    return rc;
}

/* ---- seccomp -------------------------------------------------------------------------------- */

/* Named calls fail with EPERM, everything else is allowed: the point is what a process without
 * network and without children cannot do, not to follow every library's habits. */
static int enter_seccomp(void)
{
    static const char *const refused[] = {"socket",
                                          "socketpair",
                                          "connect",
                                          "bind",
                                          "listen",
                                          "accept",
                                          "accept4",
                                          "sendto",
                                          "sendmsg",
                                          "sendmmsg",
                                          "execve",
                                          "execveat",
                                          "fork",
                                          "vfork",
                                          "ptrace",
                                          "process_vm_readv",
                                          "process_vm_writev",
                                          "kcmp",
                                          "pidfd_getfd",
                                          "mount",
                                          "umount2",
                                          "pivot_root",
                                          "chroot",
                                          "move_mount",
                                          "fsopen",
                                          "open_tree",
                                          "unshare",
                                          "setns",
                                          "bpf",
                                          "perf_event_open",
                                          "io_uring_setup",
                                          "io_uring_enter",
                                          "io_uring_register",
                                          "add_key",
                                          "request_key",
                                          "keyctl",
                                          "userfaultfd",
                                          "kexec_load",
                                          "init_module",
                                          "finit_module",
                                          "delete_module",
                                          "reboot",
                                          "swapon",
                                          "swapoff",
                                          "settimeofday",
                                          "clock_settime",
                                          "sethostname",
                                          "setdomainname",
                                          "acct",
                                          "quotactl",
                                          "mknod",
                                          "mknodat",
                                          "open_by_handle_at",
                                          "name_to_handle_at"};
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
    int rc;

    if (filter == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        int call = seccomp_syscall_resolve_name(refused[i]);

        if (call == __NR_SCMP_ERROR)
            continue; /* a call that this libseccomp does not know */
        rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
        if (rc < 0 && rc != -EDOM)
            goto out;
    }
    /* Threads yes, processes no. The flags of clone3 lie in memory where no filter can read them:
     * say it does not exist, and the C library takes clone. */
    if ((rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0)) < 0 ||
        (rc = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), SCMP_SYS(clone), 1,
                               SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, 0))) < 0)
        goto out;
    rc = seccomp_load(filter);
out:
    seccomp_release(filter);
    return rc;
}

int sx_sandbox_enter(const sx_index *index, const char *model_dir, const char *queries_dir,
                     bool outside, sx_failure *failure)
{
    int rc;

    if (!sx_sandbox_wanted())
        return 0;
    /* Needed by both, and by itself it takes set-user-id programs away. */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return 0; /* a kernel without it has no Landlock and no seccomp either */
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if ((rc = enter_landlock(index, model_dir, queries_dir, outside)) < 0 ||
        (sx_sandbox_has_seccomp() && (rc = enter_seccomp()) < 0))
        return sx_failed_saying(
            failure, SX_DOMAIN_PROGRAM, -ENOTRECOVERABLE,
            "E-SANDBOX: rights could not be given up: %s; nothing was read; set "
            "SPARSEX_SANDBOX=off to go on without",
            strerror(-rc));
    return 0;
}
