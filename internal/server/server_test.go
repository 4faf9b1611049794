package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
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
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// TestEveryStatementIsUnderstoodByBothEngines: this package links all rooms, so their statements are declared here.
func TestEveryStatementIsUnderstoodByBothEngines(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		if err := d.Prepare(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestOneServerHoldsTheLease(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		now := warranttest.Now
		clock := func() time.Time { return now }
		a, b := lease{d, "a", clock}, lease{d, "b", clock}
		hold := func(l lease, want bool) {
			t.Helper()
			if got, err := l.Hold(t.Context(), 30*time.Second); got != want || err != nil {
				t.Errorf("%s holds: %v, %v", l.holder, got, err)
			}
		}
		hold(a, true)
		hold(a, true)
		hold(b, false)
		now = now.Add(30 * time.Second)
		hold(b, true)
		hold(a, false)
		if err := a.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		hold(a, false)
		if err := b.Release(t.Context()); err != nil {
			t.Fatal(err)
		}
		hold(a, true)
	})
}

// world is a server with people who can log in.
type world struct {
	*warranttest.World
	t      *testing.T
	server *Server
	now    time.Time
	doors  []*httptest.Server // people, agents, public
}

// config writes a configuration file with more lines and loads it.
func config(t *testing.T, more string) (Config, error) {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "server.toml")
	text := fmt.Sprintf("data = %q\norigin = %q\nnames = [\"127.0.0.1\"]\n", filepath.Join(dir, "data"), warranttest.Origin)
	if err := os.WriteFile(path, []byte(text+more), 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

// open gives a server with the people's trust root in force.
func open(t *testing.T, more string) *world {
	t.Helper()
	w := bare(t, more)
	if _, err := w.server.Staff.Install(t.Context(), w.RootEnvelope, envelope.Digest(w.RootEnvelope.Payload)); err != nil {
		t.Fatal(err)
	}
	return w
}

// bare gives a server without a trust root.
func bare(t *testing.T, more string) *world {
	t.Helper()
	c, err := config(t, more)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{World: warranttest.New(t), t: t, now: warranttest.Now}
	clock := func() time.Time { return w.now }
	keys, err := Init(c, clock)
	if err != nil {
		t.Fatal(err)
	}
	if err := dbtest.Lay(strings.TrimPrefix(c.Database, "sqlite:")); err != nil {
		t.Fatal(err)
	}
	if w.server, err = Open(t.Context(), c, clock, slog.New(slog.NewTextHandler(t.Output(), nil))); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.server.Close() })
	w.server.Staff.Hold = func(context.Context, time.Duration) {}
	r := *w.Root
	r.Ledger.Keys = []string{keys.Verifier}
	w.SetRoot(r)
	doors, err := w.server.doors()
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range doors {
		s := httptest.NewServer(d.Handler)
		t.Cleanup(s.Close)
		w.doors = append(w.doors, s)
	}
	return w
}

// ask sends a request to the people's door and reads the answer into out; a problem comes back as its error.
func (w *world) ask(token, method, path string, in, out any) error {
	w.t.Helper()
	var body io.Reader
	if b, raw := in.([]byte); raw {
		body = bytes.NewReader(b)
	} else if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			w.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.doors[0].URL+v1.Prefix+path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	b, err := io.ReadAll(answer.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	if answer.StatusCode >= 400 {
		var p v1.Problem
		if answer.Header.Get("Content-Type") != v1.ProblemType || json.Unmarshal(b, &p) != nil || p.Status != answer.StatusCode {
			w.t.Errorf("%s %s: %s is no problem document: %s", method, path, answer.Status, b)
		}
		return p.Fault()
	}
	if out != nil {
		if err := json.Unmarshal(b, out); err != nil {
			w.t.Fatalf("%s %s: %v: %s", method, path, err, b)
		}
	}
	return nil
}

// mustLogin logs a person in through the door.
func (w *world) mustLogin(person string) string {
	w.t.Helper()
	var c v1.Challenge
	if err := w.ask("", http.MethodPost, "/login/challenge", v1.Person{Person: person}, &c); err != nil {
		w.t.Fatal(err)
	}
	payload, err := staff.EncodeLogin(person, c.Origin, c.Challenge)
	if err != nil {
		w.t.Fatal(err)
	}
	sig, err := sshkey.Sign(w.Signers[person], staff.LoginType, payload)
	if err != nil {
		w.t.Fatal(err)
	}
	var in v1.LoggedIn
	if err := w.ask("", http.MethodPost, "/login", v1.Login{Person: person, Challenge: c.Challenge, Signature: sig}, &in); err != nil {
		w.t.Fatal(err)
	}
	if in.Person != person || in.Token == "" {
		w.t.Fatalf("logged in as %q", in.Person)
	}
	return in.Token
}

func TestAPersonLogsInAndOut(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("alice")
	var who v1.Whoami
	if err := w.ask(token, http.MethodGet, "/whoami", nil, &who); err != nil || who.Person != "alice" {
		t.Errorf("whoami: %+v, %v", who, err)
	}
	if err := w.ask(token, http.MethodDelete, "/session", nil, nil); err != nil {
		t.Fatal(err)
	}
	if err := w.ask(token, http.MethodGet, "/whoami", nil, nil); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("after logout: %v", err)
	}
}

