package processes

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

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
	more := variable(read(dir, "environ"), l.variable)
	space, _ := os.Readlink(filepath.Join(dir, "ns/mnt"))
	key := strings.Join(slices.Concat(words, []string{cwd, root, space, version, more}), "\x00")
	if known, ok := p.known[key]; ok {
		return known
	}
	at, err := unix.Open(filepath.Join(dir, "root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return program{}
	}
	defer unix.Close(at)
	s := &search{root: at, language: l, seen: map[string]bool{}, left: min(maxProgram, p.left)}
	s.dirs = s.places(words[0], version, cwd, append(c.dirs, strings.Split(more, ":")...))
	found := s.follow(c, cwd, root == "")
	p.left -= len(found.files)
	p.known[key] = found
	return found
}

// variable gives the value of a variable of a process's environment.
func variable(environment, name string) string {
	for line := range strings.SplitSeq(environment, "\x00") {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return value
		}
	}
	return ""
}

// search follows the files of one program below a process's root.
type search struct {
	*language
	root int // descriptor
	dirs []string
	seen map[string]bool
	left int
}

// places gives the directories of modules: those that the process names, then the usual ones, and those of Python's environments.
func (s *search) places(argv0, version, cwd string, named []string) (dirs []string) {
	add := func(dir string) {
		if !slices.Contains(dirs, dir) && len(dirs) < maxDirs {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range named {
		if dir == "" {
			continue
		}
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
			f, err := s.open(dir, unix.O_RDONLY|unix.O_DIRECTORY)
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

// open opens what a path below the root leads to, as the process itself would; no link leads out of it.
func (s *search) open(name string, flags int) (*os.File, error) {
	fd, err := unix.Openat2(s.root, name, &unix.OpenHow{Flags: uint64(flags | unix.O_CLOEXEC), Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// follow gives the program that a call names, and everything that it names. A program named by its whole path that is not there was
// removed; one named otherwise may be anywhere, since the process may have gone elsewhere.
func (s *search) follow(c call, cwd string, home bool) (p program) {
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
	if s.variable == "PYTHONPATH" && c.module == "" {
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
		case errors.Is(err, fs.ErrNotExist) && name == main && path.IsAbs(c.program) && home && s.isDir(path.Dir(name)) && !ignored.MatchString(name):
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
	f, err := s.open(name, unix.O_PATH)
	if err != nil {
		return false
	}
	defer f.Close()
	_, err = changedAt(f)
	return err == nil
}

func (s *search) isDir(name string) bool {
	f, err := s.open(name, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// look tells when a file changed and which files its lines name. Nothing but regular files is ever opened for reading.
func (s *search) look(name string) (changed time.Time, named []string, err error) {
	f, err := s.open(name, unix.O_PATH)
	if err != nil {
		return changed, nil, err
	}
	defer f.Close()
	if changed, err = changedAt(f); err != nil {
		return changed, nil, err
	}
	text, err := os.Open("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil {
		return changed, nil, err
	}
	defer text.Close()
	lines := bufio.NewReaderSize(io.LimitReader(text, maxText), 4096)
	for {
		line, err := lines.ReadSlice('\n')
		if text := string(bytes.TrimRight(line, "\r\n")); text == "__END__" {
			return changed, named, nil
		} else if more := s.names(path.Dir(name), text); len(named)+len(more) <= maxProgram {
			named = append(named, more...)
		}
		if errors.Is(err, io.EOF) {
			return changed, named, nil
		} else if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return changed, named, err
		}
	}
}

// changedAt is when a regular file's content, owner, mode or name changed last.
func changedAt(f *os.File) (time.Time, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &st); err != nil {
		return time.Time{}, err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFREG {
		return time.Time{}, fault.New(fault.Invalid, "%s is no regular file", f.Name())
	}
	return time.Unix(st.Ctim.Unix()), nil
}
