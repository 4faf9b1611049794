package processes

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const mappings = `55d0c0a00000-55d0c0a28000 r--p 00000000 08:01 1310800                    /usr/sbin/sshd
55d0c0a28000-55d0c0ab0000 r-xp 00028000 08:01 1310800                    /usr/sbin/sshd
55d0c1f00000-55d0c1f21000 rw-p 00000000 00:00 0                          [heap]
7f0000000000-7f0000001000 r-xp 00000000 08:01 1310900                    /usr/lib/x86_64-linux-gnu/libcrypto.so.3 (deleted)
7f0000001000-7f0000002000 r--p 00000000 08:01 1310900                    /usr/lib/x86_64-linux-gnu/libcrypto.so.3 (deleted)
7f0000002000-7f0000003000 r--p 00000000 08:01 1310901                    /usr/lib/locale/locale-archive (deleted)
7f0000003000-7f0000004000 r-xp 00000000 08:01 1310902                    /opt/a file (deleted)
7f0000004000-7f0000005000 r-xp 00000000 08:01 1310903                    /opt/two\012lines (deleted)
7f0000005000-7f0000006000 r-xp 00000000 00:05 4                          /SYSV00000000 (deleted)
7f0000006000-7f0000007000 r-xp 00000000 00:01 5                          /memfd:jit (deleted)
7f0000007000-7f0000008000 r-xp 00000000 00:01 6                          /dev/zero (deleted)
7f0000008000-7f0000009000 r-xp 00000000 00:01 7                          /tmp/jit.so (deleted)
7f0000009000-7f000000a000 r-xp 00000000 08:01 8                          /home/x/orcexec.AbC123 (deleted)
7f000000a000-7f000000b000 r-xp 00000000 08:01 9                          /opt/real (deleted)
7f000000b000-7f000000c000 r-xp 00000000 08:01 0                          /opt/noinode (deleted)
ffffffffff600000-ffffffffff601000 --xp 00000000 00:00 0                  [vsyscall]
`

func TestOldMappings(t *testing.T) {
	there := func(path string) bool { return path == "/opt/real (deleted)" }
	old, err := Old(strings.NewReader(mappings), there)
	want := []string{"/opt/a file", "/opt/two\nlines", "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"}
	if d := cmp.Diff(want, old); d != "" || err != nil {
		t.Error(d, err)
	}
}

func TestUnitOfAProcess(t *testing.T) {
	for cgroup, want := range map[string]string{
		"0::/system.slice/ssh.service\n":                                              "ssh.service",
		"0::/user.slice/user-1000.slice/user@1000.service/app.slice/x.service\n":      "x.service",
		"0::/user.slice/user-0.slice/session-3.scope\n":                               "session-3.scope",
		"12:pids:/system.slice/wrong.service\n1:name=systemd:/system.slice/a.service": "a.service",
		"0::/init.scope\n": "init.scope", "": "", "0::/\n": "",
	} {
		if got := Unit(cgroup); got != want {
			t.Errorf("%q: %q, want %q", cgroup, got, want)
		}
	}
}

// TestAProcessWhoseFileIsReplacedIsFound runs a copy of a program and replaces it, as a packager does.
func TestAProcessWhoseFileIsReplacedIsFound(t *testing.T) {
	sleep, err := exec.LookPath("sleep")
	if err != nil {
		t.Skip("no sleep here")
	}
	b, err := os.ReadFile(sleep)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("/var", "pw") // what lies in temporary directories is ignored
	if err != nil {
		t.Skip("needs a directory outside /tmp: ", err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	name := filepath.Join(dir, "old\nname")
	if err := os.WriteFile(name, b, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(name, "60")
	if err := cmd.Start(); err != nil {
		t.Skip("cannot run a program there: ", err)
	}
	defer cmd.Wait()
	defer cmd.Process.Kill()
	find := func() *wire.Process {
		var out bytes.Buffer
		if err := Write(&out, "/proc"); err != nil {
			t.Fatal(err)
		}
		var r Report
		if err := wire.Decode(&out, wire.MaxDocument, &r); err != nil {
			t.Fatal(err)
		}
		for _, p := range r.Processes.Old {
			if p.ID == cmd.Process.Pid {
				return &p
			}
		}
		return nil
	}
	if p := find(); p != nil {
		t.Fatalf("before the upgrade: %+v", p)
	}
	if err := errors.Join(os.WriteFile(name+".new", b, 0o755), os.Rename(name+".new", name)); err != nil {
		t.Fatal(err)
	}
	p := find()
	quoted := strings.ReplaceAll(name, "\n", `\x0a`)
	if p == nil || len(p.Old) != 1 || p.Old[0].Path != quoted || p.Exe != quoted || p.UID != os.Getuid() || p.Name == "" {
		t.Errorf("after it: %+v", p)
	}
}

func FuzzOld(f *testing.F) {
	f.Add([]byte(mappings))
	f.Fuzz(func(t *testing.T, b []byte) {
		old, err := Old(bytes.NewReader(b), func(string) bool { return false })
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range old {
			if !strings.HasPrefix(name, "/") || strings.ContainsAny(text(name), "\n\x00\x1b") {
				t.Errorf("%q", name)
			}
		}
		Unit(string(b))
		uid(string(b))
	})
}
