#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <map>

#include "check.h"
#include "fiber.h"
#include "report.h"

namespace emu {
namespace {

constexpr size_t kAlignment = 256, kPinnedAlignment = 64;

std::map<uintptr_t, Allocation> live, freed, pinned, unpinned;
uintptr_t next_page = kHeap, next_pinned_page = kPinned;
size_t used, total;
int allocations, pinned_allocations;

size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

[[noreturn]] void give_up(const char *what) {
  perror(what);
  abort();
}

void make_accessible(uintptr_t p, size_t bytes, bool accessible) {
  if (mprotect(reinterpret_cast<void *>(p), bytes, accessible ? PROT_READ | PROT_WRITE : PROT_NONE)) give_up("cuemu: mprotect");
}

// damaged is the first address of the allocation's surroundings that something wrote to, or 0. It is looked for after every launch, so the
// long part, which is aligned, goes by words.
uintptr_t damaged(const Allocation &a) {
  uint64_t whole;
  memset(&whole, kCanary, sizeof whole);
  auto written = [](uintptr_t p) { return *reinterpret_cast<unsigned char *>(p) != kCanary; };
  for (uintptr_t p = a.pages; p < a.begin; p += sizeof whole) {
    if (*reinterpret_cast<uint64_t *>(p) == whole) continue;
    while (!written(p)) p++;
    return p;
  }
  for (uintptr_t p = a.begin + a.bytes; p < a.pages + a.mapped; p++)
    if (written(p)) return p;
  return 0;
}

bool intact(const Allocation &a) {
  uintptr_t p = damaged(a);
  if (p) report("write outside an allocation, found by its canary", p);
  return !p;
}

// map_pages makes an allocation that ends where its last page does, as nearly as its alignment allows, behind a guard page. What is left of
// its pages is canary.
Allocation map_pages(uintptr_t *next, size_t bytes, size_t alignment, int number) {
  size_t aligned = round_up(bytes, alignment), mapped = round_up(aligned, kPage);
  uintptr_t pages = *next + kPage, begin = pages + mapped - aligned;
  *next = pages + mapped;
  make_accessible(pages, mapped, true);
  memset(reinterpret_cast<void *>(pages), kCanary, mapped);
  memset(reinterpret_cast<void *>(begin), kPoison, bytes);
  return {begin, bytes, pages, mapped, number};
}
void unmap_pages(const Allocation &a) {
  madvise(reinterpret_cast<void *>(a.pages), a.mapped, MADV_DONTNEED);
  make_accessible(a.pages, a.mapped, false);
}

void release(const Allocation &a) {
  shadow_release(a.begin, a.bytes);
  unmap_pages(a);
  used -= a.bytes;
  freed[a.begin] = a;
}

const Allocation *holder(const std::map<uintptr_t, Allocation> &in, uintptr_t p) {
  auto i = in.upper_bound(p);
  if (i == in.begin()) return nullptr;
  const Allocation &a = (--i)->second;
  return p < a.begin + a.bytes ? &a : nullptr;
}

// nearest finds the allocation that holds p or that p is at most a page away from.
const Allocation *nearest(const std::map<uintptr_t, Allocation> &in, uintptr_t p) {
  auto i = in.upper_bound(p + kPage);
  if (i == in.begin()) return nullptr;
  const Allocation &a = (--i)->second;
  return p < a.begin + a.bytes + 2 * kPage ? &a : nullptr;
}

} // namespace

void memory_init() {
  void *at = mmap(reinterpret_cast<void *>(kBase), kSpan + kPinnedSpan, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);
  if (at != reinterpret_cast<void *>(kBase)) give_up("cuemu: cannot reserve device addresses");
  make_accessible(kStaticShared, kStaticSharedBytes, true);
  make_accessible(kDynamicShared, kDynamicSharedBytes, true);
  const char *mib = getenv("CUEMU_MEMORY");
  total = (mib && atol(mib) > 0 ? atol(mib) : 4096) * (size_t(1) << 20);
}

CUresult memory_allocate(uintptr_t *p, size_t bytes) {
  if (!p || !bytes) return CUDA_ERROR_INVALID_VALUE;
  if (bytes > total - used || next_page + bytes + 3 * kPage > kBase + kSpan) return CUDA_ERROR_OUT_OF_MEMORY;
  Allocation a = map_pages(&next_page, bytes, kAlignment, ++allocations);
  shadow_allocate(a.begin, bytes);
  used += bytes;
  live[a.begin] = a;
  *p = a.begin;
  return CUDA_SUCCESS;
}

CUresult memory_free(uintptr_t p) {
  auto i = live.find(p);
  if (i == live.end()) {
    report(freed.count(p) ? "memory freed twice" : "free of what was not allocated", p);
    return CUDA_ERROR_INVALID_VALUE;
  }
  bool ok = intact(i->second);
  release(i->second);
  live.erase(i);
  return ok ? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_FAILED;
}

void memory_free_all() {
  for (auto &a : live) release(a.second);
  live.clear();
}

const Allocation *memory_find(uintptr_t p) { return holder(live, p); }

bool memory_holds(uintptr_t p, size_t bytes) {
  const Allocation *a = memory_find(p);
  return a && bytes <= a->begin + a->bytes - p;
}

bool memory_intact() {
  bool ok = true;
  for (auto &a : live) ok &= intact(a.second);
  for (auto &a : pinned) ok &= intact(a.second);
  return ok;
}

CUresult pinned_allocate(uintptr_t *p, size_t bytes) {
  if (next_pinned_page + bytes + 3 * kPage > kPinned + kPinnedSpan) return CUDA_ERROR_OUT_OF_MEMORY;
  Allocation a = map_pages(&next_pinned_page, bytes, kPinnedAlignment, ++pinned_allocations);
  pinned[a.begin] = a;
  *p = a.begin;
  return CUDA_SUCCESS;
}

CUresult pinned_free(uintptr_t p) {
  auto i = pinned.find(p);
  if (i == pinned.end()) return CUDA_ERROR_INVALID_VALUE;
  bool ok = intact(i->second);
  unmap_pages(i->second);
  unpinned.insert(*i);
  pinned.erase(i);
  return ok ? CUDA_SUCCESS : CUDA_ERROR_LAUNCH_FAILED;
}

bool pinned_holds(uintptr_t p, size_t bytes) {
  const Allocation *a = holder(pinned, p);
  return a && bytes <= a->begin + a->bytes - p;
}

std::string memory_describe(uintptr_t p) {
  char s[160];
  if (!is_device(p) && !is_pinned(p)) {
    snprintf(s, sizeof s, "%#zx, which is no device memory", size_t(p));
    return s;
  }
  if (is_shared(p)) return shared_describe(p);
  bool host = is_pinned(p);
  const Allocation *a = nearest(host ? pinned : live, p), *f = nearest(host ? unpinned : freed, p);
  if (f && p >= f->begin && p < f->begin + f->bytes) a = nullptr;
  bool gone = !a;
  if (gone) a = f;
  if (!a) {
    snprintf(s, sizeof s, "%#zx, far from any allocation", size_t(p));
    return s;
  }
  snprintf(s, sizeof s, "byte %ld of %s%sallocation %d (%zu bytes)", long(p - a->begin), gone ? "freed " : "", host ? "pinned " : "", a->number, a->bytes);
  return s;
}

size_t memory_total() { return total; }
size_t memory_used() { return used; }
int memory_live() { return int(live.size()); }

} // namespace emu
