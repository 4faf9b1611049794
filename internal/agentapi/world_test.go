package agentapi_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent"
	"github.com/patchwarrant/patchwarrant/internal/agentapi"
	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/silence"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// clock is the time of a world, moved by hand.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(time.Millisecond)
	return c.at
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(d)
}

// world is a server with its agents' door, and one machine with an agent and an executor.
type world struct {
	t       *testing.T
	clock   *clock
	people  *warranttest.World
	roots   []envelope.Envelope
	ledger  *ledger.Ledger
	blobs   *blob.DirStore
	estate  *estate.Estate
	silence *silence.Watch
	rollout *rollout
	server  *httptest.Server
	around  func(http.Handler) http.Handler // wraps the door; nil: as it is
	machine *machine
	channel string // digest of the release file that production shows
	reach   string // another root that orders go to; empty: none
}

// Published implements agentapi.Channels.
func (w *world) Published(context.Context, string) (string, error) { return w.channel, nil }

// Since implements agentapi.TrustRoots.
func (w *world) Roots(_ context.Context, version int64) ([]envelope.Envelope, error) {
	if version > int64(len(w.roots)) {
		return nil, nil
	}
	return w.roots[version-1:], nil
}

// testQuota is the world's, in bytes a day.
const testQuota = 1 << 20

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{at: warranttest.Now}, people: warranttest.New(t)}
	w.roots = []envelope.Envelope{w.people.RootEnvelope}
	d := dbtest.Open(t)
	var err error
	w.ledger, err = ledger.New(ledger.Config{DB: d, Signer: w.people.Log.Signer, Verifier: w.people.Log.VerifierKey, Origin: warranttest.Origin,
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: w.clock.now})
	check(t, err)
	w.blobs, err = blob.Dir(t.TempDir())
	check(t, err)
	ca, err := estate.OpenCA(t.TempDir(), w.clock.now)
	check(t, err)
	w.estate = estate.New(estate.Config{DB: d, Ledger: w.ledger, Blobs: w.blobs, CA: ca, Now: w.clock.now, Silent: 15 * time.Minute})
	w.silence = silence.New(silence.Config{DB: d, Ledger: w.ledger, Estate: w.estate, Now: w.clock.now})
	w.rollout = &rollout{t: t, files: map[string][]byte{}}
	door := agentapi.New(agentapi.Config{Estate: w.estate, Blobs: w.blobs, Rollout: w.rollout, Ledger: w.ledger, TrustRoots: w, Canary: w.silence, Channels: w,
		Log: slog.New(slog.DiscardHandler), Rest: 5 * time.Minute, Busy: 15 * time.Second, Quota: testQuota})
	w.server = httptest.NewUnstartedServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if w.around != nil {
			w.around(door).ServeHTTP(rw, r)
			return
		}
		door.ServeHTTP(rw, r)
	}))
	w.server.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	w.server.Listener = tls.NewListener(w.server.Listener, ca.ServerTLS([]string{"127.0.0.1"}))
	w.server.Start()
	w.server.URL = "https://" + w.server.Listener.Addr().String()
	t.Cleanup(w.server.Close)
	w.machine = newMachine(t, w.clock.now)
	return w
}

// line makes an enrolment line for a new host.
func (w *world) line(life time.Duration) agent.Line {
	w.t.Helper()
	token, _, err := w.estate.MakeToken(w.t.Context(), "person/erin", estate.NewToken{Name: "web1", Environment: "production", Life: life})
	check(w.t, err)
	return agent.Line{Server: w.server.URL, Token: token, CA: w.estate.CA.Hash(), TrustRoot: w.people.Root.Digest()}
}

// enrol makes the machine a host.
func (w *world) enrol() {
	w.t.Helper()
	answer, err := agent.Enrol(w.t.Context(), w.machine.places, w.line(time.Hour), w.clock.now)
	check(w.t, err)
	w.machine.host = answer.HostID
}

func (w *world) agent(log *slog.Logger) *agent.Agent {
	w.t.Helper()
	a, err := agent.Open(w.machine.places, "test", w.clock.now, log)
	check(w.t, err)
	return a
}

// once does one round of a freshly started agent.
func (w *world) once() error {
	w.t.Helper()
	_, err := w.agent(slog.New(slog.DiscardHandler)).Once(w.t.Context())
	return err
}

