package engine_test

import (
	"strings"
	"testing"
)

func mustSay(t *testing.T, err error, want ...string) {
	t.Helper()
	for _, w := range want {
		if err == nil || !strings.Contains(err.Error(), w) {
			t.Errorf("the error is %v, want one with %q", err, w)
		}
	}
}
