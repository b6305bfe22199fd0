// Fill, Concat, Slice, Pad and Permute move elements and compute nothing: 4 bytes read and written an element, by vectors of four where lengths
// and addresses allow it (the names that end with 4; sizes are then counted in vectors).
#include "kernel.h"

// out[...] = value: a thread writes four, at once where out is aligned.
KERNEL(256, fill, int64_t n, float value, float *out) {
  STARTED();
  const int64_t at = thread_index() * 4;
  if (at + 4 <= n) {
    *(float4 *)(out + at) = make_float4(value, value, value, value);
    return;
  }
  for (int64_t i = at; i < n && i < at + 4; i++) out[i] = value;
}
EXPORT_KERNEL(fill)

// to[o step_to + k] = from[o step_from + k] for k < run; n elements in all. An input's part of Concat, and Slice.
template <class Vector>
__device__ __forceinline__ void copy_runs(int64_t n, int64_t run, int64_t step_from, int64_t step_to, const Vector *__restrict__ from,
                                          Vector *__restrict__ to) {
  const int64_t at = thread_index();
  if (at >= n) return;
  const int64_t o = at / run, k = at - o * run;
  to[o * step_to + k] = from[o * step_from + k];
}
KERNEL(256, runs, int64_t n, int64_t run, int64_t step_from, int64_t step_to, const float *from, float *to) {
  STARTED();
  copy_runs(n, run, step_from, step_to, from, to);
}
EXPORT_KERNEL(runs)
KERNEL(256, runs4, int64_t n, int64_t run, int64_t step_from, int64_t step_to, const float4 *from, float4 *to) {
  STARTED();
  copy_runs(n, run, step_from, step_to, from, to);
}
EXPORT_KERNEL(runs4)

// out[o, k] = in[o, k - before], zeros where in [.., run] has no such column; out is [.., row], with n elements.
template <class Vector>
__device__ __forceinline__ void pad_runs(int64_t n, int64_t row, int64_t before, int64_t run, const Vector *__restrict__ in, Vector *__restrict__ out) {
  const int64_t at = thread_index();
  if (at >= n) return;
  const int64_t o = at / row, k = at - o * row - before;
  out[at] = 0 <= k && k < run ? in[o * run + k] : zero_of<Vector>();
}
KERNEL(256, pad, int64_t n, int64_t row, int64_t before, int64_t run, const float *in, float *out) {
  STARTED();
  pad_runs(n, row, before, run, in, out);
}
EXPORT_KERNEL(pad)
KERNEL(256, pad4, int64_t n, int64_t row, int64_t before, int64_t run, const float4 *in, float4 *out) {
  STARTED();
  pad_runs(n, row, before, run, in, out);
}
EXPORT_KERNEL(pad4)

// out[i0, i1, i2, i3] = in[i0 s0 + i1 s1 + i2 s2 + i3 s3], out is [.., d1, d2, d3]. Chosen where the last dimension stays (s3 = 1: runs are read and
// written) or one of those that change places is short: then a warp still finds all it reads in few lines.
template <class Vector>
__device__ __forceinline__ void permute_elements(int64_t n, int d1, int d2, int d3, int64_t s0, int64_t s1, int64_t s2, int64_t s3,
                                                 const Vector *__restrict__ in, Vector *__restrict__ out) {
  const int64_t at = thread_index();
  if (at >= n) return;
  const int64_t a = at / d3, b = a / d2, c = b / d1;
  out[at] = __ldg(in + c * s0 + (b - c * d1) * s1 + (a - b * d2) * s2 + (at - a * d3) * s3);
}
KERNEL(256, permute, int64_t n, int d1, int d2, int d3, int64_t s0, int64_t s1, int64_t s2, int64_t s3, const float *in, float *out) {
  STARTED();
  permute_elements(n, d1, d2, d3, s0, s1, s2, s3, in, out);
}
EXPORT_KERNEL(permute)
KERNEL(256, permute4, int64_t n, int d1, int d2, int d3, int64_t s0, int64_t s1, int64_t s2, int64_t s3, const float4 *in, float4 *out) {
  STARTED();
  permute_elements(n, d1, d2, d3, s0, s1, s2, s3, in, out);
}
EXPORT_KERNEL(permute4)

// The last dimension of in, of size c and stride c_out in out, and that of out, of size r and stride r_in in in, change places; others, of sizes
// m0 and m1, only move. A block carries a tile of 32 x 32 through shared memory, read along c and written along r. A row of the tile is 33 long,
// so that a column lies in 32 banks.
KERNEL(256, transpose, int r, int c, int64_t r_in, int64_t c_out, int m1, int64_t m0_in, int64_t m1_in, int64_t m0_out, int64_t m1_out,
       const float *in, float *out) {
  STARTED();
  SHARED_ARRAY(float, tile, [32][33]);
  const int across = (c + 31) / 32, down = (r + 31) / 32;
  const int64_t matrix = blockIdx.x / (across * (int64_t)down);
  const int rest = blockIdx.x - matrix * across * down;
  const int r0 = rest / across * 32, c0 = rest % across * 32;
  const int64_t m0 = matrix / m1;
  const int x = threadIdx.x % 32, y = threadIdx.x / 32;
  in += m0 * m0_in + (matrix - m0 * m1) * m1_in;
  out += m0 * m0_out + (matrix - m0 * m1) * m1_out;
  for (int j = y; j < 32; j += 8) {
    if (r0 + j < r && c0 + x < c) tile[j][x] = in[(r0 + j) * r_in + c0 + x];
  }
  __syncthreads();
  for (int j = y; j < 32; j += 8) {
    if (c0 + j < c && r0 + x < r) out[(c0 + j) * c_out + r0 + x] = tile[x][j];
  }
}
EXPORT_KERNEL(transpose)
