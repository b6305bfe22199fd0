// SpMM: a sparse matrix, by rows, times a dense X [N, d]:
//
//	y[i, :] = r_i  sum over e in beg_i .. end_i - 1 of  v_e c_col_e X[col_e, :]
//
// r, c and v may be null, for ones. Moves 4 d + 8 bytes an edge, most of them rows of X out of the L2 cache, and 4 d + 8 a row; 2 d FLOPs an edge.
//
// Edges. A Vector is a float4 where d is a multiple of 4, else a float; below, d is counted in them. A group of 2^k lanes, as many as a row of X has
// Vectors, at most 32, takes an edge: half a warp for 64 columns, so that a warp reads two rows of X at once, 256 bytes each. What a warp waits for
// is the L2 cache, 300 to 400 ns under load, so every group has four edges in flight. A lane holds one of 32 edges; the col of the next 32 are asked
// for before these are summed, and the weights of these are waited for only when the first rows of X are on their way.
//
// Rows. Graphs follow a power law: the mean is 35 edges, and some rows have thousands; and lengths are data, a view may change them at every step.
// So there are three ways through a row. Its length alone decides which, and with it the order of the sum:
//
//	up to 128 edges        a warp. The warps of a block take its 8 to 32 rows as they get free: with a row each they would wait for the longest of
//	                       eight, which has three times the mean. Which warp a row falls to does not change its sum.
//	more                   the block together, before its short rows: a warp an eighth, and the eighths are added in order.
//	from 2 x 2048 edges    where the matrix is so large that the host asked for it (slots > 0): a block has 64 edges in flight, which reads 40 bytes a
//	                       nanosecond from the L2 and 20 from memory, so that a row of 100,000 edges would take a millisecond. A block a piece
//	                       of 2048, launched before the blocks of rows; spmm_hubs adds the pieces in order.
//
// A piece's block must find its row. Piece j of a row has slot beg / 2048 + j, and a row has length / 2048 pieces, the last of which takes the rest:
// rows that share no edge then share no slot, in whatever order they lie, and edges / 2048 slots suffice. spmm_owners writes into each slot whose it
// is. Rows may share edges, though: where a slot is not its own, a row's own block takes one piece after the other, and gets the same bits.
//
// Cost on an H100, reckoned, not measured. yelp2018 (69,716 rows, 2.47M edges, d 64, X in the L2) cannot go below 115 us, by the bandwidth of the L2.
// A row of 35 edges is a chain of 6 latencies, some 2.5 us; an SM has 528 of them and 32 resident warps, busy two thirds of their time: 60 us, so
// latency does not set the pace. The longest rows, 2,000 edges, take a block 13 us, which the launch can lose at its end: 120 to 140 us. A million
// nodes with 50M edges take 2.5 to 4 ms, by memory; a row of 100,000 edges is 48 pieces of 25 to 50 us, which run first, and clearing, owners,
// 24,400 slots (most of them empty) and hubs cost 15 us, half a percent. Below 4M edges, where they would cost 5 us of 120, rows are not split, and
// one of 10,000 edges may hold up the launch by 60 us.
#include "kernel.h"

struct SparseMatrix {
  const int *__restrict__ beg, *__restrict__ end, *__restrict__ col;
  const float *__restrict__ row_scale, *__restrict__ col_scale, *__restrict__ val;
};

__device__ __forceinline__ void add_scaled(float &a, float w, float x) { a = fmaf(w, x, a); }
__device__ __forceinline__ void add_scaled(float4 &a, float w, float4 x) {
  a.x = fmaf(w, x.x, a.x), a.y = fmaf(w, x.y, a.y), a.z = fmaf(w, x.z, a.z), a.w = fmaf(w, x.w, a.w);
}
__device__ __forceinline__ float scaled(float a, float w) { return a * w; }
__device__ __forceinline__ float4 scaled(float4 a, float w) { return make_float4(a.x * w, a.y * w, a.z * w, a.w * w); }
__device__ __forceinline__ float from_lane(float v, int flip) { return __shfl_xor_sync(all_lanes, v, flip); }
__device__ __forceinline__ float4 from_lane(float4 v, int flip) {
  return make_float4(from_lane(v.x, flip), from_lane(v.y, flip), from_lane(v.z, flip), from_lane(v.w, flip));
}

// ask loads, for each group of so many lanes, its edges among the warp's next flight x 32 / lanes; from edge `left` on there are none.
template <int lanes, int flight, class Vector>
__device__ __forceinline__ void ask(Vector (&row)[flight], int col, int edge, int left, const Vector *__restrict__ x, int d, int column) {
#pragma unroll
  for (int k = 0; k < flight; k++) {
    int e = edge + k * (32 / lanes), source = __shfl_sync(all_lanes, col, e);
    row[k] = zero_of<Vector>();
    if (e < left && column < d) row[k] = __ldg(x + (int64_t)source * d + column);
  }
}

