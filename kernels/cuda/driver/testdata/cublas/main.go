//go:build gpu

// Command cublas is a program with gorgonia.org/cu/blas, for a test of package driver: it prints the product of (1, 2, 3) and (4, 5, 6).
package main

import (
	"fmt"
	"log"

	cublas "gorgonia.org/cu/blas"

	"nearfar/kernels/cuda/driver"
)

func main() {
	if err := driver.OpenBLAS(); err != nil {
		log.Fatal(err)
	}
	blas := cublas.New()
	defer blas.Close()
	fmt.Println(blas.Sdot(3, []float32{1, 2, 3}, 1, []float32{4, 5, 6}, 1))
}
