package trainer

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"nearfar/engine"
	"nearfar/engine/cpu"
	kernelset "nearfar/kernels/cpu"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
)

// grown writes a data set of users and items named by a prefix: even users have even items. users and items are the names, in the order of the file.
func grown(t *testing.T, users, items []string) string {
	t.Helper()
	var train, test strings.Builder
	for u, name := range users {
		fmt.Fprint(&train, name)
		for k := range 6 {
			fmt.Fprint(&train, " ", items[(2*(u+k)+u%2)%len(items)])
		}
		fmt.Fprintln(&train)
		fmt.Fprintln(&test, name, items[(2*(u+6)+u%2)%len(items)])
	}
	path := t.TempDir()
	for name, text := range map[string]string{"train.txt": train.String(), "test.txt": test.String()} {
		if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

func named(prefix string, numbers ...int) (names []string) {
	for _, n := range numbers {
		names = append(names, fmt.Sprint(prefix, n))
	}
	return names
}

func upTo(n int) (numbers []int) {
	for i := range n {
		numbers = append(numbers, i)
	}
	return numbers
}

// begun is a job's run before its first step and before a warm start, on one thread; it is closed with the test.
func begun(t *testing.T, j Job) *run {
	t.Helper()
	data, err := j.load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	device := cpu.New(1, kernelset.Best())
	r := &run{Job: j, data: data}
	t.Cleanup(func() {
		r.close()
		device.Close()
	})
	if err := r.build(t.Context(), device); err != nil {
		t.Fatal(err)
	}
	return r
}

// start builds a job up to its first step and gives its parameter table with what the log said.
func start(t *testing.T, j Job) (table []float32, dim int, data *dataset.Dataset, said string, err error) {
	t.Helper()
	core, logs := observer.New(zap.InfoLevel)
	j.Log = zap.New(core)
	r := begun(t, j)
	data = r.data
	if err := r.warmStart(); err != nil {
		return nil, 0, data, "", err
	}
	v, d, readErr := r.store.Read32("embedding")
	if readErr != nil {
		t.Fatal(readErr)
	}
	for _, e := range r.store.Entries() { // Adam's moments are not the former run's
		if e.Kind == engine.State && !e.Param {
			b, _, err := r.store.ReadBytes(e.Name)
			if err != nil || !bytes.Equal(b, make([]byte, len(b))) {
				t.Errorf("the state %s does not begin at zero (%v)", e.Name, err)
			}
		}
	}
	for _, entry := range logs.All() {
		said += entry.Message + "\n"
	}
	return v, d.Cols(), data, said, nil
}

// A warm start gives known users and items their rows by id, wherever they stand now, and new ones the initialisation or the mean.
func TestWarmStart(t *testing.T) {
	before := grown(t, named("u", upTo(12)...), named("i", upTo(20)...))
	// Users in another order, one gone, three new; the items the same, two more in front.
	after := grown(t, append(named("new", 1, 2, 3), named("u", 11, 3, 5, 2, 1, 0, 4, 6, 7, 8, 9)...), append(named("x", 1, 2), named("i", upTo(20)...)...))
	for _, model := range []string{"bprmf", "sgl"} {
		t.Run(model, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "former")
			former := newJob(t, model, path, "-data", before, "-select", "last")
			if _, err := former.mustRun(t, t.Context()); err != nil {
				t.Fatal(err)
			}
			entries, err := runfolder.ReadCheckpoint(filepath.Join(path, filepath.FromSlash(runfolder.LastCheckpoint)), nil)
			if err != nil {
				t.Fatal(err)
			}
			var old []float32
			for _, e := range entries {
				if e.Name == "embedding" {
					old = engine.View[float32](e.Data)
				}
			}
			args := []string{"-data", after, "-select", "last", "-seed", "9"}
			fresh, dim, data, _, err := start(t, newJob(t, model, "", args...))
			if err != nil {
				t.Fatal(err)
			}
			warm, _, _, said, err := start(t, newJob(t, model, "", append(args, "-init-from", path)...))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(said, "it knows 11 users of 14 and 20 items of 22") || !strings.Contains(said, "parameter embedding: 31 rows copied by id, 5 new") {
				t.Errorf("the counts are not said:\n%s", said)
			}
			if !strings.Contains(said, "may have been trained on what is now held out") {
				t.Errorf("other data is not warned of:\n%s", said)
			}
			mean, _, _, _, err := start(t, newJob(t, model, "", append(args, "-init-from", path, "-init-new", "mean")...))
			if err != nil {
				t.Fatal(err)
			}
			oldRow := map[string]int{}
			for _, file := range []string{runfolder.Users, runfolder.Items} {
				ids, err := runfolder.ReadIDs(filepath.Join(path, file))
				if err != nil {
					t.Fatal(err)
				}
				for _, id := range ids {
					oldRow[id] = len(oldRow)
				}
			}
			for row, id := range append(append([]string{}, data.UserID...), data.ItemID...) {
				for k := range dim {
					now, want := warm[row*dim+k], fresh[row*dim+k]
					from, known := oldRow[id]
					if known {
						want = old[from*dim+k]
					}
					if now != want {
						t.Fatalf("%s (known: %t) begins with %g at %d, want %g", id, known, now, k, want)
					}
					if known && mean[row*dim+k] != want {
						t.Fatalf("-init-new mean changes %s, which is known", id)
					}
				}
			}
			// The mean of the known users is every new user's row.
			for k := range dim {
				sum := 0.0
				for row, id := range data.UserID {
					if strings.HasPrefix(id, "u") {
						sum += float64(warm[row*dim+k])
					}
				}
				for row, id := range data.UserID {
					if d := float64(mean[row*dim+k]) - sum/11; strings.HasPrefix(id, "new") && (d > 1e-7 || d < -1e-7) {
						t.Fatalf("%s begins with %g, the mean is %g", id, mean[row*dim+k], sum/11)
					}
				}
			}
		})
	}
}

