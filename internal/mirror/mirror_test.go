package mirror_test

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/pool"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

var began = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// acts is a log that only remembers.
type acts struct{ all []proof.Act }

func (a *acts) Append(_ context.Context, _ *db.Tx, act proof.Act) (int64, error) {
	if b, err := envelope.Encode(act); err != nil || len(b) > proof.MaxEntry {
		return 0, fmt.Errorf("an act of %d bytes, %v", len(b), err)
	}
	a.all = append(a.all, act)
	return int64(len(a.all) - 1), nil
}

func (a *acts) kinds() string {
	var all []string
	for _, act := range a.all {
		all = append(all, act.Kind)
	}
	return strings.Join(all, " ")
}

// world is a mirror of one archive with a package, published at the beginning and valid for a week.
type world struct {
	*mirrortest.Archive
	mirror   *mirror.Mirror
	acts     *acts
	now      time.Time
	upstream mirror.Upstream
	entry    deb.IndexEntry
	blobs    blob.Store
	db       *db.DB
}

func begin(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{Archive: mirrortest.New(t, began.Add(-48*time.Hour)), acts: &acts{}, now: began, db: d}
	w.entry = w.Add("tool", "1.1-1", "amd64")
	w.Publish(began.Add(-time.Hour), began.Add(7*24*time.Hour))
	w.upstream = w.Upstream("test")
	var err error
	if w.blobs, err = blob.Dir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.open(t)
	return w
}

func (w *world) open(t *testing.T) {
	t.Helper()
	var err error
	w.mirror, err = mirror.New(mirror.Config{DB: w.db, Ledger: w.acts, Blobs: w.blobs, Pool: pool.New(w.blobs), Client: http.DefaultClient,
		Configured: []mirror.Upstream{w.upstream}, Now: func() time.Time { return w.now }})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) mustRefresh(t *testing.T) mirror.Release {
	t.Helper()
	r, err := w.mirror.Refresh(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRefreshAcceptsAndKeepsTheProof(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d)
		r := w.mustRefresh(t)
		if r.Packages != 1 || r.Fingerprint != w.Signer.Fingerprint() || !r.Date.Equal(began.Add(-time.Hour)) || r.IndexPath != "main/binary-amd64/Packages.gz" {
			t.Errorf("release %+v", r)
		}
		for path, digest := range map[string]string{"dists/stable/InRelease": r.InRelease, "dists/stable/main/binary-amd64/Packages.gz": r.Index} {
			if kept, err := blob.ReadAll(t.Context(), w.blobs, digest, 1<<20); err != nil || !bytes.Equal(kept, w.Read(path)) {
				t.Errorf("proof %s is not kept: %v", path, err)
			}
		}
		state, err := w.mirror.State(t.Context(), "test")
		if d := cmp.Diff(r, state); d != "" || err != nil {
			t.Errorf("state differs: %v %s", err, d)
		}
		entries, _, err := w.mirror.Index(t.Context(), "test")
		if d := cmp.Diff([]deb.IndexEntry{w.entry}, entries); d != "" || err != nil {
			t.Errorf("index differs: %v %s", err, d)
		}
		if err := w.mirror.Fetch(t.Context(), "test", entries[0]); err != nil {
			t.Error(err)
		}
		if has, err := pool.New(w.blobs).Has(t.Context(), w.entry.SHA256); !has || err != nil {
			t.Errorf("package in the pool: %v %v", has, err)
		}
		w.now = began.Add(time.Hour)
		if again := w.mustRefresh(t); !again.SeenAt.Equal(w.now) || !again.AcceptedAt.Equal(began) {
			t.Errorf("unchanged upstream: %+v", again)
		}
		w.Add("other", "1-1", "all")
		w.Publish(began.Add(30*time.Minute), began.Add(7*24*time.Hour))
		if r := w.mustRefresh(t); r.Packages != 2 {
			t.Errorf("grown upstream: %+v", r)
		}
		if got := w.acts.kinds(); got != "mirror.refreshed mirror.refreshed" {
			t.Errorf("acts: %s", got)
		}
	})
}

func TestUpstreamIsReadOverHTTP(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	server := httptest.NewServer(http.FileServer(http.Dir(w.Dir)))
	defer server.Close()
	w.upstream.URL = server.URL + "/"
	w.open(t)
	w.mustRefresh(t)
	if err := w.mirror.Fetch(t.Context(), "test", w.entry); err != nil {
		t.Error(err)
	}
	server.Close()
	if _, err := w.mirror.Refresh(t.Context(), "test"); fault.CodeOf(err) != mirror.Unreachable || fault.KindOf(err) != fault.Unavailable {
		t.Errorf("server gone: %v", err)
	}
}

