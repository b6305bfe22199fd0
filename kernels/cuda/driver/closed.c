//go:build gpu && linux && amd64 && cgo

// What the stubs answer while their library is not open, and for a function that the open one lacks. A function whose parameters differ
// may be called through the same stub, as these read none (System V, amd64).

#include "api.h"

enum {
	CUDA_ERROR_NOT_INITIALIZED = 3,
	CUDA_ERROR_NOT_FOUND = 500,
	CUBLAS_STATUS_NOT_INITIALIZED = 1,
	CUBLAS_STATUS_NOT_SUPPORTED = 15,
};

CUresult nearfar_cuda_closed(void) { return CUDA_ERROR_NOT_INITIALIZED; }
CUresult nearfar_cuda_missing(void) { return CUDA_ERROR_NOT_FOUND; }
cublasStatus_t nearfar_cublas_closed(void) { return CUBLAS_STATUS_NOT_INITIALIZED; }
cublasStatus_t nearfar_cublas_missing(void) { return CUBLAS_STATUS_NOT_SUPPORTED; }

// cu's init ends the process where cuInit fails. Open calls the driver's own.
CUresult nearfar_cuda_closed_init(unsigned flags) {
	(void)flags;
	return 0;
}

CUresult nearfar_cuda_closed_count(int *count) {
	*count = 0;
	return 0;
}
