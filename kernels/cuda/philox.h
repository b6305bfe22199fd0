// philox.h is package philox on the device: Philox4x32-10, equal bits. A number is a pure function of (seed, stream, t, row, column), so any thread
// draws any of them, on any device, and again.
//
// Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3. SC 2011.
#pragma once
#include "device.h"

// philox returns the four words of a counter under a key: 10 rounds of two wide multiplications.
__device__ __forceinline__ uint4 philox(uint2 key, uint4 c) {
#pragma unroll
  for (int round = 0; round < 10; round++) {
    const uint32_t high0 = __umulhi(0xD2511F53u, c.x), low0 = 0xD2511F53u * c.x;
    const uint32_t high1 = __umulhi(0xCD9E8D57u, c.z), low1 = 0xCD9E8D57u * c.z;
    c = make_uint4(high1 ^ c.y ^ key.x, low1, high0 ^ c.w ^ key.y, low0);
    key.x += 0x9E3779B9u;
    key.y += 0xBB67AE85u;
  }
  return c;
}

// philox_key is the key of a named stream (philox.Name) of the run whose clock this is: int32 [4] = seed (low, high), t (low, high). It costs a
// block of words, so that a block of threads does it once.
__device__ __forceinline__ uint2 philox_key(const int *clock, uint64_t stream) {
  const uint4 words = philox(make_uint2(__ldg(clock), __ldg(clock + 1)), make_uint4((uint32_t)stream, (uint32_t)(stream >> 32), 0x6e656172u, 0x66617221u));
  return make_uint2(words.x, words.y);
}

// shared_key is philox_key, drawn by one thread of a block for all: every thread must come here.
__device__ __forceinline__ uint2 shared_key(const int *clock, uint64_t stream) {
  SHARED_ARRAY(uint2, key, [1]);
  if (threadIdx.x == 0) key[0] = philox_key(clock, stream);
  __syncthreads();
  return key[0];
}

// philox_at is the block of words at (t, row, column) of a stream.
__device__ __forceinline__ uint4 philox_at(uint2 key, const int *clock, uint32_t row, uint32_t column) {
  return philox(key, make_uint4(column, row, __ldg(clock + 2), __ldg(clock + 3)));
}

// source_row is the row of a tensor at whose place an output's row is drawn: itself where id is null; -1 for zeros.
__device__ __forceinline__ int64_t source_row(const int *__restrict__ id, int64_t row) { return id ? __ldg(id + row) : row; }

// philox_uniform maps a word to [0, 1) in steps of 2^-24, exactly.
__device__ __forceinline__ float philox_uniform(uint32_t word) { return (float)(word >> 8) * 0x1p-24f; }

// philox_below maps a word to 0..n-1 by multiply-high.
__device__ __forceinline__ int philox_below(uint32_t word, int n) { return __umulhi(word, (uint32_t)n); }

// philox_normal maps two words to a standard normal variate (Box-Muller). The logarithm's argument is in (0, 1].
__device__ __forceinline__ float philox_normal(uint32_t a, uint32_t b) {
  return sqrtf(-2.f * logf((float)((a >> 8) + 1) * 0x1p-24f)) * cospif(2.f * philox_uniform(b));
}
