package agentapi_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent"
	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func TestEnrolmentTrustsNothingButTheLine(t *testing.T) {
	t.Parallel()
	other := strings.Repeat("ab", 32)
	for name, spoil := range map[string]func(w *world, l *agent.Line){
		"another CA":         func(_ *world, l *agent.Line) { l.CA = other },
		"another trust root": func(_ *world, l *agent.Line) { l.TrustRoot = other },
		"token of nobody":    func(_ *world, l *agent.Line) { l.Token = "pwe_" + other },
		"token expired":      func(w *world, _ *agent.Line) { w.clock.pass(time.Hour + time.Second) },
		"token used": func(w *world, l *agent.Line) {
			_, err := agent.Enrol(w.t.Context(), newMachine(w.t, w.clock.now).places, *l, w.clock.now)
			check(w.t, err)
		},
		"trust root of strangers": func(w *world, l *agent.Line) { // signed by no quorum, but with the digest of the line
			forged := w.people.NextRoot(func(r *trustroot.Root) { r.Version, r.Previous = 1, "" }, "erin")
			w.roots = []envelope.Envelope{forged}
			l.TrustRoot = envelope.Digest(forged.Payload)
		},
		"trust root expired": func(w *world, _ *agent.Line) { w.clock.pass(366 * 24 * time.Hour) },
		"plain http":         func(_ *world, l *agent.Line) { l.Server = strings.Replace(l.Server, "https", "http", 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			line := w.line(time.Hour)
			spoil(w, &line)
			if _, err := agent.Enrol(t.Context(), w.machine.places, line, w.clock.now); err == nil {
				t.Fatal("enrolled")
			} else {
				t.Log(err)
			}
			if _, err := os.Stat(filepath.Join(w.machine.places.Etc, "agent.json")); err == nil {
				t.Error("the host believes to be enrolled")
			}
			if hosts, err := w.estate.Hosts(t.Context()); err != nil || len(hosts) > 1 {
				t.Errorf("%d hosts (%v)", len(hosts), err)
			}
		})
	}
}

// client is a caller with a certificate of its own making.
func (w *world) client(cert *tls.Certificate) *http.Client {
	pool := x509.NewCertPool()
	ca, err := x509.ParseCertificate(w.estate.CA.DER())
	check(w.t, err)
	pool.AddCert(ca)
	config := &tls.Config{RootCAs: pool, Time: w.clock.now}
	if cert != nil {
		config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return cert, nil }
	}
	c := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}}
	return c
}

// identity is the machine's own certificate.
func (w *world) identity() *tls.Certificate {
	w.t.Helper()
	b, err := os.ReadFile(filepath.Join(w.machine.places.State, "identity.pem"))
	check(w.t, err)
	pair, err := tls.X509KeyPair(b, b)
	check(w.t, err)
	return &pair
}

// issue makes a certificate of a CA for any name.
func issue(t *testing.T, ca *estate.CA, host string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	csr, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
	check(t, err)
	der, _, err := ca.Host(host, csr)
	check(t, err)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// ask sends a request and gives status and problem; status 0 when there was no TLS connection.
func (w *world) ask(c *http.Client, method, path, kind string, body []byte) (int, wire.Problem) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL, bytes.NewReader(body))
	check(w.t, err)
	r.URL.Opaque = "//" + r.URL.Host + path // the path exactly as written
	r.Header.Set("Content-Type", kind)
	answer, err := c.Do(r)
	if err != nil {
		return 0, wire.Problem{}
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	check(w.t, err)
	var p wire.Problem
	json.Unmarshal(b, &p)
	return answer.StatusCode, p
}

func TestDoorKnowsItsHosts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	otherCA, err := estate.OpenCA(t.TempDir(), w.clock.now)
	check(t, err)
	stale := w.identity()
	for name, c := range map[string]struct {
		cert *tls.Certificate
		want int
	}{
		"the host itself":                    {w.identity(), http.StatusOK},
		"no certificate":                     {nil, http.StatusUnauthorized},
		"another CA's certificate":           {issue(t, otherCA, w.machine.host), 0},
		"our CA's certificate, unknown host": {issue(t, w.estate.CA, "hst_unknown"), http.StatusUnauthorized},
		"our CA's, never given to the host":  {issue(t, w.estate.CA, w.machine.host), http.StatusUnauthorized},
	} {
		t.Run(name, func(t *testing.T) {
			code, p := w.ask(w.client(c.cert), "POST", wire.MissingPath, "application/json", []byte(`{"digests":[]}`))
			if code != c.want {
				t.Errorf("status %d (%s), want %d", code, p.Detail, c.want)
			}
		})
	}
	w.clock.pass(73 * time.Hour)
	if code, _ := w.ask(w.client(stale), "POST", wire.MissingPath, "application/json", []byte(`{"digests":[]}`)); code != 0 {
		t.Errorf("an expired certificate gets status %d", code)
	}
}

