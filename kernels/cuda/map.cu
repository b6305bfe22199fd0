// Map: out[e] = f(in0[e], in1[e], ..), an expression of up to 16 instructions over inputs that broadcast.
//
// Moves 4 bytes for each element of the output and of each input of its shape; a FLOP an element and instruction, 10 to 30 for exp, log and
// tanh. It is a training step's glue: sums of layers, activations, scales of gradients.
//
// An interpreter. The program lies in device memory and all threads walk it together, so its loads hit the L1 cache and its branches do not
// diverge; a thread computes four elements, so that fetching, decoding and branching are paid once for four. An operand is loaded
// where an instruction reads it: 1536 threads on an SM (40 registers) have 24 KiB in flight, and 3 TB/s at 600 ns ask for 14 of each of 132 SMs.
//
// The result of the instruction before, which most chains read, is in registers. Results that are read later lie in slots of shared memory, of
// which each thread has its own 16 bytes (no barrier, no bank conflict): an array indexed by the program would be local memory, a round trip
// through L1 that competes with the operands, and a switch over registers costs more than the load. map.go gives slots out, as few as results live
// at once, 2 KiB each a block.
//
// map4: the last dimension is a multiple of four and everything is aligned; one place, one vector an operand. map: four elements that are 128 apart,
// so that a warp's loads are still coalesced, and a place for each.
#include "kernel.h"

enum Op { // kernels.MapOp
  no_op, copy, neg, sign, exponential, logarithm, root, recip, sigmoid, hyperbolic_tangent, relu, softplus, square, positive, scale, add_imm, max_imm,
  add, sub, mul, divide, maximum, minimum, equal, greater, where
};

enum { threads = 128, width = 4, previous = 64, slot = 128, nothing = 255 };

// mapOperand of map.go.
struct Operand {
  const void *at;
  int64_t stride[3];
  int unit, integer;
};

struct Quad {
  float v[width];
  __device__ __forceinline__ float &operator[](int j) { return v[j]; }
};

// The extent of the output: d0 is not needed. Dimensions in front of the rank do not exist.
struct Extent {
  int rank, d1, d2, d3;
};

// An element's coordinates. With rank 1, last is the element itself.
struct Place {
  int64_t i0, i1, i2, last;
};

// Divisions of 64 bits: nvcc does them in 32 where the numbers allow it.
__device__ __forceinline__ Place place_of(int64_t e, Extent x) {
  Place p = {0, 0, 0, e};
  if (x.rank > 1) {
    p.i2 = e / x.d3;
    p.last = e - p.i2 * x.d3;
  }
  if (x.rank > 2) {
    p.i1 = p.i2 / x.d2;
    p.i2 -= p.i1 * x.d2;
  }
  if (x.rank > 3) {
    p.i0 = p.i1 / x.d1;
    p.i1 -= p.i0 * x.d1;
  }
  return p;
}

__device__ __forceinline__ int64_t offset_of(const Operand *x, Place p, int rank) {
  int64_t at = x->unit ? p.last : 0;
  if (rank > 1) at += p.i2 * x->stride[2];
  if (rank > 2) at += p.i1 * x->stride[1] + p.i0 * x->stride[0];
  return at;
}

__device__ __forceinline__ float read(const Operand *x, int64_t at) {
  return x->integer ? (float)((const int *)x->at)[at] : ((const float *)x->at)[at];
}

// Neither __restrict__ nor __ldg on operands: the output may lie on one of them.
__device__ __forceinline__ Quad load(const Operand *x, const Place (&at)[1], int count, int rank) {
  int64_t first = offset_of(x, at[0], rank);
  if (!x->unit) {
    float v = read(x, first);
    return {{v, v, v, v}};
  }
  if (x->integer) {
    int4 v = *(const int4 *)((const int *)x->at + first);
    return {{(float)v.x, (float)v.y, (float)v.z, (float)v.w}};
  }
  float4 v = *(const float4 *)((const float *)x->at + first);
  return {{v.x, v.y, v.z, v.w}};
}
__device__ __forceinline__ Quad load(const Operand *x, const Place (&at)[width], int count, int rank) {
  Quad r;
#pragma unroll
  for (int j = 0; j < width; j++) r[j] = j < count ? read(x, offset_of(x, at[j], rank)) : 0.f;
  return r;
}

// NaN if either is, as larger.
__device__ __forceinline__ float smaller(float a, float b) { return a < b || a != a ? a : b; }

