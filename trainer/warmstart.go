package trainer

import (
	"errors"
	"fmt"
	"io/fs"

	"nearfar/engine"
	"nearfar/models"
	"nearfar/trainer/runfolder"
)

// Start is where a run's parameters begin.
type Start struct {
	_        struct{} `title:"Start"`
	InitFrom string   `flag:"init-from" help:"folder of a finished run of the same model to start from: users and items that it knows, by id, begin with its parameters"`
	InitNew  string   `flag:"init-new" default:"init" choices:"init,mean" help:"with -init-from, what new users and items begin with: the initialisation, or the mean of the known ones"`
	TrainOn  string   `flag:"train-on" default:"train" choices:"train,train+valid" help:"train+valid: train on the validation interactions too; needs -select last"`
}

// former is what a run starts from: its ids, and the parameters it ended with.
type former struct {
	users, items map[string]int
	states       map[string]runfolder.Entry
	data         uint32 // checksum of what it was trained on, and its splits
}

// readFormer reads the run of a model at path. Its best checkpoint is what it reported; without a selection that is the last one.
func readFormer(path, model string) (f former, err error) {
	folder, err := OpenFinal(path)
	if err != nil {
		return f, fmt.Errorf("-init-from: %w", err)
	}
	var res Result
	if err := folder.ReadResult(&res); err != nil {
		return f, fmt.Errorf("-init-from: %s has not finished; go on with it by -resume: %w", folder.Path(), err)
	}
	if res.Model != model {
		return f, fmt.Errorf("-init-from: the run in %s is of %s: only a run of %s has the parameters of %s", folder.Path(), res.Model, model, model)
	}
	for _, ids := range []struct {
		file string
		to   *map[string]int
	}{{runfolder.Users, &f.users}, {runfolder.Items, &f.items}} {
		names, err := runfolder.ReadIDs(folder.File(ids.file))
		if err != nil {
			return f, fmt.Errorf("-init-from: %w", err)
		}
		*ids.to = make(map[string]int, len(names))
		for row, name := range names {
			(*ids.to)[name] = row
		}
	}
	file := runfolder.BestCheckpoint
	if !folder.Has(file) {
		file = runfolder.LastCheckpoint
	}
	var at position
	entries, err := runfolder.ReadCheckpoint(folder.File(file), &at)
	if errors.Is(err, fs.ErrNotExist) {
		return f, fmt.Errorf("-init-from: %s has no checkpoint, and so no parameters to start from: does its model train?", folder.Path())
	} else if err != nil {
		return f, fmt.Errorf("-init-from: %w", err)
	}
	f.data, f.states = at.Data, map[string]runfolder.Entry{}
	for _, e := range entries {
		f.states[e.Name] = e
	}
	return f, nil
}

// warmStart replaces the initial parameters by those of -init-from. Rows of users and of items are copied by id; a parameter without is copied where it has
// the same shape. All other state, Adam's moments among it, begins as in a run of its own.
func (r *run) warmStart() error {
	if r.Options.InitFrom == "" {
		return nil
	}
	if r.train == nil {
		return fmt.Errorf("-init-from: %s does not train", r.Name)
	}
	f, err := readFormer(r.Options.InitFrom, r.Name)
	if err != nil {
		return err
	}
	_, known := f.rows(r.data.UserID, r.data.ItemID)
	users, items := r.data.Users(), r.data.Items()
	r.Log.Info(fmt.Sprintf("starting from %s: it knows %d users of %d and %d items of %d; the others begin with %s", r.Options.InitFrom,
		known[0], users, known[1], items, map[string]string{"mean": "their mean", "init": "the initialisation"}[r.Options.InitNew]))
	if f.data != r.position.Data && r.data.Valid.Len()+r.data.Test.Len() > 0 {
		r.Log.Warn("the former run was made on other data, or on another split: it may have been trained on what is now held out, and metrics are then too high")
	}
	for _, e := range r.store.Entries() {
		was, ok := f.states[e.Name]
		if !e.Param {
			if ok && models.IsFeatures(e.Name) && e.Kind == engine.Const {
				r.Log.Warn(fmt.Sprintf("%s: the former run trained it, and -freeze-features keeps what the data has", e.Name))
			}
			continue
		}
		ofUsers, ofItems := models.RowsOf(e.Name)
		switch is := e.Desc; {
		case !ok && models.IsFeatures(e.Name):
			return fmt.Errorf("-init-from %s: the run did not train %s: keep it as it is, too, with -freeze-features, or leave it out with -modalities", r.Options.InitFrom, e.Name)
		case !ok:
			return fmt.Errorf("-init-from %s: the run has no parameter %s: is it of another model or configuration?", r.Options.InitFrom, e.Name)
		case was.Desc.Type != is.Type:
			return fmt.Errorf("-init-from %s: %s is %v there and %v here", r.Options.InitFrom, e.Name, was.Desc, is)
		case ofUsers || ofItems:
			if err := r.copyByID(&f, e, was, ofUsers, ofItems); err != nil {
				return err
			}
		case was.Desc == is:
			if err := r.store.WriteBytes(e.Name, was.Data); err != nil {
				return err
			}
			r.Log.Info(fmt.Sprintf("parameter %s: copied", e.Name))
		default:
			r.Log.Info(fmt.Sprintf("parameter %s: new, since it is %v there and %v here", e.Name, was.Desc, is))
		}
	}
	return nil
}

