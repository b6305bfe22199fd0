package dataset

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

// fuzz gives a format's reader any content. It must not panic, nor hang, nor say more than a line; and what it accepts must be consistent.
// A goroutine reads ahead, so the coverage of one input varies: without a bound, minimising takes all the time.
//
//	go test ./trainer/dataset -run '^$' -fuzz '^FuzzCSV$' -fuzztime 5m -fuzzminimizetime 10x
func fuzz(f *testing.F, format Format, columns ...string) {
	var all []Columns
	for _, s := range append(columns, "") {
		c, err := ParseColumns(s)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, c)
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		path := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		for _, c := range all {
			d, err := Load(t.Context(), Options{Path: path, Format: format, Columns: c, ValidRatio: .5})
			if err != nil {
				if strings.Contains(err.Error(), "\n") || len(err.Error()) > 2000 || !strings.Contains(err.Error(), path) {
					t.Errorf("%q: error %q", content, err)
				}
				continue
			}
			if format != Auto && d.Format != format {
				t.Errorf("%q: read as %s", content, d.Format)
			}
			c := d.Counts
			if n := d.Files[0].Pairs - c.TrainDuplicates - c.ValidDuplicates - c.TestDuplicates; n != d.Len() || n == 0 {
				t.Errorf("%q: %d different interactions read, %d kept", content, n, d.Len())
			}
			for _, x := range []*Interactions{d.Train, d.Valid, d.Test} {
				if x.Users() != d.Users() || x.Items != d.Items() || x.Time != nil && len(x.Time) != x.Len() {
					t.Errorf("%q: %d users, %d items, %d times of %d", content, x.Users(), x.Items, len(x.Time), x.Len())
				}
			}
			for _, id := range append(d.UserID, d.ItemID...) {
				if id == "" || strings.ContainsAny(id, "\n\r\x00") {
					t.Errorf("%q: the id %q", content, id)
				}
			}
		}
	})
}

// samples seeds a fuzz target with the beginnings of files of testdata/formats.
func samples(f *testing.F, names ...string) {
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join("..", "..", "testdata", "formats", filepath.FromSlash(name)))
		if err != nil {
			f.Fatal(err)
		}
		if end := bytes.LastIndexByte(b[:min(400, len(b))], '\n'); end >= 0 && !strings.Contains(name, "parquet") && !strings.Contains(name, ".gz") {
			b = b[:end+1]
		}
		f.Add(b)
	}
}

func seed(f *testing.F, texts ...string) {
	for _, s := range texts {
		f.Add([]byte(s))
	}
}

func FuzzLightGCN(f *testing.F) {
	samples(f, "lightgcn.txt")
	seed(f, "1 2 3 4\n2 3\n", "a", "é é é é\n \r\n", "-1 -\n-1 --1\n")
	fuzz(f, LightGCN)
}

func FuzzPairs(f *testing.F) {
	samples(f, "pairs.txt", "pairs-weight-time.txt")
	seed(f, "1\t2\t1\r\n1\t3\t-1\r\n", "\xef\xbb\xbf1 2", "1 2 3 4\n2 3 4 2014-07-09\n", "9223372036854775807 -9223372036854775808\n")
	fuzz(f, Pairs, "user=2,item=1", "user=1,item=2,rating=3,time=4")
}

func FuzzRecBole(f *testing.F) {
	samples(f, "recbole/sample.inter")
	seed(f, "user_id:token\titem_id:token\n1\t2\n", "user_id:token item_id:token\n1 2\n", "a:token,b:float\n1,2\n")
	fuzz(f, RecBole, "user=a,item=b")
}

func FuzzMovieLens(f *testing.F) {
	samples(f, "movielens/ratings.dat")
	seed(f, "1::2\n", "1::2::3\n", "1::2:::3::4\n")
	fuzz(f, MovieLens, "user=2,item=1,rating=3")
}

func FuzzCSV(f *testing.F) {
	samples(f, "csv/ratings.csv", "csv/movies.csv", "ratings.csv.gz")
	seed(f, "user;item\n1;\"2\n\"\"3\"\n", "user\titem\tdate\n1\t2\t2014-07-09 10:00:00.5+01\n", "user,item\n1,\"2", "\"user\",\"item\"\n1,2\n")
	fuzz(f, CSV, "user=1,item=2", "user=a,item=b,time=c")
}

func FuzzMMRec(f *testing.F) {
	samples(f, "mmrec/sample.inter")
	seed(f, "userID\titemID\tx_label\n1\t2\t0\n1\t3\t1\n2\t2\t2\n")
	fuzz(f, MMRec)
}

func FuzzParquet(f *testing.F) {
	type row struct {
		User string  `parquet:"user_id,dict"`
		Item int32   `parquet:"item_id"`
		Time int64   `parquet:"timestamp,timestamp(microsecond)"`
		Rate float64 `parquet:"rating,optional"`
	}
	for _, o := range [][]parquet.WriterOption{nil, {parquet.DataPageVersion(1)}, {parquet.Compression(&parquet.Zstd)}, {parquet.Compression(&parquet.Gzip)}} {
		var b bytes.Buffer
		if err := parquet.Write(&b, []row{{"a", 1, 1, 1}, {"b", -2, 2, 2}, {"a", 3, 3, 3}}, o...); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	seed(f, "PAR1", "PAR1\xff\xff\xff\x7fPAR1")
	fuzz(f, Parquet)
}

// FuzzRecognise lets the content decide.
func FuzzRecognise(f *testing.F) {
	samples(f, "lightgcn.txt", "pairs-weight-time.txt", "recbole/sample.inter", "movielens/ratings.dat", "csv/ratings.csv", "mmrec/sample.inter", "ratings.csv.gz")
	seed(f, "u i r\nu 1 2\n", "1,2\n", "\xff\xfe1\x00", "\x1f\x8b\x08", "PAR1")
	fuzz(f, Auto, "user=1,item=2", "user=a,item=b")
}

// FuzzFeatures lets any content be the features of two items.
func FuzzFeatures(f *testing.F) {
	seed(f, of4(2, 3), matrix(">f8", true, 2, 1, multiples), matrix("<f2", false, 4, 2, multiples), npyFile(2, npyDict("<f4", false, 2, 1), make([]byte, 8)),
		npyFile(3, "{'shape': (2L, 1L), 'descr': \"<f2\", 'fortran_order': True}", make([]byte, 4)), npyFile(1, npyDict("|O", false, 2, 1), nil),
		npyFile(1, npyDict("<f8", false, 1<<62, 1<<62), nil), npyMagic)
	f.Fuzz(func(t *testing.T, content []byte) {
		path := folder(t, map[string]string{"train.txt": "0 0 1\n0 1 1\n", "x_feat.npy": string(content)})
		d, err := Load(t.Context(), Options{Path: path, Features: true})
		if err != nil {
			if strings.Contains(err.Error(), "\n") || len(err.Error()) > 2000 || !strings.Contains(err.Error(), "x_feat.npy") {
				t.Errorf("%q: error %q", content, err)
			}
			return
		}
		x := d.ItemFeatures[0]
		if x.Dim < 1 || len(x.Value) != 2*x.Dim || len(content) < 2*x.Dim*2 {
			t.Errorf("%q: %d columns, %d numbers", content, x.Dim, len(x.Value))
		}
		for _, v := range x.Value {
			if v-v != 0 {
				t.Errorf("%q: %g", content, v)
			}
		}
	})
}
