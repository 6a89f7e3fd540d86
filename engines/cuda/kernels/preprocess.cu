// Converts frames to model input: resize or letterbox, colour order, normalisation, layout, element type; one launch for
// a whole batch. Grid (ceil(width / 4 / block.x), ceil(height / block.y), images); a thread writes four pixels.
#include "resample.cuh"
#include "tensor.cuh"

template <class T>
__device__ void preprocess(const Placement* __restrict__ placements, T* __restrict__ tensor, InputLayout layout) {
    const int x = 4 * thread_x(), y = thread_y(), index = static_cast<int>(blockIdx.z);
    if (x >= layout.width || y >= layout.height) return;
    const Placement at = placements[index];
    const bool row_inside = y >= at.top && y < at.top + at.height;
    const Tap down = tap_down(y - at.top, at.step_y, at.start_y, at.source.height);
    float value[3][4];
    for (int i = 0; i < 4; ++i) {
        const int column = x + i - at.left;
        float planes[3] = {layout.pad[0], layout.pad[1], layout.pad[2]};
        if (row_inside && column >= 0 && column < at.width)
            planes_of(
                resampled(at.source, tap_across(column, at.step_x, at.start_x, at.source.width), down), layout, planes);
        for (int channel = 0; channel < 3; ++channel) value[channel][i] = planes[channel];
    }
    write4(tensor, layout, index, x, y, value);
}

extern "C" __global__ void preprocess_f32(const Placement* placements, float* tensor, InputLayout layout) {
    preprocess(placements, tensor, layout);
}

extern "C" __global__ void preprocess_f16(const Placement* placements, Half* tensor, InputLayout layout) {
    preprocess(placements, tensor, layout);
}

extern "C" __global__ void preprocess_u8(const Placement* placements, Byte* tensor, InputLayout layout) {
    preprocess(placements, tensor, layout);
}
