// fold.h: how reduce.cu and softmax.cu bring many elements to one. A fold is a small struct of
//
//	none()         the fold of no element
//	take(x)        one element more, or the four of a float4
//	merge(other)   the fold of both, `other` behind
//	across(flip)   that of the lane whose number differs in this bit
//	result()       what it comes to
//
// Lanes, warps and blocks are merged in one order, which depends on their number only.
#pragma once
#include "kernel.h"

namespace folds {

// LogSum is sum e^top: a sum of exponentials about the maximum so far. Nothing at all, and terms of -Inf, have top -Inf and sum 0. NaN makes the
// sum NaN, and +Inf too.
struct LogSum {
  float top, sum;

  static __device__ __forceinline__ LogSum none() { return {-INFINITY, 0.f}; }
  // about is what exponents are taken about: 0 where there is no maximum, so that e^(-Inf - about) is 0 there, and not NaN.
  static __device__ __forceinline__ float about(float top) { return top == -INFINITY ? 0.f : top; }
  __device__ __forceinline__ void take(float x) {
    float m = fmaxf(top, x), a = about(m);
    sum = sum * __expf(top - a) + __expf(x - a);
    top = m;
  }
  __device__ __forceinline__ void take(float4 v) { // five exponentials, where one by one takes eight
    float m = fmaxf(top, fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w))), a = about(m);
    sum = sum * __expf(top - a) + ((__expf(v.x - a) + __expf(v.y - a)) + (__expf(v.z - a) + __expf(v.w - a)));
    top = m;
  }
  __device__ __forceinline__ void merge(LogSum o) {
    float m = fmaxf(top, o.top), a = about(m);
    sum = __fadd_rn(__fmul_rn(sum, __expf(top - a)), __fmul_rn(o.sum, __expf(o.top - a))); // as in the other lane, which has them the other way round
    top = m;
  }
  __device__ __forceinline__ LogSum across(int flip) const {
    return {__shfl_xor_sync(all_lanes, top, flip), __shfl_xor_sync(all_lanes, sum, flip)};
  }
  __device__ __forceinline__ float result() const { return sum == 0.f ? -INFINITY : about(top) + logf(sum); }
};

// merge_lanes gives each of so many neighbouring lanes, a power of 2, the fold of them all. Whole warps must come.
template <class Fold> __device__ __forceinline__ void merge_lanes(Fold &f, int lanes) {
  for (int flip = lanes / 2; flip > 0; flip /= 2) f.merge(f.across(flip));
}

// merge_block gives the first warp of a block of 256 the fold of the block.
template <class Fold> __device__ __forceinline__ void merge_block(Fold &f) {
  SHARED_ARRAY(Fold, of_warp, [8]);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  merge_lanes(f, 32);
  if (lane == 0) of_warp[warp] = f;
  __syncthreads();
  if (warp > 0) return;
  f = of_warp[lane % 8];
  merge_lanes(f, 8);
}

__device__ __forceinline__ float4 together(const float (&v)[4]) { return make_float4(v[0], v[1], v[2], v[3]); }
template <class Fold> __device__ __forceinline__ void take_four(Fold &f, const float (&v)[4]) { f.take(together(v)); }
template <class Fold> __device__ __forceinline__ void take_four(Fold &f, const float4 (&v)[4]) {
#pragma unroll
  for (int j = 0; j < 4; j++) f.take(v[j]);
}
// fold_run folds n neighbours into the folds of 256 threads. Four loads of each are under way at a time.
template <class Fold, class Vector> __device__ __forceinline__ void fold_run(Fold &f, int64_t n, const Vector *__restrict__ x) {
  int64_t i = threadIdx.x;
  for (; i + 3 * 256 < n; i += 4 * 256) {
    Vector v[4];
#pragma unroll
    for (int j = 0; j < 4; j++) v[j] = x[i + j * 256];
    take_four(f, v);
  }
  for (; i < n; i += 256) f.take(x[i]);
}

} // namespace folds
using namespace folds;
