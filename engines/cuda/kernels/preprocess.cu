// Converts frames, and sheets with parts of frames, to model input: resize or letterbox, colour order, normalisation,
// layout, element type; one launch for a whole batch. Each image has `parts` placements, of which those that it does not
// need are empty. Grid (ceil(width / 4 / block.x), ceil(height / block.y), images); a thread writes four pixels.
#include "resample.cuh"
#include "tensor.cuh"

template <class T>
__device__ void preprocess(
    const Placement* __restrict__ placements, int parts, T* __restrict__ tensor, InputLayout layout) {
    const int x = 4 * thread_x(), y = thread_y(), index = static_cast<int>(blockIdx.z);
    if (x >= layout.width || y >= layout.height) return;
    float value[3][4];
    for (int i = 0; i < 4; ++i)
        for (int channel = 0; channel < 3; ++channel) value[channel][i] = layout.pad[channel];
    for (int part = 0; part < parts; ++part) {
        const Placement& at = placements[index * parts + part];
        if (y < at.top || y >= at.top + at.height || x + 3 < at.left || x >= at.left + at.width) continue;
        const Tap down = tap_down(y - at.top, at.step_y, at.start_y, at.source.height);
        for (int i = 0; i < 4; ++i) {
            const int column = x + i - at.left;
            if (column < 0 || column >= at.width) continue;
            float planes[3];
            planes_of(
                resampled(at.source, tap_across(column, at.step_x, at.start_x, at.source.width), down), layout, planes);
            for (int channel = 0; channel < 3; ++channel) value[channel][i] = planes[channel];
        }
    }
    write4(tensor, layout, index, x, y, value);
}

extern "C" __global__ void preprocess_f32(
    const Placement* placements, int parts, float* tensor, InputLayout layout) {
    preprocess(placements, parts, tensor, layout);
}

extern "C" __global__ void preprocess_f16(const Placement* placements, int parts, Half* tensor, InputLayout layout) {
    preprocess(placements, parts, tensor, layout);
}

extern "C" __global__ void preprocess_u8(const Placement* placements, int parts, Byte* tensor, InputLayout layout) {
    preprocess(placements, parts, tensor, layout);
}
