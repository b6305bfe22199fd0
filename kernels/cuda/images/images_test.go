package images

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Every .cu file has an image, made of what it and its headers are now. This needs no nvcc.
func TestImagesAreCurrent(t *testing.T) {
	m, err := Read(".")
	if err != nil {
		t.Fatal(err)
	}
	names, err := Names("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if stale := m.Stale(name, ".", ".."); stale != "" {
			t.Errorf("%s: run make images (with nvcc %s; kernels/cuda/toolkit fetch %[2]s)", stale, Release)
		}
	}
	for _, i := range m.Images {
		if !slices.Contains(names, i.Name) {
			t.Errorf("there is no %s.cu: run make images", i.Name)
		}
	}
}

func TestManifest(t *testing.T) {
	m := &Manifest{Compiler: "11.8.89", Flags: "-a -b c", Targets: "sm_80", Images: []Image{
		{Name: "a", Hash: "0a", Sources: []Source{{"a.cu", "01"}, {"b.h", "02"}}, Kernels: []Kernel{{"k", "sm_80", 1, 2, 3, 4, 5}}},
		{Name: "b", Hash: "0b"},
	}}
	read, err := Parse([]byte(m.String()))
	if err != nil {
		t.Fatal(err)
	}
	if read.String() != m.String() || read.Image("a").Kernels[0] != m.Images[0].Kernels[0] {
		t.Errorf("read:\n%s\nwritten:\n%s", read, m)
	}
	for text, want := range map[string]string{
		"nvcc 1\n\nkernel k sm_80 1 2 3 4 5\n": `manifest:3: "kernel k sm_80 1 2 3 4 5": no line of a manifest`,
		"image a 0\nkernel k sm_80 1 2 x\n":    `manifest:2: "kernel k sm_80 1 2 x": expected integer`,
	} {
		if _, err := Parse([]byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

// What is stale is said by name.
func TestStale(t *testing.T) {
	sources, images := t.TempDir(), t.TempDir()
	write := func(dir, name, text string) string {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		hash, err := Hash(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return hash
	}
	m := &Manifest{Compiler: Release + ".1", Flags: Flags, Targets: Targets, Images: []Image{{
		Name: "a", Hash: write(images, "a.fatbin", "image"),
		Sources: []Source{{"a.cu", write(sources, "a.cu", "kernel")}, {"x.h", write(sources, "x.h", "header")}},
	}}}
	says := func(want string) {
		t.Helper()
		if got := m.Stale("a", images, sources); got != want && (want == "" || !strings.HasPrefix(got, want)) {
			t.Errorf("%q, want %q", got, want)
		}
	}
	says("")
	write(sources, "x.h", "another")
	says("a.fatbin is older than x.h")
	write(sources, "a.cu", "another")
	says("a.fatbin is older than a.cu, x.h")
	write(images, "a.fatbin", "another")
	says("a.fatbin is not the one of the manifest")
	m.Compiler = "13.5.37"
	says("a.fatbin was compiled by nvcc 13.5.37")
	m.Images = nil
	says("a.cu has no image")
}
