package dataset

import (
	"context"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"nearfar/trainer/memory"
)

// Features are what one modality says of the items: an embedding of each item's image, text or sound, say, by a model that is not trained here.
type Features struct {
	Name  string    // of the modality: image, where the file is image_feat.npy
	Dim   int       // columns
	Value []float32 // [items, Dim], row after row; rows are those of Dataset.ItemID
	Type  string    // of the file's numbers: float16, float32, float64
}

// featureSuffix ends the name of a file of features, as MMRec has it; what is before it is the modality.
const featureSuffix = "_feat.npy"

// featureFile is a file of features that is wanted. Row r is of the item whose id is the integer r.
type featureFile struct {
	modality string
	npyMatrix
}

// features finds the files of the modalities that are wanted, beside the training file, and reads their headers. They have as many rows each.
func (at *location) features(o Options) (files []featureFile, err error) {
	if !o.Features {
		return nil, nil
	}
	folder := filepath.Dir(at.train.shown)
	entries, err := fs.ReadDir(at.train.fsys, ".")
	if err != nil {
		return nil, fmt.Errorf("cannot look for features of items in %s: %w", folder, err)
	}
	var there []string
	for _, e := range entries {
		if modality, ok := strings.CutSuffix(e.Name(), featureSuffix); ok && modality != "" {
			there = append(there, modality)
		}
	}
	slices.Sort(there)
	if len(there) == 0 {
		return nil, fmt.Errorf("%s has no features of the items: they are looked for in files MODALITY%s, such as image%s and text%s, in which row r is of item r; name a folder that has them with -data",
			folder, featureSuffix, featureSuffix, featureSuffix)
	}
	for _, modality := range o.Modalities {
		if !slices.Contains(there, modality) {
			return nil, fmt.Errorf("-modalities: %s has no features %s, since there is no file %s; it has %s", folder, quoted(modality), quoted(modality+featureSuffix), list(there))
		}
	}
	for _, modality := range there {
		if len(o.Modalities) > 0 && !slices.Contains(o.Modalities, modality) {
			continue
		}
		name := modality + featureSuffix
		file := source{fsys: at.train.fsys, name: name, shown: filepath.Join(folder, name)}
		if info, err := fs.Stat(file.fsys, name); err != nil {
			return nil, file.failed(err)
		} else if !info.Mode().IsRegular() { // a pipe would have to be waited for
			return nil, fmt.Errorf("%s is no regular file: move it away, or name the modalities that are wanted with -modalities", file.shown)
		}
		m, err := file.npy()
		if err != nil {
			return nil, err
		}
		if len(files) > 0 && m.rows != files[0].rows {
			return nil, fmt.Errorf("%s has %d rows and %s has %d: row r is of item r in both, so they must have as many", files[0].shown, files[0].rows, m.shown, m.rows)
		}
		files = append(files, featureFile{modality, m})
	}
	return files, nil
}

// meet holds the items' ids against the rows of the features. The catalogue of MMRec's data becomes whole.
func (d *Dataset) meet(files []featureFile) error {
	if len(files) == 0 {
		return nil
	}
	first := files[0]
	item, err := rowsOf(d.ItemID)
	if err != nil {
		return fmt.Errorf("%s: row r is of the item whose id is r, and the item %w: number the items by the rows", first.shown, err)
	}
	if largest := item[len(item)-1]; largest >= int64(first.rows) {
		return fmt.Errorf("%s has %d rows, and the largest item id is %d: row r is of item r, so at least %d are wanted", first.shown, first.rows, largest, largest+1)
	}
	if d.Format == MMRec {
		if err := d.complete(item); err != nil {
			return err
		}
	}
	if left := first.rows - d.Items(); left > 0 {
		d.Notes = append(d.Notes, fmt.Sprintf("%s of %s rows of features are left out, since nobody has their item", thousands(left), thousands(first.rows)))
	}
	return nil
}

