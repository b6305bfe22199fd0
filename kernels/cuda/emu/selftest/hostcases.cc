#include "hostcases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct cublasContext;
EMU_API int cublasCreate_v2(cublasContext **handle);
EMU_API int cublasSetStream_v2(cublasContext *h, CUstream stream);
EMU_API int cublasSgemm_v2(cublasContext *h, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a, int lda, const float *b, int ldb,
                           const float *beta, float *c, int ldc);

namespace {

void must(CUresult r, const char *call) {
  if (!r) return;
  fprintf(stderr, "selftest: %s failed with %d\n", call, r);
  exit(3);
}
#define MUST(call) must(call, #call)

// expect prints what the host sees where that is not what it should.
void expect(bool as_it_should_be, const char *otherwise) {
  if (!as_it_should_be) fprintf(stderr, "selftest: %s\n", otherwise);
}

} // namespace

Session::Session() {
  MUST(cuInit(0));
  MUST(cuCtxCreate_v2(&context, 0, 0));
  MUST(cuModuleLoadData(&module, "\x7f" "ELF"));
}
CUdeviceptr Session::zeros(int n) {
  CUdeviceptr p;
  MUST(cuMemAlloc_v2(&p, n * sizeof(float)));
  MUST(cuMemsetD32_v2(p, 0, n));
  MUST(cuCtxSynchronize());
  return p;
}
CUdeviceptr Session::iota(int n) {
  CUdeviceptr p;
  std::vector<float> v(n);
  for (int i = 0; i < n; i++) v[i] = float(i);
  MUST(cuMemAlloc_v2(&p, n * sizeof(float)));
  MUST(cuMemcpyHtoD_v2(p, v.data(), n * sizeof(float)));
  return p;
}
void Session::launch(const std::string &kernel, unsigned blocks, unsigned threads, CUdeviceptr y, CUdeviceptr x, int n, unsigned dynamic, CUstream stream) {
  CUfunction f;
  MUST(cuModuleGetFunction(&f, module, kernel.c_str()));
  void *parameters[] = {&y, &x, &n};
  MUST(cuLaunchKernel(f, blocks, 1, 1, threads, 1, 1, dynamic, stream, parameters, nullptr));
}
void Session::end() {
  if (cuCtxSynchronize()) exit(1);
}

namespace {

constexpr int N = 64;
constexpr size_t kBytes = N * sizeof(float);

void use_after_free(bool bug) {
  Session s;
  CUdeviceptr y = s.zeros(N), x = s.iota(N);
  if (bug) MUST(cuMemFree_v2(x));
  s.launch("copy", 1, N, y, x, N);
  s.end();
}

// An allocation that does not end where its page does: the write lands in what is left of the page.
void write_to_canary(bool bug) {
  Session s;
  CUdeviceptr y = s.zeros(60), x = s.iota(N);
  s.launch("copy", 1, N, y, x, bug ? 61 : 60);
  s.end();
}

void fresh_memory(bool bug) {
  Session s;
  CUdeviceptr y = s.zeros(N), x;
  MUST(cuMemAlloc_v2(&x, kBytes));
  if (!bug) MUST(cuMemsetD32_v2(x, 0, N));
  s.launch("copy", 1, N, y, x, N);
  s.end();
  float host[N];
  MUST(cuMemcpyDtoH_v2(host, y, kBytes));
  expect(!isnan(host[3]), "the host sees poison");
}

// What is not initialised may be copied on the device, and stays what it is.
void fresh_memory_copied(bool bug) {
  Session s;
  CUdeviceptr y = s.zeros(N), x = s.iota(N), z;
  MUST(cuMemAlloc_v2(&z, kBytes));
  MUST(cuMemcpyDtoDAsync_v2(x, z, kBytes / 2, nullptr));
  s.launch("copy", 1, N, y, x + (bug ? 0 : kBytes / 2), N / 2);
  s.end();
}

void freed_twice(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N);
  MUST(cuMemFree_v2(x));
  if (bug) cuMemFree_v2(x);
}

void copy_too_long(bool bug) {
  Session s;
  CUdeviceptr x = s.zeros(N);
  std::vector<float> v(2 * N);
  CUresult r = cuMemcpyHtoD_v2(x, v.data(), bug ? kBytes + 4 : kBytes);
  expect(r == (bug ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS), "the copy's error is another");
}

CUdeviceptr pinned(float **host, size_t bytes) {
  MUST(cuMemAllocHost_v2(reinterpret_cast<void **>(host), bytes));
  return reinterpret_cast<CUdeviceptr>(*host);
}

