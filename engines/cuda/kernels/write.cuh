// Writes pixels to a BGR or NV12 frame, four adjacent ones at a time. NV12's chroma is that of the upper left of four
// pixels, as in OpenCV.
#pragma once
#include "picture.cuh"

// A frame to write, and how the source is resized to it; see resample.cuh.
struct Target {
    Picture frame;  // the output
    Fixed step_x, start_x, step_y, start_y;
    BgrToYuv yuv;
};

// Writes `count` bytes, four at a time if they are aligned.
template <int N>
__device__ __forceinline__ void write_bytes(Byte* at, const Byte (&bytes)[N], int count) {
    if (count == N && reinterpret_cast<Address>(at) % 4 == 0) {
        for (int i = 0; i < N; i += 4)
            *reinterpret_cast<uchar4*>(at + i) = make_uchar4(bytes[i], bytes[i + 1], bytes[i + 2], bytes[i + 3]);
    } else {
        for (int i = 0; i < count; ++i) at[i] = bytes[i];
    }
}

__device__ __forceinline__ void write_bgr(const Picture& frame, int x, int y, const Bgr (&row)[4], int count) {
    Byte bytes[12];
    for (int i = 0; i < 4; ++i) {
        bytes[3 * i] = static_cast<Byte>(row[i].blue);
        bytes[3 * i + 1] = static_cast<Byte>(row[i].green);
        bytes[3 * i + 2] = static_cast<Byte>(row[i].red);
    }
    write_bytes(writable_at(frame.plane) + static_cast<Fixed>(y) * frame.pitch + 3 * x, bytes, 3 * count);
}

__device__ __forceinline__ void write_nv12(const Target& to, int x, int y, const Bgr (&row)[4], int count) {
    const Picture& frame = to.frame;
    Byte luma[4], chroma[4];
    for (int i = 0; i < 4; ++i) luma[i] = static_cast<Byte>(weighed(to.yuv.y, row[i]));
    write_bytes(writable_at(frame.plane) + static_cast<Fixed>(y) * frame.pitch + x, luma, count);
    if (y % 2) return;
    for (int i = 0; i < 4; i += 2) {
        chroma[i] = static_cast<Byte>(weighed(to.yuv.u, row[i]));
        chroma[i + 1] = static_cast<Byte>(weighed(to.yuv.v, row[i]));
    }
    const int pairs = 2 * ((count + 1) / 2);
    write_bytes(writable_at(frame.chroma) + static_cast<Fixed>(y / 2) * frame.chroma_pitch + x, chroma, pairs);
}

__device__ __forceinline__ void write(const Target& to, int x, int y, const Bgr (&row)[4], int count) {
    if (to.frame.nv12) {
        write_nv12(to, x, y, row, count);
    } else {
        write_bgr(to.frame, x, y, row, count);
    }
}
