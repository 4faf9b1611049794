// Package fleet makes the hosts and the advisories that benchmarks run on, the same each time: package sets of simulated
// hosts, and what a tracker states about their source packages.
package fleet

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// Release is the release of all hosts.
const Release = "bookworm"

// World is a host to vary and what is stated about its packages.
type World struct {
	Dir        string // for files of the benchmark
	Origin     string // of the data, for people
	Status     string // path of a dpkg status file
	Tracker    string // path of the tracker's JSON
	Base       pkgset.Set
	Statements []intake.Statement
	History    map[string][]string // source → versions hosts may have, oldest first; the last is the current one
}

// Load takes the shared sample data (PATCHWARRANT_SHARED, else ../shared/data), or generates some in dir where it is absent.
func Load(dir string) (*World, error) {
	shared := cmp.Or(os.Getenv("PATCHWARRANT_SHARED"), filepath.Join("..", "shared", "data"))
	w := &World{Dir: dir, Status: filepath.Join(shared, "inventory", "debian12-host.dpkg-status"),
		Tracker: filepath.Join(shared, "debian-tracker", "bookworm.json")}
	if _, err := os.Stat(w.Tracker); err != nil {
		return Generate(dir, 600, 40)
	}
	w.Origin = "a real Debian 12 host and " + w.Tracker
	return w, w.read()
}

// Generate makes a host with a number of source packages and as many advisories about each, in files in dir.
func Generate(dir string, sources, advisories int) (*World, error) {
	w := &World{Dir: dir, Origin: fmt.Sprintf("generated: %d source packages with %d advisories each", sources, advisories),
		Status: filepath.Join(dir, "generated.status"), Tracker: filepath.Join(dir, "generated.json")}
	if err := w.generate(sources, advisories); err != nil {
		return nil, err
	}
	return w, w.read()
}

func (w *World) read() error {
	f, err := os.Open(w.Status)
	if err != nil {
		return err
	}
	defer f.Close()
	installed, err := deb.ParseStatus(f)
	if err != nil {
		return err
	}
	w.Base = pkgset.FromStatus(installed)
	if w.Statements, err = w.Feed(); err != nil {
		return err
	}
	w.makeHistory()
	return nil
}

// Feed parses the tracker's file.
func (w *World) Feed() ([]intake.Statement, error) {
	f, err := os.Open(w.Tracker)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reading, err := debian.Tracker(Release)(f)
	return reading.Statements, err
}

// makeHistory takes as older versions of a source those in which something was fixed before the host's version.
func (w *World) makeHistory() {
	w.History = make(map[string][]string)
	current := make(map[string]string)
	for _, p := range w.Base {
		current[p.Source] = p.SourceVersion
	}
	for _, s := range w.Statements {
		if v, ok := current[s.Package]; ok && s.Status == intake.Fixed && deb.Compare(s.FixedVersion, v) < 0 {
			w.History[s.Package] = append(w.History[s.Package], s.FixedVersion)
		}
	}
	for source, v := range current {
		old := w.History[source]
		slices.SortFunc(old, deb.Compare)
		old = slices.CompactFunc(old, func(a, b string) bool { return deb.Compare(a, b) == 0 })
		w.History[source] = append(old[max(0, len(old)-20):], v)
	}
}

// generate writes a status file and a tracker file.
func (w *World) generate(sources, advisories int) error {
	random := rand.New(rand.NewPCG(1, 1))
	var status bytes.Buffer
	tracker := make(map[string]map[string]any)
	for i := range sources {
		source := fmt.Sprintf("source%d", i)
		fmt.Fprintf(&status, "Package: lib%s\nStatus: install ok installed\nArchitecture: amd64\nSource: %s\nVersion: 1.%d-1\n\n", source, source, 20+random.IntN(20))
		tracker[source] = make(map[string]any)
		for j := range advisories {
			record := map[string]any{"status": "resolved", "fixed_version": fmt.Sprintf("1.%d-1", random.IntN(42)), "urgency": "not yet assigned"}
			tracker[source][fmt.Sprintf("CVE-%d-%d", 2000+j%25, 1000+i*advisories+j)] = map[string]any{
				"description": fmt.Sprintf("A flaw was found in the parser of lib%s. A crafted file can make a program that uses it write out of bounds.", source),
				"scope":       "remote", "releases": map[string]any{Release: record}}
		}
	}
	b, err := json.Marshal(tracker)
	if err != nil {
		return err
	}
	if err := os.WriteFile(w.Status, status.Bytes(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(w.Tracker, b, 0o600)
}

// Simulated hosts: a role (which packages), a patch level (how far back), and four hosts of ten with up to three sources
// at a version of their own, because updates are partial.
const (
	roles  = 12
	levels = 52
)

// Host makes the package set of a simulated host, the same for the same number.
func (w *World) Host(number int) pkgset.Set {
	random := rand.New(rand.NewPCG(uint64(number), 2))
	role, level := random.IntN(roles), float64(random.IntN(levels))
	own := make(map[string]bool)
	if random.IntN(10) < 4 {
		for range 1 + random.IntN(3) {
			own[w.Base[random.IntN(len(w.Base))].Source] = true
		}
	}
	set := make(pkgset.Set, 0, len(w.Base))
	for _, p := range w.Base {
		chance := rand.NewPCG(hash(p.Source), uint64(role)).Uint64()
		if chance%100 < uint64(role*3) {
			continue
		}
		versions := w.History[p.Source]
		back := int(level * float64(hash(p.Source)%100) / 300)
		if own[p.Source] {
			back += 1 + int(hash(p.Source)%3)
		}
		p.SourceVersion = versions[max(0, len(versions)-1-back)]
		p.Version = p.SourceVersion
		set = append(set, p)
	}
	return set
}

// hash is FNV-1a.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}
