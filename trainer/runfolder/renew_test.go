package runfolder

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// A run is begun anew, or removed, only where no other process has it; what is begun is locked at once, and has nothing of the former run.
func TestRenew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run")
	for range 2 { // where there is nothing, and where there is a run
		f, err := Renew(path, []byte("model: sgl\n"))
		if err != nil {
			t.Fatal(err)
		}
		if f.Has(Result) {
			t.Error("the former result is still there")
		}
		if err := f.Lock(); err != nil {
			t.Errorf("a lock that is held is not held: %v", err)
		}
		if err := f.WriteResult(1); err != nil {
			t.Fatal(err)
		}
		if err := WriteCheckpoint(f.File(LastCheckpoint), nil, nil); err != nil {
			t.Fatal(err)
		}
		if _, err := Renew(path, nil); !errors.Is(err, ErrLocked) {
			t.Errorf("a run that is being trained is begun anew: %v", err)
		}
		if err := Discard(path); !errors.Is(err, ErrLocked) {
			t.Errorf("a run that is being trained is removed: %v", err)
		}
		if again, err := Open(path); err != nil || !again.Has(Result) || !again.Has(LastCheckpoint) {
			t.Errorf("what was refused has changed the run (%v)", err)
		}
		if err := f.Unlock(); err != nil {
			t.Fatal(err)
		}
	}
	if err := Discard(path); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the removed run is there (%v)", err)
	}
	if _, err := Renew(filepath.Join(path, "run"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without the folder above: %v", err)
	}
}

// A folder that is not a run's can be locked too.
func TestLockFolder(t *testing.T) {
	path := t.TempDir()
	lock, err := LockFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := LockFolder(path); !errors.Is(err, ErrLocked) {
		t.Errorf("the second lock: %v", err)
	}
	if err := lock.Close(); err != nil {
		t.Fatal(err)
	}
	if lock, err = LockFolder(path); err != nil {
		t.Fatal(err)
	}
	lock.Close()
}
