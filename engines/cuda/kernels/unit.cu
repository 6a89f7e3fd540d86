// Normalises rows to unit length in fp32: an embedder's output, ready for comparison by dot product. Grid (rows), a
// block of 128 threads per row.
#include "common.cuh"

template <class T>
__device__ __forceinline__ void unit(const T* from, float* to, int columns, float* sums) {
    const int threads = 128, thread = static_cast<int>(threadIdx.x);
    const Fixed row = static_cast<Fixed>(blockIdx.x) * columns;
    float sum = 0.0f;
    for (int i = thread; i < columns; i += threads) {
        const float value = to_float(from[row + i]);
        sum += value * value;
    }
    sums[thread] = sum;
    __syncthreads();
    for (int half = threads / 2; half > 0; half /= 2) {
        if (thread < half) sums[thread] += sums[thread + half];
        __syncthreads();
    }
    const float length = fmaxf(sqrtf(sums[0]), 1e-12f);
    for (int i = thread; i < columns; i += threads) to[row + i] = to_float(from[row + i]) / length;
}

extern "C" __global__ void unit_f32(const float* from, float* to, int columns) {
    __shared__ float sums[128];
    unit(from, to, columns, sums);
}

extern "C" __global__ void unit_f16(const Half* from, float* to, int columns) {
    __shared__ float sums[128];
    unit(from, to, columns, sums);
}
