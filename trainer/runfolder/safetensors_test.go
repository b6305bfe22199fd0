package runfolder

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"nearfar/kernels"
)

// file builds a safetensors file from a header, as another program might.
func file(header string, data int) []byte {
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(b, header...), make([]byte, data)...)
}

func TestSafetensorsRoundTrip(t *testing.T) {
	path := newRun(t).File(Embeddings)
	metadata := map[string]string{"model": "sgl", "similarity": "dot"}
	if err := WriteSafetensors(path, metadata, entries()); err != nil {
		t.Fatal(err)
	}
	gotMetadata, got, err := ReadSafetensors(path)
	if err != nil || !maps.Equal(gotMetadata, metadata) {
		t.Fatalf("%v, %v", gotMetadata, err)
	}
	want := entries()
	want = []Entry{want[3], want[0], want[1], want[2], want[4]} // float64 first, bfloat16 last; "queue", which is empty, keeps its place
	for i := range got {
		if j := indexOf(want, got[i].Name); j < 0 || !reflect.DeepEqual(got[i], want[j]) {
			t.Errorf("read %+v", got[i])
		}
	}
	if len(got) != len(want) || got[0].Name != "sum" {
		t.Errorf("read %d tensors, the first %q", len(got), got[0].Name)
	}

	// The format's own rules.
	b := []byte(mustRead(t, path))
	size := binary.LittleEndian.Uint64(b)
	if size%8 != 0 || b[8] != '{' {
		t.Errorf("header of %d bytes begins with %q", size, b[8])
	}
	if text := strings.TrimRight(string(b[8:8+size]), " "); !strings.HasSuffix(text, "}") || !json.Valid([]byte(text)) {
		t.Errorf("header %s", text)
	}
	if !strings.Contains(string(b), `"user_embedding":{"dtype":"F32","shape":[2,3],"data_offsets":[8,32]}`) {
		t.Errorf("header %s", b[8:8+size])
	}
}

func indexOf(entries []Entry, name string) int {
	for i, e := range entries {
		if e.Name == name {
			return i
		}
	}
	return -1
}

// TestSafetensorsInPython reads the file with the format's reference implementation, where Python has it.
func TestSafetensorsInPython(t *testing.T) {
	if exec.Command("python3", "-c", "import safetensors.numpy").Run() != nil {
		t.Skip("python3 with safetensors and numpy is not here")
	}
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := WriteSafetensors(path, map[string]string{"model": "sgl"}, entries()[:4]); err != nil { // numpy has no bfloat16
		t.Fatal(err)
	}
	out, err := exec.Command("python3", "-c", `
import sys, safetensors, safetensors.numpy
t = safetensors.numpy.load_file(sys.argv[1])
with safetensors.safe_open(sys.argv[1], "np") as f: print(f.metadata())
print(t["user_embedding"].tolist(), t["step"].item(), t["queue"].shape, t["sum"].tolist())`, path).CombinedOutput()
	want := "{'model': 'sgl'}\n[[1.0, 2.0, 3.0], [4.0, 5.0, inf]] 7 (0, 64) [3.141592653589793]\n"
	if err != nil || string(out) != want {
		t.Errorf("%v\n%s\nwant\n%s", err, out, want)
	}
}

func TestSafetensorsRefuses(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.safetensors")
	for name, c := range map[string]struct {
		file   []byte
		reason error
		detail string
	}{
		"empty":       {nil, ErrTruncated, "0 bytes"},
		"huge header": {bytes.Repeat([]byte{0xff}, 16), ErrFormat, "limit"},
		"header":      {file(`{"a":{}}`, 0)[:12], ErrTruncated, "header"},
		"no object":   {file(`[]`, 0), ErrFormat, "{"},
		"json":        {file(`{"a"`, 0), ErrCorrupt, "header"},
		"metadata":    {file(`{"__metadata__":{"a":1}}`, 0), ErrCorrupt, "__metadata__"},
		"dtype":       {file(`{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]}}`, 2), ErrFormat, `"a" has dtype "F16"`},
		"rank":        {file(`{"a":{"dtype":"F32","shape":[1,1,1,1,1],"data_offsets":[0,4]}}`, 4), ErrCorrupt, "dimensions"},
		"overflow":    {file(`{"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, 0), ErrCorrupt, "impossible"},
		"offsets":     {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}}`, 8), ErrCorrupt, "data_offsets"},
		"negative":    {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}`, 8), ErrCorrupt, "data_offsets"},
		"hole":        {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`, 8), ErrCorrupt, "offset 4 instead of 0"},
		"overlap": {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 4),
			ErrCorrupt, `"b" is at offset 0`},
		"cut":  {file(`{"a":{"dtype":"F32","shape":[1000000000],"data_offsets":[0,4000000000]}}`, 8), ErrTruncated, "offset 4000000000 of 8"},
		"rest": {file(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`, 8), ErrCorrupt, "4 bytes behind"},
	} {
		write(t, path, string(c.file))
		_, _, err := ReadSafetensors(path)
		var fileError *FileError
		if !errors.Is(err, c.reason) || !errors.As(err, &fileError) || fileError.Path != path || !strings.Contains(err.Error(), c.detail) {
			t.Errorf("%s: error %v, want %q, the path and %q", name, err, c.reason, c.detail)
		}
	}
	if _, _, err := ReadSafetensors(path + "x"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	scalar := kernels.Of(kernels.Float32)
	if err := WriteSafetensors(path, nil, []Entry{{metadataKey, scalar, float32s(1)}}); err == nil {
		t.Error("a tensor took the name of the metadata")
	}
}

func FuzzReadSafetensors(f *testing.F) {
	path := filepath.Join(f.TempDir(), "a")
	if err := WriteSafetensors(path, map[string]string{"a": "b"}, entries()); err != nil {
		f.Fatal(err)
	}
	good, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(file(`{}`, 0))
	f.Add(file(`{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,-4]}}`, 4))
	f.Add(file(`{"a":{"dtype":"F64","shape":[],"data_offsets":[0,8]}}`, 8))
	f.Fuzz(func(t *testing.T, b []byte) {
		_, tensors, err := readSafetensors(bytes.NewReader(b), int64(len(b)))
		checkFuzzed(t, len(b), tensors, err)
	})
}
