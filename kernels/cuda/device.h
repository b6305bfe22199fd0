// device.h is the first include of every .cu file here. The same source then compiles with nvcc, for a GPU, and with g++, for the
// emulated driver in emu/, where a thread of CUDA is a fiber.
//
// A kernel is an extern "C" function, followed by its name for the emulator:
//
//	extern "C" __global__ void scale(int n, float a, float *x) { .. }
//	EXPORT_KERNEL(scale)
//
// Three things must be written another way than in plain CUDA, because g++ cannot be taught their syntax:
//
//	SHARED_ARRAY(float, tile, [32][33]);    for  __shared__ float tile[32][33];
//	DYNAMIC_SHARED(float, buffer);          for  extern __shared__ float buffer[];
//	mma_.., ldmatrix_.., copy_async_..      for  inline assembly
//
// The rest is CUDA: threadIdx, __syncthreads, __shfl_xor_sync, atomicAdd, float4, __ldg. What emu/ does not know is a compile error
// there, never something that silently differs.
#pragma once
#include <stdint.h>
#ifdef __CUDACC__
#include "device_nvcc.h"
#else
#include "emu/language.h"
#endif
