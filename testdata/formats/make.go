//go:build ignore

// make writes the purchases of the first 60 users of amazon-electronics in every format that nearfar reads. Users, items and who bought what are
// the data's own; ratings, times, titles, groups, ages and splits are not in it and follow the rules below.
//
//	cd testdata/formats && go run make.go
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/csv"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"nearfar/kernels"
)

const users = 60

// purchase is a line of the sample.
type purchase struct {
	user, item, rating, time int
	split                    int // 0 train, 1 validation, 2 test
}

// rows gives purchase k of n of a user its synthetic columns: a rating of 1 to 5, a time that rises by a day a user and a minute a
// purchase, and a split that holds out the last two.
func rows(user int, items []int) (rows []purchase) {
	for k, item := range items {
		split := max(0, 2-(len(items)-1-k))
		rows = append(rows, purchase{user, item, 1 + (7*user+3*item)%5, 1388534400 + 86400*user + 60*k, split})
	}
	return rows
}

// title is synthetic; one in 50 has a letter outside ASCII, and one in 20 a comma and quotes.
func title(item int) string {
	switch {
	case item%50 == 0:
		return fmt.Sprintf("Câble %d", item)
	case item%20 == 1:
		return fmt.Sprintf(`Monitor, 19", no. %d`, item)
	}
	return fmt.Sprintf("Product %d", item)
}

// groups are one or two synthetic categories.
func groups(item int) []string {
	g := []string{fmt.Sprintf("group%d", item%7)}
	if item%3 == 0 {
		g = append(g, "gift")
	}
	return g
}

func age(user int) int { return 20 + user%40 }

func main() {
	log.SetFlags(0)
	text, err := os.ReadFile("../amazon-electronics/train.txt")
	check(err)
	var all []purchase
	var lines bytes.Buffer
	var items []int
	for n, line := range strings.Split(string(text), "\n")[:users] {
		var numbers []int
		for f := range strings.FieldsSeq(line) {
			x, err := strconv.Atoi(f)
			check(err)
			numbers = append(numbers, x)
		}
		if numbers[0] != n {
			log.Fatalf("line %d is of user %d", n+1, numbers[0])
		}
		fmt.Fprintln(&lines, strings.Trim(fmt.Sprint(numbers), "[]"))
		all = append(all, rows(n, numbers[1:])...)
		items = append(items, numbers[1:]...)
	}
	slices.Sort(items)
	items = slices.Compact(items)

	write("lightgcn.txt", lines.Bytes())
	write("pairs.txt", each(all, func(p purchase) string { return fmt.Sprint(p.user, p.item) }))
	write("pairs-weight-time.txt", each(all, func(p purchase) string { return fmt.Sprint(p.user, p.item, p.rating, p.time) }))
	write("recbole/sample.inter", each(all, func(p purchase) string {
		return fmt.Sprintf("%d\t%d\t%d\t%d", p.user, p.item, p.rating, p.time)
	}, "user_id:token\titem_id:token\trating:float\ttimestamp:float"))
	write("recbole/sample.item", each(items, func(i int) string {
		return fmt.Sprintf("%d\t%s\t%s", i, title(i), strings.Join(groups(i), " "))
	}, "item_id:token\ttitle:token_seq\tgenres:token_seq"))
	write("recbole/sample.user", each(until(users), func(u int) string { return fmt.Sprintf("%d\t%d", u, age(u)) }, "user_id:token\tage:token"))
	write("movielens/ratings.dat", each(all, func(p purchase) string { return fmt.Sprintf("%d::%d::%d::%d", p.user, p.item, p.rating, p.time) }))
	write("movielens/movies.dat", latin1(each(items, func(i int) string {
		return fmt.Sprintf("%d::%s::%s", i, title(i), strings.Join(groups(i), "|"))
	})))
	ratings := table("userId,movieId,rating,timestamp", all, func(p purchase) []string {
		return []string{strconv.Itoa(p.user), strconv.Itoa(p.item), strconv.Itoa(p.rating), strconv.Itoa(p.time)}
	})
	write("csv/ratings.csv", ratings)
	write("csv/movies.csv", table("movieId,title,genres", items, func(i int) []string {
		return []string{strconv.Itoa(i), title(i), strings.Join(groups(i), "|")}
	}))
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, err = z.Write(ratings)
	check(err)
	check(z.Close())
	write("ratings.csv.gz", packed.Bytes())
	write("mmrec/sample.inter", each(all, func(p purchase) string {
		return fmt.Sprintf("%d\t%d\t%d\t%d", p.user, p.item, p.rating, p.split)
	}, "userID\titemID\trating\tx_label"))
	writeFeatures(items[len(items)-1] + 1)
	writeParquet("ratings.parquet", all)
}

