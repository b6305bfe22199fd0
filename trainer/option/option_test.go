package option

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

type trainOptions struct {
	_       struct{}      `title:"Training"`
	Batch   int           `flag:"batch" default:"1024" min:"1" help:"interactions in a step"`
	Rate    float64       `flag:"lr" default:"0.01" above:"0" help:"learning rate"`
	Seed    uint64        `flag:"seed" default:"42"`
	Cutoffs []int         `flag:"cutoffs" default:"20" min:"1"`
	Every   time.Duration `flag:"checkpoint-every" default:"10m" min:"1s"`
	Quiet   bool          `flag:"quiet"`
	Out     string        `flag:"out"`
}

type lightGCNOptions struct {
	_      struct{} `title:"LightGCN"`
	Layers int      `flag:"layers" default:"2" min:"1" max:"6" source:"paper, 4.1"`
}

type augmentation string

// reduction is a value that reads and writes itself.
type reduction struct{ mean bool }

func (r reduction) MarshalText() ([]byte, error) {
	if r.mean {
		return []byte("mean"), nil
	}
	return []byte("sum"), nil
}

func (r *reduction) UnmarshalText(text []byte) error {
	if s := string(text); s != "mean" && s != "sum" {
		return errors.New("want mean or sum")
	}
	r.mean = string(text) == "mean"
	return nil
}

type sglOptions struct {
	_               struct{} `title:"SGL (SIGIR 2021)" defaults:"batch=2048 cutoffs=10,20" source:"wujcan/SGL, yelp2018"`
	lightGCNOptions `defaults:"layers=3" source:"wujcan/SGL"`
	Augment         augmentation `flag:"augment" default:"ed" choices:"nd,ed,rw" help:"how a view is drawn"`
	Tau             float64      `flag:"tau" default:"0.2" above:"0" max:"10" help:"temperature of the softmax" source:"wujcan/SGL, yelp2018"`
	Reduce          reduction    `flag:"reduce" default:"sum"`
}

type boundSGL struct {
	set   *Set
	train trainOptions
	sgl   sglOptions
}

func bindSGL(t *testing.T) *boundSGL {
	t.Helper()
	b := &boundSGL{}
	fs := flag.NewFlagSet("train", flag.ContinueOnError)
	fs.String("config", "", "YAML file")
	var err error
	if b.set, err = Bind(fs, &b.train, &b.sgl); err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sgl.yaml")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDefaultsAndOverrides(t *testing.T) {
	b := bindSGL(t)
	want := trainOptions{Batch: 2048, Rate: .01, Seed: 42, Cutoffs: []int{10, 20}, Every: 10 * time.Minute}
	if !reflect.DeepEqual(b.train, want) {
		t.Errorf("training options %+v, want %+v", b.train, want)
	}
	if b.sgl.Layers != 3 || b.sgl.Tau != .2 || b.sgl.Augment != "ed" || b.sgl.Reduce.mean {
		t.Errorf("model options %+v", b.sgl)
	}
	if o := b.set.Lookup("layers"); o.Source != "wujcan/SGL" || o.Default != "3" || o.Group != "LightGCN" {
		t.Errorf("layers: source %q, default %q, group %q", o.Source, o.Default, o.Group)
	}
	if o := b.set.Lookup("batch"); o.Source != "wujcan/SGL, yelp2018" {
		t.Errorf("batch: source %q", o.Source)
	}
	if changed := b.set.Changed(); len(changed) != 0 {
		t.Errorf("an overridden default counts as changed: %s", changed[0].Name)
	}
}

func TestPrecedence(t *testing.T) {
	path := writeFile(t, "tau: 0.5\nlayers: 4\ncutoffs: [5, 50]\n")
	args := []string{"-tau", "0.1", "-quiet", "-seed=7"}
	for _, fileFirst := range []bool{true, false} {
		t.Run(fmt.Sprintf("fileFirst=%t", fileFirst), func(t *testing.T) {
			b := bindSGL(t)
			steps := []func() error{func() error { return b.set.LoadYAML(path) }, func() error { return b.set.Parse(args) }}
			if !fileFirst {
				slices.Reverse(steps)
			}
			for _, step := range steps {
				if err := step(); err != nil {
					t.Fatal(err)
				}
			}
			if b.sgl.Tau != .1 || b.sgl.Layers != 4 || !slices.Equal(b.train.Cutoffs, []int{5, 50}) || !b.train.Quiet || b.train.Seed != 7 {
				t.Errorf("%+v %+v", b.train, b.sgl)
			}
			var changed []string
			for _, o := range b.set.Changed() {
				changed = append(changed, o.Name+" "+o.Origin().String())
			}
			if got, want := strings.Join(changed, "; "), "seed command line; cutoffs file; quiet command line; layers file; tau command line"; got != want {
				t.Errorf("changed: %s\nwant:    %s", got, want)
			}
		})
	}
}

