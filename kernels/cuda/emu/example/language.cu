// One value for each piece of the device language that the other examples leave out. conformance.cc knows what they must be.
#include "device.h"

extern "C" __global__ void language_arithmetic(float *y) {
  if (threadIdx.x) return;
  int i = 0;
  const float tie = __uint_as_float(0x3f808000u), odd_tie = __uint_as_float(0x3f818000u); // half way between two bfloat16
  y[i++] = bf16_to_float(float_to_bf16(tie));
  y[i++] = bf16_to_float(float_to_bf16(odd_tie));
  y[i++] = __uint_as_float(to_tf32(__uint_as_float(0x3f801000u))); // a tie too, away from zero
  y[i++] = half_to_float(float_to_half(1.f / 3.f));
  y[i++] = half_to_float(float_to_half(5.9604645e-8f)); // the smallest subnormal
  y[i++] = min(NAN, 2.f);
  y[i++] = max(-3, 4);
  y[i++] = exp2_approx(-3.f);
  y[i++] = rsqrtf(4.f);
  y[i++] = __saturatef(7.f);
  y[i++] = (float)__popc(0xf0f0u);
  y[i++] = (float)__clz(0);
  y[i++] = (float)__clz(1);
  y[i++] = (float)__ffs(8);
  y[i++] = (float)(__brev(1u) >> 31);
  y[i++] = (float)__umulhi(0x80000000u, 6u);
  y[i++] = (float)__float2int_rn(2.5f);
}
EXPORT_KERNEL(language_arithmetic)

// 64 threads; a value a thread in each of the rows of y [7, 64].
extern "C" __global__ void language_together(float *y, int *counters) {
  int t = threadIdx.x, lane = t % 32;
  y[t] = __shfl_down_sync(~0u, (float)lane, 3);
  y[64 + t] = __shfl_up_sync(~0u, (float)lane, 3);
  y[128 + t] = __shfl_sync(~0u, (float)lane, 9, 8);
  y[192 + t] = (float)__popc(__ballot_sync(~0u, lane % 4 == 1));
  y[256 + t] = (float)(2 * __any_sync(~0u, lane == 31) + __all_sync(~0u, lane < 31));
  y[320 + t] = (float)__syncthreads_count(t % 8 == 0);
  y[384 + t] = (float)(2 * __syncthreads_or(t == 63) + __syncthreads_and(t < 63));
  atomicAdd(counters, 1);
  atomicMax(counters + 1, t);
  atomicMin(counters + 2, -t);
  atomicOr(counters + 3, 1 << t % 8);
  atomicCAS(counters + 4, 0, 5);
  atomicExch(counters + 5, 7);
  atomicInc(reinterpret_cast<unsigned *>(counters) + 6, 9);
}
EXPORT_KERNEL(language_together)

// The order in which the schedule lets threads through.
extern "C" __global__ void language_order(int *counter, float *y) { y[atomicAdd(counter, 1)] = (float)(blockIdx.x * blockDim.x + threadIdx.x); }
EXPORT_KERNEL(language_order)
