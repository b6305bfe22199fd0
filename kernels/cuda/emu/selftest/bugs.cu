// Planted bugs, each beside its correct twin. A kernel bug_X must be reported, at the line that ends in the comment "// X"; ok_X must not.
// All take y [n] zeroed, x [n] = 0, 1, 2, .., and are launched as selftest.cc says.
#include "device.h"

#define PAIR(name) EXPORT_KERNEL(bug_##name) EXPORT_KERNEL(ok_##name)
#define ARGUMENTS float *y, const float *x, int n
#define THREAD (int)(blockIdx.x * blockDim.x + threadIdx.x)

// ---- memory

extern "C" __global__ void bug_write_past_end(ARGUMENTS) {
  int i = THREAD;
  if (i <= n) y[i] = x[0]; // write_past_end
}
extern "C" __global__ void ok_write_past_end(ARGUMENTS) {
  int i = THREAD;
  if (i < n) y[i] = x[0];
}
PAIR(write_past_end)

extern "C" __global__ void bug_read_before_begin(ARGUMENTS) {
  int i = THREAD;
  if (i < n) y[i] = x[i - 1]; // read_before_begin
}
extern "C" __global__ void ok_read_before_begin(ARGUMENTS) {
  int i = THREAD;
  if (i < n) y[i] = x[i > 0 ? i - 1 : 0];
}
PAIR(read_before_begin)

extern "C" __global__ void bug_far_away(ARGUMENTS) { y[(size_t)THREAD << 20] = x[0]; } // far_away
extern "C" __global__ void ok_far_away(ARGUMENTS) { y[((size_t)THREAD << 20) % n + THREAD] = x[0]; }
PAIR(far_away)

extern "C" __global__ void bug_shared_static(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  s[threadIdx.x + 1] = x[threadIdx.x]; // shared_static
  __syncthreads();
  y[threadIdx.x] = threadIdx.x ? s[threadIdx.x] : 0;
}
extern "C" __global__ void ok_shared_static(ARGUMENTS) {
  SHARED_ARRAY(float, s, [65]);
  s[threadIdx.x + 1] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = threadIdx.x ? s[threadIdx.x] : 0;
}
PAIR(shared_static)

// Through a pointer, where no array bound is known.
static __device__ void put(float *s, int i, float v) { s[i] = v; } // shared_pointer
extern "C" __global__ void bug_shared_pointer(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  put(s, threadIdx.x + 1, x[threadIdx.x]);
}
extern "C" __global__ void ok_shared_pointer(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  put(s, threadIdx.x, x[threadIdx.x]);
}
PAIR(shared_pointer)

extern "C" __global__ void bug_shared_dynamic(ARGUMENTS) { // launched with n floats
  DYNAMIC_SHARED(float, s);
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x + 1]; // shared_dynamic
}
extern "C" __global__ void ok_shared_dynamic(ARGUMENTS) {
  DYNAMIC_SHARED(float, s);
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[(threadIdx.x + 1) % 64];
}
PAIR(shared_dynamic)

extern "C" __global__ void bug_local_index(ARGUMENTS) {
  float v[4] = {1, 2, 3, 4};
  for (int k = 0; k <= n / 16; k++) y[threadIdx.x] += v[k]; // local_index
}
extern "C" __global__ void ok_local_index(ARGUMENTS) {
  float v[4] = {1, 2, 3, 4};
  for (int k = 0; k < n / 16; k++) y[threadIdx.x] += v[k];
}
PAIR(local_index)

extern "C" __global__ void bug_misaligned(ARGUMENTS) {
  if (threadIdx.x < 8) {
    float4 v = *reinterpret_cast<const float4 *>(x + 1 + 4 * threadIdx.x); // misaligned
    y[threadIdx.x] = v.x + v.w;
  }
}
extern "C" __global__ void ok_misaligned(ARGUMENTS) {
  if (threadIdx.x < 8) {
    float4 v = *reinterpret_cast<const float4 *>(x + 4 * threadIdx.x);
    y[threadIdx.x] = v.x + v.w;
  }
}
PAIR(misaligned)

extern "C" __global__ void bug_uninitialised(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  if (threadIdx.x < 63) s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x]; // uninitialised
}
extern "C" __global__ void ok_uninitialised(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}
PAIR(uninitialised)

// Reads all of x; the memory that x is of is what matters.
extern "C" __global__ void copy(ARGUMENTS) {
  int i = THREAD;
  if (i < n) y[i] = x[i]; // copy
}
EXPORT_KERNEL(copy)

extern "C" __global__ void bug_divide(ARGUMENTS) { y[threadIdx.x] = (float)(100 / (n - 64)); } // divide
extern "C" __global__ void ok_divide(ARGUMENTS) { y[threadIdx.x] = (float)(100 / n); }
PAIR(divide)

