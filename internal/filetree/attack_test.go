package filetree

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func asRoot(t *testing.T) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
}

// A directory that is a symlink to secrets every other moment is never entered through the link.
func TestScanIsNotLedAstrayByASwap(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	build(t, outside, map[string]string{"stolen/file": "s"})
	build(t, root, map[string]string{"z/dir/inside": "1", "z/twin/inside": "2"})
	for i := range 200 { // work before z, so that the swap meets all moments
		build(t, root, map[string]string{fmt.Sprintf("a/%d", i): "x"})
	}
	link, dir, spare := filepath.Join(root, "z/link"), filepath.Join(root, "z/dir"), filepath.Join(root, "z/spare")
	if err := os.Symlink(filepath.Join(outside, "stolen"), link); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan bool)
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_ = os.Rename(dir, spare)
			_ = os.Symlink(filepath.Join(outside, "stolen"), dir)
			runtime.Gosched()
			_ = os.Remove(dir)
			_ = os.Rename(spare, dir)
		}
	}()
	for range 300 {
		for at, e := range list(t, scan(t, root, Options{}, nil)) {
			if strings.HasSuffix(at, "/file") {
				t.Fatalf("%s: the scan went through a symlink: %+v", at, e)
			}
		}
	}
	stop()
	<-done
}

// What is mounted during a scan belongs to the entry that says so.
func TestScanAndMounts(t *testing.T) {
	asRoot(t)
	root, data := t.TempDir(), t.TempDir()
	build(t, root, map[string]string{"memory/": "", "bound/": "", "kernel/": ""})
	build(t, data, map[string]string{"file": "1", "loop/": ""})
	mount := func(source, at, kind string, flags uintptr) {
		t.Helper()
		if err := unix.Mount(source, filepath.Join(root, at), kind, flags, ""); err != nil {
			t.Skip("cannot mount here:", err)
		}
		t.Cleanup(func() { _ = unix.Unmount(filepath.Join(root, at), unix.MNT_DETACH) })
	}
	mount("none", "memory", "tmpfs", 0)
	mount("none", "kernel", "proc", 0)
	mount(data, "bound", "", unix.MS_BIND)
	mount(root, "bound/loop", "", unix.MS_BIND) // the tree within itself
	got := list(t, scan(t, root, Options{}, nil))
	if got["/memory"].Note != Mount || got["/kernel"].Note != Mount {
		t.Errorf("memory %+v, kernel %+v", got["/memory"], got["/kernel"])
	}
	if got["/bound/file"].SHA256 == "" || got["/bound/loop/kernel"].Type != Dir || len(got) > 20 {
		t.Errorf("bind mounts: %d entries, file %+v", len(got), got["/bound/file"])
	}
}

func TestScanReadsWhatIsLargerThanItLooks(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"none": "", "end": "", "same": ""})
	const tera = 1 << 40
	write := func(name string, size int64, at ...int64) {
		t.Helper()
		f, err := os.Create(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := f.Truncate(size); err != nil {
			t.Skip("this file system has no sparse files of that size:", err)
		}
		for _, offset := range at {
			if _, err := f.WriteAt([]byte("hidden"), offset); err != nil {
				t.Fatal(err)
			}
		}
	}
	write("none", tera)
	write("end", tera, tera-6)
	write("same", tera, tera-6)
	f, err := os.OpenFile(filepath.Join(root, "same"), os.O_WRONLY, 0)
	if err == nil { // other blocks on disk, equal content
		_, err = f.WriteAt(make([]byte, 1<<20), 1<<30)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	s := scan(t, root, Options{}, nil)
	got := list(t, s)
	none, end, same := got["/none"], got["/end"], got["/same"]
	if none.Note != Sparse || none.Size != tera || none.SHA256 == end.SHA256 {
		t.Errorf("none %+v, end %+v", none, end)
	}
	if end.SHA256 != same.SHA256 {
		t.Error("equal content that lies differently on disk has another digest")
	}
	if s.Stats.Hashed > 8<<20 {
		t.Errorf("%d bytes were read of files that hold 1 MiB", s.Stats.Hashed)
	}
}

func TestScanReadsLinkedFilesOnce(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"a/0": strings.Repeat("x", 1<<20), "short": "y"})
	for i := 1; i < 50; i++ {
		if err := os.Link(filepath.Join(root, "a/0"), filepath.Join(root, fmt.Sprintf("a/%d", i))); err != nil {
			t.Fatal(err)
		}
	}
	s := scan(t, root, Options{Workers: 1}, nil)
	got := list(t, s)
	if s.Stats.Hashed != 1<<20+1 || s.Stats.Files != 51 || got["/a/49"].SHA256 != got["/a/0"].SHA256 || got["/a/7"].SHA256 == "" {
		t.Errorf("%d bytes read of %d files", s.Stats.Hashed, s.Stats.Files)
	}
}

// What may not be read is in the tree with the reason; this runs as nobody when the test is root.
func TestUnreadableIsToldWithItsReason(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"closed/file": "1", "mine": "2", "open": "3"})
	for name, mode := range map[string]os.FileMode{"closed": 0, "mine": 0} {
		if err := os.Chmod(filepath.Join(root, name), mode); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Join(root, "closed"), 0o700) })
	unprivileged(t, func() {
		got := list(t, scan(t, root, Options{Workers: 1}, nil))
		for _, at := range []string{"/closed", "/mine"} {
			if got[at].Note != Unreadable || got[at].Type == "" {
				t.Errorf("%s: %+v", at, got[at])
			}
		}
		if got["/open"].SHA256 == "" {
			t.Errorf("/open: %+v", got["/open"])
		}
	})
}

