package graph

import (
	"fmt"
	"math"
	"slices"
	"testing"

	"nearfar/engine"
	"nearfar/kernels"
	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// attributes draws bags: each row has a value of each of three fields, or none, and up to two of the last.
func attributes(rows int, stream string) *dataset.Attributes {
	a := &dataset.Attributes{Fields: []string{"x", "y", "z"}, Ptr: []int32{0}}
	for f := range int32(3) {
		for v := range 4 {
			a.Field, a.Name = append(a.Field, f), append(a.Name, fmt.Sprint(f, v))
		}
	}
	draw := philox.New(1, stream).Sequence(0, 0)
	for range rows {
		var bag []int32
		for _, f := range []int{0, 1, 2, 2} {
			if draw.Below(4) > 0 {
				bag = append(bag, int32(4*f+draw.Below(4)))
			}
		}
		slices.Sort(bag)
		a.Value = append(a.Value, slices.Compact(bag)...)
		a.Ptr = append(a.Ptr, int32(len(a.Value)))
	}
	return a
}

func TestBags(t *testing.T) {
	users := &dataset.Attributes{Fields: []string{"age"}, Ptr: []int32{0, 1, 1, 2}, Value: []int32{1, 0}, Field: []int32{0, 0}, Name: []string{"old", "young"}}
	items := &dataset.Attributes{Fields: []string{"year", "genre"}, Ptr: []int32{0, 3, 4}, Value: []int32{0, 1, 2, 1}, Field: []int32{0, 1, 1}, Name: []string{"1995", "drama", "war"}}
	b, err := NewBags(3, 2, users, items)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(b.Nodes(), b.Values(), b.Ptr, b.Value, b.Of, b.Node, b.Field)
	want := fmt.Sprint(5, 5, []int32{0, 1, 1, 2, 5, 6}, []int32{1, 0, 2, 3, 4, 3}, []int32{0, 1, 2, 3, 5, 6}, []int32{2, 0, 3, 3, 4, 3}, []int32{0, 0, 1, 2, 2})
	if got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
	if b, err = NewBags(3, 2, nil, items); err != nil || b.Nodes() != 5 || b.Values() != 3 || b.Field[2] != 1 {
		t.Errorf("items alone: %+v, %v", b, err)
	}
	if b, err = NewBags(3, 2, users, nil); err != nil || b.Nodes() != 5 || b.Values() != 2 {
		t.Errorf("users alone: %+v, %v", b, err)
	}
	for name, c := range map[string][2]*dataset.Attributes{"none": {}, "users of items": {items, nil}, "empty": {{Ptr: make([]int32, 4)}, nil}} {
		if _, err := NewBags(3, 2, c[0], c[1]); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestMaskedBags(t *testing.T) {
	const users, items, rho, epochs = 30, 40, .3, 60
	b, err := NewBags(users, items, attributes(users, "u"), attributes(items, "i"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := NewMaskedBags(b, rho, 7, 10)
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() (out []engine.Slot) {
		for _, p := range m.Ports() {
			if p.Desc.Type != kernels.Int32 {
				t.Fatal(p)
			}
			out = append(out, engine.Slot{I32: slices.Repeat([]int32{-99}, p.Desc.Elems())})
		}
		return out
	}
	type pair struct{ node, field int32 }
	kept, all := [2]map[pair]int{{}, {}}, map[pair]bool{}
	both := 0
	for epoch := range uint64(epochs) {
		out := fresh()
		if err := m.Fill(10*epoch+3, out); err != nil {
			t.Fatal(err)
		}
		var stay [2]map[pair]bool
		for view := range 2 {
			at, count := m.View(view+1), 0
			end, col, ofEnd, ofCol := out[at.End].I32, out[at.Col].I32, out[at.TransposedEnd].I32, out[at.TransposedCol].I32
			stay[view] = map[pair]bool{}
			for n := range int32(users + items) {
				bag := col[b.Ptr[n]:end[n]]
				for _, v := range bag {
					stay[view][pair{n, b.Field[v]}] = true
					count++
					if !slices.Contains(ofCol[b.Of[v]:ofEnd[v]], n) {
						t.Fatalf("value %d of node %d is not in the transposed", v, n)
					}
				}
				for _, v := range b.Value[b.Ptr[n]:b.Ptr[n+1]] { // a field goes or stays with all its values
					all[pair{n, b.Field[v]}] = true
					if slices.Contains(bag, v) != stay[view][pair{n, b.Field[v]}] {
						t.Fatalf("node %d has a part of field %d", n, b.Field[v])
					}
				}
				if !slices.IsSorted(bag) || slices.ContainsFunc(col[end[n]:b.Ptr[n+1]], func(v int32) bool { return v != -1 }) {
					t.Fatalf("bag %d is %v", n, col[b.Ptr[n]:b.Ptr[n+1]])
				}
			}
			for v := range b.Values() {
				count -= int(ofEnd[v] - b.Of[v])
				if !slices.IsSorted(ofCol[b.Of[v]:ofEnd[v]]) {
					t.Fatalf("value %d has the nodes %v", v, ofCol[b.Of[v]:ofEnd[v]])
				}
			}
			if count != 0 {
				t.Fatalf("view %d: bags and transposed differ by %d", view+1, count)
			}
			for p := range stay[view] {
				kept[view][p]++
				if view == 1 && stay[0][p] {
					both++
				}
			}
		}
		again := fresh()
		if err := m.Fill(10*epoch, again); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(again) != fmt.Sprint(out) {
			t.Fatal("two steps of an epoch have other bags")
		}
	}
	n := float64(len(all) * epochs)
	near := func(what string, got int, p float64) {
		if math.Abs(float64(got)-n*p) > 4*math.Sqrt(n*p*(1-p)) {
			t.Errorf("%s: %d of %g, want about %g", what, got, n, n*p)
		}
	}
	for view, k := range kept {
		sum := 0
		for _, c := range k {
			sum += c
		}
		near(fmt.Sprintf("view %d keeps", view+1), sum, 1-rho)
	}
	near("both views keep", both, (1-rho)*(1-rho))

	out, step := fresh(), uint64(0)
	if n := testing.AllocsPerRun(20, func() {
		if err := m.Fill(step, out); err != nil {
			t.Fatal(err)
		}
		step += 10
	}); n != 0 {
		t.Errorf("%g allocations a fill", n)
	}
}
