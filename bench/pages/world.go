package main

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/server"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

const origin = "bench.example.org/ledger"

// world is a server on a seeded database, with someone signed in.
type world struct {
	dir    string
	config server.Config
	keys   *server.Keys
	server *server.Server
	door   http.Handler
	signer map[string]ssh.Signer // by person
	token  string
	seeded seeded
}

// open seeds the directory's database unless that was done before, and opens the server on it.
func open(ctx context.Context, o options) (*world, error) {
	w := &world{dir: o.data, signer: map[string]ssh.Signer{}}
	if err := w.configure(o.database); err != nil {
		return nil, err
	}
	done := filepath.Join(w.dir, "seeded.json")
	b, err := os.ReadFile(done)
	switch {
	case err == nil:
		err = json.Unmarshal(b, &w.seeded)
	case os.IsNotExist(err):
		begin := time.Now()
		if err = w.seed(ctx, o); err == nil {
			fmt.Printf("seeded in %.0f s\n", time.Since(begin).Seconds())
			b, _ = json.Marshal(w.seeded)
			err = os.WriteFile(done, b, 0o600)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("seed: %w", err)
	}
	if err := w.start(ctx); err != nil {
		return nil, err
	}
	return w, w.signIn(ctx, "alice")
}

func (w *world) configure(database string) error {
	path := filepath.Join(w.dir, "server.toml")
	text := fmt.Sprintf("data = %q\ndatabase = %q\norigin = %q\nnames = [\"127.0.0.1\"]\nreleases = [\"bookworm\"]\n\n[listen]\npeople = \"127.0.0.1:18443\"\nagents = \"127.0.0.1:18444\"\nrepository = \"127.0.0.1:18080\"\n",
		w.dir, cmp.Or(database, "sqlite:"+filepath.Join(w.dir, "patchwarrant.db")), origin)
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return err
	}
	var err error
	if w.config, err = server.Load(path); err != nil {
		return err
	}
	if w.keys, err = server.Init(w.config, time.Now); err != nil {
		return err
	}
	for _, person := range []string{"alice", "carol"} {
		if w.signer[person], err = signer(filepath.Join(w.dir, person+".key")); err != nil {
			return err
		}
	}
	return nil
}

// signer reads a person's key, or makes one.
func signer(path string) (ssh.Signer, error) {
	if b, err := os.ReadFile(path); err == nil {
		return ssh.ParsePrivateKey(b)
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
		return nil, err
	}
	return ssh.NewSignerFromKey(private)
}

func (w *world) engine() string {
	engine, _, _ := strings.Cut(w.config.Database, ":")
	return engine
}

func (w *world) start(ctx context.Context) (err error) {
	w.server, err = server.Open(ctx, w.config, time.Now, slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	if err != nil {
		return err
	}
	w.door, err = w.server.People()
	return err
}

func (w *world) close() error { return w.server.Close() }

// installRoot puts a trust root of two people in force.
func (w *world) installRoot(ctx context.Context) error {
	identity, err := w.keys.Identity(origin)
	if err != nil {
		return err
	}
	person := func(id string, roles ...string) (trustroot.Person, error) {
		key, err := sshkey.Read(string(ssh.MarshalAuthorizedKey(w.signer[id].PublicKey())))
		return trustroot.Person{ID: id, Name: id, Roles: roles, Keys: []envelope.Key{key}}, err
	}
	alice, err := person("alice", "cirt-analyst", "product-manager", "risk-manager")
	if err != nil {
		return err
	}
	carol, err := person("carol", "operations-manager", "system-owner")
	if err != nil {
		return err
	}
	seats := [][]string{{"cirt-analyst"}, {"operations-manager"}}
	now := time.Now().UTC().Truncate(time.Second)
	root := trustroot.Root{Version: 1, Organisation: "Bench", MadeAt: now, ExpiresAt: now.Add(365 * 24 * time.Hour),
		People:     []trustroot.Person{alice, carol},
		Ledger:     trustroot.Ledger{Origin: origin, Keys: []string{w.keys.Verifier}, MaxCheckpointAgeHours: 24},
		Repository: trustroot.Repository{Keys: []string{identity.RepositoryKey}}}
	for _, class := range []string{trustroot.Stage, trustroot.Routine, trustroot.Emergency} {
		root.Rules = append(root.Rules, trustroot.Rule{Class: class, Seats: seats, Local: 1, MaxWindowHours: 72})
	}
	for _, class := range []string{trustroot.Curation, trustroot.TrustRoot} {
		root.Rules = append(root.Rules, trustroot.Rule{Class: class, Seats: seats, Local: 1})
	}
	payload, err := root.Encode()
	if err != nil {
		return err
	}
	e := envelope.Envelope{PayloadType: trustroot.PayloadType, Payload: payload}
	for _, id := range []string{"alice", "carol"} {
		s, err := sshkey.Sign(w.signer[id], trustroot.PayloadType, payload)
		if err != nil {
			return err
		}
		e.Signatures = append(e.Signatures, s)
	}
	_, err = w.server.Staff.Install(ctx, e, envelope.Digest(payload))
	return err
}

func (w *world) signIn(ctx context.Context, person string) error {
	var c v1.Challenge
	if err := w.send(ctx, http.MethodPost, "/login/challenge", v1.Person{Person: person}, &c); err != nil {
		return err
	}
	payload, err := staff.EncodeLogin(person, c.Origin, c.Challenge)
	if err != nil {
		return err
	}
	s, err := sshkey.Sign(w.signer[person], staff.LoginType, payload)
	if err != nil {
		return err
	}
	var in v1.LoggedIn
	err = w.send(ctx, http.MethodPost, "/login", v1.Login{Person: person, Challenge: c.Challenge, Signature: s}, &in)
	w.token = in.Token
	return err
}

// send sends a document (or bytes, from a reader) to the API and reads the answer.
func (w *world) send(ctx context.Context, method, path string, in, out any) error {
	body, raw := in.(io.Reader)
	if !raw {
		b, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(b)
	}
	r := httptest.NewRequestWithContext(ctx, method, v1.Prefix+path, body)
	if !raw {
		r.Header.Set("Content-Type", "application/json")
	}
	answer, err := w.do(r)
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	return json.Unmarshal(answer.Body.Bytes(), out)
}

// get asks for a page or a list; anything but a success is an error.
func (w *world) get(ctx context.Context, path string) (*httptest.ResponseRecorder, error) {
	return w.do(httptest.NewRequestWithContext(ctx, http.MethodGet, path, http.NoBody))
}

func (w *world) do(r *http.Request) (*httptest.ResponseRecorder, error) {
	if w.token != "" {
		r.Header.Set("Authorization", "Bearer "+w.token)
		r.AddCookie(&http.Cookie{Name: "__Host-patchwarrant", Value: w.token})
	}
	answer := httptest.NewRecorder()
	w.door.ServeHTTP(answer, r)
	if answer.Code >= 300 {
		return answer, fmt.Errorf("%s %s: %d %.300s", r.Method, r.URL, answer.Code, answer.Body)
	}
	return answer, nil
}
