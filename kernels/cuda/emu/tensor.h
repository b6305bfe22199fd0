// tensor.h: tensor-core products and the loads that feed them, by exchange of the fragments that the PTX manual describes.
// In a lane, g = lane / 4 counts rows of A and columns of B, q = lane % 4 counts pairs (bf16) or single elements (tf32) along k.
#pragma once

namespace emu {

// exchange_fragments shows every lane the a[0..3] and b[4..5] of all.
EMU_UNCHECKED static inline Warp *exchange_fragments(const uint32_t (&a)[4], uint32_t b0, uint32_t b1, Place place) {
  Warp *w = current->warp;
  uint32_t *mine = w->deposited[current->lane];
  for (int i = 0; i < 4; i++) mine[i] = a[i];
  mine[4] = b0, mine[5] = b1;
  warp_barrier(~0u, Collective::mma, place);
  return w;
}

EMU_UNCHECKED static inline float half_of(uint32_t pair, int high) { return __uint_as_float(high ? pair & 0xffff0000u : pair << 16); }

// product is d += A B, given how to read A[r, k] and B[k, n]. A GPU adds in another order.
template <int K, class A, class B> EMU_UNCHECKED static inline void product(float (&d)[4], A a, B b) {
  int g = current->lane >> 2, q = current->lane & 3;
  for (int e = 0; e < 4; e++) {
    int row = g + 8 * (e >> 1), column = 2 * q + (e & 1);
    float sum = d[e];
    for (int k = 0; k < K; k++) sum += a(row, k) * b(k, column);
    d[e] = sum;
  }
}

EMU_UNCHECKED static inline void load_matrices(uint32_t (&r)[4], const void *row, bool transposed, Place place) {
  Warp *w = current->warp;
  memcpy(w->deposited[current->lane], &row, sizeof row);
  warp_barrier(~0u, Collective::ldmatrix, place);
  int g = current->lane >> 2, q = current->lane & 3;
  for (int m = 0; m < 4; m++) {
    uint32_t pair = 0;
    for (int e = 0; e < 2; e++) {
      int row_of = transposed ? 2 * q + e : g, place = transposed ? g : 2 * q + e;
      const uint16_t *p;
      memcpy(&p, w->published[m * 8 + row_of], sizeof p);
      pair |= (uint32_t)p[place] << 16 * e;
    }
    r[m] = pair;
  }
}

// A lane of ldmatrix reads the 16 bytes it names, as far as the checks are concerned: this load is instrumented, load_matrices' are not.
static inline void touch_row(const void *row) {
  uint4 v = *static_cast<const uint4 *>(row);
  asm volatile("" ::"r"(v.x), "r"(v.y), "r"(v.z), "r"(v.w));
}

} // namespace emu

static inline void mma_tf32_16x8x8(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, emu::Place place = emu::Place::here()) {
  emu::Warp *w = emu::exchange_fragments(a, b0, b1, place);
  auto tf32 = [](uint32_t x) EMU_UNCHECKED { return __uint_as_float(x & ~0x1fffu); };
  emu::product<8>(
      d, [=](int r, int k) EMU_UNCHECKED { return tf32(w->published[(r & 7) * 4 + (k & 3)][(r >> 3) + 2 * (k >> 2)]); },
      [=](int k, int n) EMU_UNCHECKED { return tf32(w->published[n * 4 + (k & 3)][4 + (k >> 2)]); });
}

static inline void mma_bf16_16x8x16(float (&d)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1, emu::Place place = emu::Place::here()) {
  emu::Warp *w = emu::exchange_fragments(a, b0, b1, place);
  emu::product<16>(
      d, [=](int r, int k) EMU_UNCHECKED { return emu::half_of(w->published[(r & 7) * 4 + (k & 7) / 2][(r >> 3) + 2 * (k >> 3)], k & 1); },
      [=](int k, int n) EMU_UNCHECKED { return emu::half_of(w->published[n * 4 + (k & 7) / 2][4 + (k >> 3)], k & 1); });
}

static inline void ldmatrix_x4(uint32_t (&r)[4], const void *row, emu::Place place = emu::Place::here()) {
  emu::touch_row(row);
  emu::load_matrices(r, row, false, place);
}
static inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void *row, emu::Place place = emu::Place::here()) {
  emu::touch_row(row);
  emu::load_matrices(r, row, true, place);
}

// The copy happens in copy_async_wait, and until then the destination is poison: a missing wait shows.
static inline void copy_async_16(void *shared, const void *global, bool valid = true) { emu::copy_async(shared, global, 16, valid); }
static inline void copy_async_commit() { emu::copy_async_commit(); }
template <int N> static inline void copy_async_wait() { emu::copy_async_wait(N); }
