// Rows X [N, d] scaled to unit length, the derivative of that, and rows moved along random ones of a fixed length. Nearly all that is read or written
// passes once:
//
//	inv_i = 1 / max(|x_i|, eps);  y_i = x_i inv_i       8 d + 4 bytes and 3 d FLOPs a row
//	dx_i = inv_i (g_i - y_i <y_i, g_i>)                12 d + 4 bytes and 5 d FLOPs a row
//	y_i = x_i + scale sign(x_i) u_i / max(|u_i|, eps)   8 d bytes, 5 d FLOPs and d/4 blocks of Philox a row
//
// A row belongs to 2^k lanes of a warp, as many as it has Vectors, at most 32: a warp takes two rows of 64, sixteen of 8. Each lane keeps its first
// Vectors, so that rows of up to 128 are read once; longer ones are read twice, the second time from the L1 cache.
//
// Sums and norms are carried in two floats. A float alone would make a whole row too long or too short by an ulp, and a temperature of 0.01
// multiplies that by 100 where cosines are near 1; in the derivative nearly everything cancels where g is along y. Doubles would be as exact, but
// take sixty-four times as long as floats on the GPUs that are not made for data centres. Sixteen operations an element stay hidden behind memory.
#include "fold.h"
#include "philox.h"

// hi + lo, where hi is the sum rounded to a float.
struct TwoFloats {
  float hi, lo;

  // The error of a sum in floats is a float (Knuth 1969; TwoSum). __fadd_rn and __fmul_rn are never contracted to an fma.
  __device__ __forceinline__ void take(float v) {
    float sum = __fadd_rn(hi, v), of_v = __fadd_rn(sum, -hi), of_s = __fadd_rn(sum, -of_v);
    lo += __fadd_rn(hi, -of_s) + __fadd_rn(v, -of_v);
    hi = sum;
  }
  __device__ __forceinline__ void merge(TwoFloats o) {
    lo += o.lo;
    take(o.hi);
  }
  __device__ __forceinline__ TwoFloats across(int flip) const {
    return {__shfl_xor_sync(all_lanes, hi, flip), __shfl_xor_sync(all_lanes, lo, flip)};
  }
};

__device__ __forceinline__ void add_product(TwoFloats &s, float x, float y) {
  float p = __fmul_rn(x, y);
  s.take(p);
  s.lo += fmaf(x, y, -p);
}
__device__ __forceinline__ void add_product(TwoFloats &s, float4 x, float4 y) {
  add_product(s, x.x, y.x), add_product(s, x.y, y.y), add_product(s, x.z, y.z), add_product(s, x.w, y.w);
}

__device__ __forceinline__ float times(float x, TwoFloats a) { return fmaf(x, a.hi, x * a.lo); }
__device__ __forceinline__ float4 times(float4 x, TwoFloats a) { return make_float4(times(x.x, a), times(x.y, a), times(x.z, a), times(x.w, a)); }

// inverse_norm is 1 / max(sqrt(s), eps). NaN stays NaN, which fmaxf would pass over.
__device__ __forceinline__ TwoFloats inverse_norm(TwoFloats s, float eps) {
  float norm = sqrtf(s.hi);
  TwoFloats inv = {1.f / (norm < eps ? eps : norm), 0.f};
  if (norm > eps && norm < INFINITY) { // a step of Newton's from inv to 1 / sqrt(hi + lo): inv (1 - s inv^2) / 2
    float t = __fmul_rn(s.hi, inv.hi), rest = fmaf(s.hi, inv.hi, -t) + s.lo * inv.hi;
    inv.lo = .5f * inv.hi * fmaf(-rest, inv.hi, fmaf(-t, inv.hi, 1.f));
  }
  return inv;
}

template <class Vector>
__device__ __forceinline__ void normalise(int64_t rows, int d, int log_lanes, float eps, const Vector *__restrict__ x, Vector *__restrict__ y,
                                          float *__restrict__ inv) {
  int64_t row = thread_index() >> log_lanes;
  int lanes = 1 << log_lanes, column = threadIdx.x & (lanes - 1), width = row < rows ? d : 0;
  x += row * d, y += row * d;
  Vector head = column < width ? x[column] : zero_of<Vector>();
  TwoFloats sum = {0.f, 0.f};
  add_product(sum, head, head);
  for (int k = column + lanes; k < width; k += lanes) {
    Vector v = x[k];
    add_product(sum, v, v);
  }
  merge_lanes(sum, lanes);
  TwoFloats scale = inverse_norm(sum, eps);
  if (column == 0 && row < rows) inv[row] = scale.hi; // of rows without columns too
  if (column >= width) return;
  y[column] = times(head, scale);
  for (int k = column + lanes; k < width; k += lanes) y[k] = times(x[k], scale);
}
KERNEL(256, normalise_rows, int64_t rows, int d, int log_lanes, float eps, const float *x, float *y, float *inv) {
  STARTED();
  normalise(rows, d, log_lanes, eps, x, y, inv);
}
EXPORT_KERNEL(normalise_rows)
KERNEL(256, normalise_rows4, int64_t rows, int d, int log_lanes, float eps, const float4 *x, float4 *y, float *inv) {
  STARTED();
  normalise(rows, d, log_lanes, eps, x, y, inv);
}
EXPORT_KERNEL(normalise_rows4)

// across is what of g is not along y, times inv.
__device__ __forceinline__ float across(float g, float y, TwoFloats dot, float inv) { return inv * fmaf(-y, dot.lo, fmaf(-y, dot.hi, g)); }
__device__ __forceinline__ float4 across(float4 g, float4 y, TwoFloats dot, float inv) {
  return make_float4(across(g.x, y.x, dot, inv), across(g.y, y.y, dot, inv), across(g.z, y.z, dot, inv), across(g.w, y.w, dot, inv));
}

