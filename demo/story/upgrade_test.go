//go:build world

package story

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/deb/debtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// nextVersion is what the agent and the executor are upgraded to.
const nextVersion = "0.1.1"

// ownUpgrade: an order brings the agent and the executor themselves to their next version, from an archive of the operator's own.
// The executor's program is replaced while it runs, and the agent that waits for it is started anew in the middle of the run;
// the run ends as every other: one run of apt, a signed report, every changed file explained.
func ownUpgrade(ctx context.Context, t *testing.T, s *Story) {
	if s.hub.Direct != "" {
		t.Skip("nothing here starts the agent anew: " + s.hub.Direct)
	}
	if s.world.Release.Arch != "amd64" {
		t.Skip("the small archive of package mirrortest is of amd64")
	}
	must(t, s.mirrorOwn(ctx, t))
	c := &change{source: "patchwarrant-agent"}
	for _, program := range []string{"patchwarrant-agent", "patchwarrant-executor"} {
		must(t, s.wantRelease(ctx, program))
	}
	must(t, s.await(ctx, "both programs to be outdated", time.Minute, func(ctx context.Context) (bool, error) {
		var view triage.View
		err := s.ask(ctx, "alice", &view, "vulnerability", "list")
		c.vulnerabilities = slices.DeleteFunc(view.Rows, func(v triage.Vulnerability) bool {
			return !strings.HasPrefix(v.Source, "patchwarrant-") || v.Affected != 2
		})
		return len(c.vulnerabilities) == 2, err
	}))
	agents, runs := map[string]string{}, map[string]int{}
	for name, h := range s.hosts {
		agents[name], runs[name] = mainProcess(ctx, t, h.Host, agentUnit), aptRuns(ctx, t, h)
	}
	for _, step := range []func(context.Context, *change) error{s.Curate, s.Stage, s.Order, s.Conclude} {
		must(t, step(ctx, c))
	}
	for name, h := range s.hosts {
		if n := aptRuns(ctx, t, h) - runs[name]; n != 1 {
			t.Errorf("apt ran %d times on %s", n, name)
		}
		if mainProcess(ctx, t, h.Host, agentUnit) == agents[name] {
			t.Errorf("the agent of %s is the process of before", name)
		}
		for _, program := range []string{"patchwarrant-agent", "patchwarrant-executor"} {
			got, err := h.Exec(ctx, "dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", program)
			if err != nil || string(got) != nextVersion+" installed" {
				t.Errorf("%s has %s %s, %v", name, program, got, err)
			}
		}
		must(t, s.await(ctx, "the next agent of "+name, time.Minute, func(ctx context.Context) (bool, error) {
			now, err := s.known(ctx, name)
			return now.AgentVersion == nextVersion && now.CanExecute(), err
		}))
	}
	for _, order := range []string{c.stage, c.prod} {
		o, err := s.settled(ctx, order)
		if err != nil || len(o.Rollout.Runs) != 1 || o.Rollout.Runs[0].State != warrant.Done {
			t.Errorf("order %s: %v, %+v", order, err, o.Rollout)
		}
	}
}

// wantRelease has a person say why a release of ours is wanted that fixes nothing published, and the CIRT give it an identifier.
func (s *Story) wantRelease(ctx context.Context, program string) error {
	var told suspicion.Suspicion
	if err := s.ask(ctx, "frank", &told, "suspicion", "report", program+" "+nextVersion+" is out", "--package", program, "--noticed", "its release notes"); err != nil {
		return err
	}
	if err := s.ask(ctx, "alice", &told, "suspicion", "take", told.ID); err != nil {
		return err
	}
	return s.ask(ctx, "alice", &told, "suspicion", "answer", told.ID, "--new", program+" before "+nextVersion, "--package", program, "--severity", "low",
		"--affected", s.world.Release.Codename+"="+nextVersion, "--reason", "the new release is wanted")
}

// mirrorOwn puts the next version of agent and executor into a signed archive that the server mirrors.
func (s *Story) mirrorOwn(ctx context.Context, t *testing.T) error {
	archive := mirrortest.New(t, time.Now())
	for _, file := range nextRelease(t) {
		raw, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		control, err := exec.CommandContext(ctx, "dpkg-deb", "--field", file).Output()
		if err != nil {
			return err
		}
		path := "pool/main/" + filepath.Base(file)
		archive.Write(path, raw)
		archive.Stanzas = append(archive.Stanzas, debtest.Stanza(string(control), path, len(raw), envelope.Digest(raw)))
	}
	archive.Publish(time.Now(), time.Time{})
	door := httptest.NewServer(http.FileServer(http.Dir(archive.Dir)))
	t.Cleanup(door.Close)
	public, err := archive.Signer.ArmouredPublic()
	if err != nil {
		return err
	}
	keyring := filepath.Join(t.TempDir(), "own.asc")
	if err := os.WriteFile(keyring, public, 0o600); err != nil {
		return err
	}
	if _, err := s.run(ctx, "erin", "upstream", "add", "--name", "own", "--url", door.URL, "--suite", "stable", "--arch", s.world.Release.Arch,
		"--keyring", keyring, "--fingerprint", archive.Signer.Fingerprint()); err != nil {
		return err
	}
	_, err = s.run(ctx, "erin", "upstream", "refresh", "own")
	return err
}

// nextRelease builds agent and executor under the next version and gives their packages.
func nextRelease(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"agent", "executor"} {
		program := "patchwarrant-" + name
		inRepository(t, "go", "build", "-trimpath", "-ldflags=-s -w -X main.version="+nextVersion, "-o", filepath.Join(dir, program), "./cmd/"+program)
		config, err := os.ReadFile("../../packaging/" + name + "/nfpm.yaml")
		must(t, err)
		own := filepath.Join(dir, name+".yaml")
		must(t, os.WriteFile(own, bytes.ReplaceAll(config, []byte("src: bin/"), []byte("src: "+dir+"/")), 0o600))
		inRepository(t, "go", "tool", "-modfile=tools/go.mod", "nfpm", "package", "--config", own, "--packager", "deb", "--target", dir)
	}
	files, err := filepath.Glob(dir + "/*.deb")
	if err != nil || len(files) != 2 {
		t.Fatalf("%v, %v", files, err)
	}
	return files
}

func inRepository(t *testing.T, argv ...string) {
	t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = "../..", append(os.Environ(), "CGO_ENABLED=0", "VERSION="+nextVersion, "ARCH=amd64")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v: %s", argv, err, out)
	}
}
