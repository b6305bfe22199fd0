package models

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/engine/cpu"
	"nearfar/engine/paranoid"
	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// goldenTensor is a tensor of testdata/golden: see its README for the format and the tolerances.
type goldenTensor struct {
	Shape   []int
	Data    []float64
	Divisor float64
	Bound32 float64
}

func (g goldenTensor) values() []float64 {
	if g.Divisor == 0 {
		return g.Data
	}
	v := slices.Clone(g.Data)
	for i := range v {
		v[i] /= g.Divisor
	}
	return v
}

// close64 is how near float64 comes to PyTorch's float64, of a tensor's largest element.
const close64 = 1e-12

// check compares in the maximum norm relative to the golden tensor's largest element.
func (g goldenTensor) check(t *testing.T, what string, got []float64, float kernels.DType) {
	t.Helper()
	want := g.values()
	if len(want) == 0 || len(got) != len(want) {
		t.Errorf("%s: %d elements, golden %v has %d", what, len(got), g.Shape, len(want))
		return
	}
	limit := close64
	if float == kernels.Float32 {
		limit = max(2*g.Bound32, 2*0x1p-23) // a single number of PyTorch's may be right by luck
	}
	largest, worst, at := 0.0, 0.0, 0
	for i, w := range want {
		largest = max(largest, math.Abs(w))
		if d := math.Abs(got[i] - w); !(d <= worst) { // NaN is the worst
			worst, at = d, i
		}
	}
	if largest == 0 {
		largest = 1
	}
	if !(worst <= limit*largest) {
		t.Errorf("%s: element %d is %.17g, golden %.17g: off by %.3g of the largest element, %.3g is allowed", what, at, got[at], want[at], worst/largest, limit)
	}
}

// readGolden reads one file of testdata/golden.
func readGolden(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "golden", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// platform is a device in one precision.
type platform struct {
	name  string
	float kernels.DType
	open  func() engine.Device
}

// platforms are those that golden values are held against.
func platforms() []platform {
	generic := func() engine.Device { return cpu.New(2, kernelset.Generic()) }
	best := func() engine.Device { return cpu.New(2, kernelset.Best()) }
	return []platform{
		{"cpu generic float64", kernels.Float64, generic},
		{"cpu generic float32", kernels.Float32, generic},
		{"cpu best float64", kernels.Float64, best},
		{"cpu best float32", kernels.Float32, best},
		{"paranoid float64", kernels.Float64, func() engine.Device { return paranoid.New(1) }},
	}
}

// on opens a store on the platform for the length of a test.
func (p platform) on(t *testing.T) *engine.Store {
	device := p.open()
	store := engine.NewStore(device, p.float, 1)
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		if err := device.Close(); err != nil {
			t.Error(err)
		}
	})
	return store
}

// build makes a program that is closed at the end of the test.
func build(t *testing.T, s *engine.Store, model func(b *engine.Builder) engine.Step, options ...engine.PlanOption) *engine.Program {
	t.Helper()
	p, err := engine.Build(s, model, options...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// run runs steps 0..n-1 and gives the reported scalars of each.
func run(t *testing.T, p *engine.Program, n int) []map[string]float64 {
	t.Helper()
	var steps []map[string]float64
	err := p.Run(t.Context(), 0, n, func(_ uint64, scalars []float64) {
		named := map[string]float64{}
		for i, name := range p.Scalars {
			named[name] = scalars[i]
		}
		steps = append(steps, named)
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}

// output is a program's output in float64.
func output(t *testing.T, p *engine.Program, name string) []float64 {
	t.Helper()
	v, err := p.Output64(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
