package filetree

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A forged change time: content is changed below the file system, as root can with debugfs, so that size, times and inode stay.
// The incremental rescan cannot see it; the rotation does within its period, and says so.
func TestForgedTimesAreFoundByRotation(t *testing.T) {
	asRoot(t)
	if _, err := exec.LookPath("debugfs"); err != nil {
		t.Skip("no debugfs (e2fsprogs) here")
	}
	dir := t.TempDir()
	image, at := filepath.Join(dir, "image"), filepath.Join(dir, "at")
	call := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Skipf("%s %q: %v\n%s", name, args, err, out)
		}
	}
	build(t, dir, map[string]string{"image": "", "at/": ""})
	if err := os.Truncate(image, 16<<20); err != nil {
		t.Fatal(err)
	}
	call("mkfs.ext4", "-q", "-F", "-O", "^metadata_csum", image)
	call("mount", "-o", "loop", image, at)
	mounted := true
	unmount := func() {
		if mounted {
			call("umount", at)
		}
		mounted = false
	}
	t.Cleanup(unmount)
	files := map[string]string{"bin/tool": strings.Repeat("good", 3000)}
	for i := range 60 {
		files[fmt.Sprintf("lib/%d", i)] = strings.Repeat("same", 100+i)
	}
	build(t, at, files)
	start := time.Now().Add(time.Hour)
	o := Options{Start: start, Key: []byte("this host's own")}
	first := scan(t, at, o, nil)

	var st unix.Stat_t
	if err := unix.Stat(filepath.Join(at, "bin/tool"), &st); err != nil {
		t.Fatal(err)
	}
	unmount()
	out, err := exec.Command("debugfs", "-R", "blocks /bin/tool", image).Output()
	if err != nil {
		t.Fatal(err)
	}
	var block int64
	if _, err := fmt.Sscan(string(out), &block); err != nil {
		t.Fatalf("debugfs says %q: %v", out, err)
	}
	disk, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(1024)
	if b, err := exec.Command("debugfs", "-R", "stats", image).Output(); err == nil {
		for line := range strings.Lines(string(b)) {
			if v, ok := strings.CutPrefix(line, "Block size:"); ok {
				_, _ = fmt.Sscan(v, &size)
			}
		}
	}
	if _, err := disk.WriteAt([]byte("evil"), block*size); err != nil {
		t.Fatal(err)
	}
	disk.Close()
	call("mount", "-o", "loop", image, at)
	mounted = true
	if b, err := os.ReadFile(filepath.Join(at, "bin/tool")); err != nil || !strings.HasPrefix(string(b), "evil") {
		t.Fatalf("the forgery did not work: %.10q, %v", b, err)
	}
	var now unix.Stat_t
	if err := unix.Stat(filepath.Join(at, "bin/tool"), &now); err != nil || now.Ctim != st.Ctim || now.Mtim != st.Mtim || now.Size != st.Size {
		t.Fatalf("the forgery shows in the times: %v %v", now, st)
	}

	// The device's number may be another after mounting again: the forged state says what an unchanged one would.
	if now.Dev != st.Dev {
		t.Skip("the image came back under another device number")
	}
	at0 := o
	at0.Start = start.Add(time.Second)
	if s := scan(t, at, at0, first); s.Digest != first.Digest || s.Stats.Forged != 0 {
		t.Logf("found at once: its turn came in the first second")
	}
	prev, found, read, scans := first, -1, int64(0), 0
	for hour := 1; hour <= 7*24; hour++ {
		o.Start = start.Add(time.Duration(hour) * time.Hour)
		s := scan(t, at, o, prev)
		if read += s.Stats.Hashed; s.Stats.Forged > 0 && found < 0 {
			found = hour
			if s.Stats.Forged != 1 || s.Digest == first.Digest {
				t.Errorf("%d forged files, digest changed: %v", s.Stats.Forged, s.Digest != first.Digest)
			}
		}
		prev, scans = s, scans+1
	}
	if found < 0 {
		t.Error("a forged file was not found in a week of hourly scans")
	}
	if read != first.Stats.Bytes {
		t.Errorf("%d bytes were read in a week, want each of %d once", read, first.Stats.Bytes)
	}
	t.Logf("found by scan %d of %d", found, scans)

	o.Start, o.Again = start.Add(time.Minute), map[Inode]struct{}{{Dev: now.Dev, Ino: now.Ino}: {}}
	if s := scan(t, at, o, first); s.Stats.Forged != 1 {
		t.Error("a file that a transaction touches was not read again")
	}
}

func TestClocksThatJump(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"a": "1", "b/c": "22"})
	start := time.Now().Add(time.Hour)
	first := scan(t, root, Options{Start: start}, nil)
	for jump, want := range map[time.Duration]int64{0: 0, -time.Second: 3, -365 * 24 * time.Hour: 3, 7 * 24 * time.Hour: 3, 10 * 365 * 24 * time.Hour: 3} {
		if s := scan(t, root, Options{Start: start.Add(jump)}, first); s.Stats.Hashed != want || s.Digest != first.Digest || s.Stats.Forged != 0 {
			t.Errorf("clock jumped by %v: %d bytes read, want %d", jump, s.Stats.Hashed, want)
		}
	}
}

func TestReadable(t *testing.T) {
	for _, c := range []struct{ name, value, want string }{
		{"security.capability", "0100000200200000000000000000000000000000", "cap_net_raw=ep"},
		{"security.capability", "0000000300040000000000000000000000000000e8030000", "cap_net_bind_service=p in the namespace of user 1000"},
		{"security.capability", "00", "00"},
		{"system.posix_acl_access", "0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000400ffffffff",
			"user::rw-,user:1000:r--,group::r--,mask::r--,other::r--"},
		{"system.posix_acl_access", "02000000ff", "02000000ff"},
		{"user.note", "6f6b", `"ok"`},
		{"user.bad", "ff00", "ff00"},
	} {
		if got := Readable(c.name, c.value); got != c.want {
			t.Errorf("%s %s: %s, want %s", c.name, c.value, got, c.want)
		}
	}
}

func FuzzReadable(f *testing.F) {
	f.Add("security.capability", "0100000200200000000000000000000000000000")
	f.Add("system.posix_acl_access", "0200000001000600ffffffff")
	f.Fuzz(func(t *testing.T, name, value string) { Readable(name, value) })
}
