// Bilinear resizing in the integer arithmetic of OpenCV's uint8 path (resize.cpp, INTER_LINEAR): pixel centres at .5,
// 11-bit weights and the same shifts, so that the model gets the same bytes as on the CPU.
#pragma once
#include "picture.cuh"

// Position of a source image in another image: at left, top, resized to width x height. The source position of target
// pixel i is start + i * step, with step = source / target and start = step / 2 - 1 / 2.
struct Placement {
    Picture source;
    Fixed step_x, start_x, step_y, start_y;
    int left, top, width, height;
};

struct Tap {
    int first, second;  // the two source pixels
    int weight;         // of the second pixel, out of 2048
};

__device__ __forceinline__ Tap tap(int target, Fixed step, Fixed start) {
    // Rounded to float once, as in OpenCV, whose weights are computed from that number.
    const float position = static_cast<float>(start + target * step) * 2.3283064365386963e-10f;
    const float below = floorf(position);
    return Tap{static_cast<int>(below), static_cast<int>(below) + 1,
               static_cast<int>(rintf((position - below) * 2048.0f))};
}

// Horizontally, a pixel beyond the edge has no weight ...
__device__ __forceinline__ Tap tap_across(int target, Fixed step, Fixed start, int size) {
    Tap taps = tap(target, step, start);
    if (taps.first < 0 || taps.first >= size - 1) taps.weight = 0;
    taps.first = clamp(taps.first, 0, size - 1);
    taps.second = clamp(taps.second, 0, size - 1);
    return taps;
}

// ... and vertically, the edge is repeated. The value is the same, but not to the last bit.
__device__ __forceinline__ Tap tap_down(int target, Fixed step, Fixed start, int size) {
    Tap taps = tap(target, step, start);
    taps.first = clamp(taps.first, 0, size - 1);
    taps.second = clamp(taps.second, 0, size - 1);
    return taps;
}

__device__ __forceinline__ int mix(int a, int b, int c, int d, int across, int down) {
    const int upper = a * (2048 - across) + b * across;
    const int lower = c * (2048 - across) + d * across;
    return ((((upper >> 4) * (2048 - down)) >> 16) + (((lower >> 4) * down) >> 16) + 2) >> 2;
}

__device__ __forceinline__ Bgr mix(const Bgr& a, const Bgr& b, const Bgr& c, const Bgr& d, int across, int down) {
    return Bgr{
        mix(a.blue, b.blue, c.blue, d.blue, across, down),
        mix(a.green, b.green, c.green, d.green, across, down),
        mix(a.red, b.red, c.red, d.red, across, down)};
}

__device__ __forceinline__ Bgr resampled(const Picture& from, const Tap& x, const Tap& y) {
    return mix(
        pixel(from, x.first, y.first), pixel(from, x.second, y.first),
        pixel(from, x.first, y.second), pixel(from, x.second, y.second), x.weight, y.weight);
}
