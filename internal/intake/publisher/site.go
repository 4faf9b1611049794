// Package publisher finds the documents of a collection where they are published, and brings those that changed: Red Hat's directories
// with changes.csv and deletions.csv, and the CSAF provider's feeds and directories.
//
// What a publisher's lists name is asked for only at the configured origin (scheme, host and port), so that no list can make
// the server ask elsewhere.
package publisher

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/unpack"
)

// Bounds, in bytes and documents.
const (
	maxList    = 64 << 20
	maxBeside  = 64 << 10
	maxArchive = 4 << 30
	// MaxDocuments is how many changed documents one fetch brings; the next one goes on.
	MaxDocuments = 2000
)

// Site is a publisher's address with what we want of it.
type Site struct {
	Client     *http.Client
	URL        string
	IsDocument func(path string) bool
	Largest    int64 // bytes of a document
	Signed     bool  // bring signatures along
	Verify     func(signed io.ReadSeeker, signature []byte) (signer string, err error)
}

// errMissing: the publisher answered that it has no such file.
var errMissing = errors.New("not found")

// StayHome is a http.Client's CheckRedirect that follows only within the first origin.
func StayHome(next *http.Request, via []*http.Request) error {
	if len(via) > 5 || !sameOrigin(next.URL, via[0].URL) {
		return fault.New(fault.Invalid, "it sends us on to %s://%s, which is not its own origin; if that is right, configure that address",
			next.URL.Scheme, next.URL.Host)
	}
	return nil
}

func sameOrigin(a, b *url.URL) bool { return a.Scheme == b.Scheme && a.Host == b.Host }

// resolve gives the address of what a list names, if it is one we may ask for.
func (s Site) resolve(base, reference string) (*url.URL, error) {
	home, err := url.Parse(s.URL)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(base) // which a list may name, too
	if err == nil {
		u, err = u.Parse(reference)
	}
	if err != nil || !sameOrigin(u, home) || u.User != nil || u.RawQuery != "" || u.Fragment != "" || unpack.CheckPath(strings.Trim(u.Path, "/")) != nil {
		return nil, fault.New(fault.Invalid, "its list names an address that is not a plain one of %s", home.Host)
	}
	return u, nil
}

// open asks for one file.
func (s Site) open(ctx context.Context, u *url.URL) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	answer, err := s.Client.Do(request)
	if err != nil {
		return nil, fault.New(fault.Unavailable, "%w", err)
	}
	switch answer.StatusCode {
	case http.StatusOK:
		return answer.Body, nil
	case http.StatusNotFound, http.StatusGone:
		err = errMissing
	default:
		err = fault.New(fault.Unavailable, "%s answered %s", u.Host, answer.Status)
	}
	return nil, errors.Join(err, answer.Body.Close())
}

// get reads one file of at most max bytes. Where it is larger, it comes back cut after one byte more, which whoever takes it
// refuses.
func (s Site) get(ctx context.Context, base, reference string, max int64) ([]byte, error) {
	u, err := s.resolve(base, reference)
	if err != nil {
		return nil, err
	}
	body, err := s.open(ctx, u)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", u.Path, err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, max+1))
	if err != nil {
		return nil, fault.New(fault.Unavailable, "get %s: %w", u.Path, err)
	}
	return b, nil
}

// listed is one document of a publisher's list.
type listed struct {
	path    string // its name in the collection
	address string
	at      time.Time
}

// readCSV reads a list of paths and times as CSAF and Red Hat write it: "path","time".
func readCSV(b []byte) ([]listed, error) {
	if len(b) > maxList {
		return nil, fault.New(fault.Invalid, "its list of documents is larger than %d bytes", maxList)
	}
	r := csv.NewReader(strings.NewReader(string(b)))
	r.FieldsPerRecord = 2
	var all []listed
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fault.New(fault.Invalid, "its list of documents is damaged: %w", err)
		}
		at, err := time.Parse(time.RFC3339, record[1])
		if err != nil || unpack.CheckPath(record[0]) != nil {
			return nil, fault.New(fault.Invalid, "its list of documents is damaged near line %d", len(all)+1)
		}
		all = append(all, listed{path: record[0], address: record[0], at: at})
	}
}

// bring makes the delivery of what changed since the documents known.
func (s Site) bring(ctx context.Context, base string, all []listed, known map[string]intake.Document) intake.Delivery {
	var changed []listed
	for _, l := range all {
		have, ok := known[l.path]
		current := ok && have.Digest != "" && have.Refused == "" && (l.at.Equal(have.Listed) || have.Listed.IsZero() && !l.at.After(have.Revised))
		if !current && s.IsDocument(l.path) {
			changed = append(changed, l)
		}
	}
	changed = changed[:min(len(changed), MaxDocuments)]
	return intake.Delivery{From: base, Each: func(take func(intake.File) error) error {
		for _, l := range changed {
			if err := s.document(ctx, base, l, take); err != nil {
				return err
			}
		}
		return nil
	}}
}

// document brings one document and what stands beside it.
func (s Site) document(ctx context.Context, base string, l listed, take func(intake.File) error) error {
	b, err := s.get(ctx, base, l.address, s.Largest)
	u, bad := s.resolve(base, l.address)
	switch {
	case bad != nil:
		return bad
	case errors.Is(err, errMissing):
		return take(intake.File{Path: l.path, From: u.String(), Listed: l.at, Missing: true})
	case err != nil:
		return err
	}
	if err := take(intake.File{Path: l.path, From: u.String(), Listed: l.at, Body: strings.NewReader(string(b))}); err != nil {
		return err
	}
	endings := []string{".sha512", ".sha256"}
	if s.Signed {
		endings = []string{".asc"}
	}
	for _, ending := range endings {
		b, err := s.get(ctx, base, l.address+ending, maxBeside)
		if errors.Is(err, errMissing) {
			continue
		}
		if err != nil {
			return err
		}
		return take(intake.File{Path: l.path + ending, Body: strings.NewReader(string(b))})
	}
	return nil
}

func byPath(documents []intake.Document) map[string]intake.Document {
	all := make(map[string]intake.Document, len(documents))
	for _, d := range documents {
		all[d.Path] = d
	}
	return all
}

// spool keeps a large file aside until done is called.
func (s Site) spool(ctx context.Context, base, reference string) (f *os.File, size int64, done func(), err error) {
	u, err := s.resolve(base, reference)
	if err != nil {
		return nil, 0, nil, err
	}
	body, err := s.open(ctx, u)
	if err != nil {
		return nil, 0, nil, fmt.Errorf("get %s: %w", path.Base(u.Path), err)
	}
	defer body.Close()
	f, err = os.CreateTemp("", "patchwarrant-fetch-")
	if err != nil {
		return nil, 0, nil, err
	}
	done = func() { f.Close(); os.Remove(f.Name()) }
	if size, err = io.Copy(f, io.LimitReader(body, maxArchive+1)); err != nil {
		err = fault.New(fault.Unavailable, "get %s: %w", path.Base(u.Path), err)
	} else if size > maxArchive {
		err = fault.New(fault.Invalid, "the archive is larger than %d bytes", int64(maxArchive))
	}
	if err != nil {
		done()
		return nil, 0, nil, err
	}
	return f, size, done, nil
}
