package runfolder

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"nearfar/kernels"
)

type header struct {
	Epoch   int     `json:"epoch"`
	Best    float64 `json:"best"`
	Kernels string  `json:"kernels"`
}

func float32s(values ...float32) []byte {
	var b []byte
	for _, x := range values {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
	}
	return b
}

func entries() []Entry {
	return []Entry{
		{"user_embedding", kernels.Of(kernels.Float32, 2, 3), float32s(1, 2, 3, 4, 5, float32(math.Inf(1)))},
		{"step", kernels.Of(kernels.Int32), []byte{7, 0, 0, 0}},
		{"queue", kernels.Of(kernels.Float32, 0, 64), []byte{}},
		{"sum", kernels.Of(kernels.Float64, 1), binary.LittleEndian.AppendUint64(nil, math.Float64bits(math.Pi))},
		{"moment", kernels.Of(kernels.BFloat16, 3), []byte{0x80, 0x3f, 0, 0, 0xc0, 0x7f}},
	}
}

func checkpointBytes(t testing.TB) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "a.ckpt")
	if err := WriteCheckpoint(path, header{3, .0675, "avx2"}, entries()); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCheckpointRoundTrip(t *testing.T) {
	f := newRun(t)
	path := f.File(LastCheckpoint)
	for epoch := range 2 { // the second replaces the first
		if err := WriteCheckpoint(path, header{epoch, .0675, "avx2"}, entries()); err != nil {
			t.Fatal(err)
		}
	}
	var h header
	got, err := ReadCheckpoint(path, &h)
	if err != nil || h != (header{1, .0675, "avx2"}) || !reflect.DeepEqual(got, entries()) {
		t.Errorf("%+v %+v, %v", h, got, err)
	}
	left, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(left) != 1 {
		t.Errorf("%d files in the folder, want the checkpoint alone (%v)", len(left), err)
	}
	if runtime.GOOS != "windows" {
		if info, err := os.Stat(path); err != nil || info.Mode().Perm()&0o444 == 0 {
			t.Errorf("mode %v, %v", info.Mode(), err)
		}
	}

	if err := WriteCheckpoint(path, nil, nil); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadCheckpoint(path, nil); err != nil || len(got) != 0 {
		t.Errorf("empty checkpoint: %v, %v", got, err)
	}
}

// TestCheckpointLayout holds the writer to the documented offsets.
func TestCheckpointLayout(t *testing.T) {
	b := checkpointBytes(t)
	if string(b[:8]) != "NRFRCKPT" || binary.LittleEndian.Uint32(b[8:]) != 1 {
		t.Errorf("preamble % x", b[:24])
	}
	size := int(binary.LittleEndian.Uint64(b[16:]))
	var m struct {
		Header  header
		Entries []struct {
			Name           string
			Offset, Length int
			CRC            uint32 `json:"crc32c"`
		}
	}
	if err := json.Unmarshal(b[24:24+size], &m); err != nil || m.Header.Kernels != "avx2" || len(m.Entries) != len(entries()) {
		t.Fatalf("%+v, %v", m, err)
	}
	start := (24 + size + 63) / 64 * 64
	for i, e := range m.Entries {
		at := start + e.Offset
		if at%64 != 0 || !bytes.Equal(b[at:at+e.Length], entries()[i].Data) {
			t.Errorf("%s is not at %d", e.Name, at)
		}
		if sum := crc32.Checksum(b[at:at+e.Length], crc32.MakeTable(crc32.Castagnoli)); sum != e.CRC {
			t.Errorf("%s: crc32c %x, want %x", e.Name, e.CRC, sum)
		}
	}
	body := b[:len(b)-4]
	if sum := crc32.Checksum(body, crc32.MakeTable(crc32.Castagnoli)); sum != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		t.Error("total crc32c differs")
	}
}

