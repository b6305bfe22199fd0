//go:build gpu && linux && amd64 && cgo

package control

import (
	"encoding/binary"
	"maps"
	"testing"
	"time"

	"nearfar/kernels/cuda/driver"
)

// NeedGPU skips a test where there is neither a GPU nor the emulated driver, which NEARFAR_CUDA_DRIVER names. A GPU that is there and does not open
// is the test's failure.
func NeedGPU(t testing.TB) {
	t.Helper()
	if err := driver.Available(); err != nil {
		t.Skipf("%v; with the emulated driver: make test-gpu", err)
	}
}

// Need is Open for a test, which it skips where the driver is not the emulated one.
func Need(t testing.TB) *Emulator {
	t.Helper()
	e, err := Open()
	if err != nil {
		t.Skipf("%v: only the emulated driver counts its calls and fails when it is asked to (make test-gpu)", err)
	}
	return e
}

// FailOne lets the n-th call fail with a code while f runs, and returns f's error and the call that it names. That there is none, or that it names
// none, fails the test; likewise whatever is left then, but for what that very call was to give back. A function that hangs ends the test.
func (e *Emulator) FailOne(t testing.TB, n int, code driver.Result, f func() error) (call string, err error) {
	t.Helper()
	before := e.Live()
	e.Fail(n, int(code))
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err = <-done:
	case <-time.After(20 * time.Second):
		t.Fatalf("call %d fails with %v: nothing comes back", n, code)
	}
	e.Fail(0, 0)
	if err == nil {
		t.Fatalf("call %d fails with %v: no error", n, code)
	}
	if call = CallIn(err); call == "" {
		t.Errorf("call %d fails with %v: the error names no call: %v", n, code, err)
	}
	after := e.Live()
	if kind := givesBack[call]; kind != "" && after[kind] == before[kind]+1 {
		before[kind]++
	}
	if !maps.Equal(after, before) {
		t.Errorf("call %d fails with %v: left %v, before %v: %v", n, code, after, before, err)
	}
	return call, err
}

// givesBack is the kind, of Kinds, that a call gives back, and that is therefore left where it fails. Memory goes with its context.
var givesBack = map[string]string{"cuMemFreeHost": "host", "cuGraphDestroy": "graph", "cuGraphExecDestroy": "exec", "cuModuleUnload": "module",
	"cuEventDestroy": "event", "cublasDestroy": "blas", "cuStreamDestroy": "stream", "cuCtxDestroy": "context"}

// Words are numbers as they lie in a device's memory.
func Words[T int32 | float32](v ...T) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(err)
	}
	return b
}
