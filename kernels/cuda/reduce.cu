// Reduce: out[o, i] = op over a of X[o, a, i], X [outer, along, inner], and op one of
//
//	sum           sum of x
//	sum_squares   sum of x^2
//	largest       max x; NaN where there is one
//	smallest      min x, of the indicators that parts of all_finite leave
//	log_sum_exps  ln sum of e^x, about a running maximum
//	all_finite    1 where no x is NaN or infinite, else 0
//
// Reads each element once: 4 bytes; 1 or 2 FLOPs, for log_sum_exps 5/4 to 2 exponentials. reduce.go brings any set of axes to this form, and few outputs
// of much input to two launches: parts of `along` whose number is fixed by the shape, and the same over the parts' results. Chosen by shape:
//
//	rows      inner 1, short: a warp a row, or as few lanes of it as the row has vectors
//	runs      inner 1, long: a block a part of a row
//	columns   inner above 1: a thread a column of a part, beside others that walk the same column's rows in turn
#include "fold.h"

namespace reduce {

struct Sum {
  float s;
  static __device__ __forceinline__ Sum none() { return {0.f}; }
  __device__ __forceinline__ void take(float x) { s += x; }
  __device__ __forceinline__ void take(float4 v) { s += (v.x + v.y) + (v.z + v.w); }
  __device__ __forceinline__ void merge(Sum o) { s += o.s; }
  __device__ __forceinline__ Sum across(int flip) const { return {__shfl_xor_sync(all_lanes, s, flip)}; }
  __device__ __forceinline__ float result() const { return s; }
};

struct SumSquares {
  float s;
  static __device__ __forceinline__ SumSquares none() { return {0.f}; }
  __device__ __forceinline__ void take(float x) { s = fmaf(x, x, s); }
  __device__ __forceinline__ void take(float4 v) { s += fmaf(v.x, v.x, v.y * v.y) + fmaf(v.z, v.z, v.w * v.w); }
  __device__ __forceinline__ void merge(SumSquares o) { s += o.s; }
  __device__ __forceinline__ SumSquares across(int flip) const { return {__shfl_xor_sync(all_lanes, s, flip)}; }
  __device__ __forceinline__ float result() const { return s; }
};

struct Largest {
  float top;
  static __device__ __forceinline__ Largest none() { return {-INFINITY}; }
  __device__ __forceinline__ void take(float x) { top = larger(top, x); }
  __device__ __forceinline__ void take(float4 v) { top = larger(top, larger(larger(v.x, v.y), larger(v.z, v.w))); }
  __device__ __forceinline__ void merge(Largest o) { take(o.top); }
  __device__ __forceinline__ Largest across(int flip) const { return {__shfl_xor_sync(all_lanes, top, flip)}; }
  __device__ __forceinline__ float result() const { return top; }
};

struct Smallest {
  float least;
  static __device__ __forceinline__ Smallest none() { return {INFINITY}; }
  __device__ __forceinline__ void take(float x) { least = fminf(least, x); }
  __device__ __forceinline__ void take(float4 v) { least = fminf(least, fminf(fminf(v.x, v.y), fminf(v.z, v.w))); }
  __device__ __forceinline__ void merge(Smallest o) { take(o.least); }
  __device__ __forceinline__ Smallest across(int flip) const { return {__shfl_xor_sync(all_lanes, least, flip)}; }
  __device__ __forceinline__ float result() const { return least; }
};

// 0 x is 0, or NaN where x is not finite.
struct AllFinite {
  float zero;
  static __device__ __forceinline__ AllFinite none() { return {0.f}; }
  __device__ __forceinline__ void take(float x) { zero = fmaf(0.f, x, zero); }
  __device__ __forceinline__ void take(float4 v) { zero += fmaf(0.f, v.x, 0.f * v.y) + fmaf(0.f, v.z, 0.f * v.w); }
  __device__ __forceinline__ void merge(AllFinite o) { zero += o.zero; }
  __device__ __forceinline__ AllFinite across(int flip) const { return {__shfl_xor_sync(all_lanes, zero, flip)}; }
  __device__ __forceinline__ float result() const { return zero == 0.f ? 1.f : 0.f; }
};

// 2^log_lanes lanes of a warp have a row; d counts Vectors.
template <class Fold, class Vector>
__device__ __forceinline__ void reduce_rows(int64_t rows, int d, int log_lanes, const Vector *__restrict__ x, float *__restrict__ out) {
  int64_t row = thread_index() >> log_lanes;
  int lanes = 1 << log_lanes, lane = threadIdx.x & (lanes - 1);
  Fold f = Fold::none();
  if (row < rows) {
    x += row * d;
#pragma unroll 4
    for (int k = lane; k < d; k += lanes) f.take(x[k]);
  }
  merge_lanes(f, lanes);
  if (row < rows && lane == 0) out[row] = f.result();
}

// out[o, p] over elements p length .. (p+1) length - 1 of row o. The whole of a row's fours where Vector is float4: rows begin at multiples of four
// then, or there is one row, and length is a multiple of four.
template <class Fold, class Vector>
__device__ __forceinline__ void reduce_runs(int64_t along, int64_t length, int parts, const float *__restrict__ x, float *__restrict__ out) {
  const int width = sizeof(Vector) / sizeof(float);
  int64_t row = blockIdx.x / parts, from = (blockIdx.x - row * parts) * length;
  int64_t n = min(length, along - from), whole = n / width;
  x += row * along + from;
  Fold f = Fold::none();
  fold_run(f, whole, reinterpret_cast<const Vector *>(x));
  if (threadIdx.x < n - whole * width) f.take(x[whole * width + threadIdx.x]);
  merge_block(f);
  if (threadIdx.x == 0) out[blockIdx.x] = f.result();
}

// Columns are the folds of a Vector's columns.
template <class Fold, class Vector> struct Columns;
template <class Fold> struct Columns<Fold, float> {
  Fold x;
  static __device__ __forceinline__ Columns none() { return {Fold::none()}; }
  __device__ __forceinline__ void take(float v) { x.take(v); }
  __device__ __forceinline__ void take(const float (&v)[4]) { x.take(together(v)); }
  __device__ __forceinline__ void merge(const Columns &o) { x.merge(o.x); }
  __device__ __forceinline__ float result() const { return x.result(); }
};
template <class Fold> struct Columns<Fold, float4> {
  Fold x, y, z, w;
  static __device__ __forceinline__ Columns none() { return {Fold::none(), Fold::none(), Fold::none(), Fold::none()}; }
  __device__ __forceinline__ void take(float4 v) { x.take(v.x), y.take(v.y), z.take(v.z), w.take(v.w); }
  __device__ __forceinline__ void take(const float4 (&v)[4]) {
    x.take(make_float4(v[0].x, v[1].x, v[2].x, v[3].x));
    y.take(make_float4(v[0].y, v[1].y, v[2].y, v[3].y));
    z.take(make_float4(v[0].z, v[1].z, v[2].z, v[3].z));
    w.take(make_float4(v[0].w, v[1].w, v[2].w, v[3].w));
  }
  __device__ __forceinline__ void merge(const Columns &o) { x.merge(o.x), y.merge(o.y), z.merge(o.z), w.merge(o.w); }
  __device__ __forceinline__ float4 result() const { return make_float4(x.result(), y.result(), z.result(), w.result()); }
};

// out[o, p, i] over rows p length .. (p+1) length - 1 of X [outer, along, inner]; inner counts Vectors. A block is a part of `width` (a power of 2)
// of the outer inner columns. Its 256/width threads of a column take every 256/width-th row, then are merged two by two.
template <class Fold, class Vector>
__device__ __forceinline__ void reduce_columns(int64_t columns, int64_t inner, int64_t along, int64_t length, int parts, int width,
                                               const Vector *__restrict__ x, Vector *__restrict__ out) {
  typedef Columns<Fold, Vector> Folds;
  SHARED_ARRAY(Folds, shared, [256]);
  int64_t tile = blockIdx.x / parts;
  int part = blockIdx.x - tile * parts;
  int rows = 256 / width, row = threadIdx.x / width;
  int64_t column = tile * width + (threadIdx.x & (width - 1)), outer = column / inner, i = column - outer * inner;
  Folds f = Folds::none();
  if (column < columns) {
    int64_t a = part * length + row, end = min(along, part * length + length);
    x += outer * along * inner + i;
    for (; a + 3 * rows < end; a += 4 * rows) {
      Vector v[4];
#pragma unroll
      for (int j = 0; j < 4; j++) v[j] = x[(a + j * rows) * inner];
      f.take(v);
    }
    for (; a < end; a += rows) f.take(x[a * inner]);
  }
  for (int half = rows / 2; half > 0; half /= 2) { // what is read now, rows half .. 2 half - 1, is not written again
    if (row >= half && row < 2 * half) shared[threadIdx.x] = f;
    __syncthreads();
    if (row < half) f.merge(shared[threadIdx.x + half * width]);
  }
  if (row == 0 && column < columns) out[(outer * parts + part) * inner + i] = f.result();
}

} // namespace reduce
using namespace reduce;

