// The log-sum-exp of batch x N logits and its derivative, over tiles S [rows, columns] that cuBLAS has filled with Scale <x_b, y_n> (logsumexp.go):
//
//	v_bn = S_bn + bias_n;  lse_b = ln sum over n of e^(v_bn);  P_bn = g_b e^(v_bn - lse_b);  dbias_n = sum over b of P_bn
//
// S and P are the same scratch, `leading` elements from row to row, a multiple of 32; bias, weight and the like are null where there are none. A row of
// weight 0 is absent. logits_sum reads 4 bytes a logit, logits_gradient reads and writes 4, both from the L2; one exponential each.
//
// Sums of exponentials are about a running maximum, whether the logits are bounded or not: it costs a comparison a logit, and the passes wait for
// memory.
#include "fold.h"

// Excluded pairs [pairs] of rows b.. and columns n.. become -Inf: a thread a pair. A pair may stand twice, hence an exchange.
KERNEL(256, exclude, int pairs, const int *row, const int *column, int b, int n, int rows, int columns, int leading, float *s) {
  STARTED();
  int64_t e = thread_index();
  if (e >= pairs) return;
  int i = __ldg(row + e) - b;
  if (i < 0 || i >= rows) return; // padding has row -1
  int j = __ldg(column + e) - n;
  if (j >= 0 && j < columns) atomicExch(&s[(int64_t)i * leading + j], -INFINITY);
}
EXPORT_KERNEL(exclude)

// running_b takes in the tile's row b; with the last tile of the row, lse_b is written. A block computes a row.
KERNEL(1024, logits_sum, int columns, int leading, const float *__restrict__ s, const float *__restrict__ bias, const float *__restrict__ weight,
       int first, int last, float2 *__restrict__ running, float *__restrict__ lse) {
  STARTED();
  int row = blockIdx.x;
  if (weight && weight[row] == 0.f) { // the whole block
    if (last && threadIdx.x == 0) lse[row] = 0.f;
    return;
  }
  s += (int64_t)row * leading;
  const float4 *s4 = (const float4 *)s, *bias4 = (const float4 *)bias;
  LogSum r = LogSum::none();
  int vectors = columns / 4;
  for (int i = threadIdx.x; i < vectors; i += 2 * blockDim.x) { // two loads under way
    int k = i + blockDim.x;
    float4 v = s4[i], w = make_float4(-INFINITY, -INFINITY, -INFINITY, -INFINITY);
    if (k < vectors) w = s4[k];
    if (bias) {
      add_to(v, bias4[i]);
      if (k < vectors) add_to(w, bias4[k]);
    }
    r.take(v);
    r.take(w);
  }
  int n = 4 * vectors + threadIdx.x;
  if (n < columns) r.take(s[n] + (bias ? bias[n] : 0.f));

  merge_block(r);
  if (threadIdx.x > 0) return;
  if (!first) r.merge({running[row].x, running[row].y});
  if (last) lse[row] = r.result();
  else running[row] = make_float2(r.top, r.sum);
}
EXPORT_KERNEL(logits_sum)

// A row sends no gradient if it is absent, or nothing comes from above, or it has no column.
__device__ __forceinline__ bool silent(const float *weight, const float *g, const float *lse, int64_t row) {
  return (weight && weight[row] == 0.f) || g[row] == 0.f || (lse && lse[row] == -INFINITY);
}

