//go:build gpu && linux && amd64 && cgo

package driver

/*
#include "api.h"

// Device addresses are integers in Go.
static cublasStatus_t set_workspace(cublasHandle_t h, uintptr_t data, size_t bytes) { return cublasSetWorkspace_v2(h, (void *)data, bytes); }

// alpha and beta are read from host memory before a call returns.
static cublasStatus_t gemm(cublasHandle_t h, int ta, int tb, int m, int n, int k, float alpha, uintptr_t a, int lda, uintptr_t b, int ldb,
		float beta, uintptr_t c, int ldc) {
	return cublasGemmEx(h, ta, tb, m, n, k, &alpha, (void *)a, CUDA_R_32F, lda, (void *)b, CUDA_R_32F, ldb, &beta, (void *)c, CUDA_R_32F, ldc,
		CUBLAS_COMPUTE_32F_PEDANTIC, CUBLAS_GEMM_DEFAULT);
}

static cublasStatus_t gemm_batched(cublasHandle_t h, int ta, int tb, int m, int n, int k, float alpha, uintptr_t a, int lda, long long stridea,
		uintptr_t b, int ldb, long long strideb, float beta, uintptr_t c, int ldc, long long stridec, int batches) {
	return cublasGemmStridedBatchedEx(h, ta, tb, m, n, k, &alpha, (void *)a, CUDA_R_32F, lda, stridea, (void *)b, CUDA_R_32F, ldb, strideb, &beta,
		(void *)c, CUDA_R_32F, ldc, stridec, batches, CUBLAS_COMPUTE_32F_PEDANTIC, CUBLAS_GEMM_DEFAULT);
}
*/
import "C"

import (
	"fmt"
	"math"
	"unsafe"

	"gorgonia.org/cu"
)

// A Status is what a function of cuBLAS returns, where it is not 0.
type Status int

// What callers tell apart.
const (
	AllocFailed     Status = 3
	ExecutionFailed Status = 13
	InternalError   Status = 14
)

var statuses = map[Status]struct{ name, meaning string }{
	1:  {"NOT_INITIALIZED", "cuBLAS is not open, or could not start on this GPU, perhaps for want of memory"},
	3:  {"ALLOC_FAILED", "the device has not enough free memory for its workspace"},
	7:  {"INVALID_VALUE", "a size or a leading dimension is out of range"},
	8:  {"ARCH_MISMATCH", "this GPU cannot compute it"},
	11: {"MAPPING_ERROR", "device memory could not be accessed"},
	13: {"EXECUTION_FAILED", "a kernel could not be launched, or failed"},
	14: {"INTERNAL_ERROR", "a call inside of cuBLAS failed"},
	15: {"NOT_SUPPORTED", "this combination of types is not supported"},
	16: {"LICENSE_ERROR", "cuBLAS refused its licence"},
}

func (s Status) Error() string {
	if known, ok := statuses[s]; ok {
		return fmt.Sprintf("CUBLAS_STATUS_%s (%d): %s", known.name, int(s), known.meaning)
	}
	return fmt.Sprintf("status %d of cuBLAS", int(s))
}

// A BLASError is a call of cuBLAS that failed.
type BLASError struct {
	Call   string // cublasGemmEx
	Status Status
}

func (e *BLASError) Error() string { return e.Call + ": " + e.Status.Error() }
func (e *BLASError) Unwrap() error { return e.Status }

func checkBLAS(call string, s C.cublasStatus_t) error {
	if s == 0 {
		return nil
	}
	return &BLASError{call, Status(s)}
}

// BLAS computes with cuBLAS in the context in which it was made.
type BLAS struct{ handle C.cublasHandle_t }

// NewBLAS opens cuBLAS and makes a handle in the current context, which allocates device memory.
func NewBLAS() (*BLAS, error) {
	if err := OpenBLAS(); err != nil {
		return nil, err
	}
	b := new(BLAS)
	if err := checkBLAS("cublasCreate", C.cublasCreate_v2(&b.handle)); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, BLASLibrary())
	}
	return b, nil
}

// Close waits for the device and frees the handle.
func (b *BLAS) Close() error {
	handle := b.handle
	b.handle = nil
	if handle == nil {
		return nil
	}
	return checkBLAS("cublasDestroy", C.cublasDestroy_v2(handle))
}

