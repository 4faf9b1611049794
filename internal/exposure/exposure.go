// Package exposure keeps since when each vulnerability was on our hosts and when the last of them was observed fixed, and the totals
// of each day. It looks at what triage shows and writes down what changed.
package exposure

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Triage tells what affects the fleet.
type Triage interface {
	// Glance gives the view of now, and of the hosts that left since the last glance how many had each vulnerability.
	Glance(ctx context.Context) (view triage.View, left map[string]int, err error)
	Stated(ctx context.Context, vulnerabilities []string) (map[string]triage.Stated, error)
}

// Estate tells how much of the estate is looked at.
type Estate interface {
	Coverage(ctx context.Context, now time.Time) (estate.Coverage, error)
}

// Config of an Exposure.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Triage Triage
	Estate Estate
	Now    func() time.Time
}

// Exposure is the history of what affected the fleet.
type Exposure struct {
	Config
	mu   sync.Mutex // guards what follows
	past recall
	left map[string]int // hosts that left and are not recorded yet, by what they had
}

// New makes an Exposure.
func New(c Config) *Exposure { return &Exposure{Config: c, left: map[string]int{}} }

// Day is the totals of a day, at its first sweep.
type Day struct {
	Day             string         `json:"day"` // YYYY-MM-DD, UTC
	At              time.Time      `json:"at"`
	Findings        int            `json:"findings"`
	Vulnerabilities int            `json:"vulnerabilities"`
	Undecided       int            `json:"undecided"`
	Exploited       int            `json:"exploited"` // of the vulnerabilities
	Urgencies       map[string]int `json:"urgencies"` // vulnerabilities by the vendor's word, the worst of their releases; "" where it has none
	estate.Coverage
	Judged   int   `json:"judged"`   // hosts that a source speaks about
	Unjudged int   `json:"unjudged"` // hosts whose release no source speaks about; the others have reported no packages yet
	Act      int64 `json:"act"`      // index of the act that lists it
}

// glance is the present, as a sweep compares it with what was recorded.
type glance struct {
	view  triage.View
	now   map[string]presence
	left  map[string]int // hosts that left since the last sweep, by what they had
	first bool           // since this server started: who left before is not known
}

// recall is what a sweep leaves in memory for the next. Lost with a restart are peaks since the last record, and who left
// since the last sweep.
type recall struct {
	version  triage.Version
	day      string
	presence map[string]presence // nil before the first sweep
}

// recorded is the detail of the act exposure.recorded. Its fact lists the episodes as they now are.
type recorded struct {
	Appeared int  `json:"appeared,omitempty"`
	Changed  int  `json:"changed,omitempty"` // affects a first host, has other numbers, or came back
	Fixed    int  `json:"fixed,omitempty"`
	Gone     int  `json:"gone,omitempty"`
	Totals   *Day `json:"totals,omitempty"`
}

// Sweep compares what affects the fleet with what was last recorded, and writes what appeared and what was observed fixed; with the
// first sweep of a day (UTC) its totals, and how many hosts each vulnerability has. Events and totals of one sweep are one act.
func (x *Exposure) Sweep(ctx context.Context) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.Now().UTC().Truncate(time.Microsecond)
	view, left, err := x.Triage.Glance(ctx)
	if err != nil {
		return err
	}
	for name, hosts := range left {
		x.left[name] += hosts
	}
	if x.past.presence != nil && x.past.version == view.Version && x.past.day == now.Format(time.DateOnly) {
		return nil
	}
	g := glance{view: view, now: x.present(view), left: x.left, first: x.past.presence == nil}
	written, err := x.write(ctx, g, now)
	if err != nil {
		return fmt.Errorf("record history: %w", err)
	}
	x.remember(g, now, written)
	return nil
}

// present gives what is on hosts now, with the most since the last record.
func (x *Exposure) present(view triage.View) map[string]presence {
	all := make(map[string]presence, len(view.Rows))
	for i := range view.Rows {
		r := &view.Rows[i]
		p := presence{affected: r.Affected, reboot: r.AfterReboot, undetermined: r.Undetermined}
		p.most = max(x.past.presence[r.Name].most, p.exposed())
		for _, release := range r.Releases {
			p.releases = append(p.releases, release.Release)
		}
		all[r.Name] = p
	}
	return all
}

// write records what differs. It reports whether every number is recorded now.
func (x *Exposure) write(ctx context.Context, g glance, now time.Time) (all bool, err error) {
	recent, last, err := x.recentEpisodes(ctx, g.now)
	if err != nil {
		return false, err
	}
	day, err := x.today(ctx, g.view, now)
	if err != nil {
		return false, err
	}
	stated, err := x.Triage.Stated(ctx, ended(g, recent))
	if err != nil {
		return false, err
	}
	changed, what := x.compare(g, recent, stated, day != nil, now)
	what.Totals = day
	if len(changed) == 0 && day == nil {
		return false, nil
	}
	return day != nil, x.record(ctx, changed, what, last, now)
}

// ended gives the vulnerabilities that are on no host any more, although they were when they were last recorded.
func ended(g glance, recent map[string]Episode) (names []string) {
	for name, e := range recent {
		if !g.now[name].any() && e.FixedAt.IsZero() && e.GoneAt.IsZero() {
			names = append(names, name)
		}
	}
	return names
}

