#include "fiber.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <vector>

#include "check.h"
#include "memory.h"
#include "report.h"

// emu_switch(&from, to) saves the registers that a call must keep, and goes on at the stack `to`.
asm(R"(
.text
.globl emu_switch
.hidden emu_switch
.type emu_switch, @function
emu_switch:
  push %rbp
  push %rbx
  push %r12
  push %r13
  push %r14
  push %r15
  mov %rsp, (%rdi)
  mov %rsi, %rsp
  pop %r15
  pop %r14
  pop %r13
  pop %r12
  pop %rbx
  pop %rbp
  ret
)");
extern "C" void emu_switch(void **from, void *to);

namespace emu {

Thread *current;
Block block;

namespace {

constexpr int kMostThreads = 1024, kSavedRegisters = 6;
constexpr size_t kStack = 128 << 10, kGap = 256, kSharedAlignment = 16;

Thread threads[kMostThreads];
Warp warps[kMostThreads / kLanes];
char *stacks;
void *scheduler; // the stack of run_block
void (*entry)(void **);
void **arguments;

int count, alive, at_barrier, barrier_predicates;
CUresult death;

struct SharedArray {
  const void *site;
  uintptr_t begin;
  size_t bytes;
};
std::vector<SharedArray> arrays;
uintptr_t static_end, dynamic_begin;
size_t dynamic_bytes;

struct PendingCopy {
  void *to;
  const void *from;
  size_t bytes;
  bool valid;
  int group;
};
struct AsyncCopies {
  std::vector<PendingCopy> pending;
  int groups = 0; // committed so far
};
AsyncCopies copies[kMostThreads];

uint64_t random_state;

void wait_for_others() { emu_switch(&current->stack_pointer, scheduler); }

unsigned lanes_of_warp(int warp) {
  int n = count - warp * kLanes;
  return n >= kLanes ? ~0u : (1u << n) - 1;
}

std::string text(const Place &p) {
  std::string file = p.file;
  return file.substr(file.find_last_of('/') + 1) + ":" + std::to_string(p.line);
}

bool same(const Place &a, const Place &b) { return a.line == b.line && (a.file == b.file || !strcmp(a.file, b.file)); }

const char *name_of(Collective op) {
  static const char *const names[] = {"__syncwarp", "a shuffle", "a vote", "mma", "ldmatrix"};
  return names[int(op)];
}

// check_meeting looks at the lanes that a collective brings together.
void check_meeting(Warp *w, unsigned met, unsigned mask) {
  const Thread *all = threads + (w - warps) * kLanes;
  const Thread &first = all[__builtin_ctz(met)];
  if (met != mask && first.collective != Collective::sync)
    report(std::string("the mask of ") + name_of(first.collective) + " names lanes that have returned or do not exist", 0, nullptr, text(first.place));
  for (int i = 0; i < kLanes; i++) {
    if (!(met >> i & 1)) continue;
    if (all[i].collective != first.collective)
      report(std::string("lanes of one mask meet at ") + name_of(first.collective) + " and " + name_of(all[i].collective), 0, nullptr, text(all[i].place));
    else if (!same(all[i].place, first.place) && first.collective != Collective::sync)
      report(std::string("lanes of one mask meet at ") + name_of(first.collective) + " in different places", 0, nullptr, text(all[i].place));
    if (all[i].mask != mask) report("lanes that meet name different masks", 0, nullptr, text(all[i].place));
  }
}

// meet completes the collective of `mask` if all of its living lanes have arrived: values are published, the lanes may run.
bool meet(Warp *w, unsigned mask) {
  unsigned living = mask & w->alive;
  if (!living || (w->arrived & living) != living) return false;
  check_meeting(w, living, mask);
  w->arrived &= ~living;
  w->runnable |= living;
  if (threads[(w - warps) * kLanes + __builtin_ctz(living)].collective == Collective::sync) begin_epoch(w);
  for (int i = 0; i < kLanes; i++) {
    if (living >> i & 1) memcpy(w->published[i], w->deposited[i], sizeof w->published[i]);
    else if (mask >> i & 1) memset(w->published[i], kPoison, sizeof w->published[i]); // a lane that has returned brings nothing
  }
  return true;
}

// fiber_main is where every fiber begins and ends.
void fiber_main() {
  entry(arguments);
  Thread *t = current;
  Warp *w = t->warp;
  if (!copies[t->number].pending.empty()) report("thread ends before its asynchronous copies have been waited for");
  w->alive &= ~(1u << t->lane);
  alive--;
  for (int i = 0; i < kLanes; i++) // lanes that waited for this one only
    if (w->arrived >> i & 1) meet(w, threads[(w - warps) * kLanes + i].mask);
  wait_for_others();
  __builtin_unreachable();
}

void make_stacks() {
  size_t each = kStack + kPage; // a guard page below each
  void *p = mmap(nullptr, kMostThreads * each, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) perror("cuemu: cannot map stacks"), abort();
  stacks = static_cast<char *>(p);
  for (int i = 0; i < kMostThreads; i++) mprotect(stacks + i * each, kPage, PROT_NONE);
}

char *stack_top(int thread) { return stacks + size_t(thread + 1) * (kStack + kPage); }

void start_thread(int i) {
  Thread &t = threads[i];
  t = {};
  t.number = i, t.lane = i % kLanes, t.warp = warps + i / kLanes;
  unsigned n = i;
  t.index = {n % block.threads.x, n / block.threads.x % block.threads.y, n / block.threads.x / block.threads.y};
  // As if fiber_main had been called: a return address of 0 above it, and registers to pop below.
  void **top = reinterpret_cast<void **>(stack_top(i)) - 1;
  *top-- = nullptr;
  *top = reinterpret_cast<void *>(fiber_main);
  t.stack_pointer = top - kSavedRegisters;
  copies[i].pending.clear(), copies[i].groups = 0;
}

// start_shared forgets the last block's arrays and lays the dynamic one so that it ends before a guard page.
void start_shared(size_t dynamic) {
  for (auto &a : arrays) shadow_release(a.begin, a.bytes);
  arrays.clear();
  static_end = kStaticShared;
  if (dynamic_bytes) shadow_release(dynamic_begin, dynamic_bytes);
  dynamic_bytes = dynamic;
  dynamic_begin = kDynamicShared + kDynamicSharedBytes - (dynamic + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment;
  block.dynamic_shared = reinterpret_cast<unsigned char *>(dynamic_begin);
  memset(block.dynamic_shared, kPoison, dynamic);
  shadow_allocate(dynamic_begin, dynamic);
}

void run_lane(Warp &w, int lane) {
  w.runnable &= ~(1u << lane);
  current = &threads[(&w - warps) * kLanes + lane];
  emu_switch(&scheduler, current->stack_pointer);
  current = nullptr;
}

int choose_lane(unsigned runnable) {
  unsigned from = schedule_draw(kLanes);
  unsigned rotated = from ? runnable >> from | runnable << (kLanes - from) : runnable;
  return (__builtin_ctz(rotated) + from) % kLanes;
}

// run_warps gives every warp its turn, from a random one on. False where nothing could run.
bool run_warps() {
  int n = (count + kLanes - 1) / kLanes, from = schedule_draw(n);
  bool ran = false;
  for (int k = 0; k < n; k++) {
    Warp &w = warps[(k + from) % n];
    // Sometimes a warp stops early, so that its lanes come apart.
    while (w.runnable && !death && !(ran && schedule_random() && schedule_draw(64) == 0)) {
      run_lane(w, choose_lane(w.runnable));
      ran = true;
    }
  }
  return ran;
}

// release_barrier lets the threads at __syncthreads go on, and looks at who they are.
void release_barrier() {
  const Thread *first = nullptr;
  for (int i = 0; i < count; i++) {
    Thread &t = threads[i];
    if (!t.at_barrier) continue;
    if (first && !same(t.place, first->place)) report("threads of a block wait at different __syncthreads", 0, nullptr, text(t.place));
    if (!first) first = &t;
    t.at_barrier = false;
    t.warp->runnable |= 1u << t.lane;
  }
  if (alive != count) report("__syncthreads that some threads of the block left out by returning", 0, nullptr, text(first->place));
  block.predicates = barrier_predicates;
  at_barrier = barrier_predicates = 0;
  end_barrier();
}

void report_deadlock() {
  const Thread *waiting = nullptr;
  for (int i = 0; i < count && !waiting; i++)
    if ((threads[i].at_barrier || threads[i].warp->arrived >> threads[i].lane & 1)) waiting = &threads[i];
  char s[160];
  snprintf(s, sizeof s, "deadlock: %d threads wait at __syncthreads, %d for lanes of their warp, %d have returned", at_barrier, alive - at_barrier,
           count - alive);
  report(s, 0, nullptr, waiting ? text(waiting->place) : "");
}

} // namespace

CUresult run_block(void (*kernel)(void **), void **parameters, size_t dynamic_shared) {
  if (!stacks) make_stacks();
  entry = kernel, arguments = parameters, death = CUDA_SUCCESS;
  count = alive = int(block.threads.x * block.threads.y * block.threads.z);
  at_barrier = barrier_predicates = 0;
  begin_block();
  start_shared(dynamic_shared);
  for (int i = 0; i * kLanes < count; i++) {
    warps[i].alive = warps[i].runnable = lanes_of_warp(i);
    warps[i].arrived = warps[i].epoch = 0;
  }
  for (int i = 0; i < count; i++) start_thread(i);
  while (alive && !death) {
    bool ran = run_warps();
    if (death || !alive) break;
    if (at_barrier == alive) {
      release_barrier();
    } else if (!ran) {
      report_deadlock();
      return CUDA_ERROR_LAUNCH_TIMEOUT;
    }
  }
  return death;
}

uintptr_t fiber_stack_top() { return reinterpret_cast<uintptr_t>(stack_top(current->number)); }

bool on_fiber_stack(uintptr_t p) { return p - reinterpret_cast<uintptr_t>(stacks) < kMostThreads * (kStack + kPage); }

void abandon(CUresult why) {
  death = why;
  wait_for_others();
  __builtin_unreachable();
}

void block_barrier(Place place, bool predicate) {
  Thread *t = current;
  t->at_barrier = true, t->place = place;
  at_barrier++;
  barrier_predicates += predicate;
  wait_for_others();
}

void warp_barrier(unsigned mask, Collective op, Place place) {
  Thread *t = current;
  Warp *w = t->warp;
  t->mask = mask, t->collective = op, t->place = place;
  if (!(mask >> t->lane & 1)) {
    report(std::string(name_of(op)) + " by a lane that its mask does not name", 0, nullptr, text(place));
    abandon(CUDA_ERROR_LAUNCH_FAILED);
  }
  w->arrived |= 1u << t->lane;
  if (meet(w, mask)) w->runnable &= ~(1u << t->lane); // the last to arrive goes straight on
  else wait_for_others();
}

void shuffle_from_nowhere() { report("shuffle from a lane that the mask does not name", 0, nullptr, text(current->place)); }

void *static_shared(const void *site, size_t bytes) {
  for (auto &a : arrays)
    if (a.site == site) return reinterpret_cast<void *>(a.begin);
  // A gap before each array and behind the last, so that running over the end is seen.
  uintptr_t begin = (static_end + kGap + kSharedAlignment - 1) / kSharedAlignment * kSharedAlignment;
  if (begin + bytes > kStaticShared + kStaticSharedBytes) {
    report("too much static shared memory", 0, __builtin_return_address(0));
    abandon(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES);
  }
  static_end = begin + bytes;
  arrays.push_back({site, begin, bytes});
  memset(reinterpret_cast<void *>(begin), kPoison, bytes);
  shadow_allocate(begin, bytes);
  return reinterpret_cast<void *>(begin);
}

std::string shared_describe(uintptr_t p) {
  char s[120];
  if (p >= dynamic_begin - kGap) {
    snprintf(s, sizeof s, "byte %ld of %zu bytes of dynamic shared memory", long(p - dynamic_begin), dynamic_bytes);
    return s;
  }
  for (size_t i = arrays.size(); i-- > 0;) {
    if (p + kGap / 2 < arrays[i].begin) continue;
    snprintf(s, sizeof s, "byte %ld of shared array %zu (%zu bytes)", long(p - arrays[i].begin), i + 1, arrays[i].bytes);
    return s;
  }
  return "shared memory outside every array";
}

void atomic_access(const void *p, size_t bytes) {
  if (!access(reinterpret_cast<uintptr_t>(p), bytes, Access::atomic, __builtin_return_address(0))) abandon(CUDA_ERROR_ILLEGAL_ADDRESS);
}

void thread_fence() { block_fence(); }

void copy_async(void *to, const void *from, size_t bytes, bool valid) {
  uintptr_t t = reinterpret_cast<uintptr_t>(to), f = reinterpret_cast<uintptr_t>(from);
  const void *pc = __builtin_return_address(0);
  if (t % bytes || (valid && f % bytes)) {
    report("misaligned asynchronous copy", t % bytes ? t : f, pc);
    abandon(CUDA_ERROR_MISALIGNED_ADDRESS);
  }
  if (!access(t, bytes, Access::write, pc) || (valid && !access(f, bytes, Access::read, pc))) abandon(CUDA_ERROR_ILLEGAL_ADDRESS);
  memset(to, kPoison, bytes);
  shadow_spoil(t, bytes);
  AsyncCopies &c = copies[current->number];
  c.pending.push_back({to, from, bytes, valid, c.groups});
}

void copy_async_commit() { copies[current->number].groups++; }

void copy_async_wait(int left) {
  AsyncCopies &c = copies[current->number];
  size_t i = 0;
  for (; i < c.pending.size() && c.pending[i].group < c.groups - left; i++) {
    const PendingCopy &p = c.pending[i];
    access(reinterpret_cast<uintptr_t>(p.to), p.bytes, Access::write, __builtin_return_address(0));
    if (p.valid) memcpy(p.to, p.from, p.bytes);
    else memset(p.to, 0, p.bytes);
  }
  c.pending.erase(c.pending.begin(), c.pending.begin() + i);
}

void schedule_seed(uint64_t seed) { random_state = seed * 0x9E3779B97F4A7C15ull; }
bool schedule_random() { return random_state != 0; }
uint32_t schedule_draw(uint32_t below) {
  if (!random_state) return 0;
  random_state ^= random_state << 13, random_state ^= random_state >> 7, random_state ^= random_state << 17; // xorshift
  return uint32_t((random_state >> 32) * below >> 32);
}

} // namespace emu
