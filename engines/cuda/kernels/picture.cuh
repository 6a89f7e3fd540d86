// An image in device memory, NV12 or BGR, and its pixels as BGR.
#pragma once
#include "common.cuh"

// Y'CbCr to RGB in 12.20 fixed point: OpenCV's coefficients for BT.601, and equivalent ones for BT.709.
struct YuvToBgr {
    int luma_offset;  // 16, or 0 for full range
    int luma;
    int blue_u, green_u, green_v, red_v;
};

struct Picture {
    Address plane;   // NV12: luma; BGR: the pixels
    Address chroma;  // NV12: interleaved U and V at half the resolution each way (rounded up); BGR: 0
    int pitch, chroma_pitch;  // bytes between rows
    int width, height;        // pixels
    int nv12;                 // 0: BGR
    YuvToBgr yuv;
};

struct Bgr {
    int blue, green, red;
};

__device__ __forceinline__ const Byte* bytes_at(Address address) { return reinterpret_cast<const Byte*>(address); }
__device__ __forceinline__ Byte* writable_at(Address address) { return reinterpret_cast<Byte*>(address); }

__device__ __forceinline__ Bgr bgr_of(const YuvToBgr& to, int y, int u, int v) {
    const int half = 1 << 19;
    const int luma = max(y - to.luma_offset, 0) * to.luma + half;
    return Bgr{
        byte_of((luma + to.blue_u * u) >> 20),
        byte_of((luma + to.green_u * u + to.green_v * v) >> 20),
        byte_of((luma + to.red_v * v) >> 20)};
}

// Returns the pixel at x, y, which must be inside the image.
__device__ __forceinline__ Bgr pixel(const Picture& from, int x, int y) {
    if (!from.nv12) {
        const Byte* at = bytes_at(from.plane) + static_cast<Fixed>(y) * from.pitch + 3 * x;
        return Bgr{at[0], at[1], at[2]};
    }
    const Byte* chroma = bytes_at(from.chroma) + static_cast<Fixed>(y >> 1) * from.chroma_pitch + (x & ~1);
    const int luma = bytes_at(from.plane)[static_cast<Fixed>(y) * from.pitch + x];
    return bgr_of(from.yuv, luma, chroma[0] - 128, chroma[1] - 128);
}

// RGB to Y'CbCr in 12.20 fixed point. Each row is the weights of blue, green and red, and the summand.
struct BgrToYuv {
    int y[4], u[4], v[4];
};

__device__ __forceinline__ int weighed(const int (&by)[4], const Bgr& colour) {
    return byte_of((by[0] * colour.blue + by[1] * colour.green + by[2] * colour.red + by[3]) >> 20);
}
