package main

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
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

// host NAME ENVIRONMENT enrols a machine with openssl 3.0.1 and an executor's key, and has its agent do two rounds. Its ID
// is in $HOST.
func host(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: host NAME ENVIRONMENT")
	}
	as(ts, false, []string{"erin", "0", "host", "enrol", "--name", args[0], "--environment", args[1], "--json"})
	var made v1.EnrolmentLine
	ts.Check(json.Unmarshal([]byte(ts.ReadFile("stdout")), &made))
	words := strings.Fields(made.Line)
	after := func(flag string) string {
		for i, w := range words[:len(words)-1] {
			if w == flag {
				return words[i+1]
			}
		}
		return ""
	}
	top := ts.MkAbs(args[0])
	places := agent.Places{Root: filepath.Join(top, "root"), Etc: filepath.Join(top, "etc"), State: filepath.Join(top, "agent"),
		Executor: filepath.Join(top, "executor"), Socket: filepath.Join(top, "socket")}
	public, _, err := ed25519.GenerateKey(rand.Reader)
	ts.Check(err)
	for path, text := range map[string]string{
		"root/etc/os-release": "ID=debian\nVERSION_CODENAME=bookworm\n", "root/etc/hostname": args[0] + "\n",
		"root/proc/sys/kernel/osrelease": "6.1.0-30-amd64\n", "root/proc/sys/kernel/version": "#1 SMP Debian 6.1.124-1\n",
		"root/var/lib/dpkg/arch": "amd64\n", "executor/report.pub": base64.StdEncoding.EncodeToString(public) + "\n",
		"root/var/lib/dpkg/status": "Package: openssl\nStatus: install ok installed\nArchitecture: amd64\nVersion: 3.0.1-1\nMaintainer: x <x@example.org>\nDescription: x\n\n",
	} {
		ts.Check(os.MkdirAll(filepath.Dir(filepath.Join(top, path)), 0o755))
		ts.Check(os.WriteFile(filepath.Join(top, path), []byte(text), 0o644))
	}
	answer, err := agent.Enrol(context.Background(), places, agent.Line{Server: after("--server"), Token: after("--token"),
		CA: after("--ca"), TrustRoot: after("--trust-root")}, time.Now)
	ts.Check(err)
	ts.Setenv("HOST", answer.HostID)
	a, err := agent.Open(places, "test", time.Now, slog.New(slog.DiscardHandler))
	ts.Check(err)
	for range 2 {
		_, err := a.Once(context.Background())
		ts.Check(err)
	}
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
