package filetree

import (
	"bytes"
	"hash"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// worker scans directories and large files until none are left; buf and hash are its own.
type worker struct {
	*scanner
	buf   []byte
	hash  hash.Hash
	arena []byte
}

func (w *worker) run() {
	for {
		t, ok := w.pop()
		if !ok {
			return
		}
		switch {
		case w.ctx.Err() != nil:
			w.drop(t)
		case t.slot == whole:
			w.directory(t.node)
		default:
			w.content(t.node, &t.node.items[t.slot])
			t.node.release()
			w.finish(t.node)
		}
		w.done()
	}
}

// drop lets a task's descriptor go without doing it.
func (w *worker) drop(t task) {
	n := t.node
	if t.slot == whole {
		n = n.parent
	}
	if n.parent != nil {
		n.release()
	}
}

// directory lists a directory, describes its entries and queues what is below.
func (w *worker) directory(n *node) {
	mine := &n.parent.items[n.slot]
	err := w.open(n, mine)
	if err != nil {
		if mine.gone = err == unix.ENOENT; !mine.gone {
			mine.gap(Unreadable)
			w.count(mine, 0)
		}
		w.finish(n.parent)
		return
	}
	n.users.Store(1)
	n.pending.Store(1)
	names, err := w.list(n.fd)
	if mine.same == nil && mine.xattrs == nil {
		mine.xattrs = descriptorXattrs(n.fd)
	}
	if err != nil {
		mine.gap(Unreadable)
	}
	w.count(mine, 0)
	was, _ := w.previous(n.path)
	n.items = make([]item, len(names))
	var later []task
	for i, name := range names {
		e := &n.items[i]
		e.name = name
		if t, ok := w.entry(n, i, was.next(name)); ok {
			n.users.Add(1)
			n.pending.Add(1)
			later = append(later, t)
		}
	}
	slices.Reverse(later)
	for _, t := range later {
		w.push(t)
	}
	n.release()
	w.finish(n)
}

// open opens the directory under its parent's descriptor and lets that go.
func (w *worker) open(n *node, mine *item) (err error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if n.parent.parent == nil {
		n.fd, err = unix.Openat(w.rootFD, ".", flags, 0)
		return err
	}
	defer n.parent.release()
	n.fd, err = unix.Openat(n.parent.fd, mine.name, flags, 0)
	return err
}

// list gives a directory's names, sorted.
func (w *worker) list(fd int) ([]string, error) {
	w.arena = w.arena[:0]
	for {
		n, err := unix.Getdents(fd, w.buf)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			names := strings.Split(string(bytes.TrimSuffix(w.arena, []byte{0})), "\x00")
			if len(w.arena) == 0 {
				names = nil
			}
			slices.Sort(names)
			return names, err
		}
		for b := w.buf[:n]; len(b) > 19; { // struct linux_dirent64: ino, off, reclen (2 bytes at 16), type, name, 0
			length := min(len(b), int(b[16])|int(b[17])<<8)
			name, _, _ := bytes.Cut(b[19:length], []byte{0})
			if string(name) != "." && string(name) != ".." {
				w.arena = append(append(w.arena, name...), 0)
			}
			b = b[length:]
		}
	}
}

// entry describes one entry; ok is true if a task is needed for what is below it or in it.
func (w *worker) entry(n *node, slot int, was *old) (t task, ok bool) {
	e := &n.items[slot]
	var st unix.Stat_t
	if err := unix.Fstatat(n.fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		e.gone = true
		return t, false
	}
	e.describe(&st, w.names)
	known := e.reuse(was, w.scanner)
	switch {
	case (e.kind == 'd' || e.kind == 'f') && w.exclude[n.path][e.name]:
		e.gap(Excluded)
	case e.kind == 'd' && st.Dev != n.dev && w.foreign(n.fd, e.name):
		e.gap(Mount)
	case e.kind == 'd' && n.depth >= MaxDepth:
		e.gap(TooDeep)
	case e.kind == 'd':
		return task{&node{parent: n, slot: slot, path: path.Join(n.path, e.name), fd: -1, dev: st.Dev, depth: n.depth + 1}, whole}, true
	case known:
	case e.kind == 'f' && e.size >= large:
		return task{n, slot}, true
	case e.kind == 'f':
		w.content(n, e)
		return t, false
	default:
		w.special(n.fd, e)
	}
	w.count(e, 0)
	return t, false
}

// describe takes over what stat says.
func (e *item) describe(st *unix.Stat_t, n *names) {
	e.kind = kindOf(st.Mode)
	e.mode, e.uid, e.gid = st.Mode&0o7777, st.Uid, st.Gid
	e.user, e.group = n.users[st.Uid], n.groups[st.Gid]
	switch e.kind {
	case 'f':
		e.size = st.Size
	case 'c', 'b':
		e.rdev = st.Rdev
	}
	e.volatile = volatileOf(st)
}

func volatileOf(st *unix.Stat_t) volatile {
	return volatile{st.Dev, st.Ino, st.Mtim.Nano(), st.Ctim.Nano()}
}

