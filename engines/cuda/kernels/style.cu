// A network's picture, planes [n, 3, height, width] of numbers, to frames: BGR or NV12, of any size; a whole batch in one
// launch. Grid (ceil(width / 4 / block.x), ceil(height / 2 / block.y), pictures) of the largest frame; a thread writes
// 4 x 2 pixels. Numbers are rounded to bytes before they are resized, and NV12's chroma is that of the upper left of
// four pixels: as OpenCV does both.
#include "resample.cuh"

struct Target {
    Picture frame;  // written
    Fixed step_x, start_x, step_y, start_y;
    BgrToYuv yuv;
};

struct OutputLayout {
    int width, height;     // of the planes
    int red_first;         // planes in the order red, green, blue; else blue, green, red
    float factor, summand;  // byte = number * factor + summand
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

// `count` bytes, four at a time where they are aligned.
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
        if (to.frame.nv12) {
            write_nv12(to, x, y, row, count);
        } else {
            write_bgr(to.frame, x, y, row, count);
        }
    }
}

extern "C" __global__ void style_f32(const float* tensor, const Target* targets, OutputLayout layout) {
    to_frame(tensor, targets, layout);
}

extern "C" __global__ void style_f16(const Half* tensor, const Target* targets, OutputLayout layout) {
    to_frame(tensor, targets, layout);
}
