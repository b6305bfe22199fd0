//go:build gpu

package images

import (
	"embed"
	"sync"
)

//go:embed manifest *.fatbin
var files embed.FS

// fileOf is the image that each kernel is in, and first one of them.
var fileOf = sync.OnceValues(func() (of map[string]string, first string) {
	text, err := files.ReadFile("manifest")
	if err != nil {
		panic(err)
	}
	m, err := Parse(text)
	if err != nil {
		panic(err)
	}
	of = map[string]string{}
	for _, i := range m.Images {
		for _, k := range i.Kernels {
			of[k.Name] = i.Name
		}
	}
	return of, m.Images[0].Name
})

// Of is the name of the image that a kernel is in. For a kernel that none has, it is that of another: a GPU's driver then finds no such
// function, and the emulated driver, which has every kernel linked in, whatever the image, does. So new kernels can be tested before make
// images.
func Of(kernel string) string {
	of, first := fileOf()
	if name, ok := of[kernel]; ok {
		return name
	}
	return first
}

// Load is the image of a name, for cuModuleLoadData.
func Load(name string) string {
	b, err := files.ReadFile(name + ".fatbin")
	if err != nil {
		panic(err)
	}
	return string(b)
}
