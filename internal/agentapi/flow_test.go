package agentapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

var files = map[string]string{"InRelease": "release", "Packages": "index", "pool/main/libssl3_3.0.15-1~deb12u2_amd64.deb": "package"}

// objects reads directory objects from the server's blobs.
type objects struct{ blob.Store }

func (o objects) Get(ctx context.Context, digest string) ([]byte, error) {
	return blob.ReadAll(ctx, o.Store, digest, wire.MaxObject)
}

func TestHostIsKnownAfterItsFirstRound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	h := w.host()
	if h.Name != "web1" || h.Environment != "production" || h.Release != "bookworm" || h.Arch != "amd64" || h.KernelRunning != "6.1.0-30-amd64" {
		t.Errorf("host is %+v", h)
	}
	set, err := w.estate.PackageSet(t.Context(), h.PackageSet)
	check(t, err)
	if p, ok := set.Find("libssl3", "amd64"); !ok || p.Source != "openssl" || p.Version != "3.0.15-1~deb12u1" {
		t.Errorf("libssl3 is %+v", p)
	}
	changes, err := filetree.Diff(t.Context(), objects{w.blobs}, "", h.Trees["/"])
	check(t, err)
	if !slices.ContainsFunc(changes, func(c filetree.Change) bool { return c.Path == "/usr/lib/libssl.so.3" }) {
		t.Errorf("the file tree on the server lacks the library: %v", changes)
	}
	if got := w.acts(); got != "host.enrolled" {
		t.Errorf("acts %s", got)
	}
}

// finish does rounds until the order in hand is reported; a killed agent is a new one.
func (w *world) finish() {
	w.t.Helper()
	for range 40 {
		if err := w.once(); err != nil {
			w.t.Logf("round: %v", err)
		}
		if w.rollout.state == "done" {
			if _, err := os.Stat(filepath.Join(w.machine.places.State, "errand.json")); errors.Is(err, os.ErrNotExist) {
				return
			}
		}
	}
	w.t.Fatalf("the order is %s after 40 rounds", w.rollout.state)
}

// carried checks that the order was carried out once and told in full.
func (w *world) carried() {
	t, r := w.t, w.rollout
	t.Helper()
	if n := w.machine.ran(r.order); n != 1 {
		t.Fatalf("the executor changed packages %d times", n)
	}
	payload := w.machine.said[r.order].Payload
	for _, report := range r.reports {
		if string(report.Envelope.Payload) != string(payload) {
			t.Error("another report than the executor's reached the server")
		}
	}
	changes, err := filetree.Diff(t.Context(), objects{w.blobs}, r.before.Trees["/"], r.after.Trees["/"])
	check(t, err)
	var paths []string
	for _, c := range changes {
		paths = append(paths, c.Path)
	}
	if want := []string{"/usr/lib/libssl.so.3", "/var/lib/dpkg/status"}; !slices.Equal(paths, want) {
		t.Errorf("seen to change: %v, want %v", paths, want)
	}
	if left, err := os.ReadDir(filepath.Join(w.machine.places.State, "carry")); err == nil && len(left) > 0 {
		t.Errorf("carried files are left behind: %v", left)
	}
}

func TestOrderIsCarriedToTheExecutor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.start(files)
	w.finish()
	w.carried()
	if len(w.rollout.reports) != 1 {
		t.Errorf("%d reports", len(w.rollout.reports))
	}
	if s := w.host(); s.PackageSet == w.rollout.after.PackageSet {
		return
	}
	check(t, w.once())
	if w.host().PackageSet != w.rollout.after.PackageSet {
		t.Error("the estate does not know the new packages")
	}
}

// killer panics when the agent says it has reached a phase: the place where the phase is durable and the next has not begun.
type killer struct {
	slog.Handler
	phase string
}

func (k killer) Handle(_ context.Context, r slog.Record) error {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "phase" && a.Value.String() == k.phase {
			panic("killed")
		}
		return true
	})
	return nil
}

func (k killer) Enabled(context.Context, slog.Level) bool { return true }

func TestAgentKilledAfterAnyPhaseGoesOn(t *testing.T) {
	t.Parallel()
	for _, phase := range []string{"taken", "fetched", "observed", "begun", "executed", "compared", "done"} {
		t.Run(phase, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.enrol()
			check(t, w.once())
			w.start(files)
			func() {
				defer func() {
					if recover() == nil {
						t.Fatalf("phase %s was never reached", phase)
					}
				}()
				a := w.agent(slog.New(killer{slog.DiscardHandler, phase}))
				for range 10 {
					if _, err := a.Once(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
			}()
			w.finish()
			w.carried()
		})
	}
}

// TestEveryRequestMayBeLost cuts the line at each request of an errand in turn, before the server hears it and after it has
// acted.
func TestEveryRequestMayBeLost(t *testing.T) {
	t.Parallel()
	for name, heard := range map[string]bool{"before it is heard": false, "after it is heard": true} {
		t.Run(name, func(t *testing.T) { lostRequests(t, heard) })
	}
}

func lostRequests(t *testing.T, heard bool) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	for n, count := 1, 1; count >= n; n++ {
		w.machine.restore()
		w.start(files)
		count = 0
		w.around = func(door http.Handler) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				count++
				if count != n {
					door.ServeHTTP(rw, r)
					return
				}
				if heard {
					door.ServeHTTP(discard{http.Header{}}, r)
				}
				panic(http.ErrAbortHandler)
			})
		}
		w.finish()
		w.carried()
		if t.Failed() {
			t.Fatalf("request %d lost, heard %v", n, heard)
		}
	}
}

// discard is an answer nobody reads.
type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(b []byte) (int, error) { return len(b), nil }
func (d discard) WriteHeader(int)             {}

func TestExecutorThatDiesIsAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.machine.dies = 2
	w.start(files)
	w.finish()
	w.carried()
}

func TestHaltedOrderIsDroppedBeforeItBegins(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.start(files)
	w.rollout.halted = true
	for range 4 {
		check(t, w.once())
	}
	if w.machine.ran(w.rollout.order) != 0 {
		t.Error("the executor was given a halted order")
	}
}

func TestOrderIsNotTakenBackOnceTheExecutorHasIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.start(files)
	w.machine.dies = 1
	if err := w.once(); err != nil { // begins, and finds the executor dead
		t.Log(err)
	}
	w.rollout.halted = true
	w.finish()
	w.carried()
}

func TestReportTheServerRefusesIsKept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.start(files)
	w.around = func(door http.Handler) http.Handler {
		return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			if r.URL.Path == wire.ReportPath {
				rw.WriteHeader(http.StatusConflict)
				json.NewEncoder(rw).Encode(wire.Problem{Kind: string(fault.Conflict), Detail: "this run was given up"})
				return
			}
			door.ServeHTTP(rw, r)
		})
	}
	for range 3 {
		check(t, w.once())
	}
	b, err := os.ReadFile(filepath.Join(w.machine.places.State, "undelivered-"+w.rollout.order+".json"))
	check(t, err)
	var kept wire.Report
	check(t, json.Unmarshal(b, &kept))
	if kept.Order != w.rollout.order || len(kept.Envelope.Payload) == 0 {
		t.Errorf("kept %+v", kept)
	}
}

func TestObserveOnlyHostReportsAndIsOfferedNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	check(t, os.Remove(filepath.Join(w.machine.places.Executor, "report.pub")))
	check(t, os.Remove(w.machine.places.Socket))
	w.enrol()
	w.start(files)
	check(t, w.once())
	check(t, w.once())
	s, err := w.agent(slog.New(slog.DiscardHandler)).Status()
	check(t, err)
	if s.Executor || s.Order != "" || w.rollout.state != "waiting" || w.host().CanExecute() {
		t.Errorf("status %+v, rollout %s", s, w.rollout.state)
	}
	if w.host().PackageSet == "" {
		t.Error("the host's packages are not known")
	}
}

func TestCertificateIsRenewedAndTheOldOneEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	identity := filepath.Join(w.machine.places.State, "identity.pem")
	old, err := os.ReadFile(identity)
	check(t, err)
	for range 5 { // days
		w.clock.pass(24 * time.Hour)
		check(t, w.once())
	}
	if !strings.Contains(w.acts(), "host.renewed") {
		t.Errorf("acts %s", w.acts())
	}
	check(t, os.WriteFile(identity, old, 0o600))
	if err := w.once(); err == nil {
		t.Error("the old certificate still opens the door")
	}
}

func TestTrustRootAdvancesAndStays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.nextRoot()
	check(t, w.once())
	check(t, w.once())
	if v := w.host().TrustRootVersion; v != 2 {
		t.Errorf("the host has trust root version %d", v)
	}
}

func TestSilenceIsAnActAndSoIsTheReturn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	check(t, w.estate.Silence(t.Context()))
	w.clock.pass(16 * time.Minute)
	check(t, w.estate.Silence(t.Context()))
	check(t, w.estate.Silence(t.Context()))
	if w.host().SilentAt.IsZero() {
		t.Error("the host does not count as silent")
	}
	check(t, w.once())
	if got, want := w.acts(), "host.enrolled host.silent host.returned"; got != want {
		t.Errorf("acts %s, want %s", got, want)
	}
}

func TestHostAlarmsWithoutFreshCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	w.server.CloseClientConnections()
	w.around = func(http.Handler) http.Handler {
		return http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	}
	w.clock.pass(25 * time.Hour)
	var said strings.Builder
	a := w.agent(slog.New(slog.NewTextHandler(&said, nil)))
	if _, err := a.Once(t.Context()); err == nil {
		t.Fatal("a round without a server succeeded")
	}
	s, err := a.Status()
	check(t, err)
	if s.Alarm != fault.Freeze || !strings.Contains(said.String(), "ALARM") {
		t.Errorf("alarm %q, log %s", s.Alarm, said.String())
	}
	w.around = nil
	check(t, w.once())
	if s, err := w.agent(slog.New(slog.DiscardHandler)).Status(); err != nil || s.Alarm != "" {
		t.Errorf("alarm %q stays (%v)", s.Alarm, err)
	}
}

func TestHostAlarmsOnAnotherLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	memory := filepath.Join(w.machine.places.State, "memory.json")
	b, err := os.ReadFile(memory)
	check(t, err)
	var m map[string]any
	check(t, json.Unmarshal(b, &m))
	m["log"] = map[string]any{"size": 1, "root": strings.Repeat("ab", 32)} // what an honest log once showed the host
	b, err = json.Marshal(m)
	check(t, err)
	check(t, os.WriteFile(memory, b, 0o600))
	w.start(files)
	if err := w.once(); fault.CodeOf(err) != fault.LogRollback {
		t.Errorf("another log is taken: %v", err)
	}
	if w.rollout.state != "waiting" {
		t.Error("an order was taken from a server with another log")
	}
	if err := w.once(); err == nil || w.host().Alarm != fault.LogRollback {
		t.Errorf("the server hears alarm %q", w.host().Alarm)
	}
}

func TestRestAndBusyPace(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	next, err := w.agent(slog.New(slog.DiscardHandler)).Once(t.Context())
	check(t, err)
	if next != 5*time.Minute {
		t.Errorf("at rest the host comes again after %s", next)
	}
}
