/* Loaded before libc: files below $FULL_DISK can't grow beyond $FULL_DISK_BYTES, as if the disk were full. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static int is_full(int file, off64_t end) {
    const char *below = getenv("FULL_DISK"), *bytes = getenv("FULL_DISK_BYTES");
    char link[64], path[PATH_MAX];
    if (!below || !bytes || end <= atoll(bytes)) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return strncmp(path, below, strlen(below)) == 0;
}

ssize_t pwrite64(int file, const void *data, size_t size, off64_t offset) {
    static ssize_t (*real)(int, const void *, size_t, off64_t);
    if (!real) real = dlsym(RTLD_NEXT, "pwrite64");
    if (is_full(file, offset + (off64_t)size)) { errno = ENOSPC; return -1; }
    return real(file, data, size, offset);
}

ssize_t pwrite(int file, const void *data, size_t size, off_t offset) {
    return pwrite64(file, data, size, offset);
}

ssize_t write(int file, const void *data, size_t size) {
    static ssize_t (*real)(int, const void *, size_t);
    if (!real) real = dlsym(RTLD_NEXT, "write");
    off64_t at = lseek64(file, 0, SEEK_CUR);
    if (at >= 0 && is_full(file, at + (off64_t)size)) { errno = ENOSPC; return -1; }
    return real(file, data, size);
}
