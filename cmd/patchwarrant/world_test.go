package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/agent/agenttest"
	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/server"
	"github.com/patchwarrant/patchwarrant/internal/server/servertest"
	candidates "github.com/patchwarrant/patchwarrant/internal/setup"
	"github.com/patchwarrant/patchwarrant/internal/staff"
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
		ts.Setenv("ARCHIVE_KEY", upstream.Fingerprints[0])
		file, err := servertest.Configure(ts.MkAbs("."), "ledger.example.org/test", "", upstream)
		ts.Check(err)
		conf, err := server.Load(file)
		ts.Check(err)
		keys, err := server.Init(conf, time.Now)
		ts.Check(err)
		ts.Check(dbtest.Lay(strings.TrimPrefix(conf.Database, "sqlite:")))
		identity, err := keys.Identity(conf.Origin)
		ts.Check(err)
		b, err := json.Marshal(identity)
		ts.Check(err)
		ts.Check(os.WriteFile(ts.MkAbs("server-keys.json"), b, 0o600))
		ts.Setenv("SERVER", "https://"+conf.Listen.People)
		ts.Setenv("CA", identity.CASHA256)
	}
}

// serve FILE is the script command that puts a trust root in force and starts the server. Its digest is in $ROOT.
func serve(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serve FILE")
	}
	e, err := readEnvelope(ts.MkAbs(args[0]))
	ts.Check(err)
	start(ts, func(s *server.Server) {
		_, err = s.Staff.Install(context.Background(), e, envelope.Digest(e.Payload))
		ts.Check(err)
	})
	ts.Setenv("ROOT", envelope.Digest(e.Payload))
}

// start runs the server until the script ends, after something was done to it.
func start(ts *testscript.TestScript, first func(*server.Server)) {
	conf, err := server.Load(ts.MkAbs("server.toml"))
	ts.Check(err)
	s, err := server.Open(context.Background(), conf, time.Now, slog.New(slog.DiscardHandler))
	ts.Check(err)
	first(s)
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

// setup PERSON… is the script command that serves a new site whose first trust root waits for the signatures of alice, bob
// and carol. Its digest is in $DIGEST and digest.txt; $INVITATION1, … are for the people named.
func setup(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: setup PERSON...")
	}
	start(ts, func(s *server.Server) {
		ctx := context.Background()
		link, _, err := s.Staff.MakeLink(ctx)
		ts.Check(err)
		_, holder, err := s.Staff.UseLink(ctx, link, "")
		ts.Check(err)
		ts.Check(s.Setup.Organise(ctx, "Example"))
		for _, p := range staffOf[:3] {
			ts.Check(s.Setup.Propose(ctx, candidates.Candidate{ID: p[0], Name: p[0], Roles: []string{"risk-manager", p[1]}}))
			signer, err := signerFromFile(ts.MkAbs(p[0] + ".key"))
			ts.Check(err)
			ts.Check(s.Setup.HandIn(ctx, p[0], string(ssh.MarshalAuthorizedKey(signer.PublicKey()))))
		}
		draft, err := s.Setup.Make(ctx)
		ts.Check(err)
		ts.Setenv("DIGEST", draft.SHA256())
		ts.Check(os.WriteFile(ts.MkAbs("digest.txt"), []byte(draft.SHA256()+"\n"), 0o600))
		for i, id := range args { // one by the link, the others by who was invited: they do not end each other
			by := staff.Session{Way: staff.ByInvitation, Person: trustroot.Person{ID: id}}
			if slices.Index(args, id) == i {
				by = holder
			}
			secret, _, err := s.Setup.Invite(ctx, by, id)
			ts.Check(err)
			ts.Setenv(fmt.Sprintf("INVITATION%d", i+1), secret)
		}
	})
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
	h, err := agenttest.New(time.Now, map[string]string{
		"etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n", "etc/hostname": args[0] + "\n",
		"proc/sys/kernel/osrelease": "6.1.0-30-amd64\n", "proc/sys/kernel/version": "#1 SMP Debian 6.1.124-1\n", "var/lib/dpkg/arch": "amd64\n",
		status: "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.1-1\nMaintainer: x <x@example.org>\nDescription: x\n\n",
	})
	ts.Check(err)
	meddled := len(args) == 3
	h.Install = func(actions []warrant.Action) (string, []warrant.Observed, error) {
		return install(h, actions, meddled)
	}
	ts.Check(h.Enrol(context.Background(), made.Line, ""))
	ts.Setenv("HOST", h.ID)
	ts.Check(h.Open(context.Background(), "test"))
	stop := h.Work(func() { time.Sleep(100 * time.Millisecond) })
	ts.Defer(func() {
		stop()
		ts.Check(h.Close())
	})
}

const status = "var/lib/dpkg/status"

// install does to the status file what apt would.
func install(h *agenttest.Host, actions []warrant.Action, meddled bool) (log string, seen []warrant.Observed, err error) {
	b, err := os.ReadFile(filepath.Join(h.Root, status))
	if err != nil {
		return "", nil, err
	}
	for _, a := range actions {
		b = []byte(strings.Replace(string(b), "Version: "+a.From, "Version: "+a.To, 1))
		seen = append(seen, warrant.Observed{Name: a.Name, Arch: a.Arch, From: a.From, To: a.To, Now: a.To, Status: "installed"})
	}
	if meddled {
		err = h.Write("var/lib/planted", "x")
	}
	return "", seen, errors.Join(err, h.Write(status, string(b)))
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