// A kernel may write to pinned memory, and the host sees it when it has waited.
void pinned_past_end(bool bug) {
  Session s;
  float *host;
  CUdeviceptr x = s.iota(N), y = pinned(&host, kBytes - sizeof(float));
  s.launch("copy", 1, N, y, x, bug ? N : N - 1);
  s.end();
  expect(host[5] == 5, "the kernel's result is not in the host's memory");
}

void pinned_freed(bool bug) {
  Session s;
  float *host;
  CUdeviceptr x = s.iota(N), y = pinned(&host, kBytes);
  if (bug) MUST(cuMemFreeHost(host));
  s.launch("copy", 1, N, y, x, N);
  s.end();
}

// The host's memory that is not pinned is out of a GPU's reach.
void not_pinned(bool bug) {
  Session s;
  std::vector<float> plain(N);
  float *host;
  CUdeviceptr x = s.iota(N), y = pinned(&host, kBytes);
  s.launch("copy", 1, N, bug ? reinterpret_cast<CUdeviceptr>(plain.data()) : y, x, N);
  s.end();
}

void read_of_not_pinned(bool bug) {
  Session s;
  std::vector<float> plain(N);
  float *host;
  CUdeviceptr x = pinned(&host, kBytes), y = s.zeros(N);
  memset(host, 0, kBytes);
  s.launch("copy", 1, N, y, bug ? reinterpret_cast<CUdeviceptr>(plain.data()) : x, N);
  s.end();
}

void read_before_synchronise(bool bug) {
  Session s;
  CUdeviceptr y = s.zeros(N), x = s.iota(N);
  CUstream stream;
  float *host;
  MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  MUST(cuMemAllocHost_v2(reinterpret_cast<void **>(&host), kBytes));
  memset(host, 0, kBytes);
  s.launch("copy", 1, N, y, x, N, 0, stream);
  MUST(cuMemcpyDtoHAsync_v2(host, y, kBytes, stream));
  if (!bug) MUST(cuStreamSynchronize(stream));
  expect(!isnan(host[5]), "the host sees poison");
  s.end();
  expect(host[5] == 5, "the copy is wrong");
}