// rowsOf are the integers that ids are, ascending as the ids are. One that is no integer from 0, as strconv writes it, is an error.
func rowsOf(ids []string) ([]int64, error) {
	rows := make([]int64, len(ids))
	for k, id := range ids {
		n, ok := canonical([]byte(id))
		if !ok || n < 0 {
			return nil, fmt.Errorf("id %s is no integer from 0 (without leading zeros)", quoted(id))
		}
		rows[k] = n
	}
	return rows, nil
}

// complete makes a user and an item of every integer up to the largest id, as MMRec counts them: an item that nobody has is ranked too. item are the ids
// of the items, which are no more than there are rows of features; the gaps between users are bounded by the users. Users whose ids are no integers have no gaps.
func (d *Dataset) complete(item []int64) error {
	user, err := rowsOf(d.UserID)
	if err != nil {
		user = make([]int64, d.Users())
		for k := range user {
			user[k] = int64(k)
		}
	}
	users, items := user[len(user)-1]+1, item[len(item)-1]+1
	newUsers, newItems := users-int64(len(user)), items-int64(len(item))
	switch {
	case newUsers > int64(len(user)):
		return fmt.Errorf("%s has %s users, and the largest id of one is %d: MMRec's users are all integers from 0 to the largest id, and %d of them would have no interaction; number the users without gaps",
			d.Path, thousands(len(user)), users-1, newUsers)
	case max(users, items) > math.MaxInt32:
		return fmt.Errorf("%s: more than %d users or items", d.Path, math.MaxInt32)
	case newUsers+newItems == 0:
		return nil
	}
	for _, x := range []**Interactions{&d.Train, &d.Valid, &d.Test} {
		*x = (*x).spread(user, item)
	}
	if newUsers > 0 {
		d.UserID = numerals(int(users))
	}
	d.ItemID = numerals(int(items))
	d.Notes = append(d.Notes, fmt.Sprintf("%s and %s without an interaction join the catalogue: MMRec's has every id from 0 to the largest",
		plural(int(newUsers), "user"), plural(int(newItems), "item")))
	return nil
}

// spread is x in a larger catalogue, where its users and items have these places, ascending and up to the last.
func (x *Interactions) spread(user, item []int64) *Interactions {
	y := &Interactions{Ptr: make([]int64, user[len(user)-1]+2), Item: x.Item, Time: x.Time, Items: int(item[len(item)-1]) + 1}
	for u, to := range user {
		y.Ptr[to+1] = x.Ptr[u+1] - x.Ptr[u]
	}
	for u := range y.Users() {
		y.Ptr[u+1] += y.Ptr[u]
	}
	for s, i := range y.Item {
		y.Item[s] = int32(item[i])
	}
	return y
}

// numerals are the integers from 0 below n as ids.
func numerals(n int) []string {
	ids := make([]string, n)
	for k := range ids {
		ids[k] = strconv.Itoa(k)
	}
	return ids
}

// readFeatures reads the rows of the items that are left.
func (d *Dataset) readFeatures(ctx context.Context, files []featureFile, watch watch) error {
	if len(files) == 0 {
		return nil
	}
	item, err := rowsOf(d.ItemID)
	if err != nil {
		return err
	}
	const number = 4
	need, sizes := int64(0), make([]string, len(files))
	for k, f := range files {
		need += number * int64(d.Items()) * int64(f.columns)
		sizes[k] = fmt.Sprintf("%s %d", f.modality, f.columns)
	}
	if available, lacks := memory.Lacks(need); lacks {
		return fmt.Errorf("%s: the features of %s items (columns: %s) take %.3g GiB, and the system has %.3g GiB available: read fewer with -modalities, or keep fewer items with -k-core",
			filepath.Dir(files[0].shown), thousands(d.Items()), strings.Join(sizes, ", "), float64(need)/memory.GiB, float64(available)/memory.GiB)
	}
	place := make([]int32, files[0].rows)
	for r := range place {
		place[r] = -1
	}
	for k, r := range item {
		place[r] = int32(k)
	}
	for _, f := range files {
		value, err := f.read(ctx, place, d.Items(), watch)
		if err != nil {
			return err
		}
		d.ItemFeatures = append(d.ItemFeatures, Features{Name: f.modality, Dim: f.columns, Value: value, Type: f.kind()})
	}
	return nil
}
