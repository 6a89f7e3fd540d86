// Basics of all kernels. The sources compile with NVRTC for a card, and with g++ through a header from the tests, which
// defines the CUDA keywords away, so that every value can be compared with the CPU path without a GPU. Compile with
// --fmad=false: products and sums are rounded separately, as in NumPy and OpenCV.
#pragma once
#if !defined(__CUDACC__)
#include "host_cuda.h"
#endif

typedef unsigned char Byte;
typedef unsigned long long Address;  // a pointer as stored in descriptors: always 8 bytes
typedef long long Fixed;             // 32.32 fixed point

// IEEE binary16 as bits, because NVRTC does not include cuda_fp16.h.
struct Half {
    unsigned short bits;
};

__device__ __forceinline__ Half to_half(float value) {
#if defined(__CUDACC__)
    Half half;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(half.bits) : "f"(value));
    return half;
#else
    return Half{host_half_bits(value)};
#endif
}

__device__ __forceinline__ float to_float(Half half) {
#if defined(__CUDACC__)
    float value;
    asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(half.bits));
    return value;
#else
    return host_half_value(half.bits);
#endif
}

__device__ __forceinline__ float to_float(float value) { return value; }

__device__ __forceinline__ int clamp(int value, int low, int high) { return min(max(value, low), high); }
__device__ __forceinline__ int byte_of(int value) { return clamp(value, 0, 255); }
__device__ __forceinline__ float byte_of(float value) { return fminf(fmaxf(rintf(value), 0.0f), 255.0f); }

__device__ __forceinline__ void store(float* at, float value) { *at = value; }
__device__ __forceinline__ void store(Half* at, float value) { *at = to_half(value); }
__device__ __forceinline__ void store(Byte* at, float value) { *at = static_cast<Byte>(byte_of(value)); }

// Stores four adjacent values at once: 16 bytes of floats, 8 of halves or 4; `at` must be aligned to that size.
__device__ __forceinline__ void store4(float* at, const float (&value)[4]) {
    *reinterpret_cast<float4*>(at) = make_float4(value[0], value[1], value[2], value[3]);
}

__device__ __forceinline__ void store4(Half* at, const float (&value)[4]) {
    *reinterpret_cast<ushort4*>(at) = make_ushort4(
        to_half(value[0]).bits, to_half(value[1]).bits, to_half(value[2]).bits, to_half(value[3]).bits);
}

__device__ __forceinline__ void store4(Byte* at, const float (&value)[4]) {
    Byte four[4];
    for (int i = 0; i < 4; ++i) store(four + i, value[i]);
    *reinterpret_cast<uchar4*>(at) = make_uchar4(four[0], four[1], four[2], four[3]);
}

__device__ __forceinline__ void load4(const float* at, float (&value)[4]) {
    const float4 four = *reinterpret_cast<const float4*>(at);
    value[0] = four.x, value[1] = four.y, value[2] = four.z, value[3] = four.w;
}

__device__ __forceinline__ void load4(const Half* at, float (&value)[4]) {
    const ushort4 four = *reinterpret_cast<const ushort4*>(at);
    value[0] = to_float(Half{four.x}), value[1] = to_float(Half{four.y});
    value[2] = to_float(Half{four.z}), value[3] = to_float(Half{four.w});
}

// The thread's position in the whole grid.
__device__ __forceinline__ int thread_x() { return static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x); }
__device__ __forceinline__ int thread_y() { return static_cast<int>(blockIdx.y * blockDim.y + threadIdx.y); }