// S becomes P. A block of 8 warps has 64 rows of 128 columns, warp w rows w, w + 8, .., a lane four columns. For dbias, the block's column sums go
// to column_sums [chunks of 64 rows, all_columns], which begin with the first rows and are added to by those that follow.
const int chunk_rows = 64, strip_columns = 128;
KERNEL(256, logits_gradient, int rows, int columns, int leading, float *__restrict__ s, const float *__restrict__ bias,
       const float *__restrict__ weight, const float *__restrict__ lse, const float *__restrict__ g, int all_columns, int first,
       float *__restrict__ column_sums) {
  STARTED();
  SHARED_ARRAY(float, sums, [8][strip_columns]);
  int strips = (columns + strip_columns - 1) / strip_columns;
  int chunk = blockIdx.x / strips, strip = blockIdx.x - chunk * strips;
  int warp = threadIdx.x / 32, own = threadIdx.x % 32 * 4, n = strip * strip_columns + own;
  float4 sum = make_float4(0.f, 0.f, 0.f, 0.f);
  if (n + 4 <= columns) {
    const int each = chunk_rows / 8;
    float4 *at = (float4 *)(s + ((int64_t)chunk * chunk_rows + warp) * leading + n);
    int64_t step = 8 * (int64_t)(leading / 4);
    int row = chunk * chunk_rows + warp;
    float4 b = bias ? *(const float4 *)(bias + n) : make_float4(0.f, 0.f, 0.f, 0.f), v[each];
#pragma unroll
    for (int k = 0; k < each; k++) // all loads first
      if (row + 8 * k < rows) v[k] = at[k * step];
#pragma unroll
    for (int k = 0; k < each; k++) {
      int i = row + 8 * k;
      if (i >= rows) continue;
      float4 p = make_float4(0.f, 0.f, 0.f, 0.f);
      if (!silent(weight, g, lse, i)) {
        float l = lse[i], by = g[i];
        add_to(v[k], b);
        p = make_float4(by * expf(v[k].x - l), by * expf(v[k].y - l), by * expf(v[k].z - l), by * expf(v[k].w - l));
      }
      at[k * step] = p;
      add_to(sum, p);
    }
  } else if (n < columns) { // the last, up to 3
    float part[3] = {0.f, 0.f, 0.f};
    for (int row = chunk * chunk_rows + warp; row < min(rows, (chunk + 1) * chunk_rows); row += 8) {
      bool none = silent(weight, g, lse, row);
#pragma unroll
      for (int j = 0; j < 3; j++) {
        if (n + j >= columns) continue;
        float *at = s + (int64_t)row * leading + n + j;
        float p = none ? 0.f : g[row] * expf(*at + (bias ? bias[n + j] : 0.f) - lse[row]);
        *at = p;
        part[j] += p;
      }
    }
    sum = make_float4(part[0], part[1], part[2], 0.f);
  }
  if (!column_sums) return;
  // Lanes behind the last column must not store their 0, which nobody reads: nvcc 11.8 then sets it in this order or that, from one run to the next.
  if (n < columns) *(float4 *)&sums[warp][own] = sum;
  __syncthreads();
  int column = strip * strip_columns + threadIdx.x;
  if (threadIdx.x >= strip_columns || column >= columns) return;
  float *to = column_sums + (int64_t)chunk * all_columns + column, total = first ? 0.f : *to;
  for (int w = 0; w < 8; w++) total += sums[w][threadIdx.x];
  *to = total;
}
EXPORT_KERNEL(logits_gradient)

// to = from [n / d, d], zeros in silent rows, whatever they held; both may be the same. d counts Vectors.
template <class Vector>
__device__ __forceinline__ void keep(int64_t n, int d, const float *weight, const float *g, const float *lse, const Vector *from, Vector *to) {
  int64_t at = thread_index();
  if (at < n) to[at] = silent(weight, g, lse, at / d) ? zero_of<Vector>() : from[at];
}
KERNEL(256, keep_rows, int64_t n, int d, const float *weight, const float *g, const float *lse, const float *from, float *to) {
  STARTED();
  keep(n, d, weight, g, lse, from, to);
}
EXPORT_KERNEL(keep_rows)
KERNEL(256, keep_rows4, int64_t n, int d, const float *weight, const float *g, const float *lse, const float4 *from, float4 *to) {
  STARTED();
  keep(n, d, weight, g, lse, from, to);
}
EXPORT_KERNEL(keep_rows4)
