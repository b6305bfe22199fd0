package awkward

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/kernels"
)

var update = flag.Bool("update", false, "write the plans into docs/kernel-families.md")

const plansBegin, plansEnd = "<!-- plans -->\n", "<!-- end of plans -->\n"

// family is what the document calls a kernel: its type.
func family(k kernels.Kernel) string { return reflect.TypeOf(k).Name() }

// count is a plan's instructions by family.
func count(p *engine.Plan) map[string]int {
	n := map[string]int{}
	for _, i := range p.Code {
		n[family(i.K)]++
	}
	return n
}

// row is a plan's line of the table: name, instructions with and without rewrites, families.
func row(name string, plan, plain *engine.Plan) string {
	var parts []string
	n := count(plan)
	for _, f := range slices.Sorted(maps.Keys(n)) {
		parts = append(parts, fmt.Sprintf("%s %d", f, n[f]))
	}
	return fmt.Sprintf("| %s | %d | %d | %s |\n", name, len(plan.Code), len(plain.Code), strings.Join(parts, ", "))
}

// The document names every kernel family that a plan needs, and the number of instructions of each plan: no plan may grow unseen. Run with -update
// after a plan has changed for a reason.
func TestKernelFamiliesDocument(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "kernel-families.md")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	before, rest, ok := strings.Cut(text, plansBegin)
	table, after, ok2 := strings.Cut(rest, plansEnd)
	if !ok || !ok2 {
		t.Fatalf("%s has no %q and %q", path, plansBegin, plansEnd)
	}
	written := "| middle | instructions | without rewrites | of which |\n|---|---|---|---|\n"
	needed := map[string][]string{}
	add := func(name string, plan, plain *engine.Plan) {
		line := row(name, plan, plain)
		written += line
		for f := range count(plan) {
			needed[f] = append(needed[f], name)
		}
		if *update {
			return
		}
		m := regexp.MustCompile(`(?m)^\| ` + regexp.QuoteMeta(name) + ` \| (\d+) \|`).FindStringSubmatch(table)
		if m == nil {
			t.Errorf("%s has no line for %s: %s", path, name, line)
			return
		}
		if most, _ := strconv.Atoi(m[1]); len(plan.Code) > most {
			t.Errorf("the plan of %s has grown from %d instructions: %s", name, most, line)
		}
	}
	for _, mid := range middles() {
		if strings.HasPrefix(mid.name, "skeleton") { // their programs stand below, as they are
			continue
		}
		add(mid.name, trainingPlan(t, mid, devices()[0]), trainingPlan(t, mid, devices()[0], withoutRewrites...))
	}
	for _, r := range recursions() {
		add(r.name, recursionPlan(t, r), recursionPlan(t, r, withoutRewrites...))
	}
	for _, how := range []rounds{first, bilevel} {
		_, p := openSkeleton(t, oracle(), kernels.Float32, how)
		_, q := openSkeleton(t, oracle(), kernels.Float32, how, withoutRewrites...)
		add("skeleton, "+string(how), p.Plan, q.Plan)
	}
	if *update {
		if err := os.WriteFile(path, []byte(before+plansBegin+written+plansEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for f, by := range needed {
		if !strings.Contains(before, "| "+f+" |") {
			t.Errorf("%s does not name the family %s, which %s needs", path, f, strings.Join(by, ", "))
		}
	}
}

// Nothing is written in smaller operators on the processor: it has every kernel that the plans ask for.
func TestProcessorHasEveryKernel(t *testing.T) {
	for _, mid := range middles() {
		want := count(trainingPlan(t, mid, devices()[0]))
		for _, d := range devices()[2:] {
			if got := count(trainingPlan(t, mid, d)); !maps.Equal(got, want) {
				t.Errorf("%s on %s is %v, want %v", mid.name, d.name, got, want)
			}
		}
	}
}

func trainingPlan(t *testing.T, mid middle, d device, options ...engine.PlanOption) *engine.Plan {
	t.Helper()
	s, p, err := buildTraining(mid, d, options...)
	if err != nil {
		t.Fatalf("%s on %s: %v", mid.name, d.name, err)
	}
	defer s.Device.Close()
	return p.Plan
}

func recursionPlan(t *testing.T, r recursion, options ...engine.PlanOption) *engine.Plan {
	t.Helper()
	p, err := engine.Build(engine.NewStore(oracle(), kernels.Float32, 5), func(b *engine.Builder) engine.Step {
		return engine.Step{Updates: r.build(&model{Builder: b})}
	}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return p.Plan
}
