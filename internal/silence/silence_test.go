package silence

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

type world struct {
	*Watch
	t       *testing.T
	estate  *estate.Estate
	now     time.Time
	acts    []proof.Act
	counter int64
}

func (w *world) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	w.acts = append(w.acts, a)
	return int64(len(w.acts) - 1), nil
}

// told gives the acts since it was last asked.
func (w *world) told() string {
	var all []string
	for _, a := range w.acts {
		clock := ""
		for _, c := range estate.Clocks {
			if strings.Contains(string(a.Detail), `"clock":"`+string(c)+`"`) {
				clock = " " + string(c)
			}
		}
		all = append(all, a.Kind+clock)
	}
	w.acts = nil
	return strings.Join(all, ", ")
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{t: t, now: time.Date(2026, 11, 21, 1, 0, 0, 0, time.UTC)}
	now := func() time.Time { return w.now }
	ca, err := estate.OpenCA(t.TempDir(), now)
	check(t, err)
	blobs, err := blob.Dir(t.TempDir())
	check(t, err)
	w.estate = estate.New(estate.Config{DB: d, Ledger: w, Blobs: blobs, CA: ca, Now: now, Silent: time.Hour})
	hour := time.Hour
	w.Watch = New(Config{DB: d, Ledger: w, Estate: w.estate, Now: now, Terms: map[estate.Clock]Term{estate.Contact: {hour, 24 * hour},
		estate.Facts: {6 * hour, 24 * hour}, estate.Index: {48 * hour, 96 * hour}, estate.Files: {24 * hour, 72 * hour}}})
	return w
}

func (w *world) enrol() string {
	w.t.Helper()
	token, _, err := w.estate.MakeToken(w.t.Context(), "person/erin", estate.NewToken{Name: "web1", Environment: "stage", Life: time.Hour})
	check(w.t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(w.t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	check(w.t, err)
	h, _, err := w.estate.Enrol(w.t.Context(), wire.EnrolRequest{Token: token, Name: "web1", CSR: csr})
	check(w.t, err)
	w.acts = nil
	return h.ID
}

func (w *world) put(v []byte) string {
	w.t.Helper()
	d, err := blob.PutBytes(w.t.Context(), w.estate.Blobs, v)
	check(w.t, err)
	return d
}

// hear has the host check in; spoil takes away what it does not tell.
func (w *world) hear(host string, spoil func(*wire.CheckIn)) {
	w.t.Helper()
	w.counter++
	inventory, err := envelope.Encode(wire.Inventory{Hostname: "web1", Release: "bookworm", Kernel: wire.Kernel{Installed: []string{}}, Sources: []wire.Source{}, IndexAt: w.now})
	check(w.t, err)
	c := wire.CheckIn{Counter: w.counter, At: w.now, TrustRootVersion: 1, ScannedAt: w.now.Add(-time.Minute), Inventory: w.put(inventory), Trees: map[string]string{},
		PackageSet: w.put(pkgset.Set{{Name: "openssl", Arch: "amd64", Version: "1", Source: "openssl", SourceVersion: "1"}}.Canonical())}
	if spoil != nil {
		spoil(&c)
	}
	_, _, err = w.estate.CheckIn(w.t.Context(), host, c)
	check(w.t, err)
}

func (w *world) sweep(want string) {
	w.t.Helper()
	check(w.t, w.Sweep(w.t.Context()))
	check(w.t, w.Sweep(w.t.Context())) // a second time changes nothing
	if got := w.told(); got != want {
		w.t.Errorf("at %s told %q, want %q", w.now.Format("02 15:04"), got, want)
	}
}

// TestEachClockRunsOutOnItsOwn: with its own term, once, escalated once, and told when it runs again.
func TestEachClockRunsOutOnItsOwn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		host := w.enrol()
		w.hear(host, nil)
		w.sweep("")
		noFiles := func(c *wire.CheckIn) { c.ScannedAt = time.Time{} }
		for range 5 { // it speaks, but its files are not looked at, and its facts' bytes do not come
			w.now = w.now.Add(5 * time.Hour)
			w.hear(host, func(c *wire.CheckIn) { noFiles(c); c.PackageSet = strings.Repeat("0", 64) })
		}
		w.sweep("host.clock-ran-out facts, host.silence-escalated facts, host.clock-ran-out files")
		w.hear(host, noFiles)
		w.sweep("host.clock-runs-again facts")
		w.now = w.now.Add(23*time.Hour + time.Minute)
		w.sweep("host.clock-ran-out facts")
		all, counts, err := w.Silences(t.Context(), 10)
		check(t, err)
		if len(all) != 3 || counts[estate.Contact] != 1 || counts[estate.Files] != 1 || all[0].Name != "web1" {
			t.Errorf("%+v %v", all, counts)
		}
		w.now = w.now.Add(48 * time.Hour)
		w.sweep("host.silence-escalated contact, host.silence-escalated facts, host.clock-ran-out index, host.silence-escalated files")
		if all, _, err = w.Silences(t.Context(), 1); err != nil || all[0].EscalatedAt.IsZero() {
			t.Errorf("the worst first: %+v, %v", all, err)
		}
		w.hear(host, nil)
		w.acts = nil
		w.sweep("host.clock-runs-again facts, host.clock-runs-again index, host.clock-runs-again files")
		if all, err := w.Of(t.Context(), host); err != nil || len(all) != 0 {
			t.Errorf("left %+v, %v", all, err)
		}
	})
}

