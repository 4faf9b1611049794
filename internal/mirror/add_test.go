package mirror_test

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
)

// TestAnUpstreamIsAdded: it is mirrored like one of the configuration, outlives the process, and is an act; its name is used
// once. What cannot be checked, lies on the server's disk or competes with another is refused.
func TestAnUpstreamIsAdded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) { addAndRemove(t, begin(t, d)) })
}

func addAndRemove(t *testing.T, w *world) {
	t.Helper()
	served := httptest.NewServer(http.FileServer(http.Dir(w.Dir)))
	t.Cleanup(served.Close)
	u := w.Upstream("added")
	u.URL, u.Advisories = served.URL, "bookworm"
	u.Fingerprints = []string{strings.ToLower(u.Fingerprints[0])}
	if err := w.mirror.Add(t.Context(), "person/erin", u); err != nil {
		t.Fatal(err)
	}
	again, err := mirror.New(mirror.Config{DB: w.db, Ledger: w.acts, Blobs: w.blobs, Client: http.DefaultClient, Now: w.mirror.Now})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.RefreshNew(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r, err := again.State(t.Context(), "added"); err != nil || r.Packages == 0 || r.Fingerprint != w.Signer.Fingerprint() {
		t.Errorf("after a restart: %+v, %v", r, err)
	}
	if all, err := w.mirror.List(t.Context()); err != nil || len(all) != 2 || all[1].Advisories != "bookworm" || all[1].URL != served.URL {
		t.Errorf("list %+v, %v", all, err)
	}
	other := u
	other.Name = "other"
	for name, c := range map[string]struct {
		change func(*mirror.Upstream)
		want   fault.Kind
	}{
		"the same name":            {func(u *mirror.Upstream) { u.Name = "added" }, fault.Conflict},
		"a configured name":        {func(u *mirror.Upstream) { u.Name, u.Advisories = "test", "" }, fault.Conflict},
		"a second source":          {func(*mirror.Upstream) {}, fault.Conflict},
		"a file of the server":     {func(u *mirror.Upstream) { u.URL = "file:///etc" }, fault.Invalid},
		"no host":                  {func(u *mirror.Upstream) { u.URL = "http:///x" }, fault.Invalid},
		"a password in the URL":    {func(u *mirror.Upstream) { u.URL = "http://a:b@example.org" }, fault.Invalid},
		"a key not in the keyring": {func(u *mirror.Upstream) { u.Fingerprints = []string{strings.Repeat("A", 40)} }, fault.Invalid},
		"no keyring":               {func(u *mirror.Upstream) { u.Keyring = []byte("x") }, fault.Invalid},
		"hostile advisories":       {func(u *mirror.Upstream) { u.Advisories = "<b>" }, fault.Invalid},
	} {
		u := other
		c.change(&u)
		if err := w.mirror.Add(t.Context(), "person/erin", u); fault.KindOf(err) != c.want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := again.Remove(t.Context(), "person/erin", "added"); err != nil {
		t.Fatal(err)
	}
	if err := again.Remove(t.Context(), "person/erin", "added"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("removed twice: %v", err)
	}
	if _, err := again.Refresh(t.Context(), "added"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("refreshed after it was removed: %v", err)
	}
	if err := w.mirror.Add(t.Context(), "person/erin", u); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the name of a removed one: %v", err)
	}
	if err := w.mirror.Add(t.Context(), "person/erin", other); err != nil {
		t.Errorf("another source after the first was removed: %v", err)
	}
	if k, err := again.Keyring(t.Context(), "added"); err != nil || !bytes.Equal(k, u.Keyring) {
		t.Errorf("the keyring of a removed one: %v", err)
	}
	if got := w.acts.kinds(); got != "upstream.added mirror.refreshed upstream.removed upstream.added" {
		t.Errorf("acts %s", got)
	}
}

// TestPresetsAreCheckedByTheKeysOfThisMachine: each pins a key that Debian's keyring has.
func TestPresetsAreCheckedByTheKeysOfThisMachine(t *testing.T) {
	if _, err := os.Stat(mirror.DebianKeyring); err != nil {
		t.Skipf("debian-archive-keyring is not installed: %v", err)
	}
	w := begin(t, dbtest.Open(t))
	advisories := 0
	for _, p := range mirror.Presets() {
		u, err := mirror.Preset(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		if u.Advisories != "" {
			advisories++
			u.Advisories = "" // there can be one
		}
		if err := w.mirror.Add(t.Context(), "person/erin", u); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
	if advisories != 2 {
		t.Errorf("%d presets are sources", advisories)
	}
	if _, err := mirror.Preset("../../etc/passwd"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("an unknown one: %v", err)
	}
}
