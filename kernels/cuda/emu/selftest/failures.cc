// Every call of a small program fails once in turn, as an engine's tests do it: the program sees each failure and gives everything back.
#include <stdio.h>
#include <stdlib.h>

#include "hostcases.h"

namespace {

constexpr size_t kBytes = 64 * sizeof(float);

// program doubles as an example of an orderly way out: what was made is undone in reverse, whatever happened in between.
CUresult program() {
  CUcontext context = nullptr;
  CUstream stream = nullptr;
  CUdeviceptr x = 0, y = 0;
  CUmodule module;
  CUfunction copy;
  CUgraph graph = nullptr;
  CUgraphExec exec = nullptr;
  float host[64] = {3};
  int n = 64;
  void *parameters[] = {&y, &x, &n};
  CUresult r = cuInit(0);
  if (!r) r = cuCtxCreate_v2(&context, 0, 0);
  if (!r) r = cuModuleLoadData(&module, "\x7f" "ELF");
  if (!r) r = cuModuleGetFunction(&copy, module, "copy");
  if (!r) r = cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  if (!r) r = cuMemAlloc_v2(&x, kBytes);
  if (!r) r = cuMemAlloc_v2(&y, kBytes);
  if (!r) r = cuMemcpyHtoD_v2(x, host, kBytes);
  if (!r) r = cuStreamBeginCapture_v2(stream, 0);
  if (!r) {
    r = cuLaunchKernel(copy, 1, 1, 1, 64, 1, 1, 0, stream, parameters, nullptr);
    CUresult end = cuStreamEndCapture(stream, &graph);
    if (!r) r = end;
  }
  if (!r) r = cuGraphInstantiateWithFlags(&exec, graph, 0);
  if (!r) r = cuGraphLaunch(exec, stream);
  if (!r) r = cuStreamSynchronize(stream);
  if (!r) r = cuMemcpyDtoH_v2(host, y, kBytes);
  auto undo = [&](CUresult u) { r = r ? r : u; };
  if (exec) undo(cuGraphExecDestroy(exec));
  if (graph) undo(cuGraphDestroy(graph));
  if (stream) undo(cuStreamDestroy_v2(stream));
  if (y) undo(cuMemFree_v2(y));
  if (x) undo(cuMemFree_v2(x));
  if (context) undo(cuCtxDestroy_v2(context));
  return r;
}

int left() {
  int n = 0;
  for (const char *kind : {"memory", "stream", "graph", "exec"}) n += cuemuLive(kind);
  return n;
}

} // namespace

// The bug of this case is what a program cannot help: where the call fails that ends a context, the context stays, and is counted.
void every_call_fails_once(bool bug) {
  if (program()) exit(3);
  int calls = cuemuCalls();
  for (int n = 1; n <= calls; n++) {
    int before = left();
    cuemuFail(n, CUDA_ERROR_OUT_OF_MEMORY);
    CUresult r = program();
    cuemuFail(0, 0);
    if (r != CUDA_ERROR_OUT_OF_MEMORY) fprintf(stderr, "selftest: call %d fails with %d\n", n, r), exit(3);
    // A call that undoes and fails has undone nothing.
    if (left() > before + 1) fprintf(stderr, "selftest: %d left after call %d has failed\n", left() - before, n), exit(3);
  }
  if (program()) fprintf(stderr, "selftest: does not work any more\n"), exit(3);
  if (bug && cuemuLive("context")) fprintf(stderr, "selftest: a context was not given back\n");
}