// A run that starts from another and trains no step has that one's numbers; one that is resumed does not start from it again.
func TestWarmStartTrains(t *testing.T) {
	path := filepath.Join(t.TempDir(), "former")
	former, err := newJob(t, "bprmf", path).mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, said, err := start(t, newJob(t, "bprmf", "", "-init-from", path)); err != nil || strings.Contains(said, "held out") {
		t.Errorf("the same data and split are warned of (%v):\n%s", err, said)
	}
	whole, parts := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "parts")
	res, err := newJob(t, "bprmf", whole, "-init-from", path, "-select", "last").mustRun(t, t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if res.Test["Recall@20"] == former.Test["Recall@20"] {
		t.Error("three more epochs have changed nothing")
	}
	killed := newJob(t, "bprmf", filepath.Join(t.TempDir(), "killed"), "-init-from", path, "-select", "last") // before its first checkpoint
	killed.Resume = true
	if _, err := killed.mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(embeddings(t, whole), embeddings(t, killed.Folder.Path())) {
		t.Error("killed before its first checkpoint and resumed, a warm start ends with other bits")
	}
	ctx, cancel := context.WithCancel(t.Context())
	j := newJob(t, "bprmf", parts, "-init-from", path, "-select", "last")
	j.OnStep = func(next uint64) {
		if next == 40 {
			cancel()
		}
	}
	if _, err := j.mustRun(t, ctx); err == nil {
		t.Fatal("not interrupted")
	}
	j.OnStep, j.Resume = nil, true
	if err := os.RemoveAll(path); err != nil {
		t.Fatal(err)
	}
	if _, err := j.mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(embeddings(t, whole), embeddings(t, parts)) {
		t.Error("resumed, a warm start ends with other bits")
	}
}

