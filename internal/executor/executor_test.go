package executor_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/executor"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

var debs = map[string]string{"hello": "hello 1.1", "libhello": "libhello 1.1", "newdep": "newdep 2.0"}

const index = "Package: hello\n"

// host is a host with a fake package manager: packages by name:arch, and what goes wrong.
type host struct {
	*warranttest.World
	t        *testing.T
	config   executor.Config
	packages map[string]string // "want status version"
	inside   map[string]string // likewise, in the root /…/chroot
	sources  string            // apt's, of the host's own root
	midway   func()            // done while the host's own packages are installed
	ran      []string          // commands, without --show and the like
	extra    string            // what a simulation says besides
	fail     string            // the command that fails
	die      bool              // the installation panics half way, as if killed
	now      time.Time
	order    warrant.Order
	record   warrant.Record
}

type killed struct{}

func newHost(t *testing.T) *host {
	dir := t.TempDir()
	h := &host{World: warranttest.New(t), t: t, now: warranttest.Now, packages: map[string]string{
		"hello:amd64": "install installed 1.0", "libhello:amd64": "install installed 1.0", "old:all": "install installed 3",
	}}
	h.config = executor.Config{Etc: dir + "/etc", State: dir + "/state", Carry: dir + "/carry", Now: func() time.Time { return h.now }, Run: h.run}
	h.record = h.Record([]byte(index), warranttest.Package("hello", "1.1", []byte(debs["hello"])),
		warranttest.Package("libhello", "1.1", []byte(debs["libhello"])), warranttest.Package("newdep", "2.0", []byte(debs["newdep"])))
	h.order = h.Order(h.record)
	actions := h.order.Transactions[0].Actions
	actions[2].Do, actions[2].From = "install", ""
	h.order.Transactions[0].Actions = append(actions, warrant.Action{Do: "remove", Name: "old", Arch: "all", From: "3"})
	h.write("etc/host-id", "hst_1\n")
	h.write("etc/environment", "production\n")
	h.pin()
	h.carry()
	return h
}

func (h *host) pin() {
	b, err := json.Marshal(h.RootEnvelope)
	if err != nil {
		h.t.Fatal(err)
	}
	h.write("etc/trust-root.json", string(b))
	h.write("etc/trust-root.sha256", h.Root.Digest()+"\n")
}

// carry does the agent's part.
func (h *host) carry() {
	h.write("carry/"+h.order.ID+"/InRelease", "signed")
	h.write("carry/"+h.order.ID+"/Packages", index)
	for _, a := range h.order.Transactions[0].Actions {
		if a.File != "" {
			h.write("carry/"+h.order.ID+"/"+a.File, debs[a.Name])
		}
	}
}

func (h *host) path(name string) string { return filepath.Join(filepath.Dir(h.config.Etc), name) }

func (h *host) write(name, text string) {
	h.t.Helper()
	if err := os.MkdirAll(filepath.Dir(h.path(name)), 0o755); err != nil {
		h.t.Fatal(err)
	}
	if err := os.WriteFile(h.path(name), []byte(text), 0o644); err != nil {
		h.t.Fatal(err)
	}
}

func (h *host) document() []byte {
	h.t.Helper()
	b, err := h.Warrant(h.order, h.record).Encode()
	if err != nil {
		h.t.Fatal(err)
	}
	return b
}

// obey starts an executor and opens its report.
func (h *host) obey(document []byte) warrant.Report {
	h.t.Helper()
	x, err := executor.Open(h.config)
	if err != nil {
		h.t.Fatal(err)
	}
	defer x.Close()
	e, err := x.Obey(context.Background(), document)
	if err != nil {
		h.t.Fatal(err)
	}
	text, err := os.ReadFile(h.path("state/report.pub"))
	if err != nil {
		h.t.Fatal(err)
	}
	public, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(text)))
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := warrant.OpenReport(e, envelope.Ed25519Key(public))
	if err != nil {
		h.t.Fatal(err)
	}
	return r
}