func TestHostCannotSpeakForAnother(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	mine := w.machine
	w.machine = newMachine(t, w.clock.now)
	w.enrol()
	check(t, w.once())
	w.start(files)
	report := wire.Report{Order: w.rollout.order, Before: observationOf(w), After: observationOf(w)}

	mine.report(w.rollout.order) // its session log
	for name, c := range map[string]struct {
		by   *machine
		want string
	}{
		"signed by the other host's executor": {mine, fault.BadSignature},
		"about the other host":                {&machine{t: t, places: w.machine.places, host: mine.host, now: w.clock.now, key: w.machine.key}, fault.WrongHost},
	} {
		t.Run(name, func(t *testing.T) {
			report.Envelope = c.by.report(w.rollout.order)
			b, err := json.Marshal(report)
			check(t, err)
			code, p := w.ask(w.client(w.identity()), "POST", wire.ReportPath, "application/json", b)
			if code != http.StatusForbidden || p.Code != c.want {
				t.Errorf("status %d, code %s, want %s", code, p.Code, c.want)
			}
		})
	}
	if len(w.rollout.reports) > 0 {
		t.Error("a foreign report was heard")
	}
}

func observationOf(w *world) wire.Observation {
	h := w.host()
	return wire.Observation{At: w.clock.now(), PackageSet: h.PackageSet, Trees: h.Trees}
}

func TestClonedHostIsFoundAndEnds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	check(t, w.once())
	state := w.machine.places.State
	copied, err := os.ReadFile(filepath.Join(state, "memory.json"))
	check(t, err)
	check(t, w.once())
	check(t, os.WriteFile(filepath.Join(state, "memory.json"), copied, 0o600)) // the copy speaks with the counter of its making
	for range 2 {
		if err := w.once(); fault.CodeOf(err) != wire.Cloned {
			t.Errorf("the copy is answered %v", err)
		}
	}
	if got, want := w.acts(), "host.enrolled host.cloned"; got != want {
		t.Errorf("acts %s, want %s", got, want)
	}
	w.start(files)
	if err := w.once(); err == nil || w.rollout.state != "waiting" {
		t.Error("a cloned host was given work")
	}
	token, _, err := w.estate.MakeToken(t.Context(), "person/erin", estate.NewToken{Host: w.machine.host, Life: time.Hour})
	check(t, err)
	line := agent.Line{Server: w.server.URL, Token: token, CA: w.estate.CA.Hash(), TrustRoot: w.people.Root.Digest()}
	_, err = agent.Enrol(t.Context(), w.machine.places, line, w.clock.now)
	check(t, err)
	w.finish()
	if !strings.HasSuffix(w.acts(), "host.reenrolled") {
		t.Errorf("acts %s", w.acts())
	}
}

func TestReportKeyIsTheOneOfTheEnrolment(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	w.machine.key = private // who took over the agent's user puts up an executor of its own
	check(t, os.WriteFile(filepath.Join(w.machine.places.Executor, "report.pub"), []byte(base64.StdEncoding.EncodeToString(public)), 0o600))
	w.start(files)
	check(t, w.once())
	if got, want := w.acts(), "host.enrolled host.report-key-changed"; got != want {
		t.Errorf("acts %s, want %s", got, want)
	}
	if w.rollout.state != "waiting" {
		t.Error("a host with another executor was given work")
	}
}

func TestObjectsAreWhatTheyAreCalled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	c := w.client(w.identity())
	lone, err := os.ReadFile(aTreeObject(t, w))
	check(t, err)
	for name, u := range map[string]struct {
		digest, kind string
		body         []byte
		want         int
	}{
		"right":                          {envelope.Digest([]byte("x")), wire.FactsObject, []byte("x"), http.StatusNoContent},
		"other bytes":                    {envelope.Digest([]byte("x")), wire.FactsObject, []byte("y"), http.StatusBadRequest},
		"no digest":                      {"latest", wire.FactsObject, []byte("z"), http.StatusBadRequest},
		"kind unknown":                   {envelope.Digest([]byte("page")), "text/html", []byte("page"), http.StatusBadRequest},
		"directory that is none":         {envelope.Digest([]byte("leaf")), wire.TreeObject, []byte("leaf"), http.StatusBadRequest},
		"directory before what it holds": {envelope.Digest(lone), wire.TreeObject, lone, http.StatusConflict},
		"too large":                      {strings.Repeat("ab", 32), wire.FactsObject, make([]byte, wire.MaxObject+1), http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			code, p := w.ask(c, "PUT", wire.ObjectPath+u.digest, u.kind, u.body)
			if code != u.want {
				t.Errorf("status %d (%s), want %d", code, p.Detail, u.want)
			}
			if has, err := w.blobs.Has(t.Context(), envelope.Digest(u.body)); err != nil || has != (u.want == http.StatusNoContent) {
				t.Errorf("kept: %v (%v)", has, err)
			}
		})
	}
}

