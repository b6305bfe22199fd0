package dataset

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/parquet-go/parquet-go"
)

func TestBadTables(t *testing.T) {
	pq := func(rows any) string {
		var b bytes.Buffer
		var err error
		switch rows := rows.(type) {
		case []nullRow:
			err = parquet.Write(&b, rows)
		case []nestedRow:
			err = parquet.Write(&b, rows)
		case []floatRow:
			err = parquet.Write(&b, rows)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	one := "1"
	damage := func(file string) string { // the beginning of the metadata
		metadata := len(file) - parquetFooter - int(binary.LittleEndian.Uint32([]byte(file[len(file)-parquetFooter:])))
		return file[:metadata] + strings.Repeat("\xff", 20) + file[metadata+20:]
	}
	good := pq([]nullRow{{&one, 1}, {&one, 2}})
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	fmt.Fprint(z, strings.Repeat("1 2\n1 3\n", 1000))
	z.Close()
	cut := packed.String()[:packed.Len()-9]

	for _, c := range []struct {
		name, text string
		columns    string
		min        float64
		force      Format
		want       string
	}{
		{"NaN rating", "user,item,rating\n1,2,3\n1,3,NaN\n", "", 0, "", `x:3: the rating "NaN" is not a number; -columns rating=none reads the file without it`},
		{"infinite rating", "1::2::inf::5\n", "", 0, "", `x:1: the rating "inf" is not a number`},
		{"rating beyond any number", "1::2::1e999::5\n", "", 0, "", `x:1: the rating "1e999" is not a number`},
		{"missing rating", "user,item,rating\n1,2,\n", "", 0, "", "x:2: the rating is missing; -columns rating=none"},
		{"time that is a word", "user,item,time\n1,2,noon\n", "", 0, "", `x:2: the time "noon" is neither a number nor a date such as 2014-07-09 or 2014-07-09T10:00:00Z; -columns time=none`},
		{"missing time", "user,item,time\n1,2,\n", "", 0, "", "x:2: the time is missing; -columns time=none reads the file without it"},
		{"names in movielens", "1::2::3::4\n", "user=a", 0, "", "x:1: columns separated by \"::\" have no header"},
		{"no rating to hold", "user,item,rating\n1,2,3\n", "rating=none", 4, "", "x has no ratings to hold against -min-rating 4"},
		{"February 30", "user,item,time\n1,2,2014-02-30\n", "", 0, "", `x:2: the time "2014-02-30" is neither`},
		{"a number after dates", "user,item,time\n1,2,2014-02-20\n1,3,5\n", "", 0, "", `x:3: the time "5" is not a date`},
		{"a date after numbers", "user,item,time\n1,2,5\n1,3,2014-02-20\n", "", 0, "", `x:3: the time "2014-02-20" is not a number`},
		{"no time among pairs", "1 2 3 4\n1 3 4\n", "", 0, "", `x:2: 3 columns, but line 1 has 4`},
		{"UTF-16", "\xff\xfeu\x00s\x00", "", 0, CSV, "x:1: not text in UTF-8 but in UTF-16"},
		{"random bytes", "\x9c\xff\x00\x80\x01", "", 0, CSV, "x:1: not text"},
		{"no user in the header", "who,item\n1,2\n", "", 0, CSV, `x:1: no column is the user: there are "who", "item"; name it with -columns user=NAME`},
		{"no item in a typed header", "user_id:token\tthing:token\n1\t2\n", "", 0, "", `x:1: no column is the item: there are "user_id", "thing"`},
		{"a column that is not there", "user,item,stars\n1,2,3\n", "rating=star", 0, "", `x:1: no column "star" for the rating (did you mean stars?): there are "user", "item", "stars"`},
		{"a number that is not there", "1,2\n", "user=1,item=3", 0, "", "x:1: 2 columns, so there is no column 3"},
		{"numbers beside a header", "user,item,x\n1,2,3\n", "user=1,item=2", 0, "", "x:1: a header, and -columns number columns"},
		{"blanks between tabs after a block", strings.Repeat("1\t2\t3\n", blockSize/6) + "1\t2\ta b\n", "user=1,item=2", 0, "", "with -format csv tabs alone separate"},
		{"numbers beside a header of spaces", "user_id item_id\n1 2\n", "user=1,item=2", 0, "", "x:1: a header, and -columns number columns"},
		{"pairs below a header", "user_id item_id\n1 2\n", "", 0, Pairs, `x:1: a header ("user_id", "item_id"), and the format pairs has none: leave -format out`},
		{"lightgcn below a header", "user_id\titem_id\n1\t2\n", "", 0, LightGCN, "x:1: a header (\"user_id\", \"item_id\"), and the format lightgcn"},
		{"names without a header", "1 2\n1 3\n", "user=a,item=b", 0, "", "x:1: -columns name columns, and there is no header"},
		{"columns of lightgcn", "1 2\n", "user=1", 0, LightGCN, "-columns mean nothing"},
		{"names of pairs", "1 2\n", "user=a", 0, Pairs, "pairs have no header: give -columns by number"},
		{"a column twice", "user,item,user\n1,2,3\n", "", 0, "", `x:1: column "user" is there twice, as number 1 and number 3`},
		{"two roles", "user,item\n1,2\n", "item=user", 0, "", "x:1: column number 1 has two roles"},
		{"two roles by number among pairs", "1 2 3 4\n1 3 3 4\n", "user=2", 0, "", "x:1: column number 2 has two roles; without a header the user is column 1 and the item column 2"},
		{"two roles by number in movielens", "1::2::3::4\n", "user=1,item=1", 0, "", "x:1: column number 1 has two roles"},
		{"two roles by number in csv", "1,2,3,4\n", "time=1", 0, "", "x:1: column number 1 has two roles"},
		{"too few columns", "user,item,note\n1,2,x\n1,2\n", "", 0, "", "x:3: 2 columns, but line 1 has 3, separated by commas"},
		{"a separator that is not quoted", "user,item,note\n1,2,a,b\n", "", 0, "", "x:2: 4 columns, but line 1 has 3"},
		{"another separator", "user,item\n1,2\n1;3\n", "", 0, "", "x:3: 1 column, but line 1 has 2, separated by commas"},
		{"spaces for tabs", "user_id:token\titem_id:token\n1\t2\n1  3\n", "", 0, "", "x:3: 1 column, but line 1 has 2, separated by tabs"},
		{"fewer columns in movielens", "1::2::3::4\n1::2::3\n", "", 0, "", `x:2: 3 columns, but line 1 has 4, separated by "::"`},
		{"open quote", "user,item\n1,2\n\"3,4\n5,6\n7,8\n", "", 0, "", "x:3: the quotes of this row do not match"},
		{"quote after a field", "user,item\n1,2\n\"3\"x,4\n", "", 0, "", "x:3: the quotes of this row do not match"},
		{"quote inside a field", "user,item\n1,2\n3\",4\n\"5\",6\n", "", 0, "", "x:3: a quote inside a field"},
		{"quoted line break between tabs", "user\titem\n1\t\"2\n3\"\n", "", 0, "", "x:3: 1 column, but line 1 has 2, separated by tabs"},
		{"line break in an id", "user,item\n\"1\n2\",3\n", "", 0, "", `x:2: a line break in the id "1\n2"`},
		{"empty id", "user,item\n1,2\n,3\n", "", 0, "", "x:3: the user or the item is missing"},
		{"header alone", "user,item\n", "", 0, "", "x has no interactions"},
		{"all rated lower", "user,item,rating\n1,2,3\n", "", 4, "", "x has no interactions: all 1 are rated below 4"},
		{"no rating", "user,item\n1,2\n", "", 4, "", "x has no ratings to hold against -min-rating 4"},
		{"no rating in lightgcn", "1 2 3 4\n", "", 4, "", "x has no ratings to hold against -min-rating 4"},
		{"no weight", "1 2\n1 3\n", "", 4, "", "x:1: no weight to hold against -min-rating 4"},
		{"no rating in movielens", "1::2\n", "", 4, "", "x:1: no rating to hold against -min-rating 4"},
		{"unknown split", "userID\titemID\tx_label\n1\t2\t3\n", "", 0, "", `x:2: x_label "3" is none of 0, 1, 2`},
		{"nothing to train on", "userID\titemID\tx_label\n1\t2\t2\n", "", 0, "", "x has no training interaction"},
		{"mmrec without a split", "userID\titemID\n1\t2\n", "", 0, MMRec, "x:1: no column x_label"},
		{"no typed header", "user\titem\n1\t2\n", "", 0, RecBole, "x:1: no header of RecBole"},
		{"no separator", "who item\n1 2\n", "", 0, CSV, "x:1: no comma, semicolon or tab"},
		{"commas without a header", "a1,b2\nc3,d4\n", "", 0, Pairs, `x:1: "a1,b2" stands alone: a pair is "user item" or "user item weight"; columns separated by commas or semicolons need a header`},
		{"gzip that is cut off", cut, "", 0, "", "x is cut off: its gzip stream does not end"},
		{"gzip that is damaged", packed.String()[:20] + "\xff\xff\xff\xff" + packed.String()[24:], "", 0, "", "x"},
		{"gzip of nothing", "\x1f\x8b", "", 0, "", "x is cut off"},
		{"huge line", strings.Repeat("1 ", maxRecord/2+blockSize), "", 0, "", "x:1: a line longer than 16 MB"},
		{"huge row", "user,item\n1,2\n" + strings.Repeat("1,", maxRecord/2+blockSize), "", 0, "", "x:3: a line longer than 16 MB"},
		{"huge open quote", "user,item\n1,2\n\"" + strings.Repeat("1,2\n", maxRecord/4+blockSize), "", 0, "", "x:3: the quotes of this row do not match"},
		{"parquet with a null", pq([]nullRow{{&one, 1}, {nil, 2}}), "", 0, "", `x: row 2, column "user_id": a null`},
		{"parquet with nested ids", pq([]nestedRow{{"1", []int64{1, 2}}}), "", 0, "", `x: no column is the item: there are "user_id"`},
		{"parquet with ids that are not whole", pq([]floatRow{{1.5, 2}}), "", 0, "", `x: column "user_id", the user, is of type DOUBLE: an id is a string or an integer`},
		{"parquet that is cut off", good[:len(good)-20], "", 0, "", "x is no Parquet file, or it is cut off"},
		{"parquet of its first bytes", "PAR1", "", 0, "", "x is no Parquet file, or it is cut off"},
		{"parquet with damaged metadata", damage(good), "", 0, "", "x is a damaged Parquet file"},
		{"parquet, another format forced", good, "", 0, CSV, "x is a Parquet file: leave -format csv out"},
		{"text, parquet forced", "1 2\n", "", 0, Parquet, "x is no Parquet file"},
		{"parquet in gzip", packed.String(), "", 0, Parquet, "x is a gzip stream: unpack it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			columns, err := ParseColumns(c.columns)
			if err != nil {
				t.Fatal(err)
			}
			dir := folder(t, map[string]string{"x": c.text})
			_, err = Load(t.Context(), Options{Path: filepath.Join(dir, "x"), Columns: columns, MinRating: c.min, Format: c.force})
			want := filepath.Join(dir, "x") + strings.TrimPrefix(c.want, "x")
			if strings.HasPrefix(c.want, "-") || strings.HasPrefix(c.want, "with") || strings.HasPrefix(c.want, "pairs") {
				want = c.want
			}
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") || len(err.Error()) > 700 {
				t.Errorf("error %v\nwant  %s", err, want)
			}
		})
	}
}

type nullRow struct {
	User *string `parquet:"user_id,optional"`
	Item int64   `parquet:"item_id"`
}

type nestedRow struct {
	User string  `parquet:"user_id"`
	Item []int64 `parquet:"item_id"`
}

type floatRow struct {
	User float64 `parquet:"user_id"`
	Item int64   `parquet:"item_id"`
}
