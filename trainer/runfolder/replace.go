package runfolder

import "io"

// ReplaceFile writes a file through one beside it, which takes its place once it is whole and on the disk: neither an interruption nor a power failure
// leaves half of it. Where write fails, what was at path stays.
func ReplaceFile(path string, write func(io.Writer) error) error {
	return replaceFile(path, write, nil)
}