func kindOf(mode uint32) byte {
	switch mode & unix.S_IFMT {
	case unix.S_IFREG:
		return 'f'
	case unix.S_IFDIR:
		return 'd'
	case unix.S_IFLNK:
		return 'l'
	case unix.S_IFCHR:
		return 'c'
	case unix.S_IFBLK:
		return 'b'
	case unix.S_IFIFO:
		return 'p'
	}
	return 's'
}

// content reads and hashes a file. A file that changes meanwhile is read once more.
func (w *worker) content(n *node, e *item) {
	stable, err := w.read(n.fd, e)
	if err == nil && !stable {
		stable, err = w.read(n.fd, e)
	}
	switch {
	case err == unix.ENOENT:
		e.gone = true
		return
	case err != nil:
		e.gap(Unreadable)
	case !stable:
		e.gap(Unstable)
	}
	w.count(e, e.size)
}

// read hashes a file once; stable is false if it was another or changed between the first look and the last. Then e is
// brought up to date, for another try.
func (w *worker) read(dir int, e *item) (stable bool, err error) {
	fd, err := unix.Openat(dir, e.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	w.hash.Reset()
	size := int64(0)
	for size <= e.size {
		n, err := unix.Read(fd, w.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return false, err
		}
		w.hash.Write(w.buf[:n])
		size += int64(n)
		if n < len(w.buf) { // of a regular file: the end
			break
		}
	}
	w.hash.Sum(e.sum[:0])
	e.xattrs = descriptorXattrs(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	if kindOf(st.Mode) != 'f' {
		return false, unix.ESTALE
	}
	stable = size == e.size && volatileOf(&st) == e.volatile
	e.describe(&st, w.names)
	return stable, nil
}

// special describes what is never opened: symlinks, devices, pipes, sockets.
func (w *worker) special(dir int, e *item) {
	if e.kind == 'l' {
		n, err := unix.Readlinkat(dir, e.name, w.buf[:maxText])
		if err != nil {
			e.gap(Unreadable)
			return
		}
		e.target = string(w.buf[:n])
	}
	e.xattrs = pathXattrs("/proc/self/fd/" + strconv.Itoa(dir) + "/" + e.name)
}

func (w *worker) count(e *item, hashed int64) {
	st := &w.out.Stats
	switch e.kind {
	case 'f':
		atomic.AddInt64(&st.Files, 1)
		atomic.AddInt64(&st.Bytes, e.size)
	case 'd':
		atomic.AddInt64(&st.Dirs, 1)
	default:
		atomic.AddInt64(&st.Others, 1)
	}
	if e.note != 0 {
		atomic.AddInt64(&st.Gaps, 1)
	}
	atomic.AddInt64(&st.Hashed, hashed)
}

// foreign reports whether a mount point is of a kind that is not scanned: views of the kernel, memory, and remote or user
// programs' file systems, which could stall a scan. Any kind unknown here is scanned. Source: statfs(2), linux/magic.h.
func (w *worker) foreign(dir int, name string) bool {
	var st unix.Statfs_t
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	if unix.Fstatfs(fd, &st) != nil {
		return false
	}
	switch uint32(st.Type) {
	case unix.PROC_SUPER_MAGIC, unix.SYSFS_MAGIC, unix.TMPFS_MAGIC, unix.RAMFS_MAGIC, unix.DEVPTS_SUPER_MAGIC,
		unix.CGROUP_SUPER_MAGIC, unix.CGROUP2_SUPER_MAGIC, unix.DEBUGFS_MAGIC, unix.TRACEFS_MAGIC, unix.SECURITYFS_MAGIC,
		unix.BPF_FS_MAGIC, unix.PSTOREFS_MAGIC, unix.EFIVARFS_MAGIC, unix.HUGETLBFS_MAGIC, unix.NSFS_MAGIC, unix.SELINUX_MAGIC,
		unix.BINFMTFS_MAGIC, unix.AUTOFS_SUPER_MAGIC, unix.RDTGROUP_SUPER_MAGIC, mqueueMagic, configfsMagic,
		unix.NFS_SUPER_MAGIC, unix.SMB_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC,
		unix.CEPH_SUPER_MAGIC, unix.V9FS_MAGIC, unix.AFS_SUPER_MAGIC, unix.CODA_SUPER_MAGIC:
		return true
	}
	return false
}

const (
	mqueueMagic   = 0x19800202
	configfsMagic = 0x62656570
)

// descriptorXattrs gives an open file's extended attributes, sorted by name. Attributes that may not be read are left out.
func descriptorXattrs(fd int) []xattr {
	return xattrs(
		func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
		func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
}

func pathXattrs(path string) []xattr {
	return xattrs(
		func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		func(name string, b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
}

func xattrs(list func([]byte) (int, error), get func(string, []byte) (int, error)) []xattr {
	size, err := list(nil)
	if err != nil || size <= 0 {
		return nil
	}
	value := make([]byte, maxXattr)
	if size, err = list(value); err != nil {
		return nil
	}
	var out []xattr
	for name := range strings.SplitSeq(strings.TrimSuffix(string(value[:size]), "\x00"), "\x00") {
		n, err := get(name, value)
		if err == nil {
			out = append(out, xattr{name, string(value[:n])})
		}
	}
	slices.SortFunc(out, func(a, b xattr) int { return strings.Compare(a.name, b.name) })
	return out
}