__device__ __forceinline__ Quad apply(int op, Quad a, Quad b, Quad c, float imm) {
  Quad r = a;
#define EACH(value)                              \
  _Pragma("unroll") for (int j = 0; j < width; j++) r[j] = value; \
  break
  switch (op) {
  case neg: EACH(-a[j]);
  case sign: EACH(a[j] > 0.f ? 1.f : a[j] < 0.f ? -1.f : a[j]);
  case exponential: EACH(expf(a[j]));
  case logarithm: EACH(logf(a[j]));
  case root: EACH(sqrtf(a[j]));
  case recip: EACH(1.f / a[j]);
  case sigmoid: EACH(1.f / (1.f + expf(-a[j]))); // e^-a may be infinite: 0
  case hyperbolic_tangent: EACH(tanhf(a[j]));
  case relu: EACH(a[j] <= 0.f ? 0.f : a[j]);
  case softplus: EACH((a[j] <= 0.f ? 0.f : a[j]) + log1pf(expf(-fabsf(a[j]))));
  case square: EACH(a[j] * a[j]);
  case positive: EACH(a[j] > 0.f ? 1.f : 0.f);
  case scale: EACH(a[j] * imm);
  case add_imm: EACH(a[j] + imm);
  case max_imm: EACH(larger(a[j], imm));
  case add: EACH(a[j] + b[j]);
  case sub: EACH(a[j] - b[j]);
  case mul: EACH(a[j] * b[j]);
  case divide: EACH(a[j] / b[j]);
  case maximum: EACH(larger(a[j], b[j]));
  case minimum: EACH(smaller(a[j], b[j]));
  case equal: EACH(a[j] == b[j] ? 1.f : 0.f);
  case greater: EACH(a[j] > b[j] ? 1.f : 0.f);
  case where: EACH(a[j] != 0.f ? b[j] : c[j]);
  }
#undef EACH
  return r;
}

// at: the places of the thread's elements, the first count of which exist; kept: its slots, one each block of threads apart. An instruction is
// (operation, slot of its result or -1, three sources of a byte each, immediate).
template <int Places>
__device__ __forceinline__ Quad interpret(const Place (&at)[Places], int count, int rank, int length, const int4 *__restrict__ code,
                                          const Operand *__restrict__ operand, float4 *kept) {
  Quad last = {};
  for (int i = 0; i < length; i++) {
    const int4 word = __ldg(code + i);
    auto source = [&](int s) -> Quad {
      if (s == previous) return last;
      if (s >= slot) {
        float4 v = kept[(s - slot) * threads];
        return {{v.x, v.y, v.z, v.w}};
      }
      return load(operand + s, at, count, rank);
    };
    const int second = word.z >> 8 & 255, third = word.z >> 16 & 255;
    Quad a = source(word.z & 255), b = a, c = a;
    if (second != nothing) b = source(second);
    if (third != nothing) c = source(third);
    last = apply(word.x, a, b, c, __int_as_float(word.w));
    if (word.y >= 0) kept[word.y * threads] = make_float4(last[0], last[1], last[2], last[3]);
  }
  return last;
}

KERNEL(128, map4, int64_t n, int rank, int d1, int d2, int d3, int length, const int4 *code, const Operand *operand, float *out) {
  STARTED();
  DYNAMIC_SHARED(float4, kept);
  const int64_t e = thread_index() * width;
  if (e >= n) return;
  const Place at[1] = {place_of(e, Extent{rank, d1, d2, d3})};
  Quad r = interpret(at, width, rank, length, code, operand, kept + threadIdx.x);
  *(float4 *)(out + e) = make_float4(r[0], r[1], r[2], r[3]);
}
EXPORT_KERNEL(map4)

KERNEL(128, map, int64_t n, int rank, int d1, int d2, int d3, int length, const int4 *code, const Operand *operand, float *out) {
  STARTED();
  DYNAMIC_SHARED(float4, kept);
  const int64_t e = (int64_t)blockIdx.x * (threads * width) + threadIdx.x;
  int count = 0;
  Place at[width];
#pragma unroll
  for (int j = 0; j < width; j++) {
    at[j] = place_of(e + j * threads, Extent{rank, d1, d2, d3});
    if (e + j * threads < n) count = j + 1;
  }
  Quad r = interpret(at, count, rank, length, code, operand, kept + threadIdx.x);
#pragma unroll
  for (int j = 0; j < width; j++) {
    if (j < count) out[e + j * threads] = r[j];
  }
}
EXPORT_KERNEL(map)