// TestEveryRouteAsksForLeave: nobody gets anywhere without a session, whatever the route, but to log in.
func TestEveryRouteAsksForLeave(t *testing.T) {
	w := open(t, "")
	var document struct {
		OpenAPI string
		Paths   map[string]map[string]struct {
			Action   staff.Action `json:"x-action"`
			Security []any
		}
	}
	answer, err := http.Get(w.doors[0].URL + "/openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&document); err != nil || !strings.HasPrefix(document.OpenAPI, "3.1") {
		t.Fatalf("openapi.json: %v", err)
	}
	for path, operations := range document.Paths {
		for method, o := range operations {
			if strings.HasPrefix(path, v1.Prefix+"/login") {
				continue
			}
			if o.Action == "" || len(o.Security) == 0 {
				t.Errorf("%s %s says no action or needs no session", method, path)
			}
			route := strings.TrimPrefix(path, v1.Prefix)
			for _, token := range []string{"", "pwt_guess"} {
				if err := w.ask(token, strings.ToUpper(method), route, nil, nil); fault.KindOf(err) != fault.Unauthenticated {
					t.Errorf("%s %s with token %q: %v", method, path, token, err)
				}
			}
		}
	}
	if len(document.Paths) < 15 {
		t.Errorf("only %d paths", len(document.Paths))
	}
}

func TestARoleWithoutLeaveIsRefused(t *testing.T) {
	w := open(t, "")
	auditor := w.mustLogin("frank")
	err := w.ask(auditor, http.MethodPost, "/enrolments", v1.Enrolment{Name: "web1", Environment: "stage", Hours: 1}, nil)
	if fault.KindOf(err) != fault.Denied {
		t.Errorf("an auditor enrols a host: %v", err)
	}
	var line v1.EnrolmentLine
	if err := w.ask(w.mustLogin("erin"), http.MethodPost, "/enrolments",
		v1.Enrolment{Name: "web1", Environment: "stage", Hours: 1}, &line); err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"enrol --server https://127.0.0.1:8444 --token pwe_", "--ca " + w.server.keys.CA.Hash(),
		"--trust-root " + envelope.Digest(w.RootEnvelope.Payload)} {
		if !strings.Contains(line.Line, part) {
			t.Errorf("enrolment line %q lacks %q", line.Line, part)
		}
	}
	var acts v1.Acts
	if err := w.ask(auditor, http.MethodGet, "/acts?kind=access.", nil, &acts); err != nil || len(acts.Acts) != 1 {
		t.Errorf("acts about refused access: %d, %v", len(acts.Acts), err)
	}
}

// TestAProblemNeverRepeatsTheRequest: what a person sent, such as a token in a wrong place, is not in the answer.
func TestAProblemNeverRepeatsTheRequest(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("erin")
	const secret = "s3cr3t"
	for name, body := range map[string]string{
		"unknown field": `{"name":"web1","environment":"stage","hours":1,"` + secret + `x":"` + secret + `"}`,
		"wrong type":    `{"name":"web1","environment":"stage","hours":"` + secret + `"}`,
		"no JSON":       secret,
		"no object":     `["` + secret + `"]`,
	} {
		err := w.ask(token, http.MethodPost, "/enrolments", []byte(body), nil)
		if fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), `"`+secret) || strings.Contains(err.Error(), secret+`"`) {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := w.ask(token, http.MethodGet, "/acts?limit="+secret, nil, nil)
	if fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), secret) {
		t.Errorf("query: %v", err)
	}
}

