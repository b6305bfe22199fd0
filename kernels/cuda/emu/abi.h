// abi.h declares the part of the CUDA driver's binary interface that the emulator offers, and the emulator's own controls. It stands in
// for NVIDIA's cuda.h, which is not needed to build: what counts are names, argument order, and the numbers of the codes.
#pragma once
#include <stddef.h>
#include <stdint.h>

enum CUresult : int {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_DEINITIALIZED = 4,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_IMAGE = 200,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_FILE_NOT_FOUND = 301,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_ILLEGAL_STATE = 401,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
  CUDA_ERROR_LAUNCH_TIMEOUT = 702,
  CUDA_ERROR_MISALIGNED_ADDRESS = 716,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_NOT_SUPPORTED = 801,
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
  CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901,
  CUDA_ERROR_STREAM_CAPTURE_MERGE = 902,
  CUDA_ERROR_STREAM_CAPTURE_UNMATCHED = 903,
  CUDA_ERROR_STREAM_CAPTURE_UNJOINED = 904,
  CUDA_ERROR_STREAM_CAPTURE_IMPLICIT = 906,
  CUDA_ERROR_CAPTURED_EVENT = 907,
  CUDA_ERROR_UNKNOWN = 999,
};

typedef int CUdevice;
typedef unsigned long long CUdeviceptr;
typedef struct CUctx_st *CUcontext;
typedef struct CUmod_st *CUmodule;
typedef struct CUfunc_st *CUfunction;
typedef struct CUstream_st *CUstream;
typedef struct CUevent_st *CUevent;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;

enum { CU_STREAM_NON_BLOCKING = 1, CU_EVENT_DISABLE_TIMING = 2, CU_STREAM_CAPTURE_MODE_RELAXED = 2 };
enum { CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8 };
// Keys of cuLaunchKernel's `extra`.
#define CU_LAUNCH_PARAM_END ((void *)0)
#define CU_LAUNCH_PARAM_BUFFER_POINTER ((void *)1)
#define CU_LAUNCH_PARAM_BUFFER_SIZE ((void *)2)

#define EMU_API extern "C" __attribute__((visibility("default")))
#define DRIVER_API EMU_API CUresult

// What the self-test, the examples and blas.cc call. The driver's other functions stand in api_*.cc.
DRIVER_API cuInit(unsigned flags);
DRIVER_API cuCtxCreate_v2(CUcontext *context, unsigned flags, CUdevice device);
DRIVER_API cuCtxDestroy_v2(CUcontext context);
DRIVER_API cuCtxSynchronize();
DRIVER_API cuModuleLoadData(CUmodule *module, const void *image);
DRIVER_API cuModuleGetFunction(CUfunction *function, CUmodule module, const char *name);
DRIVER_API cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *size);
DRIVER_API cuFuncSetAttribute(CUfunction function, int attribute, int value);
DRIVER_API cuMemAlloc_v2(CUdeviceptr *p, size_t bytes);
DRIVER_API cuMemFree_v2(CUdeviceptr p);
DRIVER_API cuMemAllocHost_v2(void **p, size_t bytes);
DRIVER_API cuMemFreeHost(void *p);
DRIVER_API cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes);
DRIVER_API cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes);
DRIVER_API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream stream);
DRIVER_API cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream stream);
DRIVER_API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream);
DRIVER_API cuMemsetD32_v2(CUdeviceptr p, unsigned value, size_t count);
DRIVER_API cuMemsetD32Async(CUdeviceptr p, unsigned value, size_t count, CUstream stream);
DRIVER_API cuStreamCreate(CUstream *stream, unsigned flags);
DRIVER_API cuStreamDestroy_v2(CUstream stream);
DRIVER_API cuStreamSynchronize(CUstream stream);
DRIVER_API cuStreamWaitEvent(CUstream stream, CUevent event, unsigned flags);
DRIVER_API cuStreamBeginCapture_v2(CUstream stream, int mode);
DRIVER_API cuStreamEndCapture(CUstream stream, CUgraph *graph);
DRIVER_API cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags);
DRIVER_API cuGraphLaunch(CUgraphExec exec, CUstream stream);
DRIVER_API cuGraphExecDestroy(CUgraphExec exec);
DRIVER_API cuGraphDestroy(CUgraph graph);
DRIVER_API cuEventCreate(CUevent *event, unsigned flags);
DRIVER_API cuEventRecord(CUevent event, CUstream stream);
DRIVER_API cuEventSynchronize(CUevent event);
DRIVER_API cuEventElapsedTime(float *ms, CUevent from, CUevent to);
DRIVER_API cuEventDestroy_v2(CUevent event);
DRIVER_API cuLaunchKernel(CUfunction function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y,
                          unsigned block_z, unsigned dynamic_shared, CUstream stream, void **parameters, void **extra);

// ---- the emulator's own controls, found by dlsym where a test wants them

// cuemuFail makes the n-th driver or cuBLAS call from now fail with that code and do nothing else; n = 1 is the next one, 0 takes it back.
// In the environment: CUEMU_FAIL=n or n:code, where cuInit is the first call.
EMU_API void cuemuFail(int n, int code);
// cuemuCalls counts the calls so far, the failed ones included.
EMU_API int cuemuCalls();
// cuemuErrors counts reported errors; cuemuLastError is the text of the last, "" where there is none.
EMU_API int cuemuErrors();
EMU_API const char *cuemuLastError();
// cuemuLive counts what exists: "memory" (allocations), "host" (pinned), "stream", "event", "graph", "exec", "module", "context", "blas".
EMU_API int cuemuLive(const char *kind);
// cuemuChecked is 1 in the checked build. cuemuSeed sets the seed of the schedule; 0 is the natural order.
EMU_API int cuemuChecked();
EMU_API void cuemuSeed(uint64_t seed);
