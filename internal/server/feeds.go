package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/publisher"
)

// feeds fetches the sources that have an address. What comes is imported as a file would be, with the same checks.
type feeds struct {
	sources []Source // from the configuration
	intake  *intake.Intake
	blobs   blob.Store
	client  *http.Client
	kept    func(name string) (intake.Source, bool) // the source as intake knows it

	mu   sync.Mutex
	tags map[string]validators // by source: of what was imported last
}

// validators are what a server gives to ask for a file again only if it changed (RFC 9110, 13.1).
type validators struct{ etag, modified string }

// fetchEvery is how often a source is asked for.
const fetchEvery = 6 * time.Hour

// Sweep fetches every source once. One that fails does not keep the others; its freshness clock tells.
func (f *feeds) Sweep(ctx context.Context) error {
	var failed error
	for _, s := range f.sources {
		if s.URL == "" {
			continue
		}
		if _, err := f.Fetch(ctx, "", s.Name); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// Fetch gets one source and imports it for who, or for the server itself. A source without an address is fault.NotFound.
func (f *feeds) Fetch(ctx context.Context, who, name string) (intake.Receipt, error) {
	for _, s := range f.sources {
		if s.Name == name && s.URL != "" {
			get := f.fetch
			if k, _ := kindNamed(s.kind()); k.protocol != whole {
				get = f.collect
			}
			r, err := get(ctx, who, s)
			if err != nil {
				return r, fmt.Errorf("fetch source %s: %w", name, err)
			}
			return r, nil
		}
	}
	return intake.Receipt{}, fault.New(fault.NotFound, "no address is configured for source %s: import a file, or add a [[source]] with its url", name)
}

func (f *feeds) fetch(ctx context.Context, who string, s Source) (intake.Receipt, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, s.URL, nil)
	if err != nil {
		return intake.Receipt{}, err
	}
	f.mu.Lock()
	if last := f.tags[s.Name]; last.etag != "" {
		request.Header.Set("If-None-Match", last.etag)
	} else if last.modified != "" {
		request.Header.Set("If-Modified-Since", last.modified)
	}
	f.mu.Unlock()
	answer, err := f.client.Do(request)
	if err != nil {
		return intake.Receipt{}, fault.New(fault.Unavailable, "%w", err)
	}
	defer answer.Body.Close()
	switch answer.StatusCode {
	case http.StatusNotModified:
		return f.again(ctx, who, s)
	case http.StatusOK:
	default:
		return intake.Receipt{}, fault.New(fault.Unavailable, "%s answered %s", request.URL.Host, answer.Status)
	}
	r, err := f.intake.Import(ctx, who, s.Name, answer.Body, s.URL)
	if err == nil {
		f.mu.Lock()
		f.tags[s.Name] = validators{answer.Header.Get("ETag"), answer.Header.Get("Last-Modified")}
		f.mu.Unlock()
	}
	return r, err
}

// again imports the bytes in force once more, which sets the source's clock and nothing else.
func (f *feeds) again(ctx context.Context, who string, s Source) (intake.Receipt, error) {
	states, err := f.intake.States(ctx)
	if err != nil {
		return intake.Receipt{}, err
	}
	for _, state := range states {
		if source, _ := f.kept(s.Name); state.Name == s.Name && source.Collection != nil {
			return f.intake.Deliver(ctx, who, s.Name, intake.Delivery{From: s.URL, Each: func(func(intake.File) error) error { return nil }})
		}
		if state.Name == s.Name && state.Digest != "" {
			var b io.ReadCloser
			if b, err = f.blobs.Open(ctx, state.Digest); err != nil {
				return intake.Receipt{}, err
			}
			defer b.Close()
			return f.intake.Import(ctx, who, s.Name, b, s.URL)
		}
	}
	return intake.Receipt{}, fault.New(fault.Internal, "nothing is known of source %s to go on with", s.Name)
}

// collect brings the documents of a collection that changed since the last time.
func (f *feeds) collect(ctx context.Context, who string, s Source) (intake.Receipt, error) {
	source, ok := f.kept(s.Name)
	if !ok {
		return intake.Receipt{}, fault.New(fault.Internal, "source %s is configured and not kept", s.Name)
	}
	c := source.Collection
	site := publisher.Site{Client: f.client, URL: s.URL, IsDocument: c.IsDocument, Largest: c.MaxDocument, Signed: c.Verify != nil, Verify: c.Verify}
	known, err := f.intake.Documents(ctx, s.Name, false)
	if err != nil {
		return intake.Receipt{}, err
	}
	k, _ := kindNamed(s.kind())
	if k.protocol == redHat && len(known) == 0 {
		d, done, err := site.RedHatArchive(ctx, *c)
		if err != nil {
			return intake.Receipt{}, err
		}
		defer done()
		return f.intake.Deliver(ctx, who, s.Name, d) // what changed since the archive comes with the next fetch
	}
	list := site.Provider
	if k.protocol == redHat {
		list = site.RedHat
	}
	d, err := list(ctx, known)
	if err != nil {
		return intake.Receipt{}, err
	}
	return f.intake.Deliver(ctx, who, s.Name, d)
}
