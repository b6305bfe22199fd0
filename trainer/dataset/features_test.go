package dataset

import (
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"nearfar/trainer/memory"
)

// mmrecFile is a file of MMRec's with a training interaction of each of the pairs, the last two held out.
func mmrecFile(pairs ...[2]int) string {
	var b strings.Builder
	fmt.Fprintln(&b, "userID\titemID\tx_label")
	for k, p := range pairs {
		fmt.Fprintf(&b, "%d\t%d\t%d\n", p[0], p[1], max(0, 3+k-len(pairs)))
	}
	return b.String()
}

// of4 is a feature file of so many rows, "row.column/8" in float32.
func of4(rows, columns int) string { return matrix("<f4", false, rows, columns, multiples) }

// rowsAre tells by the first column which row of its file each item has.
func rowsAre(f Features) (rows []float32) {
	for k := 0; k < len(f.Value); k += f.Dim {
		rows = append(rows, f.Value[k])
	}
	return rows
}

// featured writes each item as id:row of each modality, for values of multiples.
func (d *Dataset) featured() string {
	var all []string
	for i, id := range d.ItemID {
		s := id
		for _, f := range d.ItemFeatures {
			s += fmt.Sprintf(":%g", f.Value[i*f.Dim])
		}
		all = append(all, s)
	}
	return strings.Join(all, " ")
}

// TestFormatsFeatures reads the features of testdata/formats, which follow the rules of its make.go.
func TestFormatsFeatures(t *testing.T) {
	path := filepath.Join("..", "..", "testdata", "formats", "mmrec")
	d := load(t, Options{Path: path, Features: true})
	if d.Items() != 1516 || d.Users() != 60 || len(d.ItemFeatures) != 2 {
		t.Fatalf("%d users, %d items, %d modalities, want 60, 1516, 2", d.Users(), d.Items(), len(d.ItemFeatures))
	}
	image, text := d.ItemFeatures[0], d.ItemFeatures[1]
	if image.Name != "image" || image.Dim != 3 || image.Type != "float32" || text.Name != "text" || text.Dim != 2 || text.Type != "float16" {
		t.Fatalf("%s %d %s, %s %d %s", image.Name, image.Dim, image.Type, text.Name, text.Dim, text.Type)
	}
	for i := range d.Items() {
		for c := range 3 {
			if x, want := image.Value[3*i+c], float32((c+2)*i%17)/16-.5; x != want {
				t.Fatalf("image of item %d, column %d: %g, want %g", i, c, x, want)
			}
		}
		for c := range 2 {
			if x, want := text.Value[2*i+c], float32((c+3)*i%13)/8-.5; x != want {
				t.Fatalf("text of item %d, column %d: %g, want %g", i, c, x, want)
			}
		}
	}
	if report := d.String(); !strings.Contains(report, "features   image: 1,516 items x 3 (image_feat.npy, float32)\nfeatures   text: 1,516 items x 2 (text_feat.npy, float16)\n") {
		t.Error(report)
	}
	if plain := load(t, Options{Path: path}); plain.ItemFeatures != nil || plain.Items() == d.Items() {
		t.Errorf("features that nobody wants are read: %d, of %d items", len(plain.ItemFeatures), plain.Items())
	}
}

