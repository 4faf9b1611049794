package agent

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

const maxPolicy = 1 << 20

// readPolicy gives the shipped scan policy with what root added on this host. Only root may have written the file: whoever can
// change it can hide files.
func readPolicy(p Places) (filetree.Policy, error) {
	shipped := filetree.ShippedPolicy()
	info, err := os.Lstat(p.policy())
	if errors.Is(err, fs.ErrNotExist) {
		return shipped, nil
	}
	if err != nil {
		return shipped, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.Mode().IsRegular() || st.Uid != 0 || info.Mode().Perm()&0o022 != 0 {
		return shipped, fault.New(fault.Invalid, "%s must be a file that belongs to root and that only root can write: chown root, chmod 0644", p.policy())
	}
	b, err := readFile(p.policy(), maxPolicy)
	if err != nil {
		return shipped, err
	}
	own, err := filetree.ParsePolicy(b)
	if err != nil {
		return shipped, fmt.Errorf("read %s: %w", p.policy(), err)
	}
	return shipped.With(own), nil
}

const scanKeySize = 32

// scanKey gives the host's key for digests of secret files; the first call makes it. Under another key every secret file counts as
// changed once.
func scanKey(p Places) ([]byte, error) {
	b, err := readFile(p.scanKey(), scanKeySize)
	if err == nil && len(b) == scanKeySize {
		return b, nil
	}
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Invalid, "%s is damaged (%v); remove it, and a new one is made", p.scanKey(), err)
	}
	b = make([]byte, scanKeySize)
	rand.Read(b) // never fails
	return b, writeFile(p.scanKey(), 0o600, b)
}
