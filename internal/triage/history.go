package triage

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

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
	view     *View
	changes  int // of the fleet
	now      map[string]presence
	departed map[verdict.Had]int
	left     map[string]int // hosts that left since the last sweep, by what they had
	first    bool           // since this server started: who left before is not known
}

// recall is what a sweep leaves in memory for the next. Lost with a restart are peaks since the last record, and who left
// since the last sweep.
type recall struct {
	changes  int // of the fleet
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

// SweepHistory compares what affects the fleet with what was last recorded, and writes what appeared and what was observed
// fixed; with the first sweep of a day (UTC) its totals, and how many hosts each vulnerability has. Events and totals of
// one sweep are one act.
func (t *Triage) SweepHistory(ctx context.Context) error {
	now := t.Now().UTC().Truncate(time.Microsecond)
	g, same, err := t.glance(ctx, now)
	if err != nil || same {
		return err
	}
	written, err := t.write(ctx, g, now)
	t.remember(g, now, written, err)
	if err != nil {
		return fmt.Errorf("record history: %w", err)
	}
	return nil
}

// write records what differs. It reports whether every number is recorded now.
func (t *Triage) write(ctx context.Context, g glance, now time.Time) (all bool, err error) {
	recent, last, err := t.recentEpisodes(ctx, g.now)
	if err != nil {
		return false, err
	}
	day, err := t.today(ctx, g.view, now)
	if err != nil {
		return false, err
	}
	changed, what := t.compare(g, recent, day != nil, now)
	what.Totals = day
	if len(changed) == 0 && day == nil {
		return false, nil
	}
	return day != nil, t.record(ctx, changed, what, last, now)
}

// glance looks at the present. It is the same as at the last sweep when nothing in the fleet changed on the same day.
func (t *Triage) glance(ctx context.Context, now time.Time) (g glance, same bool, err error) {
	if err := t.read(ctx, func() {}); err != nil {
		return g, false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.past.presence != nil && t.past.changes == t.fleet.Changes() && t.past.day == now.Format(time.DateOnly) {
		return g, true, nil
	}
	if t.view == nil || t.view.Version != t.version() {
		t.view = t.look()
	}
	g = glance{view: t.view, changes: t.fleet.Changes(), now: make(map[string]presence, len(t.view.Rows)), departed: t.departed,
		left: map[string]int{}, first: t.past.presence == nil}
	t.departed = map[verdict.Had]int{}
	for i := range t.view.Rows {
		r := &t.view.Rows[i]
		p := presence{affected: r.Affected, reboot: r.AfterReboot, undetermined: r.Undetermined}
		p.most = max(t.past.presence[r.Name].most, p.exposed())
		for _, x := range r.Releases {
			p.releases = append(p.releases, x.Release)
		}
		g.now[r.Name] = p
	}
	for had, hosts := range g.departed {
		for _, f := range t.fleet.FindingsOf(had) {
			g.left[f.ID+"/"+f.Source] += hosts
		}
	}
	return g, false, nil
}

// compare says which episodes begin, change or end; all that have other numbers than recorded when counts is set.
func (t *Triage) compare(g glance, recent map[string]Episode, counts bool, now time.Time) (changed []Episode, what recorded) {
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
		if !e.end(t.past.presence[name], t.ending(g, e), now) {
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

// ending looks for what shows that hosts were fixed. At the first sweep of a server it is not known who had it at the last
// one: then a host that has the source package in another version is.
func (t *Triage) ending(g glance, e Episode) (how ending) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	id, source, _ := strings.Cut(e.Vulnerability, "/")
	leading := t.leading(e.Vulnerability)
	how.stated = len(e.Releases) > 0
	for _, release := range e.Releases {
		how.stated = how.stated && slices.ContainsFunc(leading, func(s intake.Statement) bool {
			return s.Release == release && (s.Status == intake.Fixed || s.Status == intake.Open)
		})
	}
	before := t.past.presence[e.Vulnerability]
	how.seen = before.exposed()+before.undetermined > g.left[e.Vulnerability]
	if g.first {
		how.seen = t.fleet.CountHosts(id, source)[verdict.NotAffected] > 0
	}
	return how
}

// today gives the totals of the day, nil when they are recorded or there is no host yet.
func (t *Triage) today(ctx context.Context, view *View, now time.Time) (*Day, error) {
	d := &Day{Day: now.Format(time.DateOnly), At: now, Findings: view.Findings, Vulnerabilities: view.Vulnerabilities, Undecided: view.Undecided,
		Urgencies: map[string]int{}, Judged: view.Hosts - len(view.Unjudged), Unjudged: len(view.Unjudged)}
	if has, err := t.hasDay(ctx, d.Day); err != nil || has {
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
		d.Urgencies[r.urgency()]++
	}
	var err error
	if d.Coverage, err = t.Estate.Coverage(ctx, now); err != nil || d.Hosts == 0 {
		return nil, err
	}
	return d, nil
}

// urgencies of Debian's tracker, the worst first. Others come before none.
var urgencies = []string{"high", "medium", "low", "unimportant"}

// urgency is the worst of the releases'.
func (v *Vulnerability) urgency() (worst string) {
	rank := func(word string) int {
		if word == "" {
			return len(urgencies) + 1
		}
		if i := slices.Index(urgencies, word); i >= 0 {
			return i
		}
		return len(urgencies)
	}
	for _, r := range v.Releases {
		if rank(r.Urgency) < rank(worst) {
			worst = r.Urgency
		}
	}
	return worst
}

// record writes the rows and their act. It is a Conflict when another sweep has written since last.
func (t *Triage) record(ctx context.Context, changed []Episode, what recorded, last int64, now time.Time) error {
	fact, err := envelope.Encode(map[string]any{"at": now, "episodes": append([]Episode{}, changed...)})
	if err != nil {
		return err
	}
	digest, err := blob.PutBytes(ctx, t.Blobs, fact)
	if err != nil {
		return err
	}
	detail, err := json.Marshal(what)
	if err != nil {
		return err
	}
	return t.DB.Write(ctx, func(tx *db.Tx) error {
		written, err := lastExposureAct(ctx, tx)
		if err != nil {
			return err
		}
		if written != last {
			return fault.New(fault.Conflict, "another sweep has recorded since this one looked")
		}
		index, err := t.Ledger.Append(ctx, tx, proof.Act{Kind: "exposure.recorded", Subject: "exposure/" + now.Format(time.DateOnly),
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

// remember keeps what the next sweep needs; peaks begin anew where they were written. After a failure it is as if this
// sweep had not been.
func (t *Triage) remember(g glance, now time.Time, written bool, failed error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if failed != nil {
		for had, hosts := range g.departed {
			t.departed[had] += hosts
		}
		return
	}
	if written {
		for name, p := range g.now {
			p.most = p.exposed()
			g.now[name] = p
		}
	}
	t.past = recall{changes: g.changes, day: now.Format(time.DateOnly), presence: g.now}
}
