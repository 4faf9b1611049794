// Package build keeps the standard builds that hosts come from, and judges them as hosts are judged: a build that carries an
// open vulnerability is a finding of its own, with its own time to be made anew. Builds never count as hosts.
package build

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/memo"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// Build is a named package set that hosts are installed from.
type Build struct {
	Name         string    `json:"name"`
	Release      string    `json:"release"`
	PackageSet   string    `json:"package_set"` // digest
	From         string    `json:"from"`        // host/ID, or file/SHA-256 of a dpkg status file, or sbom/SHA-256 of a component list
	Days         int       `json:"days"`        // in which a vulnerability must be out of the build
	RegisteredBy string    `json:"registered_by"`
	RegisteredAt time.Time `json:"registered_at"`
	JudgedAt     time.Time `json:"judged_at,omitzero"`
	Findings     []Finding `json:"findings"` // the oldest first

	Undetermined []Finding  `json:"undetermined"`       // of which nobody knows whether they affect it; without a time
	Unjudged     []Unjudged `json:"unjudged,omitempty"` // components of its component list that no verdict is about
}

// Finding is a vulnerability that affects a build, or may.
type Finding struct {
	Vulnerability string    `json:"vulnerability"` // ID/source; empty: any, see Doubt
	Version       string    `json:"source_version"`
	Fixed         string    `json:"fixed_version,omitempty"`
	Since         time.Time `json:"since,omitzero"` // it affects the build
	DueAt         time.Time `json:"due_at,omitzero"`
	Doubt         string    `json:"doubt,omitempty"` // why it is undetermined; empty: it affects the build
}

// Overdue gives how many findings have run out of time.
func (b Build) Overdue(now time.Time) (n int) {
	for _, f := range b.Findings {
		if !now.Before(f.DueAt) {
			n++
		}
	}
	return n
}

// NotJudged gives how many components of its component list no verdict is about.
func (b Build) NotJudged() (n int) {
	for _, u := range b.Unjudged {
		n += u.Components
	}
	return n
}

// New is what a person registers: a host as it is now, a dpkg status file with its release, or a component list.
type New struct {
	Name    string
	Days    int
	Host    string // ID; else
	Release string // of the status file, or of what a component list gives no release
	Status  []byte // else
	SBOM    []byte
	From    time.Time // when what it replaces was registered; zero: there is none
}

// MaxFile is the size of a status file or component list, in bytes.
const MaxFile = 64 << 20

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Estate is the hosts and the package sets.
type Estate interface {
	Host(ctx context.Context, id string) (estate.Host, error)
	PackageSet(ctx context.Context, digest string) (pkgset.Set, error)
}

// Intake tells what is stated.
type Intake interface {
	Knowledge(ctx context.Context) (*intake.Knowledge, error)
}

// Config of Builds.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Estate Estate
	Intake Intake
	Now    func() time.Time
}

// Builds keeps all builds.
type Builds struct {
	Config
	mu     sync.Mutex
	judged map[string]*intake.Knowledge // what each build, by name and set, was last judged by
	rest   memo.Memo[[]Unjudged]        // by package set and component list
}

// Open makes Builds.
func Open(c Config) *Builds {
	return &Builds{Config: c, judged: map[string]*intake.Knowledge{}, rest: memo.Memo[[]Unjudged]{Most: 1 << 20}}
}

