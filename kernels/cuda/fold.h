// fold.h: how kernels bring many elements to one, and many lanes' results. A fold is a small struct of
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

// LogSum is a sum of e^x as sum e^top, where top is the largest x so far: no exponent is above 0, whatever the size of x. Nothing at all, and terms
// of -Inf, have top -Inf and sum 0. The maximum passes over a NaN, which gets into the sum by its exponential; and +Inf makes the sum NaN.
struct LogSum {
  float top, sum;

  static __device__ __forceinline__ LogSum none() { return {-INFINITY, 0.f}; }
  // about is what exponents are taken about: 0 where there is no maximum, so that e^(-Inf - about) is 0 there, and not NaN.
  static __device__ __forceinline__ float about(float top) { return top == -INFINITY ? 0.f : top; }
  __device__ __forceinline__ void raise(float x) {
    if (x > top) { // seldom, behind the first few
      sum *= expf(top - x);
      top = x;
    }
  }
  __device__ __forceinline__ void take(float x) {
    raise(x);
    sum += expf(x - about(top));
  }
  __device__ __forceinline__ void take(float4 v) {
    raise(fmaxf(fmaxf(v.x, v.y), fmaxf(v.z, v.w)));
    float a = about(top);
    sum += (expf(v.x - a) + expf(v.y - a)) + (expf(v.z - a) + expf(v.w - a));
  }
  __device__ __forceinline__ void merge(LogSum o) {
    float m = fmaxf(top, o.top), a = about(m);
    sum = sum * expf(top - a) + o.sum * expf(o.top - a);
    top = m;
  }
  __device__ __forceinline__ float result() const { return sum == 0.f ? -INFINITY : about(top) + logf(sum); }
};

// merge_lanes gives each of so many neighbouring lanes, a power of 2, the fold of them all. Whole warps must come.
template <class Fold> __device__ __forceinline__ void merge_lanes(Fold &f, int lanes) {
  for (int flip = lanes / 2; flip > 0; flip /= 2) f.merge(f.across(flip));
}
// Of sums about maxima: the maximum first, so that each lane has one exponential.
__device__ __forceinline__ void merge_lanes(LogSum &f, int lanes) {
  float top = f.top;
  for (int flip = lanes / 2; flip > 0; flip /= 2) top = fmaxf(top, __shfl_xor_sync(all_lanes, top, flip));
  f.sum *= expf(f.top - LogSum::about(top));
  f.top = top;
  for (int flip = lanes / 2; flip > 0; flip /= 2) f.sum += __shfl_xor_sync(all_lanes, f.sum, flip);
}

// merge_block gives the first warp of a block the fold of the block.
template <class Fold> __device__ __forceinline__ void merge_block(Fold &f) {
  SHARED_ARRAY(Fold, of_warp, [32]);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  merge_lanes(f, 32);
  if (lane == 0) of_warp[warp] = f;
  __syncthreads();
  if (warp > 0) return;
  f = lane < warps ? of_warp[lane] : Fold::none();
  merge_lanes(f, 32);
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
