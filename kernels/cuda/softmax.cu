// Softmax along rows: p_j = m_j e^(z_j) / sum over k of m_k e^(z_k), Z [rows, d], mask M [rows, d] of 0 and other numbers, or none (null). A row in
// which nothing takes part is zero.
//
// Reads z, and m, twice, the second time out of a cache, and writes p: 8 bytes of memory an element, 12 with a mask; 9/4 to 3 exponentials. Rows of up to
// 1024 get a warp, or as few lanes as they have vectors; longer ones a block. The sum is about a running maximum, so that logits of any size do.
#include "fold.h"

namespace softmax {

__device__ __forceinline__ float taking_part(float z, float m) { return m != 0.f ? z : -INFINITY; }
__device__ __forceinline__ float4 taking_part(float4 z, float4 m) {
  return make_float4(taking_part(z.x, m.x), taking_part(z.y, m.y), taking_part(z.z, m.z), taking_part(z.w, m.w));
}

__device__ __forceinline__ float probability(float z, float about, float inverse) { return expf(z - about) * inverse; }
__device__ __forceinline__ float4 probability(float4 z, float about, float inverse) {
  return make_float4(probability(z.x, about, inverse), probability(z.y, about, inverse), probability(z.z, about, inverse),
                     probability(z.w, about, inverse));
}

// zero_off keeps the NaN of others off what does not take part.
__device__ __forceinline__ float zero_off(float p, float m) { return m != 0.f ? p : 0.f; }
__device__ __forceinline__ float4 zero_off(float4 p, float4 m) {
  return make_float4(zero_off(p.x, m.x), zero_off(p.y, m.y), zero_off(p.z, m.z), zero_off(p.w, m.w));
}

// One row, by the `step` threads that call it with `first` 0 .. step - 1: what they sum, and what they write. d counts Vectors.
template <class Vector> __device__ __forceinline__ LogSum row_sum(int d, int first, int step, const Vector *__restrict__ z, const Vector *__restrict__ mask) {
  LogSum s = LogSum::none();
  if (mask) {
    for (int k = first; k < d; k += step) s.take(taking_part(z[k], mask[k]));
  } else {
#pragma unroll 2
    for (int k = first; k < d; k += step) s.take(z[k]);
  }
  return s;
}
template <class Vector>
__device__ __forceinline__ void row_write(int d, int first, int step, LogSum s, const Vector *__restrict__ z, const Vector *__restrict__ mask,
                                          Vector *__restrict__ p) {
  float about = LogSum::about(s.top), inverse = s.sum == 0.f ? 0.f : 1.f / s.sum;
  if (mask) {
    for (int k = first; k < d; k += step) p[k] = zero_off(probability(z[k], about, inverse), mask[k]);
  } else {
#pragma unroll 2
    for (int k = first; k < d; k += step) p[k] = probability(z[k], about, inverse);
  }
}

template <class Vector>
__device__ __forceinline__ void softmax_short(int64_t rows, int d, int log_lanes, const Vector *__restrict__ z, const Vector *__restrict__ mask,
                                              Vector *__restrict__ p) {
  int64_t row = thread_index() >> log_lanes, at = row * d;
  int lanes = 1 << log_lanes, lane = threadIdx.x & (lanes - 1);
  LogSum s = LogSum::none();
  if (row < rows) s = row_sum(d, lane, lanes, z + at, mask ? mask + at : mask);
  merge_lanes(s, lanes);
  if (row < rows) row_write(d, lane, lanes, s, z + at, mask ? mask + at : mask, p + at);
}

template <class Vector>
__device__ __forceinline__ void softmax_long(int d, const Vector *__restrict__ z, const Vector *__restrict__ mask, Vector *__restrict__ p) {
  SHARED_ARRAY(LogSum, whole, [1]);
  int64_t at = (int64_t)blockIdx.x * d;
  if (mask) mask += at;
  LogSum s = row_sum(d, threadIdx.x, 256, z + at, mask);
  merge_block(s);
  if (threadIdx.x == 0) whole[0] = s;
  __syncthreads();
  row_write(d, threadIdx.x, 256, whole[0], z + at, mask, p + at);
}

} // namespace softmax
using namespace softmax;

KERNEL(256, softmax_rows, int64_t rows, int d, int log_lanes, const float *z, const float *mask, float *p) {
  STARTED();
  softmax_short(rows, d, log_lanes, z, mask, p);
}
EXPORT_KERNEL(softmax_rows)
KERNEL(256, softmax_rows4, int64_t rows, int d, int log_lanes, const float4 *z, const float4 *mask, float4 *p) {
  STARTED();
  softmax_short(rows, d, log_lanes, z, mask, p);
}
EXPORT_KERNEL(softmax_rows4)
KERNEL(256, softmax_blocks, int d, const float *z, const float *mask, float *p) {
  STARTED();
  softmax_long(d, z, mask, p);
}
EXPORT_KERNEL(softmax_blocks)
KERNEL(256, softmax_blocks4, int d, const float4 *z, const float4 *mask, float4 *p) {
  STARTED();
  softmax_long(d, z, mask, p);
}
EXPORT_KERNEL(softmax_blocks4)
