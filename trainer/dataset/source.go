package dataset

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"unicode/utf8"
)

const (
	blockSize = 1 << 20
	// maxRecord bounds what one line may hold in memory: a LightGCN line of a user with two million items still fits.
	maxRecord = 16 << 20
)

// source is a file to read: its place in a file system, and the path that errors show.
type source struct {
	fsys        fs.FS
	name, shown string
	held        []byte // the content of what can be read only once, a pipe
}

// exists tells whether there is something to read.
func (s source) exists() bool { return s.name != "" }

func (s source) failed(err error) error { return fmt.Errorf("cannot read %s: %w", s.shown, err) }

// at is an error at a line of the file, which counts from 1.
func (s source) at(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", s.shown, line, fmt.Sprintf(format, args...))
}

// open returns the bytes of the file and their number.
func (s source) open() (io.ReadCloser, int64, error) {
	if s.held != nil {
		return heldReader{bytes.NewReader(s.held)}, int64(len(s.held)), nil
	}
	f, err := s.fsys.Open(s.name)
	if err != nil {
		return nil, 0, s.failed(err)
	}
	info, err := f.Stat()
	if err != nil {
		f.Close()
		return nil, 0, s.failed(err)
	}
	if info.IsDir() {
		f.Close()
		return nil, 0, fmt.Errorf("%s is a folder, a file of interactions is wanted", s.shown)
	}
	return f, info.Size(), nil
}

// opening returns at most n bytes from the beginning of a file, as they lie on the disk.
func (s source) opening(n int) ([]byte, error) {
	f, _, err := s.open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, n)
	read, err := io.ReadFull(f, b)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, s.failed(err)
	}
	return b[:read], nil
}

// watch is called with the bytes read of a file and its size.
type watch func(file string, done, size int64)

// text is the way in which a file's text is cut into blocks.
type text struct {
	quoted   bool // a record ends at a line end outside quotes, else at any
	anyBytes bool // what is not UTF-8 passes: the caller decodes it
	watch    watch
	read     func(block) // where not nil, is called after each block
}

// block is a piece of text that begins and ends between records.
type block struct {
	text []byte
	line int   // the number of its first line, from 1
	read int64 // bytes of the file up to here, and of what is read ahead
	size int64 // of the file; 0 where it is packed
	cut  bool  // the record at its end is longer than maxRecord and not whole
}

