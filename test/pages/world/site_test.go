//go:build pages

// Package world serves the real server with a small site on it, arranged through its doors, to browsers that test it or
// take pictures of it.
package world

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/envelopetest"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/server"
	"github.com/patchwarrant/patchwarrant/internal/server/servertest"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/draft"
)

// name is the host people see. Browsers are told where it is.
const name = "patch.example.org"

// person is someone with a key file for the command line and a passkey that a virtual authenticator can take.
type person struct {
	ID      string   `json:"id"`
	Name    string   `json:"name"`
	Roles   []string `json:"roles"`
	Actions []string `json:"actions"` // what the roles allow
	KeyFile string   `json:"key_file"`
	Passkey passkey  `json:"passkey"`

	signer ssh.Signer
	public envelope.Key // of the passkey
	token  string       // of a session while the site is arranged
}

type passkey struct {
	ID    string `json:"id"`    // base64
	PKCS8 string `json:"pkcs8"` // base64
}

// employed is who works here: one person of each role.
var employed = []person{
	{ID: "alice", Name: "Alice Novak", Roles: []string{"cirt-analyst"}},
	{ID: "bob", Name: "Bob Lindqvist", Roles: []string{"product-manager"}},
	{ID: "rita", Name: "Rita Okafor", Roles: []string{"risk-manager"}},
	{ID: "carol", Name: "Carol Weiss", Roles: []string{"operations-manager"}},
	{ID: "dave", Name: "Dave Moreau", Roles: []string{"system-owner"}},
	{ID: "erin", Name: "Erin Sato", Roles: []string{"administrator"}},
	{ID: "frank", Name: "Frank Ibsen", Roles: []string{"auditor"}},
}

// site is a server with its people. Its clock can stand in the past.
type site struct {
	t        *testing.T
	mark     string // is added to every text that comes from outside
	dir      string
	database string       // address; empty: a SQLite file
	late     atomic.Int64 // how far the clock is behind, in nanoseconds
	config   server.Config
	keys     *server.Keys
	server   *server.Server
	stop     func()
	door     http.Handler // of the people, for what is arranged
	provider string       // pin of the OpenID provider's key
	root     string       // digest of the trust root
	people   map[string]*person
	archive  *mirrortest.Archive
	hosts    map[string]*machine
}

func (s *site) ok(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

func (s *site) now() time.Time { return time.Now().Add(-time.Duration(s.late.Load())) }

// behind sets the clock to a time before now. Sessions do not outlast that.
func (s *site) behind(d time.Duration) {
	s.late.Store(int64(d))
	for _, p := range s.people {
		p.token = ""
	}
}

// pause waits, shorter while the site is arranged.
func (s *site) pause(d time.Duration) {
	if s.late.Load() > 0 {
		d /= 7
	}
	time.Sleep(d)
}

// text is a text from outside.
func (s *site) text(words string) string { return words + s.mark }

// found makes a site, in the past, with a trust root in force, and serves it.
func found(t *testing.T, mark, database string, past time.Duration) *site {
	t.Helper()
	s := begin(t, mark, database, past)
	s.installRoot()
	s.serve()
	return s
}

// begin makes a site without a trust root.
func begin(t *testing.T, mark, database string, past time.Duration) *site {
	t.Helper()
	s := &site{t: t, mark: mark, database: database, dir: t.TempDir(), people: map[string]*person{}, hosts: map[string]*machine{}}
	s.behind(past)
	s.archive = mirrortest.New(t, s.now().Add(-time.Hour))
	for _, p := range fixes {
		s.archive.Add(p.name, p.version, "amd64", "Source: "+p.source)
	}
	s.archive.Publish(s.now().Add(-time.Minute), time.Now().Add(7*24*time.Hour))
	s.configure()
	s.provide()
	for _, p := range employed {
		s.employ(p)
	}
	s.open()
	t.Cleanup(func() { s.close() })
	return s
}

func (s *site) configure() {
	s.t.Helper()
	file, err := servertest.Configure(s.dir, name+"/ledger", name, s.archive.Upstream("debian-security"))
	s.ok(err)
	s.config, err = server.Load(file)
	s.ok(err)
	if s.database != "" {
		s.config.Database = s.database
	}
	s.keys, err = server.Init(s.config, s.now)
	s.ok(err)
}

// employ makes a person's keys.
func (s *site) employ(p person) {
	s.t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	s.ok(err)
	block, err := ssh.MarshalPrivateKey(private, p.ID)
	s.ok(err)
	p.KeyFile = filepath.Join(s.dir, p.ID+".key")
	s.ok(os.WriteFile(p.KeyFile, pem.EncodeToMemory(block), 0o600))
	p.signer, err = ssh.NewSignerFromKey(private)
	s.ok(err)

	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	s.ok(err)
	p.public = envelopetest.PasskeyOf(s.t, key).Key
	der, err := x509.MarshalPKCS8PrivateKey(key)
	s.ok(err)
	id, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(p.public.ID, "webauthn:"))
	s.ok(err)
	p.Passkey = passkey{ID: base64.StdEncoding.EncodeToString(id), PKCS8: base64.StdEncoding.EncodeToString(der)}
	s.people[p.ID] = &p
}

