package kernels

import "math"

// ToHalf rounds to the nearest IEEE 754 binary16, ties to even: 11 bits of significand, from 2^-24 to 65504. What is larger becomes infinite.
func ToHalf(f float32) uint16 {
	bits := math.Float32bits(f)
	sign, abs := uint16(bits>>16)&0x8000, bits&0x7fffffff
	switch {
	case abs > 0x7f800000:
		return sign | 0x7e00 // NaN
	case abs >= 0x47800000:
		return sign | 0x7c00 // from 2^16 on
	case abs < 0x38800000: // below 2^-14 the unit is 2^-24, as behind 0.5 in float32
		return sign | uint16(math.Float32bits(math.Float32frombits(abs)+.5)-math.Float32bits(.5))
	}
	const rebias = (127 - 15) << 23
	return sign | uint16((abs-rebias+0xfff+abs>>13&1)>>13) // a carry makes the next exponent, and the last one infinity
}

// HalfScale is the power of 2 by which numbers up to top, which is finite, are multiplied before ToHalf: the largest come below 2^15, if they are not below 2^-49. Gradients are as
// small as a batch is large, and would else lie where binary16 has few bits or none.
func HalfScale(top float64) float64 {
	if top == 0 {
		return 1
	}
	_, exponent := math.Frexp(top)
	return math.Ldexp(1, min(15-exponent, 64)) // its inverse times a weight is a float32 too
}

// FromHalf is the value of a binary16.
func FromHalf(h uint16) float32 {
	sign, abs := uint32(h&0x8000)<<16, uint32(h&0x7fff)<<13
	switch {
	case abs >= 0x7c00<<13: // infinite or NaN
		return math.Float32frombits(sign | 0x7f800000 | abs&0x7fffff)
	case abs < 1<<23: // below 2^-14
		return math.Float32frombits(sign | math.Float32bits(float32(abs>>13)*0x1p-24))
	}
	return math.Float32frombits(sign | abs + (127-15)<<23)
}