func TestASourceIsImportedAsItComes(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("alice")
	var r v1.Receipt
	feed := []byte(`{"openssl":{"CVE-2026-1":{"scope":"remote","releases":{"bookworm":{"status":"resolved",` +
		`"repositories":{"bookworm":"3.0.1-1"},"fixed_version":"3.0.2-1","urgency":"high"}}}}}`)
	if err := w.ask(token, http.MethodPut, "/sources/debian-tracker/content?from=file", feed, &r); err != nil {
		t.Fatal(err)
	}
	if r.Statements != 1 || r.Digest != envelope.Digest(feed) {
		t.Errorf("receipt %+v", r)
	}
	if err := w.ask(token, http.MethodPut, "/sources/debian-tracker/content", []byte("<html>"), nil); fault.KindOf(err) != fault.Invalid {
		t.Errorf("bytes that are no feed: %v", err)
	}
	var s v1.Sources
	if err := w.ask(token, http.MethodGet, "/sources", nil, &s); err != nil || len(s.Sources) == 0 {
		t.Errorf("sources: %+v, %v", s, err)
	}
}

// TestStrangersLearnNothingOfTrouble: what is wrong inside is for the log; the door without login says no more than no.
func TestStrangersLearnNothingOfTrouble(t *testing.T) {
	w := open(t, "")
	if _, err := w.server.ledger.Checkpoint(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(w.server.config.Data, "ledger.guard")); err != nil {
		t.Fatal(err)
	}
	answer, err := http.Get(w.doors[2].URL + "/ledger/checkpoint")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusServiceUnavailable || strings.TrimSpace(string(b)) != "not available" {
		t.Errorf("%s: %q, %v", answer.Status, b, err)
	}
}

func TestTheLedgerIsProvedAndAudited(t *testing.T) {
	w := open(t, "")
	token := w.mustLogin("frank")
	var a v1.Audit
	if err := w.ask(token, http.MethodPost, "/ledger/audits", nil, &a); err != nil || a.Size != 2 || len(a.Findings) > 0 {
		t.Errorf("audit %+v, %v", a, err)
	}
	var c v1.Consistency
	if err := w.ask(token, http.MethodGet, "/ledger/consistency?from=1&to=2", nil, &c); err != nil || len(c.Hashes) != 1 {
		t.Errorf("consistency %+v, %v", c, err)
	}
	public := map[string]int{"/ledger/checkpoint": 200, "/ledger/tile/0/000.p/2": 200, "/ledger/tile/entries/000.p/2": 404,
		"/ledger/tile/0/001": 404, "/api/v1/acts": 404, "/repository/dists/": 404}
	for _, path := range slices.Sorted(maps.Keys(public)) { // the checkpoint first: tiles are what it covers
		want := public[path]
		answer, err := http.Get(w.doors[2].URL + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("GET %s: %s, want %d", path, answer.Status, want)
		}
	}
}

func TestTheConfigurationIsStrict(t *testing.T) {
	for name, more := range map[string]string{
		"unknown key":  "color = true\n",
		"two origins":  "origin = \"x\"\n",
		"duration":     "silent = \"-1h\"\n",
		"no port":      "[listen]\npeople = \"localhost\"\n",
		"notice hours": "notice_hours = -1\n",
	} {
		if _, err := config(t, more); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := config(t, "silent = \"2h\"\n[listen]\nagents = \"127.0.0.1:9444\"\n")
	if err != nil || c.Silent.Duration != 2*time.Hour || c.agentsURL() != "https://127.0.0.1:9444" || c.Listen.People != ":8443" {
		t.Errorf("configuration %+v, %v", c, err)
	}
}

func TestInitKeepsWhatIsThereAndRefusesOpenKeys(t *testing.T) {
	c, err := config(t, "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(c, time.Now); fault.KindOf(err) != fault.Invalid {
		t.Errorf("before init: %v", err)
	}
	var identities []v1.Identity
	for range 2 {
		k, err := Init(c, time.Now)
		if err != nil {
			t.Fatal(err)
		}
		i, err := k.Identity(c.Origin)
		if err != nil {
			t.Fatal(err)
		}
		identities = append(identities, i)
	}
	if identities[0] != identities[1] {
		t.Error("init made other keys the second time")
	}
	if err := os.Chmod(filepath.Join(keyDir(c), "ledger.key"), 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenKeys(c, time.Now); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a key that others can read: %v", err)
	}
}

// TestStrangersCannotHoldTheDoorOpen: a body that never comes costs a door its patience with strangers, no more.
func TestStrangersCannotHoldTheDoorOpen(t *testing.T) {
	done := make(chan error, 1)
	s := httptest.NewServer(hurry(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.ReadAll(r.Body)
		done <- err
	}), 50*time.Millisecond, known))
	t.Cleanup(s.Close)
	line, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer line.Close()
	fmt.Fprintf(line, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{")
	select {
	case err := <-done:
		if err == nil {
			t.Error("the body was read")
		}
	case <-time.After(10 * time.Second):
		t.Error("the door still waits")
	}
}
