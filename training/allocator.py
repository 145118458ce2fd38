"""A setting of the memory allocator that makes training on CPUs faster."""

import ctypes
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # as in glibc's malloc.h
ONE_GIGABYTE = 2**30  # bytes: more than a step allocates


def keep_freed_memory() -> None:
    """Tell glibc to keep the memory that a step frees for the next one.

    Without it the kernel maps and clears tens of megabytes at each step. docs/performance.md has
    what it brings. Does nothing where there is no glibc.
    """
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, ONE_GIGABYTE)
        libc.mallopt(M_MMAP_THRESHOLD, ONE_GIGABYTE)
