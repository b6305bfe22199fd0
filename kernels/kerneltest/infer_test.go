package kerneltest

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"nearfar/kernels"
)

// TestInferOfDamagedInputs changes the inputs of the table's cases in one place at a time. Infer must not panic; what it accepts, Ref
// must be able to compute.
func TestInferOfDamagedInputs(t *testing.T) {
	for _, f := range families {
		damaged, refused := 0, 0
		for _, c := range f.cases(newGen(f.name)) {
			in := descs(c.In)
			if small := slices.IndexFunc(in, func(d kernels.Desc) bool { return d.Elems() > 300 }); small >= 0 {
				continue
			}
			for what, changed := range damage(in) {
				damaged++
				if err := inferAndRun(c.K, changed); err != nil {
					refused++
				} else if !variadic[f.name] && len(changed) != len(in) {
					t.Errorf("%v, %s: %d inputs are accepted, the kernel has %d", c, what, len(changed), len(in))
				}
				if t.Failed() {
					return
				}
			}
		}
		if damaged == 0 || refused == 0 {
			t.Errorf("%s: %d damaged inputs, %d refused", f.name, damaged, refused)
		}
	}
}

// variadic kernels take any number of inputs (a Map may have operands that it does not read).
var variadic = map[string]bool{"Map": true, "Concat": true}

// damage lists inputs that are wrong in one place.
func damage(in []kernels.Desc) map[string][]kernels.Desc {
	all := map[string][]kernels.Desc{
		"nothing":   nil,
		"one more":  append(slices.Clone(in), kernels.Of(kernels.Float64, 2)),
		"an index":  append(slices.Clone(in), kernels.Of(kernels.Int32, 2)),
		"one twice": append(slices.Clone(in), in...),
	}
	if len(in) == 0 {
		delete(all, "nothing") // Fill's inputs, as they should be
		delete(all, "one twice")
		return all
	}
	all["one less"] = in[:len(in)-1]
	for i := range in {
		put := func(what string, d kernels.Desc) {
			c := slices.Clone(in)
			c[i] = d
			all[fmt.Sprintf("input %d %s", i, what)] = c
		}
		put("scalar", kernels.Of(in[i].Type))
		put("as indices", in[i].As(kernels.Int32))
		put("as float32", in[i].As(kernels.Float32))
		put("as float64", in[i].As(kernels.Float64))
		put("of rank 4", kernels.Of(in[i].Type, 1, 2, 1, 2))
		for j := range in[i].Rank {
			d := in[i]
			d.Dim[j]++
			put(fmt.Sprintf("longer in %d", j), d)
		}
	}
	return all
}

// inferAndRun is Infer's error; it runs Ref on zeros where there is none.
func inferAndRun(k kernels.Kernel, in []kernels.Desc) (err error) {
	defer func() {
		if r := recover(); r != nil {
			panic(fmt.Sprintf("%s %s %+v of %v: %v", k.Name(), reflect.TypeOf(k), k, in, r))
		}
	}()
	out, err := k.Infer(in)
	if err != nil {
		return err
	}
	operands := make([]kernels.Tensor64, len(in))
	for i, d := range in {
		operands[i] = kernels.NewTensor64(d)
	}
	reference(k, out, operands)
	return nil
}
