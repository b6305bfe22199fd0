package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"nearfar/models"
	"nearfar/trainer"
	"nearfar/trainer/dataset"
	"nearfar/trainer/evaluate"
	"nearfar/trainer/option"
	"nearfar/trainer/runfolder"
)

// recommendOptions are those of 'trainer recommend' beside those of training.
type recommendOptions struct {
	_           struct{} `title:"Recommend by a run"`
	User        string   `flag:"user" help:"users by id, several separated by commas; of ids that have commas one, or -users"`
	Users       string   `flag:"users" help:"file with a user id a line"`
	All         bool     `flag:"all" default:"false" help:"every user that the run knows"`
	History     string   `flag:"history" help:"items by id, separated by commas: recommends to somebody who has these and is not in the data"`
	K           int      `flag:"k" default:"10" min:"1" help:"items for each user"`
	IncludeSeen bool     `flag:"include-seen" default:"false" help:"leave in what the user has in train and validation, or in -history"`
	Out         string   `flag:"out" help:"file to write instead of the screen: .tsv or .jsonl"`
}

const aboutRecommend = `trainer recommend RUN -user U [options] lists the best items for users, without those that they have already. The data that this is known from is
the run's, or -data PATH.`

// recommend is 'trainer recommend'.
func recommend(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o recommendOptions
	f, err := readFinished("recommend", args, &o)
	if isHelp(err) {
		return f.help(stdout, aboutRecommend)
	}
	if err != nil {
		return err
	}
	if err := o.check(); err != nil {
		return &usageError{err}
	}
	if err := f.open(true, "Data", "Split"); err != nil {
		return err
	}
	of, err := f.scores(ctx, exported, stderr)
	if err != nil {
		return err
	}
	rows, err := o.rows(of)
	if err != nil {
		return err
	}
	known := &knownItems{}
	switch data, err := f.data(ctx, stderr); {
	case err == nil:
		known = newKnownItems(data, of.userID, of.itemID)
	case errors.Is(err, trainer.ErrInterrupted) || f.namesData():
		return err
	case o.IncludeSeen || o.History != "":
		fmt.Fprintf(stderr, "trainer: items are listed without their titles: %v\n", err)
	default:
		return fmt.Errorf("%w; or -include-seen does without it", err)
	}

	ranker, err := f.ranker(ctx, of, stderr)
	if err != nil {
		return err
	}
	defer ranker.close()
	ask := request{evaluate.Request{Users: rows, N: o.K, Seed: f.line.Seed, Threads: f.line.Threads}, of.userID, ranker.scorer}
	if !o.IncludeSeen {
		ask.Seen = func(user int32) [][]int32 { return known.of(user) }
	}
	if o.History != "" {
		ask.byHistory(ranker.scorer, rows, o.IncludeSeen)
	}
	if untrained := known.untrained(rows); o.History == "" && len(untrained) > 0 && f.initialises() {
		who := fmt.Sprintf("%d of the %d users, such as %s, have", len(untrained), len(rows), of.userID[untrained[0]])
		if len(untrained) == 1 {
			who = fmt.Sprintf("user %s has", of.userID[untrained[0]])
		}
		fmt.Fprintf(stderr, "trainer: %s no training interaction: what is listed is no more than the initialisation\n", who)
	}
	write := func(w io.Writer, format string) error {
		list := newLister(w, format, of.itemID, known.title)
		return errors.Join(ask.run(ctx, list.user), list.end())
	}
	switch {
	case o.Out != "":
		var unranked error
		err := runfolder.ReplaceFile(o.Out, func(w io.Writer) error {
			unranked = write(w, filepath.Ext(o.Out))
			return unranked
		})
		if err != nil && unranked == nil {
			return fmt.Errorf("-out: %w", err)
		}
		return err
	case o.All:
		return write(stdout, ".tsv")
	}
	return write(stdout, "")
}