static __device__ __noinline__ float descend(int n, float *keep) {
  float local[64];
  for (int k = 0; k < 64; k++) local[k] = keep[k] + n;
  return n ? descend(n - 1, local) + local[n % 64] : local[0];
}
extern "C" __global__ void bug_stack(ARGUMENTS) {
  float keep[64] = {};
  y[threadIdx.x] = descend(n * 1000, keep);
}
extern "C" __global__ void ok_stack(ARGUMENTS) {
  float keep[64] = {};
  y[threadIdx.x] = descend(n, keep);
}
PAIR(stack)

// Two bfloat16 share a word: the other half stays what it was.
extern "C" __global__ void bug_half_a_word(ARGUMENTS) {
  SHARED_ARRAY(uint16_t, s, [64]);
  if (threadIdx.x % 2 == 0) s[threadIdx.x] = float_to_bf16(x[threadIdx.x]);
  __syncthreads();
  y[threadIdx.x] = bf16_to_float(s[threadIdx.x]); // half_a_word
}
extern "C" __global__ void ok_half_a_word(ARGUMENTS) {
  SHARED_ARRAY(uint16_t, s, [64]);
  s[threadIdx.x] = float_to_bf16(x[threadIdx.x]); // no race: the halves are different bytes
  __syncthreads();
  y[threadIdx.x] = bf16_to_float(s[threadIdx.x]);
}
PAIR(half_a_word)

// ---- races

extern "C" __global__ void bug_read_after_write(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = s[63 - threadIdx.x]; // read_after_write
}
extern "C" __global__ void ok_read_after_write(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  s[threadIdx.x] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[63 - threadIdx.x];
}
PAIR(read_after_write)

// A tile that is loaded again before all have read it.
extern "C" __global__ void bug_write_after_read(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  for (int k = 0; k < 2; k++) {
    s[threadIdx.x] = x[threadIdx.x] + k; // write_after_read
    __syncthreads();
    y[threadIdx.x] += s[63 - threadIdx.x];
  }
}
extern "C" __global__ void ok_write_after_read(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  for (int k = 0; k < 2; k++) {
    __syncthreads();
    s[threadIdx.x] = x[threadIdx.x] + k;
    __syncthreads();
    y[threadIdx.x] += s[63 - threadIdx.x];
  }
}
PAIR(write_after_read)

extern "C" __global__ void bug_write_after_write(ARGUMENTS) {
  SHARED_ARRAY(float, s, [1]);
  s[0] = x[threadIdx.x]; // write_after_write
  __syncthreads();
  y[threadIdx.x] = s[0];
}
extern "C" __global__ void ok_write_after_write(ARGUMENTS) {
  SHARED_ARRAY(float, s, [1]);
  if (threadIdx.x == 0) s[0] = x[threadIdx.x];
  __syncthreads();
  y[threadIdx.x] = s[0];
}
PAIR(write_after_write)

extern "C" __global__ void bug_syncwarp(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  s[threadIdx.x] = x[threadIdx.x];
  y[threadIdx.x] = s[threadIdx.x ^ 1]; // syncwarp
}
extern "C" __global__ void ok_syncwarp(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  for (int k = 0; k < 5000; k++) { // more than the epochs that a stamp can count
    s[threadIdx.x] = x[threadIdx.x];
    __syncwarp();
    y[threadIdx.x] = s[threadIdx.x ^ 1];
    __syncwarp();
  }
}
PAIR(syncwarp)

// A race behind more meetings of the warp than a stamp can count.
template <bool correct> static __device__ void late_syncwarp(float *y, const float *x) {
  SHARED_ARRAY(float, s, [64]);
  for (int k = 0; k < 5000; k++) __syncwarp();
  s[threadIdx.x] = x[threadIdx.x];
  if (correct) __syncwarp();
  y[threadIdx.x] = s[threadIdx.x ^ 1]; // late_syncwarp
}
extern "C" __global__ void bug_late_syncwarp(ARGUMENTS) { late_syncwarp<false>(y, x); }
extern "C" __global__ void ok_late_syncwarp(ARGUMENTS) { late_syncwarp<true>(y, x); }
PAIR(late_syncwarp)

extern "C" __global__ void bug_blocks(ARGUMENTS) {
  if (threadIdx.x == 0) y[0] += x[1]; // blocks
}
extern "C" __global__ void ok_blocks(ARGUMENTS) {
  if (threadIdx.x == 0) atomicAdd(&y[0], x[1]);
}
PAIR(blocks)

// Barriers order the threads of a block, not the blocks: what another block of the launch wrote cannot be read.
extern "C" __global__ void bug_neighbour_block(ARGUMENTS) {
  int i = THREAD;
  y[i] = x[i];
  __syncthreads();
  y[n / 2 + i] = y[i ^ 16]; // neighbour_block
}
extern "C" __global__ void ok_neighbour_block(ARGUMENTS) {
  int i = THREAD;
  y[i] = x[i];
  __syncthreads();
  y[n / 2 + i] = y[i ^ 8];
}
PAIR(neighbour_block)

