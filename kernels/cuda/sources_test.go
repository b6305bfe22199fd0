package cuda

import (
	"fmt"
	"go/constant"
	"go/token"
	"go/types"
	"maps"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nearfar/kernels"
	"nearfar/kernels/cuda/images"
	"nearfar/kernels/kerneltest"
)

var (
	comment   = regexp.MustCompile(`//[^\n]*`)
	define    = regexp.MustCompile(`(?m)^#define (\w+)(?:\(([^()]*)\))? +(.*)$`)
	constants = regexp.MustCompile(`(?m)^const (?:int|unsigned) ([^;]*);`)
	enum      = regexp.MustCompile(`(?m)^enum \w*\s*{([^}]*)};`)
	word      = regexp.MustCompile(`\b[A-Za-z_]\w*\b`)
	begin     = regexp.MustCompile(`\bKERNEL\(`)
	kernel    = regexp.MustCompile(`\bKERNEL\((\w+)(?:, *\d+)?, *(\w+),`) // threads, with or without the blocks of an SM, and name
	export    = regexp.MustCompile(`\bEXPORT_KERNEL\((\w+)\)`)
)

// A source is what Go has to know of a .cu file.
type source struct {
	threads   map[string]int // of a block at most, by kernel: what it is compiled for
	exported  []string       // kernels that the emulator finds
	constants map[string]int // those that have a name
}

// sources reads every .cu file of this folder, by its name without the ending.
func sources(t *testing.T) map[string]source {
	t.Helper()
	names, err := images.Names(".")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]source{}
	for _, name := range names {
		text, err := os.ReadFile(name + ".cu")
		if err != nil {
			t.Fatal(err)
		}
		s, err := sourceOf(string(text))
		if err != nil {
			t.Fatalf("%s.cu: %v", name, err)
		}
		all[name] = s
	}
	return all
}

func sourceOf(text string) (source, error) {
	text = expanded(comment.ReplaceAllString(strings.ReplaceAll(text, "\\\n", " "), ""))
	s := source{threads: map[string]int{}, constants: map[string]int{}}
	for _, m := range constants.FindAllStringSubmatch(text, -1) {
		for _, one := range strings.Split(m[1], ",") {
			name, expression, _ := strings.Cut(one, "=")
			s.define(name, expression)
		}
	}
	for _, m := range enum.FindAllStringSubmatch(text, -1) {
		next := "0"
		for _, one := range strings.Split(m[1], ",") {
			name, expression, given := strings.Cut(one, "=")
			if !given {
				expression = next
			}
			s.define(name, expression)
			next = strings.TrimSpace(name) + " + 1"
		}
	}
	for _, m := range kernel.FindAllStringSubmatch(text, -1) {
		n, ok := s.value(m[1])
		if !ok {
			return s, fmt.Errorf("KERNEL(%s, %s, ..): %[1]s is no number", m[1], m[2])
		}
		s.threads[m[2]] = n
	}
	if n := len(begin.FindAllString(text, -1)); n != len(s.threads) {
		return s, fmt.Errorf("%d of %d KERNEL(..) could be read: %v", len(s.threads), n, slices.Sorted(maps.Keys(s.threads)))
	}
	for _, m := range export.FindAllStringSubmatch(text, -1) {
		s.exported = append(s.exported, m[1])
	}
	return s, nil
}

func (s *source) define(name, expression string) {
	if n, ok := s.value(expression); ok {
		s.constants[strings.TrimSpace(name)] = n
	}
}

// value is that of an expression of numbers and constants.
func (s *source) value(expression string) (int, bool) {
	expression = word.ReplaceAllStringFunc(expression, func(name string) string {
		if n, ok := s.constants[name]; ok {
			return strconv.Itoa(n)
		}
		return name
	})
	v, err := types.Eval(token.NewFileSet(), nil, token.NoPos, strings.TrimSpace(expression))
	if err != nil || v.Value == nil {
		return 0, false
	}
	n, exact := constant.Int64Val(v.Value)
	return int(n), exact
}

