package dataset

import (
	"fmt"
	"strings"
	"testing"
)

// TestDescribedByItsOwnName: the ids beside the interactions are found by the name that they have there.
func TestDescribedByItsOwnName(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"csv":     {"train.csv": "who,what\n1,2\n1,3\n", "items.csv": "item_id,what,title\n9,2,two\n9,3,three\n"},
		"spaces":  {"train.csv": "who what\n1 2\n1 3\n", "items.csv": "what title\n2 two\n3 three\n"},
		"recbole": {"x.inter": "who:token\twhat:token\n1\t2\n1\t3\n", "x.item": "item_id:token\twhat:token\ttitle:token_seq\n9\t2\ttwo\n9\t3\tthree\n"},
	} {
		d := whole(t, Options{Path: folder(t, files), Columns: Columns{User: "who", Item: "what"}})
		if got := fmt.Sprint(d.ItemTitle); got != "[two three]" {
			t.Errorf("%s: titles %s", name, got)
		}
	}
}

// Where the interactions have no names, neither has the index that pandas writes: it is no id.
func TestDescribedByUsualName(t *testing.T) {
	files := map[string]string{"ratings.csv": "1,2\n1,3\n", "items.csv": ",item,title\n3,2,two\n2,3,three\n"}
	d := whole(t, Options{Path: folder(t, files), Columns: Columns{User: "1", Item: "2"}})
	if got := fmt.Sprint(d.ItemTitle); got != "[two three]" {
		t.Errorf("titles %s", got)
	}
}

// TestNotDescribed: a file that is not about the items or users stops nothing, and is noted; one that is, and is damaged, is an error.
func TestNotDescribed(t *testing.T) {
	inter := "user_id:token\titem_id:token\n1\t2\n1\t3\n"
	for _, c := range []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"no column of ids", map[string]string{"ratings.csv": "user,item\n1,2\n", "items.csv": "a,b\n1,2\n"}, `items.csv:1: no column is the item: there are "a", "b"`},
		{"not a table", map[string]string{"ratings.csv": "user,item\n1,2\n", "items.csv": "\x00\x01"}, "items.csv:1: not text"},
		{"empty", map[string]string{"ratings.csv": "user,item\n1,2\n", "items.csv": ""}, "items.csv is empty"},
		{"no typed header", map[string]string{"x.inter": inter, "x.item": "a,b\n"}, "x.item:1: no header of RecBole"},
		{"users without an id", map[string]string{"x.inter": inter, "x.user": "age:token\tcity:token\n"}, "x.user:1: no column is the id"},
	} {
		d := whole(t, Options{Path: folder(t, c.files)})
		if report := d.String(); !strings.Contains(report, "are not read: ") || !strings.Contains(report, c.want) || d.ItemTitle != nil || d.UserFields != nil {
			t.Errorf("%s: the report lacks %q:\n%s", c.name, c.want, report)
		}
	}
	_, err := Load(t.Context(), Options{Path: folder(t, map[string]string{"ratings.csv": "user,item\n1,2\n", "items.csv": "item,title\n2,two,three\n"})})
	if err == nil || !strings.Contains(err.Error(), "items.csv:2: 3 columns") {
		t.Errorf("a damaged file of titles: error %v", err)
	}
}

// TestDescribed: rows of titles and attributes follow the ids through the renumbering of -unseen drop, and rows of unknown items are passed over.
func TestDescribed(t *testing.T) {
	dir := folder(t, map[string]string{
		"x.train.inter": "user_id:token\titem_id:token\nb\t30\na\t10\n",
		"x.test.inter":  "user_id:token\titem_id:token\na\t20\na\t30\n",
		"x.item":        "item_id:token\tweight:float\tname:token_seq\ttags:token_seq\n20\t1\tTwenty\tred\n10\t2\tTen\tblue red blue\n99\t1\tNo\tgreen\n",
		"x.user":        "user_id:token\tage:token\tcity:token\na\t7\t\nb\t7\tParis\n",
	})
	d := load(t, Options{Path: dir, Unseen: Drop})
	if got := fmt.Sprint(d.ItemID, d.ItemTitle); got != "[10 30] [Ten ]" {
		t.Errorf("titles %s", got)
	}
	if got := fmt.Sprint(*d.ItemFields); got != "{[tags] [0 2 2] [0 1] [0 0] [blue red]}" {
		t.Errorf("item attributes %s", got)
	}
	if got := fmt.Sprint(d.UserID, *d.UserFields); got != "[a b] {[age city] [0 1 3] [0 0 1] [0 1] [7 Paris]}" {
		t.Errorf("user attributes %s", got)
	}
}