func (w *world) host() estate.Host {
	w.t.Helper()
	h, err := w.estate.Host(w.t.Context(), w.machine.host)
	check(w.t, err)
	return h
}

// acts gives the kinds of the acts about the machine's host, in order.
func (w *world) acts() string {
	w.t.Helper()
	all, err := w.ledger.List(w.t.Context(), ledger.Filter{Subject: "host/" + w.machine.host, Limit: 100})
	check(w.t, err)
	var kinds []string
	for _, e := range all {
		kinds = append(kinds, e.Act.Kind)
	}
	return strings.Join(kinds, " ")
}

// rollout is a rollout of one order to one host.
type rollout struct {
	t *testing.T

	mu       sync.Mutex
	order    string
	document *warrant.Warrant
	halted   bool
	state    string // "", waiting, begun, done
	files    map[string][]byte
	before   wire.Observation
	after    wire.Observation
	reports  []wire.Report
}

// start offers the machine's host a warrant that holds, over the packages among the files.
func (w *world) start(files map[string]string) {
	w.t.Helper()
	now := w.clock.now().UTC().Truncate(time.Second)
	var packages []warrant.CuratedRecord
	for path, text := range files {
		name, rest, found := strings.Cut(strings.TrimPrefix(path, "pool/main/"), "_")
		if found {
			packages = append(packages, warranttest.Package(name, strings.TrimSuffix(rest, "_amd64.deb"), []byte(text)))
		}
	}
	record := w.people.Record([]byte(files["Packages"]), packages...)
	order := w.people.Order(record)
	order.ID, order.MadeAt, order.ExpiresAt = id.New("ord", now), now, now.Add(24*time.Hour)
	order.Window = warrant.Window{OpensAt: now.Add(-time.Minute), ClosesAt: now.Add(time.Hour)}
	order.Transactions[0].Hosts = []string{w.machine.host}
	if w.reach != "" {
		order.Transactions = append(order.Transactions, warrant.Transaction{Hosts: order.Transactions[0].Hosts, Root: w.reach, Actions: order.Transactions[0].Actions})
	}
	w.people.Log.At = now
	document := w.people.Warrant(order, record)
	w.rollout.mu.Lock()
	defer w.rollout.mu.Unlock()
	w.rollout.order, w.rollout.document, w.rollout.state, w.rollout.reports = order.ID, document, "waiting", nil
	for path, text := range files {
		w.rollout.files[path] = []byte(text)
	}
}

func (r *rollout) Offer(context.Context, string, int64) (*wire.Work, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != "waiting" {
		return nil, nil
	}
	document, err := r.document.Encode()
	check(r.t, err)
	w := &wire.Work{OrderID: r.order, Warrant: document}
	for _, path := range slices.Sorted(maps.Keys(r.files)) {
		b := r.files[path]
		w.Files = append(w.Files, wire.File{Path: path, SHA256: envelope.Digest(b), Size: int64(len(b))})
	}
	return w, nil
}

func (r *rollout) File(_ context.Context, _, order, path string) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	b, ok := r.files[path]
	if order != r.order || !ok {
		return nil, fault.New(fault.NotFound, "no such file")
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

func (r *rollout) Begin(_ context.Context, _ string, b wire.Begin) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if b.Order != r.order || r.halted {
		return fault.New(fault.Conflict, "halted")
	}
	r.state = "begun"
	return nil
}

func (r *rollout) Report(_ context.Context, _ string, report wire.Report) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.before, r.after = report.Before, report.After
	r.state = "done"
	r.reports = append(r.reports, report)
	return nil
}

// machine is a host's file system and its executor.
type machine struct {
	t      *testing.T
	places agent.Places
	host   string
	now    func() time.Time
	key    ed25519.PrivateKey

	mu   sync.Mutex
	runs map[string]int               // order → how often packages were changed for it
	said map[string]envelope.Envelope // order → its one report
	dies int                          // how many more times the executor dies after the work, before it answers
}

const status = `Package: dpkg
Status: install ok installed
Architecture: amd64
Maintainer: Dpkg Developers <debian-dpkg@lists.debian.org>
Version: 1.21.22

Package: libssl3
Status: install ok installed
Architecture: amd64
Maintainer: Debian OpenSSL Team <pkg-openssl-devel@alioth-lists.debian.net>
Source: openssl
Version: VERSION
`

