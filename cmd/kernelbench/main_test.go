package main

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"nearfar/kernels"
	kernelset "nearfar/kernels/cpu"
)

// quick are the options of a run that takes no time.
func quick(more ...string) []string {
	return append([]string{"-sizes", "tiny", "-d", "16", "-B", "32", "-N", "48", "-time", "1us"}, more...)
}

func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	var out bytes.Buffer
	if err := command(t.Context(), args, &out, &out); err != nil {
		t.Fatalf("kernelbench %s: %v\n%s", strings.Join(args, " "), err, out.String())
	}
	return out.String()
}

// Programs read this: an array, these names, null where nothing was measured.
func TestJSON(t *testing.T) {
	if testing.Short() {
		t.Skip("measures the ceilings")
	}
	file := filepath.Join(t.TempDir(), "a.json")
	picture := filepath.Join(t.TempDir(), "a.svg")
	mustRun(t, quick("-run", "^(SpMM|Adam|Ranking.*|SimGCL.*)$", "-threads", "1,2", "-json", file, "-plot", picture)...)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var all []map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	// SpMM, Adam, the ranking, the step in float32 and in half; with one thread and two.
	if want := 5 * 2 * len(kernelset.Sets()); len(all) != want {
		t.Errorf("%d records, want %d", len(all), want)
	}
	for _, r := range all {
		for _, name := range []string{"kernel", "variant", "device", "size", "threads", "ms", "gflops", "gbps", "ceiling", "share", "verified"} {
			if _, ok := r[name]; !ok {
				t.Errorf("%v %v: there is no %s", r["kernel"], r["variant"], name)
			}
		}
		if ms, ok := r["ms"].(float64); !ok || !(ms > 0) || r["verified"] != true {
			t.Errorf("%v %v: ms %v, verified %v", r["kernel"], r["variant"], r["ms"], r["verified"])
		}
		if r["kernel"] == "SimGCL step" && r["share"] != nil {
			t.Errorf("a whole step has a share: %v", r["share"])
		}
	}
	drawn, err := os.ReadFile(picture)
	if err != nil {
		t.Fatal(err)
	}
	bars := 0
	for d := xml.NewDecoder(bytes.NewReader(drawn)); ; {
		token, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatalf("the picture is no XML: %v", err)
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "rect" {
			bars++
		}
	}
	if bars != len(all)+1 { // and the page
		t.Errorf("%d bars for %d records", bars-1, len(all))
	}
}

// Every kernel and form, in every set, agrees with float64.
func TestVerify(t *testing.T) {
	out := mustRun(t, quick("-verify", "-d", "8,64")...)
	if strings.Contains(out, wrong) || strings.Contains(out, "not offered") {
		t.Error(out)
	}
}

func tinyProblems(t *testing.T) []problem {
	t.Helper()
	s, err := chosen([]string{"tiny"}, "")
	if err != nil {
		t.Fatal(err)
	}
	w, err := s[0].open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return problems(w, dimensions{batch: 32, candidates: 48, dim: 16})
}

// A type of the vocabulary that is not benchmarked fails here.
func TestEveryKernelIsThere(t *testing.T) {
	benched := map[string]bool{}
	for _, p := range tinyProblems(t) {
		benched[reflect.TypeOf(p.k).Name()] = true
	}
	files, err := filepath.Glob("../../kernels/*.go")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Recv == nil || f.Name.Name != "Ref" {
				continue
			}
			if name := f.Recv.List[0].Type.(*ast.Ident).Name; !benched[name] {
				t.Errorf("no problem has the kernel %s", name)
			}
		}
	}
}

// What is right in all rows is right in some, and what is wrong in the first row is found in both.
func TestVerificationFindsMistakes(t *testing.T) {
	for _, p := range tinyProblems(t) {
		in := p.in(newDraws(p.name))
		want, err := p.k.Infer(descs(in))
		if err != nil {
			t.Fatal(p.name, err)
		}
		var ref []kernels.Tensor64
		for _, d := range want {
			ref = append(ref, kernels.NewTensor64(d))
		}
		p.k.Ref(ref, allWide(in))
		var out []tensor
		for i, r := range ref {
			o := blank(want[i])
			for k, v := range r.F {
				if o.B16 != nil {
					o.B16[k] = kernels.ToBFloat16(float32(v))
				} else {
					o.F32[k] = float32(v)
				}
			}
			copy(o.I32, r.I)
			out = append(out, o)
		}
		for _, operations := range []float64{1e9, 1} {
			v, err := verify(p, in, operations)
			if err != nil {
				t.Fatal(p.name, err)
			}
			if err := v.check(out); err != nil {
				t.Errorf("%s, %v: %v", p.name, v, err)
			}
			for i, o := range out {
				switch {
				case o.I32 != nil:
					o.I32[0]++
				case o.B16 != nil:
					o.B16[0] += 2
				default:
					o.F32[0] += .01 + float32(math.Abs(float64(o.F32[0])))
				}
				if v.check(out) == nil {
					t.Errorf("%s, %v: a wrong output %d is not found", p.name, v, i)
				}
				switch {
				case o.I32 != nil:
					o.I32[0]--
				case o.B16 != nil:
					o.B16[0] -= 2
				default:
					o.F32[0] = float32(ref[i].F[0])
				}
			}
		}
	}
}