// expanded is text with the macros that it defines, as far as their arguments have no parentheses.
func expanded(text string) string {
	macros := define.FindAllStringSubmatch(text, -1)
	text = define.ReplaceAllString(text, "")
	for _, m := range slices.Backward(macros) { // one is written with those before it
		name, parameters, body := m[1], word.FindAllString(m[2], -1), m[3]
		if parameters == nil {
			text = regexp.MustCompile(`\b`+name+`\b`).ReplaceAllString(text, body)
			continue
		}
		call := regexp.MustCompile(`\b` + name + `\(([^()]*)\)`)
		text = call.ReplaceAllStringFunc(text, func(s string) string {
			given := strings.Split(call.FindStringSubmatch(s)[1], ",")
			if len(given) != len(parameters) {
				return s
			}
			filled := word.ReplaceAllStringFunc(body, func(w string) string {
				if i := slices.Index(parameters, w); i >= 0 {
					return strings.TrimSpace(given[i])
				}
				return w
			})
			return strings.ReplaceAll(filled, "##", "")
		})
	}
	return text
}

func TestSourceOf(t *testing.T) {
	s, err := sourceOf(`// KERNEL(1, not_this, int n)
#define BOUND 256, 4
#define BOTH(op, Vector) \
  KERNEL(BOUND, op##_rows, int n, Vector *x) { \
  } \
  EXPORT_KERNEL(op##_rows) \
  KERNEL(wide, op##_rows##4, int n) {} \
  EXPORT_KERNEL(op##_rows##4)
const int wide = 2 * 64, // a block
    wider = wide * 3;
enum { none, one, six = 6, seven };
BOTH(sum, float)
BOTH(largest, float4)
`)
	if err != nil {
		t.Fatal(err)
	}
	if want := map[string]int{"sum_rows": 256, "sum_rows4": 128, "largest_rows": 256, "largest_rows4": 128}; !maps.Equal(s.threads, want) {
		t.Errorf("threads are %v, want %v", s.threads, want)
	}
	if want := []string{"sum_rows", "sum_rows4", "largest_rows", "largest_rows4"}; !slices.Equal(s.exported, want) {
		t.Errorf("%v are exported, want %v", s.exported, want)
	}
	if want := map[string]int{"wide": 128, "wider": 384, "none": 0, "one": 1, "six": 6, "seven": 7}; !maps.Equal(s.constants, want) {
		t.Errorf("constants are %v, want %v", s.constants, want)
	}
	for _, text := range []string{"KERNEL(unknown, name, int n) {}", "KERNEL(2 * 128, name, int n) {}"} {
		if _, err := sourceOf(text); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}

// Each kernel has its name for the emulator, and is compiled for the GPUs of which there is machine code; and nothing else is.
func TestEveryKernelIsCompiled(t *testing.T) {
	manifest, err := images.Read("images")
	if err != nil {
		t.Fatal(err)
	}
	for name, s := range sources(t) {
		compiled := map[string][]string{"EXPORT_KERNEL": s.exported, "code for sm_80": nil, "code for sm_90": nil}
		if image := manifest.Image(name); image != nil {
			for _, k := range image.Kernels {
				compiled["code for "+k.Architecture] = append(compiled["code for "+k.Architecture], k.Name)
			}
		}
		for what, kernels := range compiled {
			for kernel := range s.threads {
				if !slices.Contains(kernels, kernel) {
					t.Errorf("%s.cu: there is no %s of %s: write it, or run make images", name, what, kernel)
				}
			}
			for _, kernel := range kernels {
				if s.threads[kernel] == 0 {
					t.Errorf("%s.cu: there is %s of %s, which is no kernel", name, what, kernel)
				}
			}
		}
	}
}

// What a .cu file and its Go both write down by name is the same on both sides.
func TestConstantsAreThoseOfTheKernels(t *testing.T) {
	all := sources(t)
	for name, here := range map[string]map[string]int{
		"logsumexp": {"chunk_rows": chunkRows, "strip_columns": stripCols},
		"map":       {"threads": mapThreads, "width": mapWidth, "previous": mapPrevious, "slot": mapSlot, "nothing": mapNothing},
		"spmm":      {"warps": threads / 32, "most_rows": spmmRows},
		"topk":      {"room": topShared},
	} {
		for constant, want := range here {
			if n, ok := all[name].constants[constant]; !ok || n != want {
				t.Errorf("%s of %s.cu is %d, %s.go has %d", constant, name, n, name, want)
			}
		}
	}

	// A C++ name may be no word of the language nor of its library.
	other := map[string]string{"nop": "no_op", "exp": "exponential", "log": "logarithm", "sqrt": "root", "tanh": "hyperbolic_tangent", "div": "divide",
		"max": "maximum", "min": "minimum"}
	for op := kernels.NoOp; op <= kernels.Where; op++ {
		name := strings.ReplaceAll(op.String(), "-", "_")
		if o, ok := other[name]; ok {
			name = o
		}
		if n, ok := all["map"].constants[name]; !ok || n != int(op) {
			t.Errorf("%s of map.cu is %d, kernels.MapOp has %d", name, n, op)
		}
	}
}

// launches is the kernel set as the conformance suite sees it. It declines every case, having looked at what it is lowered to.
type launches struct {
	t       *testing.T
	threads map[string]int  // a kernel is compiled for
	met     map[string]bool // kernels
}

// quiet leaves out what the suite says of cases that are declined.
type quiet struct{ *testing.T }

func (quiet) Logf(string, ...any) {}

func (l launches) Name() string { return Set{}.Name() }

func (l launches) Bind(kernels.Kernel, []kerneltest.Tensor, []kerneltest.Tensor, int) (func() error, error) {
	panic("everything is declined")
}

func (l launches) Offers(k kernels.Kernel, out, in []kernels.Desc) bool {
	c, err := Set{}.lower(k, outlines(out), outlines(in), Memory{})
	if err != nil {
		return false // float64
	}
	for _, s := range c.work.Steps {
		launch, ok := s.(*Launch)
		if !ok {
			continue
		}
		l.met[launch.Kernel] = true
		if most, ok := l.threads[launch.Kernel]; !ok {
			l.t.Errorf("%s of %v: there is no kernel %s", k.Name(), in, launch.Kernel)
		} else if launch.Block < 1 || launch.Block > most {
			l.t.Errorf("%s of %v: %v, and the kernel is compiled for %d threads", k.Name(), in, launch, most)
		}
	}
	return false
}

// A GPU refuses a block that is larger than KERNEL's number, by which the compiler gave out registers; the emulated driver has no such limit. Every
// kernel is met in a launch here: a new one by a case of the conformance suite, or, where only large operands lead to it, below.
func TestBlocksAreThoseOfTheKernels(t *testing.T) {
	l := launches{t, map[string]int{}, map[string]bool{}}
	for _, s := range sources(t) {
		maps.Copy(l.threads, s.threads)
	}
	for _, family := range kerneltest.Families() {
		kerneltest.Check(quiet{t}, l, family)
	}

	f, i := func(dims ...int) kernels.Desc { return kernels.Of(kernels.Float32, dims...) }, func(n int) kernels.Desc { return kernels.Of(kernels.Int32, n) }
	spmm := func(d, edges int) []kernels.Desc { return []kernels.Desc{f(9, d), i(100), i(100), i(edges)} }
	for _, c := range []struct {
		k  kernels.Kernel
		in []kernels.Desc
	}{
		{kernels.Softmax{}, []kernels.Desc{f(2, 20_000)}}, {kernels.SpMM{}, spmm(4, 70)}, {kernels.SpMM{}, spmm(32, 70)},
		{kernels.SpMM{}, spmm(64, spmmSplit)}, {kernels.SpMM{}, spmm(33, spmmSplit)},
	} {
		out, err := c.k.Infer(c.in)
		if err != nil {
			t.Fatal(err)
		}
		l.Offers(c.k, out, c.in)
	}

	// REDUCTION makes these, as of every fold; what AllFinite leaves of parts is too short for them.
	unused := []string{"reduce_runs_smallest", "reduce_runs_smallest4"}
	for _, kernel := range slices.Sorted(maps.Keys(l.threads)) {
		if l.met[kernel] == slices.Contains(unused, kernel) {
			t.Errorf("%s is launched: %v", kernel, l.met[kernel])
		}
	}
}