func TestCheckpointRefuses(t *testing.T) {
	good := checkpointBytes(t)
	manifestSize := int(binary.LittleEndian.Uint64(good[16:]))
	edit := func(change func(b []byte) []byte) []byte { return change(bytes.Clone(good)) }
	replace := func(from, to string) []byte {
		if len(from) != len(to) || !bytes.Contains(good, []byte(from)) {
			t.Fatalf("cannot replace %q", from)
		}
		return bytes.Replace(good, []byte(from), []byte(to), 1)
	}
	path := filepath.Join(t.TempDir(), "bad.ckpt")
	for name, c := range map[string]struct {
		file   []byte
		reason error
		detail string
	}{
		"empty":          {nil, ErrFormat, "NRFRCKPT"},
		"magic":          {[]byte("PK\x03\x04 something else entirely"), ErrFormat, "NRFRCKPT"},
		"preamble":       {good[:20], ErrTruncated, "20 bytes"},
		"version":        {edit(func(b []byte) []byte { b[8] = 2; return b }), ErrVersion, "version 2"},
		"manifest":       {good[:24+manifestSize/2], ErrTruncated, "manifest"},
		"length":         {edit(func(b []byte) []byte { binary.LittleEndian.PutUint64(b[16:], math.MaxUint64); return b }), ErrTruncated, "manifest"},
		"data":           {good[:len(good)-5], ErrTruncated, "bytes of"},
		"tail":           {append(bytes.Clone(good), 0), ErrCorrupt, "manifest implies"},
		"json":           {replace(`{"header"`, `["header"`), ErrCorrupt, "manifest"},
		"dtype":          {replace(`"float32"`, `"float99"`), ErrCorrupt, "float99"},
		"shape":          {replace(`[2,3]`, `[9,9]`), ErrCorrupt, "user_embedding"},
		"negative shape": {replace(`[0,64]`, `[0,-6]`), ErrCorrupt, "impossible"},
		"offset":         {replace(`"offset":64`, `"offset":65`), ErrCorrupt, "offset 65"},
		"twice":          {replace(`"step"`, `"sum" `), ErrCorrupt, "twice"},
		"header":         {replace(`"epoch":3`, `"epoch":4`), ErrCorrupt, "checksum"},
		"last bit":       {edit(func(b []byte) []byte { b[len(b)-1] ^= 1; return b }), ErrCorrupt, "checksum"},
		"entry":          {edit(func(b []byte) []byte { b[(24+manifestSize+63)/64*64] ^= 1; return b }), ErrCorrupt, "user_embedding"},
		"padding":        {edit(func(b []byte) []byte { b[(24+manifestSize+63)/64*64+40] ^= 1; return b }), ErrCorrupt, "checksum"},
	} {
		write(t, path, string(c.file))
		h := header{Epoch: -1}
		got, err := ReadCheckpoint(path, &h)
		var fileError *FileError
		if !errors.Is(err, c.reason) || !errors.As(err, &fileError) || fileError.Path != path || !strings.Contains(err.Error(), c.detail) {
			t.Errorf("%s: error %v, want %q, the path and %q", name, err, c.reason, c.detail)
		}
		if got != nil || h.Epoch != -1 {
			t.Errorf("%s: content was given out with the error", name)
		}
	}

	write(t, path, string(good))
	var wrong struct {
		Epoch string `json:"epoch"`
	}
	if _, err := ReadCheckpoint(path, &wrong); !errors.Is(err, ErrFormat) {
		t.Errorf("header of another shape: %v, want ErrFormat", err)
	}
	if _, err := ReadCheckpoint(filepath.Join(t.TempDir(), "none"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

// TestEveryTruncationAndFlip: no prefix of a checkpoint and no single changed bit goes unnoticed.
func TestEveryTruncationAndFlip(t *testing.T) {
	good := checkpointBytes(t)
	for n := range good {
		if _, _, err := readCheckpoint(bytes.NewReader(good[:n]), int64(n)); err == nil {
			t.Fatalf("a file of %d bytes of %d was read", n, len(good))
		}
		bad := bytes.Clone(good)
		bad[n] ^= 1 << (n % 8)
		if _, _, err := readCheckpoint(bytes.NewReader(bad), int64(len(bad))); err == nil {
			t.Fatalf("a changed bit in byte %d was not noticed", n)
		}
	}
	if _, _, err := readCheckpoint(bytes.NewReader(good[:len(good)-8]), int64(len(good))); inFile("x", err) == nil || !errors.Is(inFile("x", err), ErrTruncated) {
		t.Errorf("a file that shrinks while it is read: %v", err)
	}
}

func TestWriteCheckpointRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.ckpt")
	write(t, path, "former")
	scalar := kernels.Of(kernels.Float32)
	for name, c := range map[string]struct {
		header  any
		entries []Entry
	}{
		"size":   {nil, []Entry{{"a", scalar, []byte{1}}}},
		"twice":  {nil, []Entry{{"a", scalar, float32s(1)}, {"a", scalar, float32s(1)}}},
		"name":   {nil, []Entry{{"", scalar, float32s(1)}}},
		"header": {math.NaN(), nil},
	} {
		if err := WriteCheckpoint(path, c.header, c.entries); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if mustRead(t, path) != "former" {
		t.Error("a refused checkpoint has touched the former one")
	}
	if err := WriteCheckpoint(filepath.Join(path, "below"), nil, nil); err == nil {
		t.Error("written below a file")
	}
}

func FuzzReadCheckpoint(f *testing.F) {
	good := checkpointBytes(f)
	f.Add(good)
	f.Add(good[:24])
	f.Add([]byte("NRFRCKPT"))
	f.Add(bytes.Replace(good, []byte("[2,3]"), []byte("[9,9]"), 1))
	f.Add(bytes.Replace(good, []byte(`"length":24`), []byte(`"length":-4`), 1))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, entries, err := readCheckpoint(bytes.NewReader(b), int64(len(b)))
		checkFuzzed(t, len(b), entries, err)
	})
}

// checkFuzzed: an error is a FileError, and what was read is no larger than the file.
func checkFuzzed(t *testing.T, size int, entries []Entry, err error) {
	var fileError *FileError
	if err != nil && !errors.As(err, &fileError) {
		t.Fatalf("untyped error %v", err)
	}
	for _, e := range entries {
		if int64(len(e.Data)) != e.Desc.Bytes() {
			t.Fatalf("%s: %d bytes for %s", e.Name, len(e.Data), e.Desc)
		}
		size -= len(e.Data)
	}
	if size < 0 {
		t.Fatal("more was read than the file holds")
	}
}
