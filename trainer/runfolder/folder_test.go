package runfolder

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"
)

func newRun(t *testing.T) *Folder {
	t.Helper()
	f, err := Create(filepath.Join(t.TempDir(), "runs", "one"), []byte("tau: 0.2\n"))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestName(t *testing.T) {
	start := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	for data, want := range map[string]string{
		"yelp2018":           "sgl-yelp2018-20260304-050607-s42",
		"/data/My Set.inter": "sgl-My_Set-20260304-050607-s42",
		"testdata/small/":    "sgl-small-20260304-050607-s42",
	} {
		if got := Name("sgl", data, start, 42); got != want {
			t.Errorf("Name of %q = %s, want %s", data, got, want)
		}
	}
}

func TestCreateAndOpen(t *testing.T) {
	f := newRun(t)
	if text, err := os.ReadFile(f.File(Config)); err != nil || string(text) != "# nearfar run, layout 1\ntau: 0.2\n" {
		t.Errorf("config %q, %v", text, err)
	}
	if again, err := Open(f.Path()); err != nil || again.Path() != f.Path() {
		t.Errorf("Open: %v", err)
	}
	if !f.Has(Config) || f.Has(LastCheckpoint) {
		t.Error("Has does not tell what is there")
	}
	if _, err := Create(f.Path(), nil); err == nil || !strings.Contains(err.Error(), "-resume") {
		t.Errorf("Create over a run: %v, want a hint at -resume", err)
	}

	foreign := t.TempDir()
	if _, err := Create(foreign, nil); err != nil {
		t.Errorf("an empty folder is refused: %v", err)
	}
	foreign = t.TempDir()
	write(t, filepath.Join(foreign, "thesis.tex"), "x")
	if _, err := Create(foreign, nil); err == nil || !strings.Contains(err.Error(), "not a run") {
		t.Errorf("Create in a foreign folder: %v", err)
	}
	if _, err := Open(foreign); err == nil || !strings.Contains(err.Error(), "not a run") {
		t.Errorf("Open of a foreign folder: %v", err)
	}
	write(t, filepath.Join(foreign, Config), "tau: 1\n")
	if _, err := Open(foreign); !errors.Is(err, ErrFormat) {
		t.Errorf("Open of a foreign configuration: %v, want ErrFormat", err)
	}
	write(t, filepath.Join(foreign, Config), "# nearfar run, layout 9\n")
	if _, err := Open(foreign); !errors.Is(err, ErrVersion) {
		t.Errorf("Open of a newer layout: %v, want ErrVersion", err)
	}
	if _, err := Create(filepath.Join(foreign, Config, "below"), nil); err == nil {
		t.Error("a folder below a file was created")
	}
}

func TestMetrics(t *testing.T) {
	f := newRun(t)
	m, err := f.OpenMetrics()
	if err != nil {
		t.Fatal(err)
	}
	for epoch := range 3 {
		event := map[string]any{"epoch": epoch, "loss": math.NaN(), "parts": map[string]float64{"bpr": .5, "nce": math.Inf(-1)}}
		if err := m.Append(event); err != nil {
			t.Fatal(err)
		}
		if x := event["loss"].(float64); !math.IsNaN(x) {
			t.Error("Append changed the caller's event")
		}
		if events, err := f.ReadMetrics(); err != nil || len(events) != epoch+1 { // in the file before Close
			t.Fatalf("%d events, %v", len(events), err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}

	// A crash in the middle of a line, then a resumed run.
	text, err := os.ReadFile(f.File(MetricsFile))
	if err != nil {
		t.Fatal(err)
	}
	if first, _, _ := strings.Cut(string(text), "\n"); first != `{"epoch":0,"loss":"NaN","parts":{"bpr":0.5,"nce":"-Infinity"}}` {
		t.Errorf("line %s", first)
	}
	write(t, f.File(MetricsFile), string(text)+`{"epoch":3,"lo`)
	if events, err := f.ReadMetrics(); err != nil || len(events) != 3 {
		t.Errorf("with a torn line: %d events, %v", len(events), err)
	}
	before := func(limit int64) func(map[string]any) bool {
		return func(event map[string]any) bool {
			epoch, err := event["epoch"].(json.Number).Int64()
			return err == nil && epoch < limit
		}
	}
	if err := f.KeepMetrics(before(2)); err != nil {
		t.Fatal(err)
	}
	write(t, f.File(MetricsFile), mustRead(t, f.File(MetricsFile))+strings.Repeat("x", 10000))
	if m, err = f.OpenMetrics(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Append(map[string]any{"epoch": 2, "loss": float32(.25)}), m.Close()); err != nil {
		t.Fatal(err)
	}
	events, err := f.ReadMetrics()
	if err != nil || len(events) != 3 || events[2]["epoch"] != json.Number("2") || events[2]["loss"] != json.Number("0.25") {
		t.Errorf("after the resume: %v, %v", events, err)
	}

	write(t, f.File(MetricsFile), "{}\n[1]\n")
	if _, err := f.ReadMetrics(); err == nil || !strings.Contains(err.Error(), "metrics.jsonl:2") {
		t.Errorf("a line that is no object: %v, want its place", err)
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestLogger(t *testing.T) {
	f := newRun(t)
	var console bytes.Buffer
	for range 2 { // the second is a resumed run
		log, file, err := f.NewLogger(&console, zap.InfoLevel)
		if err != nil {
			t.Fatal(err)
		}
		log.Debug("planned", zap.Int("instructions", 12))
		log.Warn("trains on the CPU", zap.String("reason", "no driver"), zap.Duration("after", 1500*time.Millisecond))
		if err := errors.Join(log.Sync(), file.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if text := console.String(); strings.Contains(text, "planned") || strings.Count(text, "\n") != 2 ||
		!strings.Contains(text, `warn  trains on the CPU  {"reason": "no driver", "after": "1.5s"}`) {
		t.Errorf("console:\n%s", text)
	}
	lines := strings.Split(strings.TrimSpace(mustRead(t, f.File(LogFile))), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want 4", len(lines))
	}
	var line struct {
		Level, Msg, Reason string
		Time               time.Time
	}
	if err := json.Unmarshal([]byte(lines[3]), &line); err != nil || line.Level != "warn" || line.Msg != "trains on the CPU" ||
		line.Reason != "no driver" || time.Since(line.Time).Abs() > time.Minute {
		t.Errorf("%s: %+v, %v", lines[3], line, err)
	}
}

func TestResult(t *testing.T) {
	f := newRun(t)
	var read map[string]any
	if err := f.ReadResult(&read); err == nil || !strings.Contains(err.Error(), "no result yet") {
		t.Errorf("no result: %v", err)
	}
	if err := f.WriteResult(map[string]any{"Recall@20": .0675, "loss": math.Inf(1)}); err != nil {
		t.Fatal(err)
	}
	if err := f.ReadResult(&read); err != nil || read["Recall@20"] != .0675 || read["loss"] != "Infinity" {
		t.Errorf("%v, %v", read, err)
	}
	write(t, f.File(Result), "{")
	if err := f.ReadResult(&read); !errors.Is(err, ErrCorrupt) {
		t.Errorf("half a result: %v, want ErrCorrupt", err)
	}
}

func TestIDs(t *testing.T) {
	path := filepath.Join(t.TempDir(), Users)
	for _, ids := range [][]string{nil, {"0"}, {"u 1", "ünï", "", `"quoted"`, "two\nlines", "cr\r", "\u2028", " ", `back\slash`}} {
		if err := WriteIDs(path, ids); err != nil {
			t.Fatal(err)
		}
		if got, err := ReadIDs(path); err != nil || !slices.Equal(got, ids) {
			t.Errorf("wrote %q, read %q, %v", ids, got, err)
		}
	}
	before := mustRead(t, path)
	if err := WriteIDs(path, []string{"a", "\xff"}); err == nil || mustRead(t, path) != before {
		t.Errorf("an id that is not UTF-8: %v; the file must stay as it was", err)
	}
	write(t, path, "a\nb")
	if _, err := ReadIDs(path); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut file: %v, want ErrTruncated", err)
	}
	write(t, path, "a\n\"b\n")
	if _, err := ReadIDs(path); err == nil || !strings.Contains(err.Error(), "users.txt:2") {
		t.Errorf("half a quoted id: %v, want its place", err)
	}
}
