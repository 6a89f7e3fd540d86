// Converts a model's image output, planes [n, 3, height, width], to BGR or NV12 frames of any size; one launch for a
// whole batch. Grid (ceil(width / 4 / block.x), ceil(height / 2 / block.y), images) of the largest frame; a thread
// writes 4 x 2 pixels. Values are rounded to bytes before resizing, as in OpenCV.
#include "resample.cuh"
#include "write.cuh"

struct OutputLayout {
    int width, height;     // of the planes
    int red_first;         // planes in the order red, green, blue; else blue, green, red
    float factor, summand;  // byte = value * factor + summand
};

template <class T>
__device__ __forceinline__ Bgr number_at(const T* planes, const OutputLayout& layout, int x, int y) {
    const Fixed plane = static_cast<Fixed>(layout.width) * layout.height;
    const T* at = planes + static_cast<Fixed>(y) * layout.width + x;
    int value[3];
    for (int i = 0; i < 3; ++i)
        value[i] = static_cast<int>(byte_of(to_float(at[i * plane]) * layout.factor + layout.summand));
    return layout.red_first ? Bgr{value[2], value[1], value[0]} : Bgr{value[0], value[1], value[2]};
}

template <class T>
__device__ __forceinline__ Bgr colour_at(
    const T* planes, const OutputLayout& layout, const Target& to, const Tap& down, int x) {
    const Tap across = tap_across(x, to.step_x, to.start_x, layout.width);
    return mix(
        number_at(planes, layout, across.first, down.first), number_at(planes, layout, across.second, down.first),
        number_at(planes, layout, across.first, down.second), number_at(planes, layout, across.second, down.second),
        across.weight, down.weight);
}

template <class T>
__device__ void to_frame(const T* tensor, const Target* targets, const OutputLayout& layout) {
    const int x = 4 * thread_x(), first = 2 * thread_y(), index = static_cast<int>(blockIdx.z);
    const Target to = targets[index];
    if (x >= to.frame.width || first >= to.frame.height) return;
    const T* planes = tensor + 3 * static_cast<Fixed>(index) * layout.width * layout.height;
    const int count = min(4, to.frame.width - x);
    for (int y = first; y < min(first + 2, to.frame.height); ++y) {
        const Tap down = tap_down(y, to.step_y, to.start_y, layout.height);
        Bgr row[4] = {};
        for (int i = 0; i < count; ++i) row[i] = colour_at(planes, layout, to, down, x + i);
        write(to, x, y, row, count);
    }
}

extern "C" __global__ void style_f32(const float* tensor, const Target* targets, OutputLayout layout) {
    to_frame(tensor, targets, layout);
}

extern "C" __global__ void style_f16(const Half* tensor, const Target* targets, OutputLayout layout) {
    to_frame(tensor, targets, layout);
}
