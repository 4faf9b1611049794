package blob

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// DirStore is a Store in a directory: <first two digits>/<digest>, written aside, synced and renamed.
type DirStore struct {
	root string
}

// Dir opens a store in the directory path, making it where it is missing.
func Dir(path string) (*DirStore, error) {
	if err := os.MkdirAll(filepath.Join(path, "tmp"), 0o700); err != nil {
		return nil, fmt.Errorf("open blob store: %w", err)
	}
	return &DirStore{root: path}, nil
}

func (d *DirStore) name(digest string) (string, error) {
	if !valid(digest) {
		return "", fault.New(fault.Invalid, "not a SHA-256 digest in 64 lower hex digits")
	}
	return filepath.Join(d.root, digest[:2], digest), nil
}

// Put keeps the bytes of r. A blob that is there already is written again, which heals it if it was damaged.
func (d *DirStore) Put(ctx context.Context, r io.Reader) (string, int64, error) {
	f, err := os.CreateTemp(filepath.Join(d.root, "tmp"), "put-")
	if err != nil {
		return "", 0, fmt.Errorf("put blob: %w", err)
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	h := sha256.New()
	size, err := io.Copy(io.MultiWriter(f, h), &reader{ctx: ctx, r: r})
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return "", 0, fmt.Errorf("put blob: %w", err)
	}
	digest := hex.EncodeToString(h.Sum(nil))
	if err := d.keep(f.Name(), digest); err != nil {
		return "", 0, fmt.Errorf("put blob %s: %w", digest, err)
	}
	return digest, size, nil
}

// keep renames a synced file to its place and syncs the directories that name it.
func (d *DirStore) keep(temp, digest string) error {
	dir := filepath.Join(d.root, digest[:2])
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = syncDir(d.root)
	} else if errors.Is(err, fs.ErrExist) {
		err = nil
	}
	if err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o400); err != nil {
		return err
	}
	if err := os.Rename(temp, filepath.Join(dir, digest)); err != nil {
		return err
	}
	return syncDir(dir)
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Open gives the bytes of a digest, checked while they are read.
func (d *DirStore) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	name, err := d.name(digest)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.NotFound, "blob %s: no such blob", digest)
	}
	if err != nil {
		return nil, fmt.Errorf("open blob: %w", err)
	}
	return &verified{reader: reader{ctx: ctx, r: f}, file: f, hash: sha256.New(), digest: digest}, nil
}

// Has reports whether the store holds the digest.
func (d *DirStore) Has(_ context.Context, digest string) (bool, error) {
	name, err := d.name(digest)
	if err != nil {
		return false, err
	}
	_, err = os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for blob: %w", err)
	}
	return true, nil
}

// reader stops when its context does.
type reader struct {
	ctx context.Context
	r   io.Reader
}

func (r *reader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}

// verified ends with an error in place of io.EOF where the bytes are not those of the digest.
type verified struct {
	reader
	file   *os.File
	hash   hash.Hash
	digest string
}

func (v *verified) Read(p []byte) (int, error) {
	n, err := v.reader.Read(p)
	v.hash.Write(p[:n])
	if err == io.EOF && hex.EncodeToString(v.hash.Sum(nil)) != v.digest {
		return n, fmt.Errorf("blob %s is damaged: its bytes have another digest; restore it from backup", v.digest)
	}
	return n, err
}

func (v *verified) Close() error { return v.file.Close() }
