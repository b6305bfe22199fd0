//go:build !noasm

package ceiling

//go:generate go -C ../gen run ./ceiling -out ../ceiling/assembly_amd64.s -stubs ../ceiling/assembly_amd64.go -pkg ceiling

import "golang.org/x/sys/cpu"

// width is that of the widest register, in bytes; 0 where there is no loop for it.
func width() int {
	switch {
	case cpu.X86.HasAVX512F:
		return 64
	case cpu.X86.HasAVX2 && cpu.X86.HasFMA:
		return 32
	}
	return 0
}

func multiply(turns int) {
	if width() == 64 {
		fmaAVX512(turns)
	} else {
		fmaAVX2(turns)
	}
}

func read(p *byte, blocks int) {
	if width() == 64 {
		readAVX512(p, blocks)
	} else {
		readAVX2(p, blocks)
	}
}

func update(p *byte, blocks int) {
	if width() == 64 {
		updateAVX512(p, blocks)
	} else {
		updateAVX2(p, blocks)
	}
}
