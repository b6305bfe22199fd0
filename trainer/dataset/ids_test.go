package dataset

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestOrderOfLines: one data set, whatever the order of its lines, whether ids are integers, strings, or both.
func TestOrderOfLines(t *testing.T) {
	random := rand.New(rand.NewPCG(41, 42))
	for name, id := range map[string]string{"integers": "%d", "strings": "user_number_%d", "integers of any spelling": "0%d", "mixed": "%x"} {
		lines := []string{}
		for u := range 40 {
			for i := range 10 + u%7 {
				lines = append(lines, fmt.Sprintf(id+","+id+",%d", u, (u*u+i)%90, (u+i)%5))
			}
		}
		var paths []string
		for range 3 {
			random.Shuffle(len(lines), func(a, b int) { lines[a], lines[b] = lines[b], lines[a] })
			dir := folder(t, map[string]string{"x.csv": "user,item,time\n" + strings.Join(lines, "\n")})
			paths = append(paths, filepath.Join(dir, "x.csv"))
		}
		for _, o := range append(manySplits, Options{Split: SplitGiven, ValidRatio: .2}) {
			o.Path = paths[0]
			first := load(t, o)
			for _, path := range paths[1:] {
				o.Path = path
				if d := load(t, o); d.Checksum() != first.Checksum() || d.text(d.Test) != first.text(first.Test) || d.text(d.Valid) != first.text(first.Valid) {
					t.Errorf("%s, %s %s: the order of lines changes the split", name, o.Split, o.By)
				}
			}
		}
	}
}

// TestByBytes holds the order against that of strings, for names that share beginnings longer than a key, and names with zeros.
func TestByBytes(t *testing.T) {
	random := rand.New(rand.NewPCG(43, 44))
	for range 300 {
		prefix := strings.Repeat("p", random.IntN(12))
		var names []string
		for range 1 + random.IntN(60) {
			b := make([]byte, random.IntN(14))
			for k := range b {
				b[k] = "\x00ab\xff"[random.IntN(4)]
			}
			names = append(names, prefix+string(b))
		}
		slices.Sort(names)
		names = slices.Compact(names)
		random.Shuffle(len(names), func(a, b int) { names[a], names[b] = names[b], names[a] })
		var got []string
		for _, n := range byBytes(names) {
			got = append(got, names[n])
		}
		if !slices.IsSorted(got) || len(got) != len(names) {
			t.Fatalf("%q", got)
		}
	}
}

// BenchmarkSorted orders the ids of a million users:
//
//	go test ./trainer/dataset -run - -bench Sorted
func BenchmarkSorted(b *testing.B) {
	random := rand.New(rand.NewPCG(45, 46))
	for name, id := range map[string]string{"integers": "%d", "strings": "A%014X", "common": "user_number_%d"} {
		d := newIdentifiers()
		for range 1_000_000 {
			d.of(fmt.Appendf(nil, id, random.Int64N(1<<40)))
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				d.sorted()
			}
		})
	}
}

// TestIdentifiers: integers are told apart by their spelling, as strings are.
func TestIdentifiers(t *testing.T) {
	d := newIdentifiers()
	ids := []string{"7", "07", "-0", "0", "", "-", "--1", "-1", "999999999999999999", "1000000000000000000", "9223372036854775807", "x"}
	for k := range 5000 {
		ids = append(ids, strconv.Itoa(k*k*k-300000000))
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	for range 2 {
		for k, id := range ids {
			if n := d.of([]byte(id)); int(n) != k || d.name[n] != id {
				t.Fatalf("%q is number %d %q, want %d", id, n, d.name[n], k)
			}
		}
	}
}