// edges sums over the given edges, in a warp, the Vector of X that stands in this lane's column; columns from d on are none. Every group gets the sum.
template <int lanes, class Vector>
__device__ __forceinline__ Vector edges(const SparseMatrix &a, int first, int last, const Vector *__restrict__ x, int d, int column) {
  const int groups = 32 / lanes, flight = lanes < 4 ? lanes : 4; // so that flight x groups is at most 32: a lane holds an edge
  int lane = threadIdx.x % 32, group = lane / lanes, left = last - first, next = 0;
  unsigned at = first + lane;
  Vector sum = zero_of<Vector>();
  if (lane < left) next = __ldcs(a.col + at);
#pragma unroll 1
  for (; left > 0; left -= 32, at += 32) {
    int col = next;
    if (lane < left - 32) next = __ldcs(a.col + at + 32);
    Vector row[flight];
    ask<lanes>(row, col, group, left, x, d, column);
    float weight = 0.f;
    if (lane < left) {
      weight = a.val ? __ldcs(a.val + at) : 1.f;
      if (a.col_scale) weight *= __ldg(a.col_scale + col);
    }
#pragma unroll 1
    for (int j = 0;;) {
#pragma unroll
      for (int k = 0; k < flight; k++) add_scaled(sum, __shfl_sync(all_lanes, weight, j + k * groups + group), row[k]);
      j += flight * groups;
      if (j >= min(left, 32)) break;
      ask<lanes>(row, col, j + group, left, x, d, column);
    }
  }
#pragma unroll
  for (int flip = 16; flip >= lanes; flip /= 2) add_to(sum, from_lane(sum, flip));
  return sum;
}

const int warps = 8, most_rows = 32, long_row = 128;

// block_edges is edges by a whole block: a warp an eighth. The sum is in the first lanes of the block.
template <int lanes, class Vector>
__device__ __forceinline__ Vector block_edges(const SparseMatrix &a, int first, int last, const Vector *__restrict__ x, int d, int column) {
  SHARED_ARRAY(Vector, part, [warps][lanes]);
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  int64_t n = last - first;
  Vector sum = edges<lanes>(a, first + (int)(n * warp / warps), first + (int)(n * (warp + 1) / warps), x, d, column);
  if (lane < lanes) part[warp][lane] = sum;
  __syncthreads();
  sum = zero_of<Vector>();
#pragma unroll
  for (int k = 0; k < warps; k++) add_to(sum, part[k][lane % lanes]);
  __syncthreads();
  return sum;
}

// piece_end is where piece j of a row ends.
__device__ __forceinline__ int piece_end(int first, int last, int j, int pieces, int piece) { return j + 1 < pieces ? first + (j + 1) * piece : last; }

// owns tells a block whether all slots of a row's pieces are the row's.
__device__ __forceinline__ bool owns(const int *__restrict__ owner, int row, int slot, int pieces) {
  int all = 1;
  for (int j = threadIdx.x; j < pieces; j += blockDim.x) all &= __ldg(owner + slot + j) == row + 1;
  return __syncthreads_and(all);
}

