// Package triage decides what matters: it shows each distinct vulnerability with the hosts it affects, and keeps people's signed
// decisions about it. What affects a host is judged in verdict.
package triage

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Estate tells what is installed where.
type Estate interface {
	// HostSets gives the hosts changed after a change number, and the last number; one without a package set has left.
	HostSets(ctx context.Context, since int64) ([]estate.HostSet, int64, error)
	PackageSet(ctx context.Context, digest string) (pkgset.Set, error)
}

// Places tells where hosts stand, as scopes of roles see them.
type Places interface {
	// PlacesOf gives where hosts stand, each place once; Places that of every host, by ID.
	PlacesOf(ctx context.Context, hosts []string) ([]trustroot.Place, error)
	Places(ctx context.Context) (map[string]trustroot.Place, error)
}

// Intake tells what is stated.
type Intake interface {
	Knowledge(ctx context.Context) (*intake.Knowledge, error)
}

// Root gives the trust root in force, and those from a version on, oldest first.
type Root interface {
	staff.Root
	Roots(ctx context.Context, from int64) ([]envelope.Envelope, error)
}

// Config of a Triage.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Estate Estate
	// Origins gives where packages come from, by the digest that a HostSet names.
	Origins func(ctx context.Context, digest string) (wire.Origins, error)
	Intake  Intake
	Root    Root
	Groups  Groups // nil: there are none
	Places  Places // nil: nothing is known of any host, so no limited role counts
	Now     func() time.Time
}

// Triage is the vulnerabilities and the decisions about them.
type Triage struct {
	Config
	mu        sync.RWMutex // guards what follows
	fleet     *verdict.Fleet
	knowledge *intake.Knowledge
	placed    int64               // the last change of hosts in the fleet
	inForce   []PastDecision      // by vulnerability; nil before the first sync
	decided   int64               // the last change of decisions in it
	view      *View               // nil: to be made again
	roots     map[string][]string // the places of a host besides its own root
	departed  map[verdict.Had]int // hosts that left since the last glance, by what they had
	day       string              // of which the ends of support are

	foreigners map[string]string // Class.Foreign by digest of origins

	limited limited
}

// New makes a Triage.
func New(c Config) *Triage {
	return &Triage{Config: c, fleet: verdict.NewFleet(), departed: map[verdict.Had]int{}, roots: map[string][]string{}, foreigners: map[string]string{}}
}

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
	EPSS         float64           `json:"epss"`                   // probability of exploitation within 30 days, 0 to 1
	CVSS         *intake.CVSS      `json:"cvss,omitempty"`         // the score that leads: the vendor's, else NVD's, else the CVE record's
	HighestCVSS  *intake.CVSS      `json:"cvss_highest,omitempty"` // where another score is higher
	SSVC         *intake.SSVC      `json:"ssvc,omitempty"`
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

// View is the state of the fleet at one moment. It is shared: nobody changes its lists. Both numbers count what is affected: 418 findings can be 26 vulnerabilities.
type View struct {
	At              time.Time       `json:"at"`
	Hosts           int             `json:"hosts"`
	Findings        int             `json:"findings"`        // vulnerability on a host
	Vulnerabilities int             `json:"vulnerabilities"` // distinct
	Undecided       int             `json:"undecided"`       // of those, without a decision in force
	Unjudged        []string        `json:"unjudged"`        // hosts of releases that no source speaks about
	Ended           []string        `json:"ended"`           // hosts of releases whose support ended: no fixes are made for them
	Rows            []Vulnerability `json:"rows"`            // sorted by source and ID; also those only undetermined or fixed after a reboot

	Version Version `json:"-"`
}

// Version tells views of one server apart: what is affected, and what is decided, is the same in two of one version.
type Version struct {
	changes int // of the fleet
	decided int64
}

// Vulnerabilities gives the view of now. It is made again only when what is stated, installed or decided changed.
func (t *Triage) Vulnerabilities(ctx context.Context) (view View, err error) {
	made := false
	err = t.read(ctx, func() {
		if made = t.view != nil && t.view.Version == t.version(); made {
			view = *t.view
		}
	})
	if err == nil && !made {
		t.mu.Lock()
		defer t.mu.Unlock()
		view = t.seen()
	}
	view.At = t.Now()
	return view, err
}

// seen gives the view, made again where something changed; the caller holds the lock.
func (t *Triage) seen() View {
	if t.view == nil || t.view.Version != t.version() {
		t.view = t.look()
	}
	return *t.view
}

