// Tensor-core products of one tile by one warp, to hold the emulated fragments to their layout: c[16, 8] = a[16, k] b[8, k] transposed.
#include "device.h"

// k = 8, tf32. Fragments straight from memory, as the PTX manual numbers them.
extern "C" __global__ void product_tf32(const float *a, const float *b, float *c) {
  int g = threadIdx.x / 4, q = threadIdx.x % 4;
  uint32_t fa[4] = {to_tf32(a[g * 8 + q]), to_tf32(a[(g + 8) * 8 + q]), to_tf32(a[g * 8 + q + 4]), to_tf32(a[(g + 8) * 8 + q + 4])};
  float d[4] = {0.f, 0.f, 0.f, 0.f};
  mma_tf32_16x8x8(d, fa, to_tf32(b[g * 8 + q]), to_tf32(b[g * 8 + q + 4]));
  c[g * 8 + 2 * q] = d[0], c[g * 8 + 2 * q + 1] = d[1], c[(g + 8) * 8 + 2 * q] = d[2], c[(g + 8) * 8 + 2 * q + 1] = d[3];
}
EXPORT_KERNEL(product_tf32)

// k = 16, bf16, through shared memory and ldmatrix. b is stored [8, k] and, for `transposed`, [k, 8].
extern "C" __global__ void product_bf16(const float *a, const float *b, float *c, int transposed) {
  SHARED_ARRAY(uint16_t, sa, [16][24]);
  SHARED_ARRAY(uint16_t, sb, [16][24]);
  int lane = threadIdx.x, g = lane / 4, q = lane % 4;
  for (int i = lane; i < 256; i += 32) sa[i / 16][i % 16] = float_to_bf16(a[i]);
  for (int i = lane; i < 256; i += 32) sb[i / 16][i % 16] = 0; // ldmatrix_x4 takes four matrices, half of which are not needed
  __syncwarp();
  for (int i = lane; i < 128; i += 32) {
    if (transposed) sb[i % 16][i / 16] = float_to_bf16(b[i]);
    else sb[i / 16][i % 16] = float_to_bf16(b[i]);
  }
  __syncwarp();
  uint32_t fa[4], fb[4];
  ldmatrix_x4(fa, &sa[lane % 16][lane / 16 * 8]);
  if (transposed) ldmatrix_x4_trans(fb, &sb[lane % 16][lane / 16 * 8]);
  else ldmatrix_x4(fb, &sb[lane % 8 + lane / 16 * 8][lane / 8 % 2 * 8]);
  float d[4] = {0.f, 0.f, 0.f, 0.f};
  mma_bf16_16x8x16(d, fa, fb[0], fb[1]);
  c[g * 8 + 2 * q] = d[0], c[g * 8 + 2 * q + 1] = d[1], c[(g + 8) * 8 + 2 * q] = d[2], c[(g + 8) * 8 + 2 * q + 1] = d[3];
}
EXPORT_KERNEL(product_bf16)
