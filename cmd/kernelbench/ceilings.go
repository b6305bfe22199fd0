package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unsafe"

	"nearfar/kernels/cpu/ceiling"
)

// ceilings are what the processor does at best with so many threads, as this run has measured it.
type ceilings struct {
	threads int
	flops   float64 // a second
	memory  []bandwidth
	caches  []cache
}

// cache is a level, and what all threads together have of it.
type cache struct {
	name string
	size int64
}

// bandwidth is of buffers of a size, which all threads have together.
type bandwidth struct {
	size         int64
	read, update float64 // bytes a second; an update reads and writes
}

// caches are the sizes of the second and the third level. Where the system does not say, they are those of a small machine.
func caches() (l2, l3 int64) {
	l2, l3 = 1<<20, 32<<20
	levels, _ := filepath.Glob("/sys/devices/system/cpu/cpu0/cache/index*")
	for _, dir := range levels {
		text := func(name string) string {
			b, _ := os.ReadFile(filepath.Join(dir, name))
			return strings.TrimSpace(string(b))
		}
		kib, err := strconv.ParseInt(strings.TrimSuffix(text("size"), "K"), 10, 64)
		if err != nil {
			continue
		}
		switch text("level") {
		case "2":
			l2 = kib << 10
		case "3":
			l3 = kib << 10
		}
	}
	return l2, l3
}

// measureCeilings takes a second, on buffers of sizes that go with those of the L2 of a thread and of the L3. nil where there are no loops for this
// processor.
func measureCeilings(threads int, l2, l3 int64, by func(timing) time.Duration) *ceilings {
	if !ceiling.Measured() {
		return nil
	}
	c := &ceilings{threads: threads}
	c.flops = best(threads, by, func(int) int64 { return int64(ceiling.FMA(2e8)) })
	own := l2 * int64(threads) // each thread has an L2 of its own
	l3 = max(own, l3)
	c.caches = []cache{{"L2", own}, {"L3", l3}}
	all := make([]float32, l3) // four times the L3
	for i := range all {
		all[i] = 1
	}
	memory := unsafe.Slice((*byte)(unsafe.Pointer(&all[0])), 4*len(all))
	for _, size := range []int64{own / 2, max(l3/8, own*3/2), l3 / 4, l3 / 2, l3, 2 * l3, 4 * l3} {
		if len(c.memory) > 0 && size <= c.memory[len(c.memory)-1].size {
			continue
		}
		b := bandwidth{size: size}
		pass := func(f func([]byte)) func(int) int64 {
			part := b.size / int64(threads) / ceiling.Block * ceiling.Block
			repeats := max(1, (8<<20)/b.size)
			return func(thread int) int64 {
				mine := memory[int64(thread)*part:][:part]
				for range repeats {
					f(mine)
				}
				return part * repeats
			}
		}
		b.read = best(threads, by, pass(ceiling.Read))
		b.update = 2 * best(threads, by, pass(ceiling.Update))
		c.memory = append(c.memory, b)
	}
	return c
}

// settling is how long the system may leave two threads on one processor before it moves one.
const settling = 50 * time.Millisecond

// best is the highest rate of a few passes, a second. f gives what one thread did.
func best(threads int, by func(timing) time.Duration, f func(thread int) int64) (rate float64) {
	pass := func() float64 {
		var done int64
		t, _ := clocked(func() error {
			if threads == 1 {
				done = f(0)
				return nil
			}
			each := make([]int64, threads)
			var wg sync.WaitGroup
			for i := range each {
				wg.Go(func() { each[i] = f(i) })
			}
			wg.Wait()
			for _, n := range each {
				done += n
			}
			return nil
		})
		t.cpu /= time.Duration(threads)
		return float64(done) / by(t).Seconds()
	}
	for start := time.Now(); threads > 1 && time.Since(start) < settling; {
		pass()
	}
	pass() // warms up
	for range 8 {
		rate = max(rate, pass())
	}
	return rate
}

// level names the memory that operands of a size fit into.
func (c *ceilings) level(size int64) string {
	for _, m := range c.caches {
		if size <= m.size {
			return m.name
		}
	}
	return "DRAM"
}

// at is the bandwidth of operands of a size: between those of the next smaller and the next larger buffer, by the logarithm of the size.
func (c *ceilings) at(size int64) bandwidth {
	next, _ := slices.BinarySearchFunc(c.memory, size, func(b bandwidth, size int64) int { return cmp.Compare(b.size, size) })
	if next == 0 || next == len(c.memory) {
		return c.memory[min(next, len(c.memory)-1)]
	}
	low, high := c.memory[next-1], c.memory[next]
	part := math.Log(float64(size)/float64(low.size)) / math.Log(float64(high.size)/float64(low.size))
	between := func(a, b float64) float64 { return a + part*(b-a) }
	return bandwidth{size, between(low.read, high.read), between(low.update, high.update)}
}

// bound is the ceiling that a kernel meets first, and what part of it a rate is: the time that the ceiling allows over the time taken.
func (c *ceilings) bound(w work, seconds float64) (name string, share float64) {
	if c == nil || seconds <= 0 {
		return notMeasured, 0
	}
	b := c.at(w.reach)
	rate, verb := b.read, "read"
	if 4*w.written >= w.bytes {
		rate, verb = b.update, "update"
	}
	compute, memory := float64(w.flops)/c.flops, float64(w.bytes)/rate
	if compute >= memory {
		return "FMA", compute / seconds
	}
	return c.level(w.reach) + " " + verb, memory / seconds
}

const notMeasured = "not measured"

// work is what a kernel must do: operations, bytes, those of them that are written, and the size of what it reads over and over.
type work struct{ flops, bytes, written, reach int64 }

func (c *ceilings) print(w io.Writer) error {
	if c == nil {
		_, err := fmt.Fprintln(w, "ceilings: not measured, there is no assembly for this processor in this build")
		return err
	}
	var s strings.Builder
	fmt.Fprintf(&s, "ceilings, %d threads: FMA %.0f GF/s", c.threads, c.flops/1e9)
	for _, b := range c.memory {
		fmt.Fprintf(&s, "; %s %s read %.0f, update %.0f GB/s", c.level(b.size), megabytes(b.size), b.read/1e9, b.update/1e9)
	}
	_, err := fmt.Fprintln(w, strings.Replace(s.String(), "1 threads", "1 thread", 1))
	return err
}

func megabytes(n int64) string {
	if n < 1<<20 {
		return fmt.Sprintf("%d KiB", n>>10)
	}
	return fmt.Sprintf("%d MiB", n>>20)
}
