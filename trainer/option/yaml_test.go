package option

import (
	"flag"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestYAMLErrors(t *testing.T) {
	for _, c := range []struct {
		text  string
		wants []string // the file's name stands for %s
	}{
		{"# comment\nlayers: 2\ntua: 0.1\n", []string{`%s:3: unknown key "tua" (did you mean tau?)`}},
		{"tau: warm\n", []string{"%s:1: tau: want a number"}},
		{"\nlayers: 2.5\n", []string{"%s:2: layers: want a whole number"}},
		{"tau: 0.1\nlr: 1\ntau: 0.2\n", []string{"%s:3: tau is given twice, first in line 1"}},
		{"tau:\n", []string{"%s:1: tau: has no value"}},
		{"tau: [1]\n", []string{"%s:1: tau: want a single value"}},
		{"cutoffs: [1, [2]]\n", []string{"%s:1: cutoffs: want a list"}},
		{"cutoffs: [1, ~]\n", []string{"%s:1: cutoffs: want whole numbers"}},
		{"tau: {a: 1}\n", []string{"%s:1: tau: want a single value"}},
		{"quiet: yes\n", []string{"%s:1: quiet: want true or false"}},
		{"- tau\n", []string{"%s:1: want lines of"}},
		{"tau: 1\nlr: a: b\n", []string{"%s:2: mapping values"}},
		{"tau: 1\n---\ntau: 2\n", []string{"a second YAML document"}},
		{"? [a]\n: 1\n", []string{"%s:1: unknown key"}},
		{"tua: 1\nlayers: x\n", []string{"%s:1: unknown", "%s:2: layers"}},
	} {
		b := bindSGL(t)
		path := writeFile(t, c.text)
		err := b.set.LoadYAML(path)
		for _, want := range c.wants {
			want = strings.ReplaceAll(want, "%s", path)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want %q in it", c.text, err, want)
			}
		}
		if changed := b.set.Changed(); len(changed) > 0 {
			t.Errorf("%q: %s was changed in spite of the error", c.text, changed[0].Name)
		}
	}
	if err := bindSGL(t).set.LoadYAML(filepath.Join(t.TempDir(), "absent.yaml")); err == nil {
		t.Error("no error for an absent file")
	}
	for _, empty := range []string{"", "# nothing\n", "~\n"} {
		if err := bindSGL(t).set.LoadYAML(writeFile(t, empty)); err != nil {
			t.Errorf("%q: %v", empty, err)
		}
	}
}

func TestYAMLForms(t *testing.T) {
	b := bindSGL(t)
	path := writeFile(t, "batch: &n 64\nlayers: 0x4\ncutoffs: 10,20\ntau: 1e-1\nout: \"\"\nreduce: mean\ncheckpoint-every: 90s\nseed: 18446744073709551615\n")
	if err := b.set.LoadYAML(path); err != nil {
		t.Fatal(err)
	}
	if b.train.Batch != 64 || b.sgl.Layers != 4 || len(b.train.Cutoffs) != 2 || b.sgl.Tau != .1 || !b.sgl.Reduce.mean ||
		b.train.Every != 90*time.Second || b.train.Seed != math.MaxUint64 {
		t.Errorf("%+v %+v", b.train, b.sgl)
	}
}

// A list of names is a YAML sequence, or its elements with commas between them.
func TestNames(t *testing.T) {
	for text, want := range map[string][]string{
		"names: image, text\n":        {"image", "text"},
		"names: [image, \"1\", no]\n": {"image", "1", "no"},
		"names: []\n":                 nil,
		"names: \"\"\n":               nil,
		"names: a,,b\n":               {"want names separated by commas, such as image,text"},
		"names: [a, [b]]\n":           {"want a list of single values"},
	} {
		var o struct {
			Names []string `flag:"names" default:"default"`
		}
		set, err := Bind(flag.NewFlagSet("", flag.ContinueOnError), &o)
		if err != nil {
			t.Fatal(err)
		}
		if err := set.LoadYAML(writeFile(t, text)); err != nil {
			if !strings.Contains(err.Error(), ":1: names: "+want[0]) {
				t.Errorf("%q: %v", text, err)
			}
		} else if !slices.Equal(o.Names, want) {
			t.Errorf("%q: %q, want %q", text, o.Names, want)
		}
	}
}

