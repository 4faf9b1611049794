package filetree

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// build makes a tree: a path that ends in "/" is a directory, "path -> target" a symlink, anything else a file whose
// content is the value.
func build(t *testing.T, root string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		p := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		switch target, isLink := strings.CutPrefix(content, "-> "); {
		case strings.HasSuffix(name, "/"):
			err = os.MkdirAll(p, 0o755)
		case isLink:
			err = os.Symlink(target, p)
		default:
			err = os.WriteFile(p, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func scan(t *testing.T, root string, o Options, prev *State) *State {
	t.Helper()
	if o.Start.IsZero() {
		o.Start = time.Now()
	}
	s, err := Scan(context.Background(), root, o, prev)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// list gives all entries of a state by path.
func list(t *testing.T, s *State) map[string]Entry {
	t.Helper()
	changes, err := Diff(context.Background(), s, "", s.Digest)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Entry{}
	for _, c := range changes {
		out[c.Path] = *c.After
	}
	return out
}

func TestScanDescribesEveryKind(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{
		"etc/passwd": "keeper:x:4242:4343::/:/bin/false\nlater:x:4242:1::/:\n",
		"etc/group":  "wardens:x:4343:\n",
		"empty":      "",
		"dir/":       "",
		"link":       "-> ../no\nwhere",
		"odd\xff\n":  "x",
		`back\slash`: "y",
	})
	if err := syscall.Mkfifo(filepath.Join(root, "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(root, "empty"), 0o4711|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	got := list(t, scan(t, root, Options{}, nil))
	for path, want := range map[string]Entry{
		"/empty":       {Type: File, Mode: 0o4711, SHA256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		"/link":        {Type: Symlink, Mode: 0o777, Target: `../no\x0awhere`},
		"/pipe":        {Type: Pipe, Mode: 0o600},
		"/dir":         {Type: Dir, Mode: 0o755},
		`/odd\xff\x0a`: {Type: File, Mode: 0o644, Size: 1, SHA256: "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"},
		`/back\\slash`: {Type: File, Mode: 0o644, Size: 1, SHA256: "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa"},
	} {
		e, ok := got[path]
		if !ok {
			t.Errorf("%s: not in the tree", path)
		}
		e.UID, e.GID, e.Name, e.Tree, e.User, e.Group = 0, 0, "", "", "", ""
		if d := cmp.Diff(want, e); d != "" {
			t.Errorf("%s: %s", path, d)
		}
	}
	if os.Getuid() != 0 {
		return
	}
	if err := os.Chown(filepath.Join(root, "empty"), 4242, 4343); err != nil {
		t.Fatal(err)
	}
	if err := unix.Setxattr(filepath.Join(root, "dir"), "user.seal", []byte("ok"), 0); err != nil {
		t.Skip("this file system has no extended attributes:", err)
	}
	got = list(t, scan(t, root, Options{}, nil))
	if e := got["/empty"]; e.User != "keeper" || e.Group != "wardens" {
		t.Errorf("owner of /empty: %s:%s, want keeper:wardens", e.User, e.Group)
	}
	if d := cmp.Diff(map[string]string{"user.seal": "6f6b"}, got["/dir"].Xattrs); d != "" {
		t.Error(d)
	}
}

func TestScanEqualsReadingEveryFile(t *testing.T) {
	root := "/usr/share/doc"
	if _, err := os.Stat(root); err != nil {
		t.Skip("no", root)
	}
	got := list(t, scan(t, root, Options{Workers: 3}, nil))
	seen := 0
	err := filepath.Walk(root, func(p string, info os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		seen++
		e := got[Quote("/"+strings.TrimPrefix(strings.TrimPrefix(p, root), "/"))]
		if e.Mode != uint32(info.Mode().Perm()) {
			t.Errorf("%s: mode %o, want %o", p, e.Mode, info.Mode().Perm())
		}
		if info.Mode().IsRegular() {
			b, err := os.ReadFile(p)
			if sum := sha256.Sum256(b); err != nil || e.SHA256 != hex.EncodeToString(sum[:]) || e.Size != int64(len(b)) {
				t.Errorf("%s: digest %s, size %d: differs from the file", p, e.SHA256, e.Size)
			}
		}
		return nil
	})
	if err != nil || seen != len(got) {
		t.Errorf("walk met %d paths, the scan %d (%v)", seen, len(got), err)
	}
}

func TestRescanReadsOnlyWhatChanged(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"a/one": "1", "a/two": "22", "b/three": "333", "etc/passwd": "r:x:0:0\n"})
	now := time.Now().Add(time.Minute) // as if the files were old
	first := scan(t, root, Options{Start: now}, nil)
	again := scan(t, root, Options{Start: now}, first)
	if again.Stats.Hashed != 0 || again.Digest != first.Digest {
		t.Errorf("unchanged tree: %d bytes hashed, digest %s, want 0 and %s", again.Stats.Hashed, again.Digest, first.Digest)
	}
	build(t, root, map[string]string{"a/two": "2!", "a/four": "4444"})
	again = scan(t, root, Options{Start: now}, again)
	fresh := scan(t, root, Options{Start: now}, nil)
	if again.Stats.Hashed != 6 || again.Digest != fresh.Digest {
		t.Errorf("two changes: %d bytes hashed, digest %s, want 6 and %s", again.Stats.Hashed, again.Digest, fresh.Digest)
	}
	build(t, root, map[string]string{"etc/passwd": "q:x:0:0\n"})
	again = scan(t, root, Options{Start: now}, again)
	if fresh = scan(t, root, Options{Start: now}, nil); again.Digest != fresh.Digest {
		t.Error("after an account got another name the rescan differs from a fresh scan")
	}
}

func TestRescanDistrustsChangesNearTheLastScan(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"file": "old"})
	info, err := os.Stat(filepath.Join(root, "file"))
	if err != nil {
		t.Fatal(err)
	}
	changed := time.Unix(0, info.Sys().(*syscall.Stat_t).Ctim.Nano())
	for age, want := range map[time.Duration]int64{0: 3, 10 * time.Millisecond: 3, 11 * time.Millisecond: 0} {
		first := scan(t, root, Options{Start: changed.Add(age)}, nil)
		if got := scan(t, root, Options{Start: changed.Add(time.Second)}, first).Stats.Hashed; got != want {
			t.Errorf("file changed %v before the scan: %d bytes hashed again, want %d", age, got, want)
		}
	}
}

func TestScanLeavesGapsInSight(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"run/secret": "1", "keep/run/x": "2", "spool/file": "3"})
	deep := strings.Repeat("d/", MaxDepth+3)
	build(t, root, map[string]string{deep + "x": "deep"})
	s := scan(t, root, Options{Policy: Policy{Excluded: []string{"/run", "/spool/file"}}}, nil)
	got := list(t, s)
	if _, ok := got["/run/secret"]; ok || got["/run"].Note != Excluded || got["/spool/file"].Note != Excluded || got["/spool/file"].SHA256 != "" {
		t.Errorf("excluded: %+v %+v", got["/run"], got["/spool/file"])
	}
	if got["/keep/run/x"].SHA256 == "" {
		t.Error("an exclusion holds for its full path only")
	}
	if e := got["/"+strings.TrimSuffix(strings.Repeat("d/", MaxDepth+1), "/")]; e.Note != TooDeep {
		t.Errorf("directory below MaxDepth: %+v", e)
	}
	if s.Stats.Gaps != 3 {
		t.Errorf("%d gaps, want 3", s.Stats.Gaps)
	}
}