void source_overwritten(bool bug) {
  Session s;
  CUdeviceptr y = s.zeros(N);
  CUstream stream;
  float host[N] = {1};
  MUST(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
  MUST(cuMemcpyHtoDAsync_v2(y, host, kBytes, stream));
  if (!bug) MUST(cuStreamSynchronize(stream));
  host[0] = 2;
  s.end();
}

// y = x on one stream, z = y on another.
void two_streams(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N), y = s.zeros(N), z = s.zeros(N);
  CUstream a, b;
  CUevent written;
  MUST(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  MUST(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
  MUST(cuEventCreate(&written, 0));
  s.launch("copy", 1, N, y, x, N, 0, a);
  MUST(cuEventRecord(written, a));
  if (!bug) MUST(cuStreamWaitEvent(b, written, 0));
  s.launch("copy", 1, N, z, y, N, 0, b);
  s.end();
}

// The null stream waits for blocking streams only.
void null_stream(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N), y = s.zeros(N);
  float host[N];
  CUstream a;
  MUST(cuStreamCreate(&a, bug ? CU_STREAM_NON_BLOCKING : 0));
  s.launch("copy", 1, N, y, x, N, 0, a);
  CUresult r = cuMemcpyDtoH_v2(host, y, kBytes); // fails where the checks have seen a race
  if (!bug) must(r, "the copy");
  s.end();
}

// Two branches of a captured graph that touch the same memory.
void graph_branches(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N), y = s.zeros(N), z = s.zeros(N);
  CUstream a, b;
  CUevent fork, join;
  CUgraph graph;
  CUgraphExec exec;
  MUST(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  MUST(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
  MUST(cuEventCreate(&fork, 0));
  MUST(cuEventCreate(&join, 0));
  MUST(cuStreamBeginCapture_v2(a, 0));
  if (bug) MUST(cuEventRecord(fork, a));
  s.launch("copy", 1, N, y, x, N, 0, a);
  if (!bug) MUST(cuEventRecord(fork, a));
  MUST(cuStreamWaitEvent(b, fork, 0));
  s.launch("copy", 1, N, z, y, N, 0, b);
  MUST(cuEventRecord(join, b));
  MUST(cuStreamWaitEvent(a, join, 0));
  MUST(cuStreamEndCapture(a, &graph));
  MUST(cuGraphInstantiateWithFlags(&exec, graph, 0));
  for (int i = 0; i < 3; i++) MUST(cuGraphLaunch(exec, a));
  s.end();
  float host[N];
  MUST(cuMemcpyDtoH_v2(host, z, kBytes));
  if (!bug) expect(host[7] == 7, "the graph computes something else");
}

void allocation_in_capture(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N), y = s.zeros(N), z;
  CUstream a;
  CUgraph graph;
  MUST(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  MUST(cuStreamBeginCapture_v2(a, 0));
  s.launch("copy", 1, N, y, x, N, 0, a);
  if (bug) cuMemAlloc_v2(&z, kBytes);
  expect(cuStreamEndCapture(a, &graph) == CUDA_SUCCESS, "the capture is invalid");
}

void module_in_capture(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N), y = s.zeros(N);
  CUstream a;
  CUgraph graph;
  CUmodule m;
  MUST(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  MUST(cuStreamBeginCapture_v2(a, 0));
  s.launch("copy", 1, N, y, x, N, 0, a);
  if (bug) cuModuleLoadData(&m, "\x7f" "ELF");
  expect(cuStreamEndCapture(a, &graph) == CUDA_SUCCESS, "the capture is invalid");
}

void product_in_capture(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N), y = s.zeros(N);
  CUstream a;
  CUgraph graph;
  cublasContext *h;
  float one = 1, zero = 0;
  auto product = [&] {
    cublasSgemm_v2(h, 0, 0, 8, 8, 8, &one, reinterpret_cast<float *>(x), 8, reinterpret_cast<float *>(x), 8, &zero, reinterpret_cast<float *>(y), 8);
  };
  MUST(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  cublasCreate_v2(&h);
  cublasSetStream_v2(h, a);
  if (!bug) product();
  s.end();
  MUST(cuStreamBeginCapture_v2(a, 0));
  product();
  expect(cuStreamEndCapture(a, &graph) == CUDA_SUCCESS, "the capture is invalid");
}

void capture_unjoined(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N), y = s.zeros(N);
  CUstream a, b;
  CUevent fork, join;
  CUgraph graph;
  MUST(cuStreamCreate(&a, CU_STREAM_NON_BLOCKING));
  MUST(cuStreamCreate(&b, CU_STREAM_NON_BLOCKING));
  MUST(cuEventCreate(&fork, 0));
  MUST(cuEventCreate(&join, 0));
  MUST(cuStreamBeginCapture_v2(a, 0));
  MUST(cuEventRecord(fork, a));
  MUST(cuStreamWaitEvent(b, fork, 0));
  s.launch("copy", 1, N, y, x, N, 0, b);
  if (!bug) {
    MUST(cuEventRecord(join, b));
    MUST(cuStreamWaitEvent(a, join, 0));
  }
  expect(cuStreamEndCapture(a, &graph) != CUDA_ERROR_STREAM_CAPTURE_UNJOINED, "a branch was not joined");
}

void too_few_parameters(bool bug) {
  Session s;
  CUdeviceptr y = s.zeros(N), x = s.iota(N);
  int n = N;
  CUfunction f;
  MUST(cuModuleGetFunction(&f, s.module, "copy"));
  void *parameters[] = {&y, &x, bug ? nullptr : &n};
  cuLaunchKernel(f, 1, 1, 1, N, 1, 1, 0, nullptr, parameters, nullptr);
  s.end();
}

// With a parameter buffer the driver knows the size, and the emulator checks it exactly.
void parameter_buffer(bool bug) {
  Session s;
  struct {
    CUdeviceptr y, x;
    int n, surplus;
  } buffer = {s.zeros(N), s.iota(N), N, 0};
  size_t size = bug ? sizeof buffer : sizeof buffer - sizeof(int);
  CUfunction f;
  MUST(cuModuleGetFunction(&f, s.module, "copy"));
  void *extra[] = {CU_LAUNCH_PARAM_BUFFER_POINTER, &buffer, CU_LAUNCH_PARAM_BUFFER_SIZE, &size, CU_LAUNCH_PARAM_END};
  cuLaunchKernel(f, 1, 1, 1, N, 1, 1, 0, nullptr, nullptr, extra);
  s.end();
}

void stale_image(bool bug) {
  Session s;
  CUmodule m;
  CUfunction f;
  const char *ptx = bug ? ".version 7.0\n.entry copy(.param .u64 y, .param .u64 x) {}" : ".version 7.0\n.entry copy(.param .u64 y, .param .u64 x, .param .u32 n) {}";
  MUST(cuModuleLoadData(&m, ptx));
  cuModuleGetFunction(&f, m, "copy");
}

void blas_out_of_bounds(bool bug) {
  Session s;
  CUdeviceptr x = s.iota(N), y = s.zeros(N);
  cublasContext *h;
  float one = 1, zero = 0;
  cublasCreate_v2(&h);
  // [8, 8] = [8, k] [k, 8]
  int k = bug ? 9 : 8;
  cublasSgemm_v2(h, 0, 0, 8, 8, k, &one, reinterpret_cast<float *>(x), 8, reinterpret_cast<float *>(x), k, &zero, reinterpret_cast<float *>(y), 8);
  s.end();
}

void blas_fresh_memory(bool bug) { // beta 1 reads C
  Session s;
  CUdeviceptr x = s.iota(N), y;
  cublasContext *h;
  float one = 1, beta = bug ? 1 : 0;
  MUST(cuMemAlloc_v2(&y, kBytes));
  cublasCreate_v2(&h);
  cublasSgemm_v2(h, 0, 0, 8, 8, 8, &one, reinterpret_cast<float *>(x), 8, reinterpret_cast<float *>(x), 8, &beta, reinterpret_cast<float *>(y), 8);
  s.end();
}

void too_much_memory(bool bug) {
  setenv("CUEMU_MEMORY", "1", 1);
  Session s;
  CUdeviceptr p;
  MUST(cuMemAlloc_v2(&p, 768 << 10));
  if (!bug) MUST(cuMemFree_v2(p));
  expect(cuMemAlloc_v2(&p, 512 << 10) != CUDA_ERROR_OUT_OF_MEMORY, "the second allocation fails");
}

void injected_failure(bool bug) {
  Session s;
  CUdeviceptr p;
  if (bug) cuemuFail(2, CUDA_ERROR_OUT_OF_MEMORY);
  MUST(cuMemAlloc_v2(&p, kBytes));
  expect(cuMemAlloc_v2(&p, kBytes) == CUDA_SUCCESS, "the second allocation fails");
  MUST(cuMemAlloc_v2(&p, kBytes));
  if (cuemuLive("memory") != (bug ? 2 : 3)) fprintf(stderr, "selftest: %d allocations live\n", cuemuLive("memory")), exit(3);
}

} // namespace

