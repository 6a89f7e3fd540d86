// Scales stylised images from the model's size up to frames of the source's size, keeping the source's edges: each
// channel is slope * grey + offset (guided filter, He and Sun 2015), with slopes and offsets scaled up and the source's
// own grey. One launch for a whole batch. Grid (ceil(width / 4 / block.x), ceil(height / 2 / block.y), images) of the
// largest frame; a thread writes 4 x 2 pixels.
#include "resample.cuh"
#include "write.cuh"

struct Painting {
    Picture source;  // of the target's size
    Target target;
    Address planes;     // float [height, width, 6]: slopes of blue, green and red, then their offsets, 0-255
    int width, height;  // of the planes
    int keep_colours;   // 1: the source's chroma with the stylised luma
    float strength;     // 0-1, share of the stylised image
};

__device__ __forceinline__ float grey_of(float blue, float green, float red) {
    return rintf(0.114f * blue + 0.587f * green + 0.299f * red);
}

__device__ __forceinline__ float enlarged(const Painting& painting, int channel, const Tap& x, const Tap& y) {
    const float* planes = reinterpret_cast<const float*>(painting.planes) + channel;
    const Fixed upper = static_cast<Fixed>(y.first) * painting.width;
    const Fixed lower = static_cast<Fixed>(y.second) * painting.width;
    const float across = x.weight / 2048.0f, down = y.weight / 2048.0f;
    const float above = planes[6 * (upper + x.first)] * (1 - across) + planes[6 * (upper + x.second)] * across;
    const float below = planes[6 * (lower + x.first)] * (1 - across) + planes[6 * (lower + x.second)] * across;
    return above * (1 - down) + below * down;
}

__device__ __forceinline__ float within(float value) { return fminf(fmaxf(value, 0.0f), 255.0f); }

// Combines the stylised luma with the source's chroma, in the integer Y'CrCb of OpenCV.
__device__ __forceinline__ void with_colours_of(const float (&picture)[3], float grey, float (&paint)[3]) {
    const float luma = grey_of(rintf(paint[0]), rintf(paint[1]), rintf(paint[2]));
    const float red = byte_of((picture[2] - grey) * 0.713f + 128.0f) - 128.0f;
    const float blue = byte_of((picture[0] - grey) * 0.564f + 128.0f) - 128.0f;
    paint[0] = byte_of(luma + 1.773f * blue);
    paint[1] = byte_of(luma - 0.714f * red - 0.344f * blue);
    paint[2] = byte_of(luma + 1.403f * red);
}

__device__ __forceinline__ Bgr brushed(const Painting& painting, int x, int y) {
    const Target& to = painting.target;
    const Tap across = tap_across(x, to.step_x, to.start_x, painting.width);
    const Tap down = tap_down(y, to.step_y, to.start_y, painting.height);
    const Bgr own = pixel(painting.source, x, y);
    const float from[3] = {
        static_cast<float>(own.blue), static_cast<float>(own.green), static_cast<float>(own.red)};
    const float grey = grey_of(from[0], from[1], from[2]);
    float paint[3];
    for (int i = 0; i < 3; ++i)
        paint[i] = within(enlarged(painting, i, across, down) * grey + enlarged(painting, i + 3, across, down));
    if (painting.keep_colours) with_colours_of(from, grey, paint);
    int mixed[3];
    for (int i = 0; i < 3; ++i) mixed[i] = static_cast<int>(byte_of(from[i] + painting.strength * (paint[i] - from[i])));
    return Bgr{mixed[0], mixed[1], mixed[2]};
}

extern "C" __global__ void paint(const Painting* paintings) {
    const Painting& painting = paintings[blockIdx.z];
    const Target& to = painting.target;
    const int x = 4 * thread_x(), first = 2 * thread_y();
    if (x >= to.frame.width || first >= to.frame.height) return;
    const int count = min(4, to.frame.width - x);
    for (int y = first; y < min(first + 2, to.frame.height); ++y) {
        Bgr row[4] = {};
        for (int i = 0; i < count; ++i) row[i] = brushed(painting, x + i, y);
        write(to, x, y, row, count);
    }
}
