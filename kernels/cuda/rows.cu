// Rows of a table X [N, d] chosen by ids [B]: Gather, ScatterAdd, SegmentSum, Put; and RowDot. -1 is no row.
//
// 4 d bytes are read and written a row (ScatterAdd reads the table's rows too), and 4 to 12 bytes of ids; ScatterAdd and SegmentSum add d numbers a row,
// RowDot takes 2 d FLOPs. d is counted in Vectors. One thread moves one Vector, so that neighbours touch neighbouring addresses.
#include "kernel.h"

// out[i, :] = X[id_i, :], zeros for -1.
template <class Vector>
__device__ __forceinline__ void gather_rows(int64_t n, int d, const Vector *__restrict__ x, const int *__restrict__ id, Vector *__restrict__ out) {
  int64_t at = thread_index();
  if (at >= n) return;
  int64_t i = at / d;
  int k = at - i * d, row = __ldg(id + i);
  out[at] = row < 0 ? zero_of<Vector>() : x[(int64_t)row * d + k];
}
KERNEL(256, gather, int64_t n, int d, const float *x, const int *id, float *out) {
  STARTED();
  gather_rows(n, d, x, id, out);
}
EXPORT_KERNEL(gather)
KERNEL(256, gather4, int64_t n, int d, const float4 *x, const int *id, float4 *out) {
  STARTED();
  gather_rows(n, d, x, id, out);
}
EXPORT_KERNEL(gather4)

// table[row_k, :] += sum of G[perm_p, :] over p in seg_k .. seg_k+1 - 1, for the distinct rows. A row has one owner, who adds in perm's order.
template <class Vector>
__device__ __forceinline__ void scatter_segments(int64_t n, int d, const Vector *__restrict__ g, const int *__restrict__ rows,
                                                 const int *__restrict__ seg, const int *__restrict__ perm, Vector *__restrict__ table) {
  int64_t at = thread_index();
  if (at >= n) return;
  int64_t k = at / d;
  int column = at - k * d, row = __ldg(rows + k);
  if (row < 0) return;
  Vector sum = table[(int64_t)row * d + column];
  for (int p = seg[k]; p < seg[k + 1]; p++) add_to(sum, g[(int64_t)perm[p] * d + column]);
  table[(int64_t)row * d + column] = sum;
}
KERNEL(256, scatter_sorted, int64_t n, int d, const float *g, const int *rows, const int *seg, const int *perm, float *table) {
  STARTED();
  scatter_segments(n, d, g, rows, seg, perm, table);
}
EXPORT_KERNEL(scatter_sorted)
KERNEL(256, scatter_sorted4, int64_t n, int d, const float4 *g, const int *rows, const int *seg, const int *perm, float4 *table) {
  STARTED();
  scatter_segments(n, d, g, rows, seg, perm, table);
}
EXPORT_KERNEL(scatter_sorted4)

// The same without the inverse of id: a thread owns a column and walks all B ids, in order. Slow, about a microsecond an id, whatever d is; feeds
// bring the inverse.
KERNEL(128, scatter_unsorted, int b, int d, const float *g, const int *id, float *table) {
  STARTED();
  int64_t column = thread_index();
  if (column >= d) return;
  for (int i = 0; i < b; i++) {
    int row = __ldg(id + i);
    if (row >= 0) table[(int64_t)row * d + column] += g[(int64_t)i * d + column];
  }
}
EXPORT_KERNEL(scatter_unsorted)

// out[k, :] = sum of G[perm_p, :] over p in seg_k .. seg_k+1 - 1.
template <class Vector>
__device__ __forceinline__ void sum_segments(int64_t n, int d, const Vector *__restrict__ g, const int *__restrict__ seg,
                                             const int *__restrict__ perm, Vector *__restrict__ out) {
  int64_t at = thread_index();
  if (at >= n) return;
  int64_t k = at / d;
  int column = at - k * d;
  Vector sum = zero_of<Vector>();
  for (int p = seg[k]; p < seg[k + 1]; p++) add_to(sum, g[(int64_t)perm[p] * d + column]);
  out[at] = sum;
}
KERNEL(256, segment_sum, int64_t n, int d, const float *g, const int *seg, const int *perm, float *out) {
  STARTED();
  sum_segments(n, d, g, seg, perm, out);
}
EXPORT_KERNEL(segment_sum)
KERNEL(256, segment_sum4, int64_t n, int d, const float4 *g, const int *seg, const int *perm, float4 *out) {
  STARTED();
  sum_segments(n, d, g, seg, perm, out);
}
EXPORT_KERNEL(segment_sum4)

// table[id_i, :] = X[i, :]; an id stands at most once.
template <class Vector>
__device__ __forceinline__ void put_rows(int64_t n, int d, const Vector *__restrict__ x, const int *__restrict__ id, Vector *__restrict__ table) {
  int64_t at = thread_index();
  if (at >= n) return;
  int64_t i = at / d;
  int column = at - i * d, row = __ldg(id + i);
  if (row >= 0) table[(int64_t)row * d + column] = x[at];
}
KERNEL(256, put, int64_t n, int d, const float *x, const int *id, float *table) {
  STARTED();
  put_rows(n, d, x, id, table);
}
EXPORT_KERNEL(put)
KERNEL(256, put4, int64_t n, int d, const float4 *x, const int *id, float4 *table) {
  STARTED();
  put_rows(n, d, x, id, table);
}
EXPORT_KERNEL(put4)

// out_i = sum over k of X[i, k] Y[i, k]: a warp a row.
KERNEL(256, row_dot, int64_t rows, int d, const float *x, const float *y, float *out) {
  STARTED();
  int64_t row = thread_index() / 32;
  int lane = threadIdx.x % 32;
  if (row >= rows) return; // the whole warp
  float sum = 0.f;
  for (int k = lane; k < d; k += 32) sum = fmaf(x[row * d + k], y[row * d + k], sum);
  sum = warp_sum(sum);
  if (lane == 0) out[row] = sum;
}
EXPORT_KERNEL(row_dot)
