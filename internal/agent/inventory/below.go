package inventory

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// below does something with a name below a root. In the host's own root links may lead anywhere, as for every program there.
// In any other root they must not: who may write in a chroot must not make the agent, which can read every file, read the
// host's for them.
func below[T any](root, name string, host func(string) (T, error), inside func(*os.Root, string) (T, error)) (result T, err error) {
	if root == "/" {
		return host("/" + name)
	}
	dir, err := os.OpenRoot(root)
	if err != nil {
		return result, err
	}
	defer dir.Close()
	return inside(dir, name)
}

func stat(root, name string) (fs.FileInfo, error) {
	return below(root, name, os.Stat, (*os.Root).Stat)
}

func readDir(root, name string) ([]fs.DirEntry, error) {
	return below(root, name, os.ReadDir, func(r *os.Root, name string) ([]fs.DirEntry, error) { return fs.ReadDir(r.FS(), name) })
}

// open opens a file and waits for nothing: a pipe in its place does not hold the agent.
func open(root, name string) (*os.File, error) {
	const flags = os.O_RDONLY | syscall.O_NONBLOCK
	return below(root, name, func(path string) (*os.File, error) { return os.OpenFile(path, flags, 0) },
		func(r *os.Root, name string) (*os.File, error) { return r.OpenFile(name, flags, 0) })
}

// readFile reads a regular file of at most limit bytes.
func readFile(root, name string, limit int64) ([]byte, error) {
	f, err := open(root, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	path := filepath.Join(root, name)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fault.New(fault.Invalid, "%s is no regular file", path)
	}
	b, err := io.ReadAll(io.LimitReader(f, limit+1)) // files of proc have no size to go by
	if err == nil && int64(len(b)) > limit {
		err = fault.New(fault.Invalid, "%s is over %d bytes", path, limit)
	}
	return b, err
}
