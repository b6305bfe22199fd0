package trainer

import (
	"strings"
	"testing"

	"nearfar/models"
)

// A model that is fitted gets the processor: in silence, with a warning for who asked for a GPU, or not at all where it has to be one.
func TestFittedModelsUseNoGPU(t *testing.T) {
	for _, tt := range []struct {
		o                   Running
		warning, note, fail string
	}{
		{Running{GPU: "off"}, "", "", ""},
		{Running{GPU: "auto"}, "", "", ""},
		{Running{GPU: "0"}, "-gpu 0: the model is fitted on the processor, and ranks there: using the CPU", "", ""},
		{Running{GPU: "auto", RequireGPU: true}, "", "", "-require-gpu: the model is fitted on the processor"},
		{Running{GPU: "0", RequireGPU: true}, "", "", "-require-gpu: the model is fitted on the processor"},
	} {
		d, fallback, err := OpenDevice(tt.o, new(models.EASEOptions))
		if tt.fail != "" {
			if err == nil || !strings.Contains(err.Error(), tt.fail) {
				t.Errorf("%+v: the error is %v", tt.o, err)
			}
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(d.Name(), "cpu/") || fallback.Warning() != tt.warning || fallback.Said() != tt.warning || fallback.Note() != tt.note {
			t.Errorf("%+v: %s, warning %q, note %q", tt.o, d.Name(), fallback.Warning(), fallback.Note())
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Half precision gets the processor too.
func TestHalfPrecisionUsesNoGPU(t *testing.T) {
	const reason = "-precision half is the processor's"
	d, fallback, err := OpenDevice(Running{GPU: "0", Precision: "half"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if want := "-gpu 0: " + reason + ": using the CPU"; !strings.HasPrefix(d.Name(), "cpu/") || fallback.Warning() != want {
		t.Errorf("%s, warning %q, want %q", d.Name(), fallback.Warning(), want)
	}
	if _, _, err := OpenDevice(Running{GPU: "auto", RequireGPU: true, Precision: "half"}, nil); err == nil || !strings.Contains(err.Error(), reason) {
		t.Errorf("-require-gpu: the error is %v", err)
	}
}

// Where nobody asked for a GPU its lack is worth a word if one could be expected.
func TestNote(t *testing.T) {
	for _, tt := range []struct {
		Fallback
		said string
	}{
		{Fallback{GPU: "auto", Reason: "why", expected: true}, "no GPU is used: why"},
		{Fallback{GPU: "auto", Reason: "why"}, ""},
		{Fallback{GPU: "0", Reason: "why"}, "-gpu 0: why: using the CPU ('trainer doctor' says more)"},
		{Fallback{}, ""},
	} {
		if said := tt.Said(); said != tt.said {
			t.Errorf("%+v says %q", tt.Fallback, said)
		}
	}
}
