package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const trackerFile = `{"openssl":{"CVE-2026-0001":{"releases":{"bookworm":{"status":"resolved","fixed_version":"3.0.2-1","urgency":"high"}}}}}`

// A source with an address is fetched, asked for again only if it changed, and what is damaged or missing leaves it as it was.
func TestASourceIsFetchedFromItsAddress(t *testing.T) {
	var body atomic.Value
	var asked, unchanged atomic.Int32
	body.Store(trackerFile)
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		text := body.Load().(string)
		if text == "" {
			http.Error(w, "gone", http.StatusGone)
			return
		}
		w.Header().Set("ETag", `"`+text[:9]+`"`)
		if r.Header.Get("If-None-Match") == w.Header().Get("ETag") {
			unchanged.Add(1)
			w.WriteHeader(http.StatusNotModified)
			return
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Error(err)
		}
	}))
	defer site.Close()
	w := open(t, "releases = [\"bookworm\"]\n[[source]]\nname = \"debian-tracker\"\nurl = \""+site.URL+"/json\"\n")
	admin := w.mustLogin("alice")
	fetch := func(name string) (r v1.Receipt, err error) {
		return r, w.ask(admin, http.MethodPost, "/sources/"+name+"/fetches", nil, &r)
	}
	if r, err := fetch("debian-tracker"); err != nil || r.Statements != 1 || !strings.HasPrefix(r.From, site.URL) {
		t.Fatal(r, err)
	}
	if r, err := fetch("debian-tracker"); err != nil || !r.Unchanged || unchanged.Load() != 1 {
		t.Fatal(r, err, unchanged.Load())
	}
	for name, bad := range map[string]string{"not JSON": "<html>gone fishing</html>", "an error": ""} {
		body.Store(bad)
		if _, err := fetch("debian-tracker"); err == nil {
			t.Errorf("%s: fetched", name)
		}
		var s v1.Sources
		if err := w.ask(admin, http.MethodGet, "/sources", nil, &s); err != nil {
			t.Fatal(err)
		}
		for _, source := range s.Sources {
			if source.Name == "debian-tracker" && source.Counts["bookworm"] != 1 {
				t.Errorf("%s: %v is left", name, source.Counts)
			}
		}
	}
	if _, err := fetch("kev"); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
}

// TestNobodySendsTheServerElsewhere: neither a source nor an archive, nor whoever stands between, makes the server ask another address.
func TestNobodySendsTheServerElsewhere(t *testing.T) {
	var inside atomic.Int32
	secret := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { inside.Add(1) }))
	defer secret.Close()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, secret.URL+"/latest/meta-data", http.StatusFound)
	}))
	defer site.Close()
	w := open(t, "[[source]]\nname = \"debian-tracker\"\nurl = \""+site.URL+"/json\"\n")
	_, err := w.server.feeds.Fetch(t.Context(), "", "debian-tracker")
	if err == nil || !strings.Contains(err.Error(), "configure that address") {
		t.Errorf("a source: %v", err)
	}
	if answer, err := w.server.mirror.Client.Get(site.URL + "/dists/bookworm/InRelease"); err == nil {
		answer.Body.Close()
		t.Error("an archive led elsewhere")
	}
	if n := inside.Load(); n != 0 {
		t.Errorf("asked inside %d times", n)
	}
}
