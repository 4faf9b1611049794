package curation_test

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// debian gives mirrors of the real Debian 12 main and security suites, or skips.
func debian(t *testing.T, w *world) *mirror.Mirror {
	t.Helper()
	keyring, err := os.ReadFile("/usr/share/keyrings/debian-archive-keyring.gpg")
	if err != nil {
		t.Skip("no Debian keyring here")
	}
	keys, err := pgp.LoadKeyring(keyring)
	if err != nil {
		t.Fatal(err)
	}
	upstream := func(name, path, suite string) mirror.Upstream {
		return mirror.Upstream{Name: name, URL: "http://deb.debian.org/" + path, Suite: suite, Component: "main", Arch: "amd64",
			Keyring: keyring, Fingerprints: keys.Fingerprints(), MaxAge: 3650 * 24 * time.Hour}
	}
	m, err := mirror.New(mirror.Config{DB: w.DB, Ledger: w.acts, Blobs: w.Blobs, Client: &http.Client{Timeout: 2 * time.Minute}, Now: func() time.Time { return w.now },
		Configured: []mirror.Upstream{upstream("main", "debian", "bookworm"), upstream("security", "debian-security", "bookworm-security")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := m.RefreshAll(t.Context()); err != nil {
		t.Skipf("deb.debian.org does not answer here: %v", err)
	}
	return m
}

// TestAptAgreesWithTheClosureOnRealHosts accepts, one by one and all together, every source of this machine for which
// Debian has a newer version, and has the real apt plan the installation of each snapshot over this machine's status.
func TestAptAgreesWithTheClosureOnRealHosts(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the whole Debian archive's index")
	}
	raw, err := os.ReadFile("/var/lib/dpkg/status")
	if err != nil {
		t.Skip("this machine has no dpkg")
	}
	w := begin(t, dbtest.Open(t), time.Now().UTC())
	m := debian(t, w)
	installed, err := deb.ParseStatus(strings.NewReader(string(raw)))
	if err != nil {
		t.Fatal(err)
	}
	sets := []pkgset.Set{pkgset.FromStatus(installed)}
	var candidates []curation.Candidate
	for _, name := range []string{"main", "security"} {
		entries, _, err := m.Index(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			candidates = append(candidates, curation.Candidate{IndexEntry: e, Upstream: name})
		}
	}
	accepted := newer(sets[0], candidates)
	if len(accepted) == 0 {
		t.Skip("this machine has everything Debian has")
	}
	began := time.Now()
	all, err := curation.Close(candidates, accepted, sets)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d sources, %d packages on the host: %d packages chosen in %s", len(accepted), len(sets[0]), len(all), time.Since(began))
	simulate(t, string(raw), all)
	for _, a := range accepted[:min(len(accepted), 8)] {
		chosen, err := curation.Close(candidates, []curation.Acceptance{a}, sets)
		if err != nil {
			t.Errorf("%s: %v", a.Source, err)
			continue
		}
		simulate(t, string(raw), chosen)
	}
}

// newer accepts every source of which the archive has a newer version than the host, at the newest.
func newer(set pkgset.Set, candidates []curation.Candidate) []curation.Acceptance {
	newest := map[string]string{}
	for _, c := range candidates {
		if v, ok := newest[c.Source]; !ok || deb.Compare(c.SourceVersion, v) > 0 {
			newest[c.Source] = c.SourceVersion
		}
	}
	var all []curation.Acceptance
	seen := map[string]bool{}
	for _, p := range set {
		i := slices.IndexFunc(candidates, func(c curation.Candidate) bool {
			return c.Name == p.Name && c.Arch == p.Arch && c.SourceVersion == newest[p.Source] && deb.Compare(c.Version, p.Version) > 0
		})
		if i >= 0 && !seen[p.Source] {
			seen[p.Source] = true
			all = append(all, curation.Acceptance{Decision: "dec_" + p.Source, Person: "alice", Source: p.Source, Version: newest[p.Source]})
		}
	}
	return all
}

// simulate has apt plan the installation of all chosen packages from an index of nothing else: apt must do exactly that.
func simulate(t *testing.T, status string, chosen []curation.Chosen) {
	t.Helper()
	a := newApt(t, nil, "deb [trusted=yes] file:"+t.TempDir()+" ./")
	a.write("status", status)
	var index strings.Builder
	var args []string
	want := map[string]string{}
	for _, p := range chosen {
		index.WriteString(p.Raw + "\n")
		args = append(args, p.Name+":"+p.Arch+"="+p.Version)
		want[p.Name] = p.Version
	}
	a.write("etc/sources.list", "deb [trusted=yes] file:"+a.dir+" ./\n")
	a.write("Packages", index.String())
	if out, err := a.get("update"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := a.get(append([]string{"-s", "install", "--no-remove", "--no-install-recommends"}, args...)...)
	if err != nil {
		t.Errorf("apt cannot install the %d packages chosen first for %s: %v\n%s", len(chosen), chosen[0].Acceptance.Source, err, out)
		return
	}
	for line := range strings.Lines(out) {
		f := strings.Fields(line)
		if len(f) < 2 || f[0] != "Inst" {
			continue
		}
		name, _, _ := strings.Cut(f[1], ":")
		if !strings.Contains(line, "("+want[name]+" ") {
			t.Errorf("apt would do something else: %s", line)
		}
		delete(want, name)
	}
	if len(want) > 0 {
		t.Errorf("apt would not install %v", want)
	}
}
