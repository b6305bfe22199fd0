package trainer

import (
	"fmt"

	"nearfar/trainer/progress"
)

const (
	megabyte = 1 << 20
	// slowToRead is the size from which reading a file takes longer than a user waits without a sign of life.
	slowToRead = 100 * megabyte
)

// loading shows how far the reading of large files is.
type loading struct {
	console *progress.Console
	file    string
	shown   int64 // megabytes
	work    *progress.Work
}

// read is a dataset.Options.Progress.
func (l *loading) read(file string, done, size int64) {
	if l.console == nil || size < slowToRead {
		return
	}
	if l.work == nil || l.file != file {
		l.close()
		l.file, l.shown = file, 0
		l.work = l.console.Start(int(size/megabyte), fmt.Sprintf("reading %s, MB", file))
	}
	now := done / megabyte
	l.work.Step(int(now - l.shown))
	l.shown = now
}

func (l *loading) close() {
	if l.work != nil {
		l.work.Done()
		l.work = nil
	}
}
