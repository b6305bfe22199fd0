// The driver's calls for devices, contexts, modules, functions and launches; and the emulator's own controls.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <mutex>
#include <vector>

#include "call.h"
#include "check.h"
#include "fiber.h"
#include "launch.h"
#include "memory.h"
#include "report.h"
#include "schedule.h"

struct CUctx_st {
  bool primary;
};
struct CUmod_st {
  std::string ptx; // empty for a binary image
};

namespace emu {

int live_objects[int(Kind::count)];

namespace {

std::mutex lock;
bool initialised;
int calls, fail_at;
CUresult fail_with;

CUctx_st primary_context = {true};
int primary_references;
thread_local std::vector<CUcontext> contexts; // the current one is last

uint64_t number_from(const char *variable) {
  const char *s = getenv(variable);
  return s ? strtoull(s, nullptr, 10) : 0;
}

void initialise() {
  if (initialised) return;
  initialised = true;
  memory_init();
  shadow_init();
  schedule_seed(number_from("CUEMU_SEED"));
  if (const char *f = getenv("CUEMU_FAIL")) {
    const char *code = strchr(f, ':');
    fail_at = atoi(f);
    fail_with = CUresult(code ? atoi(code + 1) : CUDA_ERROR_UNKNOWN);
  }
}

void end_context() {
  memory_free_all();
  forget_streams();
}

} // namespace

Call::Call(const char *name, bool needs_context) {
  lock.lock();
  if (!strcmp(name, "cuInit")) initialise();
  ++calls;
  report_trace(std::string(name) + ", call " + std::to_string(calls));
  if (fail_at && calls == fail_at) refused = fail_with, fail_at = 0;
  else if (!initialised && needs_context) refused = CUDA_ERROR_NOT_INITIALIZED;
  else if (needs_context && contexts.empty()) refused = CUDA_ERROR_INVALID_CONTEXT;
  if (refused) report_trace(std::string(name) + " fails with " + std::to_string(refused));
}
Call::~Call() { lock.unlock(); }

} // namespace emu

using namespace emu;

// ---- the emulator's controls

EMU_API void cuemuFail(int n, int code) {
  std::lock_guard<std::mutex> l(lock);
  fail_at = n > 0 ? calls + n : 0;
  fail_with = CUresult(code);
}
EMU_API int cuemuCalls() { return calls; }
EMU_API int cuemuErrors() { return report_count(); }
EMU_API const char *cuemuLastError() { return report_last(); }
EMU_API int cuemuChecked() { return checked; }
EMU_API void cuemuSeed(uint64_t seed) { schedule_seed(seed); }
EMU_API int cuemuLive(const char *kind) {
  static const char *const names[] = {"host", "event", "graph", "exec", "module", "context", "blas"};
  for (int i = 0; i < int(Kind::count); i++)
    if (!strcmp(kind, names[i])) return live_objects[i];
  if (!strcmp(kind, "memory")) return memory_live();
  if (!strcmp(kind, "stream")) return streams_live();
  return -1;
}

// ---- the driver and its device

DRIVER_API cuInit(unsigned flags) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  return flags ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
}
DRIVER_API cuDriverGetVersion(int *version) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  *version = 12040; // the first with cuFuncGetParamInfo
  return CUDA_SUCCESS;
}
DRIVER_API cuDeviceGetCount(int *n) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  *n = 1;
  return CUDA_SUCCESS;
}
DRIVER_API cuDeviceGet(CUdevice *device, int ordinal) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  if (ordinal) return CUDA_ERROR_INVALID_DEVICE;
  *device = 0;
  return CUDA_SUCCESS;
}
DRIVER_API cuDeviceGetName(char *name, int length, CUdevice) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  snprintf(name, length, "emulated GPU%s", checked ? " (checked)" : "");
  return CUDA_SUCCESS;
}
DRIVER_API cuDeviceGetUuid(unsigned char *uuid, CUdevice) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  memset(uuid, 0, 16);
  return CUDA_SUCCESS;
}
DRIVER_API cuDeviceTotalMem_v2(size_t *bytes, CUdevice) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  *bytes = memory_total();
  return CUDA_SUCCESS;
}
// The attributes of an H100, but for the number of multiprocessors, which grids are often sized by. Unknown ones are 0.
DRIVER_API cuDeviceGetAttribute(int *value, int attribute, CUdevice) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  static const struct {
    int attribute, value;
  } known[] = {
      {1, 1024},        // threads per block
      {2, 1024},        {3, 1024},    {4, 64},        // block x, y, z
      {5, 0x7fffffff},  {6, 65535},   {7, 65535},     // grid x, y, z
      {8, 48 << 10},    // shared memory per block
      {10, 32},         // warp size
      {12, 65536},      // registers per block
      {13, 1980000},    // clock in kHz
      {16, 4},          // multiprocessors
      {31, 1},          // concurrent kernels
      {36, 2619000},    // memory clock in kHz
      {37, 5120},       // memory bus width
      {38, 50 << 20},   // L2
      {39, 2048},       // threads per multiprocessor
      {41, 1},          // unified addressing
      {75, 9},          {76, 0},      // compute capability
      {81, 228 << 10},  // shared memory per multiprocessor
      {82, 65536},      // registers per multiprocessor
      {97, int(kMostDynamicShared)}, // shared memory per block, opt-in
  };
  *value = 0;
  for (auto &k : known)
    if (k.attribute == attribute) *value = k.value;
  return CUDA_SUCCESS;
}
DRIVER_API cuDeviceComputeCapability(int *major, int *minor, CUdevice) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  *major = 9, *minor = 0;
  return CUDA_SUCCESS;
}
DRIVER_API cuDeviceCanAccessPeer(int *can, CUdevice, CUdevice) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  *can = 0;
  return CUDA_SUCCESS;
}

