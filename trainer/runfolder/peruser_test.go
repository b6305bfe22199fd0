package runfolder

import (
	"bytes"
	"compress/gzip"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestPerUserRoundTrip(t *testing.T) {
	folder := &Folder{path: t.TempDir()}
	path := folder.File(PerUserFile)
	want := &PerUser{
		User:    []string{"7", "Zoë \"x\"", "a\tb", `"quoted"`, ""},
		Targets: []int{1, 2, 3, 4, 5},
		Degree:  []int{0, 10, 20, 30, 1 << 30},
		Metric:  []string{"Recall@20", "NDCG@20(sampled100)"},
		Value:   [][]float64{{0, 1, 1. / 3, math.Nextafter(1, 0), 5e-324}, {math.Pi, 0, 0, 1e300, -1}},
	}
	if err := folder.WritePerUser(want); err != nil {
		t.Fatal(err)
	}
	got, err := ReadPerUser(path)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v", got, err)
	}
	first, _ := os.ReadFile(path)
	if err := folder.WritePerUser(want); err != nil {
		t.Fatal(err)
	}
	if again, _ := os.ReadFile(path); !bytes.Equal(first, again) {
		t.Error("the same table gives other bytes")
	}
	if err := folder.WritePerUser(&PerUser{User: []string{"a"}}); err == nil {
		t.Error("columns of different lengths: no error")
	}
}

func TestReadPerUserRefuses(t *testing.T) {
	packed := func(text string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		w.Write([]byte(text))
		w.Close()
		return b.Bytes()
	}
	const head = "user\ttargets\tdegree\tRecall@20\n"
	whole := packed(head + strings.Repeat("u\t1\t2\t0.5\n", 1000))
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-5] ^= 1 // its CRC-32
	for name, tt := range map[string]struct {
		content []byte
		reason  error
		want    string
	}{
		"plain text":        {[]byte(head + "u\t1\t2\t0.5\n"), ErrFormat, "not gzipped"},
		"another table":     {packed("a\tb\n"), ErrFormat, "first columns"},
		"empty":             {nil, ErrTruncated, ""},
		"an empty table":    {packed(""), ErrTruncated, ""},
		"half a line":       {packed(head + "u\t1"), ErrTruncated, ""},
		"half a file":       {whole[:len(whole)/2], ErrTruncated, ""},
		"a flipped bit":     {flipped, ErrCorrupt, ""},
		"a column less":     {packed(head + "u\t1\t2\t0.5\nv\t1\t2\n"), nil, PerUserFile + ":3: 3 columns, want 4"},
		"a broken count":    {packed(head + "u\tx\t2\t0.5\n"), nil, PerUserFile + `:2: targets "x"`},
		"a broken number":   {packed(head + "u\t1\t2\tx\n"), nil, PerUserFile + `:2: Recall@20 "x"`},
		"a broken quote":    {packed(head + "\"u\t1\t2\t1\n"), nil, PerUserFile + ":2: "},
		"a number too much": {packed(head + "u\t1\t2\t1\t1\n"), nil, PerUserFile + ":2: 5 columns"},
	} {
		path := filepath.Join(t.TempDir(), PerUserFile)
		if err := os.WriteFile(path, tt.content, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := ReadPerUser(path)
		if err == nil || tt.reason != nil && !errors.Is(err, tt.reason) || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), PerUserFile) {
			t.Errorf("%s: error %v, want %v %q", name, err, tt.reason, tt.want)
		}
	}
	if _, err := ReadPerUser(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("absent: error %v", err)
	}
}
