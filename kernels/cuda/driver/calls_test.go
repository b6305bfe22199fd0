//go:build gpu && linux && amd64 && cgo

package driver

import (
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
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
	g, err := Capture(s, ThreadLocal, func() error {
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

	_, err = Capture(s, Relaxed, func() error { return errors.New("no kernel") })
	fmt.Println("failed:", err)
	func() {
		defer func() { fmt.Println("panicked:", recover()) }()
		Capture(s, Relaxed, func() error { panic("in a capture") })
	}()
	fmt.Println("stream:", s.Synchronize())
	_, err = Capture(cu.NoStream, Relaxed, func() error { return nil })
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
	b, err := AllocHost(4096, WriteCombined)
	must(err)
	fmt.Println(len(b), cap(b), b[0], b[4095])
	must(FreeHost(b))
	must(FreeHost(nil))
	_, err = AllocHost(2<<20, 0)
	fmt.Println(err, errors.Is(err, OutOfMemory))
	_, err = AllocHost(0, 0)
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
	must(errors.Join(b.SetStream(s), b.SetWorkspace(space, 4096), b.SetMathMode(TF32Math), b.SetMathMode(DefaultMath)))
	fmt.Println(b.SetMathMode(99))
	tried := 0
	for _, compute := range []string{"SGEMM", "float32", "bfloat16", "batched"} {
		for layout := range 4 {
			if err := product(b, compute, layout&1 != 0, layout&2 != 0); err != nil {
				return fmt.Errorf("%s, layout %d: %w", compute, layout, err)
			}
			tried++
		}
	}
	fmt.Println(tried, "products")
	fmt.Println(b.SGEMM(Product{M: 2, N: 3, K: 4, A: Matrix{Stride: 4}, B: Matrix{Stride: 2}, C: Matrix{Stride: 3}}))
	fmt.Println(b.Gemm(Product{M: 1, N: 1, K: 1, A: Matrix{Stride: 1}, B: Matrix{Stride: 1}, C: Matrix{Stride: 1}}))
	fmt.Println(b.Gemm(Product{M: math.MaxInt32 + 1, N: 1, K: 1}))
	must(errors.Join(b.Close(), b.Close()))
	return nil
}

// product computes [m, k] times [k, n] with strides above the rows' lengths, and beta.
func product(b *BLAS, compute string, transA, transB bool) error {
	const m, n, k, pad = 3, 4, 5, 2
	batches, typ := 1, Float32
	switch compute {
	case "bfloat16":
		typ = BFloat16
	case "batched":
		batches = 3
	}
	matrix := func(rows, columns int, transposed bool, t Type, seed int) (Matrix, func(batch, i, j int) float32, []float32) {
		if transposed {
			rows, columns = columns, rows
		}
		stride := columns + pad
		x := make([]float32, batches*rows*stride)
		for i := range x {
			x[i] = float32((i*7+seed)%11 - 5) // small integers: exact in bfloat16
		}
		at := func(batch, i, j int) float32 {
			if transposed {
				i, j = j, i
			}
			return x[batch*rows*stride+i*stride+j]
		}
		return Matrix{Data: upload(x, t), Stride: stride, Transposed: transposed, Type: t, Batch: int64(rows * stride)}, at, x
	}
	p := Product{M: m, N: n, K: k, Alpha: 2, Beta: -1, Compute: Compute32F}
	var atA, atB, atC func(batch, i, j int) float32
	var before []float32
	p.A, atA, _ = matrix(m, k, transA, typ, 1)
	p.B, atB, _ = matrix(k, n, transB, typ, 2)
	p.C, atC, before = matrix(m, n, false, Float32, 3)
	if compute == "batched" {
		p.Batches = batches
	}
	run := b.Gemm
	if compute == "SGEMM" {
		run = b.SGEMM
	}
	if err := run(p); err != nil {
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

func upload(x []float32, t Type) cu.DevicePtr {
	bytes := unsafe.Slice((*byte)(unsafe.Pointer(&x[0])), 4*len(x))
	if t == BFloat16 {
		short := make([]byte, 2*len(x))
		for i := range x {
			copy(short[2*i:2*i+2], bytes[4*i+2:])
		}
		bytes = short
	}
	p, err := cu.MemAlloc(int64(len(bytes)))
	must(err)
	must(cu.MemcpyHtoD(p, unsafe.Pointer(&bytes[0]), int64(len(bytes))))
	return p
}

func TestBLAS(t *testing.T) {
	got := inProcess(t, "blas", driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1"), blasVariable+"="+compile(t, "cublas.c", "libcublas.so.12"))
	wants(t, got,
		"cublasSetMathMode: CUBLAS_STATUS_INVALID_VALUE (7)",
		"16 products\n",
		"product of [2, 4] and [4, 3]: a row of B as stored has 3 elements, its stride is 2\n",
		"cublasGemmEx: CUBLAS_STATUS_NOT_SUPPORTED (15)",
		"2147483648 is no size for cuBLAS")
}

// cu/blas calls the library that OpenBLAS found. Its headers come with a whole toolkit only, so the program is no part of the module's packages.
func TestCUBLASCallsTheLibrary(t *testing.T) {
	compiler(t)
	program := filepath.Join(t.TempDir(), "cublas")
	out, err := exec.Command("go", "build", "-tags", "gpu", "-o", program, "./testdata/cublas").CombinedOutput()
	if strings.Contains(string(out), "cublas_v2.h: No such file") || strings.Contains(string(out), "'cublas_v2.h' file not found") {
		t.Skip("the toolkit has no cublas_v2.h")
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), driverVariable+"="+compile(t, "cuda.c", "libcuda.so.1"), blasVariable+"="+compile(t, "cublas.c", "libcublas.so.12"))
	out, err = cmd.CombinedOutput()
	if err != nil || string(out) != "32\n" {
		t.Errorf("%v, printed %q, want 32", err, out)
	}
}