// A kernel that writes nothing is not taken for the one before it, whose results lie in the same memory.
func TestOutputsAreEmptied(t *testing.T) {
	all, _ := openDevices(1, regexp.MustCompile("generic"), false)
	defer all[0].Close()
	for _, p := range tinyProblems(t) {
		if p.inPlace > 0 {
			continue
		}
		o, err := place(all[0].Device, p, p.in(newDraws(p.name)))
		if err != nil {
			t.Fatal(err)
		}
		e, err := o.load(all[0].Device)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(e.Run(t.Context()), o.fill()); err != nil {
			t.Fatal(err)
		}
		out, err := o.results()
		if err != nil {
			t.Fatal(err)
		}
		for i, x := range out {
			if x.I32 != nil && x.I32[0] != -1 || x.F32 != nil && !math.IsNaN(float64(x.F32[0])) {
				t.Errorf("%s: output %d has a result left", p.name, i)
			}
		}
		if err := errors.Join(e.Close(), o.free()); err != nil {
			t.Fatal(err)
		}
	}
}

func at(kernel, variant, device string, ms, half float64) record {
	return record{Kernel: kernel, Variant: variant, Device: device, Size: "70k d=64", Threads: 1, MS: number(ms), Q1: number(ms - half), Q3: number(ms + half), Best: number(ms), Clock: "wall"}
}

func TestCompare(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, records ...record) string {
		path := filepath.Join(dir, name)
		if err := writeJSON(path, records); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := write("a.json", at("SpMM", "avx2", "cpu", 20, 1), at("SpMM", "tuned", "torch 2.15.0", 60, 1), at("Adam", "avx2", "cpu", 4, 1), record{Kernel: "Put", Device: "cuda"})
	b := write("b.json", at("SpMM", "avx2", "cpu", 10, 1), at("SpMM", "avx512", "cpu", 5, 1), at("Adam", "avx2", "cpu", 4.5, 1))
	out := mustRun(t, "-compare", a, b)
	for _, want := range []string{`SpMM +70k d=64 +1 +avx2 +20.0 +avx2 +10.0 +x2.00 +x2.00 +beyond`, `torch 2.15.0 tuned +60.0 +avx512 +5.00 +x12.00`, `Adam .* x0.89 +x0.89 +within`,
		`geometric mean of 3: x2.77; 2 beyond`} {
		if !regexp.MustCompile(want).MatchString(out) {
			t.Errorf("there is no %q in\n%s", want, out)
		}
	}
	other := write("other.json", at("Gather", "avx2", "cpu", 1, 1))
	cpu := at("SpMM", "avx2", "cpu", 20, 1)
	cpu.Clock = "cpu"
	bad := filepath.Join(dir, "bad.json")
	if err := os.WriteFile(bad, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ file, want string }{{other, "in common"}, {bad, "not what -json writes"}, {filepath.Join(dir, "none"), "no such file"}, {write("cpu.json", cpu), "-clock"}} {
		if err := command(t.Context(), []string{"-compare", a, c.file}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.want, err)
		}
	}
}

func TestMisuse(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-sizes 1g", `there is no "1g": take of tiny, embedded`},
		{"-run (", "-run"}, {"-d 0", "-d 0: want numbers from 1 on"}, {"-N x", "-N x"}, {"-clock sun", "want wall or cpu"}, {"-compare a.json", "want two files"},
		{"a.json", "options only"}, {"-sizes tiny -verify -run nothing", "no kernel of that name"}, {"-variant (", "-variant"}, {"-sizes tiny -verify -variant nothing", "no device"},
	} {
		err := command(t.Context(), strings.Fields(c.args), io.Discard, io.Discard)
		var wrong *usageError
		if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.args, err)
		}
	}
	if err := command(t.Context(), []string{"-data", filepath.Join(t.TempDir(), "none")}, io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "-data") {
		t.Errorf("data that is not there: %v", err)
	}
}

