// The functions of NVIDIA's libraries that package driver calls itself, with the values that it passes. Declared here and not included, so
// that the package compiles the same with the headers of any CUDA: the types are what the binary interface makes of them. gen makes a stub
// for each function, so a declaration is one line that begins with its type.

#include <stddef.h>
#include <stdint.h>

typedef int CUresult;
typedef int CUdevice;
typedef struct CUstream_st *CUstream;
typedef struct CUfunc_st *CUfunction;
typedef struct CUgraph_st *CUgraph;
typedef struct CUgraphExec_st *CUgraphExec;

CUresult cuInit(unsigned flags);
CUresult cuDriverGetVersion(int *version);
CUresult cuGetErrorName(CUresult code, const char **name);
CUresult cuGetErrorString(CUresult code, const char **meaning);

CUresult cuDeviceGetCount(int *count);
CUresult cuDeviceGet(CUdevice *device, int index);
CUresult cuDeviceGetName(char *name, int bytes, CUdevice device);
CUresult cuDeviceGetAttribute(int *value, int attribute, CUdevice device);
CUresult cuDeviceTotalMem_v2(size_t *bytes, CUdevice device);

CUresult cuStreamBeginCapture_v2(CUstream stream, int mode);
CUresult cuStreamEndCapture(CUstream stream, CUgraph *graph);
CUresult cuGraphInstantiateWithFlags(CUgraphExec *exec, CUgraph graph, unsigned long long flags);
CUresult cuGraphDestroy(CUgraph graph);
CUresult cuGraphLaunch(CUgraphExec exec, CUstream stream);
CUresult cuGraphExecDestroy(CUgraphExec exec);

CUresult cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX, unsigned blockY, unsigned blockZ, unsigned shared, CUstream stream, void **parameters, void **extra);
CUresult cuFuncSetAttribute(CUfunction function, int attribute, int value);
CUresult cuFuncGetParamInfo(CUfunction function, size_t index, size_t *offset, size_t *size);

CUresult cuMemHostAlloc(void **data, size_t bytes, unsigned flags);
CUresult cuMemFreeHost(void *data);

enum {
	CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
	CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
	CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8,
	CU_MEMHOSTALLOC_PORTABLE = 1,
	CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1,
};

typedef int cublasStatus_t;
typedef struct cublasContext *cublasHandle_t;

cublasStatus_t cublasCreate_v2(cublasHandle_t *handle);
cublasStatus_t cublasDestroy_v2(cublasHandle_t handle);
cublasStatus_t cublasGetProperty(int part, int *value);
cublasStatus_t cublasSetStream_v2(cublasHandle_t handle, CUstream stream);
cublasStatus_t cublasSetWorkspace_v2(cublasHandle_t handle, void *data, size_t bytes);
cublasStatus_t cublasGemmEx(cublasHandle_t handle, int transA, int transB, int m, int n, int k, const void *alpha, const void *a, int typeA, int lda, const void *b, int typeB, int ldb, const void *beta, void *c, int typeC, int ldc, int compute, int algorithm);
cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, int transA, int transB, int m, int n, int k, const void *alpha, const void *a, int typeA, int lda, long long strideA, const void *b, int typeB, int ldb, long long strideB, const void *beta, void *c, int typeC, int ldc, long long strideC, int batches, int compute, int algorithm);

enum {
	CUBLAS_OP_N = 0,
	CUBLAS_OP_T = 1,
	CUBLAS_GEMM_DEFAULT = -1,
	CUBLAS_COMPUTE_32F_PEDANTIC = 69,
	CUDA_R_32F = 0,
};

// The tables of the stubs (stubs_linux_amd64.S). An entry is a function of the library, or one of closed.c.
extern void *nearfar_cuda[];
extern void *nearfar_cublas[];
