package server

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
)

// Keys are the server's own keys. None of them can make a host do anything: hosts obey what people signed.
type Keys struct {
	Ledger     note.Signer
	Verifier   string // of the ledger
	Repository *pgp.Signer
	CA         *estate.CA
}

// Identity gives the public part of the keys.
func (k *Keys) Identity(origin string) (v1.Identity, error) {
	public, err := k.Repository.ArmouredPublic()
	if err != nil {
		return v1.Identity{}, err
	}
	return v1.Identity{Origin: origin, LedgerKey: k.Verifier, RepositoryKey: string(public), CASHA256: k.CA.Hash()}, nil
}

func keyDir(c Config) string { return filepath.Join(c.Data, "keys") }

// Init makes the keys that are missing, and gives all of them. Nothing is ever overwritten.
func Init(c Config, now func() time.Time) (*Keys, error) {
	dir := keyDir(c)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("make keys: %w", err)
	}
	err := keep(filepath.Join(dir, "ledger.key"), func() ([]byte, error) {
		secret, verifier, err := note.GenerateKey(rand.Reader, c.Origin)
		return []byte(secret + "\n" + verifier + "\n"), err
	})
	if err != nil {
		return nil, fmt.Errorf("make the ledger's key: %w", err)
	}
	err = keep(filepath.Join(dir, "repository.key"), func() ([]byte, error) {
		signer, err := pgp.Generate("Patchwarrant repository of "+c.Origin, "", pgp.Ed25519, now())
		if err != nil {
			return nil, err
		}
		return signer.ArmouredPrivate()
	})
	if err != nil {
		return nil, fmt.Errorf("make the repository's key: %w", err)
	}
	if _, err := estate.OpenCA(dir, now); err != nil {
		return nil, err
	}
	return OpenKeys(c, now)
}

// OpenKeys reads the keys that Init made.
func OpenKeys(c Config, now func() time.Time) (*Keys, error) {
	k := &Keys{}
	b, err := secret(filepath.Join(keyDir(c), "ledger.key"))
	if err != nil {
		return nil, fmt.Errorf("open the ledger's key: %w", err)
	}
	private, verifier, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	if k.Ledger, err = note.NewSigner(private); err != nil {
		return nil, fault.New(fault.Invalid, "open the ledger's key: the file is not one that patchwarrantd init makes")
	}
	k.Verifier = verifier
	if b, err = secret(filepath.Join(keyDir(c), "repository.key")); err != nil {
		return nil, fmt.Errorf("open the repository's key: %w", err)
	}
	if k.Repository, err = pgp.LoadSigner(b); err != nil {
		return nil, fmt.Errorf("open the repository's key: %w", err)
	}
	if _, err := secret(filepath.Join(keyDir(c), "ca.key")); err != nil {
		return nil, fmt.Errorf("open the hosts' CA: %w", err)
	}
	if k.CA, err = estate.OpenCA(keyDir(c), now); err != nil {
		return nil, err
	}
	return k, nil
}

// keep writes a secret file once.
func keep(path string, secret func() ([]byte, error)) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := secret()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

// secret reads a file that nobody else may read.
func secret(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.New(fault.Invalid, "%s is missing: run patchwarrantd init", path)
	}
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fault.New(fault.Invalid, "%s can be read by others (mode %04o): chmod 600 it", path, info.Mode().Perm())
	}
	b, err := os.ReadFile(path)
	return bytes.TrimSpace(b), err
}