// The first blocks take a slot each, as a matrix of one row whose sum goes to partial [slots, d]; the others take some rows.
template <int lanes, class Vector>
__device__ __forceinline__ void multiply(const SparseMatrix &a, int rows, int rows_a_block, int slots, int piece, const int *__restrict__ owner,
                                         const Vector *__restrict__ x, int d, Vector *__restrict__ y, Vector *__restrict__ partial) {
  SHARED_ARRAY(int, first, [most_rows]);
  SHARED_ARRAY(int, last, [most_rows]);
  SHARED_ARRAY(float, scale, [most_rows]);
  SHARED_ARRAY(int, taken, [1]);
  int lane = threadIdx.x % 32, n = 1, begin = blockIdx.x;
  bool is_piece = begin < slots;
  if (is_piece) {
    int row = __ldg(owner + begin) - 1;
    if (row < 0) return; // the whole block
    if (threadIdx.x == 0) {
      int from = __ldg(a.beg + row), to = __ldg(a.end + row), j = begin - from / piece;
      first[0] = from + j * piece, last[0] = piece_end(from, to, j, (to - from) / piece, piece), scale[0] = 1.f;
    }
  } else {
    begin = (begin - slots) * rows_a_block, n = min(rows_a_block, rows - begin);
    if ((int)threadIdx.x < n) {
      first[lane] = __ldg(a.beg + begin + lane), last[lane] = __ldg(a.end + begin + lane);
      scale[lane] = a.row_scale && last[lane] > first[lane] ? __ldg(a.row_scale + begin + lane) : 1.f; // no edges are 0, be the scale infinite
    }
  }
  if (threadIdx.x == 0) taken[0] = 0;
  __syncthreads();

  for (int r = 0; r < n; r++) {
    if (last[r] - first[r] <= long_row) continue;
    int pieces = (last[r] - first[r]) / piece;
    if (pieces > 1 && owns(owner, begin + r, first[r] / piece, pieces)) continue;
#pragma unroll 1
    for (int column = lane % lanes; column - lane % lanes < d; column += lanes) {
      Vector sum = zero_of<Vector>();
#pragma unroll 1
      for (int j = 0; j < max(pieces, 1); j++)
        add_to(sum, block_edges<lanes>(a, first[r] + j * piece, piece_end(first[r], last[r], j, pieces, piece), x, d, column));
      if ((int)threadIdx.x < lanes && column < d) (is_piece ? partial : y)[(int64_t)(begin + r) * d + column] = scaled(sum, scale[r]);
    }
  }
  for (;;) {
    int r = 0;
    if (lane == 0) r = atomicAdd(&taken[0], 1);
    r = __shfl_sync(all_lanes, r, 0);
    if (r >= n) return; // the whole warp
    if (last[r] - first[r] > long_row) continue;
#pragma unroll 1
    for (int column = lane % lanes; column - lane % lanes < d; column += lanes) {
      Vector sum = edges<lanes>(a, first[r], last[r], x, d, column);
      if (lane < lanes && column < d) (is_piece ? partial : y)[(int64_t)(begin + r) * d + column] = scaled(sum, scale[r]);
    }
  }
}
// Without the bound of four blocks on an SM, which is 64 registers a thread, nvcc spills to make room for a fifth.
#define OCCUPANCY 256, 4
#define SPMM(name, Vector, lanes)                                                                                                             \
  KERNEL(OCCUPANCY, name, int rows, int rows_a_block, int slots, int piece, const int *owner, const int *beg, const int *end, const int *col, \
         const float *row_scale, const float *col_scale, const float *val, const Vector *x, int d, Vector *y, Vector *partial) {              \
    STARTED();                                                                                                                                \
    multiply<lanes>(SparseMatrix{beg, end, col, row_scale, col_scale, val}, rows, rows_a_block, slots, piece, owner, x, d, y, partial);       \
  }                                                                                                                                           \
  EXPORT_KERNEL(name)
SPMM(spmm_1, float, 1)
SPMM(spmm_2, float, 2)
SPMM(spmm_4, float, 4)
SPMM(spmm_8, float, 8)
SPMM(spmm_16, float, 16)
SPMM(spmm_32, float, 32)
SPMM(spmm4_1, float4, 1)
SPMM(spmm4_2, float4, 2)
SPMM(spmm4_4, float4, 4)
SPMM(spmm4_8, float4, 8)
SPMM(spmm4_16, float4, 16)
SPMM(spmm4_32, float4, 32)

// spmm_owners writes owner[slot] = 1 + the row whose piece has the slot, the last one's where there are several. They are 0 before. A thread a row.
KERNEL(256, spmm_owners, int64_t rows, int piece, const int *beg, const int *end, int *owner) {
  STARTED();
  int64_t row = thread_index();
  if (row >= rows) return;
  int first = __ldg(beg + row), pieces = (__ldg(end + row) - first) / piece;
  if (pieces > 1)
    for (int j = 0; j < pieces; j++) atomicMax(owner + first / piece + j, (int)row + 1);
}
EXPORT_KERNEL(spmm_owners)

// spmm_hubs adds the pieces of the rows that own all of theirs. A block a slot; the slot of a row's first piece does it.
template <class Vector>
__device__ __forceinline__ void add_pieces(int piece, const int *__restrict__ owner, const int *__restrict__ beg, const int *__restrict__ end,
                                           const float *__restrict__ row_scale, const Vector *__restrict__ partial, int d, Vector *__restrict__ y) {
  int slot = blockIdx.x, row = __ldg(owner + slot) - 1;
  if (row < 0) return; // the whole block
  int first = __ldg(beg + row), pieces = (__ldg(end + row) - first) / piece;
  if (first / piece != slot || !owns(owner, row, slot, pieces)) return;
  float scale = row_scale ? __ldg(row_scale + row) : 1.f;
  for (int column = threadIdx.x; column < d; column += blockDim.x) {
    Vector sum = zero_of<Vector>();
#pragma unroll 8
    for (int j = 0; j < pieces; j++) add_to(sum, partial[(int64_t)(slot + j) * d + column]);
    y[(int64_t)row * d + column] = scaled(sum, scale);
  }
}
KERNEL(64, spmm_hubs, int piece, const int *owner, const int *beg, const int *end, const float *row_scale, const float *partial, int d, float *y) {
  STARTED();
  add_pieces(piece, owner, beg, end, row_scale, partial, d, y);
}
EXPORT_KERNEL(spmm_hubs)
KERNEL(64, spmm_hubs4, int piece, const int *owner, const int *beg, const int *end, const float *row_scale, const float4 *partial, int d, float4 *y) {
  STARTED();
  add_pieces(piece, owner, beg, end, row_scale, partial, d, y);
}
EXPORT_KERNEL(spmm_hubs4)