// check finds options that do not go together.
func (o *recommendOptions) check() error {
	given := 0
	for _, is := range []bool{o.User != "", o.Users != "", o.All, o.History != ""} {
		if is {
			given++
		}
	}
	if given != 1 {
		return errors.New("recommend to whom? give one of -user ID,ID  -users FILE  -all  -history ITEM,ITEM")
	}
	if ext := filepath.Ext(o.Out); o.Out != "" && ext != ".tsv" && ext != ".jsonl" {
		return fmt.Errorf("-out %s: the name ends in .tsv or .jsonl", o.Out)
	}
	return nil
}

// rows are those of the users that the options name, or of the items of -history.
func (o *recommendOptions) rows(of scores) ([]int32, error) {
	if o.History != "" {
		return find("item", idsIn(o.History, of.itemID), of.itemID)
	}
	return o.who(of.userID)
}

// who are the rows of the users that the options name.
func (o *recommendOptions) who(ids []string) ([]int32, error) {
	switch {
	case o.All:
		all := make([]int32, len(ids))
		for i := range all {
			all[i] = int32(i)
		}
		return all, nil
	case o.Users != "":
		text, err := os.ReadFile(o.Users)
		if err != nil {
			return nil, fmt.Errorf("-users: %w", err)
		}
		var names []string
		for line := range bytes.Lines(bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))) {
			if name := strings.TrimSpace(string(line)); name != "" {
				names = append(names, name)
			}
		}
		if len(names) == 0 {
			return nil, fmt.Errorf("%s has no user", o.Users)
		}
		return find("user", names, ids)
	}
	return find("user", idsIn(o.User, ids), ids)
}

// idsIn are the ids of a text, separated by commas; or the text, where it is one of ids.
func idsIn(text string, ids []string) []string {
	if slices.Contains(ids, text) {
		return []string{text}
	}
	return strings.Split(strings.Trim(text, ", "), ",")
}

// find gives the rows of ids by name. Those that are not there are an error, with the nearest one that is.
func find(what string, names, ids []string) ([]int32, error) {
	index := make(map[string]int32, len(ids))
	for i, id := range ids {
		index[id] = int32(i)
	}
	var rows []int32
	var wrong []error
	for _, name := range names {
		name = strings.TrimSpace(name)
		row, ok := index[name]
		if ok {
			rows = append(rows, row)
			continue
		}
		near := ""
		if id, ok := option.Nearest(name, ids); ok {
			near = fmt.Sprintf(" (did you mean %s?)", id)
		}
		wrong = append(wrong, fmt.Errorf("the run knows no %s %q%s", what, name, near))
		if len(wrong) == maxUnknown {
			wrong = append(wrong, errors.New("and perhaps more"))
			break
		}
	}
	return rows, errors.Join(wrong...)
}

// maxUnknown ids are looked up among all others for a suggestion before an error ends.
const maxUnknown = 5

// knownItems is what the data says of a run's users and items.
type knownItems struct {
	data   *dataset.Dataset
	user   []int32          // [run's users], the data's or -1
	item   []int32          // [data's items], the run's or -1
	titles map[int32]string // of the run's items
}

// newKnownItems matches the data with the run's users and items.
func newKnownItems(data *dataset.Dataset, userID, itemID []string) *knownItems {
	match := trainer.MatchIDs(data, userID, itemID)
	k := &knownItems{data: data, item: match.Item, user: make([]int32, len(userID)), titles: map[int32]string{}}
	for i := range k.user {
		k.user[i] = -1
	}
	for u, row := range match.User {
		if row >= 0 {
			k.user[row] = int32(u)
		}
	}
	for i, title := range data.ItemTitle {
		if k.item[i] >= 0 {
			k.titles[k.item[i]] = title
		}
	}
	return k
}

// of are the items that a user of the run has in train and validation, ascending lists.
func (k *knownItems) of(user int32) (lists [][]int32) {
	u := k.user[user]
	if u < 0 {
		return nil
	}
	for _, x := range []*dataset.Interactions{k.data.Train, k.data.Valid} {
		var list []int32
		for _, i := range x.Of(int(u)) {
			if k.item[i] >= 0 {
				list = append(list, k.item[i])
			}
		}
		slices.Sort(list)
		lists = append(lists, list)
	}
	return lists
}