const std::vector<HostCase> &host_cases() {
  static const std::vector<HostCase> all = {
      {"use after free", "byte 0 of freed allocation|of freed allocation", true, use_after_free},
      {"write to a canary", cuemuChecked() ? "write outside what is allocated" : "found by its canary", true, write_to_canary},
      {"fresh memory", cuemuChecked() ? "read of uninitialised memory" : "the host sees poison", true, fresh_memory},
      {"fresh memory, copied", "read of uninitialised memory", false, fresh_memory_copied},
      {"freed twice", "memory freed twice", true, freed_twice},
      {"copy too long", "do not lie in one allocation", true, copy_too_long},
      {"pinned memory, past its end", cuemuChecked() ? "byte 252 of pinned allocation 1 (252 bytes)" : "found by its canary", true, pinned_past_end},
      {"pinned memory, freed", "of freed pinned allocation 1", true, pinned_freed},
      {"host memory that is not pinned", "write of the host's memory, which is not pinned", false, not_pinned},
      {"read of host memory that is not pinned", "read of the host's memory, which is not pinned", false, read_of_not_pinned},
      {"read before synchronise", "the host sees poison", true, read_before_synchronise},
      {"source overwritten", "host memory was changed while a copy from it was pending", true, source_overwritten},
      {"two streams", "on another stream, without an event", false, two_streams},
      {"null stream", "on another stream, without an event", false, null_stream},
      {"graph branches", "on another stream, without an event", false, graph_branches},
      {"allocation in capture", "the capture is invalid", true, allocation_in_capture},
      {"module loaded in capture", "the capture is invalid", true, module_in_capture},
      {"first product in capture", "the capture is invalid", true, product_in_capture},
      {"capture unjoined", "a branch was not joined", true, capture_unjoined},
      {"too few parameters", "wrong parameters: kernel copy takes 3, given are 2", true, too_few_parameters},
      {"parameter buffer", "wrong parameters: kernel copy takes 3, bytes in the buffer are 24", true, parameter_buffer},
      {"stale image", "copy has 2 parameters in it, 3 in the source", true, stale_image},
      {"cuBLAS out of bounds", "a matrix of cuBLAS reaches outside", true, blas_out_of_bounds},
      {"cuBLAS, fresh memory", "read of uninitialised memory", false, blas_fresh_memory},
      {"every call fails once", "a context was not given back", true, every_call_fails_once},
      {"too much memory", "the second allocation fails", true, too_much_memory},
      {"injected failure", "the second allocation fails", true, injected_failure},
  };
  return all;
}
