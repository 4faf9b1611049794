package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"
	_ "modernc.org/sqlite"

	"github.com/patchwarrant/patchwarrant/internal/agent"
	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/server"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// staffOf is who signs in the scripts: IDs and roles.
var staffOf = [][2]string{{"alice", "cirt-analyst"}, {"bob", "product-manager"}, {"carol", "operations-manager"}, {"dave", "system-owner"},
	{"erin", "administrator"}, {"frank", "auditor"}}

// found is the script command that makes what a new site has: people with key files ($WORK/alice.key …) in people.toml, an
// upstream archive with openssl 3.0.2, and a server's configuration and keys (server.toml, server-keys.json). In hostile.toml
// the texts have escape sequences for terminals.
func found(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg || len(args) > 0 {
			ts.Fatalf("usage: found")
		}
		var people strings.Builder
		fmt.Fprintf(&people, "organisation = \"Example\"\n")
		for _, p := range staffOf {
			_, private, err := ed25519.GenerateKey(rand.Reader)
			ts.Check(err)
			block, err := ssh.MarshalPrivateKey(private, p[0])
			ts.Check(err)
			ts.Check(os.WriteFile(ts.MkAbs(p[0]+".key"), pem.EncodeToMemory(block), 0o600))
			signer, err := ssh.NewSignerFromKey(private)
			ts.Check(err)
			fmt.Fprintf(&people, "[[person]]\nid = %q\nname = %q\nroles = [%q]\nkeys = [%q]\n", p[0], p[0], p[1],
				strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))
		}
		ts.Check(os.WriteFile(ts.MkAbs("people.toml"), []byte(people.String()), 0o600))
		hostile := strings.NewReplacer(`"Example"`, `"Example\u001b[2J"`, `name = "alice"`, `name = "\u001b[8m alice"`).Replace(people.String())
		ts.Check(os.WriteFile(ts.MkAbs("hostile.toml"), []byte(hostile), 0o600))

		archive := mirrortest.New(t, time.Now().Add(-time.Hour))
		archive.Add("openssl", "3.0.2-1", "amd64")
		archive.Publish(time.Now().Add(-time.Minute), time.Now().Add(24*time.Hour))
		upstream := archive.Upstream("debian-security")
		ts.Check(os.WriteFile(ts.MkAbs("archive.asc"), upstream.Keyring, 0o600))
		ts.Check(os.WriteFile(ts.MkAbs("server.toml"), fmt.Appendf(nil, `data = %q
origin = "ledger.example.org/test"
names = ["127.0.0.1"]
notice_hours = 0
sweep = "200ms"
rest = "1s"
busy = "1s"
releases = ["bookworm"]
[listen]
people = %q
agents = %q
repository = %q
[[upstream]]
name = "debian-security"
url = %q
suite = "stable"
component = "main"
arch = "amd64"
keyring = %q
fingerprints = [%q]
max_age = "240h"
`, ts.MkAbs("data"), free(ts), free(ts), free(ts), upstream.URL, ts.MkAbs("archive.asc"), upstream.Fingerprints[0]), 0o600))
		conf, err := server.Load(ts.MkAbs("server.toml"))
		ts.Check(err)
		keys, err := server.Init(conf, time.Now)
		ts.Check(err)
		identity, err := keys.Identity(conf.Origin)
		ts.Check(err)
		b, err := json.Marshal(identity)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("server-keys.json"), b, 0o600))
		ts.Setenv("SERVER", "https://"+conf.Listen.People)
		ts.Setenv("CA", identity.CASHA256)
	}
}

func free(ts *testscript.TestScript) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	defer l.Close()
	return l.Addr().String()
}

