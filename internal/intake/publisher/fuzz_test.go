package publisher_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/csaf"
	"github.com/patchwarrant/patchwarrant/internal/intake/publisher"
)

// says answers whatever is asked for with the same bytes, and notes what it is asked for.
type says struct {
	text  string
	asked []string
}

func (s *says) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked = append(s.asked, r.URL.String())
	if len(s.asked) > 50 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(s.text)), Request: r}, nil
}

// FuzzLists: a publisher's lists, whatever they say, are read or refused, and nobody else is asked for what they name.
func FuzzLists(f *testing.F) {
	f.Add(changes)
	f.Add(`{"distributions":[{"rolie":{"feeds":[{"url":"https://a.example/data/feed.json"}]}},{"directory_url":"https://a.example/data"}]}`)
	f.Add(`{"feed":{"entry":[{"updated":"2026-01-02T00:00:00Z","content":{"src":"https://a.example/data/x.json"},"link":[{"rel":"self","href":"//b.example/x"}]}]}}`)
	f.Add("a-2026.tar.zst\n")
	f.Add(`{"distributions":[{"directory_url":"%"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		const home = "https://a.example/data/"
		for _, address := range []string{"", "provider-metadata.json", "feed.json"} {
			client := &says{text: text}
			s := publisher.Site{Client: &http.Client{Transport: client}, URL: home + address, IsDocument: csaf.IsDocument, Largest: 1000}
			takes := []func() (intake.Delivery, error){func() (intake.Delivery, error) { return s.Provider(t.Context(), nil) }}
			if address == "" {
				takes = append(takes, func() (intake.Delivery, error) { return s.RedHat(t.Context(), nil) })
			}
			for _, take := range takes {
				d, err := take()
				if err == nil {
					err = d.Each(func(f intake.File) error {
						if f.Body != nil {
							_, err := io.Copy(io.Discard, f.Body)
							return err
						}
						return nil
					})
				}
				if kind := fault.KindOf(err); err != nil && kind != fault.Invalid && kind != fault.Unavailable {
					t.Error(err)
				}
			}
			for _, asked := range client.asked {
				if !strings.HasPrefix(asked, "https://a.example/") {
					t.Errorf("asked for %s", asked)
				}
			}
		}
	})
}