// The block that is last by an atomic counter sums what the others wrote. y[0 .. 3] partial sums, y[8] the counter, y[16] the sum.
template <bool fenced> static __device__ void last_block(float *y, const float *x) {
  if (threadIdx.x) return;
  y[blockIdx.x] = x[blockIdx.x];
  if (fenced) __threadfence();
  if (atomicAdd(reinterpret_cast<int *>(y + 8), 1) != (int)gridDim.x - 1) return;
  if (fenced) __threadfence();
  for (unsigned b = 0; b < gridDim.x; b++) y[16] += y[b]; // last_block
}
extern "C" __global__ void bug_last_block(ARGUMENTS) { last_block<false>(y, x); }
extern "C" __global__ void ok_last_block(ARGUMENTS) { last_block<true>(y, x); }
PAIR(last_block)

extern "C" __global__ void bug_copy_async(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  if (threadIdx.x < 16) copy_async_16(s + 4 * threadIdx.x, x + 4 * threadIdx.x);
  copy_async_commit();
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x]; // copy_async
  copy_async_wait<0>();
}
extern "C" __global__ void ok_copy_async(ARGUMENTS) {
  SHARED_ARRAY(float, s, [64]);
  if (threadIdx.x < 16) copy_async_16(s + 4 * threadIdx.x, x + 4 * threadIdx.x);
  copy_async_commit();
  copy_async_wait<0>();
  __syncthreads();
  y[threadIdx.x] = s[threadIdx.x];
}
PAIR(copy_async)

// ---- threads that do not meet

extern "C" __global__ void bug_barrier_left_out(ARGUMENTS) {
  if (threadIdx.x >= 32) return;
  __syncthreads(); // barrier_left_out
  y[threadIdx.x] = x[threadIdx.x];
}
extern "C" __global__ void ok_barrier_left_out(ARGUMENTS) {
  __syncthreads();
  if (threadIdx.x >= 32) return;
  y[threadIdx.x] = x[threadIdx.x];
}
PAIR(barrier_left_out)

extern "C" __global__ void bug_barrier_two_places(ARGUMENTS) {
  if (threadIdx.x < 32) {
    y[threadIdx.x] = x[0];
    __syncthreads();
  } else {
    y[threadIdx.x] = x[1];
    __syncthreads(); // barrier_two_places
  }
}
extern "C" __global__ void ok_barrier_two_places(ARGUMENTS) {
  if (n < 0) {
    y[threadIdx.x] = x[0];
    __syncthreads();
  } else {
    y[threadIdx.x] = x[1];
    __syncthreads();
  }
}
PAIR(barrier_two_places)

extern "C" __global__ void bug_deadlock(ARGUMENTS) {
  if (threadIdx.x >= 16) __syncthreads();
  else __syncwarp(); // deadlock
  y[threadIdx.x] = x[0];
}
extern "C" __global__ void ok_deadlock(ARGUMENTS) {
  if (threadIdx.x < 16) __syncwarp(0xffff);
  __syncthreads();
  y[threadIdx.x] = x[0];
}
PAIR(deadlock)

extern "C" __global__ void bug_shuffle_gone(ARGUMENTS) {
  int i = threadIdx.x;
  if (i >= 50) return; // the second warp's lanes from 18 on
  y[i] = __shfl_xor_sync(~0u, x[i], 1); // shuffle_gone
}
extern "C" __global__ void ok_shuffle_gone(ARGUMENTS) {
  int i = threadIdx.x;
  float v = __shfl_xor_sync(~0u, i < 50 ? x[i] : 0.f, 1);
  if (i < 50) y[i] = v;
}
PAIR(shuffle_gone)

extern "C" __global__ void bug_shuffle_half(ARGUMENTS) {
  float v = x[threadIdx.x];
  if (threadIdx.x % 32 < 16) v += __shfl_xor_sync(~0u, v, 8); // shuffle_half
  y[threadIdx.x] = v;
}
extern "C" __global__ void ok_shuffle_half(ARGUMENTS) {
  float v = x[threadIdx.x];
  if (threadIdx.x % 32 < 16) v += __shfl_xor_sync(0xffffu, v, 8);
  y[threadIdx.x] = v;
}
PAIR(shuffle_half)

extern "C" __global__ void bug_shuffle_masks(ARGUMENTS) {
  unsigned mask = threadIdx.x % 2 ? 0xfffffffeu : ~0u; // odd lanes leave lane 0 out
  y[threadIdx.x] = __shfl_sync(mask, x[threadIdx.x], 2); // shuffle_masks
}
extern "C" __global__ void ok_shuffle_masks(ARGUMENTS) {
  y[threadIdx.x] = __shfl_sync(~0u, x[threadIdx.x], 2);
}
PAIR(shuffle_masks)

extern "C" __global__ void bug_shuffle_from(ARGUMENTS) {
  float v = x[threadIdx.x];
  if (threadIdx.x % 32 < 16) v = __shfl_sync(0xffffu, v, 20); // shuffle_from
  y[threadIdx.x] = v;
}
extern "C" __global__ void ok_shuffle_from(ARGUMENTS) {
  float v = x[threadIdx.x];
  if (threadIdx.x % 32 < 16) v = __shfl_sync(0xffffu, v, 15);
  y[threadIdx.x] = v;
}
PAIR(shuffle_from)
