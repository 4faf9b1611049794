package processes

import (
	"bufio"
	"bytes"
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// An interpreter reads a program and keeps nothing of it mapped. Whether it was replaced is told by when its files changed, beside when the
// process was started; which files it is made of, by following what they name, without running any of them. The idea is needrestart's.

// Bounds of the files of programs.
const (
	maxProgram  = 1000    // files of one program
	maxPrograms = 20_000  // files of all of them
	maxText     = 1 << 20 // bytes of a file that are looked at
	maxDirs     = 64      // directories of modules
)

// programs are those that were looked at already: the processes of one service often run the same.
type programs struct {
	booted time.Time // zero: proc does not say
	known  map[string]program
	left   int
}

// program is the files that a program is made of, with when each was changed last. Gone is zero. It is not whole where a
// file was not readable, or there were too many.
type program struct {
	files []programFile
	whole bool
}

type programFile struct {
	path    string
	changed time.Time
}

func newPrograms(proc string) *programs {
	p := &programs{known: map[string]program{}, left: maxPrograms}
	for line := range strings.Lines(read(proc, "stat")) {
		if rest, ok := strings.CutPrefix(line, "btime "); ok {
			if seconds, err := strconv.ParseInt(strings.TrimSpace(rest), 10, 64); err == nil {
				p.booted = time.Unix(seconds, 0)
			}
		}
	}
	return p
}

// replaced gives the files of the program that a process's interpreter runs and that changed since it was started; judged tells whether
// that is all there is to know. The kernel tells the time of boot in seconds: a file counts from one second after the start.
func (p *programs) replaced(dir, exe, root string) (old []string, judged bool) {
	l, version := languageOf(exe)
	if l == nil {
		return nil, true
	}
	start, ok := started(read(dir, "stat"), p.booted)
	if !ok {
		return nil, false
	}
	of := p.program(dir, root, l, version)
	for _, f := range of.files {
		if f.changed.IsZero() || f.changed.After(start.Add(time.Second)) {
			old = append(old, f.path)
		}
	}
	slices.Sort(old)
	return old, of.whole
}

// started gives when a process was started, out of /proc/PID/stat. Source: proc_pid_stat(5), field 22, in hundredths of a second since boot.
func started(stat string, booted time.Time) (time.Time, bool) {
	i := strings.LastIndexByte(stat, ')') // the name before it may hold anything
	fields := strings.Fields(stat[i+1:])
	if len(fields) < 20 || booted.IsZero() {
		return time.Time{}, false
	}
	ticks, err := strconv.ParseInt(fields[19], 10, 64)
	if err != nil || ticks < 0 || ticks > 1<<40 {
		return time.Time{}, false
	}
	return booted.Add(time.Duration(ticks) * 10 * time.Millisecond), true
}

// program finds what a process's program is made of.
func (p *programs) program(dir, root string, l *language, version string) program {
	words := strings.Split(strings.TrimSuffix(read(dir, "cmdline"), "\x00"), "\x00")
	c := l.read(words)
	cwd, _ := os.Readlink(filepath.Join(dir, "cwd"))
	if root != "" {
		cwd = strings.TrimPrefix(cwd, root)
	}
	space, _ := os.Readlink(filepath.Join(dir, "ns/mnt"))
	key := strings.Join(slices.Concat(words, []string{cwd, root, space, version}), "\x00")
	if known, ok := p.known[key]; ok {
		return known
	}
	s := &search{language: l, root: filepath.Join(dir, "root"), seen: map[string]bool{}, left: min(maxProgram, p.left)}
	if root != "" {
		inside, err := os.OpenRoot(s.root)
		if err != nil {
			return program{}
		}
		defer inside.Close()
		s.inside = inside
	}
	s.dirs = s.places(words[0], version, cwd, c.dirs)
	found := s.follow(c, cwd)
	p.left -= len(found.files)
	p.known[key] = found
	return found
}

// search follows the files of one program below a process's root. In the host's own root links may lead anywhere, as they do for
// the process; out of any other root none does.
type search struct {
	*language
	root   string   // as a path of ours
	inside *os.Root // nil: the host's own
	dirs   []string
	seen   map[string]bool
	left   int
}

// places gives the directories of modules: those that the process names, then the usual ones, and those of Python's environments.
func (s *search) places(argv0, version, cwd string, named []string) (dirs []string) {
	add := func(dir string) {
		if !slices.Contains(dirs, dir) && len(dirs) < maxDirs {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range named {
		if !path.IsAbs(dir) {
			dir = path.Join(cwd, dir)
		}
		add(path.Clean(dir))
	}
	patterns := s.language.dirs
	if path.IsAbs(argv0) {
		if bin := path.Dir(path.Clean(argv0)); bin != "/usr/bin" && path.Base(bin) == "bin" {
			patterns = append([]string{path.Dir(bin) + "/lib/pythonV/site-packages"}, patterns...)
		}
	}
	for _, pattern := range patterns {
		for _, dir := range s.match(strings.ReplaceAll(pattern, "pythonV", "python"+version)) {
			add(dir)
		}
	}
	return dirs
}

// match is path.Match over what is there below the root; a few hundred names of a directory are looked at.
func (s *search) match(pattern string) []string {
	found := []string{"/"}
	for part := range strings.SplitSeq(strings.Trim(pattern, "/"), "/") {
		var next []string
		for _, dir := range found {
			if !strings.ContainsAny(part, "*[") {
				next = append(next, path.Join(dir, part))
				continue
			}
			f, err := s.open(dir)
			if err != nil {
				continue
			}
			names, _ := f.Readdirnames(500)
			f.Close()
			slices.Sort(names)
			for _, name := range names {
				if ok, _ := path.Match(part, name); ok && len(next) < maxDirs {
					next = append(next, path.Join(dir, name))
				}
			}
		}
		found = next
	}
	return found
}

// open opens a file below the root and waits for nothing.
func (s *search) open(name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	if s.inside != nil {
		return s.inside.OpenFile(below(name), flags, 0)
	}
	return os.OpenFile(s.root+name, flags, 0)
}

func (s *search) stat(name string) (fs.FileInfo, error) {
	if s.inside != nil {
		return s.inside.Stat(below(name))
	}
	return os.Stat(s.root + name)
}

// below is an absolute path as os.Root takes it.
func below(name string) string { return cmp.Or(strings.TrimPrefix(name, "/"), ".") }

// follow gives the program that a call names, and everything that it names. A program named by its whole path that is not there was
// removed; one named otherwise may be anywhere, since the process may have gone elsewhere.
func (s *search) follow(c call, cwd string) (p program) {
	p.whole = true
	var queue []string
	switch {
	case c.module != "":
		queue = s.resolve(append(pythonModule("", c.module), path.Join(strings.ReplaceAll(c.module, ".", "/"), "__main__.py")))
	case path.IsAbs(c.program):
		queue = []string{path.Clean(c.program)}
	case c.program != "":
		queue = []string{path.Join(cwd, c.program)}
	}
	if len(queue) == 0 {
		return program{}
	}
	main := queue[0]
	if c.module == "" { // where Python looks first, and others are often told to
		s.dirs = append([]string{path.Dir(main)}, s.dirs...)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		name := queue[0]
		if s.left--; s.left < 0 {
			p.whole = false
			return p
		}
		changed, named, err := s.look(name)
		switch {
		case name == main && path.IsAbs(c.program) && s.gone(name):
			p.files = append(p.files, programFile{path: name})
		case changed.IsZero():
			p.whole = false
		default:
			p.files = append(p.files, programFile{name, changed})
			p.whole = p.whole && err == nil
			queue = append(queue, s.resolve(named)...)
		}
	}
	return p
}

// resolve gives where named files are: in the first directory that has each. What none has is built in, or optional.
func (s *search) resolve(named []string) (found []string) {
	for _, name := range named {
		if s.seen[name] {
			continue
		}
		s.seen[name] = true
		if path.IsAbs(name) {
			if s.isFile(name) {
				found = append(found, name)
			}
			continue
		}
		for _, dir := range s.dirs {
			full := path.Join(dir, name)
			if s.isFile(full) {
				if !s.seen[full] {
					s.seen[full] = true
					found = append(found, full)
				}
				break
			}
		}
	}
	return found
}

func (s *search) isFile(name string) bool {
	info, err := s.stat(name)
	return err == nil && info.Mode().IsRegular()
}

// gone reports whether a file of the host's own root was removed: its directory is there, and has no such name.
func (s *search) gone(name string) bool {
	if s.inside != nil || ignored.MatchString(name) {
		return false
	}
	dir, err := s.stat(path.Dir(name))
	if err != nil || !dir.IsDir() {
		return false
	}
	_, err = os.Lstat(s.root + name)
	return errors.Is(err, fs.ErrNotExist)
}

// look tells when a file changed and which files its lines name. Nothing but regular files is ever opened for reading.
func (s *search) look(name string) (changed time.Time, named []string, err error) {
	info, err := s.stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fault.New(fault.Invalid, "%s is no regular file", name)
	}
	if err != nil {
		return changed, nil, err
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		changed = time.Unix(st.Ctim.Unix())
	}
	content, err := s.open(name)
	if err != nil {
		return changed, nil, err
	}
	defer content.Close()
	lines := bufio.NewReaderSize(io.LimitReader(content, maxText), 4096)
	for {
		b, err := lines.ReadSlice('\n')
		line := string(bytes.TrimRight(b, "\r\n"))
		if line == "__END__" {
			return changed, named, nil
		}
		if more := s.names(path.Dir(name), line); len(named)+len(more) <= maxProgram {
			named = append(named, more...)
		}
		if errors.Is(err, io.EOF) {
			return changed, named, nil
		} else if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return changed, named, err
		}
	}
}
