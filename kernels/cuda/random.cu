// Random: out [rows, cols] = uniform, normal or Bernoulli numbers of Philox4x32-10 at (seed, stream, t, row, column / per block).
//
// Writes 4 bytes an element. A thread draws one block of four words, 20 multiplications of 32 by 32 bits and 40 exclusive ors: four elements
// of a row, or two normal ones, which take a logarithm, a root and a cosine each.
#include "kernel.h"
#include "philox.h"

// threshold < 0: uniform numbers; else 1 where the word's upper 24 bits are below threshold, which is ceil(P 2^24): u = m 2^-24 with an integer m is
// below P where, and only where, m < ceil(P 2^24). No rounding comes between, as it would in a comparison of u with P in float32.
__device__ __forceinline__ float element(uint32_t word, int threshold) {
  if (threshold < 0) return philox_uniform(word);
  return (int)(word >> 8) < threshold ? 1.f : 0.f;
}

// blocks = rows x per_row blocks of four elements. vectors: a row is a whole number of float4.
KERNEL(256, random_uniform, int64_t blocks, int per_row, int cols, int vectors, const int *clock, const int *id, uint64_t stream, int threshold,
       float *out) {
  STARTED();
  const uint2 key = shared_key(clock, stream);
  const int64_t at = thread_index();
  if (at >= blocks) return;
  const int64_t row = at / per_row;
  const int k = at - row * per_row;
  const int64_t source = source_row(id, row);
  const uint4 w = philox_at(key, clock, source, k);
  const float4 v = source < 0 ? zero_of<float4>() : make_float4(element(w.x, threshold), element(w.y, threshold), element(w.z, threshold),
                                                                element(w.w, threshold));
  if (vectors) {
    ((float4 *)out)[at] = v;
    return;
  }
  const int left = cols - 4 * k;
  out += row * cols + 4 * k;
  out[0] = v.x;
  if (left > 1) out[1] = v.y;
  if (left > 2) out[2] = v.z;
  if (left > 3) out[3] = v.w;
}
EXPORT_KERNEL(random_uniform)

// blocks = rows x per_row blocks of two elements. vectors: a row is a whole number of float2.
KERNEL(256, random_normal, int64_t blocks, int per_row, int cols, int vectors, const int *clock, const int *id, uint64_t stream, float *out) {
  STARTED();
  const uint2 key = shared_key(clock, stream);
  const int64_t at = thread_index();
  if (at >= blocks) return;
  const int64_t row = at / per_row;
  const int k = at - row * per_row;
  const int64_t source = source_row(id, row);
  const uint4 w = philox_at(key, clock, source, k);
  const float2 v = source < 0 ? make_float2(0.f, 0.f) : make_float2(philox_normal(w.x, w.y), philox_normal(w.z, w.w));
  if (vectors) {
    ((float2 *)out)[at] = v;
    return;
  }
  out += row * cols + 2 * k;
  out[0] = v.x;
  if (2 * k + 1 < cols) out[1] = v.y;
}
EXPORT_KERNEL(random_normal)