func (h *host) run(_ context.Context, root, _ string, log io.Writer, name string, args ...string) ([]byte, error) {
	line, packages := name+" "+strings.Join(args, " "), h.packages
	if root != "" {
		packages = h.inside
	}
	if name == "dpkg-query" {
		var out strings.Builder
		for k, v := range packages {
			fmt.Fprintln(&out, k, v)
		}
		out.WriteString("gone:amd64 deinstall config-files 1\nnever:amd64 unknown not-installed \n")
		return []byte(out.String()), nil
	}
	h.ran = append(h.ran, line)
	if root != "" {
		h.ran[len(h.ran)-1] = "in the root: " + line
	}
	fmt.Fprintln(log, line)
	if h.fail != "" && strings.HasPrefix(line, h.fail) {
		return nil, fault.Refuse(fault.Failed, "%s: exit status 100", line)
	}
	switch {
	case root == "" && strings.HasSuffix(line, " update"):
		b, err := os.ReadFile(h.path("state/work/sources.list"))
		h.sources = string(b)
		return nil, err
	case line == "dpkg --print-architecture":
		return []byte("amd64\n"), nil
	case root != "":
		return h.runInside(root, line)
	case strings.HasPrefix(line, "apt-get --simulate install"):
		return []byte(h.simulate() + h.extra), nil
	case strings.HasPrefix(line, "apt-get --print-uris install"):
		return []byte(h.uris()), nil
	case strings.HasPrefix(line, "apt-get install"):
		h.packages["hello:amd64"] = "install installed 1.1"
		if h.midway != nil {
			h.midway()
		}
		if h.die {
			panic(killed{})
		}
		h.packages["libhello:amd64"] = "install installed 1.1"
		h.packages["newdep:amd64"] = "install installed 2.0"
		delete(h.packages, "old:all")
	}
	return nil, nil
}

func (h *host) simulate() string {
	return `Reading package lists...
Remv old [3]
Inst newdep (2.0 Example:1/x [amd64])
Inst hello [1.0] (1.1  [amd64]) []
Inst libhello [1.0] (1.1 Example:1/x, Example:2 [amd64]) [hello:amd64 ]
Conf newdep (2.0 Example:1/x [amd64])
Conf hello (1.1  [amd64])
Conf libhello (1.1 Example:1/x [amd64])
`
}

func (h *host) uris() string {
	var out strings.Builder
	for _, a := range h.order.Transactions[0].Actions {
		if a.File != "" {
			fmt.Fprintf(&out, "'file:%s' %s_amd64.deb 9 SHA256:x\n", h.path(filepath.Join("state", "work", a.File)), a.Name)
		}
	}
	return out.String()
}

func TestObeyDoesTheTransaction(t *testing.T) {
	h := newHost(t)
	document := h.document()
	r := h.obey(document)
	want := []warrant.Observed{
		{Name: "hello", Arch: "amd64", From: "1.0", To: "1.1", Now: "1.1", Status: "installed"},
		{Name: "libhello", Arch: "amd64", From: "1.0", To: "1.1", Now: "1.1", Status: "installed"},
		{Name: "newdep", Arch: "amd64", To: "2.0", Now: "2.0", Status: "installed"},
		{Name: "old", Arch: "all", From: "3"},
	}
	if diff := cmp.Diff(want, r.Packages); diff != "" || r.Outcome != warrant.Done || r.Code != "" {
		t.Fatalf("report %+v\n%s", r, diff)
	}
	const transaction = "install --yes --no-remove --mark-auto hello:amd64=1.1 libhello:amd64=1.1 newdep:amd64=2.0 old-"
	commands := []string{"dpkg --print-architecture", "apt-get --error-on=any update", "apt-get --simulate " + transaction,
		"apt-get --print-uris " + transaction, "apt-get " + transaction, "apt-get check"}
	for i := range commands {
		commands[i] = strings.Replace(commands[i], "--no-remove", "--remove", 1)
	}
	if diff := cmp.Diff(commands, h.ran); diff != "" {
		t.Error(diff)
	}
	session, err := os.ReadFile(h.path("state/sessions/ord_1/session.log"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Session != envelope.Digest(session) || !bytes.Contains(session, []byte(`# hello:amd64 "1.0" -> "1.1" installed`)) || !bytes.Contains(session, []byte("apt-get install")) {
		t.Errorf("session %s", session)
	}
	for name, mode := range map[string]os.FileMode{"state/sessions/ord_1/session.log": 0o400, "state/report.key": 0o600, "state/report.pub": 0o644, "state/sessions": 0o700 | os.ModeDir} {
		if info, err := os.Stat(h.path(name)); err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, mode %v, want %v", name, err, info.Mode(), mode)
		}
	}
	work := h.path("state/work")
	if source := fmt.Sprintf("deb [signed-by=%s/key0.asc by-hash=no] file:%s snapshots/%s main\n", work, work, h.record.Snapshot); h.sources != source {
		t.Errorf("sources %q, want %q", h.sources, source)
	}
	if _, err := os.Stat(work); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("copies are left: %v", err)
	}
	again := h.obey(document)
	if diff := cmp.Diff(r, again); diff != "" || len(h.ran) != len(commands) {
		t.Errorf("the same order again: %s, ran %q", diff, h.ran[len(commands):])
	}
	h.order.ID, h.order.Reason = "ord_2", "same sequence number"
	h.carry()
	if r := h.obey(h.document()); r.Code != fault.Replay {
		t.Errorf("older sequence number: %+v", r)
	}
}