// Glance gives the view of now, and of the hosts that left since the last glance how many had each vulnerability, by name.
func (t *Triage) Glance(ctx context.Context) (view View, left map[string]int, err error) {
	if err := t.read(ctx, func() {}); err != nil {
		return view, nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	left = map[string]int{}
	for had, hosts := range t.departed {
		for _, f := range t.fleet.FindingsOf(had) {
			left[f.ID+"/"+f.Source] += hosts
		}
	}
	clear(t.departed)
	view = t.seen()
	view.At = t.Now()
	return view, left, nil
}

func (t *Triage) version() Version { return Version{t.fleet.Changes(), t.decided} }

// look makes the view; the caller holds the lock.
func (t *Triage) look() *View {
	decisions := make(map[string][]Decision)
	for _, d := range t.inForce {
		decisions[d.Vulnerability] = append(decisions[d.Vulnerability], d.Decision)
	}
	view := &View{Version: t.version(), Hosts: t.hostCount(), Unjudged: t.fleet.Unjudged(), Ended: t.fleet.Ended()}
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
	return view
}

// join makes vulnerabilities of counts, which are one for each release.
func (t *Triage) join(counts []verdict.Count) []Vulnerability {
	slices.SortStableFunc(counts, func(a, b verdict.Count) int {
		if c := strings.Compare(a.Source, b.Source); c != 0 {
			return c
		}
		return strings.Compare(a.Statement.ID, b.Statement.ID)
	})
	rows := []Vulnerability{}
	var leading []intake.Statement // of the last row
	for i, c := range counts {
		s := c.Statement
		if n := len(rows); n == 0 || rows[n-1].ID != s.ID || rows[n-1].Source != c.Source {
			signal := t.knowledge.Signal(s.ID)
			rows, leading = append(rows, Vulnerability{Name: s.ID + "/" + c.Source, ID: s.ID, Source: c.Source, Description: s.Description,
				Scope: s.Scope, Exploited: signal.Exploited, EPSS: signal.Score}), leading[:0]
			if signal.About != nil {
				rows[n].SSVC = signal.About.SSVC
			}
		}
		leading = append(leading, s)
		r := &rows[len(rows)-1]
		r.Releases = append(r.Releases, Release{Release: s.Release, Status: s.Status, Fixed: s.FixedVersion, Urgency: s.Urgency,
			Expectation: s.Expectation, Statement: c.Digest(), Affected: c.Affected, AfterReboot: c.AfterReboot, Undetermined: c.Undetermined})
		r.Affected += c.Affected
		r.AfterReboot += c.AfterReboot
		r.Undetermined += c.Undetermined
		if last := i+1 == len(counts) || counts[i+1].Statement.ID != s.ID || counts[i+1].Source != c.Source; last {
			r.score(leading, t.knowledge.Signal(s.ID).About)
		}
	}
	return rows
}

// Case is everything about one vulnerability: what sources state, contradictions included, hosts with their verdict, its
// reason and the decision that holds for them, and all decisions ever made.
type Case struct {
	Name       string                 `json:"vulnerability"`
	Statements []intake.Statement     `json:"statements"`
	Provenance []intake.Document      `json:"provenance"` // of each statement: the bytes that say it
	Mentions   []intake.Mention       `json:"mentions"`   // who speaks of it without naming a package
	Counts     map[verdict.Status]int `json:"counts"`     // hosts that have the source package, by verdict
	Hosts      []CaseHost             `json:"hosts"`      // the page asked for
	History    []PastDecision         `json:"history"`    // oldest first
	Exploited  *intake.Exploited      `json:"exploited,omitempty"`
	EPSS       float64                `json:"epss"`
	Scores     []intake.CVSS          `json:"scores"` // by precedence: vendors', NVD's, the CVE record's; rules ask about the first
	SSVC       *intake.SSVC           `json:"ssvc,omitempty"`
	Text       string                 `json:"text,omitempty"` // of NVD or the CVE record
}

// CaseHost is one host in a case. Decision is the ID of the one that holds, empty when none does.
type CaseHost struct {
	verdict.Judged
	Decision string `json:"decision,omitempty"`
}

// Case gives the case of "CVE-…/source" with a page of its hosts, or fault.NotFound when nothing is stated and nothing was ever decided about it.
func (t *Triage) Case(ctx context.Context, vulnerability string, page verdict.HostPage) (Case, error) {
	history, err := t.history(ctx, vulnerability)
	if err != nil {
		return Case{}, err
	}
	var inForce []Decision
	var scopes []string
	for _, p := range history {
		if p.EndedAt.IsZero() {
			inForce, scopes = append(inForce, p.Decision), append(scopes, p.Scope)
		}
	}
	in, err := t.groupsOf(ctx, scopes...)
	if err != nil {
		return Case{}, err
	}
	var c Case
	err = t.read(ctx, func() {
		c = t.caseOf(vulnerability, history, page)
		for i, h := range c.Hosts {
			d, _ := Holds(inForce, h.Host, h.Environment, in.of(h.Host, inForce))
			c.Hosts[i].Decision = d.ID
		}
	})
	if err == nil && len(c.Statements) == 0 && len(history) == 0 {
		err = fault.New(fault.NotFound, "no source states anything about %.200q; the form is CVE-…/source", vulnerability)
	}
	return c, err
}

func (t *Triage) caseOf(vulnerability string, history []PastDecision, page verdict.HostPage) Case {
	id, source, _ := strings.Cut(vulnerability, "/")
	signal := t.knowledge.Signal(id)
	c := Case{Name: vulnerability, Statements: t.fleet.Statements(id, source), Counts: t.fleet.CountHosts(id, source),
		Hosts: []CaseHost{}, History: append([]PastDecision{}, history...), Exploited: signal.Exploited, EPSS: signal.Score,
		Scores: append([]intake.CVSS{}, scoresOf(t.leading(vulnerability), signal.About)...)}
	if signal.About != nil {
		c.SSVC, c.Text = signal.About.SSVC, signal.About.Text
	}
	c.Provenance = make([]intake.Document, len(c.Statements))
	var advisories []string
	for i, s := range c.Statements {
		c.Provenance[i] = t.knowledge.Provenance(s)
		advisories = append(advisories, s.Advisory)
	}
	c.Mentions = t.knowledge.Mentions(id, advisories...)
	for _, h := range t.fleet.Hosts(id, source, page) {
		c.Hosts = append(c.Hosts, CaseHost{Judged: h})
	}
	return c
}