// TestAHostThatClaimsTheFutureIsNotFresh: its own clock cannot set the server's.
func TestAHostThatClaimsTheFutureIsNotFresh(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	host := w.enrol()
	w.hear(host, func(c *wire.CheckIn) { c.ScannedAt = w.now.Add(1000 * time.Hour) })
	w.now = w.now.Add(25 * time.Hour)
	w.hear(host, func(c *wire.CheckIn) { c.ScannedAt = w.now.Add(1000 * time.Hour) })
	w.sweep("host.clock-ran-out files")
}

// TestAClockOfARetiredHostDoesNotRunAgain: it stops, as that of a host in use by two machines does.
func TestAClockOfARetiredHostDoesNotRunAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		retired := w.enrol()
		w.hear(retired, nil)
		cloned := w.enrol()
		w.hear(cloned, nil)
		w.now = w.now.Add(7 * time.Hour)
		w.sweep("host.clock-ran-out facts, host.clock-ran-out facts")
		check(t, d.Write(t.Context(), func(tx *db.Tx) error {
			return w.estate.Retire(t.Context(), tx, retired, "ret_1", "its hall is closed")
		}))
		none := strings.Repeat("0", 64)
		if _, _, err := w.estate.CheckIn(t.Context(), cloned, wire.CheckIn{Counter: 1, PackageSet: none, Inventory: none}); fault.CodeOf(err) != wire.Cloned {
			t.Fatal(err)
		}
		w.told()
		w.sweep("host.clock-stopped facts, host.clock-stopped facts")
	})
}

// TestMidnightEndsNoTerm: a vulnerability planted in the evening has its term, and its loss is told.
func TestMidnightEndsNoTerm(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.now = w.now.Add(21 * time.Hour) // 22:00
		host := w.enrol()
		w.hear(host, nil)
		for range 8 {
			check(t, w.Plant(t.Context()))
			w.now = w.now.Add(time.Hour)
		}
		if got := w.told(); got != "canary.planted, canary.lost, canary.planted" {
			t.Errorf("told %s", got)
		}
	})
}

// TestThePlantedVulnerabilityIsFoundEachDay: on the chosen host alone, by today's answer alone.
func TestThePlantedVulnerabilityIsFoundEachDay(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		check(t, w.Plant(ctx))
		host := w.enrol()
		check(t, w.Plant(ctx))
		if got := w.told(); got != "" {
			t.Fatalf("planted where no host has facts: %s", got)
		}
		w.hear(host, nil)
		check(t, w.Plant(ctx))
		check(t, w.Plant(ctx))
		seed, err := w.Seed(ctx, host)
		check(t, err)
		if other, err := w.Seed(ctx, "hst_other"); err != nil || other != "" || seed == "" {
			t.Fatalf("seeds %q %q %v", seed, other, err)
		}
		yesterday := wire.CanaryVersion(seed, host)
		for _, wrong := range []string{"", "0.00", yesterday + "0", wire.CanaryVersion(seed, "hst_other"), wire.CanaryVersion("00", host)} {
			check(t, w.Heard(ctx, host, wrong))
		}
		check(t, w.Heard(ctx, "hst_other", yesterday))
		if got := w.told(); got != "canary.planted" {
			t.Fatalf("found by what is no answer: %s", got)
		}
		check(t, w.Heard(ctx, host, yesterday))
		check(t, w.Heard(ctx, host, yesterday))
		if got := w.told(); got != "canary.found" {
			t.Errorf("told %s", got)
		}
		w.now = w.now.Add(24 * time.Hour)
		w.hear(host, nil)
		w.told()
		check(t, w.Plant(ctx))
		check(t, w.Heard(ctx, host, yesterday)) // a replay
		w.now = w.now.Add(CanaryTerm + time.Minute)
		check(t, w.Plant(ctx))
		check(t, w.Plant(ctx))
		if got := w.told(); got != "canary.planted, canary.lost" {
			t.Errorf("a replayed answer: %s", got)
		}
		w.now = w.now.Add(24 * time.Hour)
		w.hear(host, nil)
		w.told()
		check(t, w.Plant(ctx))
		w.now = w.now.Add(CanaryTerm + time.Minute)
		check(t, w.Plant(ctx))
		if a := w.acts[len(w.acts)-1]; a.Kind != "canary.lost" || !strings.Contains(string(a.Detail), `"severity":"critical"`) {
			t.Errorf("the second loss in a row: %s %s", a.Kind, a.Detail)
		}
	})
}