// Each row: nothing may be changed, and the report must have the code.
func TestObeyRefuses(t *testing.T) {
	for _, row := range []struct {
		name, code string
		do         func(h *host)
	}{
		{"warrant for another host", fault.WrongHost, func(h *host) { h.write("etc/host-id", "hst_2") }},
		{"warrant for another environment", fault.Environment, func(h *host) { h.write("etc/environment", "stage") }},
		{"outside of the window", fault.OutsideWindow, func(h *host) { h.now = h.now.Add(2 * time.Hour) }},
		{"class not in the local policy", fault.Policy, func(h *host) { h.write("etc/executor.json", `{"classes": ["emergency"]}`) }},
		{"environment not in the local policy", fault.Policy, func(h *host) { h.write("etc/executor.json", `{"environments": ["stage"]}`) }},
		{"local policy that is damaged", fault.Policy, func(h *host) { h.write("etc/executor.json", `{"classes": "routine"`) }},
		{"local policy with a word it does not know", fault.Policy, func(h *host) { h.write("etc/executor.json", `{"clases": ["emergency"]}`) }},
		{"nothing carried", fault.Failed, func(h *host) { os.RemoveAll(h.config.Carry) }},
		{"a package missing", fault.Failed, func(h *host) { os.Remove(h.path("carry/ord_1/" + h.order.Transactions[0].Actions[0].File)) }},
		{"a package with other bytes", fault.Arbitrary, func(h *host) { h.write("carry/ord_1/"+h.order.Transactions[0].Actions[0].File, "hello 6.6") }},
		{"a package that is longer", fault.Arbitrary, func(h *host) {
			h.write("carry/ord_1/"+h.order.Transactions[0].Actions[0].File, "hello 1.1 and more")
		}},
		{"a package that is a link", fault.Failed, func(h *host) {
			p := h.path("carry/ord_1/" + h.order.Transactions[0].Actions[0].File)
			h.write("elsewhere", debs["hello"])
			if err := errors.Join(os.Remove(p), os.Symlink(h.path("elsewhere"), p)); err != nil {
				h.t.Fatal(err)
			}
		}},
		{"a directory that is a link out of the carried files", fault.Failed, func(h *host) {
			if err := errors.Join(os.Rename(h.path("carry/ord_1/pool"), h.path("pool")), os.Symlink(h.path("pool"), h.path("carry/ord_1/pool"))); err != nil {
				h.t.Fatal(err)
			}
		}},
		{"a directory for a package", fault.Arbitrary, func(h *host) {
			p := h.path("carry/ord_1/" + h.order.Transactions[0].Actions[0].File)
			if err := errors.Join(os.Remove(p), os.Mkdir(p, 0o755)); err != nil {
				h.t.Fatal(err)
			}
		}},
		{"another index", fault.MixMatch, func(h *host) { h.write("carry/ord_1/Packages", "Package: evil\n") }},
		{"repository signature does not verify", fault.Failed, func(h *host) { h.fail = "apt-get --error-on=any update" }},
		{"a package on hold", fault.Held, func(h *host) { h.packages["hello:amd64"] = "hold installed 1.0" }},
		{"another version installed", fault.Plan, func(h *host) { h.packages["hello:amd64"] = "install installed 1.0.1" }},
		{"a package half configured", fault.Plan, func(h *host) { h.packages["hello:amd64"] = "install half-configured 1.0" }},
		{"a package to upgrade that is not there", fault.Plan, func(h *host) { delete(h.packages, "hello:amd64") }},
		{"a package to install that is there", fault.Plan, func(h *host) { h.packages["newdep:amd64"] = "install installed 1.9" }},
		{"the files' places cannot be had", fault.Plan, func(h *host) { h.fail = "apt-get --print-uris" }},
		{"simulation fails", fault.Plan, func(h *host) { h.fail = "apt-get --simulate" }},
		{"simulation installs more", fault.Plan, func(h *host) { h.extra = "Inst evil (1 x [amd64])\nConf evil (1 x [amd64])\n" }},
		{"simulation removes more", fault.Plan, func(h *host) { h.extra = "Remv hello-data [1]\n" }},
		{"simulation purges", fault.Plan, func(h *host) { h.extra = "Purg old [3]\n" }},
		{"simulation configures more", fault.Plan, func(h *host) { h.extra = "Conf broken (1 x [amd64])\n" }},
		{"simulation says a step that is not understood", fault.Plan, func(h *host) { h.extra = "Inst hello\n" }},
		{"a host that was not there", fault.Clock, func(h *host) { h.now = h.now.Add(-6 * time.Minute); h.Log.At = warranttest.Now }},
	} {
		t.Run(row.name, func(t *testing.T) {
			h := newHost(t)
			row.do(h)
			before := maps.Clone(h.packages)
			r := h.obey(h.document())
			if r.Outcome != warrant.Refused || r.Code != row.code || r.Reason == "" {
				t.Errorf("report %+v, want code %s", r, row.code)
			}
			if installing := slices.IndexFunc(h.ran, func(s string) bool { return strings.HasPrefix(s, "apt-get install") }); installing >= 0 || !maps.Equal(before, h.packages) {
				t.Errorf("something was changed: %q", h.ran)
			}
			if _, err := os.Stat(h.path("state/state.json")); !errors.Is(err, os.ErrNotExist) {
				t.Error("a refused order was remembered as obeyed")
			}
		})
	}
	h := newHost(t)
	if r := h.obey([]byte("{")); r.Code != fault.Malformed || r.Order != "" {
		t.Errorf("not a warrant: %+v", r)
	}
}

