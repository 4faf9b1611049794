package filetree

import (
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// attributes takes extended attributes over, or notes that they could not be read.
func (e *item) attributes(all []xattr, ok bool) {
	if e.xattrs = all; !ok {
		e.gap(Attributes)
	}
}

// descriptorXattrs gives an open file's extended attributes, sorted by name. An attribute that cannot be read comes without its
// value, and then ok is false.
func descriptorXattrs(fd int) (all []xattr, ok bool) {
	size, err := unix.Flistxattr(fd, nil)
	if err != nil || size <= 0 {
		return nil, absent(err)
	}
	return xattrs(size,
		func(b []byte) (int, error) { return unix.Flistxattr(fd, b) },
		func(name string, b []byte) (int, error) { return unix.Fgetxattr(fd, name, b) })
}

func pathXattrs(path string) (all []xattr, ok bool) {
	size, err := unix.Llistxattr(path, nil)
	if err != nil || size <= 0 {
		return nil, absent(err)
	}
	return xattrs(size,
		func(b []byte) (int, error) { return unix.Llistxattr(path, b) },
		func(name string, b []byte) (int, error) { return unix.Lgetxattr(path, name, b) })
}

// absent reports whether there is nothing to read: no attributes, none on this file system, or no file any more.
func absent(err error) bool {
	return err == nil || err == unix.ENOTSUP || err == unix.ENODATA || err == unix.ENOENT || err == unix.ENOSYS
}

func xattrs(size int, list func([]byte) (int, error), get func(string, []byte) (int, error)) (all []xattr, ok bool) {
	names := make([]byte, size+256)
	size, err := list(names)
	if err != nil {
		return nil, absent(err)
	}
	ok = true
	value := make([]byte, maxXattr)
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:size]), "\x00"), "\x00") {
		if name == "" {
			continue
		}
		n, err := get(name, value)
		switch {
		case err == nil:
			all = append(all, xattr{name, string(value[:n])})
		case err != unix.ENODATA:
			all, ok = append(all, xattr{name, ""}), false
		}
	}
	slices.SortFunc(all, func(a, b xattr) int { return strings.Compare(a.name, b.name) })
	return all, ok
}
