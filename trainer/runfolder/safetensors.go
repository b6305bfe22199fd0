package runfolder

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"

	"nearfar/kernels"
)

const (
	metadataKey       = "__metadata__"
	safetensorsHeader = 100 << 20 // the format's own limit is 100 MB
	safetensorsAlign  = 8
)

var safetensorsTypes = map[string]kernels.DType{"F32": kernels.Float32, "F64": kernels.Float64, "I32": kernels.Int32, "BF16": kernels.BFloat16}

type safetensorsEntry struct {
	Type    string   `json:"dtype"`
	Shape   []int    `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// WriteSafetensors replaces path by a safetensors file of float32, float64, int32 and bfloat16 tensors. The widest come first, so that every
// tensor is aligned to its elements; otherwise the order is kept.
func WriteSafetensors(path string, metadata map[string]string, tensors []Entry) error {
	write, err := encodeSafetensors(metadata, tensors)
	if err != nil {
		return inFile(path, err)
	}
	return inFile(path, replaceFile(path, write, nil))
}

// WriteSafetensors replaces one of the run's files as the function of that name does.
func (f *Folder) WriteSafetensors(name string, metadata map[string]string, tensors []Entry) error {
	write, err := encodeSafetensors(metadata, tensors)
	if err != nil {
		return inFile(f.File(name), err)
	}
	return f.replace(name, write, nil)
}

func encodeSafetensors(metadata map[string]string, tensors []Entry) (write func(io.Writer) error, err error) {
	tensors = slices.Clone(tensors)
	slices.SortStableFunc(tensors, func(a, b Entry) int { return cmp.Compare(b.Desc.Type.Size(), a.Desc.Type.Size()) })
	header, err := safetensorsHead(metadata, tensors)
	if err != nil {
		return nil, err
	}
	return func(w io.Writer) error {
		out := bufio.NewWriterSize(w, 1<<20)
		if err := binary.Write(out, binary.LittleEndian, uint64(len(header))); err != nil {
			return err
		}
		out.Write(header) // a bufio.Writer keeps its first error for Flush
		for _, e := range tensors {
			out.Write(e.Data)
		}
		return out.Flush()
	}, nil
}

// safetensorsHead writes the header's keys by hand, since a Go map would not keep the order of the data.
func safetensorsHead(metadata map[string]string, tensors []Entry) ([]byte, error) {
	var header bytes.Buffer
	member := func(key string, value any) error {
		if header.Len() > 1 {
			header.WriteByte(',')
		}
		name, err := json.Marshal(key)
		if err != nil {
			return err
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		header.Write(name)
		header.WriteByte(':')
		header.Write(text)
		return nil
	}
	header.WriteByte('{')
	if len(metadata) > 0 {
		if err := member(metadataKey, metadata); err != nil {
			return nil, err
		}
	}
	names := map[string]bool{metadataKey: true}
	var offset int64
	for _, e := range tensors {
		if err := checkEntry(e, names); err != nil {
			return nil, err
		}
		end := offset + int64(len(e.Data))
		if err := member(e.Name, safetensorsEntry{safetensorsName(e.Desc.Type), e.Desc.Shape(), [2]int64{offset, end}}); err != nil {
			return nil, err
		}
		offset = end
	}
	header.WriteByte('}')
	for header.Len()%safetensorsAlign != 0 {
		header.WriteByte(' ')
	}
	if header.Len() > safetensorsHeader {
		return nil, fmt.Errorf("safetensors header of %d bytes: the format allows %d", header.Len(), safetensorsHeader)
	}
	return header.Bytes(), nil
}

// ReadSafetensors reads a safetensors file: its metadata and its tensors in the order of their data. Tensors of other types
// than float32, float64, int32 and bfloat16 are refused by name. Whatever is wrong with the file is a FileError.
func ReadSafetensors(path string) (metadata map[string]string, tensors []Entry, err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("safetensors: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, nil, fmt.Errorf("safetensors: %w", err)
	}
	metadata, tensors, err = readSafetensors(bufio.NewReaderSize(file, 1<<16), info.Size())
	return metadata, tensors, inFile(path, err)
}

func readSafetensors(r io.Reader, size int64) (map[string]string, []Entry, error) {
	if size < 8 {
		return nil, nil, faulty(ErrTruncated, "%d bytes are less than the header's length", size)
	}
	var length uint64
	if err := binary.Read(r, binary.LittleEndian, &length); err != nil {
		return nil, nil, err
	}
	if length > safetensorsHeader {
		return nil, nil, faulty(ErrFormat, "a header of %d bytes is above the format's limit", length)
	}
	if int64(length) > size-8 {
		return nil, nil, faulty(ErrTruncated, "its header takes %d bytes, the file has %d", length, size)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, nil, err
	}
	if len(text) == 0 || text[0] != '{' {
		return nil, nil, faulty(ErrFormat, "its header does not begin with {")
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, nil, faulty(ErrCorrupt, "header: %v", err)
	}
	var metadata map[string]string
	if text, ok := members[metadataKey]; ok {
		if err := json.Unmarshal(text, &metadata); err != nil {
			return nil, nil, faulty(ErrCorrupt, "%s: %v", metadataKey, err)
		}
		delete(members, metadataKey)
	}
	tensors, err := safetensorsLayout(members, size-8-int64(length))
	if err != nil {
		return nil, nil, err
	}
	for i := range tensors {
		tensors[i].Data = make([]byte, tensors[i].Desc.Bytes())
		if _, err := io.ReadFull(r, tensors[i].Data); err != nil {
			return nil, nil, err
		}
	}
	return metadata, tensors, nil
}

// safetensorsLayout checks that the tensors fill the data without holes and gives them in its order, yet without their bytes.
func safetensorsLayout(members map[string]json.RawMessage, data int64) ([]Entry, error) {
	type placed struct {
		Entry
		offset, length int64
	}
	var all []placed
	for name, text := range members {
		var e safetensorsEntry
		if err := json.Unmarshal(text, &e); err != nil {
			return nil, faulty(ErrCorrupt, "tensor %q: %v", name, err)
		}
		t, ok := safetensorsTypes[e.Type]
		if !ok {
			return nil, faulty(ErrFormat, "tensor %q has dtype %q; this program reads F32, F64, I32 and BF16", name, e.Type)
		}
		desc, length, err := describe(t, e.Shape)
		if err != nil {
			return nil, faulty(ErrCorrupt, "tensor %q: %v", name, err)
		}
		if e.Offsets[0] < 0 || e.Offsets[1] < e.Offsets[0] || e.Offsets[1]-e.Offsets[0] != length {
			return nil, faulty(ErrCorrupt, "tensor %q has data_offsets %v for %d bytes", name, e.Offsets, length)
		}
		all = append(all, placed{Entry{Name: name, Desc: desc}, e.Offsets[0], length})
	}
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.offset, b.offset), cmp.Compare(a.length, b.length), cmp.Compare(a.Name, b.Name))
	})
	tensors := make([]Entry, len(all))
	var end int64
	for i, p := range all {
		if p.offset != end {
			return nil, faulty(ErrCorrupt, "tensor %q is at offset %d instead of %d", p.Name, p.offset, end)
		}
		if p.length > data-end {
			return nil, faulty(ErrTruncated, "tensor %q ends at offset %d of %d", p.Name, end+p.length, data)
		}
		end += p.length
		tensors[i] = p.Entry
	}
	if end != data {
		return nil, faulty(ErrCorrupt, "%d bytes behind the last tensor", data-end)
	}
	return tensors, nil
}

func safetensorsName(t kernels.DType) string {
	for name, u := range safetensorsTypes {
		if u == t {
			return name
		}
	}
	return ""
}
