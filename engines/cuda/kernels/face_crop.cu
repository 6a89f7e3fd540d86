// Crops faces for an embedder's input: each is rotated, scaled and moved by its transform, with bilinear interpolation
// and black beyond the image's edges (as cv2.warpAffine). One launch for a whole batch of faces from any images. Grid
// (ceil(width / 4 / block.x), ceil(height / block.y), faces); a thread writes four pixels.
#include "tensor.cuh"

struct Crop {
    Picture source;
    float transform[6];  // source x = t0 * x + t1 * y + t2, source y = t3 * x + t4 * y + t5, between pixel centres
};

__device__ __forceinline__ Bgr pixel_or_black(const Picture& from, int x, int y) {
    return x >= 0 && y >= 0 && x < from.width && y < from.height ? pixel(from, x, y) : Bgr{0, 0, 0};
}

__device__ __forceinline__ int blend(int a, int b, int c, int d, float across, float down) {
    const float upper = static_cast<float>(a) + across * static_cast<float>(b - a);
    const float lower = static_cast<float>(c) + across * static_cast<float>(d - c);
    return static_cast<int>(rintf(upper + down * (lower - upper)));
}

__device__ __forceinline__ Bgr warped(const Crop& crop, float x, float y) {
    const float* t = crop.transform;
    // Clamped so that the conversion to int cannot overflow far outside the image.
    const float source_x = fminf(fmaxf(t[0] * x + t[1] * y + t[2], -2.0f), static_cast<float>(crop.source.width + 1));
    const float source_y = fminf(fmaxf(t[3] * x + t[4] * y + t[5], -2.0f), static_cast<float>(crop.source.height + 1));
    const float left = floorf(source_x), top = floorf(source_y);
    const int column = static_cast<int>(left), row = static_cast<int>(top);
    const float across = source_x - left, down = source_y - top;
    const Bgr a = pixel_or_black(crop.source, column, row), b = pixel_or_black(crop.source, column + 1, row);
    const Bgr c = pixel_or_black(crop.source, column, row + 1), d = pixel_or_black(crop.source, column + 1, row + 1);
    return Bgr{
        blend(a.blue, b.blue, c.blue, d.blue, across, down),
        blend(a.green, b.green, c.green, d.green, across, down),
        blend(a.red, b.red, c.red, d.red, across, down)};
}

template <class T>
__device__ void face_crop(const Crop* __restrict__ crops, T* __restrict__ tensor, const InputLayout& layout) {
    const int x = 4 * thread_x(), y = thread_y(), index = static_cast<int>(blockIdx.z);
    if (x >= layout.width || y >= layout.height) return;
    const Crop crop = crops[index];
    float value[3][4];
    for (int i = 0; i < 4; ++i) {
        float planes[3];
        planes_of(warped(crop, static_cast<float>(x + i), static_cast<float>(y)), layout, planes);
        for (int channel = 0; channel < 3; ++channel) value[channel][i] = planes[channel];
    }
    write4(tensor, layout, index, x, y, value);
}

extern "C" __global__ void face_crop_f32(const Crop* crops, float* tensor, InputLayout layout) {
    face_crop(crops, tensor, layout);
}

extern "C" __global__ void face_crop_f16(const Crop* crops, Half* tensor, InputLayout layout) {
    face_crop(crops, tensor, layout);
}

extern "C" __global__ void face_crop_u8(const Crop* crops, Byte* tensor, InputLayout layout) {
    face_crop(crops, tensor, layout);
}
