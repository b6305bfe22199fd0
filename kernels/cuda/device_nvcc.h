// The GPU's side of device.h. Fragments are laid out as the PTX manual has them ("Matrix fragments for mma.m16n8k16" and the like);
// emu/tensor.h does the same by hand.
#pragma once

#define EXPORT_KERNEL(name)
#define SHARED_ARRAY(type, name, dims) __shared__ __align__(16) type name dims
#define DYNAMIC_SHARED(type, name)                                                  \
  extern __shared__ __align__(16) unsigned char device_dynamic_shared[];            \
  type *const name = reinterpret_cast<type *>(device_dynamic_shared)

// exp2_approx is 2^x in one instruction (2 ulp), subnormals flushed to 0.
__device__ __forceinline__ float exp2_approx(float x) {
  float r;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

// half and bfloat16 as bits in 16-bit words: kernels store them and compute in float.
__device__ __forceinline__ uint16_t float_to_half(float x) {
  uint16_t r;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(r) : "f"(x));
  return r;
}
__device__ __forceinline__ float half_to_float(uint16_t x) {
  float r;
  asm("cvt.f32.f16 %0, %1;" : "=f"(r) : "h"(x));
  return r;
}
__device__ __forceinline__ float bf16_to_float(uint16_t x) { return __uint_as_float((uint32_t)x << 16); }

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
// pack_bf16 rounds two floats to nearest even; lo comes first in memory.
__device__ __forceinline__ uint32_t pack_bf16(float lo, float hi) {
  uint32_t r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(hi), "f"(lo));
  return r;
}
__device__ __forceinline__ uint16_t float_to_bf16(float x) { return (uint16_t)pack_bf16(x, 0.f); }

// to_tf32 rounds to the 10 bits of mantissa that tensor cores read, ties away from zero.
__device__ __forceinline__ uint32_t to_tf32(float x) {
  uint32_t r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(x));
  return r;
}

// mma_tf32_16x8x8: d[16, 8] += a[16, 8] b[8, 8], a warp together.
__device__ __forceinline__ void mma_tf32_16x8x8(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}
// mma_bf16_16x8x16: d[16, 8] += a[16, 16] b[16, 8], a warp together.
__device__ __forceinline__ void mma_bf16_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3},{%4,%5,%6,%7},{%8,%9},{%0,%1,%2,%3};"
               : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// copy_async_16 starts the copy of 16 bytes from global to shared memory, or of zeros where valid is false. A thread's copies since its
// last copy_async_commit are a group; copy_async_wait<N> returns when all but the last N groups of this thread have arrived.
__device__ __forceinline__ void copy_async_16(void *shared, const void *global, bool valid = true) {
  uint32_t to = (uint32_t)__cvta_generic_to_shared(shared);
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to), "l"(global), "r"(valid ? 16 : 0) : "memory");
}
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> __device__ __forceinline__ void copy_async_wait() { asm volatile("cp.async.wait_group %0;" ::"n"(N) : "memory"); }
#endif

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 750
// ldmatrix_x4 loads four 8 x 8 matrices of 16-bit elements; lane 8 m + r brings the address of row r of matrix m, 16-byte aligned.
__device__ __forceinline__ void ldmatrix_x4(uint32_t (&r)[4], const void *row) {
  uint32_t p = (uint32_t)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3},[%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(p) : "memory");
}
__device__ __forceinline__ void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row) {
  uint32_t p = (uint32_t)__cvta_generic_to_shared(row);
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3},[%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(p) : "memory");
}
#endif