// TestFeatures: which rows come to which items, and what is said of the rest. Of each item its row in the one file or in both.
func TestFeatures(t *testing.T) {
	const gap = "userID\titemID\tx_label\n0\t0\t0\n0\t2\t0\n1\t2\t0\n3\t0\t0\n3\t2\t1\n3\t4\t2\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		o     Options
		want  string // Dataset.featured
		users int
		notes string
	}{
		{"mmrec without gaps", map[string]string{"x.inter": mmrecFile([2]int{0, 0}, [2]int{1, 1}, [2]int{0, 1}, [2]int{1, 0}), "image_feat.npy": of4(2, 2)},
			Options{}, "0:0 1:1", 2, "[]"},
		{"mmrec with gaps", map[string]string{"x.inter": gap, "text_feat.npy": of4(6, 1), "audio_whisper_feat.npy": of4(6, 3)}, Options{},
			"0:0:0 1:1:1 2:2:2 3:3:3 4:4:4", 4,
			"[1 user and 2 items without an interaction join the catalogue: MMRec's has every id from 0 to the largest 1 of 6 rows of features are left out, since nobody has their item]"},
		{"mmrec, users are words", map[string]string{"x.inter": "userID\titemID\tx_label\na\t0\t0\na\t2\t0\nb\t2\t0\n", "text_feat.npy": of4(3, 1)}, Options{}, "0:0 1:1 2:2", 2,
			"[0 users and 1 item without an interaction join the catalogue: MMRec's has every id from 0 to the largest]"},
		{"mmrec, unseen dropped", map[string]string{"x.inter": gap, "text_feat.npy": of4(5, 1)}, Options{Unseen: Drop}, "0:0 2:2", 3,
			"[1 user and 2 items without an interaction join the catalogue: MMRec's has every id from 0 to the largest]"},
		{"mmrec, a core", map[string]string{"x.inter": gap, "text_feat.npy": of4(5, 1)}, Options{KCore: KCore{2, 2}}, "0:0 2:2", 2,
			"[1 user and 2 items without an interaction join the catalogue: MMRec's has every id from 0 to the largest]"},
		{"pairs", map[string]string{"train.txt": "a 7 1\na 10 1\nb 7 1\nb 9 1\n", "test.txt": "a 3 1\n", "image_feat.npy": of4(12, 2)}, Options{},
			"3:3 7:7 9:9 10:10", 2, "[8 of 12 rows of features are left out, since nobody has their item]"},
		{"a modality of two", map[string]string{"train.txt": "1 0 1\n1 1 1\n", "image_feat.npy": of4(2, 2), "text_feat.npy": "broken"}, Options{Modalities: []string{"image"}},
			"0:0 1:1", 1, "[]"},
		{"files of other names", map[string]string{"train.txt": "1 0 1\n1 1 1\n", "image_feat.npy": of4(2, 2), "_feat.npy": "x", "text.npy": "x", "text_feat.npy.gz": "x", "user_graph.npy": "x"},
			Options{}, "0:0 1:1", 1, "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.o.Path, c.o.Features = folder(t, c.files), true
			d := load(t, c.o)
			if got := d.featured(); got != c.want || d.Users() != c.users || fmt.Sprint(d.Notes) != c.notes {
				t.Errorf("%s, %d users, notes %s\nwant %s, %d, %s", got, d.Users(), d.Notes, c.want, c.users, c.notes)
			}
			if !slices.IsSortedFunc(d.ItemFeatures, func(a, b Features) int { return strings.Compare(a.Name, b.Name) }) {
				t.Errorf("the modalities are not sorted")
			}
			for _, f := range d.ItemFeatures {
				if len(f.Value) != d.Items()*f.Dim {
					t.Errorf("%s has %d numbers for %d items x %d", f.Name, len(f.Value), d.Items(), f.Dim)
				}
				for k, x := range f.Value {
					if item := k / f.Dim; float64(x) != float64(rowsAre(f)[item])+float64(k%f.Dim)/8 {
						t.Errorf("%s: item %d has %g in column %d", f.Name, item, x, k%f.Dim)
					}
				}
			}
		})
	}
}

// The interactions are the same ones after the catalogue has become whole.
func TestWholeCatalogue(t *testing.T) {
	const text = "userID\titemID\ttimestamp\tx_label\n1\t5\t10\t0\n1\t2\t20\t0\n4\t2\t30\t0\n4\t5\t40\t1\n3\t2\t50\t0\n3\t0\t60\t2\n"
	path := folder(t, map[string]string{"x.inter": text, "text_feat.npy": of4(6, 1)})
	gaps, whole := load(t, Options{Path: path}), load(t, Options{Path: path, Features: true})
	if gaps.Users() != 3 || gaps.Items() != 3 || whole.Users() != 5 || whole.Items() != 6 {
		t.Fatalf("%d x %d and %d x %d", gaps.Users(), gaps.Items(), whole.Users(), whole.Items())
	}
	for name, x := range map[string][2]*Interactions{"train": {gaps.Train, whole.Train}, "valid": {gaps.Valid, whole.Valid}, "test": {gaps.Test, whole.Test}} {
		if a, b := gaps.text(x[0]), whole.text(x[1]); a != b || !slices.Equal(x[0].Time, x[1].Time) {
			t.Errorf("%s: %s at %v, want %s at %v", name, b, x[1].Time, a, x[0].Time)
		}
	}
}

