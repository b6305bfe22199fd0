package trainer

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nearfar/engine"
	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
)

// featured makes of a model's options those of one that takes features, and keeps what it is given.
type featured struct {
	models.Options
	got        []dataset.Features
	stateBytes int
}

func (f *featured) Features() {}

func (f *featured) New(d models.Data) (models.Model, error) {
	f.got, f.stateBytes = d.ItemFeatures, d.StateBytes
	return f.Options.New(d)
}

var mmrec = filepath.Join("..", "testdata", "formats", "mmrec")

// featuredJob is a short run of such a model.
func featuredJob(t *testing.T, path string, args ...string) (Job, *featured) {
	t.Helper()
	j := newJob(t, "bprmf", path, append([]string{"-epochs", "1"}, args...)...)
	f := &featured{Options: j.Model}
	j.Model = f
	return j, f
}

// Features come to a model that takes them, those that are named alone, and to no other.
func TestFeaturesReachTheModel(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"", "image text"},
		{"-modalities=text", "text"},
		{"-modalities=text,image", "image text"},
		{"-train-on=train+valid -select=last", "image text"},
	} {
		j, f := featuredJob(t, "", append(strings.Fields(c.args), "-data", mmrec)...)
		if _, err := j.mustRun(t, context.Background()); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, x := range f.got {
			got = append(got, x.Name)
			if len(x.Value) != 1516*x.Dim {
				t.Errorf("%s has %d numbers", x.Name, len(x.Value))
			}
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%s: the model has %v, want %s", c.args, got, c.want)
		}
	}
	if data, err := newJob(t, "bprmf", "", "-data", mmrec).load(t.Context()); err != nil || data.ItemFeatures != nil {
		t.Errorf("bprmf, which takes no features, has %d (%v)", len(data.ItemFeatures), err)
	}
}

// A model knows what the optimiser keeps of features that are trained.
func TestStateBytesReachTheModel(t *testing.T) {
	for args, want := range map[string]int{"": 8, "-moments=bf16": 4, "-optimiser=adamw": 8, "-optimiser=adagrad": 4, "-optimiser=sgd": 0, "-optimiser=sgd -momentum=.9": 4} {
		j, f := featuredJob(t, "", append(strings.Fields(args), "-data", mmrec)...)
		data, err := j.load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := NewModel(t.Context(), f, data, j.Options, nil); err != nil || f.stateBytes != want {
			t.Errorf("%q: %d bytes beside each parameter (%v), want %d", args, f.stateBytes, err, want)
		}
	}
}

func TestCheckModel(t *testing.T) {
	j, f := featuredJob(t, "", "-data", mmrec, "-modalities", "image")
	if err := j.Options.CheckModel("bm3", f); err != nil {
		t.Error(err)
	}
	if err := j.Options.CheckModel("bprmf", f.Options); err == nil || !strings.Contains(err.Error(), "-modalities image: bprmf takes no features of items") {
		t.Error(err)
	}
	j.Model = f.Options
	if _, err := j.load(t.Context()); err == nil {
		t.Error("modalities that are named for a model without are passed over")
	}
}

// A run does not go on with other features than it began with.
func TestResumeWithOtherFeatures(t *testing.T) {
	data, run := filepath.Join(t.TempDir(), "data"), filepath.Join(t.TempDir(), "run")
	if err := os.CopyFS(data, os.DirFS(mmrec)); err != nil {
		t.Fatal(err)
	}
	j, _ := featuredJob(t, run, "-data", data)
	if _, err := j.mustRun(t, context.Background()); err != nil {
		t.Fatal(err)
	}
	j.Resume = true
	j.Options.Epochs = 2
	if _, err := j.mustRun(t, context.Background()); err != nil {
		t.Fatalf("with the same features: %v", err)
	}
	file := filepath.Join(data, "text_feat.npy")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-2] ^= 1
	if err := os.WriteFile(file, b, 0o600); err != nil {
		t.Fatal(err)
	}
	j.Options.Epochs = 3
	if _, err := j.mustRun(t, context.Background()); err == nil || !strings.Contains(err.Error(), "the run was made on other data") {
		t.Errorf("with other features: %v", err)
	}
}

