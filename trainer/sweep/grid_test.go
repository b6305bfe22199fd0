package sweep

import (
	"errors"
	"flag"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nearfar/trainer/option"
)

type someOptions struct {
	Tau     float64 `flag:"tau" default:"0.2" above:"0"`
	LR      float64 `flag:"lr" default:"0.001" above:"0"`
	Layers  int     `flag:"layers" default:"3" min:"1" max:"16"`
	Augment string  `flag:"augment" default:"ed"`
	Reduce  string  `flag:"reduce" default:"mean" choices:"mean,sum"`
	K       []int   `flag:"k" default:"10,20" min:"1"`
	Data    string  `flag:"data"`
}

func parse(t *testing.T, text string) ([]Axis, error) {
	t.Helper()
	set, err := option.Bind(flag.NewFlagSet("", flag.ContinueOnError), new(someOptions))
	if err != nil {
		t.Fatal(err)
	}
	return ParseGrid(text, set, func(o *option.Option) error {
		if o.Name == "data" {
			return errors.New("one table, one data set")
		}
		return nil
	})
}

func trialsOf(t *testing.T, text string) []string {
	t.Helper()
	axes, err := parse(t, text)
	if err != nil {
		t.Fatal(err)
	}
	trials, err := Grid(axes)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i, tr := range trials {
		if tr.Number != i+1 {
			t.Errorf("trial %d has the number %d", i+1, tr.Number)
		}
		names = append(names, tr.String())
	}
	return names
}

func TestGrid(t *testing.T) {
	for _, tt := range []struct {
		text string
		want []string
	}{
		{"tau=.1", []string{"tau=0.1"}},
		{"tau=.1,2e-1;layers=1,2;", []string{"tau=0.1,layers=1", "tau=0.1,layers=2", "tau=0.2,layers=1", "tau=0.2,layers=2"}},
		{" -tau = .1 , .2 ", []string{"tau=0.1", "tau=0.2"}},
		{"augment=ed,[nd,ed];k=[10,20],[50]", []string{"augment=ed,k=10,20", "augment=ed,k=50", "augment=nd,ed,k=10,20", "augment=nd,ed,k=50"}},
		{"reduce=sum,mean", []string{"reduce=sum", "reduce=mean"}},
	} {
		if got := trialsOf(t, tt.text); !slices.Equal(got, tt.want) {
			t.Errorf("%s gives %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestGridRefuses(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"", "has no option"},
		{";;", "has no option"},
		{"tau", "want option=value,value"},
		{"tau=", "want option=value,value"},
		{"tua=.1", "no option \"tua\" (did you mean tau?)"},
		{"zzzzzz=1", "no option \"zzzzzz\""},
		{"data=a,b", "data: one table, one data set"},
		{"tau=.1;tau=.2", "tau is given twice"},
		{"tau=.1,1e-1", "0.1 is given twice"},
		{"tau=.1,,.2", `"": want a number`},
		{"tau=.1,0", `"0": must be above 0`},
		{"layers=1.5", "want a whole number"},
		{"reduce=max", "must be mean or sum"},
		{"augment=[ed", "bracket"},
		{"augment=ed]", "bracket"},
		{"augment=ed][", "bracket"},
		{"tau=.1..x", "want a number"},
		{"tau=.2...1", "is empty"},
		{"tau=0..1", "must be above 0"},
		{"layers=1..99", "at most 16"},
	} {
		if _, err := parse(t, tt.text); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%q gives %v, want %q", tt.text, err, tt.want)
		}
	}
	axes, err := parse(t, "tau=.1...2")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Grid(axes); err == nil || !strings.Contains(err.Error(), "-random") {
		t.Errorf("a grid of a range gives %v", err)
	}
	var many []Axis
	for range 3 {
		many = append(many, Axis{Option: "x", Values: make([]string, 50)})
	}
	if _, err := Grid(many); err == nil || !strings.Contains(err.Error(), "more than") {
		t.Errorf("125,000 trials give %v", err)
	}
}

func random(t *testing.T, text string, n int, seed uint64) []string {
	t.Helper()
	axes, err := parse(t, text)
	if err != nil {
		t.Fatal(err)
	}
	trials, err := Random(axes, n, seed)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, tr := range trials {
		names = append(names, tr.String())
	}
	return names
}

// Trial n depends on the seed alone; none comes twice; a finite space is found whole.
func TestRandomIsAFunctionOfTheSeed(t *testing.T) {
	const text = "lr=log:1e-4..1e-2;layers=1,2,3;tau=.1...5"
	ten, five := random(t, text, 10, 1), random(t, text, 5, 1)
	if !slices.Equal(ten[:5], five) {
		t.Errorf("5 trials are %q, the first of 10 %q", five, ten[:5])
	}
	if slices.Equal(five, random(t, text, 5, 2)) {
		t.Error("another seed draws the same trials")
	}
	all := random(t, "layers=1..4;reduce=sum,mean", 8, 1)
	slices.Sort(all)
	if len(slices.Compact(all)) != 8 {
		t.Errorf("8 trials of 8 are %q", all)
	}
	axes, err := parse(t, "layers=1..4;reduce=sum,mean")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Random(axes, 9, 1); err == nil || !strings.Contains(err.Error(), "8 combinations") {
		t.Errorf("9 trials of 8 give %v", err)
	}
}

// Draws fill their range in the measure that was asked for: a log range has as many below its geometric mean as above.
func TestRandomRanges(t *testing.T) {
	const n = 2000
	for _, tt := range []struct {
		text     string
		low, mid float64 // half of the draws are below mid
		high     float64
	}{
		{"lr=log:1e-4..1e-2", 1e-4, 1e-3, 1e-2},
		{"lr=1e-4..1e-2", 1e-4, .00505, 1e-2},
	} {
		below := 0
		for _, name := range random(t, tt.text, n, 7) {
			_, text, _ := strings.Cut(name, "=")
			v, err := strconv.ParseFloat(text, 64)
			if err != nil || v < tt.low || v > tt.high {
				t.Fatalf("%s: drew %q (%v)", tt.text, text, err)
			}
			if digits := strings.TrimLeft(strings.ReplaceAll(strings.Split(text, "e")[0], ".", ""), "0"); len(digits) > 4 {
				t.Errorf("%s: %s has more than four digits", tt.text, text)
			}
			if v < tt.mid {
				below++
			}
		}
		if math.Abs(float64(below)/n-.5) > .05 { // 4.5 standard errors
			t.Errorf("%s: %d of %d are below %g", tt.text, below, n, tt.mid)
		}
	}
	// Each whole number equally often, the ends too.
	r := Range{Low: 1, High: 4, Whole: true}
	count := map[string]int{}
	for i := range 4000 {
		count[r.at((float64(i)+.5)/4000)]++
	}
	for _, k := range []string{"1", "2", "3", "4"} {
		if count[k] != 1000 {
			t.Errorf("%s of 1..4 comes %d times in 4000", k, count[k])
		}
	}
	if _, err := parse(t, "tau=log:0..1"); err == nil {
		t.Error("a logarithm from 0")
	}
}