func TestCommandLineErrors(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-tua 0.1", "unknown option -tua (did you mean -tau?)"},
		{"-cofnig x", "did you mean -config?"},
		{"-checkpoint 5m", "did you mean -checkpoint-every?"},
		{"-xyzzy 1", "unknown option -xyzzy; -help"},
		{"-tau warm", `"warm" for flag -tau: want a number`},
		{"-layers 2.5", "want a whole number"},
		{"-layers 99999999999999999999", "out of range"},
		{"-seed -1", "want a whole number from 0"},
		{"-cutoffs 10,x", "separated by commas"},
		{"-checkpoint-every 30", "with its unit"},
		{"-reduce max", "want mean or sum"},
		{"-quiet=maybe", "want true or false"},
		{"-tau", "needs an argument"},
		{"-out \xff", "UTF-8"},
	} {
		err := bindSGL(t).set.Parse(strings.Split(c.args, " "))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", c.args, err, c.want)
		}
	}
	if err := bindSGL(t).set.Parse([]string{"-help"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("-help: %v, want flag.ErrHelp", err)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"-tau 0", `-tau is "0": must be above 0 and at most 10`},
		{"-tau 11", "at most 10"},
		{"-tau NaN", "must be a finite number, above 0"},
		{"-lr Inf", "must be a finite number"},
		{"-layers 0", "at least 1 and at most 6"},
		{"-cutoffs 10,0", "every element must be at least 1"},
		{"-augment edd", "must be nd, ed or rw (did you mean ed?)"},
		{"-checkpoint-every 1ms", "at least 1s"},
		{"-batch 0 -layers 9", "-layers is \"9\""},
		{"-tau 10 -layers 6 -cutoffs 1 -augment rw", ""},
	} {
		b := bindSGL(t)
		if err := b.set.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		switch err := b.set.Validate(); {
		case c.want == "" && err != nil:
			t.Errorf("%s: %v", c.args, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%s: error %v, want %q in it", c.args, err, c.want)
		}
	}

	b := bindSGL(t)
	path := writeFile(t, "seed: 1\ntau: -3\n")
	if err := b.set.LoadYAML(path); err != nil {
		t.Fatal(err)
	}
	if err := b.set.Validate(); err == nil || !strings.Contains(err.Error(), path+":2: tau is") {
		t.Errorf("value from a file: %v, want its place", err)
	}
}

func TestHelp(t *testing.T) {
	var text strings.Builder
	if err := bindSGL(t).set.Help(&text); err != nil {
		t.Fatal(err)
	}
	want := `Training
  -batch             2048   interactions in a step (at least 1)                    [wujcan/SGL, yelp2018]
  -lr                0.01   learning rate (above 0)
  -seed              42
  -cutoffs           10,20  (at least 1)                                           [wujcan/SGL, yelp2018]
  -checkpoint-every  10m0s  (at least 1s)
  -quiet             false
  -out

LightGCN
  -layers            3      (at least 1 and at most 6)                             [wujcan/SGL]

SGL (SIGIR 2021)
  -augment           ed     how a view is drawn (nd, ed or rw)
  -tau               0.2    temperature of the softmax (above 0 and at most 10)    [wujcan/SGL, yelp2018]
  -reduce            sum
`
	if squeeze(text.String()) != squeeze(want) {
		t.Errorf("help:\n%s\nwant:\n%s", text.String(), want)
	}
	column := -1
	for _, line := range strings.Split(text.String(), "\n") {
		if i := strings.Index(line, "[wujcan"); i >= 0 {
			if column >= 0 && i != column {
				t.Errorf("sources are not aligned:\n%s", text.String())
			}
			column = i
		}
	}
}

func squeeze(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = strings.Join(strings.Fields(line), " ")
	}
	return strings.Join(lines, "\n")
}

