package curation_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/pool"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// acts is a log that only remembers.
type acts struct{ all []proof.Act }

func (a *acts) Append(_ context.Context, _ *db.Tx, act proof.Act) (int64, error) {
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

// world is an upstream archive with openssl and libssl3 3.0.2 and libnew, which openssl needs; one host with 3.0.1;
// people (see warranttest); and the curation between them.
type world struct {
	*curation.Curation
	t       *testing.T
	archive *mirrortest.Archive
	people  *warranttest.World
	acts    *acts
	now     time.Time
	public  []byte // our repository's key
	blobDir string
	mirror  *mirror.Mirror

	replaced bool // another trust root came into force
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) { return w.people.Root, nil }

// RootInForce is another one's where it was replaced meanwhile.
func (w *world) RootInForce(context.Context, *db.Tx) (warrant.RootRef, error) {
	if w.replaced {
		return warrant.RootRef{Version: w.people.Root.Version + 1}, nil
	}
	return warrant.RefOf(w.people.Root), nil
}

func begin(t *testing.T, d *db.DB, now time.Time) *world {
	t.Helper()
	w := &world{t: t, archive: mirrortest.New(t, now.Add(-48*time.Hour)), people: warranttest.New(t), acts: &acts{}, now: now, blobDir: t.TempDir()}
	w.archive.Add("openssl", "3.0.2-1", "amd64", "Depends: libssl3 (>= 3.0.2), libnew")
	w.archive.Add("libssl3", "3.0.2-1", "amd64", "Source: openssl")
	w.archive.Add("libnew", "1:1.0-1", "all")
	w.archive.Add("unwanted", "1.0-1", "all")
	w.archive.Publish(now.Add(-time.Hour), now.Add(7*24*time.Hour))
	blobs, err := blob.Dir(w.blobDir)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return w.now }
	w.mirror, err = mirror.New(mirror.Config{DB: d, Ledger: &acts{}, Blobs: blobs, Pool: pool.New(blobs), Client: http.DefaultClient,
		Configured: []mirror.Upstream{w.archive.Upstream("test")}, Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if err := w.mirror.RefreshAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	signer, err := pgp.Generate("Repository", "repository@example.org", pgp.Ed25519, now.Add(-time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	if w.public, err = signer.ArmouredPublic(); err != nil {
		t.Fatal(err)
	}
	w.Curation = curation.New(curation.Config{DB: d, Ledger: w.acts, Blobs: blobs, Mirror: w.mirror, Root: w, Signer: signer,
		Channels: []string{"stage", "production"}, Now: clock})
	return w
}

const status = `Package: dpkg
Status: install ok installed
Architecture: amd64
Version: 1.21.22

Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl
Version: 3.0.1-1

Package: openssl
Status: install ok installed
Architecture: amd64
Version: 3.0.1-1
Depends: libssl3 (>= 3.0.1)
`

func hosts(t *testing.T) []pkgset.Set {
	t.Helper()
	installed, err := deb.ParseStatus(strings.NewReader(status))
	if err != nil {
		t.Fatal(err)
	}
	return []pkgset.Set{pkgset.FromStatus(installed)}
}

func (w *world) proposal() curation.Proposal {
	return curation.Proposal{Upstreams: []string{"test"}, Sets: hosts(w.t),
		Accepted: []curation.Acceptance{{Decision: "dec_1", Person: "alice", Source: "openssl", Version: "3.0.2-1"}}}
}

// propose has carol propose the snapshot.
func (w *world) propose() curation.Snapshot {
	w.t.Helper()
	s, err := w.Propose(w.t.Context(), "carol", w.proposal())
	if err != nil {
		w.t.Fatal(err)
	}
	return s
}

// signature is a person's over a record.
func (w *world) signature(person string, s curation.Snapshot) envelope.Signature {
	w.t.Helper()
	return w.people.Sign(warrant.CurationType, s.Payload, person).Signatures[0]
}

// signed gives the snapshot, proposed and signed by alice and bob.
func (w *world) signed() curation.Snapshot {
	w.t.Helper()
	s := w.propose()
	for _, person := range []string{"alice", "bob"} {
		var err error
		if s, err = w.Sign(w.t.Context(), person, s.Ref.Curation, w.signature(person, s)); err != nil {
			w.t.Fatal(err)
		}
	}
	return s
}

func (w *world) publish() {
	w.t.Helper()
	if err := w.Publish(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) promote(channel string, s curation.Snapshot) {
	w.t.Helper()
	if _, err := w.Promote(w.t.Context(), "bob", channel, s.Ref.SHA256); err != nil {
		w.t.Fatal(err)
	}
}

// damage changes the last byte of a blob behind everybody's back.
func (w *world) damage(digest string) (repair func()) {
	w.t.Helper()
	path := filepath.Join(w.blobDir, digest[:2], digest)
	good, err := os.ReadFile(path)
	if err != nil {
		w.t.Fatal(err)
	}
	write := func(b []byte) {
		if err := os.Chmod(path, 0o600); err != nil {
			w.t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			w.t.Fatal(err)
		}
	}
	bad := append([]byte{}, good...)
	bad[len(bad)-1] ^= 1
	write(bad)
	return func() { write(good) }
}
