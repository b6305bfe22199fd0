package trainer

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"nearfar/engine"
	"nearfar/models"
	"nearfar/trainer/dataset"
	"nearfar/trainer/runfolder"
)

// Start is where a run's parameters begin.
type Start struct {
	_        struct{} `title:"Start"`
	InitFrom string   `flag:"init-from" help:"folder of a finished run of the same model to start from: users and items that it knows, by id, begin with its parameters"`
	InitNew  string   `flag:"init-new" default:"init" choices:"init,mean" help:"with -init-from, what new users and items begin with: the initialisation, or the mean of the known ones"`
	TrainOn  string   `flag:"train-on" default:"train" choices:"train,train+valid" help:"train+valid: train on the validation interactions too; needs -select last"`
}

// former is what a run starts from: the names of its rows, and the parameters it ended with.
type former struct {
	rows       map[string]map[string]int // by the file that names them
	states     map[string]runfolder.Entry
	modalities []string
	data       uint32 // checksum of what it was trained on, and its splits
}

// readFormer reads the run of a model at path: its best checkpoint, which without a selection is the last one.
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
	f.data, f.states, f.rows = at.Data, map[string]runfolder.Entry{}, map[string]map[string]int{}
	names := slices.Collect(maps.Keys(at.Constants))
	files := []string{runfolder.Users, runfolder.Items}
	for _, e := range entries {
		f.states[e.Name] = e
		names = append(names, e.Name)
		if models.IsAttributes(e.Name) {
			files = append(files, runfolder.UserAttributes, runfolder.ItemAttributes)
		}
	}
	f.modalities = modalities(names)
	for _, file := range files {
		names, err := runfolder.ReadIDs(folder.File(file))
		if errors.Is(err, fs.ErrNotExist) {
			return f, fmt.Errorf("-init-from: %s has no %s: -resume %s writes it again", folder.Path(), file, path)
		} else if err != nil {
			return f, fmt.Errorf("-init-from: %w", err)
		}
		f.rows[file] = make(map[string]int, len(names))
		for row, name := range names {
			f.rows[file][name] = row
		}
	}
	return f, nil
}

// modalities are those whose features are among a run's tables, sorted.
func modalities(tables []string) (of []string) {
	for _, name := range tables {
		if m, ok := models.ModalityOf(name); ok {
			of = append(of, m)
		}
	}
	slices.Sort(of)
	return of
}

