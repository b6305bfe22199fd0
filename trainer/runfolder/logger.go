package runfolder

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger logs to a console for people, from the given level on, and appends everything, debug lines included, to a file as
// JSON lines. The console may be nil. Close the logger's file with the returned Closer after the last line.
func NewLogger(console io.Writer, level zapcore.Level, path string) (*zap.Logger, io.Closer, error) {
	file, err := openLog(path)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	lines := zap.NewProductionEncoderConfig()
	lines.TimeKey = "time"
	lines.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	lines.EncodeDuration = zapcore.StringDurationEncoder
	log := &logFile{File: file, path: path}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(lines), zapcore.Lock(log), zapcore.DebugLevel)
	if console != nil {
		core = zapcore.NewTee(consoleCore(console, level), core)
	}
	return zap.New(core), log, nil
}

func openLog(path string) (*os.File, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
}

// logFile gives the error of a log that cannot be written once, where zap would repeat it with every line, and begins a new file where the former one
// was removed.
type logFile struct {
	*os.File
	path   string
	failed bool
}

func (l *logFile) Write(b []byte) (int, error) {
	if _, err := os.Stat(l.path); errors.Is(err, fs.ErrNotExist) {
		if file, err := openLog(l.path); err == nil { // else its folder is gone too, and may be made again
			l.File.Close()
			l.File = file
		}
	}
	n, err := l.File.Write(b)
	again := err != nil && l.failed
	l.failed = err != nil
	if again {
		return len(b), nil
	}
	return n, err
}

// NewLogger logs to the console and to the run's log.jsonl.
func (f *Folder) NewLogger(console io.Writer, level zapcore.Level) (*zap.Logger, io.Closer, error) {
	return NewLogger(console, level, f.File(LogFile))
}

// NewConsoleLogger logs to a console alone, for commands that make no run.
func NewConsoleLogger(console io.Writer, level zapcore.Level) *zap.Logger {
	return zap.New(consoleCore(console, level))
}

// consoleCore writes "15:04:05  warn  message  {fields}".
func consoleCore(w io.Writer, level zapcore.Level) zapcore.Core {
	human := zap.NewDevelopmentEncoderConfig()
	human.EncodeTime = zapcore.TimeEncoderOfLayout("15:04:05")
	human.EncodeLevel = zapcore.LowercaseLevelEncoder
	human.EncodeDuration = zapcore.StringDurationEncoder
	human.ConsoleSeparator = "  "
	return zapcore.NewCore(zapcore.NewConsoleEncoder(human), zapcore.Lock(zapcore.AddSync(w)), level)
}
