/* A library, loaded with LD_PRELOAD, that lets one change to some directories fail: by the death of the process, or with
 * an error.
 *
 * Counted are the calls that change what a later process would find: creating, writing, cutting, syncing, renaming and
 * removing files below FAULT_DIRS. The program must reach them through libc; the sweep asserts that it saw the commit.
 *
 *   FAULT_DIRS=/abs/one:/abs/two   the directories to watch (absolute; required)
 *   FAULT_AT=n                     the n-th counted call fails, from 1; 0 or unset: only count
 *   FAULT_LABEL=label              count only calls with this label, "operation directory/name": see label()
 *   FAULT_KIND=kill                how: SIGKILL before the call (the default)
 *             =torn                SIGKILL when a write has written its first half
 *             =a number            the call returns this errno and does nothing
 *             =skip                the call reports that it was done, and does nothing: a broken program, on purpose
 *   FAULT_FROM=1                   every counted call from the n-th on fails, not only that one
 *   FAULT_LOG=/abs/file            append one line for each call: its number, a tab, its label
 *
 * File descriptors are not tracked: /proc/self/fd knows their paths, however they were opened.
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum decision { GO_ON, SKIP, TEAR, FAIL };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counted; /* calls that FAULT_LABEL lets count */
static long seen;    /* all calls below FAULT_DIRS */

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

/* Ends the process; the argument is what was still done before. */
static void end_after(long last_result) {
    (void)last_result;
    kill(getpid(), SIGKILL);
    for (;;) pause();
}

/* The path that `path` means when it is given together with the directory `at`, without "//" and "/./". */
static void absolute(int at, const char *path, char out[PATH_MAX]) {
    char whole[2 * PATH_MAX] = "";
    if (path[0] == '/') {
        snprintf(whole, sizeof whole, "%s", path);
    } else {
        char base[PATH_MAX] = "", link[64];
        if (at == AT_FDCWD) {
            if (!getcwd(base, sizeof base)) base[0] = 0;
        } else {
            snprintf(link, sizeof link, "/proc/self/fd/%d", at);
            ssize_t n = readlink(link, base, sizeof base - 1);
            base[n < 0 ? 0 : n] = 0;
        }
        snprintf(whole, sizeof whole, "%s/%s", base, path);
    }
    size_t n = 0;
    for (const char *c = whole; *c && n + 1 < PATH_MAX;) {
        if (c[0] == '/' && c[1] == '/') c += 1;
        else if (c[0] == '/' && c[1] == '.' && (c[2] == '/' || c[2] == 0)) c += 2;
        else out[n++] = *c++;
    }
    out[n] = 0;
}

/* The part of `path` from the name of the watched directory on, or null. */
static const char *watched(const char *path) {
    const char *dirs = getenv("FAULT_DIRS");
    while (dirs && *dirs) {
        size_t n = strcspn(dirs, ":");
        if (n && !strncmp(path, dirs, n) && (path[n] == '/' || path[n] == 0)) {
            const char *name = path + n;
            while (name > path && name[-1] != '/') name--;
            return name;
        }
        dirs += n + (dirs[n] == ':');
    }
    return NULL;
}

/* "operation directory/name" with every word that holds a digit shown as '#', so that it is the same in each run. */
static void label(const char *operation, const char *name, char out[PATH_MAX]) {
    size_t n = (size_t)snprintf(out, PATH_MAX, "%s ", operation);
    while (*name && n + 2 < PATH_MAX) {
        size_t word = 0, digits = 0;
        while (isalnum((unsigned char)name[word])) digits += isdigit((unsigned char)name[word++]) != 0;
        if (word == 0) out[n++] = *name++;
        else if (digits) out[n++] = '#', name += word;
        else while (word-- && n + 2 < PATH_MAX) out[n++] = *name++;
    }
    out[n] = 0;
}

static enum decision step(const char *operation, const char *path) {
    const char *name = watched(path);
    if (!name) return GO_ON;
    int saved = errno;
    char text[PATH_MAX], line[PATH_MAX + 32];
    label(operation, name, text);
    const char *at = getenv("FAULT_AT"), *only = getenv("FAULT_LABEL"), *kind = getenv("FAULT_KIND");
    const char *log = getenv("FAULT_LOG");
    long due = at ? atol(at) : 0;