// unprivileged runs f where no permission is overlooked: as it is, or in a process of nobody.
func unprivileged(t *testing.T, f func()) {
	t.Helper()
	if os.Getuid() != 0 {
		f()
		return
	}
	if os.Getenv("FILETREE_AS_NOBODY") != "" {
		t.Fatal("still root")
	}
	dir, err := os.MkdirTemp("/tmp", "filetree-nobody-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	program, err := os.ReadFile("/proc/self/exe")
	if err == nil {
		err = os.WriteFile(filepath.Join(dir, "test"), program, 0o755)
	}
	if err == nil {
		err = os.Chmod(dir, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(filepath.Join(dir, "test"), "-test.run", "^"+t.Name()+"$")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "FILETREE_AS_NOBODY=1", "TMPDIR="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("as nobody: %v\n%s", err, out)
	}
}

func TestOneDirectoryWithAMillionFiles(t *testing.T) {
	const count = 1_000_000
	root, err := os.MkdirTemp("/dev/shm", "filetree-") // in memory: on a disk it takes a minute to make them
	if err != nil {
		t.Skip("no memory file system here:", err)
	}
	defer os.RemoveAll(root)
	fd, err := unix.Open(root, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Mkdirat(fd, "crowd", 0o755); err != nil {
		t.Fatal(err)
	}
	crowd, err := unix.Openat(fd, "crowd", unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(crowd)
	if err := unix.Mknodat(crowd, "0", unix.S_IFREG|0o644, 0); err != nil {
		t.Fatal(err)
	}
	build(t, root, map[string]string{"beside": "seen"})
	last := 0 // links: files without inodes of their own, renewed before an inode has too many
	for i := 1; i < count; i++ {
		if i%60_000 == 0 {
			if err := unix.Mknodat(crowd, fmt.Sprint(i), unix.S_IFREG|0o644, 0); err != nil {
				t.Fatal(err)
			}
			last = i
			continue
		}
		if err := unix.Linkat(crowd, fmt.Sprint(last), crowd, fmt.Sprint(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	got := list(t, scan(t, root, Options{}, nil))
	runtime.ReadMemStats(&after)
	t.Logf("%d names: %v, %d MiB allocated", count, time.Since(began).Round(time.Millisecond), (after.TotalAlloc-before.TotalAlloc)>>20)
	if got["/crowd"].Note != TooLarge || got["/beside"].SHA256 == "" {
		t.Errorf("crowd %+v, beside %+v", got["/crowd"], got["/beside"])
	}
	if used := after.TotalAlloc - before.TotalAlloc; used > 128<<20 {
		t.Errorf("%d bytes allocated", used)
	}
}

// Paths far beyond PATH_MAX (4,096 bytes) are reached name by name.
func TestPathsBeyondPathMax(t *testing.T) {
	root := t.TempDir()
	fd, err := unix.Open(root, unix.O_DIRECTORY|unix.O_RDONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("n", 254) + "\xff"
	const depth = 40
	for range depth {
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		next, err := unix.Openat(fd, name, unix.O_DIRECTORY|unix.O_RDONLY, 0)
		unix.Close(fd)
		if err != nil {
			t.Fatal(err)
		}
		fd = next
	}
	f, err := unix.Openat(fd, "end", unix.O_CREAT|unix.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(f)
	unix.Close(fd)
	s := scan(t, root, Options{}, nil)
	at := strings.Repeat("/"+Quote(name), depth) + "/end"
	if e := list(t, s)[at]; e.Type != File || e.SHA256 == "" || len(at) < 10_000 {
		t.Errorf("the file at the end of %d bytes of path: %+v", len(at), e)
	}
	if again := scan(t, root, Options{Start: time.Now().Add(time.Minute)}, s); again.Digest != s.Digest {
		t.Error("a rescan differs")
	}
}

// Special files are described and never opened: opening a pipe nobody writes would hang, opening this one would be told.
func TestSpecialFilesAreNotOpened(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"file": "1"})
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Getuid() == 0 {
		if err := unix.Mknod(filepath.Join(root, "terminal"), unix.S_IFCHR|0o600, int(unix.Mkdev(5, 0))); err != nil {
			t.Skip("cannot make devices here:", err)
		}
	}
	watch, err := unix.InotifyInit1(unix.IN_NONBLOCK | unix.IN_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(watch)
	if _, err := unix.InotifyAddWatch(watch, root, unix.IN_OPEN); err != nil {
		t.Fatal(err)
	}
	got := list(t, scan(t, root, Options{}, nil))
	events := make([]byte, 1<<16)
	n, _ := unix.Read(watch, events)
	if n <= 0 || !bytes.Contains(events[:n], []byte("file\x00")) {
		t.Error("the watch saw nothing")
	}
	if bytes.Contains(events[:n], []byte("pipe\x00")) || bytes.Contains(events[:n], []byte("terminal\x00")) {
		t.Error("a special file was opened")
	}
	if got["/pipe"].Type != Pipe || os.Getuid() == 0 && (got["/terminal"].Type != Char || got["/terminal"].Rdev == 0) {
		t.Errorf("pipe %+v, terminal %+v", got["/pipe"], got["/terminal"])
	}
}