// TestBadUpstreamsAreRefused spoils a good upstream one way at a time: a clear error with a code, one act, state unchanged.
func TestBadUpstreamsAreRefused(t *testing.T) {
	const inRelease, index = "dists/stable/InRelease", "dists/stable/main/binary-amd64/"
	flip := func(w *world, path string, at int) {
		b := w.Read(path)
		b[at] ^= 1
		w.Write(path, b)
	}
	cases := map[string]struct {
		code  string
		spoil func(w *world)
	}{
		"corrupt release":   {fault.BadSignature, func(w *world) { flip(w, inRelease, 120) }},
		"no signature":      {fault.BadSignature, func(w *world) { w.Write(inRelease, []byte("Codename: stable\n")) }},
		"empty release":     {fault.BadSignature, func(w *world) { w.Write(inRelease, nil) }},
		"expired":           {fault.Expired, func(w *world) { w.now = began.Add(8 * 24 * time.Hour) }},
		"replayed":          {fault.Replay, func(w *world) { w.Publish(began.Add(-2*time.Hour), began.Add(7*24*time.Hour)) }},
		"same date, edited": {fault.Replay, func(w *world) { w.Publish(began.Add(-time.Hour), began.Add(8*24*time.Hour)) }},
		"from the future": {fault.Clock, func(w *world) {
			w.Sign(w.Signer, fmt.Sprintf("Codename: stable\nDate: %s\nSHA256:\n %064d 1 x\n", deb.FormatDate(began.Add(time.Hour)), 0), began)
		}},
		"frozen": {fault.Freeze, func(w *world) {
			w.Publish(began, time.Time{})
			w.now = began.Add(31 * 24 * time.Hour)
		}},
		"wrong key": {fault.BadSignature, func(w *world) {
			other, err := pgp.Generate("Other", "o@example.org", pgp.Ed25519, began.Add(-time.Hour))
			if err != nil {
				t.Fatal(err)
			}
			own := w.Signer
			w.Signer = other
			w.Publish(began, began.Add(24*time.Hour))
			w.Signer = own
		}},
		"other suite": {fault.MixMatch, func(w *world) {
			w.Sign(w.Signer, fmt.Sprintf("Codename: other\nDate: %s\nSHA256:\n %064d 1 x\n", deb.FormatDate(began), 0), began)
		}},
		"no index named": {fault.Malformed, func(w *world) {
			w.Sign(w.Signer, fmt.Sprintf("Codename: stable\nDate: %s\nSHA256:\n %064d 1 x\n", deb.FormatDate(began), 0), began)
		}},
		"no date": {fault.Malformed, func(w *world) {
			w.Sign(w.Signer, fmt.Sprintf("Codename: stable\nSHA256:\n %064d 1 x\n", 0), began)
		}},
		"truncated index": {fault.MixMatch, func(w *world) {
			w.republish()
			b := w.Read(index + "Packages.gz")
			w.forgetByHash()
			w.Write(index+"Packages.gz", b[:len(b)/2])
		}},
		"changed index": {fault.MixMatch, func(w *world) {
			w.republish()
			w.forgetByHash()
			flip(w, index+"Packages.gz", 30)
		}},
		"endless index": {fault.MixMatch, func(w *world) {
			w.republish()
			w.forgetByHash()
			w.Write(index+"Packages.gz", append(w.Read(index+"Packages.gz"), make([]byte, 1<<20)...))
		}},
		"missing index": {mirror.Unreachable, func(w *world) {
			w.republish()
			os.RemoveAll(filepath.Join(w.Dir, index))
		}},
		"malformed index": {fault.Malformed, func(w *world) {
			w.Stanzas = append(w.Stanzas, "Package: ../bad\n")
			w.Publish(began, began.Add(7*24*time.Hour))
		}},
		"gone": {mirror.Unreachable, func(w *world) { os.RemoveAll(w.Dir) }},
	}
	for rule, c := range cases {
		t.Run(rule, func(t *testing.T) {
			w := begin(t, dbtest.Open(t))
			before := w.mustRefresh(t)
			c.spoil(w)
			for range 2 { // the second time the alarm stands already
				_, err := w.mirror.Refresh(t.Context(), "test")
				if fault.CodeOf(err) != c.code {
					t.Fatalf("got %v (code %q), want code %s", err, fault.CodeOf(err), c.code)
				}
			}
			after, err := w.mirror.State(t.Context(), "test")
			if err != nil {
				t.Fatal(err)
			}
			if after.RefusedCode != c.code || after.RefusedWhy == "" || !after.RefusedAt.Equal(w.now) {
				t.Errorf("alarm %q %q at %s", after.RefusedCode, after.RefusedWhy, after.RefusedAt)
			}
			after.RefusedAt, after.RefusedCode, after.RefusedWhy = time.Time{}, "", ""
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("the state changed: %s", d)
			}
			if got := w.acts.kinds(); got != "mirror.refreshed mirror.refused" {
				t.Errorf("acts: %s", got)
			}
		})
	}
}

// republish makes a newer, good release.
func (w *world) republish() {
	w.Add("other", "1-1", "all")
	w.Publish(began, began.Add(7*24*time.Hour))
}

func (w *world) forgetByHash() {
	os.RemoveAll(filepath.Join(w.Dir, "dists/stable/main/binary-amd64/by-hash"))
}

// shouting is an upstream, or somebody on the way, that answers more than an act may tell.
type shouting struct{}

func (shouting) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusTeapot, Status: "418 " + strings.Repeat("x", 100_000), Body: http.NoBody, Request: r}, nil
}

