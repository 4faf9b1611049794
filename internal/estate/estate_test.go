package estate

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

var start = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// log keeps the acts; it counts one only when its transaction commits no earlier than it is written.
type log struct {
	mu   sync.Mutex
	acts []proof.Act
}

func (l *log) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acts = append(l.acts, a)
	return int64(len(l.acts) - 1), nil
}

func (l *log) kinds() string {
	var kinds []string
	for _, a := range l.acts {
		kinds = append(kinds, a.Kind)
	}
	return strings.Join(kinds, " ")
}

type world struct {
	*Estate
	t   *testing.T
	log *log
	now time.Time

	people *warranttest.World
}

type inForce struct{ root *trustroot.Root }

func (f inForce) CurrentRoot(context.Context) (*trustroot.Root, error) { return f.root, nil }
func (f inForce) RootInForce(context.Context, *db.Tx) (warrant.RootRef, error) {
	return warrant.RefOf(f.root), nil
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{t: t, log: &log{}, now: start}
	now := func() time.Time { return w.now }
	ca, err := OpenCA(t.TempDir(), now)
	check(t, err)
	blobs, err := blob.Dir(t.TempDir())
	check(t, err)
	w.people = warranttest.New(t)
	root, err := trustroot.Decode(w.people.RootEnvelope.Payload)
	check(t, err)
	records := record.New(record.Config{DB: d, Ledger: w.log, Blobs: blobs, Root: inForce{root}, Now: now})
	w.Estate = New(Config{DB: d, Ledger: w.log, Blobs: blobs, CA: ca, Now: now, Silent: 15 * time.Minute, Records: records,
		Groups: group.New(group.Config{DB: d, Ledger: w.log, Now: now})})
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func csr(t *testing.T) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	b, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	check(t, err)
	return b
}

func (w *world) enrol(name string) (Host, *x509.Certificate) {
	w.t.Helper()
	token, _, err := w.MakeToken(w.t.Context(), "person/erin", NewToken{Name: name, Environment: "stage", Life: time.Hour})
	check(w.t, err)
	h, der, err := w.Enrol(w.t.Context(), wire.EnrolRequest{Token: token, Name: name, CSR: csr(w.t)})
	check(w.t, err)
	cert, err := x509.ParseCertificate(der)
	check(w.t, err)
	return h, cert
}

// put keeps a package set and an inventory and gives a check-in that names them.
func (w *world) put(counter int64, version string) wire.CheckIn {
	w.t.Helper()
	set := pkgset.Set{{Name: "openssl", Arch: "amd64", Version: version, Source: "openssl", SourceVersion: version}}
	packages, err := blob.PutBytes(w.t.Context(), w.Blobs, set.Canonical())
	check(w.t, err)
	b, err := envelope.Encode(wire.Inventory{Hostname: "web1", Release: "bookworm", Kernel: wire.Kernel{Running: "6.1.0-30-amd64", Installed: []string{}}, Sources: []wire.Source{}})
	check(w.t, err)
	inventory, err := blob.PutBytes(w.t.Context(), w.Blobs, b)
	check(w.t, err)
	return wire.CheckIn{Counter: counter, At: w.now, PackageSet: packages, Inventory: inventory, Trees: map[string]string{}, TrustRootVersion: 1}
}

func TestHostsWithEqualPackagesShareASet(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		for _, name := range []string{"b", "a"} {
			h, _ := w.enrol(name)
			_, need, err := w.CheckIn(t.Context(), h.ID, w.put(1, "1"))
			check(t, err)
			if len(need) > 0 {
				t.Errorf("needs %v", need)
			}
		}
		sets, _, err := w.HostSets(t.Context(), 0)
		check(t, err)
		if len(sets) != 2 || sets[0].SetDigest != sets[1].SetDigest || sets[0].Release != "bookworm" || sets[0].Environment != "stage" {
			t.Errorf("sets %+v", sets)
		}
		hosts, err := w.Hosts(t.Context())
		check(t, err)
		if hosts[0].Name != "a" || hosts[1].Name != "b" {
			t.Error("hosts are not sorted by name")
		}
		set, err := w.PackageSet(t.Context(), sets[0].SetDigest)
		check(t, err)
		if len(set) != 1 || set[0].Version != "1" {
			t.Errorf("set %+v", set)
		}
	})
}

func TestFactsWaitForTheirBytesButContactDoesNot(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	c := w.put(1, "1")
	c.Trees = map[string]string{"/": strings.Repeat("ab", 32)}
	w.now = w.now.Add(time.Minute)
	got, need, err := w.CheckIn(t.Context(), h.ID, c)
	check(t, err)
	if !slices.Equal(need, []string{strings.Repeat("ab", 32)}) {
		t.Errorf("needs %v", need)
	}
	if !got.LastSeen.Equal(w.now) || got.PackageSet != "" || !got.FactsAt.IsZero() {
		t.Errorf("host %+v", got)
	}
}

