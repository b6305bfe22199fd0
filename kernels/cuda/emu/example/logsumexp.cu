// The row log-sum-exp of the cuBLAS path: a product fills a tile of logits that stays in the L2, and this folds the tile into what the
// row has so far, with a running maximum. Tile after tile, m and s stay those of all columns seen:
//
//	M = max(m[b], max over n of a[b, n] + bias[n]);   s[b] = s[b] e^(m[b] - M) + sum over n of e^(a[b, n] + bias[n] - M);   m[b] = M
//
// and at the last tile lse[b] = m[b] + ln s[b]. a [rows, columns] with `leading` elements from row to row; bias [columns] may be null, and
// -inf in it takes a column out. A row of nothing has m -inf and lse -inf. A block computes a row; it reads the tile once: 4 bytes and
// one exponential an element.
#include "device.h"

// A partial sum s e^m; m -inf is nothing at all.
struct Partial {
  float m, s;
};

static __device__ __forceinline__ Partial merge(Partial a, Partial b) {
  if (b.m == -INFINITY) return a;
  if (a.m == -INFINITY) return b;
  float m = max(a.m, b.m);
  return {m, a.s * __expf(a.m - m) + b.s * __expf(b.m - m)};
}

static __device__ __forceinline__ Partial merge_warp(Partial p) {
  for (int by = 16; by > 0; by /= 2) {
    Partial o = {__shfl_xor_sync(~0u, p.m, by), __shfl_xor_sync(~0u, p.s, by)};
    p = merge(p, o);
  }
  return p;
}

extern "C" __global__ void __launch_bounds__(256)
logsumexp_tile(int columns, int leading, const float *__restrict__ a, const float *__restrict__ bias, float *__restrict__ m, float *__restrict__ s,
               float *__restrict__ lse, int first, int last) {
  SHARED_ARRAY(float, maxima, [8]);
  SHARED_ARRAY(float, sums, [8]);
  int row = blockIdx.x, lane = threadIdx.x % 32, warp = threadIdx.x / 32, warps = blockDim.x / 32;
  Partial p = {-INFINITY, 0.f};
  for (int n = threadIdx.x; n < columns; n += blockDim.x) p = merge(p, {a[(int64_t)row * leading + n] + (bias ? bias[n] : 0.f), 1.f});
  p = merge_warp(p);
  if (lane == 0) maxima[warp] = p.m, sums[warp] = p.s;
  __syncthreads();
  if (warp) return;
  p = {-INFINITY, 0.f};
  if (lane < warps) p = {maxima[lane], sums[lane]};
  p = merge_warp(p);
  if (lane) return;
  if (!first) p = merge({m[row], s[row]}, p);
  m[row] = p.m, s[row] = p.s;
  if (last) lse[row] = p.m == -INFINITY ? -INFINITY : p.m + __logf(p.s);
}
EXPORT_KERNEL(logsumexp_tile)
