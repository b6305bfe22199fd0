//go:build !noasm

package cpu

//go:generate go -C gen run . -out ../assembly_amd64.s -stubs ../assembly_amd64.go -pkg cpu

import "golang.org/x/sys/cpu"

// detect asks the processor.
func detect() level {
	x := &cpu.X86
	switch {
	case !x.HasAVX2 || !x.HasFMA:
		return plain
	case !x.HasAVX512F || !x.HasAVX512BW || !x.HasAVX512DQ || !x.HasAVX512VL:
		return avx2
	}
	return avx512
}

// The size of a tile of C in registers, and the depth of a block: 256 rows of a 16-column panel of B are 16 KiB, which stay in
// the L1 cache while the tiles below each other pass over them.
const (
	tileRows  = 6
	tileCols  = 16
	tileDepth = 256
)

// multiplyAVX2 is multiply by gemm6x16. The last rows and columns are computed in a tile that is moved back into the matrix, and
// only what is new is added.
func multiplyAVX2(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow int, m, n, k int) {
	if n < tileCols {
		multiplyNarrow(c, cRow, a, aRow, aCol, b, bRow, m, n, k)
		return
	}
	for p := 0; p < k; p += tileDepth {
		depth := min(tileDepth, k-p)
		for j := 0; j < n; j += tileCols {
			jj := min(j, n-tileCols)
			bAt := &b[p*bRow+jj]
			for i := 0; i < m; i += tileRows {
				if i+tileRows <= m && jj == j {
					gemm6x16(depth, &a[i*aRow+p*aCol], 4*aRow, 4*aCol, bAt, 4*bRow, &c[i*cRow+j], 4*cRow)
					continue
				}
				var t [tileRows * tileCols]float32
				ii, rows := max(0, min(i, m-tileRows)), min(tileRows, m-i)
				if m >= tileRows {
					gemm6x16(depth, &a[ii*aRow+p*aCol], 4*aRow, 4*aCol, bAt, 4*bRow, &t[0], 4*tileCols)
				} else {
					fewRows(&t, a[p*aCol:], aRow, aCol, bAt, bRow, m, depth)
				}
				for r := i; r < i+rows; r++ {
					addTo(c[r*cRow+j:][:jj+tileCols-j], t[(r-ii)*tileCols+j-jj:])
				}
			}
		}
	}
}

// fewRows computes a tile of fewer rows than gemm6x16 has: each row six times.
func fewRows(t *[tileRows * tileCols]float32, a []float32, aRow, aCol int, b *float32, bRow, m, depth int) {
	for r := range m {
		var one [tileRows * tileCols]float32
		gemm6x16(depth, &a[r*aRow], 0, 4*aCol, b, 4*bRow, &one[0], 4*tileCols)
		copy(t[r*tileCols:], one[:tileCols])
	}
}

// multiplyNarrow is multiplyAVX2 for n < 16: B goes through a copy with zeros beside it.
func multiplyNarrow(c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow int, m, n, k int) {
	var wide [tileDepth * tileCols]float32
	var t [tileRows * tileCols]float32
	for p := 0; p < k; p += tileDepth {
		depth := min(tileDepth, k-p)
		for q := range depth {
			copy(wide[q*tileCols:], b[(p+q)*bRow:][:n])
		}
		for i := 0; i < m; i += tileRows {
			rows := min(tileRows, m-i)
			clear(t[:])
			multiplyAVX2(t[:], tileCols, a[i*aRow+p*aCol:], aRow, aCol, wide[:], tileCols, rows, tileCols, depth)
			for r := range rows {
				addTo(c[(i+r)*cRow:][:n], t[r*tileCols:])
			}
		}
	}
}

// exponentialsAVX2 is exponentials by expSum.
func exponentialsAVX2(x, bias []float32, scale, shift float32) float64 {
	n := len(x) &^ 7
	if n == 0 {
		return exponentialsPlain(x, bias, scale, shift)
	}
	if len(bias) > 0 {
		return float64(expSum(&x[0], n, &bias[0], 32, scale, shift)) + exponentialsPlain(x[n:], bias[n:], scale, shift)
	}
	var none [8]float32
	return float64(expSum(&x[0], n, &none[0], 0, scale, shift)) + exponentialsPlain(x[n:], nil, scale, shift)
}
