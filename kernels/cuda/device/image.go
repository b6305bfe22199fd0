//go:build gpu && linux && amd64 && cgo

package device

import (
	"fmt"

	"gorgonia.org/cu"

	"nearfar/kernels/cuda/driver"
)

// image stands in for the compiled kernels: the emulated driver has them linked in.
const image = "\x7fELF"

// moduleOf is the module that a kernel is in; an image is loaded with the first of its kernels.
func (d *Device) moduleOf(kernel string) (cu.Module, error) {
	const name = "kernels"
	if m, ok := d.modules[name]; ok {
		return m, nil
	}
	m, err := cu.LoadData(image)
	if err != nil {
		return m, fmt.Errorf("the image %s: %w", name, driver.Call("cuModuleLoadData", err))
	}
	d.modules[name] = m
	return m, nil
}
