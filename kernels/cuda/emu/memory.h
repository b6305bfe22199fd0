// memory.h: device memory, and the host's pinned memory. One reserved range of addresses holds the block's shared memory and, behind it, the
// heap; the next one pinned memory, which kernels may touch as well.
//
//	kBase                                                                kBase + kSpan = kPinned
//	| static shared | guard | dynamic shared | guard | heap: guard, pages, guard, pages, .. | guard, pages, guard, pages, .. |
//
// An allocation ends where its last page ends, as nearly as CUDA's alignment of 256 bytes allows, with an unmapped page behind it. What
// is left of its pages is filled with a canary. Fresh memory is 0xFF, a NaN in every float format and -1 in every integer. Freed pages
// are unmapped and their addresses never used again.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <string>
#include "abi.h"

namespace emu {

constexpr size_t kPage = 4096;
constexpr uintptr_t kBase = 0x100000000000;
constexpr size_t kSpan = size_t(64) << 30;
constexpr uintptr_t kStaticShared = kBase + kPage, kDynamicShared = kBase + (2 << 20), kHeap = kBase + (16 << 20);
constexpr uintptr_t kPinned = kBase + kSpan;
constexpr size_t kPinnedSpan = size_t(16) << 30;
constexpr size_t kStaticSharedBytes = 1 << 20, kDynamicSharedBytes = 256 << 10;
constexpr unsigned char kPoison = 0xFF, kCanary = 0xC5;

inline bool is_device(uintptr_t a) { return a - kBase < kSpan; }
inline bool is_pinned(uintptr_t a) { return a - kPinned < kPinnedSpan; }
inline bool is_shared(uintptr_t a) { return a - kBase < kHeap - kBase; }

struct Allocation {
  uintptr_t begin;
  size_t bytes;
  uintptr_t pages; // the whole mapping
  size_t mapped;
  int number; // counted from 1 in the order of allocation
};

void memory_init();
CUresult memory_allocate(uintptr_t *p, size_t bytes);
CUresult memory_free(uintptr_t p); // reports a damaged canary
void memory_free_all();
const Allocation *memory_find(uintptr_t p); // the live allocation that holds p
bool memory_holds(uintptr_t p, size_t bytes);
bool memory_intact(); // checks every canary and reports what is damaged

CUresult pinned_allocate(uintptr_t *p, size_t bytes);
CUresult pinned_free(uintptr_t p);
bool pinned_holds(uintptr_t p, size_t bytes);

std::string memory_describe(uintptr_t p);
size_t memory_total(); // CUEMU_MEMORY in MiB, 4096 by default
size_t memory_used();
int memory_live();

} // namespace emu
