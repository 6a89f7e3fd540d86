// Resizes images to frames and converts their format and colours, each pixel by way of BGR; one launch for a whole
// batch. Grid (ceil(width / 4 / block.x), ceil(height / 2 / block.y), images) of the largest frame; a thread writes 4 x
// 2 pixels. `resize_pictures` is bilinear. `shrink_pictures` takes the mean of the pixels that a pixel covers, as
// OpenCV's INTER_AREA, and never enlarges.
#include "resample.cuh"
#include "write.cuh"

struct Resized {
    Picture source;
    Target target;
};

__device__ __forceinline__ float share(int at, Fixed start, Fixed step) {
    const Fixed one = static_cast<Fixed>(1) << 32, from = at * one;
    const Fixed first = start > from ? start : from, last = start + step < from + one ? start + step : from + one;
    return static_cast<float>(last - first) * 2.3283064365386963e-10f;
}

// Returns the mean of all pixels that the target's pixel x, y covers, weighted by the covered share of each.
struct Mean {
    __device__ __forceinline__ Bgr operator()(const Picture& from, const Target& to, int x, int y) const {
        const Fixed left = x * to.step_x, top = y * to.step_y;
        const int right = min(static_cast<int>((left + to.step_x - 1) >> 32), from.width - 1);
        const int bottom = min(static_cast<int>((top + to.step_y - 1) >> 32), from.height - 1);
        float blue = 0, green = 0, red = 0, total = 0;
        for (int row = static_cast<int>(top >> 32); row <= bottom; ++row) {
            const float down = share(row, top, to.step_y);
            for (int column = static_cast<int>(left >> 32); column <= right; ++column) {
                const float weight = down * share(column, left, to.step_x);
                const Bgr colour = pixel(from, column, row);
                blue += weight * colour.blue;
                green += weight * colour.green;
                red += weight * colour.red;
                total += weight;
            }
        }
        return Bgr{
            static_cast<int>(byte_of(blue / total)), static_cast<int>(byte_of(green / total)),
            static_cast<int>(byte_of(red / total))};
    }
};

struct Bilinear {
    __device__ __forceinline__ Bgr operator()(const Picture& from, const Target& to, int x, int y) const {
        return resampled(
            from, tap_across(x, to.step_x, to.start_x, from.width), tap_down(y, to.step_y, to.start_y, from.height));
    }
};

template <class Method>
__device__ __forceinline__ void fill(const Resized& picture, const Method& method) {
    const Picture& from = picture.source;
    const Target& to = picture.target;
    const int x = 4 * thread_x(), first = 2 * thread_y();
    if (x >= to.frame.width || first >= to.frame.height) return;
    const int count = min(4, to.frame.width - x);
    for (int y = first; y < min(first + 2, to.frame.height); ++y) {
        Bgr row[4] = {};
        for (int i = 0; i < count; ++i) row[i] = method(from, to, x + i, y);
        write(to, x, y, row, count);
    }
}

extern "C" __global__ void resize_pictures(const Resized* pictures) { fill(pictures[blockIdx.z], Bilinear()); }

extern "C" __global__ void shrink_pictures(const Resized* pictures) { fill(pictures[blockIdx.z], Mean()); }
