//go:build gpu && linux && amd64 && cgo

package driver

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"unsafe"

	"gorgonia.org/cu"
)

// must is for the roles, where an error ends the process.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

func useGraph() error {
	must(Open())
	counts := func(what string) {
		graphs, err := cu.Limits(0)
		must(err)
		launched, err := cu.Limits(1)
		must(err)
		fmt.Printf("%s: %d graphs, work %d\n", what, graphs, launched)
	}
	s, err := cu.MakeStream(cu.NonBlocking)
	must(err)
	g, err := Capture(s, func() error {
		if s.Synchronize() == nil {
			return errors.New("the stream is not captured")
		}
		return errors.Join(cu.MemsetD8Async(0, 0, 1, s), cu.MemsetD8Async(0, 0, 1, s))
	})
	must(err)
	counts("captured")
	must(errors.Join(g.Launch(s), g.Launch(s), g.Launch(s)))
	counts("launched")
	must(errors.Join(g.Destroy(), g.Destroy()))
	counts("destroyed")

	_, err = Capture(s, func() error { return errors.New("no kernel") })
	fmt.Println("failed:", err)
	func() {
		defer func() { fmt.Println("panicked:", recover()) }()
		Capture(s, func() error { panic("in a capture") })
	}()
	fmt.Println("stream:", s.Synchronize())
	_, err = Capture(cu.NoStream, func() error { return nil })
	fmt.Println("default:", err)
	counts("in the end")

	fmt.Println("shared:", AllowDynamicShared(cu.Function{}, 96<<10))
	err = AllowDynamicShared(cu.Function{}, 1<<20)
	fmt.Println("shared:", err, errors.Is(err, InvalidValue), errors.Is(err, OutOfMemory))
	sizes, err := Parameters(cu.Function{}) // this driver is older than the question
	fmt.Println("parameters:", sizes, err)
	return nil
}

func TestGraph(t *testing.T) {
	wants(t, inProcess(t, "graph", driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1")),
		"captured: 1 graphs, work 0\n",
		"launched: 1 graphs, work 6\n",
		"destroyed: 0 graphs, work 6\n",
		"failed: no kernel\n",
		"panicked: in a capture\n",
		"stream: <nil>\n",
		"default: cuStreamBeginCapture: CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED (900): this call cannot be captured\n",
		"in the end: 0 graphs, work 6\n",
		"shared: <nil>\n",
		"shared: cuFuncSetAttribute: CUDA_ERROR_INVALID_VALUE (1): an argument is out of range true false\n",
		"parameters: [] cuFuncGetParamInfo: CUDA_ERROR_NOT_FOUND (500): the driver or the image has nothing of this name\n")
}

func useMemory() error {
	must(Open())
	b, err := AllocHost(4096)
	must(err)
	fmt.Println(len(b), cap(b), b[0], b[4095])
	must(FreeHost(b))
	must(FreeHost(nil))
	_, err = AllocHost(2 << 20)
	fmt.Println(err, errors.Is(err, OutOfMemory))
	_, err = AllocHost(0)
	fmt.Println(err)
	fmt.Println(Call("cuMemAlloc", nil), Call("cuMemAlloc", cu.OutOfMemory), errors.Is(Call("cuMemAlloc", cu.OutOfMemory), OutOfMemory))
	return nil
}

func TestHostMemory(t *testing.T) {
	wants(t, inProcess(t, "memory", driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1")),
		"4096 4096 0 0\n",
		"cuMemHostAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): the host has not enough memory that can be pinned true\n",
		"cuMemHostAlloc: CUDA_ERROR_INVALID_VALUE (1): an argument is out of range\n",
		"<nil> cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (2): the device has not enough free memory true\n")
}

// useBLAS compares products in every layout with a plain loop.
func useBLAS() error {
	b, err := NewBLAS()
	if err != nil {
		return err
	}
	s, err := cu.MakeStream(cu.NonBlocking)
	must(err)
	space, err := cu.MemAlloc(4096)
	must(err)
	must(errors.Join(b.SetStream(s), b.SetWorkspace(space, 4096)))
	tried := 0
	for _, batches := range []int{0, 3} {
		for layout := range 4 {
			if err := product(b, batches, layout&1 != 0, layout&2 != 0); err != nil {
				return fmt.Errorf("%d batches, layout %d: %w", batches, layout, err)
			}
			tried++
		}
	}
	fmt.Println(tried, "products")
	fmt.Println(b.Gemm(Product{M: 2, N: 3, K: 4, A: Matrix{Stride: 4}, B: Matrix{Stride: 2}, C: Matrix{Stride: 3}}))
	fmt.Println(b.Gemm(Product{M: math.MaxInt32 + 1, N: 1, K: 1}))
	must(errors.Join(b.Close(), b.Close()))
	fmt.Println(b.Gemm(Product{M: 1, N: 1, K: 1, A: Matrix{Stride: 1}, B: Matrix{Stride: 1}, C: Matrix{Stride: 1}}))
	return nil
}

// product computes [m, k] times [k, n] with strides above the rows' lengths, and beta.
func product(b *BLAS, batches int, transA, transB bool) error {
	const m, n, k, pad = 3, 4, 5, 2
	matrix := func(rows, columns int, transposed bool, seed int) (Matrix, func(batch, i, j int) float32, []float32) {
		if transposed {
			rows, columns = columns, rows
		}
		stride := columns + pad
		x := make([]float32, max(1, batches)*rows*stride)
		for i := range x {
			x[i] = float32((i*7+seed)%11 - 5) // small integers: sums are exact
		}
		at := func(batch, i, j int) float32 {
			if transposed {
				i, j = j, i
			}
			return x[batch*rows*stride+i*stride+j]
		}
		return Matrix{Data: upload(x), Stride: stride, Transposed: transposed, Batch: int64(rows * stride)}, at, x
	}
	p := Product{M: m, N: n, K: k, Alpha: 2, Beta: -1, Batches: batches}
	var atA, atB, atC func(batch, i, j int) float32
	var before []float32
	p.A, atA, _ = matrix(m, k, transA, 1)
	p.B, atB, _ = matrix(k, n, transB, 2)
	p.C, atC, before = matrix(m, n, false, 3)
	if err := b.Gemm(p); err != nil {
		return err
	}
	got := make([]float32, len(before))
	must(cu.MemcpyDtoH(unsafe.Pointer(&got[0]), p.C.Data, int64(4*len(got))))
	for at := range got {
		batch, i, j := at/(m*p.C.Stride), at/p.C.Stride%m, at%p.C.Stride
		want := before[at]
		if j < n {
			want = -atC(batch, i, j)
			for l := range k {
				want += 2 * atA(batch, i, l) * atB(batch, l, j)
			}
		}
		if got[at] != want {
			return fmt.Errorf("C[%d, %d] of matrix %d is %v, want %v", i, j, batch, got[at], want)
		}
	}
	return nil
}

func upload(x []float32) cu.DevicePtr {
	bytes := int64(4 * len(x))
	p, err := cu.MemAlloc(bytes)
	must(err)
	must(cu.MemcpyHtoD(p, unsafe.Pointer(&x[0]), bytes))
	return p
}

func TestBLAS(t *testing.T) {
	got := inProcess(t, "blas", driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1"), blasVariable+"="+compile(t, "cublas.c", "libcublas.so.12"))
	wants(t, got,
		"8 products\n",
		"product of [2, 4] and [4, 3]: a row of B as stored has 3 elements, its stride is 2\n",
		"cublasGemmEx: CUBLAS_STATUS_NOT_INITIALIZED (1)",
		"2147483648 is no size for cuBLAS")
}
