/* How a kernel looks that is built for the host and launched by the stand-in driver: `arguments` is the packed buffer
   that a launch hands over, in which C++'s own alignment rules hold. A kernel does all blocks and threads by itself. */
#pragma once
#include <stddef.h>

#define HOST_KERNEL(name)                                                                                             \
    __attribute__((visibility("default"))) void name(const unsigned char *arguments, size_t argument_bytes,           \
                                                     const unsigned grid[3], const unsigned block[3],                 \
                                                     unsigned shared_bytes)