// serve FILE is the script command that puts a trust root in force and starts the server. Its digest is in $ROOT.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve FILE")
	}
	e, err := readEnvelope(ts.MkAbs(args[0]))
	ts.Check(err)
	conf, err := server.Load(ts.MkAbs("server.toml"))
	ts.Check(err)
	s, err := server.Open(context.Background(), conf, time.Now, slog.New(slog.DiscardHandler))
	ts.Check(err)
	_, err = s.Staff.Install(context.Background(), e, envelope.Digest(e.Payload))
	ts.Check(err)
	ts.Setenv("ROOT", envelope.Digest(e.Payload))
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx) }()
	ts.Defer(func() {
		stop()
		ts.Check(<-done)
		ts.Check(s.Close())
	})
	for range 100 {
		conn, err := net.Dial("tcp", conf.Listen.People)
		if err == nil {
			conn.Close()
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	ts.Fatalf("the server does not answer")
}

// site is the script command that does found, has the trust root drafted and signed, and serves.
func site(t *testing.T) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		found(t)(ts, neg, args)
		ts.Check(ts.Exec("patchwarrant", "trust-root", "draft", "--people", "people.toml", "--server-keys", "server-keys.json", "-o", "root.json"))
		for _, person := range []string{"alice", "carol"} {
			ts.Check(ts.Exec("patchwarrant", "trust-root", "sign", "root.json", "--key", person+".key"))
		}
		serve(ts, false, []string{"root.json"})
	}
}

// as PERSON CODE ARGS… runs the command line as a person, logged in, and demands the exit code.
func as(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: as PERSON CODE ARGS...")
	}
	session := ts.MkAbs(args[0] + ".session")
	ts.Setenv("PATCHWARRANT_SESSION", session)
	if _, err := os.Stat(session); err != nil {
		ts.Check(ts.Exec("patchwarrant", "login", "--server", ts.Getenv("SERVER"), "--ca", ts.Getenv("CA"), "--person", args[0], "--key", args[0]+".key"))
	}
	exit(ts, false, append([]string{args[1], "patchwarrant"}, args[2:]...))
}

// host NAME ENVIRONMENT enrols a machine with openssl 3.0.1 and lets its agent work until the script ends. Its executor does
// what warrants say to dpkg's status file and to nothing else; with meddled, somebody plants a file meanwhile. Its ID is in
// $HOST.
func host(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 || len(args) > 3 || len(args) == 3 && args[2] != "meddled" {
		ts.Fatalf("usage: host NAME ENVIRONMENT [meddled]")
	}
	as(ts, false, []string{"erin", "0", "host", "enrol", "--name", args[0], "--environment", args[1], "--json"})
	var made v1.EnrolmentLine
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &made))
	flags := map[string]string{}
	for words := strings.Fields(made.Line)[2:]; len(words) > 1; words = words[2:] {
		flags[words[0]] = words[1]
	}
	top, err := os.MkdirTemp("", "pw") // short: a socket's path is bounded
	ts.Check(err)
	ts.Defer(func() { os.RemoveAll(top) })
	m := &machine{meddled: len(args) == 3, Places: agent.Places{Root: filepath.Join(top, "root"), Etc: filepath.Join(top, "etc"), State: filepath.Join(top, "agent"),
		Executor: filepath.Join(top, "executor"), Socket: filepath.Join(top, "socket")}}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	m.key = private
	for path, text := range map[string]string{
		"root/etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n", "root/etc/hostname": args[0] + "\n",
		"root/proc/sys/kernel/osrelease": "6.1.0-30-amd64\n", "root/proc/sys/kernel/version": "#1 SMP Debian 6.1.124-1\n",
		"root/var/lib/dpkg/arch": "amd64\n", "executor/report.pub": base64.StdEncoding.EncodeToString(public) + "\n",
		"root" + status: "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.1-1\nMaintainer: x <x@example.org>\nDescription: x\n\n",
	} {
		ts.Check(m.write(filepath.Join(top, path), text))
	}
	listener, err := net.Listen("unix", m.Socket)
	ts.Check(err)
	ts.Defer(func() { listener.Close() })
	go m.execute(listener)
	answer, err := agent.Enrol(context.Background(), m.Places, agent.Line{Server: flags["--server"], Token: flags["--token"],
		CA: flags["--ca"], TrustRoot: flags["--trust-root"]}, time.Now)
	ts.Check(err)
	m.host = answer.HostID
	ts.Setenv("HOST", m.host)
	a, err := agent.Open(m.Places, "test", time.Now, slog.New(slog.DiscardHandler))
	ts.Check(err)
	for range 2 {
		_, err := a.Once(context.Background())
		ts.Check(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			a.Once(ctx) // a round that fails is done again
			time.Sleep(100 * time.Millisecond)
		}
	}()
	ts.Defer(func() { stop(); <-done })
}