func TestFeatureErrors(t *testing.T) {
	const pairs = "1 0 1\n1 3 1\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		o     Options
		wants []string // {} stands for the folder
	}{
		{"none", map[string]string{"train.txt": pairs, "text.npy": "x"}, Options{Features: true},
			[]string{"{} has no features of the items: they are looked for in files MODALITY_feat.npy, such as image_feat.npy"}},
		{"not that one", map[string]string{"train.txt": pairs, "text_feat.npy": of4(4, 1), "audio_feat.npy": of4(4, 1)}, Options{Features: true, Modalities: []string{"text", "image"}},
			[]string{`-modalities: {} has no features "image", since there is no file "image_feat.npy"; it has "audio", "text"`}},
		{"nobody wants them", map[string]string{"train.txt": pairs}, Options{Modalities: []string{"image"}}, []string{`the modalities "image" are named, and no features are wanted`}},
		{"too few rows", map[string]string{"train.txt": pairs, "text_feat.npy": of4(3, 1)}, Options{Features: true},
			[]string{"{}/text_feat.npy has 3 rows, and the largest item id is 3: row r is of item r, so at least 4 are wanted"}},
		{"the largest item is a test item", map[string]string{"train.txt": pairs, "test.txt": "1 9\n", "text_feat.npy": of4(4, 1)}, Options{Features: true}, []string{"the largest item id is 9"}},
		{"different rows", map[string]string{"train.txt": pairs, "text_feat.npy": of4(5, 1), "audio_feat.npy": of4(4, 1)}, Options{Features: true},
			[]string{"{}/audio_feat.npy has 4 rows and {}/text_feat.npy has 5"}},
		{"words", map[string]string{"train.txt": "1 0 1\n1 x7 1\n", "text_feat.npy": of4(4, 1)}, Options{Features: true},
			[]string{`{}/text_feat.npy: row r is of the item whose id is r, and the item id "x7" is no integer from 0`}},
		{"negative", map[string]string{"train.txt": "1 0 1\n1 -3 1\n", "text_feat.npy": of4(4, 1)}, Options{Features: true}, []string{`the item id "-3" is no integer from 0`}},
		{"two spellings", map[string]string{"train.txt": "1 3 1\n1 03 1\n", "text_feat.npy": of4(4, 1)}, Options{Features: true}, []string{`the item id "03" is no integer from 0`}},
		{"too large for any integer", map[string]string{"train.txt": "1 3 1\n1 99999999999999999999 1\n", "text_feat.npy": of4(4, 1)}, Options{Features: true}, []string{`"99999999999999999999"`}},
		{"users with gaps", map[string]string{"x.inter": "userID\titemID\tx_label\n0\t0\t0\n900\t0\t0\n", "text_feat.npy": of4(1, 1)}, Options{Features: true},
			[]string{"{} has 2 users, and the largest id of one is 900", "899 of them would have no interaction"}},
		{"damaged", map[string]string{"train.txt": pairs, "text_feat.npy": of4(4, 1)[:100]}, Options{Features: true}, []string{"{}/text_feat.npy: its header is cut off"}},
		{"embedded", nil, Options{Features: true}, []string{"amazon-electronics has no features of the items"}},
	} {
		path := ""
		if c.files != nil {
			path = folder(t, c.files)
			c.o.Path = path
		}
		_, err := Load(t.Context(), c.o)
		for _, want := range c.wants {
			want = filepath.FromSlash(strings.ReplaceAll(want, "{}", path))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: error %v, want %q", c.name, err, want)
			}
		}
	}
}

// What has the name of a modality and cannot be read is not passed over.
func TestFeaturesThatAreNoFile(t *testing.T) {
	path := folder(t, map[string]string{"train.txt": "1 0 1\n1 1 1\n", "text_feat.npy": of4(2, 1)})
	if err := os.Mkdir(filepath.Join(path, "image_feat.npy"), 0o755); err != nil {
		t.Fatal(err)
	}
	_, err := Load(t.Context(), Options{Path: path, Features: true})
	if want := filepath.Join(path, "image_feat.npy") + " is no regular file"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %q", err, want)
	}
	if d := load(t, Options{Path: path, Features: true, Modalities: []string{"text"}}); d.featured() != "0:0 1:1" {
		t.Error(d.featured())
	}
}