#define REDUCTION(op, Fold)                                                                                                             \
  KERNEL(256, reduce_rows_##op, int64_t rows, int d, int log_lanes, const float *x, float *out) {                                       \
    STARTED();                                                                                                                          \
    reduce_rows<Fold>(rows, d, log_lanes, x, out);                                                                                      \
  }                                                                                                                                     \
  EXPORT_KERNEL(reduce_rows_##op)                                                                                                       \
  KERNEL(256, reduce_rows_##op##4, int64_t rows, int d, int log_lanes, const float4 *x, float *out) {                                   \
    STARTED();                                                                                                                          \
    reduce_rows<Fold>(rows, d, log_lanes, x, out);                                                                                      \
  }                                                                                                                                     \
  EXPORT_KERNEL(reduce_rows_##op##4)                                                                                                    \
  KERNEL(256, reduce_runs_##op, int64_t along, int64_t length, int parts, const float *x, float *out) {                                 \
    STARTED();                                                                                                                          \
    reduce_runs<Fold, float>(along, length, parts, x, out);                                                                             \
  }                                                                                                                                     \
  EXPORT_KERNEL(reduce_runs_##op)                                                                                                       \
  KERNEL(256, reduce_runs_##op##4, int64_t along, int64_t length, int parts, const float *x, float *out) {                              \
    STARTED();                                                                                                                          \
    reduce_runs<Fold, float4>(along, length, parts, x, out);                                                                            \
  }                                                                                                                                     \
  EXPORT_KERNEL(reduce_runs_##op##4)                                                                                                    \
  KERNEL(256, reduce_columns_##op, int64_t columns, int64_t inner, int64_t along, int64_t length, int parts, int width, const float *x, \
         float *out) {                                                                                                                  \
    STARTED();                                                                                                                          \
    reduce_columns<Fold>(columns, inner, along, length, parts, width, x, out);                                                          \
  }                                                                                                                                     \
  EXPORT_KERNEL(reduce_columns_##op)                                                                                                    \
  KERNEL(256, reduce_columns_##op##4, int64_t columns, int64_t inner, int64_t along, int64_t length, int parts, int width,              \
         const float4 *x, float4 *out) {                                                                                                \
    STARTED();                                                                                                                          \
    reduce_columns<Fold>(columns, inner, along, length, parts, width, x, out);                                                          \
  }                                                                                                                                     \
  EXPORT_KERNEL(reduce_columns_##op##4)

REDUCTION(sum, Sum)
REDUCTION(sum_squares, SumSquares)
REDUCTION(largest, Largest)
REDUCTION(smallest, Smallest)
REDUCTION(log_sum_exps, LogSum)
REDUCTION(all_finite, AllFinite)