// SetStream puts what follows into a stream, and gives up a workspace that was set.
func (b *BLAS) SetStream(s cu.Stream) error {
	return checkBLAS("cublasSetStream", C.cublasSetStream_v2(b.handle, C.CUstream(unsafe.Pointer(s.C()))))
}

// SetWorkspace gives cuBLAS device memory to compute in, aligned to 256 bytes; NVIDIA recommends 32 MiB from compute capability 9.0 on and 4 MiB
// before. With it a capture allocates nothing, and the address that a graph keeps is the caller's. Call it behind SetStream.
func (b *BLAS) SetWorkspace(data cu.DevicePtr, bytes int64) error {
	return checkBLAS("cublasSetWorkspace", C.set_workspace(b.handle, C.uintptr_t(data), C.size_t(bytes)))
}

// A Matrix is row-major on the device.
type Matrix struct {
	Data       cu.DevicePtr
	Stride     int   // elements from the start of a row to the start of the next, as stored
	Transposed bool  // it is the transposed of what is stored that is multiplied; not for a result
	Batch      int64 // elements from a matrix of a batch to the next; 0 uses one matrix for all
}

// A Product is C = alpha A B + beta C with A [m, k], B [k, n], C [m, n], in each of Batches where that is above 0.
type Product struct {
	M, N, K     int
	Alpha, Beta float32
	A, B, C     Matrix
	Batches     int
}

// Gemm is the product of float32 matrices, in float32 throughout (cublasGemmEx, cublasGemmStridedBatchedEx with CUBLAS_COMPUTE_32F_PEDANTIC).
func (b *BLAS) Gemm(p Product) error {
	if err := p.valid(); err != nil || p.M == 0 || p.N == 0 {
		return err
	}
	// Row-major C is column-major C', and C' = B' A': the operands change places, and each is transposed or not as it says.
	if p.Batches > 0 {
		return checkBLAS("cublasGemmStridedBatchedEx", C.gemm_batched(b.handle, p.B.operation(), p.A.operation(), C.int(p.N), C.int(p.M), C.int(p.K),
			C.float(p.Alpha), p.B.data(), C.int(p.B.Stride), C.longlong(p.B.Batch), p.A.data(), C.int(p.A.Stride), C.longlong(p.A.Batch),
			C.float(p.Beta), p.C.data(), C.int(p.C.Stride), C.longlong(p.C.Batch), C.int(p.Batches)))
	}
	return checkBLAS("cublasGemmEx", C.gemm(b.handle, p.B.operation(), p.A.operation(), C.int(p.N), C.int(p.M), C.int(p.K),
		C.float(p.Alpha), p.B.data(), C.int(p.B.Stride), p.A.data(), C.int(p.A.Stride), C.float(p.Beta), p.C.data(), C.int(p.C.Stride)))
}

func (m Matrix) data() C.uintptr_t { return C.uintptr_t(m.Data) }

func (m Matrix) operation() C.int {
	if m.Transposed {
		return C.CUBLAS_OP_T
	}
	return C.CUBLAS_OP_N
}

// valid holds a product to cuBLAS's 32-bit sizes and to strides that hold a row.
func (p *Product) valid() error {
	for _, n := range []int{p.M, p.N, p.K, p.A.Stride, p.B.Stride, p.C.Stride, p.Batches} {
		if n < 0 || n > math.MaxInt32 {
			return fmt.Errorf("product of [%d, %d] and [%d, %d]: %d is no size for cuBLAS", p.M, p.K, p.K, p.N, n)
		}
	}
	if p.C.Transposed {
		return fmt.Errorf("product of [%d, %d] and [%d, %d]: the result cannot be transposed", p.M, p.K, p.K, p.N)
	}
	for _, m := range []struct {
		name          string
		matrix        Matrix
		rows, columns int
	}{{"A", p.A, p.M, p.K}, {"B", p.B, p.K, p.N}, {"C", p.C, p.M, p.N}} {
		stored := m.columns
		if m.matrix.Transposed {
			stored = m.rows
		}
		if m.matrix.Stride < max(stored, 1) {
			return fmt.Errorf("product of [%d, %d] and [%d, %d]: a row of %s as stored has %d elements, its stride is %d",
				p.M, p.K, p.K, p.N, m.name, stored, m.matrix.Stride)
		}
	}
	return nil
}
