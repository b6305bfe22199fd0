// collectives.h: what threads do together: barriers, shuffles, votes, atomics. The place of each call is kept for reports, and to see
// that those which meet stand together.
#pragma once

// ---- barriers and fences

static inline void __syncthreads(emu::Place place = emu::Place::here()) { emu::block_barrier(place, false); }
static inline int __syncthreads_count(int predicate, emu::Place place = emu::Place::here()) {
  emu::block_barrier(place, predicate != 0);
  return emu::block.predicates;
}
static inline int __syncthreads_or(int predicate, emu::Place place = emu::Place::here()) { return __syncthreads_count(predicate, place) != 0; }
static inline int __syncthreads_and(int predicate, emu::Place place = emu::Place::here()) { return __syncthreads_count(!predicate, place) == 0; }
static inline void __syncwarp(unsigned mask = ~0u, emu::Place place = emu::Place::here()) { emu::warp_barrier(mask, emu::Collective::sync, place); }
static inline void __threadfence() { emu::thread_fence(); }
static inline void __threadfence_block() {}

// ---- shuffles: the value of lane `from`; width splits the warp into segments

namespace emu {
template <class T> EMU_UNCHECKED static inline T shuffle(unsigned mask, T v, int from, Place place) {
  static_assert(sizeof(T) <= 8, "shuffles move up to 8 bytes");
  Warp *w = current->warp;
  memcpy(w->deposited[current->lane], &v, sizeof v);
  warp_barrier(mask, Collective::shuffle, place);
  if (!(mask >> from & 1)) shuffle_from_nowhere();
  memcpy(&v, w->published[from], sizeof v);
  return v;
}
} // namespace emu
template <class T> static inline T __shfl_sync(unsigned mask, T v, int from, int width = 32, emu::Place place = emu::Place::here()) {
  int first = emu::current->lane & ~(width - 1);
  return emu::shuffle(mask, v, first + (from & (width - 1)), place);
}
template <class T> static inline T __shfl_xor_sync(unsigned mask, T v, int flip, int width = 32, emu::Place place = emu::Place::here()) {
  int lane = emu::current->lane, from = lane ^ flip;
  return emu::shuffle(mask, v, from < (lane & ~(width - 1)) + width ? from : lane, place);
}
template <class T> static inline T __shfl_down_sync(unsigned mask, T v, unsigned by, int width = 32, emu::Place place = emu::Place::here()) {
  int lane = emu::current->lane, offset = lane & (width - 1);
  return emu::shuffle(mask, v, offset + by < (unsigned)width ? lane + (int)by : lane, place);
}
template <class T> static inline T __shfl_up_sync(unsigned mask, T v, unsigned by, int width = 32, emu::Place place = emu::Place::here()) {
  int lane = emu::current->lane, offset = lane & (width - 1);
  return emu::shuffle(mask, v, (unsigned)offset >= by ? lane - (int)by : lane, place);
}

// ---- votes

EMU_UNCHECKED static inline unsigned __ballot_sync(unsigned mask, int predicate, emu::Place place = emu::Place::here()) {
  emu::Warp *w = emu::current->warp;
  w->deposited[emu::current->lane][0] = predicate != 0;
  emu::warp_barrier(mask, emu::Collective::vote, place);
  unsigned votes = 0;
  for (int i = 0; i < emu::kLanes; i++)
    if (mask >> i & 1) votes |= (w->published[i][0] & 1) << i;
  return votes;
}
static inline int __any_sync(unsigned mask, int predicate, emu::Place place = emu::Place::here()) { return __ballot_sync(mask, predicate, place) != 0; }
static inline int __all_sync(unsigned mask, int predicate, emu::Place place = emu::Place::here()) { return __ballot_sync(mask, !predicate, place) == 0; }

// ---- atomics: only one fiber runs at a time, so a plain update is one; the checks must be told

namespace emu {
template <class T, class F> EMU_UNCHECKED static inline T atomic_update(T *p, F f) {
  atomic_access(p, sizeof(T));
  T old = *p;
  *p = f(old);
  return old;
}
template <class T> struct same { typedef T type; }; // an argument that takes no part in deduction, so that atomicAdd(&x, 1) compiles
} // namespace emu
template <class T> static inline T atomicAdd(T *p, typename emu::same<T>::type v) { return emu::atomic_update(p, [v](T old) { return T(old + v); }); }
template <class T> static inline T atomicSub(T *p, typename emu::same<T>::type v) { return emu::atomic_update(p, [v](T old) { return T(old - v); }); }
template <class T> static inline T atomicMax(T *p, typename emu::same<T>::type v) { return emu::atomic_update(p, [v](T old) { return old > v ? old : v; }); }
template <class T> static inline T atomicMin(T *p, typename emu::same<T>::type v) { return emu::atomic_update(p, [v](T old) { return old < v ? old : v; }); }
template <class T> static inline T atomicOr(T *p, typename emu::same<T>::type v) { return emu::atomic_update(p, [v](T old) { return T(old | v); }); }
template <class T> static inline T atomicAnd(T *p, typename emu::same<T>::type v) { return emu::atomic_update(p, [v](T old) { return T(old & v); }); }
template <class T> static inline T atomicExch(T *p, typename emu::same<T>::type v) { return emu::atomic_update(p, [v](T) { return v; }); }
template <class T> static inline T atomicCAS(T *p, typename emu::same<T>::type expected, typename emu::same<T>::type v) {
  return emu::atomic_update(p, [=](T old) { return old == expected ? v : old; });
}
static inline unsigned atomicInc(unsigned *p, unsigned last) {
  return emu::atomic_update(p, [last](unsigned old) { return old >= last ? 0u : old + 1; });
}
