package runfolder

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"slices"

	"nearfar/kernels"
)

const (
	checkpointMagic   = "NRFRCKPT"
	checkpointVersion = 1
	preambleSize      = 24
	dataAlignment     = 64
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// An Entry is one named tensor. Data is little-endian and row-major, Desc.Bytes() long.
type Entry struct {
	Name string
	Desc kernels.Desc
	Data []byte
}

type manifest struct {
	Header  json.RawMessage `json:"header"`
	Entries []manifestEntry `json:"entries"`
}

type manifestEntry struct {
	Name   string `json:"name"`
	Type   string `json:"dtype"`
	Shape  []int  `json:"shape"`
	Offset int64  `json:"offset"`
	Length int64  `json:"length"`
	CRC    uint32 `json:"crc32c"`
}

// WriteCheckpoint replaces path by a checkpoint. The header is any value JSON can hold. A crash at any moment leaves either the former file
// or the new one.
func WriteCheckpoint(path string, header any, entries []Entry) error {
	write, err := encodeCheckpoint(header, entries)
	if err != nil {
		return inFile(path, err)
	}
	return inFile(path, replaceFile(path, write, nil))
}

// WriteCheckpoint replaces one of the run's checkpoints. The last checkpoint's former file becomes the previous one: at every instant at least
// one of the two names holds a whole file.
func (f *Folder) WriteCheckpoint(name string, header any, entries []Entry) error {
	write, err := encodeCheckpoint(header, entries)
	if err != nil {
		return inFile(f.File(name), err)
	}
	if name != LastCheckpoint {
		return f.replace(name, write, nil)
	}
	return f.replace(name, write, func() error {
		err := os.Rename(f.File(LastCheckpoint), f.File(PreviousCheckpoint))
		if errors.Is(err, fs.ErrNotExist) { // the first one, or the former was set aside: what is previous stays so
			return nil
		}
		return err
	})
}

// ReadCheckpoint reads one of the run's checkpoints.
func (f *Folder) ReadCheckpoint(name string, header any) ([]Entry, error) {
	return ReadCheckpoint(f.File(name), header)
}

// encodeCheckpoint checks what is to be written and gives its writer.
func encodeCheckpoint(header any, entries []Entry) (write func(io.Writer) error, err error) {
	head, err := json.Marshal(header)
	if err != nil {
		return nil, fmt.Errorf("checkpoint header: %w", err)
	}
	m := manifest{Header: head, Entries: make([]manifestEntry, len(entries))}
	names := map[string]bool{}
	var offset int64
	for i, e := range entries {
		if err := checkEntry(e, names); err != nil {
			return nil, err
		}
		offset += padding(offset)
		length := int64(len(e.Data))
		m.Entries[i] = manifestEntry{e.Name, e.Desc.Type.String(), e.Desc.Shape(), offset, length, crc32.Checksum(e.Data, castagnoli)}
		offset += length
	}
	text, err := json.Marshal(m)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer) error { return writeCheckpoint(w, text, entries) }, nil
}

func writeCheckpoint(w io.Writer, manifest []byte, entries []Entry) error {
	total := crc32.New(castagnoli)
	buffered := bufio.NewWriterSize(w, 1<<20)
	out := io.MultiWriter(buffered, total)

	preamble := make([]byte, 0, preambleSize)
	preamble = append(preamble, checkpointMagic...)
	preamble = binary.LittleEndian.AppendUint32(preamble, checkpointVersion)
	preamble = binary.LittleEndian.AppendUint32(preamble, 0)
	preamble = binary.LittleEndian.AppendUint64(preamble, uint64(len(manifest)))
	var zeros [dataAlignment]byte
	pieces := [][]byte{preamble, manifest, zeros[:padding(preambleSize+int64(len(manifest)))]}
	var offset int64
	for _, e := range entries {
		pad := padding(offset)
		pieces = append(pieces, zeros[:pad], e.Data)
		offset += pad + int64(len(e.Data))
	}
	for _, piece := range pieces {
		if _, err := out.Write(piece); err != nil {
			return err
		}
	}
	if err := binary.Write(buffered, binary.LittleEndian, total.Sum32()); err != nil {
		return err
	}
	return buffered.Flush()
}

// ReadCheckpoint reads a checkpoint and decodes its header into what the pointer points to (nil: not wanted). Whatever is
// wrong with the file is a FileError; neither the header nor an entry is given out before every checksum was right.
func ReadCheckpoint(path string, header any) ([]Entry, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("checkpoint: %w", err)
	}
	head, entries, err := readCheckpoint(bufio.NewReaderSize(file, 1<<16), info.Size())
	if err != nil {
		return nil, inFile(path, err)
	}
	if header != nil {
		if err := json.Unmarshal(head, header); err != nil {
			return nil, &FileError{path, ErrFormat, "its header: " + err.Error()}
		}
	}
	return entries, nil
}