// writeFeatures has a row for every item up to the largest, also where no user of the sample has it: an image in float32, row after row, and a text in
// float16, column after column, both synthetic and exact.
func writeFeatures(items int) {
	const images, texts = 3, 2
	var image []float32
	for i := range items {
		for c := range images {
			image = append(image, float32((c+2)*i%17)/16-.5)
		}
	}
	var text []uint16
	for c := range texts {
		for i := range items {
			text = append(text, kernels.ToHalf(float32((c+3)*i%13)/8-.5))
		}
	}
	write("mmrec/image_feat.npy", npy(fmt.Sprintf("{'descr': '<f4', 'fortran_order': False, 'shape': (%d, %d), }", items, images), image))
	write("mmrec/text_feat.npy", npy(fmt.Sprintf("{'descr': '<f2', 'fortran_order': True, 'shape': (%d, %d), }", items, texts), text))
}

// npy is an array as numpy.save writes it.
func npy(header string, numbers any) []byte {
	const magic = "\x93NUMPY\x01\x00"
	header += strings.Repeat(" ", 63-(len(magic)+2+len(header))%64) + "\n"
	b := binary.LittleEndian.AppendUint16([]byte(magic), uint16(len(header)))
	b, err := binary.Append(append(b, header...), binary.LittleEndian, numbers)
	check(err)
	return b
}

// writeParquet has its columns in another order, string ids of users and integer ids of items, and times in milliseconds.
func writeParquet(name string, all []purchase) {
	type row struct {
		Stars     float32 `parquet:"stars"`
		Timestamp int64   `parquet:"timestamp,timestamp(millisecond)"`
		ItemID    int32   `parquet:"item_id"`
		UserID    string  `parquet:"user_id,dict"`
	}
	var b bytes.Buffer
	w := parquet.NewGenericWriter[row](&b, parquet.MaxRowsPerRowGroup(500), parquet.Compression(&parquet.Snappy))
	for _, p := range all {
		_, err := w.Write([]row{{float32(p.rating), 1000 * int64(p.time), int32(p.item), strconv.Itoa(p.user)}})
		check(err)
	}
	check(w.Close())
	write(name, b.Bytes())
}

func each[T any](all []T, line func(T) string, header ...string) []byte {
	var b bytes.Buffer
	for _, h := range header {
		fmt.Fprintln(&b, h)
	}
	for _, x := range all {
		fmt.Fprintln(&b, line(x))
	}
	return b.Bytes()
}

func table[T any](header string, all []T, row func(T) []string) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	check(w.Write(strings.Split(header, ",")))
	for _, x := range all {
		check(w.Write(row(x)))
	}
	w.Flush()
	check(w.Error())
	return b.Bytes()
}

func until(n int) (all []int) {
	for k := range n {
		all = append(all, k)
	}
	return all
}

func latin1(text []byte) (b []byte) {
	for _, r := range string(text) {
		b = append(b, byte(r))
	}
	return b
}

func write(name string, b []byte) {
	check(os.MkdirAll(filepath.Dir(name), 0o755))
	check(os.WriteFile(name, b, 0o644))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
