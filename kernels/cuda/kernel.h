// kernel.h is the first include of the .cu files of this folder: device.h, how a kernel begins, and what warps and blocks do together.
//
//	KERNEL(256, scale, int64_t n, float a, float *x) {
//	  STARTED();
//	  ..
//	}
//	EXPORT_KERNEL(scale)
//
// The first parameter of KERNEL is the number of threads of a block. Ids are 32-bit, offsets of elements 64-bit. Sums are in a fixed order:
// the result depends on the shape, never on timing; so there are no atomics on floats.
#pragma once
#include "device.h"

// Every kernel begins with two parameters that the device adds to each launch. progress lies in the host's memory: when a step of many kernels
// fails, the host reads there which one had begun last. That is one store of one thread a launch.
#define KERNEL(threads, name, ...) \
  extern "C" __global__ void __launch_bounds__(threads) name(uint32_t *progress, uint32_t mark, __VA_ARGS__)
#define STARTED()                                                                      \
  do {                                                                                 \
    if (threadIdx.x == 0 && blockIdx.x == 0 && blockIdx.y == 0 && blockIdx.z == 0) *(volatile uint32_t *)progress = mark; \
  } while (0)

const unsigned all_lanes = ~0u;

// thread_index is the number of this thread among all of a one-dimensional grid.
__device__ __forceinline__ int64_t thread_index() { return (int64_t)blockIdx.x * blockDim.x + threadIdx.x; }

// warp_sum gives every lane the sum of 32 values, in one order.
__device__ __forceinline__ float warp_sum(float v) {
  for (int flip = 16; flip > 0; flip /= 2) v += __shfl_xor_sync(all_lanes, v, flip);
  return v;
}

// larger is NaN where either is, which fmaxf passes over.
__device__ __forceinline__ float larger(float a, float b) { return a > b || a != a ? a : b; }

// Rows of d floats are moved four at a time where d is a multiple of 4 (tensors begin at multiples of 64 bytes), else one at a time. A template
// over the vector gives both kernels: Vector is float or float4.
__device__ __forceinline__ void add_to(float &a, float b) { a += b; }
__device__ __forceinline__ void add_to(float4 &a, float4 b) { a.x += b.x, a.y += b.y, a.z += b.z, a.w += b.w; }
template <class Vector> __device__ __forceinline__ Vector zero_of();
template <> __device__ __forceinline__ float zero_of<float>() { return 0.f; }
template <> __device__ __forceinline__ float4 zero_of<float4>() { return make_float4(0.f, 0.f, 0.f, 0.f); }
