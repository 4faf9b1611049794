package triage

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Estate tells what is installed where.
type Estate interface {
	HostSets(ctx context.Context) ([]estate.HostSet, error)
	PackageSet(ctx context.Context, digest string) (pkgset.Set, error)
}

// Intake tells what is stated.
type Intake interface {
	Knowledge(ctx context.Context) (*intake.Knowledge, error)
}

// Root gives the trust root in force.
type Root interface {
	CurrentRoot(ctx context.Context) (*trustroot.Root, error)
}

// Config of a Triage.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Estate Estate
	Intake Intake
	Root   Root
	Now    func() time.Time
}

// Triage is the vulnerabilities and the decisions about them.
type Triage struct {
	Config
	mu        sync.Mutex // guards what follows
	fleet     *Fleet
	knowledge *intake.Knowledge
}

// New makes a Triage.
func New(c Config) *Triage { return &Triage{Config: c, fleet: NewFleet()} }

// Vulnerability is the unit of work: one ID in one source package, over all releases and hosts.
type Vulnerability struct {
	Name         string            `json:"vulnerability"` // ID/source
	ID           string            `json:"id"`
	Source       string            `json:"source"`
	Description  string            `json:"description,omitempty"`
	Scope        string            `json:"scope,omitempty"` // remote, local or unknown
	Releases     []Release         `json:"releases"`
	Affected     int               `json:"affected"`           // hosts
	AfterReboot  int               `json:"fixed_after_reboot"` // hosts
	Undetermined int               `json:"undetermined"`       // hosts
	Exploited    *intake.Exploited `json:"exploited,omitempty"`
	EPSS         float64           `json:"epss"` // probability of exploitation within 30 days, 0 to 1
	Decisions    []Decision        `json:"decisions"`
}

// Release is what leads in one release, with its hosts.
type Release struct {
	Release      string        `json:"release"`
	Status       intake.Status `json:"status"`
	Fixed        string        `json:"fixed_version,omitempty"`
	Urgency      string        `json:"urgency,omitempty"`
	Expectation  string        `json:"expectation,omitempty"`
	Statement    string        `json:"statement"` // digest
	Affected     int           `json:"affected"`
	AfterReboot  int           `json:"fixed_after_reboot"`
	Undetermined int           `json:"undetermined"`
}

// View is the state of the fleet at one moment. Both numbers count what is affected: 418 findings can be 26 vulnerabilities.
type View struct {
	At              time.Time       `json:"at"`
	Hosts           int             `json:"hosts"`
	Findings        int             `json:"findings"`        // vulnerability on a host
	Vulnerabilities int             `json:"vulnerabilities"` // distinct
	Undecided       int             `json:"undecided"`       // of those, without a decision in force
	Unjudged        []string        `json:"unjudged"`        // hosts of releases that no source speaks about
	Rows            []Vulnerability `json:"rows"`            // sorted by source and ID; also those only undetermined or fixed after a reboot
}

