// The end of a product whose sum is cut into parts (matmul.go): C = sum over j of part[j], or C += the same, elementwise, with C [n] and part
// [parts, n]. n counts Vectors. 4 (parts + 1) bytes an element, and one addition for each.
//
// A block computes 32 Vectors, so that a small C still has many blocks. Its warps, up to 8, share the parts: warp w adds part w, w + 8, ..; then the
// warps' sums are added in their order.
#include "kernel.h"

template <class Vector>
__device__ __forceinline__ void add_parts(int64_t n, int parts, int onto, const Vector *__restrict__ part, Vector *__restrict__ c) {
  SHARED_ARRAY(Vector, sums, [8][32]);
  int lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  int64_t at = (int64_t)blockIdx.x * 32 + lane;
  Vector sum = zero_of<Vector>();
  if (at < n) {
#pragma unroll 4
    for (int j = warp; j < parts; j += warps) add_to(sum, part[j * n + at]);
  }
  sums[warp][lane] = sum;
  __syncthreads();
  if (warp > 0 || at >= n) return;
  sum = onto ? c[at] : zero_of<Vector>();
  for (int w = 0; w < warps; w++) add_to(sum, sums[w][lane]);
  c[at] = sum;
}
KERNEL(256, sum_parts, int64_t n, int parts, int onto, const float *part, float *c) {
  STARTED();
  add_parts(n, parts, onto, part, c);
}
EXPORT_KERNEL(sum_parts)
KERNEL(256, sum_parts4, int64_t n, int parts, int onto, const float4 *part, float4 *c) {
  STARTED();
  add_parts(n, parts, onto, part, c);
}
EXPORT_KERNEL(sum_parts4)