template <class Vector>
__device__ __forceinline__ void normalise_grad(int64_t rows, int d, int log_lanes, const Vector *__restrict__ y, const float *__restrict__ inv,
                                               const Vector *__restrict__ g, Vector *__restrict__ dx) {
  int64_t row = thread_index() >> log_lanes;
  int lanes = 1 << log_lanes, column = threadIdx.x & (lanes - 1), width = row < rows ? d : 0;
  y += row * d, g += row * d, dx += row * d;
  Vector y_head = column < width ? y[column] : zero_of<Vector>(), g_head = column < width ? g[column] : zero_of<Vector>();
  float scale = column < width ? __ldg(inv + row) : 0.f;
  TwoFloats dot = {0.f, 0.f};
  add_product(dot, y_head, g_head);
  for (int k = column + lanes; k < width; k += lanes) add_product(dot, y[k], g[k]);
  merge_lanes(dot, lanes);
  if (column >= width) return;
  dx[column] = across(g_head, y_head, dot, scale);
  for (int k = column + lanes; k < width; k += lanes) dx[k] = across(g[k], y[k], dot, scale);
}
KERNEL(256, normalise_rows_grad, int64_t rows, int d, int log_lanes, const float *y, const float *inv, const float *g, float *dx) {
  STARTED();
  normalise_grad(rows, d, log_lanes, y, inv, g, dx);
}
EXPORT_KERNEL(normalise_rows_grad)
KERNEL(256, normalise_rows_grad4, int64_t rows, int d, int log_lanes, const float4 *y, const float *inv, const float4 *g, float4 *dx) {
  STARTED();
  normalise_grad(rows, d, log_lanes, y, inv, g, dx);
}
EXPORT_KERNEL(normalise_rows_grad4)

// uniforms is the k-th vector of a row, as random_uniform (random.cu) draws it; of the row -1 it is 0.
template <class Vector> __device__ __forceinline__ Vector uniforms(uint2 key, const int *clock, int64_t row, int k);
template <> __device__ __forceinline__ float4 uniforms<float4>(uint2 key, const int *clock, int64_t row, int k) {
  const uint4 w = philox_at(key, clock, row, k);
  if (row < 0) return zero_of<float4>();
  return make_float4(philox_uniform(w.x), philox_uniform(w.y), philox_uniform(w.z), philox_uniform(w.w));
}
template <> __device__ __forceinline__ float uniforms<float>(uint2 key, const int *clock, int64_t row, int k) { // of a block's four words, one
  const uint4 w = philox_at(key, clock, row, k / 4);
  return row < 0 ? 0.f : philox_uniform(k % 4 == 0 ? w.x : k % 4 == 1 ? w.y : k % 4 == 2 ? w.z : w.w);
}

// moved is x + scale sign(x) u inv, each product rounded as where a Map computes it. The sign of 0 is that 0, and of NaN NaN.
__device__ __forceinline__ float moved(float x, TwoFloats inv, float scale, float u) {
  float t = times(u, inv);
  return x + __fmul_rn(scale, x > 0.f ? t : x < 0.f ? -t : x);
}
__device__ __forceinline__ float4 moved(float4 x, TwoFloats inv, float scale, float4 u) {
  return make_float4(moved(x.x, inv, scale, u.x), moved(x.y, inv, scale, u.y), moved(x.z, inv, scale, u.z), moved(x.w, inv, scale, u.w));
}

// The noise never lies in memory: a lane keeps its first Vector, and draws those of longer rows twice. x may be y.
template <class Vector>
__device__ __forceinline__ void add_noise(int64_t rows, int d, int log_lanes, float eps, float scale, const int *clock, const int *id, uint64_t stream,
                                          const Vector *x, Vector *y) {
  const uint2 key = shared_key(clock, stream);
  int64_t row = thread_index() >> log_lanes;
  int lanes = 1 << log_lanes, column = threadIdx.x & (lanes - 1), width = row < rows ? d : 0;
  x += row * d, y += row * d;
  int64_t source = width > 0 ? source_row(id, row) : row;
  Vector head = column < width ? uniforms<Vector>(key, clock, source, column) : zero_of<Vector>();
  TwoFloats sum = {0.f, 0.f};
  add_product(sum, head, head);
  for (int k = column + lanes; k < width; k += lanes) {
    Vector u = uniforms<Vector>(key, clock, source, k);
    add_product(sum, u, u);
  }
  merge_lanes(sum, lanes);
  TwoFloats inv = inverse_norm(sum, eps);
  if (column >= width) return;
  y[column] = moved(x[column], inv, scale, head);
  for (int k = column + lanes; k < width; k += lanes) y[k] = moved(x[k], inv, scale, uniforms<Vector>(key, clock, source, k));
}
KERNEL(256, signed_noise, int64_t rows, int d, int log_lanes, float eps, float scale, const int *clock, const int *id, uint64_t stream, const float *x,
       float *y) {
  STARTED();
  add_noise(rows, d, log_lanes, eps, scale, clock, id, stream, x, y);
}
EXPORT_KERNEL(signed_noise)
KERNEL(256, signed_noise4, int64_t rows, int d, int log_lanes, float eps, float scale, const int *clock, const int *id, uint64_t stream, const float4 *x,
       float4 *y) {
  STARTED();
  add_noise(rows, d, log_lanes, eps, scale, clock, id, stream, x, y);
}
EXPORT_KERNEL(signed_noise4)
