// intrinsics.h: arithmetic that CUDA has and C++ lacks. The approximate forms are the exact ones here, so last bits differ from a GPU's.
#pragma once

template <class To, class From> static inline To emu_bits(From v) {
  static_assert(sizeof(To) == sizeof(From), "the same bits");
  To r;
  memcpy(&r, &v, sizeof r);
  return r;
}
static inline int __float_as_int(float x) { return emu_bits<int>(x); }
static inline unsigned __float_as_uint(float x) { return emu_bits<unsigned>(x); }
static inline float __int_as_float(int x) { return emu_bits<float>(x); }
static inline float __uint_as_float(unsigned x) { return emu_bits<float>(x); }

// min and max of floats ignore a NaN, as the GPU's do.
template <class T> static inline T min(T a, T b) { return a < b ? a : b; }
template <class T> static inline T max(T a, T b) { return a > b ? a : b; }
static inline float min(float a, float b) { return fminf(a, b); }
static inline float max(float a, float b) { return fmaxf(a, b); }

// glibc has functions of some of these names.
#define __exp10f(x) exp10f(x)
#define __logf(x) logf(x)
#define __log2f(x) log2f(x)
#define __sinf(x) sinf(x)
#define __cosf(x) cosf(x)
#define __powf(x, y) powf(x, y)
// As a GPU has it: the product is rounded, which costs |x|/2 ulp.
#define __expf(x) emu_expf(x)
static inline float emu_expf(float x) { return exp2f(x * 1.44269504f); }
static inline float exp2_approx(float x) { return exp2f(x); }
static inline float rsqrtf(float x) { return 1.f / sqrtf(x); }
static inline float __fdividef(float a, float b) { return a / b; }
static inline float __frcp_rn(float a) { return 1.f / a; }
static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }
static inline float __fsqrt_rn(float a) { return sqrtf(a); }
static inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
static inline float __saturatef(float x) { return fminf(fmaxf(x, 0.f), 1.f); }
static inline float sinpif(float x) { return (float)sin(3.14159265358979323846 * x); }
static inline float cospif(float x) { return (float)cos(3.14159265358979323846 * x); }
static inline void sincospif(float x, float *s, float *c) { *s = sinpif(x), *c = cospif(x); }

static inline int __float2int_rn(float x) { return (int)nearbyintf(x); }
static inline int __float2int_rd(float x) { return (int)floorf(x); }
static inline unsigned __umulhi(unsigned a, unsigned b) { return (uint64_t)a * b >> 32; }
static inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) { return (unsigned __int128)a * b >> 64; }
static inline int __popc(unsigned x) { return __builtin_popcount(x); }
static inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
static inline int __clz(int x) { return x ? __builtin_clz((unsigned)x) : 32; }
static inline int __ffs(int x) { return __builtin_ffs(x); }
static inline unsigned __brev(unsigned x) {
  unsigned r = 0;
  for (int i = 0; i < 32; i++) r |= (x >> i & 1) << (31 - i);
  return r;
}

static inline float bf16_to_float(uint16_t x) { return __uint_as_float((uint32_t)x << 16); }
static inline uint16_t float_to_bf16(float x) {
  if (isnan(x)) return 0x7fff;
  unsigned u = __float_as_uint(x);
  return (u + 0x7fff + (u >> 16 & 1)) >> 16; // to nearest, ties to even
}
static inline uint32_t pack_bf16(float lo, float hi) { return float_to_bf16(lo) | (uint32_t)float_to_bf16(hi) << 16; }
static inline uint32_t to_tf32(float x) { return isfinite(x) ? (__float_as_uint(x) + 0x1000u) & ~0x1fffu : __float_as_uint(x); }
static inline uint16_t float_to_half(float x) { return emu_bits<uint16_t>((_Float16)x); }
static inline float half_to_float(uint16_t x) { return (float)emu_bits<_Float16>(x); }
