package trainer

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"nearfar/models"
	"nearfar/trainer/dataset"
)

// featured makes of a model's options those of one that takes features, and keeps what it is given.
type featured struct {
	models.Options
	got []dataset.Features
}

func (f *featured) Features() {}

func (f *featured) New(d models.Data) (models.Model, error) {
	f.got = d.ItemFeatures
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
