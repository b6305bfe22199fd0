package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The table ends with whom the metrics are good for; what is ranked among stands with it.
func TestTableOfGroups(t *testing.T) {
	got := runCommand(t, quick(t, "bprmf", "-k", "5,20", "-metric", "NDCG@5", "-out", filepath.Join(t.TempDir(), "run"))...)
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, want := range []string{`(?m)^ +MAP@5 +\d\.\d{4} +\d\.\d{4}$`, `(?m)^ +Gini@20 `, `(?m)^ *items +interactions each +number +targets +Recall@5 `,
		`(?m)^ *users +interactions each +number +Recall@5 +NDCG@5$`, `full ranking of 40 items`} {
		if !regexp.MustCompile(want).MatchString(got.stdout) {
			t.Errorf("no %s in\n%s", want, got.stdout)
		}
	}
	if strings.Index(got.stdout, "MAP@20") > strings.Index(got.stdout, "Coverage@5") {
		t.Errorf("accuracy does not come first:\n%s", got.stdout)
	}
}

// Wherever a number of a sampled ranking is printed, its name says so.
func TestSampledRankingIsPrinted(t *testing.T) {
	got := runCommand(t, quick(t, "bprmf", "-candidates", "10", "-out", filepath.Join(t.TempDir(), "run"))...)
	if got.err != nil {
		t.Fatal(got.err)
	}
	for _, text := range []string{got.stdout, got.stderr} {
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, "options ") || strings.HasPrefix(line, "          ") && strings.Contains(line, "metric=") {
				continue // what was asked for
			}
			for _, name := range regexp.MustCompile(`\b[A-Z]\w+@\d+\S*`).FindAllString(line, -1) {
				if !strings.Contains(name, "(sampled10)") {
					t.Errorf("%s in %q", name, line)
				}
			}
		}
	}
	if !strings.Contains(got.stdout, "sampled ranking of 10 negatives, train+valid masked") || !strings.Contains(got.stderr, "Krichene and Rendle") {
		t.Errorf("not named:\n%s\n%s", got.stdout, got.stderr)
	}
}

// With no training no metric selects, and the groups are shown at the first cutoff.
func TestGroupsWithoutSelection(t *testing.T) {
	got := runCommand(t, "-model", "popularity", "-data", small(t), "-k", "3", "-epochs", "0", "-out", filepath.Join(t.TempDir(), "run"))
	if got.err != nil || !strings.Contains(got.stdout, "add up to Recall@3)") {
		t.Errorf("%v\n%s", got.err, got.stdout)
	}
}
