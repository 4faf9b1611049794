package mirror

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds of downloads, in bytes.
const (
	maxRelease = 16 << 20
	maxPacked  = 256 << 20 // an index as it is sent
)

var errMissing = errors.New("not there")

func unreachable(format string, args ...any) error {
	return fault.New(fault.Unavailable, "%w", fault.Refuse(Unreachable, format, args...))
}

// open begins the download of a path below the upstream's root. What is not there is errMissing.
func (m *Mirror) open(ctx context.Context, u Upstream, path string) (io.ReadCloser, error) {
	address, err := url.Parse(u.URL)
	if err != nil {
		return nil, unreachable("%s: %w", path, err)
	}
	address.Path, address.RawPath = strings.TrimSuffix(address.Path, "/")+"/"+path, ""
	if address.Scheme == "file" {
		f, err := os.Open(address.Path)
		if errors.Is(err, os.ErrNotExist) {
			return nil, unreachable("%s: %w", path, errMissing)
		} else if err != nil {
			return nil, unreachable("%s: %w", path, err)
		}
		return f, nil
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("fetch %s: %w", path, err)
	}
	request.Header.Set("Accept-Encoding", "identity") // digests are of the file as it is stored
	response, err := m.Client.Do(request)
	if err != nil {
		return nil, unreachable("fetch %s: %w", path, err)
	}
	switch response.StatusCode {
	case http.StatusOK:
		return response.Body, nil
	case http.StatusNotFound, http.StatusGone:
		err = errMissing
	default:
		err = fmt.Errorf("answered %s", response.Status)
	}
	response.Body.Close()
	return nil, unreachable("fetch %s: %w", path, err)
}

// get downloads a small file whole, at most limit bytes.
func (m *Mirror) get(ctx context.Context, u Upstream, path string, limit int64) ([]byte, error) {
	r, err := m.open(ctx, u, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return nil, unreachable("fetch %s: broken off: %w", path, err)
	}
	if int64(len(b)) > limit {
		return nil, fault.Refuse(fault.MixMatch, "fetch %s: larger than the %d bytes it may have", path, limit)
	}
	return b, nil
}

// indexForms are the compressions of an index we can read, best first.
var indexForms = []string{".xz", ".gz", ""}

// fetchIndex downloads the index that the release file vouches for, checks both its packed and its plain form and every
// stanza, and keeps it as a blob.
func (m *Mirror) fetchIndex(ctx context.Context, u Upstream, release deb.Release, r *Release) error {
	plainPath := u.Component + "/binary-" + u.Arch + "/Packages"
	plain, ok := release.Files[plainPath]
	if !ok {
		return fault.Refuse(fault.Malformed, "the release file names no index %s: wrong component or architecture?", plainPath)
	}
	for _, ext := range indexForms {
		file, listed := release.Files[plainPath+ext]
		if !listed {
			continue
		}
		packed, err := m.getIndex(ctx, u, release, plainPath+ext, file)
		if errors.Is(err, errMissing) {
			continue // Debian lists the plain form but does not keep it
		} else if err != nil {
			return err
		}
		if r.Packages, err = checkIndex(packed, ext, plain); err != nil {
			return fault.Refuse(codeOr(err, fault.Malformed), "index %s: %w", plainPath+ext, err)
		}
		r.IndexPath = plainPath + ext
		r.Index, err = blob.PutBytes(ctx, m.Blobs, packed)
		return err
	}
	return unreachable("the index %s is there in none of the forms the release file lists", plainPath)
}

func codeOr(err error, code string) string {
	if c := fault.CodeOf(err); c != "" {
		return c
	}
	return code
}