// everything holds values that YAML could mistake for others.
type everything struct {
	S string        `flag:"s"`
	A augmentation  `flag:"a"`
	B bool          `flag:"b"`
	I int           `flag:"i"`
	J int64         `flag:"j"`
	U uint64        `flag:"u"`
	F float64       `flag:"f"`
	D time.Duration `flag:"d"`
	L []int         `flag:"l"`
	N []string      `flag:"n"`
	R reduction     `flag:"r"`
}

func roundTrip(t *testing.T, in everything) {
	t.Helper()
	var from, to everything
	set, err := Bind(flag.NewFlagSet("", flag.ContinueOnError), &from)
	if err != nil {
		t.Fatal(err)
	}
	from = in
	text, err := set.Resolved()
	if err != nil {
		t.Fatalf("%+v: %v", in, err)
	}
	read, err := Bind(flag.NewFlagSet("", flag.ContinueOnError), &to)
	if err != nil {
		t.Fatal(err)
	}
	if err := read.LoadYAML(writeFile(t, string(text))); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	if !reflect.DeepEqual(from, to) {
		t.Errorf("wrote %+v\nread  %+v\nfrom:\n%s", from, to, text)
	}
}

func TestResolvedRoundTrip(t *testing.T) {
	for _, s := range []string{"", "~", "null", "true", "no", "1e3", "0x10", "- a", "a: b", "#x", " lead", "trail ", "two\nlines\n", "\n\n a",
		"tab\there", "\r", `quo"te's`, "{", "[1", "*x", "&x", "!x", "%x", "@x", "`", "2024-01-01", "ünï 日本", "\u2028", "\x00\x7f", "<<", "=", "---", "C:\\runs"} {
		roundTrip(t, everything{S: s, A: augmentation(s)})
	}
	roundTrip(t, everything{"x", "y", true, math.MinInt, math.MaxInt64, math.MaxUint64, 5e-324, -time.Nanosecond, []int{-1, 0, 50}, []string{"image"}, reduction{true}})
	roundTrip(t, everything{F: 1e21, D: 1<<63 - 1})
	roundTrip(t, everything{F: .1 + .2, L: []int{7}, N: []string{"null", "~", "1", "audio_whisper", "a b", "[x]", "日本"}})
}

func TestResolvedForm(t *testing.T) {
	text, err := bindSGL(t).set.Resolved()
	if err != nil {
		t.Fatal(err)
	}
	want := `# Training
batch: 2048
lr: 0.01
seed: 42
cutoffs: [10, 20]
checkpoint-every: 10m0s
quiet: false
out: ""
# LightGCN
layers: 3
# SGL (SIGIR 2021)
augment: ed
tau: 0.2
reduce: sum
`
	if string(text) != want {
		t.Errorf("%s\nwant\n%s", text, want)
	}
}

func FuzzYAML(f *testing.F) {
	for _, seed := range []string{"tau: 1\n", "a: &a [*a]\n", "cutoffs: &a [*a]\n", "tau: *x", "{", "? ", "\xff", "- - -", "layers: !!binary aGk=\n", "<<: {tau: 1}\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var train trainOptions
		var sgl sglOptions
		set, err := Bind(flag.NewFlagSet("", flag.ContinueOnError), &train, &sgl)
		if err != nil {
			t.Fatal(err)
		}
		if set.readYAML("fuzz.yaml", text) != nil {
			return
		}
		again, err := set.Resolved()
		if err != nil {
			t.Fatal(err)
		}
		before := fmt.Sprintf("%+v %+v", train, sgl)
		if err := set.readYAML("again.yaml", again); err != nil {
			t.Fatalf("%v in\n%s", err, again)
		}
		if after := fmt.Sprintf("%+v %+v", train, sgl); after != before {
			t.Fatalf("%s\nread back as\n%s", before, after)
		}
	})
}