// ---- contexts

DRIVER_API cuCtxCreate_v2(CUcontext *context, unsigned, CUdevice device) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  if (device) return CUDA_ERROR_INVALID_DEVICE;
  *context = new CUctx_st{false};
  contexts.push_back(*context);
  born(Kind::context);
  return CUDA_SUCCESS;
}
// The end of a context frees its memory and its error.
DRIVER_API cuCtxDestroy_v2(CUcontext context) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  if (!context || context->primary) return CUDA_ERROR_INVALID_CONTEXT;
  if (!contexts.empty() && contexts.back() == context) contexts.pop_back();
  finish_all();
  end_context();
  delete context;
  died(Kind::context);
  return CUDA_SUCCESS;
}
DRIVER_API cuDevicePrimaryCtxRetain(CUcontext *context, CUdevice) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  primary_references++;
  *context = &primary_context;
  return CUDA_SUCCESS;
}
DRIVER_API cuDevicePrimaryCtxRelease_v2(CUdevice) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  if (!primary_references) return CUDA_ERROR_INVALID_CONTEXT;
  if (--primary_references == 0) finish_all(), end_context();
  return CUDA_SUCCESS;
}
DRIVER_API cuDevicePrimaryCtxGetState(CUdevice, unsigned *flags, int *active) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  *flags = 0, *active = primary_references > 0;
  return CUDA_SUCCESS;
}
DRIVER_API cuCtxSetCurrent(CUcontext context) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  if (!contexts.empty()) contexts.pop_back();
  if (context) contexts.push_back(context);
  return CUDA_SUCCESS;
}
DRIVER_API cuCtxGetCurrent(CUcontext *context) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  *context = contexts.empty() ? nullptr : contexts.back();
  return CUDA_SUCCESS;
}
DRIVER_API cuCtxPushCurrent_v2(CUcontext context) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  if (!context) return CUDA_ERROR_INVALID_CONTEXT;
  contexts.push_back(context);
  return CUDA_SUCCESS;
}
DRIVER_API cuCtxPopCurrent_v2(CUcontext *context) {
  DRIVER_CALL;
  if (context) *context = contexts.back();
  contexts.pop_back();
  return CUDA_SUCCESS;
}
DRIVER_API cuCtxGetDevice(CUdevice *device) {
  DRIVER_CALL;
  *device = 0;
  return CUDA_SUCCESS;
}
DRIVER_API cuCtxGetApiVersion(CUcontext, unsigned *version) {
  DRIVER_CALL_WITHOUT_CONTEXT;
  *version = 3020;
  return CUDA_SUCCESS;
}
DRIVER_API cuCtxGetStreamPriorityRange(int *least, int *greatest) {
  DRIVER_CALL;
  *least = *greatest = 0;
  return CUDA_SUCCESS;
}
DRIVER_API cuCtxSynchronize() {
  DRIVER_CALL;
  if (CUresult r = refuse_capture()) return r;
  return finish_all();
}

// ---- modules: the kernels are linked in, so an image only has to look like one; PTX must have the kernel with as many parameters

DRIVER_API cuModuleLoadData(CUmodule *module, const void *image) {
  DRIVER_CALL;
  if (!image) return CUDA_ERROR_INVALID_VALUE;
  if (CUresult r = refuse_capture()) return r;
  const char *p = static_cast<const char *>(image);
  bool elf = !memcmp(p, "\x7f" "ELF", 4), fat = !memcmp(p, "\x50\xed\x55\xba", 4);
  std::string ptx = elf || fat ? "" : p;
  if (!elf && !fat && ptx.find(".version") == ptx.npos) return CUDA_ERROR_INVALID_IMAGE;
  *module = new CUmod_st{ptx};
  born(Kind::module);
  return CUDA_SUCCESS;
}
DRIVER_API cuModuleLoadDataEx(CUmodule *module, const void *image, unsigned, int *, void **) { return cuModuleLoadData(module, image); }
DRIVER_API cuModuleLoadFatBinary(CUmodule *module, const void *image) { return cuModuleLoadData(module, image); }
DRIVER_API cuModuleUnload(CUmodule module) {
  DRIVER_CALL;
  delete module;
  died(Kind::module);
  return CUDA_SUCCESS;
}
DRIVER_API cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name) {
  DRIVER_CALL;
  Kernel *k = kernel_find(name);
  if (!k) return CUDA_ERROR_NOT_FOUND;
  if (!module->ptx.empty()) {
    size_t at = module->ptx.find(std::string(".entry ") + name + "("), parameters = 0;
    if (at == module->ptx.npos) return CUDA_ERROR_NOT_FOUND;
    size_t end = module->ptx.find(")", at);
    for (size_t p = at; (p = module->ptx.find(".param", p)) < end; p++) parameters++;
    if (parameters != k->sizes.size()) {
      report(std::string("the image is not of this source: ") + name + " has " + std::to_string(parameters) + " parameters in it, " +
             std::to_string(k->sizes.size()) + " in the source");
      return CUDA_ERROR_INVALID_IMAGE;
    }
  }
  *function = reinterpret_cast<CUfunction>(k);
  return CUDA_SUCCESS;
}

