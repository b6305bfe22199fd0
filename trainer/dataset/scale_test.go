package dataset

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parquet-go/parquet-go"
)

// largeRow is an interaction of a large file.
type largeRow struct {
	User int64 `parquet:"user_id"`
	Item int64 `parquet:"item_id"`
	Time int64 `parquet:"timestamp"`
}

// largeRows draws interactions of a million users with 200,000 items, in the order of their times: users uniform, items by a power law.
func largeRows(lines int, write func(largeRow) error) error {
	random := rand.New(rand.NewPCG(1, 2))
	popularity := rand.NewZipf(random, 1.1, 10, 200_000-1)
	for k := range lines {
		row := largeRow{random.Int64N(1_000_000), int64(popularity.Uint64()), 1_400_000_000 + int64(k)*5}
		if err := write(row); err != nil {
			return err
		}
	}
	return nil
}

// writeLarge writes a large file unless it is there.
func writeLarge(path string, lines int) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	f, err := os.Create(path + ".part")
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriterSize(f, 1<<20)
	var text io.Writer = w
	finish := func() error { return nil }
	if strings.HasSuffix(path, ".gz") {
		z := gzip.NewWriter(w)
		text, finish = z, z.Close
	}
	var row func(largeRow) error
	line := make([]byte, 0, 64)
	columns := func(separator byte, columns ...int64) error {
		line = line[:0]
		for k, c := range columns {
			if k > 0 {
				line = append(line, separator)
			}
			line = strconv.AppendInt(line, c, 10)
		}
		_, err := text.Write(append(line, '\n'))
		return err
	}
	switch name := filepath.Base(path); {
	case strings.HasSuffix(name, ".parquet"):
		p := parquet.NewGenericWriter[largeRow](w, parquet.MaxRowsPerRowGroup(1<<20))
		row = func(r largeRow) error { _, err := p.Write([]largeRow{r}); return err }
		finish = p.Close
	case strings.HasPrefix(name, "pairs"):
		row = func(r largeRow) error { return columns(' ', r.User, r.Item) }
	default:
		if _, err := io.WriteString(text, "user_id,item_id,timestamp\n"); err != nil {
			return err
		}
		row = func(r largeRow) error { return columns(',', r.User, r.Item, r.Time) }
	}
	if err := largeRows(lines, row); err != nil {
		return err
	}
	if err := finish(); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// TestLarge writes and reads files as large as $NEARFAR_LARGE says (lines, for example 50000000), in $NEARFAR_LARGE_DIR or a temporary folder.
// docs/formats.md has its times. For the memory of one format, run it alone:
//
//	NEARFAR_LARGE=50000000 NEARFAR_LARGE_DIR=/tmp/large go test ./trainer/dataset -run 'TestLarge/^large.csv$' -v -timeout 30m
func TestLarge(t *testing.T) {
	lines, err := strconv.Atoi(os.Getenv("NEARFAR_LARGE"))
	if err != nil {
		t.Skip("set NEARFAR_LARGE to a number of lines")
	}
	dir := os.Getenv("NEARFAR_LARGE_DIR")
	if dir == "" {
		dir = t.TempDir()
	}
	for _, name := range []string{"pairs.txt", "large.csv", "large.csv.gz", "large.parquet"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, fmt.Sprint(lines), name)
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := writeLarge(path, lines); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			d, err := Load(t.Context(), Options{Path: path})
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%.1f s, peak memory %s\n%s", time.Since(began).Seconds(), peakMemory(), d)
			if d.Files[0].Pairs != lines || d.Len()+d.Counts.TrainDuplicates != lines {
				t.Errorf("%d interactions of %d lines, %d of them repeated", d.Files[0].Pairs, lines, d.Counts.TrainDuplicates)
			}
		})
	}
}

// peakMemory is the largest resident size of the process so far, where the system tells it.
func peakMemory() string {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return "not known"
	}
	for line := range strings.Lines(string(status)) {
		if kilobytes, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			return strings.TrimSpace(kilobytes)
		}
	}
	return "not known"
}
