package option

import (
	"flag"
	"strings"
	"testing"
)

// Default, file, environment, command line: each wins over those before it, in whatever order they are read, and says where it stood.
func TestPrecedenceOfEnvironment(t *testing.T) {
	file := "tau: 0.3\nlayers: 2\nlr: 0.5\n"
	environ := []string{"TRAINER_TAU=0.4", "TRAINER_LAYERS=4", "PATH=/bin", "TAU=9"}
	args := []string{"-tau", "0.5"}
	sources := map[string]func(*testing.T, *Set){
		"file": func(t *testing.T, s *Set) {
			if err := s.LoadYAML(writeFile(t, file)); err != nil {
				t.Fatal(err)
			}
		},
		"environment": func(t *testing.T, s *Set) {
			if warnings, err := s.LoadEnvironment("TRAINER_", environ); err != nil || len(warnings) > 0 {
				t.Fatal(warnings, err)
			}
		},
		"command line": func(t *testing.T, s *Set) {
			if err := s.Parse(args); err != nil {
				t.Fatal(err)
			}
		},
	}
	for _, order := range []string{"file,environment,command line", "command line,environment,file", "environment,file,command line"} {
		t.Run(order, func(t *testing.T) {
			b := bindSGL(t)
			for _, source := range strings.Split(order, ",") {
				sources[source](t, b.set)
			}
			for name, want := range map[string]struct {
				value  string
				origin Origin
				place  string
			}{
				"tau":    {"0.5", FromCommandLine, ""},
				"layers": {"4", FromEnvironment, "TRAINER_LAYERS"},
				"lr":     {"0.5", FromFile, ":3"},
				"batch":  {"2048", FromDefault, ""},
			} {
				o := b.set.Lookup(name)
				if o.Value() != want.value || o.Origin() != want.origin || !strings.HasSuffix(o.Place(), want.place) {
					t.Errorf("%s is %s from the %s (%s), want %s from the %s (%s)", name, o.Value(), o.Origin(), o.Place(), want.value, want.origin, want.place)
				}
			}
		})
	}
}

func TestEnvironmentMistakes(t *testing.T) {
	for _, c := range []struct {
		variable string
		warning  string
		err      string // of reading, or of Validate
	}{
		{"TRAINER_TUA=1", "TRAINER_TUA is no option (did you mean TRAINER_TAU?)", ""},
		{"TRAINER_ZZZZZZZZ=1", "TRAINER_ZZZZZZZZ is no option: it has no effect", ""},
		{"TRAINER_TAU=warm", "", "TRAINER_TAU: want a number"},
		{"TRAINER_TAU=-1", "", "TRAINER_TAU: tau is \"-1\": must be above 0"},
		{"TRAINER_CHECKPOINT_EVERY=1h", "", ""},
		{"trainer_tau=-1", "", ""},
		{"TRAINERS_TAU=-1", "", ""},
	} {
		b := bindSGL(t)
		warnings, err := b.set.LoadEnvironment("TRAINER_", []string{c.variable})
		if err == nil {
			err = b.set.Validate()
		}
		if c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: error %v, want %q", c.variable, err, c.err)
		}
		if text := strings.Join(warnings, "\n"); c.warning == "" && text != "" || !strings.Contains(text, c.warning) {
			t.Errorf("%s: warning %q, want %q", c.variable, text, c.warning)
		}
	}
	// One wrong value changes nothing.
	b := bindSGL(t)
	if _, err := b.set.LoadEnvironment("TRAINER_", []string{"TRAINER_LAYERS=2", "TRAINER_TAU=x"}); err == nil || len(b.set.Changed()) > 0 {
		t.Errorf("error %v, changed %v", err, b.set.Changed())
	}
}

func TestCanonical(t *testing.T) {
	set := bindSGL(t).set
	for _, c := range []struct{ option, text, want, err string }{
		{"tau", ".1", "0.1", ""},
		{"tau", "1e-1", "0.1", ""},
		{"tau", "0", "0", "must be above 0"},
		{"tau", "hot", "", "want a number"},
		{"layers", "0x4", "4", ""},
		{"cutoffs", "010, 20", "10,20", ""},
		{"cutoffs", "10, 20", "10,20", ""},
		{"augment", "edd", "edd", "did you mean ed?"},
		{"quiet", "T", "true", ""},
	} {
		before := set.Lookup(c.option).Value()
		got, err := set.Lookup(c.option).Canonical(c.text)
		if got != c.want || c.err == "" && err != nil || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("-%s %s is %q (%v), want %q (%s)", c.option, c.text, got, err, c.want, c.err)
		}
		if set.Lookup(c.option).Value() != before {
			t.Errorf("asking about -%s %s has changed it", c.option, c.text)
		}
	}
}

func TestAssign(t *testing.T) {
	set := bindSGL(t).set
	if err := set.Assign("tau", "0.4", FromFile, "a.yaml:2"); err != nil || set.Lookup("tau").Value() != "0.4" || set.Lookup("tau").Place() != "a.yaml:2" {
		t.Errorf("tau is %s from %s (%v)", set.Lookup("tau").Value(), set.Lookup("tau").Place(), err)
	}
	for _, name := range []string{"absent", "layers"} {
		if err := set.Assign(name, "x", FromFile, ""); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("assigning x to %s: %v", name, err)
		}
	}
}

func TestNumbersAreTold(t *testing.T) {
	var e everything
	set, err := Bind(flag.NewFlagSet("", flag.ContinueOnError), &e)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][2]bool{"i": {true, true}, "j": {true, true}, "u": {true, true}, "f": {false, true}, "d": {}, "s": {}, "b": {}, "l": {}, "r": {}} {
		if o := set.Lookup(name); o.IsWhole() != want[0] || o.IsNumber() != want[1] {
			t.Errorf("-%s: whole %t, number %t, want %v", name, o.IsWhole(), o.IsNumber(), want)
		}
	}
}
