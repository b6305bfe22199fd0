package memory

import (
	"bytes"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
)

func available() int64 { return availableIn(os.DirFS("/")) }

// availableIn reads the files of a machine from its root. The kernel's estimate is of the whole machine: in a container the limit of a control
// group is what ends the process.
func availableIn(root fs.FS) int64 {
	left := field(read(root, "proc/meminfo"), "MemAvailable:") << 10
	for _, free := range groupsLeave(root) {
		if left == 0 || free < left {
			left = free
		}
	}
	return left
}

// A hierarchy is the names that a version of control groups gives its files.
type hierarchy struct{ mount, limit, usage, inactive string }

var (
	version1 = hierarchy{"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"}
	version2 = hierarchy{"sys/fs/cgroup", "memory.max", "memory.current", "inactive_file"}
)

// groupsLeave is what each limited control group leaves of its limit: the process's own and all above it, since each holds those below. Where a
// container sees its group as the root of the mount, the path that /proc names is not there, and the walk upwards ends at the group itself.
func groupsLeave(root fs.FS) (left []int64) {
	for line := range strings.Lines(string(read(root, "proc/self/cgroup"))) {
		// hierarchy-ID:controllers:path (man 7 cgroups); version 2 has ID 0 and no controllers.
		part := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(part) < 3 {
			continue
		}
		h := version2
		switch {
		case part[1] == "" && part[0] == "0":
		case strings.Contains(","+part[1]+",", ",memory,"):
			h = version1
		default:
			continue
		}
		for group := path.Clean("/" + part[2]); ; group = path.Dir(group) {
			if free, limited := h.leaves(root, path.Join(h.mount, group)); limited {
				left = append(left, free)
			}
			if group == "/" {
				break
			}
		}
	}
	return left
}

// leaves is the limit less what is used, and at least 1, since 0 is for not known. Inactive pages of files count as usage, but the kernel gives
// them up first: after a large file was read they may be most of it.
func (h hierarchy) leaves(root fs.FS, group string) (free int64, limited bool) {
	limit, err := strconv.ParseInt(strings.TrimSpace(string(read(root, path.Join(group, h.limit)))), 10, 64)
	if err != nil { // no such group, or "max"
		return 0, false
	}
	usage, err := strconv.ParseInt(strings.TrimSpace(string(read(root, path.Join(group, h.usage)))), 10, 64)
	if err != nil {
		return 0, false
	}
	usage -= min(usage, field(read(root, path.Join(group, "memory.stat")), h.inactive))
	return max(limit-usage, 1), true
}

// read is a file, and nothing where it cannot be read: what is not known limits nothing.
func read(root fs.FS, name string) []byte {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return nil
	}
	return text
}

// field is the number behind a name at the beginning of a line, 0 where there is none.
func field(text []byte, name string) int64 {
	for line := range bytes.Lines(text) {
		if words := strings.Fields(string(line)); len(words) > 1 && words[0] == name {
			n, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}
