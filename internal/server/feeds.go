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
)

// feeds fetches the sources that have an address. What comes is imported as a file would be, with the same checks.
type feeds struct {
	sources []Source // from the configuration
	intake  *intake.Intake
	blobs   blob.Store
	client  *http.Client

	mu   sync.Mutex
	tags map[string]string // by source: the ETag of what was imported last
}

// fetchEvery is how often a source is asked for.
const fetchEvery = 6 * time.Hour

// Sweep fetches every source once. One that fails does not keep the others; its freshness clock tells.
func (f *feeds) Sweep(ctx context.Context) error {
	var failed error
	for _, s := range f.sources {
		if _, err := f.Fetch(ctx, "", s.Name); err != nil {
			failed = errors.Join(failed, err)
		}
	}
	return failed
}

// Fetch gets one source and imports it for who, or for the server itself. A source without an address is fault.NotFound.
func (f *feeds) Fetch(ctx context.Context, who, name string) (intake.Receipt, error) {
	for _, s := range f.sources {
		if s.Name == name {
			r, err := f.fetch(ctx, who, s)
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
	if tag := f.tags[s.Name]; tag != "" {
		request.Header.Set("If-None-Match", tag)
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
		f.tags[s.Name] = answer.Header.Get("ETag")
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