func TestBindRefuses(t *testing.T) {
	type embedded struct {
		A int `flag:"a"`
	}
	for name, c := range map[string]struct {
		options any
		want    string
	}{
		"no pointer": {struct{}{}, "not a pointer"},
		"nil":        {(*embedded)(nil), "not a pointer"},
		"type": {&struct {
			A complex128 `flag:"a"`
		}{}, "not a type an option can have"},
		"unexported": {&struct {
			a int `flag:"a"`
		}{}, "not exported"},
		"name": {&struct {
			A int `flag:"-A"`
		}{}, "want lower-case"},
		"default": {&struct {
			A int `flag:"a" default:"x"`
		}{}, "want a whole number"},
		"default's bound": {&struct {
			A int `flag:"a" min:"1"`
		}{}, "must be at least 1"},
		"choice": {&struct {
			A string `flag:"a" choices:"x,y"`
		}{}, "must be x or y"},
		"bound": {&struct {
			A int `flag:"a" min:"x"`
		}{}, `min "x"`},
		"order": {&struct {
			A bool `flag:"a" min:"1"`
		}{}, "no order"},
		"override": {&struct {
			embedded `defaults:"b=1"`
		}{}, `no option "b"`},
		"override's form": {&struct {
			embedded `defaults:"a"`
		}{}, "want name=value"},
		"needs' form": {&struct {
			A int `flag:"a" needs:"b"`
		}{}, "want name=value"},
		"needs": {&struct {
			A int `flag:"a" needs:"b=1"`
		}{}, "-a needs -b, which is no option"},
		"twice": {&struct {
			embedded
			B int `flag:"a"`
		}{}, "defined twice"},
	} {
		_, err := Bind(flag.NewFlagSet("", flag.ContinueOnError), c.options)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want %q in it", name, err, c.want)
		}
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	fs.Int("a", 0, "")
	if _, err := Bind(fs, &embedded{}); err == nil || !strings.Contains(err.Error(), "defined twice") {
		t.Errorf("a flag that the FlagSet has already: %v", err)
	}
}

func TestNearest(t *testing.T) {
	names := []string{"tau", "lambda", "layers", "checkpoint-every", "gpu"}
	for misspelt, want := range map[string]string{
		"tua": "tau", "lamda": "lambda", "Layers": "layers", "layer": "layers", "check": "checkpoint-every", "gup": "gpu", "zzz": "", "": "",
	} {
		if got, ok := Nearest(misspelt, names); got != want || ok != (want != "") {
			t.Errorf("Nearest(%q) = %q, %t, want %q", misspelt, got, ok, want)
		}
	}
}

// A value that has no effect beside those of other options is refused where it is not the default.
func TestNeeds(t *testing.T) {
	type options struct {
		Rule     string  `flag:"rule" default:"adam" choices:"adam,adamw,sgd"`
		Momentum float64 `flag:"momentum" default:"0" needs:"rule=sgd"`
		Count    int     `flag:"count" default:"0"`
		Seed     int     `flag:"seed" default:"1" needs:"count!=0 rule=adamw|sgd"`
	}
	for args, want := range map[string]string{
		"":                           "",
		"-momentum 0":                "",
		"-momentum .9":               `-momentum is "0.9": it has an effect only with -rule sgd`,
		"-momentum .9 -rule sgd":     "",
		"-seed 2":                    `-seed is "2": it has an effect only with -count other than 0 or -rule adamw or sgd`,
		"-seed 2 -count 3":           "",
		"-seed 1":                    "",
		"-seed 2 -rule sgd":          "",
		"-momentum .9 -rule adamw":   "-rule sgd",
		"-seed 2 -rule adam":         "-count",
		"-seed 2 -rule sgd -count 0": "",
	} {
		set, err := Bind(flag.NewFlagSet("", flag.ContinueOnError), new(options))
		if err != nil {
			t.Fatal(err)
		}
		if err := set.Parse(strings.Fields(args)); err != nil {
			t.Fatal(err)
		}
		if err := set.CheckEffects(); want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
	set, err := Bind(flag.NewFlagSet("", flag.ContinueOnError), new(options))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := set.LoadEnvironment("T_", []string{"T_MOMENTUM=.9"}); err != nil || set.CheckEffects() != nil {
		t.Errorf("of the environment: %v, %v", err, set.CheckEffects())
	}
}
