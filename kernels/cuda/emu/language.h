// language.h is the emulator's side of device.h: CUDA's device language for g++.
#pragma once
#include <math.h>
#include <string.h>
#include "runtime.h"

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __align__(n) __attribute__((aligned(n)))

#define EXPORT_KERNEL(name) namespace { const emu::Entry<&name> entry_of_##name(#name); }
// A reference to an array, so that the compiler's own bounds check knows each dimension.
#define SHARED_ARRAY(type, name, dims)                       \
  typedef type name##_array dims;                            \
  static const char name##_site = 0;                         \
  name##_array &name = *static_cast<name##_array *>(emu::static_shared(&name##_site, sizeof(name##_array)))
#define DYNAMIC_SHARED(type, name) type *const name = reinterpret_cast<type *>(emu::block.dynamic_shared)

#define threadIdx (emu::current->index)
#define blockIdx (emu::block.index)
#define blockDim (emu::block.threads)
#define gridDim (emu::block.grid)
#define warpSize 32

struct alignas(4) uchar4 { unsigned char x, y, z, w; };
struct alignas(4) ushort2 { unsigned short x, y; };
struct alignas(8) ushort4 { unsigned short x, y, z, w; };
struct alignas(8) int2 { int x, y; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
static inline int2 make_int2(int x, int y) { return {x, y}; }
static inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
static inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
static inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
static inline ushort2 make_ushort2(unsigned short x, unsigned short y) { return {x, y}; }
static inline ushort4 make_ushort4(unsigned short x, unsigned short y, unsigned short z, unsigned short w) { return {x, y, z, w}; }
static inline float2 make_float2(float x, float y) { return {x, y}; }
static inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static inline double2 make_double2(double x, double y) { return {x, y}; }

// Loads and stores with a hint for a cache.
template <class T> static inline T __ldg(const T *p) { return *p; }
template <class T> static inline T __ldcs(const T *p) { return *p; }
template <class T> static inline T __ldcg(const T *p) { return *p; }
template <class T> static inline void __stcs(T *p, T v) { *p = v; }
template <class T> static inline void __stcg(T *p, T v) { *p = v; }

#include "intrinsics.h"
#include "collectives.h"
#include "tensor.h"