// open opens the server; serve opens its doors and starts its timetable.
func (s *site) open() {
	s.t.Helper()
	var err error
	s.server, err = server.Open(s.t.Context(), s.config, s.now, slog.New(slog.NewTextHandler(s.t.Output(), &slog.HandlerOptions{Level: slog.LevelError})))
	s.ok(err)
	s.door, err = s.server.People()
	s.ok(err)
}

func (s *site) serve() {
	s.t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(s.t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.server.Serve(ctx) }()
	s.stop = func() {
		stop()
		if err := <-done; err != nil {
			s.t.Error(err)
		}
	}
	s.until("the server answers", func() bool {
		c, err := net.Dial("tcp", s.config.Listen.People)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
}

func (s *site) close() {
	s.stop()
	if err := s.server.Close(); err != nil {
		s.t.Error(err)
	}
}

// until waits for something that the server or a host does by itself. The clock goes faster meanwhile if it is behind.
func (s *site) until(what string, there func() bool) {
	s.t.Helper()
	for range 600 {
		if there() {
			return
		}
		time.Sleep(50 * time.Millisecond)
		if late := s.late.Load(); late > int64(time.Hour) {
			s.late.Store(late - int64(2*time.Second))
		}
	}
	s.t.Fatalf("it never came: %s", what)
}

// installRoot puts a trust root of all people in force, with the rules that are shipped.
func (s *site) installRoot() {
	s.t.Helper()
	identity, err := s.keys.Identity(s.config.Origin)
	s.ok(err)
	made := s.now().UTC().Truncate(time.Second)
	r := trustroot.Root{Version: 1, Organisation: s.text("Example Hosting AB"), MadeAt: made, ExpiresAt: made.Add(365 * 24 * time.Hour),
		Ledger:     trustroot.Ledger{Origin: s.config.Origin, Keys: []string{s.keys.Verifier}, MaxCheckpointAgeHours: 24},
		Repository: trustroot.Repository{Keys: []string{identity.RepositoryKey}}, Rules: draft.ShippedRules()}
	for _, e := range employed {
		p := s.people[e.ID]
		key, err := sshkey.Read(string(ssh.MarshalAuthorizedKey(p.signer.PublicKey())))
		s.ok(err)
		known := trustroot.Person{ID: p.ID, Name: s.text(p.Name), Roles: p.Roles, Keys: []envelope.Key{key, p.public}}
		r.People = append(r.People, known)
		for _, a := range (staff.Session{Person: known, Way: staff.ByKey}).Reach() {
			p.Actions = append(p.Actions, string(a))
		}
	}
	payload, err := r.Encode()
	s.ok(err)
	e := envelope.Envelope{PayloadType: trustroot.PayloadType, Payload: payload}
	for _, id := range []string{"alice", "carol"} {
		e.Signatures = append(e.Signatures, s.sign(id, trustroot.PayloadType, payload))
	}
	s.root = envelope.Digest(payload)
	_, err = s.server.Staff.Install(s.t.Context(), e, s.root)
	s.ok(err)
}

func (s *site) sign(id, payloadType string, payload []byte) envelope.Signature {
	s.t.Helper()
	sig, err := sshkey.Sign(s.people[id].signer, payloadType, payload)
	s.ok(err)
	return sig
}

// as sends a person's request to the API, a document or bytes, and reads the answer into out. The person logs in first
// where there is no session yet.
func (s *site) as(id, method, path string, in, out any) error {
	s.t.Helper()
	p := s.people[id]
	if p.token == "" {
		var c v1.Challenge
		s.ok(s.send("", http.MethodPost, "/login/challenge", v1.Person{Person: id}, &c))
		payload, err := staff.EncodeLogin(id, c.Origin, c.Challenge)
		s.ok(err)
		var answer v1.LoggedIn
		s.ok(s.send("", http.MethodPost, "/login", v1.Login{Person: id, Challenge: c.Challenge, Signature: s.sign(id, staff.LoginType, payload)}, &answer))
		p.token = answer.Token
	}
	return s.send(p.token, method, path, in, out)
}

func (s *site) send(token, method, path string, in, out any) error {
	s.t.Helper()
	b, raw := in.([]byte)
	if !raw && in != nil {
		var err error
		b, err = json.Marshal(in)
		s.ok(err)
	}
	r := httptest.NewRequestWithContext(s.t.Context(), method, v1.Prefix+path, bytes.NewReader(b))
	r.Header.Set("Content-Type", "application/json")
	if raw {
		r.Header.Set("Content-Type", "application/octet-stream")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	answer := httptest.NewRecorder()
	s.door.ServeHTTP(answer, r)
	body, err := io.ReadAll(answer.Body)
	s.ok(err)
	if answer.Code >= 300 {
		return fmt.Errorf("%s %s: %d %s", method, path, answer.Code, body)
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(body, out)
}

// forget ends the sessions of the arrangement.
func (s *site) forget() {
	s.t.Helper()
	for id, p := range s.people {
		if p.token != "" {
			s.ok(s.as(id, http.MethodDelete, "/session", nil, nil))
			p.token = ""
		}
	}
}

// pin is the SHA-256 of the public key that the site's CA signs with, as Chromium takes it.
func (s *site) pin() string {
	s.t.Helper()
	c, err := tls.Dial("tcp", s.config.Listen.People, &tls.Config{InsecureSkipVerify: true}) // the key is looked at, nothing is sent
	s.ok(err)
	defer c.Close()
	chain := c.ConnectionState().PeerCertificates
	sum := sha256.Sum256(chain[len(chain)-1].RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}
