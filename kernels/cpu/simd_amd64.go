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

// The sizes of a tile of C in registers, and the depth of a block: 256 rows of a 16-column panel of B are 16 KiB, which stay in the L1 cache
// while the tiles below each other pass over them; 64 columns are read from L2 once for 24 FMAs, in which time it has eight times as much.
const (
	tileRows  = 6
	tileCols  = 16
	wideCols  = 64
	tileDepth = 256
)

// multiplySIMD is multiply by gemm6x64, where the set has it, and gemm6x16; by gemm1x64 where there are fewer rows. The last rows and columns are
// computed in a tile that is moved back into the matrix, and only what is new is added.
func multiplySIMD(l level, c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow int, m, n, k int) {
	if wide := n &^ (wideCols - 1); m < tileRows && wide > 0 {
		for i := range m {
			for p := 0; p < k; p += tileDepth {
				for j := 0; j < wide; j += wideCols {
					gemm1x64(min(tileDepth, k-p), &a[i*aRow+p*aCol], 0, 4*aCol, &b[p*bRow+j], 4*bRow, &c[i*cRow+j], 0)
				}
			}
		}
		if wide == n {
			return
		}
		c, b, n = c[wide:], b[wide:], n-wide
	}
	if n < tileCols {
		multiplyNarrow(l, c, cRow, a, aRow, aCol, b, bRow, m, n, k)
		return
	}
	for p := 0; p < k; p += tileDepth {
		depth := min(tileDepth, k-p)
		for j := 0; j < n; {
			cols := tileCols
			if l >= avx512 && n-j >= wideCols {
				cols = wideCols
			}
			jj := min(j, n-cols)
			bAt := &b[p*bRow+jj]
			for i := 0; i < m; i += tileRows {
				if i+tileRows <= m && jj == j {
					gemmTile(cols, depth, &a[i*aRow+p*aCol], aRow, aCol, bAt, bRow, &c[i*cRow+j], cRow)
					continue
				}
				var t [tileRows * wideCols]float32
				ii, rows := max(0, min(i, m-tileRows)), min(tileRows, m-i)
				if m >= tileRows {
					gemmTile(cols, depth, &a[ii*aRow+p*aCol], aRow, aCol, bAt, bRow, &t[0], cols)
				} else {
					fewRows(t[:], cols, a[p*aCol:], aRow, aCol, bAt, bRow, m, depth)
				}
				for r := i; r < i+rows; r++ {
					addTo(c[r*cRow+j:][:jj+cols-j], t[(r-ii)*cols+j-jj:])
				}
			}
			j += cols
		}
	}
}

// gemmTile adds a product to a tile of C that is 16 or 64 wide.
func gemmTile(cols, k int, a *float32, aRow, aCol int, b *float32, bRow int, c *float32, cRow int) {
	if cols == wideCols {
		gemm6x64(k, a, 4*aRow, 4*aCol, b, 4*bRow, c, 4*cRow)
	} else {
		gemm6x16(k, a, 4*aRow, 4*aCol, b, 4*bRow, c, 4*cRow)
	}
}

// fewRows computes a tile of fewer rows than gemmTile has: each row six times.
func fewRows(t []float32, cols int, a []float32, aRow, aCol int, b *float32, bRow, m, depth int) {
	for r := range m {
		var one [tileRows * wideCols]float32
		gemmTile(cols, depth, &a[r*aRow], 0, aCol, b, bRow, &one[0], cols)
		copy(t[r*cols:], one[:cols])
	}
}

// multiplyNarrow is multiplySIMD for n < 16: B goes through a copy with zeros beside it.
func multiplyNarrow(l level, c []float32, cRow int, a []float32, aRow, aCol int, b []float32, bRow int, m, n, k int) {
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
			multiplySIMD(l, t[:], tileCols, a[i*aRow+p*aCol:], aRow, aCol, wide[:], tileCols, rows, tileCols, depth)
			for r := range rows {
				addTo(c[(i+r)*cRow:][:n], t[r*tileCols:])
			}
		}
	}
}

// expTile is the assembly of logits.fusedPowers: E[rows x cols] = 2^(A·B) for rows of expTileShape, cols in whole panels, k > 0. It returns the rows' sums.
func expTile(l level, k int, a, b []float32, cols int, e []float32, eRow int) (sums [maxTileRows]float32) {
	rows, width := expTileShape(l)
	_, _, _ = a[k*rows-1], b[k*cols-1], e[(rows-1)*eRow+cols-1]
	var lanes [maxTileRows * 16]float32
	if l >= avx512 {
		expTile12x32(k, &a[0], &b[0], cols/width, &e[0], 4*eRow, &lanes[0])
	} else {
		expTile6x16(k, &a[0], &b[0], cols/width, &e[0], 4*eRow, &lanes[0])
	}
	copy(sums[:], lanes[:])
	return sums
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