// TestNobodyShoutsAnAlarmDown: whatever the refused says, that it was refused is told.
func TestNobodyShoutsAnAlarmDown(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	w.upstream.URL = "http://archive.example.org"
	w.open(t)
	w.mirror.Client = &http.Client{Transport: shouting{}}
	if _, err := w.mirror.Refresh(t.Context(), "test"); fault.CodeOf(err) != mirror.Unreachable {
		t.Errorf("refreshed: %.200v", err)
	}
	if got := w.acts.kinds(); !strings.HasSuffix(got, "mirror.refused") {
		t.Errorf("acts: %s", got)
	}
}

func TestRecoveryEndsTheAlarm(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	w.mustRefresh(t)
	good := w.Read("dists/stable/InRelease")
	w.Write("dists/stable/InRelease", []byte("nothing"))
	if _, err := w.mirror.Refresh(t.Context(), "test"); err == nil {
		t.Fatal("accepted")
	}
	w.Write("dists/stable/InRelease", good)
	if r := w.mustRefresh(t); r.RefusedCode != "" || !r.RefusedAt.IsZero() {
		t.Errorf("still refused: %+v", r)
	}
	if got := w.acts.kinds(); got != "mirror.refreshed mirror.refused mirror.refreshed" {
		t.Errorf("acts: %s", got)
	}
}

func TestWrongPackageFileIsRefused(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	w.mustRefresh(t)
	b := w.Read(w.entry.Filename)
	b[len(b)-1] ^= 1
	w.Write(w.entry.Filename, b)
	if err := w.mirror.Fetch(t.Context(), "test", w.entry); fault.CodeOf(err) != fault.Arbitrary {
		t.Errorf("got %v, want code %s", err, fault.Arbitrary)
	}
	if has, err := pool.New(w.blobs).Has(t.Context(), w.entry.SHA256); has || err != nil {
		t.Errorf("in the pool: %v %v", has, err)
	}
	if got := w.acts.kinds(); got != "mirror.refreshed mirror.refused" {
		t.Errorf("acts: %s", got)
	}
}

func TestAnExpiredIndexIsNotGiven(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	if _, _, err := w.mirror.Index(t.Context(), "test"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("before the first refresh: %v", err)
	}
	w.mustRefresh(t)
	w.now = began.Add(8 * 24 * time.Hour)
	if _, _, err := w.mirror.Index(t.Context(), "test"); fault.CodeOf(err) != fault.Expired {
		t.Errorf("after its time: %v", err)
	}
}

func TestUpstreamsThatCannotBeCheckedAreRefused(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	for rule, change := range map[string]func(*mirror.Upstream){
		"name":        func(u *mirror.Upstream) { u.Name = "a b" },
		"url":         func(u *mirror.Upstream) { u.URL = "ftp://x" },
		"suite":       func(u *mirror.Upstream) { u.Suite = "../x" },
		"arch":        func(u *mirror.Upstream) { u.Arch = "all" },
		"age":         func(u *mirror.Upstream) { u.MaxAge = 0 },
		"no pin":      func(u *mirror.Upstream) { u.Fingerprints = nil },
		"foreign pin": func(u *mirror.Upstream) { u.Fingerprints = []string{strings.Repeat("0", 40)} },
		"keyring":     func(u *mirror.Upstream) { u.Keyring = []byte("x") },
	} {
		u := w.upstream
		change(&u)
		if _, err := mirror.New(mirror.Config{Configured: []mirror.Upstream{u}}); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, want an error of kind invalid", rule, err)
		}
	}
}

// TestDebiansSecurityArchive refreshes from the real archive.
func TestDebiansSecurityArchive(t *testing.T) {
	keyring, err := os.ReadFile("/usr/share/keyrings/debian-archive-keyring.gpg")
	if err != nil {
		t.Skip("no Debian keyring here")
	}
	keys, err := pgp.LoadKeyring(keyring)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 2 * time.Minute}
	response, err := client.Get("http://deb.debian.org/debian-security/dists/bookworm-security/InRelease")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Skipf("deb.debian.org does not answer here: %v", err)
	}
	response.Body.Close()
	w := begin(t, dbtest.Open(t))
	w.upstream = mirror.Upstream{Name: "test", URL: "http://deb.debian.org/debian-security", Suite: "bookworm-security", Component: "main", Arch: "amd64",
		Keyring: keyring, Fingerprints: keys.Fingerprints(), MaxAge: 30 * 24 * time.Hour}
	w.now = time.Now()
	w.open(t)
	w.mirror.Client = client
	r := w.mustRefresh(t)
	entries, _, err := w.mirror.Index(t.Context(), "test")
	if err != nil || len(entries) != r.Packages || len(entries) < 100 {
		t.Fatalf("%d packages, %v", len(entries), err)
	}
	small := entries[0]
	for _, e := range entries {
		if e.Size < small.Size {
			small = e
		}
	}
	if err := w.mirror.Fetch(t.Context(), "test", small); err != nil {
		t.Error(err)
	}
	t.Logf("%d packages of %s, signed by %s; fetched %s %s", r.Packages, r.Date, r.Fingerprint, small.Name, small.Version)
}
