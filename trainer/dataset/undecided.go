package dataset

import (
	"context"
	"errors"
	"fmt"
)

// recogniseUsers tells LightGCN and Pairs apart: LightGCN has one line a user, so a user on two lines means pairs. Where no user comes
// twice, what no file of pairs has means LightGCN: a line of one column, one of five or more, or one of four beside shorter ones. Two or three
// columns, and four on every line, are left undecided: a test file of leave-one-out is "user item rating time", one line a user.
func (s source) recogniseUsers(ctx context.Context) (layout, error) {
	const enough = 5 // columns that no pair has
	seen := map[string]int{}
	found := layout{format: Auto, separator: blanks, weights: true}
	narrowest, narrow, wide := enough+1, 0, 0 // columns, and lines
	err := s.blocks(ctx, text{}, func(b block) error {
		for lines := b.lines(); lines.next(); {
			if len(seen) == 0 {
				found.first = lines.number
			}
			user, rest := column(lines.line)
			if first, ok := seen[string(user)]; ok {
				found.format, found.why = Pairs, fmt.Sprintf("user %s is on lines %d and %d", quoted(user), first, lines.number)
				return errEnough
			}
			seen[string(user)] = lines.number
			columns := 1
			var last []byte
			for ; len(rest) > 0 && columns < enough; columns++ {
				last, rest = column(rest)
			}
			found.weights = found.weights && columns == 3 && (string(last) == "1" || string(last) == "1.0")
			if columns < narrowest {
				narrowest, narrow = columns, lines.number
			}
			if columns > found.widest {
				found.widest, wide = columns, lines.number
			}
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return found, err
	}
	found.weights = found.weights && len(seen) > 1 // 1 may be an item of one user
	switch {
	case found.format == Pairs:
	case narrowest == 1:
		found.format, found.why = LightGCN, fmt.Sprintf("no user is on two lines, and line %d has one column", narrow)
	case found.widest == enough:
		found.format, found.why = LightGCN, fmt.Sprintf("no user is on two lines, and line %d has %d columns or more", wide, enough)
	case found.widest == 4 && narrowest < 4:
		found.format, found.why = LightGCN, fmt.Sprintf("no user is on two lines, and line %d has %d columns, line %d has 4", narrow, narrowest, wide)
	}
	return found, nil
}

// recogniseValid is recognise of a validation file, whose format is its own: published ones are pairs beside LightGCN. A format that is forced
// decides where its content does not. The columns are meant for it where it has them.
func (w wanted) recogniseValid(ctx context.Context, s source) (layout, error) {
	l, err := wanted{Auto, w.columns}.recognise(ctx, s)
	if err != nil && w.columns.given() {
		var plain error
		if l, plain = (wanted{format: Auto}).recognise(ctx, s); plain != nil {
			return l, err
		}
		err = nil
	}
	if l.format == Auto && (w.format == LightGCN || w.format == Pairs) {
		l.format, l.why = w.format, "as -format says, since no user is on two lines"
	}
	return l, err
}

// settle decides a layout that its content leaves open. A weight of 1 on every line is one: an item that everybody has, after whatever else they
// have, is less likely. Else it is as the other file, where there is one, and "user item item" where that is undecided too.
func (l *layout) settle(other layout, file string) {
	if l.format != Auto {
		return
	}
	l.format = Pairs
	switch {
	case l.weights:
		l.why = "no user is on two lines, and column 3 is 1 on all of them"
	case other.format == LightGCN || other.format == Pairs:
		l.format, l.why = other.format, "as "+file+" is"
	case other.format != "" && other.format != Auto:
		l.why = "an interaction a line, as " + file + " has"
	default:
		l.format, l.why = LightGCN, "no user is on two lines"
		switch l.widest {
		case 3:
			l.why += `; if column 3 is a weight, say -format pairs`
		case 4:
			l.why += `; if columns 3 and 4 are a weight and a time, say -format pairs`
		}
	}
}
