/* Signature of a kernel that is built for the host and launched by the stand-in driver: `arguments` is the launch's
   packed buffer, aligned by C++'s rules. A kernel loops over all blocks and threads itself. */
#pragma once
#include <stddef.h>

#define HOST_KERNEL(name)                                                                                             \
    __attribute__((visibility("default"))) void name(const unsigned char *arguments, size_t argument_bytes,           \
                                                     const unsigned grid[3], const unsigned block[3],                 \
                                                     unsigned shared_bytes)