// blocks calls each with the text of a file, unpacked where it is gzip, without its byte order mark, block after block. A file that is
// empty or is not text is an error. One goroutine reads and verifies ahead; it has ended when blocks returns.
func (s source) blocks(ctx context.Context, how text, each func(block) error) error {
	f, size, err := s.open()
	if err != nil {
		return err
	}
	defer f.Close()
	reader := &blockReader{source: s, how: how, file: &counter{r: f}, size: size}
	ctx, cancel := context.WithCancel(ctx)
	type result struct {
		block
		err error
	}
	full, empty := make(chan result), make(chan []byte, 3)
	for range cap(empty) {
		empty <- nil
	}
	go func() {
		defer close(full)
		for {
			var r result
			select {
			case buffer := <-empty:
				r.block, r.err = reader.next(buffer)
			case <-ctx.Done():
				return
			}
			select {
			case full <- r:
				if r.err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	defer func() {
		cancel()
		for range full { // until the reader has ended: the file is closed next
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case r, ok := <-full:
			switch {
			case !ok:
				return ctx.Err()
			case errors.Is(r.err, io.EOF):
				return nil
			case r.err != nil:
				return r.err
			}
			if err := each(r.block); err != nil {
				return err
			}
			if how.read != nil {
				how.read(r.block)
			}
			if how.watch != nil {
				how.watch(s.shown, r.read, size)
			}
			empty <- r.text[:0]
		}
	}
}

// counter counts the bytes of a file as they are read.
type counter struct {
	r io.Reader
	n atomic.Int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// blockReader cuts a file into blocks.
type blockReader struct {
	source
	how  text
	file *counter
	size int64     // 0 where it is packed
	r    io.Reader // nil before the first block
	rest []byte    // of the record that the last block ended in
	line int       // of rest
	some bool      // something is not blank
	last bool      // the file has ended
}

// begin looks at the first bytes: a gzip stream is unpacked, a byte order mark is left out.
func (b *blockReader) begin() error {
	b.line = 1
	raw := bufio.NewReaderSize(b.file, min(blockSize/4, int(b.size)+1))
	b.r = raw
	magic, _ := raw.Peek(6)
	for _, other := range []struct{ magic, what string }{
		{"PK\x03\x04", "a zip archive, or a spreadsheet, which is one"}, {"\xfd7zXZ\x00", "xz"}, {"\x28\xb5\x2f\xfd", "zstd"}, {"7z\xbc\xaf\x27\x1c", "a 7z archive"},
	} {
		if bytes.HasPrefix(magic, []byte(other.magic)) {
			return fmt.Errorf("%s is %s: a data file is text, as it is or in gzip: unpack it, or export the table as CSV", b.shown, other.what)
		}
	}
	if bytes.HasPrefix(magic, []byte(gzipTag)) {
		unpacked, err := gzip.NewReader(raw)
		if err != nil {
			return b.broken(err)
		}
		raw = bufio.NewReader(unpacked)
		b.r, b.size = raw, 0
	}
	switch start, _ := raw.Peek(3); {
	case string(start) == "\xef\xbb\xbf":
		if _, err := raw.Discard(3); err != nil {
			return b.broken(err)
		}
	case len(start) >= 2 && (string(start[:2]) == "\xff\xfe" || string(start[:2]) == "\xfe\xff"):
		return b.at(1, "not text in UTF-8 but in UTF-16: save the file as UTF-8")
	}
	return nil
}

// broken says why the text ends before the file does.
func (b *blockReader) broken(err error) error {
	switch {
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%s is cut off: its gzip stream does not end; copy the file again", b.shown)
	case errors.Is(err, gzip.ErrChecksum), errors.Is(err, gzip.ErrHeader):
		return fmt.Errorf("%s is damaged: %w; copy the file again", b.shown, err)
	}
	return b.failed(err)
}

// next fills a buffer with the next block; io.EOF ends the file.
func (b *blockReader) next(buffer []byte) (block, error) {
	if b.r == nil {
		if err := b.begin(); err != nil {
			return block{}, err
		}
	}
	if buffer == nil {
		n := blockSize
		if b.size > 0 {
			n = int(min(blockSize, b.size+1)) // small files are many, and are read whole
		}
		buffer = make([]byte, 0, n)
	}
	buffer = append(buffer[:0], b.rest...)
	end, searched := 0, 0
	for end == 0 && !b.last && len(buffer) < maxRecord {
		if len(buffer) == cap(buffer) {
			buffer = append(make([]byte, 0, min(2*len(buffer), maxRecord)), buffer...)
		}
		var err error
		if buffer, err = b.fill(buffer); err != nil {
			return block{}, err
		}
		if b.how.quoted {
			end = recordsEnd(buffer)
		} else if line := bytes.LastIndexByte(buffer[searched:], '\n'); line >= 0 {
			end = searched + line + 1
		}
		searched = len(buffer)
	}
	x := block{line: b.line, read: b.file.n.Load(), size: b.size, cut: end == 0 && !b.last}
	if end == 0 || b.last {
		end = len(buffer)
	}
	x.text = buffer[:end]
	b.rest = append(b.rest[:0], buffer[end:]...)
	b.line += bytes.Count(x.text, []byte{'\n'})
	if len(x.text) == 0 {
		if !b.some {
			return block{}, fmt.Errorf("%s is empty", b.shown)
		}
		return block{}, io.EOF
	}
	b.some = b.some || len(bytes.TrimSpace(x.text)) > 0
	if err := b.verifyText(x); err != nil {
		return block{}, err
	}
	if x.cut && !b.how.quoted {
		return block{}, b.at(b.line, "a line longer than %d MB: this is no file of interactions", maxRecord>>20)
	}
	return x, nil
}

// fill reads until the buffer is full or the file has ended.
func (b *blockReader) fill(buffer []byte) ([]byte, error) {
	for len(buffer) < cap(buffer) {
		n, err := b.r.Read(buffer[len(buffer):cap(buffer)])
		buffer = buffer[:len(buffer)+n]
		if b.last = errors.Is(err, io.EOF); b.last {
			break
		}
		if err != nil {
			return nil, b.broken(err)
		}
	}
	return buffer, nil
}

// recordsEnd is the length of the whole records at the beginning of text: up to its last line end that an even number of quotes precedes.
func recordsEnd(text []byte) int {
	even := bytes.Count(text, []byte{'"'})%2 == 0
	for end := len(text); end > 0; {
		line := bytes.LastIndexByte(text[:end], '\n')
		if line < 0 {
			return 0
		}
		if bytes.Count(text[line:end], []byte{'"'})%2 == 1 {
			even = !even
		}
		if even {
			return line + 1
		}
		end = line
	}
	return 0
}

// verifyText refuses control characters and anything that is not UTF-8: a binary file, or UTF-16.
func (b *blockReader) verifyText(x block) error {
	line, ascii := x.line, true
	for i, c := range x.text {
		switch {
		case c == '\n':
			line++
		case c == '\r' && (i+1 == len(x.text) || x.text[i+1] == '\n'), c == '\t':
		case c < ' ' || c == 0x7f:
			if c == '\r' {
				return b.at(line, "not text: a carriage return that no newline follows; save the file with the line ends of Unix or Windows")
			}
			return b.at(line, "not text: it has the control character %#02x; a data file is UTF-8 text, as it is or in gzip", c)
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	if ascii || b.how.anyBytes || utf8.Valid(x.text) {
		return nil
	}
	for lines := x.lines(); lines.next(); {
		if !utf8.Valid(lines.line) {
			return b.at(lines.number, "not UTF-8 text: save the file as UTF-8")
		}
	}
	return nil
}

// lines walks over the lines of a block.
func (x block) lines() scanner { return scanner{rest: x.text, number: x.line - 1} }

// scanner walks over the lines that are not blank, without copying them.
type scanner struct {
	rest   []byte
	whole  []byte // the line without its end
	line   []byte // without the blanks at its ends
	number int    // of line, from 1
}

func (s *scanner) next() bool {
	for len(s.rest) > 0 {
		if end := bytes.IndexByte(s.rest, '\n'); end >= 0 {
			s.whole, s.rest = s.rest[:end], s.rest[end+1:]
		} else {
			s.whole, s.rest = s.rest, nil
		}
		if n := len(s.whole); n > 0 && s.whole[n-1] == '\r' {
			s.whole = s.whole[:n-1]
		}
		s.number++
		if s.line = trim(s.whole); len(s.line) > 0 {
			return true
		}
	}
	return false
}

// trim cuts blanks off both ends.
func trim(b []byte) []byte {
	for len(b) > 0 && isBlank(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isBlank(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' }