// A warm start gives users and items their rows by id also where a model has tables for each, features that were trained among them. New items keep
// their features, whatever the others begin with.
func TestWarmStartWithFeatures(t *testing.T) {
	folder := func(users, items []int) string {
		path := grown(t, named("u", users...), named("", items...))
		for _, name := range []string{"image_feat.npy", "text_feat.npy"} {
			b, err := os.ReadFile(filepath.Join(mmrec, name))
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(path, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		return path
	}
	// One user is gone and one is new: there are as many. Two items are new, of which one comes first.
	before, after := folder(upTo(12), append([]int{1, 2}, upTo(22)[4:]...)), folder(append(upTo(11), 20), upTo(22)[1:])
	for model, names := range map[string][]string{"vbpr": {"embedding/users", "embedding/items"}, "bm3": {"features/image", "features/text"}} {
		path := filepath.Join(t.TempDir(), "former")
		if _, err := newJob(t, model, path, "-data", before, "-select", "last").mustRun(t, t.Context()); err != nil {
			t.Fatal(err)
		}
		if model == "bm3" {
			if _, _, _, said, err := start(t, newJob(t, model, "", "-data", after, "-select", "last", "-init-from", path, "-freeze-features")); err != nil ||
				!strings.Contains(said, "features/text: the former run trained it, and -freeze-features keeps what the data has") {
				t.Errorf("that trained features are left out is not said (%v):\n%s", err, said)
			}
			frozen := filepath.Join(t.TempDir(), "frozen")
			if _, err := newJob(t, model, frozen, "-data", before, "-select", "last", "-freeze-features").mustRun(t, t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, _, _, _, err := start(t, newJob(t, model, "", "-data", after, "-select", "last", "-init-from", frozen)); err == nil ||
				!strings.Contains(err.Error(), "the run did not train features/image: keep it as it is, too, with -freeze-features") {
				t.Errorf("a former run with frozen features: %v", err)
			}
		}
		// One modality for another of as many columns: their weights have the same shape.
		if err := os.Rename(filepath.Join(after, "image_feat.npy"), filepath.Join(after, "audio_feat.npy")); err != nil {
			t.Fatal(err)
		}
		if _, _, _, _, err := start(t, newJob(t, model, "", "-data", after, "-select", "last", "-init-from", path)); err == nil ||
			!strings.Contains(err.Error(), map[string]string{"vbpr": "transform/weight is of image, text there and of audio, text here", "bm3": "the run did not train features/audio"}[model]) {
			t.Errorf("a former run with other modalities: %v", err)
		}
		if err := os.Rename(filepath.Join(after, "audio_feat.npy"), filepath.Join(after, "image_feat.npy")); err != nil {
			t.Fatal(err)
		}
		f, err := readFormer(path, model)
		if err != nil {
			t.Fatal(err)
		}
		j := newJob(t, model, "", "-data", after, "-select", "last", "-init-from", path, "-init-new", "mean")
		r := begun(t, j)
		data := r.data
		fresh := map[string][]float32{}
		for _, name := range names {
			if fresh[name], _, err = r.store.Read32(name); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.warmStart(); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			got, d, err := r.store.Read32(name)
			if err != nil {
				t.Fatal(err)
			}
			ids, was := data.ItemID, f.rows[runfolder.Items]
			if name == "embedding/users" {
				ids, was = data.UserID, f.rows[runfolder.Users]
			}
			table, known := engine.View[float32](f.states[name].Data), 0
			for row, id := range ids {
				is := got[row*d.Cols():][:d.Cols()]
				from, old := was[id]
				switch {
				case old:
					known++
					if !slices.Equal(is, table[from*d.Cols():][:d.Cols()]) {
						t.Fatalf("%s of %s, which is known, is not the former run's", name, id)
					}
				case slices.Equal(is, fresh[name][row*d.Cols():][:d.Cols()]) != strings.HasPrefix(name, "features/"):
					t.Fatalf("%s of %s, which is new, begins with %v", name, id, is)
				}
			}
			if known == 0 || known == len(ids) {
				t.Errorf("%s: %d of %d are known", name, known, len(ids))
			}
		}
	}
}
