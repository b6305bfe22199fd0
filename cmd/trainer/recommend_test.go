package main

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
)

// listed are the items of each user in the output for people.
func listed(text string) map[string][]string {
	users, user := map[string][]string{}, ""
	for _, line := range strings.Split(text, "\n") {
		fields := strings.Fields(line)
		switch {
		case len(fields) == 2 && fields[0] == "user":
			user = fields[1]
			users[user] = []string{}
		case len(fields) >= 3:
			users[user] = append(users[user], fields[1])
		}
	}
	return users
}

// Ids may have commas, and somebody whom nothing was learned of is told apart.
func TestRecommendOddUsers(t *testing.T) {
	data := filepath.Join(t.TempDir(), "x.csv")
	if err := os.WriteFile(data, []byte("user,item,split\n\"u0, x\",a,train\n\"u0, x\",b,train\nv,a,train\nv,c,train\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, "-model", "bprmf", "-data", data, "-split", "random", "-split-ratio", "1,0,0", "-select", "last", "-epochs", "1", "-out", path)
	for _, user := range []string{"u0, x", "v,"} {
		if got := mustRun(t, "recommend", path, "-user", user, "-include-seen"); len(listed(got.stdout)) != 1 || got.stderr != "" {
			t.Errorf("-user %q gives\n%s%s", user, got.stdout, got.stderr)
		}
	}
	fresh := filepath.Join(t.TempDir(), "fresh")
	mustRun(t, "-model", "bprmf", "-data", dataFolder(t, "0 0 1 2\n1 0 1 3\n", "2 1\n"), "-select", "last", "-epochs", "1", "-out", fresh)
	if got := mustRun(t, "recommend", fresh, "-user", "2"); !strings.Contains(got.stderr, "user 2 has no training interaction") {
		t.Errorf("a user without training interactions: %s", got.stderr)
	}
	if got := mustRun(t, "recommend", fresh, "-all"); !strings.Contains(got.stderr, "user 2 has no training interaction") {
		t.Errorf("all users: %s", got.stderr)
	}
}

// seen are the items of a user of small, train and validation alike.
func seen(u int) (items []string) {
	for k := range 12 {
		items = append(items, strconv.Itoa(2*((u+k)%20)+u%2))
	}
	return items
}

// What a user has is left out, the rest stands in the order of the scores, in every form.
func TestRecommend(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, append(quick(t, "lightgcn"), "-epochs", "10", "-lr", "0.05", "-out", path)...)
	got := listed(mustRun(t, "recommend", path, "-user", "3, 4", "-k", "28").stdout)
	if len(got) != 2 {
		t.Fatalf("two users are %v", got)
	}
	for _, u := range []int{3, 4} {
		items := got[strconv.Itoa(u)]
		if len(items) != 28 { // of 40, less 12
			t.Errorf("user %d is recommended %d items", u, len(items))
		}
		for _, i := range seen(u) {
			if slices.Contains(items, i) {
				t.Errorf("user %d is recommended %s, which they have", u, i)
			}
		}
		// Even users have even items: the model has learned that, and the next item of the ring is a user's own kind.
		if n, err := strconv.Atoi(items[0]); err != nil || n%2 != u%2 {
			t.Errorf("user %d is recommended %s first", u, items[0])
		}
	}
	if all := listed(mustRun(t, "recommend", path, "-user", "3", "-k", "99", "-include-seen").stdout)["3"]; len(all) != 40 {
		t.Errorf("-include-seen gives %d items of 40", len(all))
	}

	users := filepath.Join(t.TempDir(), "users.txt")
	if err := os.WriteFile(users, []byte("\ufeff3\r\n\n 4 \n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if fromFile := listed(mustRun(t, "recommend", path, "-users", users, "-k", "28").stdout); !slices.Equal(fromFile["3"], got["3"]) || !slices.Equal(fromFile["4"], got["4"]) {
		t.Errorf("-users gives %v, -user %v", fromFile, got)
	}

	tsv, jsonl := filepath.Join(t.TempDir(), "recs.tsv"), filepath.Join(t.TempDir(), "recs.jsonl")
	for _, out := range []string{tsv, jsonl} {
		if got := mustRun(t, "recommend", path, "-all", "-k", "28", "-out", out); got.stdout != "" {
			t.Errorf("-out prints %s", got.stdout)
		}
	}
	text, err := os.ReadFile(tsv)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	if len(rows) != 1+30*28 || rows[0] != "user\titem\trank\tscore\ttitle" || !strings.HasPrefix(rows[1+3*28], "3\t"+got["3"][0]+"\t1\t") {
		t.Errorf("%d rows, the first of user 3 is %q", len(rows), rows[1+3*28])
	}
	if onScreen := mustRun(t, "recommend", path, "-all", "-k", "28").stdout; onScreen != string(text) {
		t.Error("-all without -out is not the .tsv file")
	}
	file, err := os.Open(jsonl)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	n := 0
	for lines := bufio.NewScanner(file); lines.Scan(); n++ {
		var one struct {
			User  string
			Items []recommended
		}
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil || one.User != strconv.Itoa(n) || len(one.Items) != 28 {
			t.Fatalf("line %d is %s (%v)", n+1, lines.Text(), err)
		}
		if !slices.IsSortedFunc(one.Items, func(a, b recommended) int { return int(b.Score*1e6) - int(a.Score*1e6) }) {
			t.Errorf("user %s's are not in the order of their scores: %v", one.User, one.Items)
		}
	}
	if n != 30 {
		t.Errorf("%d users of 30", n)
	}
}

// Somebody who is not in the data is recommended to by their history.
func TestRecommendByHistory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, append(quick(t, "lightgcn"), "-epochs", "10", "-lr", "0.05", "-out", path)...)
	got := listed(mustRun(t, "recommend", path, "-history", "1,3,5,3", "-k", "5").stdout)["history"]
	if len(got) != 5 {
		t.Fatalf("%v", got)
	}
	for _, i := range got {
		if n, err := strconv.Atoi(i); err != nil || n%2 != 1 || n <= 5 {
			t.Errorf("a history of odd items is recommended %v", got)
		}
	}
	if all := listed(mustRun(t, "recommend", path, "-history", "1,3,5", "-k", "99", "-include-seen").stdout)["history"]; len(all) != 40 {
		t.Errorf("-include-seen gives %d items of 40", len(all))
	}
}

