#include "check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <algorithm>
#include <vector>

#include "fiber.h"
#include "launch.h"
#include "memory.h"
#include "report.h"
#include "runtime.h"
#include "schedule.h"

extern "C" __attribute__((visibility("hidden"))) char __ehdr_start, _end[]; // of this library

namespace emu {
namespace {

// Stamp says who touched a word last. Two accesses race if one writes, both are not atomic, and nothing orders them: neither a barrier
// (interval), nor __syncwarp for lanes of a warp (epoch), nor, between operations of streams, an event or a synchronisation.
struct Stamp {
  uint64_t valid : 1, atomic : 1, bytes : 4, epoch : 12, thread : 10, interval : 36;
};
static_assert(sizeof(Stamp) == 8, "packed");

struct Word {
  Stamp written, read; // one reader is remembered: a race with another that read before it can be missed
};

constexpr unsigned kEpochs = 1 << 12;
Word *words;            // one for 4 bytes
unsigned char *bytes_of; // for 4 bytes: low half which are allocated, high half which are initialised

uint64_t interval = 1, launch_begin, block_begin_interval;

// Blocks of the running launch, in the order in which they ran, and where each last fenced: a later block that fences too sees what was
// written before that (the "last block sums up" pattern, with an atomic counter between the fences).
struct BlockSpan {
  uint64_t begin, fenced;
};
std::vector<BlockSpan> blocks;

template <class T> T *reserve(size_t n) {
  void *p = mmap(nullptr, n * sizeof(T), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) perror("cuemu: cannot reserve the shadow"), abort();
  return static_cast<T *>(p);
}

// each_word calls f(word number, mask of the bytes within it) over a range.
template <class F> void each_word(uintptr_t p, size_t n, F f) {
  for (uintptr_t end = p + n; p < end;) {
    uintptr_t next = std::min((p | 3) + 1, end);
    f((p - kBase) >> 2, ((1u << (next - p)) - 1) << (p & 3));
    p = next;
  }
}

bool released(uint64_t when) {
  if (blocks.empty() || !blocks.back().fenced) return false;
  auto i = std::upper_bound(blocks.begin(), blocks.end(), when, [](uint64_t t, const BlockSpan &b) { return t < b.begin; });
  return i != blocks.begin() && (i - 1)->fenced >= when;
}

// race names what is wrong with an access after an earlier one, or is null. The text is completed by the caller.
const char *race(Stamp earlier, unsigned bytes, bool atomic, bool shared) {
  if (!earlier.valid || !(earlier.bytes & bytes) || (earlier.atomic && atomic)) return nullptr;
  uint64_t when = earlier.interval;
  if (when < launch_begin) return shared || happened_before(when) ? nullptr : "on another stream, without an event or synchronisation between them";
  if (when < block_begin_interval) return shared || released(when) ? nullptr : "by another block";
  if (when != interval || !current || int(earlier.thread) == current->number) return nullptr;
  if (earlier.thread / kLanes != unsigned(current->number) / kLanes) return "without a barrier";
  return earlier.epoch == current->warp->epoch ? "in the same warp, without __syncwarp" : nullptr;
}

Stamp stamp(unsigned bytes, bool atomic) {
  Stamp s = {};
  s.valid = 1, s.atomic = atomic, s.bytes = bytes, s.interval = interval;
  if (current) s.epoch = current->warp->epoch, s.thread = current->number;
  return s;
}

} // namespace

void shadow_init() {
  if (!checked) return;
  words = reserve<Word>(kSpan / 4);
  bytes_of = reserve<unsigned char>(kSpan / 4);
}

void shadow_allocate(uintptr_t p, size_t n) {
  if (checked) each_word(p, n, [](size_t i, unsigned b) { bytes_of[i] = (bytes_of[i] | b) & ~(b << 4); });
}
void shadow_spoil(uintptr_t p, size_t n) {
  if (checked) each_word(p, n, [](size_t i, unsigned b) { bytes_of[i] &= ~(b << 4); });
}
void shadow_initialise(uintptr_t p, size_t n) {
  if (checked) each_word(p, n, [](size_t i, unsigned b) { bytes_of[i] |= b << 4; });
}
void shadow_release(uintptr_t p, size_t n) {
  if (!checked) return;
  each_word(p, n, [](size_t i, unsigned b) { bytes_of[i] &= ~(b | b << 4); });
  uintptr_t first = reinterpret_cast<uintptr_t>(words + ((p - kBase) >> 2)), end = first + n * sizeof(Word) / 4;
  first = (first + kPage - 1) & ~(kPage - 1), end &= ~(kPage - 1);
  if (first < end) madvise(reinterpret_cast<void *>(first), end - first, MADV_DONTNEED);
}
void shadow_copy(uintptr_t to, uintptr_t from, size_t n) {
  if (!checked) return;
  for (size_t k = 0; k < n; k++) {
    uintptr_t f = from + k - kBase, t = to + k - kBase;
    unsigned known = bytes_of[f >> 2] >> (4 + (f & 3)) & 1, bit = 16u << (t & 3);
    bytes_of[t >> 2] = known ? bytes_of[t >> 2] | bit : bytes_of[t >> 2] & ~bit;
  }
}

// outside is an access of a kernel that is none of the device's memory: it may be of pinned memory, of the thread's stack (locals), or of what
// is linked in (constants, threadIdx). What else the host has is out of a GPU's reach.
static bool outside(uintptr_t p, size_t n, const char *what, const void *pc) {
  uintptr_t image = reinterpret_cast<uintptr_t>(&__ehdr_start);
  if (p - image < uintptr_t(_end) - image || on_fiber_stack(p) || pinned_holds(p, n)) return true;
  if (p < kPage) return true; // address 0: it faults, and is reported
  report(std::string(what) + (is_pinned(p) ? " outside what is allocated" : " of the host's memory, which is not pinned"), p, pc);
  return false;
}

bool access(uintptr_t p, size_t n, Access kind, const void *pc) {
  if (!checked) return true;
  bool writes = kind == Access::write || kind == Access::atomic, computes = kind == Access::read || kind == Access::atomic, atomic = kind == Access::atomic, shared = is_shared(p), ok = true;
  const char *what = writes ? "write" : "read";
  if (!is_device(p)) return outside(p, n, what, pc);
  uintptr_t at = p;
  each_word(p, n, [&](size_t i, unsigned bytes) {
    if (!ok) return;
    unsigned state = bytes_of[i];
    if ((state & bytes) != bytes) {
      report(std::string(what) + " outside what is allocated", at, pc);
      ok = false;
      return;
    }
    if (computes && (state >> 4 & bytes) != bytes) report("read of uninitialised memory", at, pc);
    Word &w = words[i];
    if (const char *how = race(w.written, bytes, atomic, shared)) report(std::string("race: ") + what + " after a write " + how, at, pc);
    const char *after_read = race(w.read, bytes, atomic, shared);
    if (writes) {
      if (after_read) report(std::string("race: write after a read ") + after_read, at, pc);
      w.written = stamp(bytes, atomic);
      bytes_of[i] |= bytes << 4;
    } else if (!after_read) { // an earlier reader that is not ordered before this one stays: it can still race with a writer
      w.read = stamp(bytes, atomic);
    }
    at = (at | 3) + 1;
  });
  return ok;
}

uint64_t begin_operation() {
  blocks.clear();
  return launch_begin = block_begin_interval = ++interval;
}
void begin_block() {
  block_begin_interval = ++interval;
  if (checked) blocks.push_back({interval, 0});
}
void end_barrier() { ++interval; }
void begin_epoch(Warp *w) {
  if (++w->epoch < kEpochs) return;
  w->epoch = 0;
  ++interval; // stale stamps must not look current; this can hide a race, never invent one
}
void block_fence() {
  if (checked && !blocks.empty()) blocks.back().fenced = interval;
}

} // namespace emu
