package curation_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
)

// aptRoot is a private root for the real apt: its own state, cache and configuration, nothing of this machine's.
type aptRoot struct {
	t           *testing.T
	dir, config string
}

func newApt(t *testing.T, key []byte, source string) *aptRoot {
	t.Helper()
	if _, err := exec.LookPath("apt-get"); err != nil {
		t.Skip("apt-get is not installed here")
	}
	a := &aptRoot{t: t, dir: t.TempDir()}
	for _, dir := range []string{"state/lists/partial", "cache/archives/partial", "etc/none", "log"} {
		if err := os.MkdirAll(filepath.Join(a.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	a.write("status", status)
	a.write("key.asc", string(key))
	a.write("etc/sources.list", strings.ReplaceAll(source, "KEY", filepath.Join(a.dir, "key.asc"))+"\n")
	a.config = a.write("apt.conf", fmt.Sprintf(`
Dir::State "%[1]s/state"; Dir::State::status "%[1]s/status"; Dir::Cache "%[1]s/cache"; Dir::Log "%[1]s/log";
Dir::Etc "%[1]s/etc"; Dir::Etc::main "none.conf"; Dir::Etc::parts "none"; Dir::Etc::sourcelist "sources.list"; Dir::Etc::sourceparts "none";
APT::Architecture "amd64"; APT::Architectures "amd64"; APT::Sandbox::User "root";
Acquire::Check-Valid-Until "true"; Acquire::Check-Date "true"; Acquire::Languages "none"; Acquire::Retries "0";
Acquire::AllowInsecureRepositories "false";
`, a.dir))
	return a
}

func (a *aptRoot) write(name, text string) string {
	a.t.Helper()
	path := filepath.Join(a.dir, name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		a.t.Fatal(err)
	}
	return path
}

func (a *aptRoot) get(args ...string) (string, error) {
	cmd := exec.CommandContext(a.t.Context(), "apt-get", args...)
	cmd.Env = append(os.Environ(), "APT_CONFIG="+a.config, "LC_ALL=C", "http_proxy=", "no_proxy=*")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func (a *aptRoot) mustInstall(t *testing.T) {
	t.Helper()
	if out, err := a.get("update", "--error-on=any"); err != nil || strings.Contains(out, "W:") {
		t.Fatalf("apt-get update: %v\n%s", err, out)
	}
	out, err := a.get("-s", "install", "openssl=3.0.2-1")
	if err != nil {
		t.Fatalf("apt-get -s install: %v\n%s", err, out)
	}
	for _, want := range []string{"Inst libnew (1:1.0-1 ", "Inst libssl3 [3.0.1-1] (3.0.2-1 ", "Inst openssl [3.0.1-1] (3.0.2-1 "} {
		if !strings.Contains(out, want) {
			t.Errorf("apt-get -s install does not say %q:\n%s", want, out)
		}
	}
	if out, err := a.get("--yes", "--download-only", "install", "openssl=3.0.2-1"); err != nil {
		t.Errorf("apt-get --download-only install: %v\n%s", err, out)
	}
	if out, err := a.get("-s", "install", "unwanted"); err == nil {
		t.Errorf("apt would install what nobody accepted:\n%s", out)
	}
}

// spoiler changes one byte of every answer whose path ends in one of the given ways.
func spoiler(next http.Handler, at func(path string) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !at(r.URL.Path) {
			next.ServeHTTP(w, r)
			return
		}
		answer := httptest.NewRecorder()
		r.Header.Del("If-Modified-Since")
		next.ServeHTTP(answer, r)
		b := answer.Body.Bytes()
		if len(b) > 200 {
			b[len(b)/2] ^= 1
		}
		w.WriteHeader(answer.Code)
		w.Write(b)
	})
}

func TestAptInstallsFromTheRepository(t *testing.T) {
	w := begin(t, dbtest.Open(t), time.Now().UTC())
	s := w.signed()
	w.promote("stage", s)
	w.publish()
	server := httptest.NewServer(w.Door())
	defer server.Close()
	for _, suite := range []string{"stage", "snapshots/" + s.Ref.SHA256} {
		a := newApt(t, w.public, fmt.Sprintf("deb [signed-by=KEY] %s/ %s main", server.URL, suite))
		a.mustInstall(t)
		if out, err := a.get("update", "--error-on=any"); err != nil || !strings.Contains(out, "Hit:1") {
			t.Errorf("second update: %v\n%s", err, out)
		}
	}
}

// TestAptInstallsFromCarriedFiles lays the files of Carry out as the executor does.
func TestAptInstallsFromCarriedFiles(t *testing.T) {
	w := begin(t, dbtest.Open(t), time.Now().UTC())
	s := w.signed()
	w.publish()
	files, err := w.Carry(t.Context(), s.Ref.SHA256)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	suite := "snapshots/" + s.Ref.SHA256
	for _, f := range files {
		b, err := blob.ReadAll(t.Context(), w.Blobs, f.SHA256, f.Size)
		if err != nil {
			t.Fatal(err)
		}
		path := map[string]string{"InRelease": "dists/" + suite + "/InRelease", "Packages": "dists/" + suite + "/main/binary-amd64/Packages"}[f.Path]
		if path == "" {
			path = f.Path
		}
		if err := os.MkdirAll(filepath.Join(root, filepath.Dir(path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(root, path), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	newApt(t, w.public, fmt.Sprintf("deb [signed-by=KEY by-hash=no] file:%s %s main", root, suite)).mustInstall(t)
}

func TestAptRefusesOneChangedByte(t *testing.T) {
	w := begin(t, dbtest.Open(t), time.Now().UTC())
	s := w.signed()
	w.promote("stage", s)
	w.publish()
	for what, at := range map[string]func(string) bool{
		"InRelease": func(p string) bool { return strings.HasSuffix(p, "/InRelease") },
		"Packages":  func(p string) bool { return strings.Contains(p, "/main/") },
	} {
		server := httptest.NewServer(spoiler(w.Door(), at))
		a := newApt(t, w.public, "deb [signed-by=KEY] "+server.URL+"/ stage main")
		if out, err := a.get("update", "--error-on=any"); err == nil {
			t.Errorf("apt accepts a changed %s:\n%s", what, out)
		}
		if out, err := a.get("-s", "install", "openssl=3.0.2-1"); err == nil {
			t.Errorf("apt installs after a changed %s:\n%s", what, out)
		}
		server.Close()
	}
	server := httptest.NewServer(spoiler(w.Door(), func(p string) bool { return strings.HasPrefix(p, "/pool/") }))
	defer server.Close()
	a := newApt(t, w.public, "deb [signed-by=KEY] "+server.URL+"/ stage main")
	if out, err := a.get("update", "--error-on=any"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if out, err := a.get("--yes", "--download-only", "install", "openssl=3.0.2-1"); err == nil {
		t.Errorf("apt takes a changed package:\n%s", out)
	}
}

// TestAptRefusesWhatIsTooOld: nobody signs for eight days, and clients notice.
func TestAptRefusesWhatIsTooOld(t *testing.T) {
	now := time.Now().UTC()
	w := begin(t, dbtest.Open(t), now.Add(-8*24*time.Hour))
	s := w.signed()
	w.promote("stage", s)
	w.publish()
	server := httptest.NewServer(w.Door())
	defer server.Close()
	a := newApt(t, w.public, "deb [signed-by=KEY] "+server.URL+"/ stage main")
	if out, err := a.get("update", "--error-on=any"); err == nil || !strings.Contains(out, "expired") {
		t.Errorf("expired repository: %v\n%s", err, out)
	}
	w.now = now
	w.publish()
	a.mustInstall(t)
}
