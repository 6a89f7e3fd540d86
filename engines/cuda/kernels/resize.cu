// Pictures to frames of other sizes, kinds and colours, each pixel by way of BGR; a whole batch in one launch.
// Grid (ceil(width / 4 / block.x), ceil(height / 2 / block.y), pictures) of the largest frame; a thread writes
// 4 x 2 pixels.
#include "resample.cuh"
#include "write.cuh"

struct Resized {
    Picture source;
    Target target;
};

extern "C" __global__ void resize_pictures(const Resized* pictures) {
    const Resized& picture = pictures[blockIdx.z];
    const Picture& from = picture.source;
    const Target& to = picture.target;
    const int x = 4 * thread_x(), first = 2 * thread_y();
    if (x >= to.frame.width || first >= to.frame.height) return;
    const int count = min(4, to.frame.width - x);
    for (int y = first; y < min(first + 2, to.frame.height); ++y) {
        const Tap down = tap_down(y, to.step_y, to.start_y, from.height);
        Bgr row[4] = {};
        for (int i = 0; i < count; ++i)
            row[i] = resampled(from, tap_across(x + i, to.step_x, to.start_x, from.width), down);
        write(to, x, y, row, count);
    }
}
