#include "launch.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <map>
#include <numeric>

#include "check.h"
#include "fiber.h"
#include "memory.h"
#include "report.h"

namespace emu {
namespace {

std::map<std::string, Kernel> &kernels() { // filled while the library is loaded
  static std::map<std::string, Kernel> all;
  return all;
}

const Launch *running;
const char *call_name;
pthread_t kernel_thread;

// ---- faults: a kernel that leaves mapped memory is reported, and the launch ends; the process goes on

constexpr int kFaults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
struct sigaction previous[4];

struct {
  int signal;
  uintptr_t address;
  const void *pc;
} fault;

// after_fault runs on the fiber's stack, outside the signal handler, where it may print and allocate.
[[noreturn]] void after_fault() {
  CUresult error = CUDA_ERROR_ILLEGAL_ADDRESS;
  const char *what = "access outside what is mapped, caught by a guard page";
  if (fault.signal == SIGFPE) what = "integer division by zero", error = CUDA_ERROR_LAUNCH_FAILED;
  if (fault.signal == SIGILL) what = "an instruction that this processor lacks", error = CUDA_ERROR_LAUNCH_FAILED;
  if (fault.signal == SIGSEGV && !fault.address) what = "access of address 0, or a misaligned vector access";
  bool overflow = on_fiber_stack(fault.address);
  if (overflow) what = "a thread's stack is full: recursion, or local arrays of more than 128 KiB";
  report(what, overflow || fault.signal == SIGFPE || fault.signal == SIGILL ? 0 : fault.address, fault.pc);
  abandon(error);
}

void on_fault(int signal, siginfo_t *info, void *context) {
  if (pthread_equal(pthread_self(), kernel_thread) && current) {
    greg_t *registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
    fault = {signal, reinterpret_cast<uintptr_t>(info->si_addr), reinterpret_cast<const void *>(registers[REG_RIP] + 1)};
    // The handler returns into after_fault, at the top of the fiber's stack, aligned as after a call: the fiber has no use for it now.
    registers[REG_RSP] = greg_t(fiber_stack_top() - 8);
    registers[REG_RIP] = reinterpret_cast<greg_t>(after_fault);
    return;
  }
  for (int i = 0; i < 4; i++) {
    if (kFaults[i] != signal) continue;
    if (previous[i].sa_flags & SA_SIGINFO) return previous[i].sa_sigaction(signal, info, context);
    if (previous[i].sa_handler != SIG_DFL && previous[i].sa_handler != SIG_IGN) return previous[i].sa_handler(signal);
    sigaction(signal, &previous[i], nullptr); // the instruction faults again, and the default takes it
  }
}

// While a kernel runs, faults come here and other signals wait: a Go process is preempted by them, and its handlers know no fibers.
struct FaultGuard {
  sigset_t mask;
  bool own_stack = false; // the handler must not run on a fiber's full stack; threads of Go bring their own
  FaultGuard() {
    kernel_thread = pthread_self();
    static char stack[64 << 10];
    stack_t s = {};
    if (!sigaltstack(nullptr, &s) && s.ss_flags & SS_DISABLE) {
      s = {};
      s.ss_sp = stack, s.ss_size = sizeof stack;
      own_stack = !sigaltstack(&s, nullptr);
    }
    struct sigaction a = {};
    a.sa_sigaction = on_fault;
    a.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (int i = 0; i < 4; i++) sigaction(kFaults[i], &a, &previous[i]);
    sigset_t others;
    sigfillset(&others);
    for (int s : kFaults) sigdelset(&others, s);
    for (int s : {SIGINT, SIGTERM, SIGALRM}) { // what ends the process anyway may end it in a kernel
      struct sigaction now;
      if (!sigaction(s, nullptr, &now) && !(now.sa_flags & SA_SIGINFO) && now.sa_handler == SIG_DFL) sigdelset(&others, s);
    }
    pthread_sigmask(SIG_SETMASK, &others, &mask);
  }
  ~FaultGuard() {
    pthread_sigmask(SIG_SETMASK, &mask, nullptr);
    for (int i = 0; i < 4; i++) sigaction(kFaults[i], &previous[i], nullptr);
    stack_t none = {};
    none.ss_flags = SS_DISABLE;
    if (own_stack) sigaltstack(&none, nullptr);
  }
};

// readable says whether n bytes at p can be a parameter.
bool readable(const void *p, size_t n) {
  uintptr_t at = reinterpret_cast<uintptr_t>(p), first = at & ~(kPage - 1), end = at + n;
  if (is_pinned(at)) return pinned_holds(at, n);
  return p && !is_device(at) && msync(reinterpret_cast<void *>(first), end - first, MS_ASYNC) == 0;
}

size_t slot(size_t bytes) { return (bytes + 15) / 16 * 2; } // in words of 8 bytes

CUresult wrong_parameters(const Kernel &k, const char *what, size_t given) {
  char s[200];
  snprintf(s, sizeof s, "wrong parameters: kernel %s takes %zu, %s %zu", k.name.c_str(), k.sizes.size(), what, given);
  report(s);
  return CUDA_ERROR_INVALID_VALUE;
}

} // namespace

void register_kernel(const char *name, void (*call)(void **), const size_t *sizes, int n) {
  Kernel &k = kernels()[name];
  if (k.call) fprintf(stderr, "cuemu: two kernels are named %s\n", name);
  k.name = name, k.call = call, k.sizes.assign(sizes, sizes + n);
}

Kernel *kernel_find(const std::string &name) {
  auto i = kernels().find(name);
  return i == kernels().end() ? nullptr : &i->second;
}

size_t Kernel::offset(size_t parameter) const {
  size_t at = 0;
  for (size_t i = 0;; i++) {
    size_t alignment = sizes[i] % 16 == 0 ? 16 : sizes[i] % 8 == 0 ? 8 : sizes[i] % 4 == 0 ? 4 : sizes[i] % 2 == 0 ? 2 : 1;
    at = (at + alignment - 1) / alignment * alignment;
    if (i == parameter) return at;
    at += sizes[i];
  }
}

CUresult make_launch(std::shared_ptr<Launch> *launch, Kernel *k, dim3 grid, dim3 threads, size_t dynamic_shared, void **parameters, void **extra) {
  uint64_t n = uint64_t(threads.x) * threads.y * threads.z;
  if (!grid.x || !grid.y || !grid.z || !n || n > 1024 || threads.z > 64 || grid.x > 0x7fffffff || grid.y > 65535 || grid.z > 65535 ||
      dynamic_shared > k->most_dynamic_shared) {
    char s[200];
    snprintf(s, sizeof s, "launch of %s out of bounds: grid (%u,%u,%u), block (%u,%u,%u), %zu of %zu bytes of dynamic shared memory", k->name.c_str(), grid.x,
             grid.y, grid.z, threads.x, threads.y, threads.z, dynamic_shared, k->most_dynamic_shared);
    report_trace(s);
    return CUDA_ERROR_INVALID_VALUE;
  }
  auto l = std::make_shared<Launch>();
  l->kernel = k, l->grid = grid, l->threads = threads, l->dynamic_shared = dynamic_shared;
  for (size_t s : k->sizes) l->parameters.resize(l->parameters.size() + slot(s));
  const char *buffer = nullptr;
  if (!parameters && extra) { // one buffer and its size: here the number of parameters can be checked exactly
    size_t bytes = 0, needed = k->sizes.empty() ? 0 : k->offset(k->sizes.size() - 1) + k->sizes.back();
    for (void **e = extra; *e != CU_LAUNCH_PARAM_END; e += 2) {
      if (*e == CU_LAUNCH_PARAM_BUFFER_POINTER) buffer = static_cast<const char *>(e[1]);
      if (*e == CU_LAUNCH_PARAM_BUFFER_SIZE) bytes = *static_cast<size_t *>(e[1]);
    }
    if (bytes != needed) return wrong_parameters(*k, "bytes in the buffer are", bytes);
  }
  size_t at = 0;
  for (size_t i = 0; i < k->sizes.size(); i++) {
    const void *p = buffer ? buffer + k->offset(i) : parameters ? parameters[i] : nullptr;
    if (!readable(p, k->sizes[i])) return wrong_parameters(*k, "given are", i);
    memcpy(&l->parameters[at], p, k->sizes[i]);
    at += slot(k->sizes[i]);
  }
  *launch = l;
  return CUDA_SUCCESS;
}

CUresult run_launch(const Launch &l) {
  std::vector<void *> parameters;
  size_t at = 0;
  for (size_t s : l.kernel->sizes) {
    parameters.push_back(const_cast<uint64_t *>(&l.parameters[at]));
    at += slot(s);
  }
  // Blocks run in the order first, first + step, first + 2 step, .. modulo their number, each once as the step has no factor in common.
  uint64_t blocks = uint64_t(l.grid.x) * l.grid.y * l.grid.z, first = 0, step = 1;
  if (schedule_random()) {
    uint32_t n = uint32_t(blocks < 0xffffffffu ? blocks : 0xffffffffu);
    first = schedule_draw(n);
    do step = schedule_draw(n) + 1;
    while (std::gcd(step, blocks) != 1);
  }
  int errors = report_count();
  timespec begin, end;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &begin);
  CUresult result = CUDA_SUCCESS;
  {
    FaultGuard guard;
    running = &l;
    block = {};
    block.threads = l.threads, block.grid = l.grid;
    for (uint64_t i = 0, b = first % blocks; i < blocks && !result; i++, b = (b + step) % blocks) {
      block.index = {unsigned(b % l.grid.x), unsigned(b / l.grid.x % l.grid.y), unsigned(b / l.grid.x / l.grid.y)};
      result = run_block(l.kernel->call, parameters.data(), l.dynamic_shared);
    }
    if (!memory_intact() && !result) result = CUDA_ERROR_LAUNCH_FAILED;
    running = nullptr;
  }
  if (!result && report_count() > errors) result = CUDA_ERROR_LAUNCH_FAILED;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  char s[200];
  snprintf(s, sizeof s, "%s, grid (%u,%u,%u), block (%u,%u,%u): %.2f ms", l.kernel->name.c_str(), l.grid.x, l.grid.y, l.grid.z, l.threads.x, l.threads.y,
           l.threads.z, (end.tv_sec - begin.tv_sec) * 1e3 + (end.tv_nsec - begin.tv_nsec) * 1e-6);
  report_trace(s);
  return result;
}

const char *running_kernel() { return running ? running->kernel->name.c_str() : nullptr; }
const char *running_call() { return call_name; }
void set_running_call(const char *name) { call_name = name; }

} // namespace emu
