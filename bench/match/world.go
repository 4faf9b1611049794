package main

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

const release = "bookworm"

// world is the data everything is measured on.
type world struct {
	dir        string
	origin     string
	status     string // path of a dpkg status file
	tracker    string // path of the tracker's JSON
	base       pkgset.Set
	statements []intake.Statement
	history    map[string][]string // source → versions hosts may have, oldest first; the last is the current one
}

func loadWorld(dir string) (*world, error) {
	w := &world{dir: dir, history: make(map[string][]string)}
	shared := cmp.Or(os.Getenv("PATCHWARRANT_SHARED"), filepath.Join("..", "shared", "data"))
	w.status = filepath.Join(shared, "inventory", "debian12-host.dpkg-status")
	w.tracker = filepath.Join(shared, "debian-tracker", "bookworm.json")
	w.origin = "a real Debian 12 host and " + w.tracker
	if _, err := os.Stat(w.tracker); err != nil {
		w.origin = "generated (no sample data here)"
		if err := w.generate(); err != nil {
			return nil, err
		}
	}
	f, err := os.Open(w.status)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	installed, err := deb.ParseStatus(f)
	if err != nil {
		return nil, err
	}
	w.base = pkgset.FromStatus(installed)
	if w.statements, err = w.feed(); err != nil {
		return nil, err
	}
	w.makeHistory()
	return w, nil
}

// feed parses the tracker's file.
func (w *world) feed() ([]intake.Statement, error) {
	f, err := os.Open(w.tracker)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	reading, err := debian.Tracker(release)(f)
	return reading.Statements, err
}

// makeHistory takes as older versions of a source those in which something was fixed before the host's version.
func (w *world) makeHistory() {
	current := make(map[string]string)
	for _, p := range w.base {
		current[p.Source] = p.SourceVersion
	}
	for _, s := range w.statements {
		if v, ok := current[s.Package]; ok && s.Status == intake.Fixed && deb.Compare(s.FixedVersion, v) < 0 {
			w.history[s.Package] = append(w.history[s.Package], s.FixedVersion)
		}
	}
	for source, v := range current {
		old := w.history[source]
		slices.SortFunc(old, deb.Compare)
		old = slices.CompactFunc(old, func(a, b string) bool { return deb.Compare(a, b) == 0 })
		w.history[source] = append(old[max(0, len(old)-20):], v)
	}
}

// generate writes a status file and a tracker file of 600 sources with 40 vulnerabilities each.
func (w *world) generate() error {
	random := rand.New(rand.NewPCG(1, 1))
	var status bytes.Buffer
	tracker := make(map[string]map[string]any)
	for i := range 600 {
		source := fmt.Sprintf("source%d", i)
		fmt.Fprintf(&status, "Package: lib%s\nStatus: install ok installed\nArchitecture: amd64\nSource: %s\nVersion: 1.%d-1\n\n", source, source, 20+random.IntN(20))
		tracker[source] = make(map[string]any)
		for j := range 40 {
			record := map[string]any{"status": "resolved", "fixed_version": fmt.Sprintf("1.%d-1", random.IntN(42))}
			tracker[source][fmt.Sprintf("CVE-%d-%d", 2000+j%25, 1000+i*40+j)] = map[string]any{"releases": map[string]any{release: record}}
		}
	}
	b, err := json.Marshal(tracker)
	if err != nil {
		return err
	}
	w.status, w.tracker = filepath.Join(w.dir, "generated.status"), filepath.Join(w.dir, "generated.json")
	if err := os.WriteFile(w.status, status.Bytes(), 0o600); err != nil {
		return err
	}
	return os.WriteFile(w.tracker, b, 0o600)
}

// Simulated hosts: a role (which packages), a patch level (how far back), and four hosts of ten with up to three sources
// at a version of their own, because updates are partial.
const (
	roles  = 12
	levels = 52
)

// host makes the package set of a simulated host, the same for the same number.
func (w *world) host(number int) pkgset.Set {
	random := rand.New(rand.NewPCG(uint64(number), 2))
	role, level := random.IntN(roles), float64(random.IntN(levels))
	own := make(map[string]bool)
	if random.IntN(10) < 4 {
		for range 1 + random.IntN(3) {
			own[w.base[random.IntN(len(w.base))].Source] = true
		}
	}
	set := make(pkgset.Set, 0, len(w.base))
	for _, p := range w.base {
		chance := rand.NewPCG(hash(p.Source), uint64(role)).Uint64()
		if chance%100 < uint64(role*3) {
			continue
		}
		versions := w.history[p.Source]
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

// writeStatus writes a set as the least a dpkg status file holds, so that a peer has little to parse.
func writeStatus(path string, set pkgset.Set) error {
	var b bytes.Buffer
	for _, p := range set {
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nArchitecture: %s\nSource: %s (%s)\nVersion: %s\n\n", p.Name, p.Arch, p.Source, p.SourceVersion, p.Version)
	}
	return os.WriteFile(path, b.Bytes(), 0o600)
}
