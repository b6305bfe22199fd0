// SpMM over a CSR whose rows have a beginning and an end, as a real kernel is written for device.h:
//
//	y[i, :] = r[i] sum over e in [begin[i], end[i]) of v[e] c[column[e]] x[column[e], :]
//
// x [columns, d], y [rows, d], d a multiple of 4; r, c and v may be null for 1. A warp computes a row. Half of it takes an edge, a float4
// a lane, so that two edges are in flight and 64 columns of x are read at once; d above 64 takes another round. Moves (4 d + 8) bytes an
// edge and 4 d a row; 2 d FLOPs an edge.
#include "device.h"

extern "C" __global__ void __launch_bounds__(256)
spmm(int rows, int d, const int *__restrict__ begin, const int *__restrict__ end, const int *__restrict__ column, const float *__restrict__ v,
     const float *__restrict__ r, const float *__restrict__ c, const float *__restrict__ x, float *__restrict__ y) {
  int row = blockIdx.x * (blockDim.x / 32) + threadIdx.x / 32;
  if (row >= rows) return; // the whole warp
  const unsigned all = ~0u;
  int lane = threadIdx.x % 32, half = lane / 16, first = begin[row], last = end[row];
  float scale = r ? r[row] : 1.f;
  for (int base = 0; base < d; base += 64) {
    int at = base + lane % 16 * 4;
    float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
    for (int e0 = first; e0 < last; e0 += 32) {
      // A lane loads an edge; the loop hands them round.
      int e = e0 + lane, n = min(32, last - e0);
      int col = e < last ? __ldg(column + e) : 0;
      float weight = e < last ? (v ? __ldg(v + e) : 1.f) * (c ? __ldg(c + col) : 1.f) : 0.f;
      for (int j = 0; j < n; j += 2) {
        int source = __shfl_sync(all, col, j + half);
        float w = __shfl_sync(all, weight, j + half);
        if (at < d && j + half < n) {
          float4 p = __ldg(reinterpret_cast<const float4 *>(x + (int64_t)source * d + at));
          sum.x = fmaf(w, p.x, sum.x), sum.y = fmaf(w, p.y, sum.y), sum.z = fmaf(w, p.z, sum.z), sum.w = fmaf(w, p.w, sum.w);
        }
      }
    }
    sum.x += __shfl_xor_sync(all, sum.x, 16), sum.y += __shfl_xor_sync(all, sum.y, 16);
    sum.z += __shfl_xor_sync(all, sum.z, 16), sum.w += __shfl_xor_sync(all, sum.w, 16);
    if (half == 0 && at < d)
      *reinterpret_cast<float4 *>(y + (int64_t)row * d + at) = make_float4(scale * sum.x, scale * sum.y, scale * sum.z, scale * sum.w);
  }
}
EXPORT_KERNEL(spmm)
