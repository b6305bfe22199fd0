package memory

import (
	"runtime"
	"testing"
	"testing/fstest"
)

func TestAvailable(t *testing.T) {
	const meminfo = "MemTotal:       24641532 kB\nMemFree:          123456 kB\nMemAvailable:   20000000 kB\n"
	const machine = 20_000_000 << 10
	for _, c := range []struct {
		name  string
		files map[string]string
		want  int64
	}{
		{"nothing to read", nil, 0},
		{"no groups", map[string]string{"proc/meminfo": meminfo}, machine},
		{"an old kernel", map[string]string{"proc/meminfo": "MemTotal: 5 kB\n"}, 0},
		{"a number that is none", map[string]string{"proc/meminfo": "MemAvailable: many kB\n"}, 0},
		{"version 2, not limited", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/user.slice/a\n",
			"sys/fs/cgroup/user.slice/a/memory.max": "max\n", "sys/fs/cgroup/user.slice/a/memory.current": "500\n"}, machine},
		{"version 2, a container's own root", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "2000000000\n", "sys/fs/cgroup/memory.current": "500000000\n"}, 1_500_000_000},
		{"version 2, pages of files", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/\n",
			"sys/fs/cgroup/memory.max": "2000000000\n", "sys/fs/cgroup/memory.current": "1900000000\n",
			"sys/fs/cgroup/memory.stat": "anon 7\ninactive_anon 8\ninactive_file 1000000000\nactive_file 5\n"}, 1_100_000_000},
		{"version 2, the group above is the narrower", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a/b\n",
			"sys/fs/cgroup/a/b/memory.max": "9000\n", "sys/fs/cgroup/a/b/memory.current": "1000\n",
			"sys/fs/cgroup/a/memory.max": "9000\n", "sys/fs/cgroup/a/memory.current": "5000\n"}, 4000},
		{"version 2, above its limit", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "9000\n", "sys/fs/cgroup/a/memory.current": "9500\n"}, 1},
		{"a limit wider than the machine", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "0::/a\n",
			"sys/fs/cgroup/a/memory.max": "99000000000\n", "sys/fs/cgroup/a/memory.current": "5000\n"}, machine},
		{"version 1 beside version 2", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "5:cpu,memory:/job/x\n4:cpuset:/y\n0::/\n",
			"sys/fs/cgroup/memory/job/x/memory.limit_in_bytes": "3000000\n", "sys/fs/cgroup/memory/job/x/memory.usage_in_bytes": "2000000\n",
			"sys/fs/cgroup/memory/job/x/memory.stat":       "inactive_file 1\ntotal_inactive_file 500000\n",
			"sys/fs/cgroup/memory/y/memory.limit_in_bytes": "1\n", "sys/fs/cgroup/memory/y/memory.usage_in_bytes": "0\n"}, 1_500_000},
		{"version 1, the path is the host's", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/docker/0123\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "3000000\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000000\n"}, 2_000_000},
		{"version 1, no limit is a large number", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "4:memory:/\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n", "sys/fs/cgroup/memory/memory.usage_in_bytes": "1000000\n"}, machine},
		{"lines that are none", map[string]string{"proc/meminfo": meminfo, "proc/self/cgroup": "\nmemory\n0:\n"}, machine},
	} {
		root := fstest.MapFS{}
		for name, text := range c.files {
			root[name] = &fstest.MapFile{Data: []byte(text)}
		}
		if got := availableIn(root); got != c.want {
			t.Errorf("%s: %d bytes, want %d", c.name, got, c.want)
		}
	}
}

// TestAvailableHere: the files of the machine itself are found.
func TestAvailableHere(t *testing.T) {
	if n := Available(); n < 1<<20 {
		t.Errorf("%d bytes", n)
	}
}

func TestLacks(t *testing.T) {
	if n, lacks := Lacks(1); n == 0 || lacks {
		t.Errorf("a byte: %d available, lacks %v", n, lacks)
	}
	if n, lacks := Lacks(1 << 60); n == 0 || !lacks {
		t.Errorf("an exbibyte: %d available, lacks %v", n, lacks)
	}
}

// TestLacksGivesBackGarbage: memory that an earlier model had does not count against the next.
func TestLacksGivesBackGarbage(t *testing.T) {
	const size = 64 << 20
	garbage = make([]byte, size)
	for k := 0; k < size; k += 4096 {
		garbage[k] = 1
	}
	garbage = nil
	Lacks(1 << 60)
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	if kept := after.HeapSys - after.HeapReleased; kept > size/2 {
		t.Errorf("the heap keeps %d bytes of the system, with %d of garbage before", kept, size)
	}
}

var garbage []byte // on the heap for certain