// TestAHostDoesNotFillTheStore: what it uploads counts, whether or not anything ever cites it.
func TestAHostDoesNotFillTheStore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	c := w.client(w.identity())
	put := func(b []byte) (int, wire.Problem) {
		return w.ask(c, "PUT", wire.ObjectPath+envelope.Digest(b), wire.FactsObject, b)
	}
	object := func(n byte) []byte { return bytes.Repeat([]byte{n}, testQuota/4) }
	for n := range byte(4) {
		for range 2 { // what is here costs nothing
			if code, p := put(object(n)); code != http.StatusNoContent {
				t.Fatalf("object %d: status %d (%s)", n, code, p.Detail)
			}
		}
	}
	if code, p := put(object(4)); code != http.StatusForbidden || p.Code != wire.Quota {
		t.Errorf("over the quota: status %d, code %s", code, p.Code)
	}
	if has, err := w.blobs.Has(t.Context(), envelope.Digest(object(4))); err != nil || has {
		t.Errorf("kept: %v (%v)", has, err)
	}
	mine := w.machine
	w.machine = newMachine(t, w.clock.now)
	w.enrol()
	check(t, w.once()) // another host's is its own
	w.machine = mine
	w.clock.pass(24 * time.Hour)
	if code, p := put(object(4)); code != http.StatusNoContent {
		t.Errorf("the next day: status %d (%s)", code, p.Detail)
	}
}

// aTreeObject gives the file of a directory object that refers to others: the top of a tree.
func aTreeObject(t *testing.T, w *world) string {
	t.Helper()
	other := newWorld(t)
	other.enrol()
	check(t, other.once())
	b, err := blob.ReadAll(t.Context(), other.blobs, other.host().Trees["/"], wire.MaxObject)
	check(t, err)
	file := filepath.Join(t.TempDir(), "object")
	check(t, os.WriteFile(file, b, 0o600))
	return file
}

func TestDoorRefusesWhatIsNotTheProtocol(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	c := w.client(w.identity())
	order := "ord_" + strings.Repeat("0", 26)
	for name, q := range map[string]struct {
		method, path string
		body         []byte
		want         int
	}{
		"document too large":   {"POST", wire.CheckInPath, append([]byte(`{"agent_version":"`), bytes.Repeat([]byte("x"), wire.MaxDocument)...), http.StatusBadRequest},
		"no JSON":              {"POST", wire.CheckInPath, []byte("counter=1"), http.StatusBadRequest},
		"two documents":        {"POST", wire.MissingPath, []byte(`{"digests":[]}{}`), http.StatusBadRequest},
		"too many digests":     {"POST", wire.MissingPath, []byte(`{"digests":[` + strings.Repeat(`"`+strings.Repeat("ab", 32)+`",`, wire.MaxMissing) + `"` + strings.Repeat("ab", 32) + `"]}`), http.StatusBadRequest},
		"check-in of nothing":  {"POST", wire.CheckInPath, []byte(`{}`), http.StatusBadRequest},
		"file above the order": {"GET", wire.FilePath + order + "/..%2f..%2fetc/passwd", nil, http.StatusNotFound},
		"file by dots":         {"GET", wire.FilePath + order + "/%2e%2e/%2e%2e/secret", nil, http.StatusNotFound},
		"file of no order":     {"GET", wire.FilePath + "..%2f..%2fx/InRelease", nil, http.StatusNotFound},
		"file of another run":  {"GET", wire.FilePath + order + "/InRelease", nil, http.StatusNotFound},
		"enrolment by a host":  {"POST", wire.EnrolPath, []byte(`{"token":"` + strings.Repeat("x", 40) + `","name":"x","csr":"AAAA"}`), http.StatusUnauthorized},
		"not a route":          {"GET", wire.Prefix + "hosts", nil, http.StatusNotFound},
		"not this method":      {"DELETE", wire.CheckInPath, nil, http.StatusMethodNotAllowed},
	} {
		t.Run(name, func(t *testing.T) {
			code, p := w.ask(c, q.method, q.path, "application/json", q.body)
			if code != q.want {
				t.Errorf("status %d (%s), want %d", code, p.Detail, q.want)
			}
		})
	}
	if got := w.acts(); got != "host.enrolled" {
		t.Errorf("acts %s", got)
	}
}

func TestAgentBelievesOnlyItsOwnExecutor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.enrol()
	w.start(files)
	_, private, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	w.machine.key = private
	if err := w.once(); fault.CodeOf(err) != fault.BadSignature {
		t.Errorf("a report by another key is taken: %v", err)
	}
	if len(w.rollout.reports) > 0 {
		t.Error("it reached the server")
	}
}