func TestWarmStartRefuses(t *testing.T) {
	path, untrained := filepath.Join(t.TempDir(), "former"), filepath.Join(t.TempDir(), "untrained")
	if _, err := newJob(t, "bprmf", path).mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := newJob(t, "popularity", untrained).mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	unfinished := filepath.Join(t.TempDir(), "unfinished")
	if _, err := runfolder.Create(unfinished, []byte("model: bprmf\n")); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, model, from string
		args              []string
		want              string
	}{
		{"no run", "bprmf", t.TempDir(), nil, "is not a run"},
		{"unfinished", "bprmf", unfinished, nil, "has not finished"},
		{"another model", "lightgcn", path, nil, "is of bprmf"},
		{"another dimension", "bprmf", path, []string{"-dim", "8"}, "16 columns there and 8 here: give the same -dim"},
		{"without parameters", "popularity", untrained, nil, "does not train"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := newJob(t, tt.model, "", append(tt.args, "-init-from", tt.from)...).mustRun(t, t.Context())
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "-init-from") {
				t.Errorf("the error is %v, want %q", err, tt.want)
			}
		})
	}
	for args, want := range map[string]string{"-init-new mean": "-init-from", "-train-on train+valid": "-select last"} {
		j := newJob(t, "bprmf", "", strings.Fields(args)...)
		if err := j.Options.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s alone: %v, want %q", args, err, want)
		}
	}
}

// The values of attributes begin with the former run's rows by field and value, wherever they stand now: here each has another place, and 24 that of 23.
func TestWarmStartWithAttributes(t *testing.T) {
	folder := func(youngest int) string {
		path := t.TempDir()
		var inter, user strings.Builder
		fmt.Fprintln(&inter, "user_id:token\titem_id:token")
		fmt.Fprintln(&user, "user_id:token\tage:token\tzip:token")
		for u := range 12 {
			fmt.Fprintf(&user, "u%d\t%d\t%d\n", u, youngest+u%4, 21+u%2)
			for k := range 6 {
				fmt.Fprintf(&inter, "u%d\ti%d\n", u, 2*(u+k)%20+u%2)
			}
		}
		for name, text := range map[string]string{"x.inter": inter.String(), "x.user": user.String()} {
			if err := os.WriteFile(filepath.Join(path, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	path := filepath.Join(t.TempDir(), "former")
	if _, err := newJob(t, "lightgcn", path, "-data", folder(20), "-attributes", "-select", "last").mustRun(t, t.Context()); err != nil {
		t.Fatal(err)
	}
	f, err := readFormer(path, "lightgcn")
	if err != nil {
		t.Fatal(err)
	}
	j := newJob(t, "lightgcn", "", "-data", folder(21), "-attributes", "-select", "last", "-seed", "9", "-init-from", path)
	core, logs := observer.New(zap.InfoLevel)
	j.Log = zap.New(core)
	r := begun(t, j)
	fresh, _, err := r.store.Read32("attributes")
	if err != nil {
		t.Fatal(err)
	}
	if err := r.warmStart(); err != nil {
		t.Fatal(err)
	}
	got, d, err := r.store.Read32("attributes")
	if err != nil {
		t.Fatal(err)
	}
	row := func(table []float32, i int) []float32 { return table[i*d.Cols():][:d.Cols()] }
	was, known := engine.View[float32](f.states["attributes"].Data), 0
	for i, name := range attributeNames(r.data.UserFields) {
		want := row(fresh, i)
		if from, ok := f.rows[runfolder.UserAttributes][name]; ok {
			known++
			want = row(was, from)
		}
		if !slices.Equal(row(got, i), want) {
			t.Errorf("%q begins with %v, want %v", name, row(got, i), want)
		}
	}
	if known != 5 || d.Rows() != 6 { // ages 21 to 23 and both zip codes; 24 is new
		t.Errorf("%d of %d values are known, want 5 of 6", known, d.Rows())
	}
	if logs.FilterMessage("parameter attributes: 5 rows copied by field and value, 1 new").Len() != 1 {
		t.Errorf("the counts are not said: %v", logs.All())
	}
}
