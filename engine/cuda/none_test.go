//go:build !(gpu && linux && amd64 && cgo)

package cuda

import (
	"strings"
	"testing"
)

func TestWithoutTheTag(t *testing.T) {
	d, err := Open(0)
	if d != nil || err == nil || !strings.Contains(err.Error(), "make gpu") || !strings.Contains(Report(), "make gpu") {
		t.Errorf("device %v, error %v, report %q: want what to build", d, err, Report())
	}
}
