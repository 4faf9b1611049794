package executor

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Repository is a checked copy of a snapshot's files: Dir, owned by root, holds InRelease, Packages and pool/….
type Repository struct {
	Dir   string
	Suite string   // snapshots/DIGEST
	Keys  []string // armoured OpenPGP keys, one of which signed InRelease
}

const (
	maxRelease = 1 << 20   // bytes of InRelease
	maxIndex   = 256 << 20 // bytes of Packages
)

// takeOver copies what the agent carried into root's own directory and checks there what people signed: the .debs
// (ARBITRARY) and the index (MIXMATCH). The agent may change its files at any time; only the copies are used.
func (x *Executor) takeOver(l *warrant.Leave) (Repository, error) {
	r := Repository{filepath.Join(x.State, "work"), "snapshots/" + l.Order.Snapshot.SHA256, l.Root.Repository.Keys}
	if err := os.RemoveAll(r.Dir); err != nil {
		return r, err
	}
	if err := os.MkdirAll(r.Dir, 0o700); err != nil {
		return r, err
	}
	from, err := os.OpenRoot(filepath.Join(x.Carry, l.Order.ID))
	if err != nil {
		return r, fault.Refuse(fault.Failed, "the agent carries no files for order %s: %w", l.Order.ID, err)
	}
	defer from.Close()
	if _, err := copyIn(from, r.Dir, "InRelease", maxRelease); err != nil {
		return r, err
	}
	if digest, err := copyIn(from, r.Dir, "Packages", maxIndex); err != nil {
		return r, err
	} else if digest != l.Order.Snapshot.Index {
		return r, fault.Refuse(fault.MixMatch, "the index carried for order %s has sha256 %s, not %s", l.Order.ID, digest, l.Order.Snapshot.Index)
	}
	for _, a := range l.Transaction.Actions {
		if a.File == "" {
			continue
		}
		if digest, err := copyIn(from, r.Dir, a.File, a.Size); err != nil {
			return r, err
		} else if digest != a.SHA256 {
			return r, fault.Refuse(fault.Arbitrary, "%s carried for order %s has sha256 %s, not %s", a.File, l.Order.ID, digest, a.SHA256)
		}
	}
	return r, nil
}

// copyIn copies a regular file of at most limit bytes and gives the digest of what it wrote. No link is followed.
func copyIn(from *os.Root, dir, name string, limit int64) (string, error) {
	in, err := from.OpenFile(name, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return "", fault.Refuse(fault.Failed, "carried file: %w", err)
	}
	defer in.Close()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() || info.Size() > limit {
		return "", fault.Refuse(fault.Arbitrary, "carried file %s is no regular file of at most %d bytes", name, limit)
	}
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	out, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return "", err
	}
	defer out.Close()
	h := sha256.New()
	if _, err := io.Copy(io.MultiWriter(out, h), io.LimitReader(in, limit)); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), out.Close()
}