// warmStart replaces the initial parameters by those of -init-from. Rows of users and of items are copied by id, and those of attributes by field and
// value; a parameter without is copied where it has the same shape. All other state, Adam's moments among it, begins as in a run of its own.
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
	_, known := f.find(r.named("embedding"))
	users, items := r.data.Users(), r.data.Items()
	r.Log.Info(fmt.Sprintf("starting from %s: it knows %d users of %d and %d items of %d; the others begin with %s", r.Options.InitFrom,
		known[0], users, known[1], items, map[string]string{"mean": "their mean", "init": "the initialisation"}[r.Options.InitNew]))
	if f.data != r.position.Data && r.data.Valid.Len()+r.data.Test.Len() > 0 {
		r.Log.Warn("the former run was made on other data, or on another split: it may have been trained on what is now held out, and metrics are then too high")
	}
	var names []string
	for _, e := range r.store.Entries() {
		names = append(names, e.Name)
	}
	now := modalities(names)
	for _, e := range r.store.Entries() {
		was, ok := f.states[e.Name]
		if !e.Param {
			if ok && models.IsFeatures(e.Name) && e.Kind == engine.Const {
				r.Log.Warn(fmt.Sprintf("%s: the former run trained it, and -freeze-features keeps what the data has", e.Name))
			}
			continue
		}
		named := r.named(e.Name)
		switch is := e.Desc; {
		case !ok && models.IsFeatures(e.Name):
			return fmt.Errorf("-init-from %s: the run did not train %s: keep it as it is, too, with -freeze-features, or leave it out with -modalities", r.Options.InitFrom, e.Name)
		case !ok:
			return fmt.Errorf("-init-from %s: the run has no parameter %s: is it of another model or configuration?", r.Options.InitFrom, e.Name)
		case was.Desc.Type != is.Type:
			return fmt.Errorf("-init-from %s: %s is %v there and %v here", r.Options.InitFrom, e.Name, was.Desc, is)
		case models.SpansModalities(e.Name) && !slices.Equal(now, f.modalities):
			return fmt.Errorf("-init-from %s: %s is of %s there and of %s here: name the same with -modalities", r.Options.InitFrom, e.Name, strings.Join(f.modalities, ", "), strings.Join(now, ", "))
		case named != nil:
			if err := r.copyByName(&f, e, was, named); err != nil {
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

// part is successive rows of a table that have names: the file that a run keeps them in, and the names now.
type part struct {
	file string
	now  []string
}

// named are the parts of a parameter; nil where its rows are nobody's.
func (r *run) named(param string) (parts []part) {
	if models.IsAttributes(param) {
		return []part{{runfolder.UserAttributes, attributeNames(r.data.UserFields)}, {runfolder.ItemAttributes, attributeNames(r.data.ItemFields)}}
	}
	ofUsers, ofItems := models.RowsOf(param)
	if ofUsers {
		parts = append(parts, part{runfolder.Users, r.data.UserID})
	}
	if ofItems {
		parts = append(parts, part{runfolder.Items, r.data.ItemID})
	}
	return parts
}

// attributeNames are the field and the value of each row, with a tab between them.
func attributeNames(a *dataset.Attributes) []string {
	if a == nil {
		return nil
	}
	names := make([]string, a.Values())
	for i, value := range a.Name {
		names[i] = a.Fields[a.Field[i]] + "\t" + value
	}
	return names
}

// copyByName copies the rows that the former run had. With -init-new mean new rows are the mean of the known ones of their part, but for features, which
// the data has.
func (r *run) copyByName(f *former, e *engine.Entry, was runfolder.Entry, parts []part) error {
	same, names := "give the same -dim", 0
	if models.IsFeatures(e.Name) {
		same = "give the features that it had"
	}
	for _, p := range parts {
		names += len(f.rows[p.file])
	}
	switch had, is := was.Desc, e.Desc; {
	case had.Rank != 2 || had.Rows() != names:
		return fmt.Errorf("-init-from %s: %s is %v, and the run has %d names for its rows: its files are not of one run", r.Options.InitFrom, e.Name, had, names)
	case had.Cols() != is.Cols():
		return fmt.Errorf("-init-from %s: %s has %d columns there and %d here: %s", r.Options.InitFrom, e.Name, had.Cols(), is.Cols(), same)
	}
	rows, known := f.find(parts)
	if err := r.copyRows(e, was, rows); err != nil {
		return err
	}
	copied := 0
	for _, n := range known {
		copied += n
	}
	by := "id"
	if models.IsAttributes(e.Name) {
		by = "field and value"
	}
	r.Log.Info(fmt.Sprintf("parameter %s: %d rows copied by %s, %d new", e.Name, copied, by, len(rows)-copied))
	if r.Options.InitNew != "mean" || models.IsFeatures(e.Name) {
		return nil
	}
	table, d, err := r.store.Read64(e.Name)
	if err != nil {
		return err
	}
	first := 0
	for _, p := range parts {
		last := first + len(p.now)
		fillWithMean(table, d.Cols(), first, last, func(i int) bool { return rows[i] >= 0 })
		first = last
	}
	return r.store.Write64(e.Name, table)
}

// find gives for each row of the parts its row in the former run's table of them, -1 where it is new, and how many each part has of known ones.
func (f *former) find(parts []part) (rows, known []int) {
	offset := 0
	known = make([]int, len(parts))
	for k, p := range parts {
		for _, name := range p.now {
			row, ok := f.rows[p.file][name]
			if !ok {
				rows = append(rows, -1)
				continue
			}
			rows = append(rows, row+offset)
			known[k]++
		}
		offset += len(f.rows[p.file])
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
