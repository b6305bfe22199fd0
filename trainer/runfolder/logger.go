package runfolder

import (
	"fmt"
	"io"
	"os"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// NewLogger logs to a console for people, from the given level on, and appends everything, debug lines included, to a file as
// JSON lines. The console may be nil. Close the logger's file with the returned Closer after the last line.
func NewLogger(console io.Writer, level zapcore.Level, path string) (*zap.Logger, io.Closer, error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return nil, nil, fmt.Errorf("log: %w", err)
	}
	lines := zap.NewProductionEncoderConfig()
	lines.TimeKey = "time"
	lines.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	lines.EncodeDuration = zapcore.StringDurationEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(lines), zapcore.Lock(&logFile{File: file}), zapcore.DebugLevel)
	if console != nil {
		core = zapcore.NewTee(consoleCore(console, level), core)
	}
	return zap.New(core), file, nil
}

// logFile gives the error of a log that cannot be written once: zap would repeat it with every line.
type logFile struct {
	*os.File
	failed bool
}

func (l *logFile) Write(b []byte) (int, error) {
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
