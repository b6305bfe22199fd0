// TopK: the k largest of each row of X [rows, columns] in decreasing order, values [rows, k] and their columns [rows, k]; ties go to the lower
// column, and NaN stands behind -Inf.
//
// An element becomes a key of 64 bits: its order among floats, and below that its column, complemented. Keys are distinct, none is 0, and
// the k largest are one set in one order, however threads found them; so atomics that count places in a buffer do no harm. Chosen by shape:
//
//	lanes     up to 32 columns: lanes of a warp sort the row
//	filter    k up to 128, or up to 256 columns: a block a row, 4 bytes read an element, twice of the first 8192. What passes a threshold joins a buffer; a full
//	          buffer is sorted, and its k-th becomes the threshold
//	select    the rest: a block a row finds the k-th key by its digits, then sorts what is not below it. Up to nine reads an element
#include "kernel.h"

namespace topk {

typedef unsigned long long Key;

__device__ __forceinline__ Key key_of(float x, unsigned column) {
  unsigned bits = __float_as_uint(x + 0.f); // -0 becomes 0: they tie
  unsigned order = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
  if (x != x) order = 0; // below that of -Inf
  return (Key)order << 32 | ~column;
}
__device__ __forceinline__ int column_of(Key k) { return (int)~(unsigned)k; }

// sort_keys sorts n keys, a power of 2, in decreasing order, by a block: the bitonic network. It begins and ends with a barrier.
__device__ __forceinline__ void sort_keys(Key *keys, int64_t n) {
  __syncthreads();
  for (int64_t size = 2; size <= n; size *= 2) {
    for (int64_t stride = size / 2; stride > 0; stride /= 2) {
      for (int64_t i = threadIdx.x; i < n / 2; i += blockDim.x) {
        int64_t low = 2 * i - (i & (stride - 1)), high = low + stride;
        Key a = keys[low], b = keys[high];
        if ((a < b) == ((low & size) == 0)) keys[low] = b, keys[high] = a;
      }
      __syncthreads();
    }
  }
}

// sort_counted sorts the first n of a buffer that has room up to the next power of 2.
__device__ __forceinline__ void sort_counted(Key *keys, int64_t n) {
  int64_t power = 1;
  while (power < n) power *= 2;
  for (int64_t i = n + threadIdx.x; i < power; i += blockDim.x) keys[i] = 0;
  sort_keys(keys, power);
}

__device__ __forceinline__ void write_row(const Key *keys, int k, const float *__restrict__ x, float *__restrict__ value, int *__restrict__ index) {
  for (int i = threadIdx.x; i < k; i += blockDim.x) {
    int column = column_of(keys[i]);
    value[i] = x[column], index[i] = column;
  }
}

// The four elements that thread t of 256 holds of a chunk of 1024: neighbours, where rows are float4, else every 256th.
template <class Vector> struct Four;
template <> struct Four<float4> {
  static __device__ __forceinline__ unsigned column(unsigned first, int j) { return first + threadIdx.x * 4 + j; }
  static __device__ __forceinline__ void load(float (&v)[4], const float *__restrict__ x, unsigned first, unsigned columns) {
    unsigned at = first + threadIdx.x * 4;
    float4 f = at < columns ? *reinterpret_cast<const float4 *>(x + at) : zero_of<float4>();
    v[0] = f.x, v[1] = f.y, v[2] = f.z, v[3] = f.w;
  }
};
template <> struct Four<float> {
  static __device__ __forceinline__ unsigned column(unsigned first, int j) { return first + threadIdx.x + j * 256; }
  static __device__ __forceinline__ void load(float (&v)[4], const float *__restrict__ x, unsigned first, unsigned columns) {
#pragma unroll
    for (int j = 0; j < 4; j++) v[j] = column(first, j) < columns ? x[column(first, j)] : 0.f;
  }
};

const unsigned chunk = 1024, // elements between two looks at the buffer
    room = 2 * chunk,        // keys of the buffer: at most `chunk` are there before a chunk
    ahead = 8 * chunk;       // elements that give the first threshold

// top_filtered is one row of `filter`. The first threshold: among the largest of 256 disjoint sets, the k-th is not above the k-th of all.
template <class Vector>
__device__ __forceinline__ void top_filtered(unsigned columns, int k, const float *__restrict__ x, float *__restrict__ value, int *__restrict__ index) {
  SHARED_ARRAY(Key, keys, [room]);
  SHARED_ARRAY(int, count, [1]);
  x += (int64_t)blockIdx.x * columns, value += (int64_t)blockIdx.x * k, index += (int64_t)blockIdx.x * k;
  Key best = 0;
  float v[4];
#pragma unroll 4
  for (unsigned first = 0; first < columns && first < ahead; first += chunk) {
    Four<Vector>::load(v, x, first, columns);
#pragma unroll
    for (int j = 0; j < 4; j++) {
      unsigned column = Four<Vector>::column(first, j);
      if (column < columns) best = max(best, key_of(v[j], column));
    }
  }
  keys[threadIdx.x] = best;
  sort_keys(keys, 256);
  if (columns <= 256 && sizeof(Vector) == sizeof(float)) { // a set is one element, or none
    write_row(keys, k, x, value, index);
    return;
  }
  Key threshold = max(keys[k - 1], (Key)1); // nothing is 0, also what lies behind the row
  if (threadIdx.x == 0) count[0] = 0;
  __syncthreads();

  Four<Vector>::load(v, x, 0, columns);
  for (unsigned first = 0; first < columns; first += chunk) {
    float next[4];
    Four<Vector>::load(next, x, first + chunk, columns); // under way while this chunk is looked at
    int last = -1;
#pragma unroll
    for (int j = 0; j < 4; j++) {
      unsigned column = Four<Vector>::column(first, j);
      Key key = key_of(v[j], column);
      if (key >= threshold && column < columns) {
        last = atomicAdd(count, 1);
        keys[last] = key;
      }
      v[j] = next[j];
    }
    if (__syncthreads_or(last >= (int)chunk)) {
      sort_counted(keys, count[0]);
      threshold = keys[k - 1];
      if (threadIdx.x == 0) count[0] = k;
      __syncthreads();
    }
  }
  sort_counted(keys, count[0]);
  write_row(keys, k, x, value, index);
}

} // namespace topk
using namespace topk;

