// Package pool keeps package files by digest: each .deb once, whatever snapshot or stage names it.
package pool

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Pool is the package files in a blob store.
type Pool struct{ blobs blob.Store }

// New makes the pool of a blob store.
func New(blobs blob.Store) *Pool { return &Pool{blobs} }

// File is the path of an entry's .deb in the repository, below its root. It holds the digest, so that other bytes under
// the same name and version never share a path.
func File(e deb.IndexEntry) string {
	version := e.Version
	if _, rest, ok := strings.Cut(version, ":"); ok {
		version = rest // as in Debian's own file names
	}
	return fmt.Sprintf("pool/%s/%s_%s_%s.deb", e.SHA256, e.Name, version, e.Arch)
}

// Has reports whether the pool holds the .deb.
func (p *Pool) Has(ctx context.Context, digest string) (bool, error) { return p.blobs.Has(ctx, digest) }

// Open gives the .deb's bytes, which are checked against the digest while they are read.
func (p *Pool) Open(ctx context.Context, digest string) (io.ReadCloser, error) {
	return p.blobs.Open(ctx, digest)
}

// Add keeps the .deb that an index entry names. Bytes of another size or digest, or a package that calls itself by another
// name, version or architecture, are refused with the code ARBITRARY, and nothing is kept that r gave with a wrong digest.
func (p *Pool) Add(ctx context.Context, e deb.IndexEntry, r io.Reader) error {
	if has, err := p.blobs.Has(ctx, e.SHA256); err != nil {
		return err
	} else if !has {
		if _, _, err := p.blobs.Put(ctx, &exact{r: r, left: e.Size, hash: sha256.New(), entry: e}); err != nil {
			return fmt.Errorf("keep %s %s: %w", e.Name, e.Version, err)
		}
	}
	f, err := p.blobs.Open(ctx, e.SHA256)
	if err != nil {
		return err
	}
	defer f.Close()
	c, err := deb.ReadControl(f)
	if err != nil {
		return fmt.Errorf("check %s %s: %w", e.Name, e.Version, err)
	}
	if c.Name != e.Name || c.Version != e.Version || c.Arch != e.Arch {
		return fault.Refuse(fault.Arbitrary, "the package file for %s %s %s calls itself %s %s %s", e.Name, e.Version, e.Arch, c.Name, c.Version, c.Arch)
	}
	return nil
}

// exact passes on the bytes of r and ends with an error unless they are as many as the entry says and have its digest.
type exact struct {
	r     io.Reader
	left  int64
	hash  hash.Hash
	entry deb.IndexEntry
}

func (x *exact) Read(b []byte) (int, error) {
	n, err := x.r.Read(b)
	x.hash.Write(b[:n])
	x.left -= int64(n)
	wrong := x.left < 0 || err == io.EOF && (x.left > 0 || hex.EncodeToString(x.hash.Sum(nil)) != x.entry.SHA256)
	if wrong {
		return 0, fault.Refuse(fault.Arbitrary, "the file of package %s %s is not the one its index names: want %d bytes with sha256 %s", x.entry.Name, x.entry.Version, x.entry.Size, x.entry.SHA256)
	}
	return n, err
}
