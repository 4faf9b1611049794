package executor

import (
	"errors"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// aside ends the name of a new file until it takes the place of the old one.
const aside = ".patchwarrant"

// step is done with a copy that is open, with its digest, and with the directory that it is in.
type step func(c warrant.Copy, now string, dir, old int) error

// each does the steps one after the other, each with all copies.
func (s site) each(copies []warrant.Copy, steps ...step) error {
	for _, do := range steps {
		for _, c := range copies {
			if _, err := s.at(c, do); err != nil {
				return err
			}
		}
	}
	return nil
}

// at does a step with a copy and gives its digest as it was before; empty where it cannot be had. It refuses (FOREIGN-ROOT) links
// and other mounts on the way, what is no regular file, one with extended attributes (a capability, an ACL), and a directory in which
// others than root may put another in its place.
func (s site) at(c warrant.Copy, do step) (now string, err error) {
	root, err := os.Open(s.root)
	dir, noDir := below(root, "."+filepath.Dir(c.Path), unix.O_DIRECTORY)
	old, noFile := below(dir, filepath.Base(c.Path), unix.O_NONBLOCK)
	defer func() { _ = errors.Join(root.Close(), dir.Close(), old.Close()) }()
	var in, is unix.Stat_t
	err = errors.Join(err, noDir, noFile, unix.Fstat(int(dir.Fd()), &in), unix.Fstat(int(old.Fd()), &is))
	if attributes, _ := unix.Flistxattr(int(old.Fd()), nil); err != nil || in.Uid != 0 || in.Mode&0o022 != 0 || is.Mode&unix.S_IFMT != unix.S_IFREG || attributes > 0 {
		return "", fault.Refuse(fault.ForeignRoot, "%s in %s is no plain file in a directory of root's own: %v", c.Path, s.root, err)
	}
	if now, err = hashed(io.Discard, old, 2<<30); err != nil {
		return "", err
	}
	return now, do(c, now, int(dir.Fd()), int(old.Fd()))
}

// below opens what is in a directory, or below it on the same mount, without following any link.
func below(dir *os.File, name string, flags uint64) (*os.File, error) {
	const resolve = unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_XDEV
	fd, err := unix.Openat2(int(dir.Fd()), name, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_CLOEXEC | flags, Resolve: resolve})
	return os.NewFile(uintptr(fd), name), err // nil without a descriptor
}

// starts refuses (PLAN) a copy that is not what the order starts from.
func starts(c warrant.Copy, now string, _, _ int) error {
	if now != c.From {
		return fault.Refuse(fault.Plan, "%s: the order starts from sha256 %s, there is %s", c.Path, c.From, now)
	}
	return nil
}

// lay writes the new file beside the old one, from the host's own of that path. Only with the signed content, else ARBITRARY, it is
// given the old one's owner and mode.
func lay(c warrant.Copy, _ string, dir, old int) error {
	in, noFile := os.OpenFile(c.Path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	fd, err := unix.Openat(dir, filepath.Base(c.Path)+aside, unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	out, was := os.NewFile(uintptr(fd), aside), unix.Stat_t{}
	defer func() { _ = errors.Join(in.Close(), out.Close()) }()
	digest, notRead := hashed(out, in, c.Size)
	if err = errors.Join(err, noFile, notRead, unix.Fstat(old, &was)); err != nil || digest != c.To {
		return fault.Refuse(fault.Arbitrary, "the host's own %s has sha256 %s, not %s: %v", c.Path, digest, c.To, err)
	}
	if err := out.Chown(int(was.Uid), int(was.Gid)); err != nil {
		return err
	}
	return errors.Join(unix.Fchmod(fd, was.Mode&0o7777), out.Sync())
}

// take puts the new file in the place of the old one.
func take(c warrant.Copy, _ string, dir, _ int) error {
	return errors.Join(unix.Renameat(dir, filepath.Base(c.Path)+aside, dir, filepath.Base(c.Path)), unix.Fsync(dir))
}

// tidy takes away what an attempt left.
func tidy(c warrant.Copy, _ string, dir, _ int) error {
	return unix.Unlinkat(dir, filepath.Base(c.Path)+aside, 0)
}