func TestObeyAfterRefusalStillObeys(t *testing.T) {
	h := newHost(t)
	document := h.document()
	h.packages["hello:amd64"] = "hold installed 1.0"
	if r := h.obey(document); r.Code != fault.Held {
		t.Fatalf("%+v", r)
	}
	h.packages["hello:amd64"] = "install installed 1.0"
	if r := h.obey(document); r.Outcome != warrant.Done {
		t.Fatalf("%+v", r)
	}
}

// Whoever has the agent's user may have a good warrant refused as often as they like: what that leaves behind does not
// take the place of the record of the run.
func TestSessionIsOfTheRunAlone(t *testing.T) {
	h := newHost(t)
	h.write("state/sessions/ord_1/session.log", strings.Repeat("refused, and refused again\n", 1<<20))
	r := h.obey(h.document())
	session, err := os.ReadFile(h.path("state/sessions/ord_1/session.log"))
	if err != nil || r.Session != envelope.Digest(session) || !bytes.Contains(session, []byte("apt-get install")) {
		t.Errorf("%d bytes, %v", len(session), err)
	}
}

func TestObeyReportsFailure(t *testing.T) {
	h := newHost(t)
	h.fail = "apt-get install"
	if r := h.obey(h.document()); r.Outcome != warrant.RunFailed || r.Code != fault.Failed || r.Packages[0].Now != "1.0" {
		t.Errorf("failed: %+v", r)
	}
	h = newHost(t)
	h.config.Run = func(ctx context.Context, root, conf string, log io.Writer, name string, args ...string) ([]byte, error) {
		out, err := h.run(ctx, root, conf, log, name, args...)
		if name == "apt-get" && args[0] == "install" {
			h.packages["uninvited:amd64"] = "install installed 1"
		}
		return out, err
	}
	if r := h.obey(h.document()); r.Outcome != warrant.RunFailed || !strings.Contains(r.Reason, "not as planned") {
		t.Errorf("more than planned: %+v", r)
	}
}

