package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestVersions(t *testing.T) {
	for _, test := range []struct {
		name, membership string
		files            map[string]string
		kills, usage     uint64
		limit            uint64
		limitErr         error
	}{
		{
			name: "v2, namespace of its own", membership: "0::/\n",
			files: map[string]string{
				"memory.events": "low 0\nhigh 0\nmax 5\noom 2\noom_kill 3\noom_group_kill 0\n", "memory.current": "1000\n", "memory.max": "max\n",
			},
			kills: 3, usage: 1000, limitErr: ErrNoLimit,
		},
		{
			name: "v2, the host's namespace", membership: "0::/kubepods/pod1/c1\n",
			files: map[string]string{
				"kubepods/pod1/c1/memory.events": "oom_kill 1\n", "kubepods/pod1/c1/memory.current": "7", "kubepods/pod1/c1/memory.max": "2048\n",
			},
			kills: 1, usage: 7, limit: 2048,
		},
		{
			name: "v2, a group within one that has less", membership: "0::/pod/c1/nested\n",
			files: map[string]string{
				"pod/c1/nested/memory.events": "oom_kill 0\n", "pod/c1/nested/memory.current": "7", "pod/c1/nested/memory.max": "max\n",
				"pod/c1/memory.max": "4096\n", "pod/memory.max": "2048\n",
			},
			usage: 7, limit: 2048,
		},
		{
			name: "v1, a group within one that has more", membership: "3:memory:/c1/nested\n",
			files: map[string]string{
				"memory/c1/nested/memory.oom_control": "oom_kill 0\n", "memory/c1/nested/memory.usage_in_bytes": "7",
				"memory/c1/nested/memory.limit_in_bytes": "1024\n", "memory/c1/memory.limit_in_bytes": "4096\n",
				"memory/memory.limit_in_bytes": "9223372036854771712\n",
			},
			usage: 7, limit: 1024,
		},
		{
			name: "v1, the path is the host's", membership: "9:pids:/a\n8:cpu,memory:/docker/c1\n0::/x\n",
			files: map[string]string{
				"memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4\n", "memory/memory.usage_in_bytes": "9\n",
				"memory/memory.limit_in_bytes": "9223372036854771712\n",
			},
			kills: 4, usage: 9, limitErr: ErrNoLimit,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := tree(t, test.files)
			membership := filepath.Join(t.TempDir(), "cgroup")
			if err := os.WriteFile(membership, []byte(test.membership), 0o644); err != nil {
				t.Fatal(err)
			}
			m, err := find(membership, root)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := m.OOMKills(); err != nil || got != test.kills {
				t.Errorf("kills: %d, %v, want %d", got, err, test.kills)
			}
			if got, err := m.Usage(); err != nil || got != test.usage {
				t.Errorf("usage: %d, %v, want %d", got, err, test.usage)
			}
			if got, err := m.Limit(); !errors.Is(err, test.limitErr) || got != test.limit {
				t.Errorf("limit: %d, %v, want %d, %v", got, err, test.limit, test.limitErr)
			}
		})
	}
}

func TestNone(t *testing.T) {
	membership := filepath.Join(t.TempDir(), "cgroup")
	if err := os.WriteFile(membership, []byte("0::/\nnonsense\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := find(membership, t.TempDir()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no controller: %v", err)
	}
	// Kernels before 4.13 do not count.
	root := tree(t, map[string]string{"memory.events": "oom 1\n"})
	if _, err := find(membership, root); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no count: %v", err)
	}
}