func (m *machine) write(path, text string) {
	m.t.Helper()
	full := filepath.Join(m.places.Root, path)
	check(m.t, os.MkdirAll(filepath.Dir(full), 0o755))
	check(m.t, os.WriteFile(full, []byte(text), 0o644))
}

// restore brings the host to where an order has something to do.
func (m *machine) restore() {
	m.t.Helper()
	m.write("var/lib/dpkg/status", strings.Replace(status, "VERSION", "3.0.15-1~deb12u1", 1))
	m.write("usr/lib/libssl.so.3", "old library")
}

func newMachine(t *testing.T, now func() time.Time) *machine {
	t.Helper()
	top, err := os.MkdirTemp("", "pw") // short: a socket's path is bounded
	check(t, err)
	t.Cleanup(func() { os.RemoveAll(top) })
	m := &machine{t: t, now: now, runs: map[string]int{}, said: map[string]envelope.Envelope{}, places: agent.Places{
		Root: filepath.Join(top, "root"), Etc: filepath.Join(top, "etc"), State: filepath.Join(top, "agent"),
		Executor: filepath.Join(top, "executor"), Socket: filepath.Join(top, "s")}}
	m.restore()
	m.write("etc/os-release", "ID=debian\nVERSION_CODENAME=bookworm\n")
	m.write("etc/hostname", "web1\n")
	m.write("proc/sys/kernel/osrelease", "6.1.0-30-amd64\n")
	m.write("proc/sys/kernel/version", "#1 SMP Debian 6.1.124-1\n")
	m.write("boot/vmlinuz-6.1.0-30-amd64", "kernel")
	m.write("etc/apt/sources.list", "deb [signed-by=/usr/share/keyrings/d.gpg] http://deb.example/debian bookworm main\n")
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	m.key = private
	check(t, os.MkdirAll(m.places.Executor, 0o755))
	check(t, os.WriteFile(filepath.Join(m.places.Executor, "report.pub"), []byte(base64.StdEncoding.EncodeToString(public)+"\n"), 0o644))
	m.listen()
	return m
}

// listen is the executor: one warrant per connection, one report for an order however often it is asked.
func (m *machine) listen() {
	l, err := net.Listen("unix", m.places.Socket)
	check(m.t, err)
	m.t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			b, err := io.ReadAll(conn)
			if err == nil {
				conn.Write(m.obey(b))
			}
			conn.Close()
		}
	}()
}

func (m *machine) obey(document []byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	doc, err := warrant.Parse(document)
	check(m.t, err)
	order, err := warrant.DecodeOrder(doc.Order.Payload)
	check(m.t, err)
	if _, again := m.said[order.ID]; !again {
		m.runs[order.ID]++
		m.write("var/lib/dpkg/status", strings.Replace(status, "VERSION", "3.0.15-1~deb12u2", 1))
		m.write("usr/lib/libssl.so.3", "new library")
		m.said[order.ID] = m.report(order.ID)
	}
	if m.dies > 0 {
		m.dies--
		return nil
	}
	b, err := json.Marshal(m.said[order.ID])
	if err != nil {
		m.t.Error(err)
	}
	return b
}

func (m *machine) report(order string) envelope.Envelope {
	session := []byte("session of " + order)
	dir := filepath.Join(m.places.Executor, "sessions", order)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		m.t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "session.log"), session, 0o600); err != nil {
		m.t.Error(err)
	}
	now := m.now().UTC().Truncate(time.Microsecond)
	payload, err := warrant.Report{Host: m.host, Order: order, OrderDigest: envelope.Digest([]byte(order)), Outcome: warrant.Done,
		BegunAt: now, EndedAt: now, Packages: []warrant.Observed{}, Session: envelope.Digest(session)}.Encode()
	if err != nil {
		m.t.Error(err)
	}
	return envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload,
		Signatures: []envelope.Signature{envelope.SignEd25519(m.key, warrant.ReportType, payload)}}
}

func (m *machine) ran(order string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.runs[order]
}

// nextRoot puts version N+1 of the trust root in force on the server.
func (w *world) nextRoot() {
	w.roots = append(w.roots, w.people.NextRoot(func(r *trustroot.Root) { r.Organisation = "Example, renamed" }, "alice", "carol"))
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
