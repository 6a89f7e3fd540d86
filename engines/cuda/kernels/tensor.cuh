// The model's image input: `pixel * factor + summand` as planes [n, 3, height, width], or [n, height, width, 3].
#pragma once
#include "picture.cuh"

struct InputLayout {
    int width, height;
    int red_first;    // planes in the order red, green, blue; else blue, green, red
    int interleaved;  // [n, height, width, 3]
    float factor[3], summand[3], pad[3];  // one per plane; pad is the final value
};

__device__ __forceinline__ void planes_of(const Bgr& colour, const InputLayout& layout, float (&value)[3]) {
    const int first = layout.red_first ? colour.red : colour.blue;
    const int third = layout.red_first ? colour.blue : colour.red;
    value[0] = static_cast<float>(first) * layout.factor[0] + layout.summand[0];
    value[1] = static_cast<float>(colour.green) * layout.factor[1] + layout.summand[1];
    value[2] = static_cast<float>(third) * layout.factor[2] + layout.summand[2];
}

// Writes four adjacent values, of which `count` are inside the row; groups are aligned only if all rows consist of whole
// groups.
template <class T>
__device__ __forceinline__ void write_group(T* at, const float (&value)[4], bool aligned, int count) {
    if (aligned) {
        store4(at, value);
    } else {
        for (int i = 0; i < min(4, count); ++i) store(at + i, value[i]);
    }
}

// Writes four adjacent pixels in row `y` of image `index`, starting at column `x`; `value` is [plane][pixel].
template <class T>
__device__ __forceinline__ void write4(
    T* tensor, const InputLayout& layout, int index, int x, int y, const float (&value)[3][4]) {
    const bool aligned = layout.width % 4 == 0;
    const Fixed plane = static_cast<Fixed>(layout.width) * layout.height;
    const Fixed pixel = static_cast<Fixed>(y) * layout.width + x;
    T* image = tensor + 3 * plane * index;
    if (!layout.interleaved) {
        for (int channel = 0; channel < 3; ++channel)
            write_group(image + channel * plane + pixel, value[channel], aligned, layout.width - x);
        return;
    }
    for (int first = 0; first < 12; first += 4) {
        float group[4];
        for (int i = 0; i < 4; ++i) group[i] = value[(first + i) % 3][(first + i) / 3];
        write_group(image + 3 * pixel + first, group, aligned, 3 * (layout.width - x) - first);
    }
}