    pthread_mutex_lock(&mutex);
    seen++;
    int counts = !only || !strcmp(only, text);
    counted += counts;
    int fails = counts && due > 0 && (counted == due || (counted > due && getenv("FAULT_FROM")));
    if (log) {
        int fd = (int)syscall(SYS_openat, AT_FDCWD, log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
        int n = snprintf(line, sizeof line, "%ld\t%s\n", seen, text);
        if (fd < 0 || syscall(SYS_write, fd, line, (size_t)n) != n) abort();
        syscall(SYS_close, fd);
    }
    if (fails && (!kind || !strcmp(kind, "kill"))) end_after(0); /* with the mutex: no other thread goes on */
    pthread_mutex_unlock(&mutex);
    errno = saved;
    if (!fails) return GO_ON;
    if (!strcmp(kind, "skip")) return SKIP;
    if (!strcmp(kind, "torn")) return TEAR;
    errno = atoi(kind);
    return FAIL;
}

static enum decision step_at(const char *operation, int at, const char *path) {
    char whole[PATH_MAX];
    if (!path) return GO_ON;
    absolute(at, path, whole);
    return step(operation, whole);
}

static enum decision step_fd(const char *operation, int fd) {
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0 || path[0] != '/') return GO_ON;
    path[n] = 0;
    return step(operation, path);
}

/* Opening. Only an open that may create or cut the file is a change. */

static int opens(int at, const char *path, int flags, mode_t mode) {
    char whole[PATH_MAX];
    absolute(at, path, whole);
    enum decision decision = GO_ON;
    if (flags & O_TRUNC) {
        decision = step("open-cut", whole);
        if (decision == SKIP) flags &= ~O_TRUNC;
    } else if ((flags & O_CREAT) && syscall(SYS_faccessat, AT_FDCWD, whole, F_OK) != 0) {
        decision = step("create", whole);
    }
    return decision == FAIL ? -1 : (int)syscall(SYS_openat, at, path, flags, mode);
}

