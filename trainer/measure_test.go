package trainer

import (
	"encoding/json"
	"math"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nearfar/trainer/runfolder"
)

// A run leaves every metric of its table, the groups, and each test user's metrics, and they agree.
func TestReportIsKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	j := newJob(t, "bprmf", path, "-epochs", "1")
	res, err := j.mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range j.Options.MetricNames() {
		for split, values := range map[string]map[string]float64{"valid": res.Valid, "test": res.Test} {
			if _, ok := values[name]; !ok {
				t.Errorf("%s lacks %s", split, name)
			}
		}
	}
	users, err := runfolder.ReadPerUser(j.Folder.File(runfolder.PerUserFile))
	if err != nil {
		t.Fatal(err)
	}
	if len(users.User) != res.TestUsers {
		t.Errorf("%d users, the result has %d", len(users.User), res.TestUsers)
	}
	kept := map[string]bool{}
	for m, name := range users.Metric {
		kept[name] = true
		sum := 0.0
		for _, v := range users.Value[m] {
			sum += v
		}
		if got := sum / float64(len(users.User)); got != res.Test[name] {
			t.Errorf("the mean of %s is %v, the result has %v", name, got, res.Test[name])
		}
	}
	for _, name := range j.Options.MetricNames() {
		if of := strings.HasPrefix(name, "Coverage") || strings.HasPrefix(name, "Gini"); of == kept[name] {
			t.Errorf("%s of each user: %v", name, kept[name])
		}
	}
	sum := 0.0
	for _, g := range res.Groups.Items {
		sum += g.Metrics["Recall@20"]
	}
	if math.Abs(sum-res.Test["Recall@20"]) > 1e-9 {
		t.Errorf("the groups add up to Recall@20 %v of %v", sum, res.Test["Recall@20"])
	}
	events, err := j.Folder.ReadMetrics()
	if err != nil {
		t.Fatal(err)
	}
	last := events[len(events)-1]
	if last["event"] != "report" || last["split"] != "test" {
		t.Fatalf("the last event is %v", last)
	}
	if v, _ := last["Diversity@20"].(json.Number).Float64(); v != res.Test["Diversity@20"] {
		t.Errorf("Diversity@20 is %v among the events, %v in the result", v, res.Test["Diversity@20"])
	}
	groups, _ := json.Marshal(res.Groups)
	again, _ := json.Marshal(last["groups"])
	var a, b any
	if json.Unmarshal(groups, &a) != nil || json.Unmarshal(again, &b) != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("groups among the events: %s\nin the result: %s", again, groups)
	}
	for _, e := range events {
		_, measured := e["Diversity@20"]
		if e["event"] == "evaluate" && (e["Novelty@20"] == nil || measured) {
			t.Errorf("an epoch measures Novelty@20 %v, and Diversity@20: %v", e["Novelty@20"], measured)
		}
	}
}

// A metric that is not measured in every epoch is, where it selects.
func TestSelectionByDiversity(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	j := newJob(t, "bprmf", path, "-metric", "Diversity@20")
	res, err := j.mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.Epoch == 0 || !j.Folder.Has(runfolder.BestCheckpoint) || !(res.Valid["Diversity@20"] > 0) {
		t.Errorf("epoch %d, Diversity@20 %v", res.Epoch, res.Valid["Diversity@20"])
	}
}

// A sampled ranking is named in every number, selects by its own metric, and is warned of.
func TestSampledRankingIsNamed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	core, logs := observer.New(zap.WarnLevel)
	j := newJob(t, "bprmf", path, "-candidates", "50")
	j.Log = zap.New(core)
	res, err := j.mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if logs.FilterMessageSnippet("KDD 2020").Len() != 1 {
		t.Errorf("warnings: %v", logs.All())
	}
	for _, values := range []map[string]float64{res.Valid, res.Test, res.Groups.Items[0].Metrics, res.Groups.Users[0].Metrics} {
		for name := range values {
			if !strings.HasSuffix(name, "(sampled50)") {
				t.Errorf("%s does not say that it is sampled", name)
			}
		}
	}
	full, err := newJob(t, "bprmf", "").mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if a, b := res.Test["Recall@20(sampled50)"], full.Test["Recall@20"]; !(a > b+.1) {
		t.Errorf("Recall@20 among 50 negatives is %v, among all %v", a, b)
	}
	if got := j.Options.SelectionMetric(); got != "Recall@20(sampled50)" {
		t.Errorf("selected by %s", got)
	}
	events, err := j.Folder.ReadMetrics()
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range events {
		for name := range e {
			if strings.Contains(name, "@") && !strings.HasSuffix(name, "(sampled50)") {
				t.Errorf("the event %v has %s", e["event"], name)
			}
		}
	}
}