const status = "/var/lib/dpkg/status"

// machine is a host with a fake executor.
type machine struct {
	agent.Places
	host    string
	key     ed25519.PrivateKey
	meddled bool
}

func (m *machine) write(path, text string) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
}

func (m *machine) execute(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if document, err := io.ReadAll(conn); err == nil && len(document) > 0 {
			if e, err := m.obey(document); err == nil {
				json.NewEncoder(conn).Encode(e)
			}
		}
		conn.Close()
	}
}

func (m *machine) obey(document []byte) (e envelope.Envelope, err error) {
	first, err := readEnvelope(filepath.Join(m.Etc, "trust-root.json"))
	if err != nil {
		return e, err
	}
	root, err := trustroot.Decode(first.Payload)
	if err != nil {
		return e, err
	}
	w, err := warrant.Parse(document)
	if err != nil {
		return e, err
	}
	now := time.Now().UTC().Truncate(time.Microsecond)
	leave, err := w.Check(warrant.Host{ID: m.host, Root: root, Now: now})
	if err != nil {
		return e, err
	}
	r := warrant.Report{Host: m.host, Order: leave.Order.ID, OrderDigest: leave.OrderDigest, Outcome: warrant.Done, BegunAt: now, EndedAt: now,
		Session: envelope.Digest(nil), LogSize: leave.Checkpoint.Size, LogRoot: hex.EncodeToString(leave.Checkpoint.Root[:])}
	b, err := os.ReadFile(filepath.Join(m.Root, status))
	if err != nil {
		return e, err
	}
	for _, a := range leave.Transaction.Actions {
		b = []byte(strings.Replace(string(b), "Version: "+a.From, "Version: "+a.To, 1))
		r.Packages = append(r.Packages, warrant.Observed{Name: a.Name, Arch: a.Arch, From: a.From, To: a.To, Now: a.To, Status: "installed"})
	}
	if m.meddled {
		if err := m.write(filepath.Join(m.Root, "var/lib/planted"), "x"); err != nil {
			return e, err
		}
	}
	payload, err := r.Encode()
	return envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload,
			Signatures: []envelope.Signature{envelope.SignEd25519(m.key, warrant.ReportType, payload)}},
		errors.Join(err, m.write(filepath.Join(m.Root, status), string(b)), m.write(filepath.Join(m.Executor, "sessions", r.Order, "session.log"), ""))
}

// until PERSON TEXT ARGS… runs the command line until it prints TEXT.
func until(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 3 {
		ts.Fatalf("usage: until PERSON TEXT ARGS...")
	}
	for range 100 {
		as(ts, false, append([]string{args[0], "0"}, args[2:]...))
		if strings.Contains(ts.ReadFile("stdout"), args[1]) {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	ts.Fatalf("it never says %q", args[1])
}

// flip FILE OFFSET changes one byte.
func flip(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	at, err := strconv.Atoi(args[1])
	ts.Check(err)
	b, err := os.ReadFile(ts.MkAbs(args[0]))
	ts.Check(err)
	b[at] ^= 1
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b, 0o600))
}

// field NAME PATH sets an environment variable to a field of the JSON document last printed, such as "packages.0.sha256".
func field(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: field NAME PATH")
	}
	var v any
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &v))
	for _, step := range strings.Split(args[1], ".") {
		switch w := v.(type) {
		case map[string]any:
			v = w[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(w) {
				ts.Fatalf("%s: no item %s of %d", args[1], step, len(w))
			}
			v = w[i]
		}
	}
	if v == nil {
		ts.Fatalf("no field %s in %s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], fmt.Sprint(v))
}