var nameForm = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,63}$`)

// Register makes a build, or gives the one that was registered at n.From another set, and judges it. Conflict with code STALE if
// there is another by now.
func (b *Builds) Register(ctx context.Context, who string, n New) (Build, error) {
	if !nameForm.MatchString(n.Name) || n.Days < 1 || n.Days > 365 {
		return Build{}, fault.New(fault.Invalid, "a build needs a name of a-z 0-9 . _ - and 1 to 365 days in which a vulnerability must be out of it")
	}
	x := Build{Name: n.Name, Days: n.Days, RegisteredBy: who}
	facts, err := b.source(ctx, n, &x)
	if err != nil {
		return x, err
	}
	err = b.DB.Write(ctx, func(tx *db.Tx) error {
		before, err := load(ctx, tx, n.Name)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if !before.RegisteredAt.Equal(n.From) {
			return db.Outdated("build %s was registered or dropped since you looked; look again", n.Name)
		}
		x.RegisteredAt = db.Later(b.Now(), before.RegisteredAt)
		if err := save(ctx, tx, x); err != nil {
			return err
		}
		return b.act(ctx, tx, "person/"+who, "build.registered", x.Name, map[string]any{"release": x.Release, "package_set": x.PackageSet,
			"from": x.From, "days": x.Days}, facts...)
	})
	if err == nil {
		err = b.judge(ctx, x)
	}
	if err != nil {
		return x, err
	}
	return b.Get(ctx, x.Name)
}

// source takes the packages over, from a host or a file.
func (b *Builds) source(ctx context.Context, n New, x *Build) (facts []string, err error) {
	if n.Host != "" {
		h, err := b.Estate.Host(ctx, n.Host)
		if err != nil {
			return nil, err
		}
		if h.PackageSet == "" {
			return nil, fault.New(fault.Conflict, "host %s has not said what it has", h.Name)
		}
		x.Release, x.PackageSet, x.From = h.Release, h.PackageSet, "host/"+h.ID
		return []string{h.PackageSet}, nil
	}
	if (n.Release != "" || n.SBOM == nil) && !nameForm.MatchString(n.Release) || len(n.Status)+len(n.SBOM) > MaxFile {
		return nil, fault.New(fault.Invalid, "want a release such as bookworm, and a file of at most %d MiB", MaxFile>>20)
	}
	if n.SBOM != nil {
		return b.sourceSBOM(ctx, n, x)
	}
	installed, err := deb.ParseStatus(bytes.NewReader(n.Status))
	if err != nil {
		return nil, fault.New(fault.Invalid, "status file: %w", err)
	}
	set := pkgset.FromStatus(installed)
	if len(set) == 0 {
		return nil, fault.New(fault.Invalid, "the file names no installed package; is it a dpkg status file?")
	}
	file, err := blob.PutBytes(ctx, b.Blobs, n.Status)
	if err != nil {
		return nil, err
	}
	x.Release, x.From = n.Release, "file/"+file
	x.PackageSet, err = blob.PutBytes(ctx, b.Blobs, set.Canonical())
	return []string{x.PackageSet, file}, err
}

// Drop forgets a build.
func (b *Builds) Drop(ctx context.Context, who, name string) error {
	return b.DB.Write(ctx, func(tx *db.Tx) error {
		if _, err := load(ctx, tx, name); err != nil {
			return err
		}
		if err := drop(ctx, tx, name); err != nil {
			return err
		}
		return b.act(ctx, tx, "person/"+who, "build.dropped", name, map[string]any{})
	})
}

// List gives all builds by name, with their findings.
func (b *Builds) List(ctx context.Context) (all []Build, err error) {
	err = b.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadAll(ctx, tx)
		return err
	})
	for i := range all {
		if err == nil {
			err = b.complete(ctx, &all[i])
		}
	}
	return all, err
}

// Get gives one build, or NotFound.
func (b *Builds) Get(ctx context.Context, name string) (x Build, err error) {
	err = b.DB.Read(ctx, func(tx *db.Tx) error {
		x, err = load(ctx, tx, name)
		return err
	})
	if err == nil {
		err = b.complete(ctx, &x)
	}
	return x, err
}

// Sweep judges the builds again where something else is stated than when they were last judged.
func (b *Builds) Sweep(ctx context.Context) error {
	all, err := b.List(ctx)
	for _, x := range all {
		if err == nil {
			err = b.judge(ctx, x)
		}
	}
	return err
}

// judge brings the findings of a build up to date: what is new since, what is gone.
func (b *Builds) judge(ctx context.Context, x Build) error {
	known, err := b.Intake.Knowledge(ctx)
	if err != nil {
		return err
	}
	key := x.Name + " " + x.Release + " " + x.PackageSet
	b.mu.Lock()
	done := b.judged[key] == known
	b.mu.Unlock()
	if done && !x.JudgedAt.IsZero() {
		return nil
	}
	set, err := b.Estate.PackageSet(ctx, x.PackageSet)
	if err != nil {
		return err
	}
	found, err := findings(x, set, known.Statements)
	if err != nil {
		return err
	}
	spoken := slices.ContainsFunc(known.Statements, func(s intake.Statement) bool { return s.Release == x.Release && !s.Claim && s.Source != intake.Own })
	err = b.DB.Write(ctx, func(tx *db.Tx) error {
		now, err := load(ctx, tx, x.Name)
		if err != nil || now.PackageSet != x.PackageSet || now.Release != x.Release {
			return err // registered anew meanwhile, and judged by whoever did
		}
		return b.update(ctx, tx, now, found, spoken)
	})
	if err == nil {
		b.mu.Lock()
		b.judged[key] = known
		b.mu.Unlock()
	}
	if fault.KindOf(err) == fault.NotFound { // dropped meanwhile
		return nil
	}
	return err
}

// update keeps what was found. Where no source speaks about the release nothing is known, which is not clean. What becomes
// undetermined has not ended: its time goes on when it is known again.
func (b *Builds) update(ctx context.Context, tx *db.Tx, x Build, found []verdict.Finding, spoken bool) error {
	before := map[string]Finding{}
	for _, f := range slices.Concat(x.Findings, x.Undetermined) {
		if !f.Since.IsZero() {
			before[f.Vulnerability] = f
		}
	}
	at := b.Now().UTC().Truncate(time.Microsecond)
	began, ended := []string{}, []string{}
	x.Findings, x.JudgedAt = nil, at
	open := 0
	silent := "no source states anything about " + x.Release
	if !spoken {
		x.Findings = append(x.Findings, Finding{Doubt: silent})
	}
	for _, f := range found {
		name := f.ID + "/" + f.Source
		if f.Verdict.Status == verdict.Undetermined {
			x.Findings = append(x.Findings, Finding{Vulnerability: name, Version: f.Version, Since: before[name].Since, Doubt: f.Verdict.Reason})
			delete(before, name)
			continue
		}
		was, known := before[name]
		open++
		if delete(before, name); !known {
			was.Since, began = at, append(began, name)
		}
		x.Findings = append(x.Findings, Finding{Vulnerability: name, Version: f.Version, Fixed: f.Verdict.Fixed, Since: was.Since})
	}
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if spoken {
			ended = append(ended, name)
		} else {
			x.Findings = append(x.Findings, Finding{Vulnerability: name, Version: before[name].Version, Since: before[name].Since, Doubt: silent})
		}
	}
	if err := saveFindings(ctx, tx, x); err != nil || len(began)+len(ended) == 0 {
		return err
	}
	lists, err := json.Marshal(map[string][]string{"began": began, "ended": ended})
	if err != nil {
		return err
	}
	fact, err := blob.PutBytes(ctx, b.Blobs, lists) // of an old image they are more than an act may hold
	if err != nil {
		return err
	}
	return b.act(ctx, tx, "server", "build.judged", x.Name, map[string]any{"began": len(began), "ended": len(ended), "open": open}, x.PackageSet, fact)
}

// findings judges a set as that of a host, by the statements about its packages alone.
func findings(x Build, set pkgset.Set, statements []intake.Statement) ([]verdict.Finding, error) {
	named := map[string]bool{}
	for _, p := range set {
		named[p.Name], named[p.Source] = true, true
	}
	var about []intake.Statement
	for _, s := range statements {
		if named[s.Package] {
			about = append(about, s)
		}
	}
	fleet, place := verdict.NewFleet(), "build"
	fleet.Learn(about)
	if err := fleet.Place(place, verdict.Class{Release: x.Release, SetDigest: x.PackageSet}, func() (pkgset.Set, error) { return set, nil }); err != nil {
		return nil, err
	}
	found := slices.DeleteFunc(fleet.Findings(place), func(f verdict.Finding) bool {
		return f.Verdict.Status != verdict.Affected && f.Verdict.Status != verdict.Undetermined
	})
	slices.SortFunc(found, func(a, b verdict.Finding) int {
		return cmp.Or(cmp.Compare(a.ID, b.ID), cmp.Compare(a.Source, b.Source))
	})
	return slices.CompactFunc(found, func(a, b verdict.Finding) bool { return a.ID == b.ID && a.Source == b.Source }), nil
}

func (b *Builds) act(ctx context.Context, tx *db.Tx, who, kind, name string, detail map[string]any, facts ...string) error {
	d, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = b.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "build/" + name, At: b.Now().UTC(), Who: who, Facts: facts, Detail: d})
	return err
}
