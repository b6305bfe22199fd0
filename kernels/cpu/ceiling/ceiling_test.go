package ceiling

import (
	"testing"
	"unsafe"
)

// The loops pass over their memory and nothing else: an update leaves numbers as they were, and what lies round them too.
func TestLoops(t *testing.T) {
	if !Measured() {
		t.Skip("no loops for this processor")
	}
	for _, blocks := range []int{1, 3, callBytes/Block + 1} {
		x := make([]float32, blocks*Block/4+32)
		for i := range x {
			x[i] = float32(i)
		}
		b := unsafe.Slice((*byte)(unsafe.Pointer(&x[16])), blocks*Block)
		Read(b)
		Update(b)
		for i, v := range x {
			if v != float32(i) {
				t.Fatalf("%d blocks: element %d is %v", blocks, i, v)
			}
		}
	}
	if n := FMA(1 << 20); n < 1<<20 {
		t.Errorf("%d operations, fewer than asked for", n)
	}
}