// Vulnerabilities gives the view of now.
func (t *Triage) Vulnerabilities(ctx context.Context) (View, error) {
	current, err := t.current(ctx)
	if err != nil {
		return View{}, err
	}
	decisions := make(map[string][]Decision)
	for _, d := range current {
		decisions[d.Vulnerability] = append(decisions[d.Vulnerability], d.Decision)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.sync(ctx); err != nil {
		return View{}, err
	}
	view := View{At: t.Now(), Hosts: len(t.fleet.hosts), Unjudged: t.fleet.Unjudged()}
	view.Rows = t.join(t.fleet.Tally())
	for i := range view.Rows {
		r := &view.Rows[i]
		r.Decisions = append([]Decision{}, decisions[r.Name]...)
		if r.Affected == 0 {
			continue
		}
		view.Findings += r.Affected
		view.Vulnerabilities++
		if len(r.Decisions) == 0 {
			view.Undecided++
		}
	}
	return view, nil
}

// join makes vulnerabilities of counts, which are one for each release.
func (t *Triage) join(counts []Count) []Vulnerability {
	slices.SortStableFunc(counts, func(a, b Count) int {
		if c := strings.Compare(a.Statement.Package, b.Statement.Package); c != 0 {
			return c
		}
		return strings.Compare(a.Statement.ID, b.Statement.ID)
	})
	rows := []Vulnerability{}
	for _, c := range counts {
		s := c.Statement
		if n := len(rows); n == 0 || rows[n-1].ID != s.ID || rows[n-1].Source != s.Package {
			signal := t.knowledge.Signal(s.ID)
			rows = append(rows, Vulnerability{Name: s.ID + "/" + s.Package, ID: s.ID, Source: s.Package, Description: s.Description,
				Scope: s.Scope, Exploited: signal.Exploited, EPSS: signal.Score})
		}
		r := &rows[len(rows)-1]
		r.Releases = append(r.Releases, Release{Release: s.Release, Status: s.Status, Fixed: s.FixedVersion, Urgency: s.Urgency,
			Expectation: s.Expectation, Statement: s.Digest(), Affected: c.Affected, AfterReboot: c.AfterReboot, Undetermined: c.Undetermined})
		r.Affected += c.Affected
		r.AfterReboot += c.AfterReboot
		r.Undetermined += c.Undetermined
	}
	return rows
}

// sync brings the fleet up to date: what is stated, and who has what. The caller holds the lock.
func (t *Triage) sync(ctx context.Context) error {
	known, err := t.Intake.Knowledge(ctx)
	if err != nil {
		return err
	}
	if known != t.knowledge {
		t.fleet.Learn(known.Statements)
		t.knowledge = known
	}
	hosts, err := t.Estate.HostSets(ctx)
	if err != nil {
		return err
	}
	here := make(map[string]bool, len(hosts))
	for _, h := range hosts {
		here[h.HostID] = true
		c := Class{h.Release, h.Environment, h.SetDigest, Kernel{h.KernelRunning, h.KernelVersion}}
		err := t.fleet.Place(h.HostID, c, func() (pkgset.Set, error) { return t.Estate.PackageSet(ctx, h.SetDigest) })
		if err != nil {
			return err
		}
	}
	for host := range t.fleet.hosts {
		if !here[host] {
			t.fleet.Remove(host)
		}
	}
	return nil
}

// Case is everything about one vulnerability: what sources state, contradictions included, each host's verdict with its
// reason and the decision that holds for it, and all decisions ever made.
type Case struct {
	Name       string             `json:"vulnerability"`
	Statements []intake.Statement `json:"statements"`
	Hosts      []CaseHost         `json:"hosts"`
	History    []PastDecision     `json:"history"` // oldest first
	Exploited  *intake.Exploited  `json:"exploited,omitempty"`
	EPSS       float64            `json:"epss"`
}

// CaseHost is one host in a case. Decision is the ID of the one that holds, empty when none does.
type CaseHost struct {
	HostVerdict
	Decision string `json:"decision,omitempty"`
}

// Case gives the case of "CVE-…/source", or fault.NotFound when nothing is stated and nothing was ever decided about it.
func (t *Triage) Case(ctx context.Context, vulnerability string) (Case, error) {
	history, err := t.history(ctx, vulnerability)
	if err != nil {
		return Case{}, err
	}
	id, source, _ := strings.Cut(vulnerability, "/")
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.sync(ctx); err != nil {
		return Case{}, err
	}
	signal := t.knowledge.Signal(id)
	c := Case{Name: vulnerability, Statements: t.fleet.Statements(id, source), Hosts: []CaseHost{}, History: history, Exploited: signal.Exploited, EPSS: signal.Score}
	if len(c.Statements) == 0 && len(history) == 0 {
		return Case{}, fault.New(fault.NotFound, "no source states anything about %.200q; the form is CVE-…/source", vulnerability)
	}
	var inForce []Decision
	for _, p := range history {
		if p.EndedAt.IsZero() {
			inForce = append(inForce, p.Decision)
		}
	}
	if c.History == nil {
		c.History = []PastDecision{}
	}
	for _, h := range t.fleet.Hosts(id, source) {
		d, _ := holds(inForce, h.Host, h.Environment)
		c.Hosts = append(c.Hosts, CaseHost{h, d.ID})
	}
	return c, nil
}

// Findings judges one host, sorted by source and ID; what is not affected is left out. An unknown host has none.
func (t *Triage) Findings(ctx context.Context, host string) ([]Finding, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := t.sync(ctx); err != nil {
		return nil, err
	}
	return t.fleet.Findings(host), nil
}
