package main

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A model that is fitted at once has no embeddings and no checkpoints: what asks for its scores later fits it again, and gets the run's numbers.
func TestFinishedItemModels(t *testing.T) {
	row := regexp.MustCompile(`(?m)^ +NDCG@20 +.*?(\d\.\d{4})$`)
	for _, model := range []string{"itemknn", "ease"} {
		t.Run(model, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "run")
			trained := mustRun(t, "-model", model, "-data", small(t), "-out", path)
			evaluated := mustRun(t, "evaluate", path)
			was, is := row.FindStringSubmatch(trained.stdout), row.FindStringSubmatch(evaluated.stdout)
			if was == nil || is == nil || was[1] != is[1] {
				t.Errorf("evaluated %v, when it was trained %v", is, was)
			}
			// User 0 has the even items 0 to 22, and those of users like it are even too.
			for _, args := range [][]string{{"-user", "0"}, {"-history", "0,2,4,6,8,10,12,14,16,18,20,22"}} {
				for user, items := range listed(mustRun(t, append([]string{"recommend", path, "-k", "3"}, args...)...).stdout) {
					if len(items) != 3 {
						t.Errorf("%v gives %s the items %v", args, user, items)
					}
					for _, item := range items {
						if !strings.ContainsAny(item[len(item)-1:], "02468") {
							t.Errorf("%v recommends %s to %s", args, item, user)
						}
					}
				}
			}
			if got := runCommand(t, "evaluate", path, "-checkpoint", "best"); got.err == nil || !strings.Contains(got.err.Error(), "has no checkpoint") {
				t.Errorf("its checkpoint gives %v", got.err)
			}
		})
	}
}

// Nothing is selected where nothing is trained, so there is nothing to refit.
func TestRefitNeedsEpochs(t *testing.T) {
	for _, args := range [][]string{{"-model", "ease"}, {"-model", "popularity", "-seeds", "1,2"}, {"-model", "bprmf", "-epochs", "0"}} {
		t.Chdir(t.TempDir())
		got := runCommand(t, append(args, "-data", small(t), "-refit")...)
		var wrong *usageError
		if !errors.As(got.err, &wrong) || !strings.Contains(got.err.Error(), "-train-on train+valid") {
			t.Errorf("%v: error %v", args, got.err)
		}
		if entries, _ := os.ReadDir("."); len(entries) > 0 {
			t.Errorf("%v left %v", args, entries)
		}
	}
}