// Titles come from the data by id, wherever an item stands in it.
func TestTitles(t *testing.T) {
	none, _, err := dataset.FromPairs(0, 3, nil)
	if err != nil {
		t.Fatal(err)
	}
	data := &dataset.Dataset{ItemID: []string{"c", "x", "a"}, ItemTitle: []string{"Sea", "unknown", "Ay"}, Train: none, Valid: none}
	k := newKnownItems(data, nil, []string{"a", "b", "c"})
	for item, want := range []string{"Ay", "", "Sea"} {
		if got := k.title(int32(item)); got != want {
			t.Errorf("item %d has the title %q, want %q", item, got, want)
		}
	}
	var b strings.Builder
	list := newLister(&b, ".tsv", []string{"a\tb"}, func(int32) string { return "Two\nlines" })
	if err := list.user("u", []int32{0}, []float32{.5}); err != nil {
		t.Fatal(err)
	}
	if err := list.end(); err != nil || !strings.HasSuffix(b.String(), "\nu\ta b\t1\t0.5\tTwo lines\n") {
		t.Errorf("%q (%v)", &b, err)
	}
}

// A finished run's users are ranked by its tables where the device is the processor, three times as fast as by all their scores.
func TestFinishedRunsRankByTables(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	mustRun(t, append(quick(t, "lightgcn"), "-epochs", "1", "-out", path)...)
	for _, which := range []string{exported, "best"} {
		f, err := readFinished("recommend", []string{path, "-gpu", "off"}, &recommendOptions{})
		if err == nil {
			err = f.open(true, "Data", "Split")
		}
		if err != nil {
			t.Fatal(err)
		}
		of, err := f.scores(t.Context(), which, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.ranker(t.Context(), of, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		tables, ok := r.scorer.(evaluate.Factored)
		if !ok {
			t.Fatalf("%s: %T is not Factored", which, r.scorer)
		}
		if users, items, kernels, err := tables.Factors(); err != nil || kernels == nil || users.N != r.scorer.Users() || items.N != r.scorer.Items() {
			t.Errorf("%s: tables of %d and %d rows, kernels %v, %v", which, users.N, items.N, kernels, err)
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}
}
