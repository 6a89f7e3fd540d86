// The model's image input: planes [n, 3, height, width] of `pixel * factor + summand`.
#pragma once
#include "picture.cuh"

struct InputLayout {
    int width, height;
    int red_first;  // planes in the order red, green, blue; else blue, green, red
    float factor[3], summand[3], pad[3];  // one per plane; pad is the final value
};

__device__ __forceinline__ void planes_of(const Bgr& colour, const InputLayout& layout, float (&value)[3]) {
    const int first = layout.red_first ? colour.red : colour.blue;
    const int third = layout.red_first ? colour.blue : colour.red;
    value[0] = static_cast<float>(first) * layout.factor[0] + layout.summand[0];
    value[1] = static_cast<float>(colour.green) * layout.factor[1] + layout.summand[1];
    value[2] = static_cast<float>(third) * layout.factor[2] + layout.summand[2];
}

// Writes four adjacent pixels in row `y` of image `index`, starting at column `x`; `value` is [plane][pixel]. If the
// width is not a multiple of four, writes pixel by pixel, because groups of four are not aligned.
template <class T>
__device__ __forceinline__ void write4(
    T* tensor, const InputLayout& layout, int index, int x, int y, const float (&value)[3][4]) {
    const Fixed plane = static_cast<Fixed>(layout.width) * layout.height;
    T* at = tensor + 3 * plane * index + static_cast<Fixed>(y) * layout.width + x;
    for (int channel = 0; channel < 3; ++channel, at += plane) {
        if (layout.width % 4 == 0) {
            store4(at, value[channel]);
        } else {
            for (int i = 0; i < 4 && x + i < layout.width; ++i) store(at + i, value[channel][i]);
        }
    }
}