func TestScanDoesNotFollowLinks(t *testing.T) {
	root, outside := t.TempDir(), t.TempDir()
	build(t, outside, map[string]string{"secret": "s"})
	build(t, root, map[string]string{"way": "-> " + outside})
	if got := list(t, scan(t, root, Options{}, nil)); len(got) != 2 {
		t.Errorf("entries %v, want the root and the link", got)
	}
}

func TestScanStopsWithItsContext(t *testing.T) {
	ctx, stop := context.WithCancel(context.Background())
	stop()
	root := t.TempDir()
	build(t, root, map[string]string{"a/b/c": "1"})
	before, _ := os.ReadDir("/proc/self/fd")
	if _, err := Scan(ctx, root, Options{Start: time.Now()}, nil); err == nil {
		t.Error("a cancelled scan gave a state")
	}
	if after, _ := os.ReadDir("/proc/self/fd"); len(after) > len(before) {
		t.Errorf("%d descriptors before, %d after", len(before), len(after))
	}
}

func TestScanWhileFilesChange(t *testing.T) {
	root := t.TempDir()
	build(t, root, map[string]string{"big": "", "gone/a": "1"})
	if err := os.Truncate(filepath.Join(root, "big"), 64<<20); err != nil { // long to read, nothing to store
		t.Fatal(err)
	}
	stop, done := make(chan bool), make(chan bool)
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			default:
			}
			now := time.Now()
			if err := errors.Join(os.Chtimes(filepath.Join(root, "big"), now, now), os.RemoveAll(filepath.Join(root, "gone")),
				os.MkdirAll(filepath.Join(root, "gone/a"), 0o755)); err != nil {
				t.Error(err)
			}
		}
	}()
	got := list(t, scan(t, root, Options{}, nil))
	close(stop)
	<-done
	if got["/big"].Note != Unstable {
		t.Errorf("a file written all the time: %+v", got["/big"])
	}
}

func TestStateFile(t *testing.T) {
	root, file := t.TempDir(), filepath.Join(t.TempDir(), "state")
	build(t, root, map[string]string{"a/one": "1", "b": "-> a"})
	s := scan(t, root, Options{}, nil)
	if err := s.Write(file); err != nil {
		t.Fatal(err)
	}
	back, err := Read(file)
	if err != nil {
		t.Fatal(err)
	}
	if back.Digest != s.Digest || !back.Start.Equal(s.Start) {
		t.Errorf("read back %s of %v, want %s of %v", back.Digest, back.Start, s.Digest, s.Start)
	}
	digests := slices.Sorted(back.Digests())
	if d := cmp.Diff(slices.Sorted(s.Digests()), digests); d != "" {
		t.Error(d)
	}
	b, _ := os.ReadFile(file)
	for i := range b {
		bad := slices.Clone(b)
		bad[i] ^= 1
		if _, err := decodeState(bad); err == nil {
			t.Errorf("byte %d flipped: still read", i)
		}
	}
}

// FuzzState: whatever stands in a file of a state, with a checksum that is right, is read or refused.
func FuzzState(f *testing.F) {
	root := f.TempDir()
	if err := os.WriteFile(filepath.Join(root, "a"), []byte("x"), 0o600); err != nil {
		f.Fatal(err)
	}
	s, err := Scan(f.Context(), root, Options{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	var b bytes.Buffer
	if err := s.encode(&b); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes()[len(stateMagic) : b.Len()-sha256.Size])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, body []byte) {
		whole := append([]byte(stateMagic), body...)
		sum := sha256.Sum256(whole)
		s, err := decodeState(append(whole, sum[:]...))
		if err != nil {
			if fault.KindOf(err) != fault.Invalid {
				t.Error(err)
			}
			return
		}
		if s.Digest == "" {
			t.Error("a state without a digest")
		}
	})
}
