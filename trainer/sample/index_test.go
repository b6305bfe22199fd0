package sample

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/kernels/philox"
)

// slots is memory for ports, filled with garbage so that an element that is not written shows.
func slots(ports []engine.Port, double bool) []engine.Slot {
	out := make([]engine.Slot, len(ports))
	for i, p := range ports {
		n := p.Desc.Elems()
		switch {
		case !p.Desc.Type.IsFloat():
			out[i].I32 = slices.Repeat([]int32{-77}, n)
		case double:
			out[i].F64 = slices.Repeat([]float64{-77}, n)
		default:
			out[i].F32 = slices.Repeat([]float32{-77}, n)
		}
	}
	return out
}

func TestIndexExample(t *testing.T) {
	x, err := NewIndex("user", 6, 10, true)
	if err != nil {
		t.Fatal(err)
	}
	out := slots(x.Ports(), false)
	copy(out[0].I32, []int32{7, 2, -1, 7, 9, 2})
	if err := x.Invert(out); err != nil {
		t.Fatal(err)
	}
	inf := float32(math.Inf(-1))
	for k, want := range [][]int32{{7, 2, -1, 7, 9, 2}, {2, 7, 9, -1, -1, -1}, {0, 2, 4, 5, 5, 5, 5}, {1, 5, 0, 3, 4, -1}} {
		if !slices.Equal(out[k].I32, want) {
			t.Errorf("%s = %v, want %v", x.Ports()[k].Name, out[k].I32, want)
		}
	}
	third := float32(1.0 / 3)
	if want := []float32{third, third, third, 0, 0, 0}; !slices.Equal(out[4].F32, want) {
		t.Errorf("unique = %v, want %v", out[4].F32, want)
	}
	if want := []float32{0, 0, 0, inf, inf, inf}; !slices.Equal(out[5].F32, want) {
		t.Errorf("absent = %v, want %v", out[5].F32, want)
	}
	var names []string
	for _, p := range x.Ports() {
		names = append(names, p.Name+" "+p.Desc.String())
	}
	want := "user int32[6] user/rows int32[6] user/seg int32[7] user/perm int32[6] user/unique float32[6] user/absent float32[6]"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("ports %s, want %s", got, want)
	}
}

func TestIndexAgainstStableSort(t *testing.T) {
	words := philox.New(1, "test").Sequence(0, 0)
	for _, bound := range []int{1, 2, 5, 2048, 2049, 70_000, 5_000_000, math.MaxInt32} {
		for _, length := range []int{1, 2, 3, 17, 300, 2048} {
			for _, padding := range []int{0, 4, 1} { // none, a quarter, all
				x, err := NewIndex("x", length, bound, false)
				if err != nil {
					t.Fatal(err)
				}
				out := slots(x.Ports(), false)
				ids := out[0].I32
				for i := range ids {
					ids[i] = int32(words.Below(bound))
					if i%3 == 0 {
						ids[i] = int32(bound - 1)
					}
					if padding > 0 && words.Below(padding) == 0 {
						ids[i] = -1
					}
				}
				if err := x.Invert(out); err != nil {
					t.Fatal(err)
				}
				rows, seg, perm := naiveInverse(ids)
				if !slices.Equal(out[1].I32, rows) || !slices.Equal(out[2].I32, seg) || !slices.Equal(out[3].I32, perm) {
					t.Fatalf("bound %d, length %d, padding %d:\nids  %v\nrows %v\nseg  %v\nperm %v", bound, length, padding, ids, out[1].I32, out[2].I32, out[3].I32)
				}
			}
		}
	}
}

func naiveInverse(ids []int32) (rows, seg, perm []int32) {
	for p, id := range ids {
		if id >= 0 {
			perm = append(perm, int32(p))
		}
	}
	slices.SortStableFunc(perm, func(a, b int32) int { return cmp.Compare(ids[a], ids[b]) })
	n := len(perm)
	for i, p := range perm {
		if i == 0 || ids[perm[i-1]] != ids[p] {
			rows, seg = append(rows, ids[p]), append(seg, int32(i))
		}
	}
	for len(rows) < len(ids) {
		rows = append(rows, -1)
	}
	for len(seg) < len(ids)+1 {
		seg = append(seg, int32(n))
	}
	for len(perm) < len(ids) {
		perm = append(perm, -1)
	}
	return rows, seg, perm
}

func TestIndexRefusesForeignIDs(t *testing.T) {
	for _, id := range []int32{10, -2} {
		x, err := NewIndex("pos", 2, 10, false)
		if err != nil {
			t.Fatal(err)
		}
		out := slots(x.Ports(), false)
		copy(out[0].I32, []int32{3, id})
		if err := x.Invert(out); err == nil || !strings.Contains(err.Error(), "position 1") {
			t.Errorf("id %d: error %v", id, err)
		}
	}
	for _, c := range [][2]int{{0, 5}, {5, 0}} {
		if _, err := NewIndex("x", c[0], c[1], false); err == nil {
			t.Errorf("NewIndex(length %d, bound %d) gives no error", c[0], c[1])
		}
	}
}