func TestBytesThatAreNoPackageSetAreRefused(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	good := w.put(1, "1")
	junk, err := blob.PutBytes(t.Context(), w.Blobs, []byte("junk"))
	check(t, err)
	for name, spoil := range map[string]func(*wire.CheckIn){
		"package set": func(c *wire.CheckIn) { c.PackageSet = junk },
		"inventory":   func(c *wire.CheckIn) { c.Inventory = junk },
	} {
		c := good
		spoil(&c)
		if _, _, err := w.CheckIn(t.Context(), h.ID, c); fault.KindOf(err) != fault.Invalid {
			t.Errorf("junk for a %s: %v", name, err)
		}
	}
	if h, err := w.Host(t.Context(), h.ID); err != nil || h.Counter != 0 {
		t.Errorf("a refused check-in left counter %d (%v)", h.Counter, err)
	}
}

// TestALongAbsenceIsTold: whatever a host kept while no server answered fits into the ledger, which bounds an act.
func TestALongAbsenceIsTold(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	c := w.put(1, "1")
	c.Spooled = &wire.Spooled{Dropped: 3}
	for n := range wire.MaxSpooled {
		trees := map[string]string{}
		for _, root := range []string{"/", "/srv/a", "/srv/b"} {
			trees[root] = envelope.Digest([]byte(root + fmt.Sprint(n)))
		}
		c.Spooled.States = append(c.Spooled.States, wire.State{At: w.now, PackageSet: c.PackageSet, Inventory: c.Inventory, Trees: trees})
	}
	_, need, err := w.CheckIn(t.Context(), h.ID, c)
	check(t, err)
	last := w.log.acts[len(w.log.acts)-1]
	if len(need) > 0 || last.Kind != "host.caught-up" {
		t.Fatalf("needs %v, the last act is %s", need, last.Kind)
	}
	if b, err := envelope.Encode(last); err != nil || len(b) > proof.MaxEntry {
		t.Errorf("an act of %d bytes, %v", len(b), err)
	}
	b, err := blob.ReadAll(t.Context(), w.Blobs, last.Facts[0], 1<<20)
	check(t, err)
	var told wire.Spooled
	if err := json.Unmarshal(b, &told); err != nil || !reflect.DeepEqual(&told, c.Spooled) {
		t.Errorf("told %d states, %d dropped, %v", len(told.States), told.Dropped, err)
	}
}

// TestAHostDoesNotFloodTheRecord: whoever speaks in a host's name has acts written only so often, and keeps no other host from being
// heard; that a host was cloned is told all the same.
func TestAHostDoesNotFloodTheRecord(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, _ := w.enrol("web1")
	other, _ := w.enrol("web2")
	w.news.Most = 10
	counter := int64(0)
	alarm := func() error {
		counter++
		c := w.put(counter, "1")
		c.Alarm = fmt.Sprint(counter)
		_, _, err := w.CheckIn(t.Context(), h.ID, c)
		return err
	}
	for range 5 { // each changes something, and is an act
		check(t, alarm())
	}
	acts := len(w.log.acts)
	for range 3 {
		if err := alarm(); fault.CodeOf(err) != wire.Quota {
			t.Errorf("over the quota: %v", err)
		}
	}
	if _, err := w.Renew(t.Context(), h.ID, csr(t)); fault.CodeOf(err) != wire.Quota {
		t.Errorf("renewed over the quota: %v", err)
	}
	quiet := w.put(counter, "1")
	quiet.Alarm = "5"
	_, _, err := w.CheckIn(t.Context(), h.ID, quiet)
	check(t, err) // no news
	_, _, err = w.CheckIn(t.Context(), other.ID, w.put(1, "1"))
	check(t, err)
	if len(w.log.acts) != acts {
		t.Errorf("acts %v", w.log.acts[acts:])
	}
	if _, _, err := w.CheckIn(t.Context(), h.ID, quiet); fault.CodeOf(err) != wire.Cloned || len(w.log.acts) != acts+1 {
		t.Errorf("the same counter again: %v", err)
	}
	w.now = w.now.Add(24 * time.Hour)
	_, _, err = w.CheckIn(t.Context(), other.ID, w.put(2, "2"))
	check(t, err)
}