// initialises tells whether users without a training interaction, in the run's own data, have vectors of which nothing was learned.
func (f *finished) initialises() bool {
	_, untrained := f.line.model.(models.Untrained)
	attributes := f.line.set.Lookup("attributes")
	return !untrained && !f.namesData() && f.line.InitFrom == "" && (attributes == nil || attributes.Value() == "false")
}

// untrained are those of the run's users who have no training interaction in the data.
func (k *knownItems) untrained(users []int32) (of []int32) {
	for _, user := range users {
		if k.data != nil && k.user[user] >= 0 && len(k.data.Train.Of(int(k.user[user]))) == 0 {
			of = append(of, user)
		}
	}
	return of
}

// title is the name of an item for people; empty where the data has none.
func (k *knownItems) title(item int32) string { return k.titles[item] }

// request is who is recommended what.
type request struct {
	evaluate.Request
	names  []string
	scorer evaluate.Scorer
}

// byHistory asks for somebody who is known by their items alone.
func (r *request) byHistory(of trainer.HistoryScorer, items []int32, includeSeen bool) {
	slices.Sort(items)
	items = slices.Compact(items)
	r.names, r.Users, r.scorer, r.Seen = []string{"history"}, []int32{0}, historyScorer{of, items}, nil
	if !includeSeen {
		r.Seen = func(int32) [][]int32 { return [][]int32{items} }
	}
}

func (r *request) run(ctx context.Context, yield func(user string, items []int32, scores []float32) error) error {
	return evaluate.Recommend(ctx, r.scorer, r.Request, func(u int32, items []int32, scores []float32) error {
		return yield(r.names[u], items, scores)
	})
}

// historyScorer scores for one user, by their items.
type historyScorer struct {
	trainer.HistoryScorer
	history []int32
}

func (h historyScorer) Users() int { return 1 }
func (h historyScorer) Score(ctx context.Context, _ []int32, out []float32) error {
	return h.ScoreHistory(ctx, h.history, out)
}

// lister writes recommendations: for people, or as .tsv or .jsonl, a user after another.
type lister struct {
	w      *bufio.Writer
	format string
	itemID []string
	title  func(item int32) string
	begun  bool
}

func newLister(w io.Writer, format string, itemID []string, title func(int32) string) *lister {
	return &lister{w: bufio.NewWriter(w), format: format, itemID: itemID, title: title}
}

type recommended struct {
	Item  string  `json:"item"`
	Score float32 `json:"score"`
	Title string  `json:"title,omitempty"` // where the data has one
}

func (l *lister) user(user string, items []int32, scores []float32) error {
	rows := make([]recommended, len(items))
	for i, item := range items {
		rows[i] = recommended{l.itemID[item], scores[i], l.title(item)}
	}
	switch l.format {
	case ".jsonl":
		return json.NewEncoder(l.w).Encode(struct {
			User  string        `json:"user"`
			Items []recommended `json:"items"`
		}{user, rows})
	case ".tsv":
		if !l.begun {
			l.begun = true
			fmt.Fprintln(l.w, "user\titem\trank\tscore\ttitle")
		}
		for i, r := range rows {
			fmt.Fprintf(l.w, "%s\t%s\t%d\t%g\t%s\n", cell(user), cell(r.Item), i+1, r.Score, cell(r.Title))
		}
		return nil
	}
	t := tabwriter.NewWriter(l.w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(t, "user %s\n", user)
	for i, r := range rows {
		fmt.Fprintf(t, "  %d\t%s\t%.4f\t%s\n", i+1, r.Item, r.Score, r.Title)
	}
	return t.Flush()
}

// cell keeps a text within its cell of a .tsv file.
func cell(text string) string {
	return strings.NewReplacer("\t", " ", "\n", " ", "\r", " ").Replace(text)
}

func (l *lister) end() error { return l.w.Flush() }