// TestFeaturesWithoutMemory asks for a matrix that no machine holds, of a file that has holes.
func TestFeaturesWithoutMemory(t *testing.T) {
	if memory.Available() == 0 {
		t.Skip("the system does not say what memory is available")
	}
	const columns = 1 << 37
	path := folder(t, map[string]string{"train.txt": "1 0 1\n1 1 1\n", "text_feat.npy": npyFile(1, npyDict("<f2", false, 2, columns), nil)})
	file := filepath.Join(path, "text_feat.npy")
	info, err := os.Stat(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(file, info.Size()+2*2*columns); err != nil {
		t.Skipf("the file system has no files with holes: %v", err)
	}
	_, err = Load(t.Context(), Options{Path: path, Features: true})
	if err == nil || !strings.Contains(err.Error(), "the features of 2 items (columns: text 137438953472) take 1.02e+03 GiB, and the system has ") || !strings.Contains(err.Error(), "-modalities") {
		t.Error(err)
	}
}

// Features are data: another number, name or width is another checksum, and where they are not read, they are not in it.
func TestFeaturesChecksum(t *testing.T) {
	sums := map[uint32]string{}
	for name, files := range map[string]map[string]string{
		"text":           {"text_feat.npy": of4(2, 2)},
		"image":          {"image_feat.npy": of4(2, 2)},
		"another number": {"text_feat.npy": matrix("<f4", false, 2, 2, func(r, c int) float64 { return 1 })},
		"wider":          {"text_feat.npy": of4(2, 4)},
		"both":           {"text_feat.npy": of4(2, 2), "image_feat.npy": of4(2, 2)},
	} {
		files["train.txt"] = "1 0 1\n1 1 1\n"
		path := folder(t, files)
		d, plain := load(t, Options{Path: path, Features: true}), load(t, Options{Path: path})
		for of, sum := range map[string]uint32{name: d.Checksum(), "without features": plain.Checksum()} {
			if other, ok := sums[sum]; ok && other != of {
				t.Errorf("%s and %s have one checksum", of, other)
			}
			sums[sum] = of
		}
	}
	if len(sums) != 6 {
		t.Errorf("%d checksums of 6 data sets", len(sums))
	}
}

// TestPublishedFeatures holds the real sets against numpy: zlib.crc32 of the rows as '<f4', and two of their numbers.
func TestPublishedFeatures(t *testing.T) {
	type modality struct {
		name       string
		dim        int
		sum        uint32
		some, last float32 // [1234, 7] and [-1, -1]
	}
	for _, c := range []struct {
		name               string
		users, items       int
		train, valid, test int
		modalities         []modality
	}{
		{"tiktok", 9308, 6710, 59541, 3051, 6130, []modality{
			{"audio", 128, 0x1ec6df6c, 0.343505859375, -0.305908203125},
			{"image", 128, 0x07a672cf, 4.09375, 2.87890625}}},
		{"lfm2k", 1858, 1425, 44327, 4799, 7219, []modality{
			{"audio_vggish", 128, 0xb70abbea, 153.81985473632812, 75.79077911376953},
			{"audio_whisper", 512, 0x5a33040b, 0.41464391350746155, 0.19478164613246918},
			{"text", 384, 0xe5e3dc74, -0.022994333878159523, -0.0691281333565712}}},
	} {
		d := load(t, Options{Path: publishedIn(t, "multimodal", c.name), Features: true})
		t.Logf("\n%s", d)
		got := []int{d.Users(), d.Items(), d.Train.Len(), d.Valid.Len(), d.Test.Len(), len(d.ItemFeatures)}
		if want := []int{c.users, c.items, c.train, c.valid, c.test, len(c.modalities)}; !slices.Equal(got, want) {
			t.Errorf("%s: users, items, train, validation, test, modalities %d, want %d", c.name, got, want)
		}
		for k, f := range d.ItemFeatures {
			sum := crc32.NewIEEE()
			hashAll(sum, f.Value)
			if got := (modality{f.Name, f.Dim, sum.Sum32(), f.Value[1234*f.Dim+7], f.Value[len(f.Value)-1]}); got != c.modalities[k] {
				t.Errorf("%s: %+v, want %+v", c.name, got, c.modalities[k])
			}
		}
	}
}