func TestHearDecidesByTheCounter(t *testing.T) {
	for _, c := range []struct {
		name        string
		has, says   int64
		wantCloned  bool
		wantCounter int64
	}{
		{"grows by one", 5, 6, false, 6},
		{"grows by more: answers were lost", 5, 9, false, 9},
		{"repeats", 5, 5, true, 5},
		{"goes back", 5, 2, true, 5},
	} {
		h, events := Host{Counter: c.has}.hear(wire.CheckIn{Counter: c.says}, nil, start)
		if h.ClonedAt.IsZero() == c.wantCloned || h.Counter != c.wantCounter || (len(events) == 1) != c.wantCloned {
			t.Errorf("%s: cloned at %s, counter %d, events %v", c.name, h.ClonedAt, h.Counter, events)
		}
	}
}

func TestTokenIsUsedOnceByWhoeverComesFirst(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		token, _, err := w.MakeToken(t.Context(), "person/erin", NewToken{Name: "web1", Environment: "stage", Life: time.Hour})
		check(t, err)
		request := wire.EnrolRequest{Token: token, Name: "web1", CSR: csr(t)}
		results := make(chan error, 8)
		for range cap(results) {
			go func() {
				_, _, err := w.Enrol(context.WithoutCancel(t.Context()), request)
				results <- err
			}()
		}
		won := 0
		for range cap(results) {
			if err := <-results; err == nil {
				won++
			} else if fault.KindOf(err) != fault.Unauthenticated {
				t.Error(err)
			}
		}
		if hosts, err := w.Hosts(t.Context()); won != 1 || err != nil || len(hosts) != 1 {
			t.Errorf("%d of 8 won, %d hosts (%v)", won, len(hosts), err)
		}
		for range 3 { // whoever found the line goes on trying: the record does not grow with that
			if _, _, err := w.Enrol(t.Context(), request); fault.KindOf(err) != fault.Unauthenticated {
				t.Error(err)
			}
		}
		if strings.Count(w.log.kinds(), "token.refused") != 1 {
			t.Errorf("acts %s", w.log.kinds())
		}
	})
}

func TestTokenIsNotKeptAndNotEternal(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	token, expires, err := w.MakeToken(t.Context(), "person/erin", NewToken{Name: "web1", Environment: "stage", Life: MaxTokenLife})
	check(t, err)
	for _, a := range w.log.acts {
		if strings.Contains(a.Subject+string(a.Detail), token) {
			t.Error("the token stands in the ledger")
		}
	}
	for name, n := range map[string]NewToken{
		"too long a life":   {Name: "web1", Environment: "stage", Life: MaxTokenLife + 1},
		"no life":           {Name: "web1", Environment: "stage"},
		"no name":           {Environment: "stage", Life: time.Hour},
		"name with a slash": {Name: "../web1", Environment: "stage", Life: time.Hour},
	} {
		if _, _, err := w.MakeToken(t.Context(), "person/erin", n); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	w.now = expires
	if _, _, err := w.Enrol(t.Context(), wire.EnrolRequest{Token: token, Name: "web1", CSR: csr(t)}); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("an expired token: %v", err)
	}
}

func TestCertificateRequestMustProveItsKey(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	otherKind, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, ed)
	check(t, err)
	forged := csr(t)
	forged[len(forged)-1] ^= 1
	for name, b := range map[string][]byte{"no request": []byte("x"), "another kind of key": otherKind, "signature of another": forged} {
		if _, _, err := w.CA.Host("hst_1", b); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestRenewedCertificateReplacesTheOldAtItsFirstUse(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	h, old := w.enrol("web1")
	der, err := w.Renew(t.Context(), h.ID, csr(t))
	check(t, err)
	renewed, err := x509.ParseCertificate(der)
	check(t, err)
	for _, c := range []*x509.Certificate{old, old, renewed, renewed} {
		if got, err := w.Authenticate(t.Context(), c); err != nil || got.ID != h.ID {
			t.Fatalf("host %s: %v", got.ID, err)
		}
	}
	if _, err := w.Authenticate(t.Context(), old); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("the old certificate: %v", err)
	}
	w.now = renewed.NotAfter
	if _, err := w.Authenticate(t.Context(), renewed); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("a certificate that ended while its connection stayed open: %v", err)
	}
}

func TestCAKeepsItsKeyAndItsHash(t *testing.T) {
	dir := t.TempDir()
	now := func() time.Time { return start }
	first, err := OpenCA(dir, now)
	check(t, err)
	again, err := OpenCA(dir, now)
	check(t, err)
	if first.Hash() != again.Hash() {
		t.Error("opened again, the CA is another")
	}
	info, err := os.Stat(filepath.Join(dir, "ca.key"))
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("the key has mode %s", info.Mode())
	}
	check(t, os.Remove(filepath.Join(dir, "ca.pem")))
	if _, err := OpenCA(dir, now); err == nil {
		t.Error("a lost certificate let the key be overwritten")
	}
}
