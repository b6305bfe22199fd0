//go:build gpu && linux && amd64 && cgo

package device

import (
	"fmt"

	"gorgonia.org/cu"

	"nearfar/kernels/cuda/driver"
	"nearfar/kernels/cuda/images"
)

// moduleOf is the module that a kernel is in; an image is loaded with the first of its kernels.
func (d *Device) moduleOf(kernel string) (cu.Module, error) {
	name := images.Of(kernel)
	if m, ok := d.modules[name]; ok {
		return m, nil
	}
	m, err := cu.LoadData(images.Load(name))
	if err != nil {
		return m, fmt.Errorf("the image %s.fatbin: %w", name, driver.Call("cuModuleLoadData", err))
	}
	d.modules[name] = m
	return m, nil
}
