package filetree

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

const (
	page = 4096
	// huge is the size from which a file of which less than half is on disk is read sparsely: a file of a terabyte that holds
	// nothing would keep a scan busy for ten minutes.
	huge = 1 << 30
	// shared is the size from which a file with several names is read once, so that names, which cost nothing, are no work.
	shared = 64 << 10
)

// openFile opens a regular file. What has become a pipe meanwhile does not hold the scan up.
func openFile(dir int, name string) (int, error) {
	return unix.Openat(dir, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
}

// content reads and hashes a file, open as fd unless that is -1. A file that changes meanwhile is read once more.
func (w *worker) content(dir int, e *item, fd int) {
	defer func() {
		if !e.gone {
			w.count(e)
		}
	}()
	if w.copyLinked(e) {
		if fd >= 0 {
			unix.Close(fd)
		}
		return
	}
	seen := e.volatile
	stable, err := false, error(nil)
	for try := 0; try < 2 && !stable; try++ {
		if fd < 0 {
			if fd, err = openFile(dir, e.name); err != nil {
				break
			}
		}
		stable, err = w.read(fd, e)
		unix.Close(fd)
		if fd = -1; err != nil {
			break
		}
	}
	switch {
	case err == unix.ENOENT:
		e.gone = true
	case err != nil:
		e.failed(err)
	case e.secret:
		e.gap(Secret)
	case !stable:
		e.gap(Unstable)
	case e.sparse():
		e.gap(Sparse)
	}
	if err != nil || !stable {
		return
	}
	if e.was != nil && *e.was != e.sum && e.volatile == seen {
		atomic.AddInt64(&w.out.Stats.Forged, 1)
	}
	if e.links && e.size >= shared {
		w.mu.Lock()
		w.linked[Inode{e.dev, e.ino}] = *e
		w.mu.Unlock()
	}
}

// copyLinked takes over what was read under another name of the same file.
func (w *worker) copyLinked(e *item) bool {
	if !e.links || e.size < shared {
		return false
	}
	w.mu.Lock()
	other, ok := w.linked[Inode{e.dev, e.ino}]
	w.mu.Unlock()
	if !ok || other.volatile != e.volatile || other.size != e.size || other.secret != e.secret {
		return false
	}
	e.note, e.sum, e.xattrs = other.note, other.sum, other.xattrs
	return true
}

func (e *item) sparse() bool { return e.size > huge && e.blocks < e.size/512/2 }

// read hashes a file once; stable is false if it was another or changed between the first look and the last. Then e is
// brought up to date, for another try.
func (w *worker) read(fd int, e *item) (stable bool, err error) {
	h := w.plain
	if e.secret {
		h = w.keyed
	}
	h.Reset()
	size := e.size
	if e.sparse() {
		err = w.hashPages(fd, e, h)
	} else {
		size, err = w.hashAll(fd, e, h)
	}
	if err != nil {
		return false, err
	}
	e.note = 0
	e.attributes(descriptorXattrs(fd))
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return false, err
	}
	if kindOf(st.Mode) != 'f' {
		return false, unix.ESTALE
	}
	stable = size == e.size && volatileOf(&st) == e.volatile
	if !stable {
		e.describe(&st, w.names)
	}
	return stable, nil
}

// hashAll reads to the end, or to one byte more than e's size, and gives the number of bytes read.
func (w *worker) hashAll(fd int, e *item, h hash.Hash) (size int64, err error) {
	for size <= e.size {
		n, err := unix.Read(fd, w.buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return 0, err
		}
		size += int64(n)
		if n < len(w.buf) { // of a regular file: the end
			if size == int64(n) && !e.secret {
				e.sum = sha256.Sum256(w.buf[:n])
				atomic.AddInt64(&w.out.Stats.Hashed, size)
				return size, nil
			}
			h.Write(w.buf[:n])
			break
		}
		h.Write(w.buf[:n])
	}
	h.Sum(e.sum[:0])
	atomic.AddInt64(&w.out.Stats.Hashed, size)
	return size, nil
}

var zeros [page]byte

// hashPages reads what is on disk of a sparse file and hashes the pages that are not all zero, with their places: however the file
// lies on disk, equal content gives an equal digest.
func (w *worker) hashPages(fd int, e *item, h hash.Hash) error {
	number := func(v int64) []byte { return binary.LittleEndian.AppendUint64(nil, uint64(v)) }
	for at := int64(0); at < e.size && w.ctx.Err() == nil; {
		data, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if err == unix.ENXIO {
			break
		}
		if err != nil {
			return err
		}
		at = data / page * page
		n, err := unix.Pread(fd, w.buf, at)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		atomic.AddInt64(&w.out.Stats.Hashed, int64(n))
		for b := w.buf[:n]; len(b) > 0; {
			k := min(page, len(b))
			if string(b[:k]) != string(zeros[:k]) {
				h.Write(number(at))
				h.Write(b[:k])
			}
			at, b = at+int64(k), b[k:]
		}
	}
	h.Write(number(e.size))
	h.Sum(e.sum[:0])
	return nil
}