func TestNPY(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.npy")
	for _, x := range []tensor{filled(func(i int) float32 { return float32(i) / 3 }, 3, 5), indices([]int32{1, -2, 3}), constant(7)} {
		if err := writeNPY(path, x); err != nil {
			t.Fatal(err)
		}
		if got, err := readNPY(path); err != nil || !reflect.DeepEqual(got, x) {
			t.Errorf("%v comes back as %v, %v", x, got, err)
		}
	}
	if err := os.WriteFile(path, []byte("no"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readNPY(path); err == nil {
		t.Error("no .npy file is read")
	}
}

// PyTorch computes the same, and a peer that cannot be started says what to do.
func TestTorch(t *testing.T) {
	script, err := filepath.Abs("../../docs/peers/torch_cpu.py")
	if err != nil {
		t.Fatal(err)
	}
	python := "python3"
	if p := os.Getenv("NEARFAR_TORCH"); p != "" {
		python = p
	}
	err = command(t.Context(), quick("-torch", filepath.Join(t.TempDir(), "no-python"), "-peer", script), io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-torch") {
		t.Errorf("a Python that is not there: %v", err)
	}
	if exec.Command(python, "-c", "import torch").Run() != nil {
		t.Skipf("%s has no torch; NEARFAR_TORCH names one that has", python)
	}
	dump := t.TempDir()
	out := mustRun(t, quick("-torch", python, "-peer", script, "-dump", dump)...)
	if n := strings.Count(out, " of torch "); n != 6*2 || strings.Contains(out, wrong) { // five cases, the step in two precisions
		t.Errorf("%d ratios, want 12:\n%s", n, out)
	}
	text, err := exec.Command(python, script, dump).CombinedOutput()
	if err != nil || strings.Count(string(text), " ms ") != 5 {
		t.Errorf("the script alone: %v\n%s", err, text)
	}
}

func TestPowerLaw(t *testing.T) {
	x, err := powerLaw(500, 400, 9000)(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if x.Users() != 500 || x.Items != 400 || x.Len() < 6000 || x.Len() > 10_000 {
		t.Errorf("%d users, %d items, %d interactions", x.Users(), x.Items, x.Len())
	}
	for u := range x.Users() {
		for k, i := range x.Of(u) {
			if i < 0 || int(i) >= x.Items || k > 0 && x.Of(u)[k-1] >= i {
				t.Fatalf("user %d has %v", u, x.Of(u))
			}
		}
	}
}

// Many threads have more L2 together than the L3 has: the buffers are large enough for either.
func TestCeilingsOfManyThreads(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	c := measureCeilings(4, 64<<10, 64<<10, wallOf)
	if c == nil {
		t.Skip("no loops for this processor")
	}
	for i, b := range c.memory {
		if !(b.read > 0 && b.update > 0) || i > 0 && b.size <= c.memory[i-1].size {
			t.Errorf("buffer %d is %+v", i, b)
		}
	}
	if last := c.memory[len(c.memory)-1].size; last != 1<<20 {
		t.Errorf("the largest buffer is %d bytes, want four times what the threads' L2 have", last)
	}
}

// A bound has the name of the memory that the operands fit into, and a share of 1 at its rate.
func TestBound(t *testing.T) {
	c := &ceilings{threads: 1, flops: 100e9, caches: []cache{{"L2", 1 << 20}, {"L3", 32 << 20}},
		memory: []bandwidth{{1 << 19, 100e9, 80e9}, {8 << 20, 50e9, 40e9}, {128 << 20, 20e9, 20e9}}}
	for _, q := range []struct {
		w     work
		name  string
		share float64
	}{
		{work{flops: 100e9, bytes: 1e9, reach: 8 << 20}, "FMA", 1},
		{work{bytes: 50e9, reach: 8 << 20}, "L3 read", 1},
		{work{bytes: 50e9, reach: 2 << 20}, "L3 read", 2.0 / 3}, // half way between 100 and 50, by the logarithm
		{work{bytes: 20e9, written: 10e9, reach: 1 << 30}, "DRAM update", 1},
		{work{bytes: 100e9, reach: 1000}, "L2 read", 1},
	} {
		if name, share := c.bound(q.w, 1); name != q.name || math.Abs(share-q.share) > 1e-9 {
			t.Errorf("%+v: %v of %s, want %v of %s", q.w, share, name, q.share, q.name)
		}
	}
	// What is computed in place is read and written, and one memory.
	d := kernels.Of(kernels.Float32, 1000, 8)
	rate := kernels.Of(kernels.Float32, 3)
	adam := problem{k: kernels.Adam{B1: .9, B2: .999, Eps: 1e-8}, inPlace: 3}
	in := []tensor{{Desc: d}, {Desc: d}, {Desc: d}, {Desc: d}, {Desc: rate}, {Desc: kernels.Of(kernels.Float32)}, {Desc: kernels.Of(kernels.Float32)}}
	if w := workOf(adam, in); w.bytes < 28*8000 || w.bytes > 28*8000+100 || w.reach < 16*8000 || w.reach > 16*8000+100 {
		t.Errorf("Adam on 8000 parameters: %+v, want 28 bytes moved and 16 reached of each", w)
	}
	if name, share := (*ceilings)(nil).bound(work{flops: 1}, 1); name != notMeasured || share != 0 {
		t.Errorf("without ceilings: %v of %s", share, name)
	}
}