KERNEL(256, top_filter, int columns, int k, const float *x, float *value, int *index) {
  STARTED();
  top_filtered<float>(columns, k, x, value, index);
}
EXPORT_KERNEL(top_filter)
KERNEL(256, top_filter4, int columns, int k, const float *x, float *value, int *index) {
  STARTED();
  top_filtered<float4>(columns, k, x, value, index);
}
EXPORT_KERNEL(top_filter4)

// 2^log_lanes lanes, no fewer than columns, sort a row.
KERNEL(256, top_lanes, int64_t rows, int columns, int k, int log_lanes, const float *x, float *value, int *index) {
  STARTED();
  int64_t row = thread_index() >> log_lanes;
  int lanes = 1 << log_lanes, lane = threadIdx.x & (lanes - 1);
  Key key = 0;
  if (row < rows && lane < columns) key = key_of(x[row * columns + lane], lane);
  for (int size = 2; size <= lanes; size *= 2) {
    for (int stride = size / 2; stride > 0; stride /= 2) {
      Key other = __shfl_xor_sync(all_lanes, key, stride);
      bool larger_first = (lane & size) == 0, first = (lane & stride) == 0;
      key = larger_first == first ? max(key, other) : min(key, other);
    }
  }
  if (row >= rows || lane >= k) return;
  int column = column_of(key);
  value[row * k + lane] = x[row * columns + column], index[row * k + lane] = column;
}
EXPORT_KERNEL(top_lanes)

// digit_of_kth finds, among the counts of 256 digits, that of the want-th largest key, by the first warp: how many keys have a larger digit, and
// the digit. Lane l has digits 255 - 8 l down to 248 - 8 l.
__device__ __forceinline__ void digit_of_kth(const int *counts, int want, int *above, int *digit) {
  int lane = threadIdx.x, first = 255 - 8 * lane, sum = 0;
  for (int j = 0; j < 8; j++) sum += counts[first - j];
  int before = sum;
  for (int by = 1; by < 32; by *= 2) {
    int other = __shfl_up_sync(all_lanes, before, by);
    if (lane >= by) before += other;
  }
  before -= sum;
  if (want <= before || want > before + sum) return;
  int j = 0;
  for (; before + counts[first - j] < want; j++) before += counts[first - j];
  *above = before, *digit = first - j;
}

// A block takes rows blockIdx.x, blockIdx.x + gridDim.x, .. Its keys stand in shared memory where it has room for the power of 2 from k up, else in
// its part of scratch, of so many keys.
KERNEL(1024, top_select, int64_t rows, int columns, int k, int64_t power, const float *x, Key *scratch, float *value, int *index) {
  STARTED();
  SHARED_ARRAY(Key, near, [room]);
  SHARED_ARRAY(int, counts, [256]);
  SHARED_ARRAY(int, found, [3]); // keys above the digit, the digit; places taken
  Key *keys = power <= room ? near : scratch + blockIdx.x * power;
  for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
    const float *at = x + row * columns;
    Key prefix = 0, mask = 0; // the digits of the k-th key that are known
    int want = k;             // its place among the keys that have them
    for (int shift = 56;; shift -= 8) {
      if (threadIdx.x < 256) counts[threadIdx.x] = 0;
      __syncthreads();
      for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) {
        Key key = key_of(at[i], i);
        if ((key & mask) == prefix) atomicAdd(&counts[key >> shift & 255], 1);
      }
      __syncthreads();
      if (threadIdx.x < 32) digit_of_kth(counts, want, &found[0], &found[1]);
      if (threadIdx.x == 32) found[2] = 0;
      __syncthreads();
      want -= found[0];
      prefix |= (Key)found[1] << shift, mask |= (Key)255 << shift;
      bool all = counts[found[1]] == want; // which at the last digit is so
      __syncthreads();
      if (all) break;
    }
    for (int64_t i = threadIdx.x; i < columns; i += blockDim.x) {
      Key key = key_of(at[i], i);
      if (key >= prefix) keys[atomicAdd(&found[2], 1)] = key; // k of them
    }
    sort_counted(keys, k);
    write_row(keys, k, at, value + row * k, index + row * k);
    __syncthreads();
  }
}
EXPORT_KERNEL(top_select)