// A run that was killed is never run again: it is reported with what is found.
func TestObeyAfterKill(t *testing.T) {
	kill := func(h *host, document []byte) {
		h.die = true
		defer func() {
			if _, ok := recover().(killed); !ok {
				t.Fatal("not killed")
			}
			h.die = false
		}()
		h.obey(document)
	}
	h := newHost(t)
	document := h.document()
	kill(h, document)
	h.packages["libhello:amd64"] = "install half-configured 1.1"
	ran := len(h.ran)
	h.now = h.now.Add(3 * time.Hour) // long after the window
	r := h.obey(document)
	if r.Outcome != warrant.Interrupted || r.Code != fault.Interrupted || r.Packages[0].Now != "1.1" || r.Packages[1].Status != "half-configured" || r.Packages[2].Now != "" {
		t.Errorf("half done: %+v", r)
	}
	if diff := cmp.Diff([]string{"apt-get check"}, h.ran[ran:]); diff != "" {
		t.Errorf("after the kill it ran %s", diff)
	}
	if diff := cmp.Diff(r, h.obey(document)); diff != "" {
		t.Errorf("asked again: %s", diff)
	}

	h = newHost(t)
	document = h.document()
	kill(h, document)
	h.packages["libhello:amd64"], h.packages["newdep:amd64"] = "install installed 1.1", "install installed 2.0"
	delete(h.packages, "old:all")
	if r := h.obey(document); r.Outcome != warrant.Done {
		t.Errorf("all done before the kill: %+v", r)
	}

	h = newHost(t)
	document = h.document()
	kill(h, document)
	h.order.ID, h.order.Sequence = "ord_2", 2
	h.carry()
	if r := h.obey(h.document()); r.Code != fault.Plan || r.Order != "ord_2" { // half of ord_1 is there
		t.Errorf("another order after the kill: %+v", r)
	}
	if r := h.obey(document); r.Outcome != warrant.Interrupted || r.Order != "ord_1" {
		t.Errorf("the order that was killed: %+v", r)
	}
}

func TestSessionIsBounded(t *testing.T) {
	h := newHost(t)
	h.config.Run = func(ctx context.Context, root, conf string, log io.Writer, name string, args ...string) ([]byte, error) {
		for range 20 {
			if n, err := log.Write(make([]byte, 1<<20)); n != 1<<20 || err != nil {
				t.Fatal(n, err)
			}
		}
		return h.run(ctx, root, conf, log, name, args...)
	}
	r := h.obey(h.document())
	session, err := os.ReadFile(h.path("state/sessions/ord_1/session.log"))
	if err != nil || len(session) > 18<<20 || r.Session != envelope.Digest(session) || r.Outcome != warrant.Done || !bytes.HasSuffix(session, []byte("# old:all \"3\" -> \"\"  in /\n")) {
		t.Errorf("%d bytes, %v, report %+v", len(session), err, r)
	}
}

func TestTrustRootIsPinnedAndFollowed(t *testing.T) {
	h := newHost(t)
	next := h.NextRoot(func(r *trustroot.Root) { r.People = slices.Delete(slices.Clone(r.People), 4, 5) }, "alice", "carol")
	root, err := h.Root.Next(next, warranttest.Now)
	if err != nil {
		t.Fatal(err)
	}
	h.order.TrustRoot = warrant.RefOf(root)
	w := h.Warrant(h.order, h.record)
	w.Roots = []envelope.Envelope{h.RootEnvelope, next}
	document, err := w.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if r := h.obey(document); r.Outcome != warrant.Done {
		t.Fatalf("%+v", r)
	}
	h.order.ID, h.order.Sequence, h.order.TrustRoot = "ord_2", 2, warrant.RefOf(h.Root)
	if r := h.obey(h.document()); r.Code != fault.RootRollback {
		t.Errorf("order under the root before: %+v", r)
	}

	h = newHost(t)
	h.write("etc/trust-root.sha256", fmt.Sprintf("%x", sha256.Sum256(nil)))
	if _, err := executor.Open(h.config); fault.CodeOf(err) != fault.RootChain {
		t.Errorf("another root than pinned: %v", err)
	}
	os.Remove(h.path("etc/host-id"))
	if _, err := executor.Open(h.config); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("not enrolled: %v", err)
	}
}
