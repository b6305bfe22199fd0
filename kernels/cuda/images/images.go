// Package images has the kernels of package cuda, compiled: a fatbin for each .cu file, and the manifest, which says what they were made of.
// Both are committed, so that a build with the tag gpu needs no nvcc; TestImagesAreCurrent fails where a source was changed and its image was
// not. After a change:
//
//	make images        compiles with CUDA 11.8, which kernels/cuda/toolkit fetch 11.8 fetches
//
// A fatbin has machine code for sm_80 (which runs on 8.x) and sm_90, and PTX of compute_70 and compute_80, which the driver compiles for GPUs
// older and newer than these. An image is loaded with its first kernel: a training step wants some of them, and most kernels that were changed
// leave the other images as they are.
//
// The same sources give the same bytes in any folder, which compile -check relies on. So no file has an anonymous namespace, whose names nvcc makes
// of the file's path: what is a file's own stands in a namespace of the file's name. (The emulator links all files together.)
//
// The release of the compiler decides which drivers can load an image: the machine code of any CUDA 11 runs on every driver of CUDA 11 and
// later, the PTX of 11.8 on those of 11.8 (520, of 2022) and later. nvcc 13's needs a driver of 13, and it no longer knows compute_70. 11.8 is
// the oldest that knows sm_90; what it lacks, wgmma above all, no kernel uses.
package images

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// What images are compiled with and for.
const (
	Release = "11.8" // of nvcc
	Targets = "compute_70 sm_80 compute_80 sm_90"
	// nvcc 11.8 has g++ compile the host's part of a .cu file and refuses one newer than 11. Debian 12's, 12.2, will do all the same. Compressed,
	// images are a third of the size.
	Flags = "-std=c++17 -allow-unsupported-compiler -Werror all-warnings -Xfatbin -compress-all"
)

// Manifest is the text file that lies beside the images.
type Manifest struct {
	Compiler, Flags, Targets string
	Images                   []Image // by name
}

// An Image is the compiled form of one .cu file.
type Image struct {
	Name    string   // rows: rows.fatbin, of rows.cu
	Hash    string   // of the fatbin
	Sources []Source // the .cu file and the headers of its folder that it includes, by name
	Kernels []Kernel // by name and architecture
}

// A Source is a file with the SHA-256 that it had.
type Source struct{ Name, Hash string }

// A Kernel is what ptxas says of a kernel on an architecture: registers of a thread, bytes of static shared memory of a block, of a thread's
// stack, and of registers that were spilled to it and loaded back.
type Kernel struct {
	Name, Architecture                                string
	Registers, Shared, Stack, SpillStores, SpillLoads int
}

const head = `# The images of the kernels in .cu files, as "make images" made them and wrote this. A kernel's numbers: registers of a thread, bytes of static
# shared memory of a block, bytes of a thread's stack, of spill stores, of spill loads.
`

// String is the file.
func (m *Manifest) String() string {
	var b strings.Builder
	b.WriteString(head)
	fmt.Fprintf(&b, "nvcc %s\nflags %s\ntargets %s\n", m.Compiler, m.Flags, m.Targets)
	for _, i := range m.Images {
		fmt.Fprintf(&b, "\nimage %s %s\n", i.Name, i.Hash)
		for _, s := range i.Sources {
			fmt.Fprintf(&b, "source %s %s\n", s.Name, s.Hash)
		}
		for _, k := range i.Kernels {
			fmt.Fprintf(&b, "kernel %s %s %d %d %d %d %d\n", k.Name, k.Architecture, k.Registers, k.Shared, k.Stack, k.SpillStores, k.SpillLoads)
		}
	}
	return b.String()
}

// Parse reads a manifest.
func Parse(text []byte) (*Manifest, error) {
	m := new(Manifest)
	var image *Image
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		word, rest, _ := strings.Cut(line, " ")
		var err error
		switch {
		case word == "nvcc":
			m.Compiler = rest
		case word == "flags":
			m.Flags = rest
		case word == "targets":
			m.Targets = rest
		case word == "image":
			m.Images = append(m.Images, Image{})
			image = &m.Images[len(m.Images)-1]
			_, err = fmt.Sscan(rest, &image.Name, &image.Hash)
		case word == "source" && image != nil:
			var s Source
			_, err = fmt.Sscan(rest, &s.Name, &s.Hash)
			image.Sources = append(image.Sources, s)
		case word == "kernel" && image != nil:
			var k Kernel
			_, err = fmt.Sscan(rest, &k.Name, &k.Architecture, &k.Registers, &k.Shared, &k.Stack, &k.SpillStores, &k.SpillLoads)
			image.Kernels = append(image.Kernels, k)
		default:
			err = errors.New("no line of a manifest")
		}
		if err != nil {
			return nil, fmt.Errorf("manifest:%d: %q: %w", n, line, err)
		}
	}
	return m, lines.Err()
}

// Read reads the manifest of a folder of images; where there is none, it is empty.
func Read(dir string) (*Manifest, error) {
	text, err := os.ReadFile(filepath.Join(dir, "manifest"))
	if errors.Is(err, fs.ErrNotExist) {
		return new(Manifest), nil
	}
	if err != nil {
		return nil, err
	}
	return Parse(text)
}

// Image returns the image of a name, or nil.
func (m *Manifest) Image(name string) *Image {
	for i := range m.Images {
		if m.Images[i].Name == name {
			return &m.Images[i]
		}
	}
	return nil
}

// Stale says why an image is not what the sources give, or "". A header that was added to the includes is a change of a source that is listed.
func (m *Manifest) Stale(name, images, sources string) string {
	i := m.Image(name)
	if i == nil {
		return name + ".cu has no image"
	}
	if !strings.HasPrefix(m.Compiler, Release+".") || m.Flags != Flags || m.Targets != Targets {
		return fmt.Sprintf("%s.fatbin was compiled by nvcc %s %s for %s", name, m.Compiler, m.Flags, m.Targets)
	}
	if hash, err := Hash(filepath.Join(images, name+".fatbin")); err != nil || hash != i.Hash {
		return name + ".fatbin is not the one of the manifest"
	}
	var changed []string
	for _, s := range i.Sources {
		if hash, err := Hash(filepath.Join(sources, s.Name)); err != nil || hash != s.Hash {
			changed = append(changed, s.Name)
		}
	}
	if changed != nil {
		return fmt.Sprintf("%s.fatbin is older than %s", name, strings.Join(changed, ", "))
	}
	return ""
}

// Names are those of the .cu files of a folder, without the ending, sorted.
func Names(sources string) ([]string, error) {
	files, err := filepath.Glob(filepath.Join(sources, "*.cu"))
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".cu")
	}
	slices.Sort(files)
	return files, err
}

// Hash is the SHA-256 of a file, in hexadecimal.
func Hash(file string) (string, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}
