package filetree

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"hash"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// worker scans directories and large files until none are left; its buffers and hashes are its own.
type worker struct {
	*scanner
	buf          []byte
	plain, keyed hash.Hash
	listing      []byte
}

// piece is how much is read at once: it stays in a core's own cache until it is hashed, and the call ends before Go's scheduler gives
// the worker's turn away (20 µs): with four times as much, the kernel switches half as often again.
const piece = 64 << 10

func newWorker(s *scanner, key []byte) *worker {
	return &worker{scanner: s, buf: make([]byte, piece), plain: sha256.New(), keyed: hmac.New(sha256.New, key)}
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
			w.content(t.node.fd, &t.node.items[t.slot], -1)
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
			mine.failed(err)
			w.count(mine)
		}
		w.finish(n.parent)
		return
	}
	if mine.note != 0 { // it has become a mount point
		unix.Close(n.fd)
		w.count(mine)
		w.finish(n.parent)
		return
	}
	n.users.Store(1)
	n.pending.Store(1)
	if mine.same == "" && mine.xattrs == nil {
		mine.attributes(descriptorXattrs(n.fd))
	}
	names, err := w.list(n.fd)
	switch {
	case err != nil:
		mine.failed(err)
		names = nil
	case len(names) > maxNames || w.met.Add(int64(len(names))) > MaxEntries:
		mine.gap(TooLarge)
		names = nil
	}
	w.count(mine)
	was := w.previous(n.at)
	n.items = make([]item, len(names))
	var later []task
	for i, name := range names {
		n.items[i].name = name[1:]
		if t, ok := w.entry(n, i, name[0], was.next(name[1:])); ok {
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

// open opens the directory under its parent's descriptor and lets that go. If another has taken its place meanwhile, that one
// is described: the entry and what is below it belong together.
func (w *worker) open(n *node, mine *item) (err error) {
	const flags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if n.parent.parent == nil {
		n.fd, err = unix.Openat(w.rootFD, ".", flags, 0)
		return err
	}
	defer n.parent.release()
	if n.fd, err = unix.Openat(n.parent.fd, mine.name, flags, 0); err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstat(n.fd, &st); err != nil {
		unix.Close(n.fd)
		return err
	}
	if st.Dev == mine.dev && st.Ino == mine.ino {
		return nil
	}
	mine.describe(&st, w.names)
	mine.same, mine.xattrs = "", nil
	if st.Dev != n.parent.dev && foreign(n.fd) {
		mine.gap(Mount)
	}
	n.dev = st.Dev
	return nil
}

// maxNames is how many names of one directory are taken: more than MaxObject has room for, if they are files.
const maxNames = 500_000

// list gives a directory's names, sorted, each after a byte with its type (DT_…); at most a few more than maxNames.
func (w *worker) list(fd int) ([]string, error) {
	w.listing = w.listing[:0]
	count := 0
	for {
		n, err := unix.Getdents(fd, w.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return nil, err
		}
		for b := w.buf[:max(n, 0)]; len(b) > 19; { // struct linux_dirent64: ino, off, reclen (2 bytes at 16), type, name, 0
			length := min(len(b), int(b[16])|int(b[17])<<8)
			name, _, _ := bytes.Cut(b[19:length], []byte{0})
			if string(name) != "." && string(name) != ".." {
				w.listing = append(append(append(w.listing, b[18]), name...), 0)
				count++
			}
			b = b[length:]
		}
		if n <= 0 || count > maxNames {
			break
		}
	}
	names := make([]string, 0, count)
	for all := string(w.listing); all != ""; {
		end := 1 + strings.IndexByte(all[1:], 0) // the type may be 0
		names, all = append(names, all[:end]), all[end+1:]
	}
	if cap(w.listing) > 1<<20 {
		w.listing = nil
	}
	slices.SortFunc(names, func(a, b string) int { return strings.Compare(a[1:], b[1:]) })
	return names, nil
}

// entry describes one entry; ok is true if a task is needed for what is below it or in it.
func (w *worker) entry(n *node, slot int, listed byte, was *old) (t task, ok bool) {
	e := &n.items[slot]
	class, below := n.rules.step(e.name)
	if was == nil && listed == unix.DT_REG && class <= secret {
		if later, ok := w.fresh(n.fd, e, class); ok {
			return task{n, slot}, later
		}
	}
	var st unix.Stat_t
	if err := unix.Fstatat(n.fd, e.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		if e.gone = err == unix.ENOENT; !e.gone {
			e.kind = kindOf(uint32(listed) << 12) // all that is known of it; DT_… are the bits of S_IF…
			e.failed(err)
			w.count(e)
		}
		return t, false
	}
	e.describe(&st, w.names)
	e.secret = class == secret && e.kind == 'f'
	known := e.reuse(was, w.scanner)
	if known && e.kind == 'f' && w.reread(n, e) {
		sum := e.sum
		e.was, e.same, e.note, known = &sum, "", 0, false
	}
	switch {
	case (e.kind == 'd' || e.kind == 'f') && class == excluded:
		e.size = 0
		e.gap(Excluded)
	case e.kind == 'd' && st.Dev != n.dev && foreignName(n.fd, e.name):
		e.gap(Mount)
	case e.kind == 'd' && n.depth >= MaxDepth:
		e.gap(TooDeep)
	case e.kind == 'd':
		return task{&node{parent: n, slot: slot, at: n.at.below(e.name), rules: below, fd: -1, dev: st.Dev, depth: n.depth + 1}, whole}, true
	case e.kind == 'f' && class == volatileFile:
		e.size = 0
		w.unopened(n.fd, e)
		e.gap(Volatile)
	case known:
	case e.kind == 'f' && e.size >= large:
		return task{n, slot}, true
	case e.kind == 'f':
		w.content(n.fd, e, -1)
		return t, false
	default:
		w.unopened(n.fd, e)
	}
	w.count(e)
	return t, false
}

// reread reports whether a file is read although nothing says that it changed.
func (w *worker) reread(n *node, e *item) bool {
	if _, again := w.again[Inode{e.dev, e.ino}]; again {
		return true
	}
	return w.rotate.due(&w.out.terms, &n.at, e.name)
}

// fresh describes a regular file that no earlier scan knows, with one call less: opened first. ok is false if it is no regular
// file or cannot be opened; later is true if its content is left for a task of its own.
func (w *worker) fresh(dir int, e *item, c class) (later, ok bool) {
	fd, err := openFile(dir, e.name)
	if err != nil {
		return false, false
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil || kindOf(st.Mode) != 'f' {
		unix.Close(fd)
		return false, false
	}
	e.describe(&st, w.names)
	e.secret = c == secret
	if e.size >= large {
		unix.Close(fd)
		return true, true
	}
	w.content(dir, e, fd)
	return false, true
}

// describe takes over what stat says.
func (e *item) describe(st *unix.Stat_t, n *names) {
	e.kind = kindOf(st.Mode)
	e.mode, e.uid, e.gid = st.Mode&0o7777, st.Uid, st.Gid
	e.user, e.group = n.users[st.Uid], n.groups[st.Gid]
	e.size, e.rdev = 0, 0
	switch e.kind {
	case 'f':
		e.size, e.blocks, e.links = st.Size, st.Blocks, st.Nlink > 1
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

// unopened describes what is never opened: symlinks, devices, pipes, sockets, volatile files.
func (w *worker) unopened(dir int, e *item) {
	if e.kind == 'l' {
		n, err := unix.Readlinkat(dir, e.name, w.buf[:maxText])
		if err != nil {
			e.failed(err)
			return
		}
		e.target = string(w.buf[:n])
	}
	e.attributes(pathXattrs("/proc/self/fd/" + strconv.Itoa(dir) + "/" + e.name))
}

// failed notes why something could not be looked at.
func (e *item) failed(err error) {
	if err == unix.EACCES || err == unix.EPERM {
		e.gap(Unreadable)
		return
	}
	e.gap(ReadError)
}

func (w *worker) count(e *item) {
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
	switch noteNames[e.note] {
	case "", Secret, Sparse:
	default:
		atomic.AddInt64(&st.Gaps, 1)
	}
}

// foreignName asks it of a directory that is not open yet.
func foreignName(dir int, name string) bool {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return foreign(fd)
}

// foreign reports whether a directory is on a file system of a kind that is not scanned: views of the kernel, memory, and remote or user
// programs' file systems, which could stall a scan. Any kind unknown here is scanned. Source: statfs(2), linux/magic.h.
func foreign(fd int) bool {
	var st unix.Statfs_t
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