// ---- functions and launches

DRIVER_API cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *size) {
  DRIVER_CALL;
  Kernel *k = reinterpret_cast<Kernel *>(function);
  if (index >= k->sizes.size()) return CUDA_ERROR_INVALID_VALUE;
  *offset = k->offset(index);
  if (size) *size = k->sizes[index];
  return CUDA_SUCCESS;
}
DRIVER_API cuFuncGetAttribute(int *value, int attribute, CUfunction function) {
  DRIVER_CALL;
  *value = 0;
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK) *value = 1024;
  if (attribute == CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) *value = int(reinterpret_cast<Kernel *>(function)->most_dynamic_shared);
  return CUDA_SUCCESS;
}
DRIVER_API cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  DRIVER_CALL;
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES) return CUDA_SUCCESS;
  if (value < 0 || size_t(value) > kMostDynamicShared) return CUDA_ERROR_INVALID_VALUE;
  reinterpret_cast<Kernel *>(function)->most_dynamic_shared = value;
  return CUDA_SUCCESS;
}
DRIVER_API cuFuncSetCacheConfig(CUfunction, int) {
  DRIVER_CALL;
  return CUDA_SUCCESS;
}
DRIVER_API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction, int, size_t) {
  DRIVER_CALL;
  *blocks = 2;
  return CUDA_SUCCESS;
}
DRIVER_API cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                          unsigned block_z, unsigned dynamic_shared, CUstream stream, void **parameters, void **extra) {
  DRIVER_CALL;
  if (!function || !stream_known(stream)) return CUDA_ERROR_INVALID_HANDLE;
  Kernel *k = reinterpret_cast<Kernel *>(function);
  std::shared_ptr<Launch> l;
  if (CUresult r = make_launch(&l, k, {grid_x, grid_y, grid_z}, {block_x, block_y, block_z}, dynamic_shared, parameters, extra)) return r;
  return issue(stream, k->name.c_str(), [l] { return [l] { return run_launch(*l); }; });
}

// ---- names of errors

static const struct {
  CUresult code;
  const char *name;
} error_names[] = {
#define NAME(code) {code, #code}
    NAME(CUDA_SUCCESS), NAME(CUDA_ERROR_INVALID_VALUE), NAME(CUDA_ERROR_OUT_OF_MEMORY), NAME(CUDA_ERROR_NOT_INITIALIZED),
    NAME(CUDA_ERROR_DEINITIALIZED), NAME(CUDA_ERROR_NO_DEVICE), NAME(CUDA_ERROR_INVALID_DEVICE), NAME(CUDA_ERROR_INVALID_IMAGE),
    NAME(CUDA_ERROR_INVALID_CONTEXT), NAME(CUDA_ERROR_FILE_NOT_FOUND), NAME(CUDA_ERROR_INVALID_HANDLE), NAME(CUDA_ERROR_ILLEGAL_STATE),
    NAME(CUDA_ERROR_NOT_FOUND), NAME(CUDA_ERROR_NOT_READY), NAME(CUDA_ERROR_ILLEGAL_ADDRESS), NAME(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES),
    NAME(CUDA_ERROR_LAUNCH_TIMEOUT), NAME(CUDA_ERROR_MISALIGNED_ADDRESS), NAME(CUDA_ERROR_LAUNCH_FAILED), NAME(CUDA_ERROR_NOT_SUPPORTED),
    NAME(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED), NAME(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED), NAME(CUDA_ERROR_STREAM_CAPTURE_MERGE),
    NAME(CUDA_ERROR_STREAM_CAPTURE_UNMATCHED), NAME(CUDA_ERROR_STREAM_CAPTURE_UNJOINED), NAME(CUDA_ERROR_STREAM_CAPTURE_IMPLICIT),
    NAME(CUDA_ERROR_CAPTURED_EVENT), NAME(CUDA_ERROR_UNKNOWN),
#undef NAME
};
DRIVER_API cuGetErrorName(CUresult error, const char **name) {
  *name = nullptr;
  for (auto &e : error_names)
    if (e.code == error) *name = e.name;
  return *name ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}
DRIVER_API cuGetErrorString(CUresult error, const char **text) { return cuGetErrorName(error, text); }