// readCheckpoint reads a file of the given size. Every length is compared with what is left of the file before it is used.
func readCheckpoint(r io.Reader, size int64) (json.RawMessage, []Entry, error) {
	total := crc32.New(castagnoli)
	in := io.TeeReader(r, total)

	var preamble [preambleSize]byte
	n, err := io.ReadFull(in, preamble[:])
	if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF { // the disk's fault, not the file's
		return nil, nil, err
	}
	if n < len(checkpointMagic) || string(preamble[:8]) != checkpointMagic {
		return nil, nil, faulty(ErrFormat, "a checkpoint begins with %q", checkpointMagic)
	}
	if err != nil || size < preambleSize+4 {
		return nil, nil, faulty(ErrTruncated, "%d bytes are less than a checkpoint's smallest size", size)
	}
	if v := binary.LittleEndian.Uint32(preamble[8:]); v != checkpointVersion {
		return nil, nil, faulty(ErrVersion, "version %d; this program reads %d", v, checkpointVersion)
	}
	length := binary.LittleEndian.Uint64(preamble[16:])
	if length > uint64(size-preambleSize-4) {
		return nil, nil, faulty(ErrTruncated, "its manifest takes %d bytes, the file has %d", length, size)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(in, text); err != nil {
		return nil, nil, err
	}
	var m manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, nil, faulty(ErrCorrupt, "manifest: %v", err)
	}
	start := preambleSize + int64(length)
	start += padding(start)
	descs, end, err := m.layout(size)
	if err != nil {
		return nil, nil, err
	}
	switch want := start + end + 4; {
	case size < want:
		return nil, nil, faulty(ErrTruncated, "%d bytes of %d", size, want)
	case size > want:
		return nil, nil, faulty(ErrCorrupt, "%d bytes where its manifest implies %d", size, want)
	}

	entries := make([]Entry, len(m.Entries))
	var damaged []string
	if _, err := io.CopyN(io.Discard, in, start-preambleSize-int64(length)); err != nil {
		return nil, nil, err
	}
	var offset int64
	for i, e := range m.Entries {
		if _, err := io.CopyN(io.Discard, in, e.Offset-offset); err != nil {
			return nil, nil, err
		}
		data := make([]byte, e.Length)
		if _, err := io.ReadFull(in, data); err != nil {
			return nil, nil, err
		}
		if crc32.Checksum(data, castagnoli) != e.CRC {
			damaged = append(damaged, e.Name)
		}
		entries[i] = Entry{e.Name, descs[i], data}
		offset = e.Offset + e.Length
	}
	if len(damaged) > 0 {
		return nil, nil, faulty(ErrCorrupt, "the checksums of %q differ", damaged)
	}
	computed := total.Sum32()
	var stored [4]byte
	if _, err := io.ReadFull(r, stored[:]); err != nil {
		return nil, nil, err
	}
	if s := binary.LittleEndian.Uint32(stored[:]); s != computed {
		return nil, nil, faulty(ErrCorrupt, "its checksum is %08x, its content gives %08x", s, computed)
	}
	return m.Header, entries, nil
}

// layout checks the manifest's entries and gives their descriptions and the size of the data, which is at most limit when err is nil.
func (m *manifest) layout(limit int64) (descs []kernels.Desc, end int64, err error) {
	names := make(map[string]bool, len(m.Entries))
	descs = make([]kernels.Desc, len(m.Entries))
	for i, e := range m.Entries {
		t, ok := dtypeNamed(e.Type)
		if !ok {
			return nil, 0, faulty(ErrCorrupt, "%q has the unknown dtype %q", e.Name, e.Type)
		}
		if names[e.Name] {
			return nil, 0, faulty(ErrCorrupt, "%q stands in the manifest twice", e.Name)
		}
		names[e.Name] = true
		var length int64
		if descs[i], length, err = describe(t, e.Shape); err != nil {
			return nil, 0, faulty(ErrCorrupt, "%q: %v", e.Name, err)
		}
		if length != e.Length {
			return nil, 0, faulty(ErrCorrupt, "%q has %d bytes, its shape %v of %s has %d", e.Name, e.Length, e.Shape, t, length)
		}
		end += padding(end)
		if e.Offset != end {
			return nil, 0, faulty(ErrCorrupt, "%q is at offset %d instead of %d", e.Name, e.Offset, end)
		}
		if length > limit-end {
			return nil, 0, faulty(ErrTruncated, "%q ends at offset %d of the data, the file has %d bytes", e.Name, end+length, limit)
		}
		end += length
	}
	return descs, end, nil
}

// padding is the number of bytes from an offset to the next multiple of dataAlignment.
func padding(offset int64) int64 { return -offset & (dataAlignment - 1) }

func dtypeNamed(name string) (kernels.DType, bool) {
	types := []kernels.DType{kernels.Float32, kernels.Float64, kernels.Int32, kernels.BFloat16}
	i := slices.IndexFunc(types, func(t kernels.DType) bool { return t.String() == name })
	if i < 0 {
		return 0, false
	}
	return types[i], true
}