#define OPEN_MODE(flags, mode)                                                                                         \
    mode_t mode = 0;                                                                                                   \
    if ((flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE) {                                                       \
        va_list list;                                                                                                  \
        va_start(list, flags);                                                                                         \
        mode = va_arg(list, mode_t);                                                                                   \
        va_end(list);                                                                                                  \
    }

int open(const char *path, int flags, ...) { OPEN_MODE(flags, mode) return opens(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { OPEN_MODE(flags, mode) return opens(AT_FDCWD, path, flags, mode); }
int openat(int at, const char *path, int flags, ...) { OPEN_MODE(flags, mode) return opens(at, path, flags, mode); }
int openat64(int at, const char *path, int flags, ...) { OPEN_MODE(flags, mode) return opens(at, path, flags, mode); }

/* Writing. */

ssize_t write(int fd, const void *bytes, size_t n) {
    enum decision decision = step_fd("write", fd);
    if (decision == FAIL) return -1;
    if (decision == SKIP) return (ssize_t)n;
    if (decision == TEAR) end_after(syscall(SYS_write, fd, bytes, n / 2));
    return REAL(write)(fd, bytes, n);
}

static ssize_t writes_at(int fd, const void *bytes, size_t n, off64_t offset) {
    enum decision decision = step_fd("pwrite", fd);
    if (decision == FAIL) return -1;
    if (decision == SKIP) return (ssize_t)n;
    if (decision == TEAR) end_after(syscall(SYS_pwrite64, fd, bytes, n / 2, offset));
    return (ssize_t)syscall(SYS_pwrite64, fd, bytes, n, offset);
}
ssize_t pwrite(int fd, const void *bytes, size_t n, off_t offset) { return writes_at(fd, bytes, n, offset); }
ssize_t pwrite64(int fd, const void *bytes, size_t n, off64_t offset) { return writes_at(fd, bytes, n, offset); }

/* Calls that are only counted, killed before, or failed: there is no first half of them, and nobody skips them. */

#define COUNTED(type, name, parameters, arguments, asked)                                                              \
    type name parameters { return asked == FAIL ? -1 : REAL(name) arguments; }

COUNTED(ssize_t, writev, (int fd, const struct iovec *parts, int n), (fd, parts, n), step_fd("write", fd))
COUNTED(ssize_t, pwritev, (int fd, const struct iovec *parts, int n, off_t offset), (fd, parts, n, offset),
        step_fd("pwrite", fd))
COUNTED(ssize_t, pwritev64, (int fd, const struct iovec *parts, int n, off64_t offset), (fd, parts, n, offset),
        step_fd("pwrite", fd))
COUNTED(ssize_t, copy_file_range, (int from, off64_t *from_at, int to, off64_t *to_at, size_t n, unsigned flags),
        (from, from_at, to, to_at, n, flags), step_fd("write", to))
COUNTED(int, fallocate, (int fd, int mode, off_t offset, off_t n), (fd, mode, offset, n), step_fd("allocate", fd))
COUNTED(int, fallocate64, (int fd, int mode, off64_t offset, off64_t n), (fd, mode, offset, n), step_fd("allocate", fd))

/* posix_fallocate returns its error, and leaves errno alone. */
int posix_fallocate(int fd, off_t offset, off_t n) {
    return step_fd("allocate", fd) == FAIL ? errno : REAL(posix_fallocate)(fd, offset, n);
}
int posix_fallocate64(int fd, off64_t offset, off64_t n) {
    return step_fd("allocate", fd) == FAIL ? errno : REAL(posix_fallocate64)(fd, offset, n);
}

/* Everything else: one name for the two widths of an offset. */

static int asked_for(enum decision decision, int *result) {
    *result = decision == FAIL ? -1 : 0;
    return decision == FAIL || decision == SKIP;
}

#define CHANGE(type, name, parameters, arguments, asked)                                                               \
    type name parameters {                                                                                             \
        int result;                                                                                                    \
        return asked_for(asked, &result) ? result : REAL(name) arguments;                                              \
    }

CHANGE(int, ftruncate, (int fd, off_t n), (fd, n), step_fd("truncate", fd))
CHANGE(int, ftruncate64, (int fd, off64_t n), (fd, n), step_fd("truncate", fd))
CHANGE(int, truncate, (const char *path, off_t n), (path, n), step_at("truncate", AT_FDCWD, path))
CHANGE(int, truncate64, (const char *path, off64_t n), (path, n), step_at("truncate", AT_FDCWD, path))
CHANGE(int, fsync, (int fd), (fd), step_fd("fsync", fd))
CHANGE(int, fdatasync, (int fd), (fd), step_fd("fsync", fd))
CHANGE(int, syncfs, (int fd), (fd), step_fd("fsync", fd))
CHANGE(int, rename, (const char *from, const char *to), (from, to), step_at("rename", AT_FDCWD, to))
CHANGE(int, renameat, (int a, const char *from, int b, const char *to), (a, from, b, to), step_at("rename", b, to))
CHANGE(int, renameat2, (int a, const char *from, int b, const char *to, unsigned flags), (a, from, b, to, flags),
       step_at("rename", b, to))
CHANGE(int, link, (const char *from, const char *to), (from, to), step_at("link", AT_FDCWD, to))
CHANGE(int, linkat, (int a, const char *from, int b, const char *to, int flags), (a, from, b, to, flags),
       step_at("link", b, to))
CHANGE(int, unlink, (const char *path), (path), step_at("unlink", AT_FDCWD, path))
CHANGE(int, unlinkat, (int at, const char *path, int flags), (at, path, flags), step_at("unlink", at, path))
CHANGE(int, mkdir, (const char *path, mode_t mode), (path, mode), step_at("mkdir", AT_FDCWD, path))
CHANGE(int, mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), step_at("mkdir", at, path))
CHANGE(int, rmdir, (const char *path), (path), step_at("rmdir", AT_FDCWD, path))
