// runtime.h is what compiled kernels and the emulator know of each other: threads, warps, the block, and the calls by which a fiber
// waits. Everything runs on one OS thread at a time, so nothing here is atomic.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <utility>

struct uint3 { unsigned x, y, z; };
struct dim3 { unsigned x = 1, y = 1, z = 1; };

// Code of the emulator that is inlined into kernels must not look like an access of the kernel's.
#define EMU_UNCHECKED __attribute__((no_sanitize("thread")))

namespace emu {

constexpr int kLanes = 32;

// Where a collective stands in the source: a default argument, so that it is the caller's place.
struct Place {
  const char *file = "";
  int line = 0;
  static constexpr Place here(const char *file = __builtin_FILE(), int line = __builtin_LINE()) { return {file, line}; }
};

// What the lanes of a warp do together. Lanes that meet must mean the same.
enum class Collective : int { sync, shuffle, vote, mma, ldmatrix };

struct Warp {
  unsigned runnable, alive, arrived; // masks of lanes
  unsigned epoch;                    // counts __syncwarp: accesses of two lanes in one epoch are unordered
  // A collective's values: each lane deposits, and the last to arrive publishes, so that a fast lane's next deposit harms no slow one.
  uint32_t deposited[kLanes][8], published[kLanes][8];
};

struct Thread {
  void *stack_pointer;
  uint3 index;
  Warp *warp;
  int lane, number; // within the warp; within the block
  // What the thread waits for.
  bool at_barrier;
  Collective collective;
  unsigned mask;
  Place place;
};

struct Block {
  uint3 index;
  dim3 threads, grid;
  unsigned char *dynamic_shared;
  int predicates; // of the last __syncthreads_count: how many were true
};

extern Thread *current;
extern Block block;

void block_barrier(Place place, bool predicate);
void warp_barrier(unsigned mask, Collective op, Place place);
void *static_shared(const void *site, size_t bytes); // the block's array of that declaration
void atomic_access(const void *p, size_t bytes);     // tells the checks that the next access of *p is atomic
void thread_fence();
void shuffle_from_nowhere();
void copy_async(void *to, const void *from, size_t bytes, bool valid);
void copy_async_commit();
void copy_async_wait(int groups_left);

// The registry. Sizes are those of the parameters.
void register_kernel(const char *name, void (*call)(void **parameters), const size_t *sizes, int n);

template <auto F> struct Entry;
template <class... A, void (*F)(A...)> struct Entry<F> {
  template <size_t... I> EMU_UNCHECKED static void expand(void **p, std::index_sequence<I...>) { F(*reinterpret_cast<A *>(p[I])...); }
  EMU_UNCHECKED static void call(void **p) { expand(p, std::index_sequence_for<A...>()); }
  explicit Entry(const char *name) {
    static const size_t sizes[] = {sizeof(A)..., 0};
    register_kernel(name, call, sizes, sizeof...(A));
  }
};

} // namespace emu