// compare says which episodes begin, change or end; all that have other numbers than recorded when counts is set.
func (x *Exposure) compare(g glance, recent map[string]Episode, stated map[string]triage.Stated, counts bool, now time.Time) (changed []Episode, what recorded) {
	for _, name := range slices.Sorted(maps.Keys(g.now)) {
		p := g.now[name]
		e, known := recent[name]
		before := e
		if !known || !e.FixedAt.IsZero() {
			changed = append(changed, open(name, e.Number+1, p, now))
			what.Appeared++
			continue
		}
		e.Releases = slices.Clone(e.Releases)
		e.Left += g.left[name]
		event := e.look(p, now)
		if event || e.Left != before.Left || counts && (e.Hosts != before.Hosts || e.Most != before.Most) {
			changed = append(changed, e)
			what.Changed++
		}
	}
	for _, name := range slices.Sorted(maps.Keys(recent)) {
		e := recent[name]
		if g.now[name].any() || !e.FixedAt.IsZero() {
			continue
		}
		e.Left += g.left[name]
		if !e.end(x.past.presence[name], x.how(g, e, stated[name]), now) {
			continue
		}
		changed = append(changed, e)
		if e.FixedAt.IsZero() {
			what.Gone++
		} else {
			what.Fixed++
		}
	}
	return changed, what
}

// how looks for what shows that hosts were fixed. At the first sweep of a server it is not known who had it at the last
// one: then a host that has the source package in another version is.
func (x *Exposure) how(g glance, e Episode, of triage.Stated) (how ending) {
	how.stated = len(e.Releases) > 0
	for _, release := range e.Releases {
		how.stated = how.stated && slices.ContainsFunc(of.Leading, func(s intake.Statement) bool {
			return s.Release == release && (s.Status == intake.Fixed || s.Status == intake.Open)
		})
	}
	before := x.past.presence[e.Vulnerability]
	how.seen = before.exposed()+before.undetermined > g.left[e.Vulnerability]
	if g.first {
		how.seen = of.Hosts[verdict.NotAffected] > 0
	}
	return how
}

// today gives the totals of the day, nil when they are recorded or there is no host yet.
func (x *Exposure) today(ctx context.Context, view triage.View, now time.Time) (*Day, error) {
	d := &Day{Day: now.Format(time.DateOnly), At: now, Findings: view.Findings, Vulnerabilities: view.Vulnerabilities, Undecided: view.Undecided,
		Urgencies: map[string]int{}, Judged: view.Hosts - len(view.Unjudged), Unjudged: len(view.Unjudged)}
	if has, err := x.hasDay(ctx, d.Day); err != nil || has {
		return nil, err
	}
	for i := range view.Rows {
		r := &view.Rows[i]
		if r.Affected == 0 {
			continue
		}
		if r.Exploited != nil {
			d.Exploited++
		}
		d.Urgencies[urgency(r.Releases)]++
	}
	var err error
	if d.Coverage, err = x.Estate.Coverage(ctx, now); err != nil || d.Hosts == 0 {
		return nil, err
	}
	return d, nil
}

// urgencies of Debian's tracker, the worst first. Others come before none.
var urgencies = []string{"high", "medium", "low", "unimportant"}

// urgency is the worst of the releases'.
func urgency(of []triage.Release) (worst string) {
	rank := func(word string) int {
		if word == "" {
			return len(urgencies) + 1
		}
		if i := slices.Index(urgencies, word); i >= 0 {
			return i
		}
		return len(urgencies)
	}
	for _, r := range of {
		if rank(r.Urgency) < rank(worst) {
			worst = r.Urgency
		}
	}
	return worst
}

// record writes the rows and their act. It is a Conflict when another sweep has written since last.
func (x *Exposure) record(ctx context.Context, changed []Episode, what recorded, last int64, now time.Time) error {
	fact, err := envelope.Encode(map[string]any{"at": now, "episodes": append([]Episode{}, changed...)})
	if err != nil {
		return err
	}
	digest, err := blob.PutBytes(ctx, x.Blobs, fact)
	if err != nil {
		return err
	}
	detail, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return x.DB.Write(ctx, func(tx *db.Tx) error {
		written, err := lastExposureAct(ctx, tx)
		if err != nil {
			return err
		}
		if written != last {
			return fault.New(fault.Conflict, "another sweep has recorded since this one looked")
		}
		index, err := x.Ledger.Append(ctx, tx, proof.Act{Kind: "exposure.recorded", Subject: "exposure/" + now.Format(time.DateOnly),
			At: now, Who: "server", Facts: []string{digest}, Detail: detail})
		if err != nil {
			return err
		}
		for _, e := range changed {
			e.Act = index
			if err := saveEpisode(ctx, tx, e); err != nil {
				return err
			}
		}
		if what.Totals == nil {
			return nil
		}
		what.Totals.Act = index
		return insertDay(ctx, tx, *what.Totals)
	})
}

// remember keeps what the next sweep needs; peaks begin anew where they were written.
func (x *Exposure) remember(g glance, now time.Time, written bool) {
	if written {
		for name, p := range g.now {
			p.most = p.exposed()
			g.now[name] = p
		}
	}
	x.past, x.left = recall{version: g.view.Version, day: now.Format(time.DateOnly), presence: g.now}, map[string]int{}
}