// getIndex downloads one form of the index, by its digest where the archive offers that, and checks it.
func (m *Mirror) getIndex(ctx context.Context, u Upstream, release deb.Release, path string, file deb.ReleaseFile) ([]byte, error) {
	if file.Size > maxPacked {
		return nil, fault.Refuse(fault.Malformed, "index %s has %d bytes, more than %d", path, file.Size, maxPacked)
	}
	full := "dists/" + u.Suite + "/" + path
	var b []byte
	err := errMissing
	if release.ByHash {
		b, err = m.get(ctx, u, full[:strings.LastIndexByte(full, '/')]+"/by-hash/SHA256/"+file.SHA256, file.Size)
	}
	if errors.Is(err, errMissing) {
		b, err = m.get(ctx, u, full, file.Size)
	}
	if err != nil {
		return nil, err
	}
	if int64(len(b)) != file.Size || envelope.Digest(b) != file.SHA256 {
		return nil, fault.Refuse(fault.MixMatch, "index %s is not the one the release file names: got %d bytes with sha256 %s, want %d with %s", path, len(b), envelope.Digest(b), file.Size, file.SHA256)
	}
	return b, nil
}

// checkIndex unpacks an index, compares it with what the release file says of its plain form, and counts its stanzas.
func checkIndex(packed []byte, ext string, plain deb.ReleaseFile) (count int, err error) {
	err = deb.Unpack(ext, bytes.NewReader(packed), func(r io.Reader) error {
		sum := sha256.New()
		limited := &io.LimitedReader{R: r, N: plain.Size + 1}
		for _, err := range deb.ParsePackages(io.TeeReader(limited, sum)) {
			if err != nil {
				return err
			}
			count++
		}
		if limited.N != 1 || hex.EncodeToString(sum.Sum(nil)) != plain.SHA256 {
			return fault.Refuse(fault.MixMatch, "unpacked it is not what the release file names")
		}
		return nil
	})
	return count, err
}

// Index gives the packages of the accepted index, in its order, with the release that vouches for them. An upstream that
// was never refreshed is fault.Conflict; one whose release has meanwhile expired or grown too old is refused with EXPIRED
// or FREEZE.
func (m *Mirror) Index(ctx context.Context, name string) ([]deb.IndexEntry, Release, error) {
	u, err := m.upstream(ctx, name)
	if err != nil {
		return nil, Release{}, err
	}
	r, err := m.State(ctx, name)
	if err != nil {
		return nil, r, err
	}
	if r.Index == "" {
		return nil, r, fault.New(fault.Conflict, "upstream %s was never refreshed", name)
	}
	if err := u.fresh(r, m.Now()); err != nil {
		return nil, r, fmt.Errorf("index of upstream %s: %w", name, err)
	}
	f, err := m.Blobs.Open(ctx, r.Index)
	if err != nil {
		return nil, r, fmt.Errorf("index of upstream %s: %w", name, err)
	}
	defer f.Close()
	all := make([]deb.IndexEntry, 0, r.Packages)
	err = deb.Unpack(filepath.Ext(r.IndexPath), f, func(plain io.Reader) error {
		for e, err := range deb.ParsePackages(plain) {
			if err != nil {
				return err
			}
			all = append(all, e)
		}
		return nil
	})
	if err != nil {
		return nil, r, fmt.Errorf("index of upstream %s: %w", name, err)
	}
	return all, r, nil
}

// Fetch brings the .deb of an entry of an upstream's index into the pool, if it is not there, and checks it. Other bytes
// than the index names are refused with the code ARBITRARY and recorded as an act.
func (m *Mirror) Fetch(ctx context.Context, name string, e deb.IndexEntry) error {
	u, err := m.upstream(ctx, name)
	if err != nil {
		return err
	}
	if has, err := m.Pool.Has(ctx, e.SHA256); err != nil || has {
		return err
	}
	err = m.fetch(ctx, u, e)
	if code := fault.CodeOf(err); code != "" && ctx.Err() == nil {
		err = fmt.Errorf("fetch %s %s from upstream %s: %w", e.Name, e.Version, name, err)
		if alarm := m.refused(ctx, name, code, err); alarm != nil {
			return fmt.Errorf("%w; and the refusal could not be recorded: %w", err, alarm)
		}
	}
	return err
}

func (m *Mirror) fetch(ctx context.Context, u Upstream, e deb.IndexEntry) error {
	body, err := m.open(ctx, u, e.Filename)
	if err != nil {
		return err
	}
	defer body.Close()
	return m.Pool.Add(ctx, e, body)
}
