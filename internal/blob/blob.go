// Package blob keeps bytes by their SHA-256: the facts that acts cite.
package blob

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Store keeps blobs by digest (lower hex SHA-256). A digest that is not of that form is fault.Invalid.
type Store interface {
	// Put keeps all bytes of r and gives their digest and count. When it returns, the bytes survive a crash.
	Put(ctx context.Context, r io.Reader) (digest string, size int64, err error)
	// Open gives the bytes of a digest, or fault.NotFound. Reading ends with an error in place of io.EOF where the
	// bytes are no longer those of the digest.
	Open(ctx context.Context, digest string) (io.ReadCloser, error)
	Has(ctx context.Context, digest string) (bool, error)
}

// PutBytes keeps b, once.
func PutBytes(ctx context.Context, s Store, b []byte) (string, error) {
	sum := sha256.Sum256(b)
	digest := hex.EncodeToString(sum[:])
	if ok, err := s.Has(ctx, digest); err != nil || ok {
		return digest, err
	}
	_, _, err := s.Put(ctx, bytes.NewReader(b))
	return digest, err
}

// ReadAll gives the bytes of a digest, verified; more than max of them are fault.Invalid.
func ReadAll(ctx context.Context, s Store, digest string, max int64) ([]byte, error) {
	r, err := s.Open(ctx, digest)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, max+1))
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > max {
		return nil, fault.New(fault.Invalid, "blob %s: larger than %d bytes", digest, max)
	}
	return b, nil
}

// valid reports whether digest is 64 lower hex digits.
func valid(digest string) bool {
	if len(digest) != 2*sha256.Size {
		return false
	}
	for _, c := range digest {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
