package evaluate

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"nearfar/trainer/dataset"
)

// Groups says whom and what a report's means are made of.
//
// Items are sorted by their number of training interactions and cut into ten groups with equally many of these each, "1" the long tail and
// "10" the head (SGL, SIGIR 2021, section 4.3.1); items without one are "cold". Users are cut at the quartiles of their number of training
// interactions, "1" the least active; users without one are "cold". Users of the same number are in the same group, so that quartiles
// may be of unequal size. Groups without an item or a user are left out.
type Groups struct {
	Items []ItemGroup `json:"items"`
	Users []UserGroup `json:"users"`
}

// An ItemGroup is items of about equal popularity.
type ItemGroup struct {
	Name         string  `json:"name"` // "cold", "1" .. "10"
	Items        int     `json:"items"`
	Degrees      [2]int  `json:"degrees"`      // smallest and largest number of training interactions of an item
	Interactions int     `json:"interactions"` // in training
	Targets      int     `json:"targets"`
	Share        float64 `json:"targets_per_user"` // mean over users of the share of their targets that is in the group: what Recall can reach
	// Metrics has, for each K, "Recall@K": the group's hits over all of the user's targets, mean over users, so that groups add up to Recall@K
	// of the report; and "Found@K": hits over targets of the group, users taken together.
	Metrics map[string]float64 `json:"metrics"`
}

// A UserGroup is users of about equal activity.
type UserGroup struct {
	Name    string             `json:"name"` // "cold", "1" .. "4"
	Users   int                `json:"users"`
	Degrees [2]int             `json:"degrees"` // smallest and largest number of training interactions of a user
	Metrics map[string]float64 `json:"metrics"` // means over the group's users of what the report has per user
}

const (
	itemGroups = 10
	userGroups = 4
)

// Groups divides the report's means. Targets are those of its Protocol, train is what counts as popularity and activity.
func (r *Report) Groups(targets, train *dataset.Interactions) (*Groups, error) {
	for _, x := range []*dataset.Interactions{targets, train} {
		if x.Users() != targets.Users() || x.Items != targets.Items || len(r.Users) > 0 && int(r.Users[len(r.Users)-1]) >= x.Users() {
			return nil, fmt.Errorf("evaluate: groups of %d users x %d items are asked of another report", x.Users(), x.Items)
		}
	}
	// The keys are the same whatever the seed, so that the groups of one data set are the same in every run on it.
	return &Groups{Items: r.itemGroups(targets, groupItems(train.ItemDegrees(), tieKeys(train.Items, 0))), Users: r.userGroups(train)}, nil
}

// grouping is the items' group, 0 for cold ones, and their degree.
type grouping struct{ of, degree []int32 }

// groupItems goes through the items by ascending degree, those of one degree by key: an item's group is where the middle of its interactions
// falls in the tenths of all.
func groupItems(degree []int32, keys []uint64) grouping {
	order, total := make([]int32, 0, len(degree)), 0
	for i, d := range degree {
		order = append(order, int32(i))
		total += int(d)
	}
	slices.SortFunc(order, func(a, b int32) int { return cmp.Or(cmp.Compare(degree[a], degree[b]), cmp.Compare(keys[a], keys[b])) })
	g, before := grouping{make([]int32, len(degree)), degree}, 0
	for _, i := range order {
		if d := int(degree[i]); d > 0 {
			g.of[i] = int32(1 + itemGroups*(2*before+d)/(2*total))
			before += d
		}
	}
	return g
}

func (r *Report) itemGroups(targets *dataset.Interactions, of grouping) (out []ItemGroup) {
	groups := make([]ItemGroup, itemGroups+1)
	for i, g := range of.of {
		x, d := &groups[g], int(of.degree[i])
		if x.Items == 0 || d < x.Degrees[0] {
			x.Degrees[0] = d
		}
		x.Degrees[1] = max(x.Degrees[1], d)
		x.Items++
		x.Interactions += d
	}
	type tally struct {
		hits   int
		recall float64
	}
	tallies := make([][itemGroups + 1]tally, len(r.cutoffs))
	for row, u := range r.Users {
		own := targets.Of(int(u))
		n := float64(len(own))
		for _, i := range own {
			groups[of.of[i]].Targets++
			groups[of.of[i]].Share += 1 / n
		}
		for c, k := range r.cutoffs {
			for _, i := range r.list(row, k) {
				if _, hit := slices.BinarySearch(own, i); hit {
					x := &tallies[c][of.of[i]]
					x.hits++
					x.recall += 1 / n
				}
			}
		}
	}
	for g, x := range groups {
		if x.Items == 0 {
			continue
		}
		x.Name = groupName(g)
		x.Share /= float64(len(r.Users))
		x.Metrics = map[string]float64{}
		for c, k := range r.cutoffs {
			t := tallies[c][g]
			x.Metrics[name("Recall", k, r.candidates)] = t.recall / float64(len(r.Users))
			x.Metrics[name("Found", k, r.candidates)] = float64(t.hits) / float64(max(x.Targets, 1))
		}
		out = append(out, x)
	}
	return out
}

func (r *Report) userGroups(train *dataset.Interactions) (out []UserGroup) {
	var degrees []int // of the report's users that are not cold
	for _, u := range r.Users {
		if d := train.Degree(int(u)); d > 0 {
			degrees = append(degrees, d)
		}
	}
	slices.Sort(degrees)
	var edges []int // the largest degree of each quartile but the last
	for q := 1; q < userGroups && len(degrees) > 0; q++ {
		edges = append(edges, degrees[(q*len(degrees)+userGroups-1)/userGroups-1])
	}
	rows := make([][]int, userGroups+1)
	for row, u := range r.Users {
		d, g := train.Degree(int(u)), 0
		if d > 0 {
			g, _ = slices.BinarySearch(edges, d) // edges below d
			g++
		}
		rows[g] = append(rows[g], row)
	}
	for g, members := range rows {
		if len(members) == 0 {
			continue
		}
		x := UserGroup{Name: groupName(g), Users: len(members), Metrics: map[string]float64{}}
		for n, row := range members {
			d := train.Degree(int(r.Users[row]))
			if n == 0 || d < x.Degrees[0] {
				x.Degrees[0] = d
			}
			x.Degrees[1] = max(x.Degrees[1], d)
		}
		for _, m := range r.Metrics {
			if m.PerUser == nil {
				continue
			}
			sum := 0.0
			for _, row := range members {
				sum += m.PerUser[row]
			}
			x.Metrics[m.Name] = sum / float64(len(members))
		}
		out = append(out, x)
	}
	return out
}

func groupName(g int) string {
	if g == 0 {
		return "cold"
	}
	return strconv.Itoa(g)
}
