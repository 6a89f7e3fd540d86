/* Kernels for the tests of the driver; see kernel.h. */
#include "kernel.h"

#include <stdint.h>
#include <string.h>

struct Area { int32_t first, count; float factor; };

HOST_KERNEL(scale) {
    struct { float *values; struct Area area; int32_t offset; float shift; } a;
    (void)grid, (void)block, (void)shared_bytes;
    if (argument_bytes < offsetof(__typeof__(a), shift) + sizeof a.shift) return;
    memcpy(&a, arguments, argument_bytes);
    for (int32_t i = 0; i < a.area.count; i++) {
        float *value = a.values + a.offset + a.area.first + i;
        *value = *value * a.area.factor + a.shift;
    }
}

HOST_KERNEL(report_launch) {
    uint32_t *out, figures[8];
    memcpy(&out, arguments, sizeof out);
    memcpy(figures, grid, 12), memcpy(figures + 3, block, 12);
    figures[6] = shared_bytes, figures[7] = (uint32_t)argument_bytes;
    memcpy(out, figures, sizeof figures);
}

HOST_KERNEL(increment) {
    int32_t *counter;
    (void)argument_bytes, (void)grid, (void)block, (void)shared_bytes;
    memcpy(&counter, arguments, sizeof counter);
    ++*counter;
}
