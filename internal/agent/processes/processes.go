// Package processes finds the processes that run files which were replaced or deleted since they were started: after an
// upgrade these still have the old code, and its vulnerabilities. Files are those that a process maps, and those of the
// program that an interpreter runs.
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
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Bounds, in bytes. What is over is counted, not told.
const (
	maxMaps    = 16 << 20  // of one process's list of mappings
	maxSmall   = 64 << 10  // of any other file of a process
	maxPaths   = 192 << 10 // of all told texts together, so that they fit a document
	maxRunning = 1 << 22   // the kernel's own bound of process IDs
)

// Find looks at all processes in a proc file system. Other users' mappings are readable with CAP_SYS_PTRACE only; processes
// that could not be read are counted, those that ended meanwhile are not.
//
// Roots gives the root directories, other than the host's own, in which processes live.
func Find(proc string) (found wire.Processes, roots []string, err error) {
	dir, err := os.Open(proc)
	if err != nil {
		return found, nil, err
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return found, nil, err
	}
	var ids []int
	for _, name := range names {
		if id, err := strconv.Atoi(name); err == nil && 0 < id && id <= maxRunning {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	room, texts := maxPaths, newPrograms(proc)
	for _, id := range ids {
		p, judged, err := look(filepath.Join(proc, strconv.Itoa(id)), id, texts)
		switch {
		case errors.Is(err, fs.ErrPermission):
			found.Unseen++
			continue
		case err != nil:
			continue // it ended
		}
		if !judged {
			found.Unjudged++
		}
		if p.Root != "" && !slices.Contains(roots, p.Root) && len(roots) < wire.MaxSources {
			roots = append(roots, p.Root)
		}
		if len(p.Old) == 0 {
			continue
		}
		if room -= size(p); room < 0 || len(found.Old) == wire.MaxProcesses {
			found.More++
			continue
		}
		found.Old = append(found.Old, p)
	}
	slices.Sort(roots)
	return found, roots, nil
}

func size(p wire.Process) int {
	n := 100 + len(p.Name) + len(p.Exe) + len(p.Unit) + len(p.Root)
	for _, f := range p.Old {
		n += 200 + len(f.Path) // with the name of its package
	}
	return n
}

// look reads one process; judged tells whether the files of its program are known, if it is an interpreter.
func look(dir string, id int, texts *programs) (p wire.Process, judged bool, err error) {
	p.ID = id
	exe, err := os.Readlink(filepath.Join(dir, "exe"))
	if err != nil {
		return p, true, err // a kernel thread has none
	}
	root, err := os.Readlink(filepath.Join(dir, "root"))
	if err != nil {
		return p, true, err
	}
	if root != "/" {
		p.Root = text(root)
	}
	old, err := mapped(dir)
	if err != nil {
		return p, true, err
	}
	exe = strings.TrimSuffix(exe, deleted)
	sources, judged := texts.replaced(dir, exe, strings.TrimSuffix(root, "/"))
	for _, name := range old[:min(len(old), wire.MaxOldFiles)] {
		p.Old = append(p.Old, wire.OldFile{Path: text(name)})
	}
	for _, name := range sources[:min(len(sources), wire.MaxOldFiles-len(p.Old))] {
		p.Old = append(p.Old, wire.OldFile{Path: text(name), Source: true})
	}
	if len(p.Old) == 0 {
		return p, judged, nil
	}
	p.Exe = text(exe)
	p.Name = text(strings.TrimSuffix(read(dir, "comm"), "\n"))
	p.Name = p.Name[:min(len(p.Name), wire.MaxText)]
	p.UID = uid(read(dir, "status"))
	p.Unit = Unit(read(dir, "cgroup"))
	return p, judged, nil
}

// mapped gives the files that a process maps and that are not there any more.
func mapped(dir string) ([]string, error) {
	maps, err := os.Open(filepath.Join(dir, "maps"))
	if err != nil {
		return nil, err
	}
	defer maps.Close()
	there := func(name string) bool {
		_, err := os.Lstat(filepath.Join(dir, "root", name))
		return err == nil
	}
	return Old(io.LimitReader(maps, maxMaps), there)
}

// read gives a small file of a process; empty where there is none any more.
func read(dir, name string) string {
	f, err := os.Open(filepath.Join(dir, name))
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, maxSmall))
	return string(b)
}

func text(s string) string {
	q := filetree.Quote(s)
	return q[:min(len(q), wire.MaxFilePath)]
}

// deleted is what the kernel puts behind the path of a file that has no name any more. Source: proc_pid_maps(5).
const deleted = " (deleted)"

// ignored are mappings that look like files and are none of a package: shared memory, devices, the products of compilers at
// run time, and what programs put into directories that are emptied at boot. The rules are needrestart's.
var ignored = regexp.MustCompile(`^/(SYSV00000000|drm$|dev/|memfd:|\[aio\]|tmp/|var/tmp/|run/|var/run/)|/orcexec\.\w+$|/#\d+$|/jna\d+\.tmp$`)

// Old reads a list of mappings as in /proc/PID/maps and gives the paths of executable ones whose file is not on disk any more,
// sorted. A file may truly be called "x (deleted)": there says whether the process sees a file of a name.
func Old(maps io.Reader, there func(path string) bool) ([]string, error) {
	var old []string
	lines := bufio.NewReaderSize(maps, 16<<10) // a line is at most a page of path, escaped, and 100 bytes
	for {
		line, err := lines.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			continue // no line of the kernel's; its rest is no mapping either
		}
		if name, executable := mapping(line); executable && strings.HasSuffix(name, deleted) {
			bare := strings.TrimSuffix(name, deleted)
			if !ignored.MatchString(bare) && !slices.Contains(old, bare) && !there(name) {
				old = append(old, bare)
			}
		}
		if errors.Is(err, io.EOF) {
			slices.Sort(old)
			return old, nil
		} else if err != nil {
			return nil, err
		}
	}
}

// mapping takes a line "address permissions offset device inode path" apart. The kernel writes a newline in a path as \012.
func mapping(line []byte) (name string, executable bool) {
	rest := bytes.TrimSuffix(line, []byte("\n"))
	var fields [5][]byte
	for i := range fields {
		rest = bytes.TrimLeft(rest, " ")
		var found bool
		if fields[i], rest, found = bytes.Cut(rest, []byte(" ")); !found {
			return "", false
		}
	}
	name = strings.ReplaceAll(string(bytes.TrimLeft(rest, " ")), `\012`, "\n")
	if !path.IsAbs(name) || string(fields[4]) == "0" {
		return "", false
	}
	return name, bytes.IndexByte(fields[1], 'x') >= 0
}

// Unit gives systemd's unit out of /proc/PID/cgroup: the last part of the path that is one. Empty for none.
func Unit(cgroup string) string {
	unit := ""
	for line := range strings.Lines(cgroup) {
		id, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ":")
		controller, name, _ := strings.Cut(rest, ":")
		if id != "0" && controller != "name=systemd" {
			continue
		}
		for part := range strings.SplitSeq(name, "/") {
			if strings.HasSuffix(part, ".service") || strings.HasSuffix(part, ".scope") {
				unit = text(part)
			}
		}
	}
	return unit[:min(len(unit), wire.MaxText)]
}

// uid reads the real user ID out of /proc/PID/status; -1 where it does not say.
func uid(status string) int {
	for line := range strings.Lines(status) {
		if rest, ok := strings.CutPrefix(line, "Uid:"); ok {
			if f := strings.Fields(rest); len(f) > 0 {
				if n, err := strconv.Atoi(f[0]); err == nil {
					return n
				}
			}
		}
	}
	return -1
}
