package evaluate

import (
	"fmt"
	"math"

	"nearfar/kernels/philox"
	"nearfar/trainer/dataset"
)

// A Table is n embeddings of d numbers, Data [n, d].
type Table struct {
	Data []float32
	N, D int
}

// Geometry describes embeddings on the unit sphere (Wang and Isola, ICML 2020; for recommenders Wang et al., DirectAU, KDD 2022).
// Every row x is divided by its norm first; a row of zeros stays one.
type Geometry struct {
	Alignment      float64 // mean |x_u - x_i|² over the positive pairs (u, i): 0 where a user sits on its items
	UserUniformity float64 // log mean exp(-2|x-y|²) over random pairs of rows: 0 collapsed, towards -4 spread out
	ItemUniformity float64
	UserCosine     float64 // mean cosine over all pairs of rows: 1 collapsed, about 0 spread out
	ItemCosine     float64
}

// uniformityPairs is the sample behind the uniformity: a standard error of about .005 for random directions in 64 dimensions.
const uniformityPairs = 10_000

// Measure computes the geometry of user and item embeddings of one dimension; users x items are those of positives. A number that
// is not finite is an error that names the row.
func Measure(users, items Table, positives *dataset.Interactions, seed uint64) (Geometry, error) {
	if users.D != items.D {
		return Geometry{}, fmt.Errorf("evaluate: users have %d dimensions, items %d", users.D, items.D)
	}
	if users.N != positives.Users() || items.N != positives.Items {
		return Geometry{}, fmt.Errorf("evaluate: tables of %d users and %d items, interactions of %d and %d", users.N, items.N, positives.Users(), positives.Items)
	}
	if positives.Len() == 0 {
		return Geometry{}, fmt.Errorf("evaluate: alignment needs positive pairs, and there are none")
	}
	x, err := normalise("user", users)
	if err != nil {
		return Geometry{}, err
	}
	y, err := normalise("item", items)
	if err != nil {
		return Geometry{}, err
	}
	return Geometry{
		Alignment:      alignment(x, y, positives),
		UserUniformity: uniformity(x, philox.New(seed, "evaluate/uniformity/users")),
		ItemUniformity: uniformity(y, philox.New(seed, "evaluate/uniformity/items")),
		UserCosine:     meanCosine(x),
		ItemCosine:     meanCosine(y),
	}, nil
}

func (t Table) row(i int) []float32 { return t.Data[i*t.D : (i+1)*t.D] }

// normalise is a copy of the table with rows of norm 1.
func normalise(what string, t Table) (Table, error) {
	if t.N < 2 || t.D < 1 || len(t.Data) != t.N*t.D {
		return Table{}, fmt.Errorf("evaluate: %s table of %d x %d with %d numbers: want at least two rows, and rows x columns numbers", what, t.N, t.D, len(t.Data))
	}
	n := Table{Data: make([]float32, len(t.Data)), N: t.N, D: t.D}
	for i := range t.N {
		row, sum := t.row(i), 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) {
			return Table{}, fmt.Errorf("evaluate: the embedding of %s %d is not finite", what, i)
		}
		if sum == 0 {
			continue
		}
		scale := 1 / math.Sqrt(sum)
		for k, v := range row {
			n.Data[i*t.D+k] = float32(float64(v) * scale)
		}
	}
	return n, nil
}

func squaredDistance(a, b []float32) float64 {
	sum := 0.0
	for k, v := range a {
		d := float64(v) - float64(b[k])
		sum += d * d
	}
	return sum
}

func alignment(users, items Table, positives *dataset.Interactions) float64 {
	sum := 0.0
	for u := range users.N {
		x := users.row(u)
		for _, i := range positives.Of(u) {
			sum += squaredDistance(x, items.row(int(i)))
		}
	}
	return sum / float64(positives.Len())
}

// uniformity samples pairs of two different rows.
func uniformity(t Table, draws philox.Stream) float64 {
	sum := 0.0
	for k := range uint32(uniformityPairs) {
		w := draws.At(0, k, 0)
		i, j := philox.Below(w[0], t.N), philox.Below(w[1], t.N-1)
		if j >= i {
			j++
		}
		sum += math.Exp(-2 * squaredDistance(t.row(i), t.row(j)))
	}
	return math.Log(sum / uniformityPairs)
}

// meanCosine over all i != j needs no pairs: sum_{i,j} x_i·x_j = |sum_i x_i|², less the diagonal.
func meanCosine(t Table) float64 {
	total, diagonal := make([]float64, t.D), 0.0
	for i := range t.N {
		for k, v := range t.row(i) {
			total[k] += float64(v)
			diagonal += float64(v) * float64(v)
		}
	}
	sum := -diagonal
	for _, v := range total {
		sum += v * v
	}
	return sum / (float64(t.N) * float64(t.N-1))
}
