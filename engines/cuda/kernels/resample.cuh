// Bilinear resizing in the integers of OpenCV's uint8 path (resize.cpp, INTER_LINEAR): pixel centres at .5, weights of
// 11 bits, and its very shifts, so that the network is fed the same bytes as on the CPU.
#pragma once
#include "picture.cuh"

// Where a source picture comes to lie within another: at left, top, resized to width x height.
// Source position of target pixel i = start + i * step, with step = source / target and start = step / 2 - 1 / 2.
struct Placement {
    Picture source;
    Fixed step_x, start_x, step_y, start_y;
    int left, top, width, height;
};

struct Tap {
    int first, second;  // the two source pixels
    int weight;         // of the second, out of 2048
};

__device__ __forceinline__ Tap tap(int target, Fixed step, Fixed start) {
    // Rounded to float once, as OpenCV does: its weights follow from that number.
    const float position = static_cast<float>(start + target * step) * 2.3283064365386963e-10f;
    const float below = floorf(position);
    return Tap{static_cast<int>(below), static_cast<int>(below) + 1,
               static_cast<int>(rintf((position - below) * 2048.0f))};
}

// Across, a pixel beyond the edge has no weight ...
__device__ __forceinline__ Tap tap_across(int target, Fixed step, Fixed start, int size) {
    Tap taps = tap(target, step, start);
    if (taps.first < 0 || taps.first >= size - 1) taps.weight = 0;
    taps.first = clamp(taps.first, 0, size - 1);
    taps.second = clamp(taps.second, 0, size - 1);
    return taps;
}

// ... and down it repeats the edge: the same by value, but not in the last bit.
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