// copyByID copies the rows of users, of items or of both. With -init-new mean new rows are the mean of the known ones, but for features, which the data has.
func (r *run) copyByID(f *former, e *engine.Entry, was runfolder.Entry, ofUsers, ofItems bool) error {
	var userID, itemID []string
	before := *f
	if before.users = nil; ofUsers {
		userID, before.users = r.data.UserID, f.users
	}
	if before.items = nil; ofItems {
		itemID, before.items = r.data.ItemID, f.items
	}
	same := "give the same -dim"
	if models.IsFeatures(e.Name) {
		same = "give the features that it had"
	}
	switch had, is := was.Desc, e.Desc; {
	case had.Rank != 2 || had.Rows() != len(before.users)+len(before.items):
		return fmt.Errorf("-init-from %s: %s is %v, and the run has %d ids for its rows: its files are not of one run", r.Options.InitFrom, e.Name, had, len(before.users)+len(before.items))
	case had.Cols() != is.Cols():
		return fmt.Errorf("-init-from %s: %s has %d columns there and %d here: %s", r.Options.InitFrom, e.Name, had.Cols(), is.Cols(), same)
	}
	rows, known := before.rows(userID, itemID)
	if err := r.copyRows(e, was, rows); err != nil {
		return err
	}
	r.Log.Info(fmt.Sprintf("parameter %s: %d rows copied by id, %d new", e.Name, known[0]+known[1], len(rows)-known[0]-known[1]))
	if r.Options.InitNew != "mean" || models.IsFeatures(e.Name) {
		return nil
	}
	table, d, err := r.store.Read64(e.Name)
	if err != nil {
		return err
	}
	for _, side := range [][2]int{{0, len(userID)}, {len(userID), len(rows)}} {
		fillWithMean(table, d.Cols(), side[0], side[1], func(i int) bool { return rows[i] >= 0 })
	}
	return r.store.Write64(e.Name, table)
}

// rows gives for each user and then each item its row in the former run's table of both, -1 where it is new, and how many users and items are known.
func (f *former) rows(userID, itemID []string) (rows []int, known [2]int) {
	for side, ids := range [][]string{userID, itemID} {
		index, offset := f.users, 0
		if side == 1 {
			index, offset = f.items, len(f.users)
		}
		for _, id := range ids {
			row, ok := index[id]
			if !ok {
				rows = append(rows, -1)
				continue
			}
			rows = append(rows, row+offset)
			known[side]++
		}
	}
	return rows, known
}

// copyRows writes the known rows of a table.
func (r *run) copyRows(e *engine.Entry, was runfolder.Entry, rows []int) error {
	now, d, err := r.store.ReadBytes(e.Name)
	if err != nil {
		return err
	}
	row := int(d.Bytes()) / d.Rows()
	for i, from := range rows {
		if from >= 0 {
			copy(now[i*row:(i+1)*row], was.Data[from*row:])
		}
	}
	return r.store.WriteBytes(e.Name, now)
}

// fillWithMean sets the unknown rows of table [n, cols] between first and last to the mean of the known ones there, if there are any.
func fillWithMean(table []float64, cols, first, last int, known func(i int) bool) {
	mean, n := make([]float64, cols), 0.0
	for i := first; i < last; i++ {
		if known(i) {
			n++
			for k, v := range table[i*cols : (i+1)*cols] {
				mean[k] += v
			}
		}
	}
	if n == 0 {
		return
	}
	for k := range mean {
		mean[k] /= n
	}
	for i := first; i < last; i++ {
		if !known(i) {
			copy(table[i*cols:], mean)
		}
	}
}

// check finds what the bounds of the options cannot see.
func (s *Start) check(o *Options) error {
	if s.TrainOn == trainOnBoth && o.Select != SelectLast {
		return fmt.Errorf("-train-on %s leaves no validation split to select on: give -select last and -epochs, or let -refit do both", s.TrainOn)
	}
	if s.InitNew != "init" && s.InitFrom == "" {
		return errors.New("-init-new is about a run given by -init-from")
	}
	return nil
}
