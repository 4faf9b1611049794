package deadline

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

type key struct {
	vulnerability string
	episode       int
}

// look is everything that clocks depend on, at one moment.
type look struct {
	at       time.Time
	policy   *policy.Compiled
	subjects []subject                      // by vulnerability
	recorded map[key]map[policy.Clock]Clock // of those subjects
	bases    map[string]policy.Facts        // by vulnerability
	live     map[key]bool                   // the episode has not ended
	changed  []Clock
}

// recorded is the detail of the act clocks.recorded. Its fact lists the clocks as they now are.
type recorded struct {
	Started  int   `json:"started,omitempty"`
	Moved    int   `json:"moved,omitempty"`
	Stopped  int   `json:"stopped,omitempty"`
	Resumed  int   `json:"resumed,omitempty"` // what stopped them ended
	Breached int   `json:"breached,omitempty"`
	Policy   int64 `json:"policy"`
}

// perAct bounds how many clocks one act lists.
const perAct = 5000

// Sweep brings all clocks up to date: it starts, moves, stops and resumes them, and notes the ones that ran out. It records
// only what differs from the last time.
func (d *Deadlines) Sweep(ctx context.Context) error {
	l, err := d.look(ctx)
	if err == nil {
		err = l.compare()
	}
	if err != nil {
		return fmt.Errorf("run clocks: %w", err)
	}
	for part := range slices.Chunk(l.changed, perAct) {
		if err := d.record(ctx, l, part); err != nil {
			return fmt.Errorf("record clocks: %w", err)
		}
	}
	return nil
}

// compare finds the clocks that are not as they were recorded.
func (l *look) compare() error {
	for _, s := range l.subjects {
		k := key{s.episode.Vulnerability, s.episode.Number}
		l.live[k] = s.episode.FixedAt.IsZero()
		all, err := s.clocks(l.policy, l.bases[k.vulnerability], l.recorded[k], l.at)
		if err != nil {
			return fmt.Errorf("%s: %w", k.vulnerability, err)
		}
		for _, c := range all {
			if old, known := l.recorded[k][c.Clock]; !known || !l.live[k] || !c.same(old) {
				l.changed = append(l.changed, c)
			}
		}
	}
	return nil
}

// look gathers what clocks depend on.
func (d *Deadlines) look(ctx context.Context) (*look, error) {
	l := &look{at: d.Now().UTC().Truncate(time.Microsecond), recorded: map[key]map[policy.Clock]Clock{}, bases: map[string]policy.Facts{}, live: map[key]bool{}}
	var err error
	if l.policy, err = d.InForce(ctx); err != nil {
		return nil, err
	}
	open, err := d.Exposure.OpenEpisodes(ctx)
	if err != nil {
		return nil, err
	}
	var running []Clock
	var held map[string]*Assessment
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		if running, err = clocks(ctx, tx, qLive); err != nil {
			return err
		}
		held, err = current(ctx, tx)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, c := range running {
		k := key{c.Vulnerability, c.Episode}
		if l.recorded[k] == nil {
			l.recorded[k] = map[policy.Clock]Clock{}
		}
		l.recorded[k][c.Clock] = c
	}
	if open, err = d.withEnded(ctx, open, l.recorded); err != nil {
		return nil, err
	}
	return l, d.fill(ctx, l, open, held)
}

// withEnded adds the episodes that have ended since their clocks were recorded.
func (d *Deadlines) withEnded(ctx context.Context, open []exposure.Episode, recorded map[key]map[policy.Clock]Clock) ([]exposure.Episode, error) {
	is := make(map[key]bool, len(open))
	for _, e := range open {
		is[key{e.Vulnerability, e.Number}] = true
	}
	for k := range recorded {
		if is[k] {
			continue
		}
		all, err := d.Exposure.History(ctx, k.vulnerability)
		if err != nil {
			return nil, err
		}
		for _, e := range all {
			if e.Number == k.episode {
				open = append(open, e)
			}
		}
	}
	slices.SortFunc(open, func(a, b exposure.Episode) int { return strings.Compare(a.Vulnerability, b.Vulnerability) })
	return open, nil
}

// fill makes the subjects of the episodes.
func (d *Deadlines) fill(ctx context.Context, l *look, episodes []exposure.Episode, held map[string]*Assessment) error {
	view, err := d.Triage.Vulnerabilities(ctx)
	if err != nil {
		return err
	}
	rows := make(map[string]*triage.Vulnerability, len(view.Rows))
	for i := range view.Rows {
		rows[view.Rows[i].Name] = &view.Rows[i]
	}
	standings, err := d.standings(ctx, view)
	if err != nil {
		return err
	}
	unread, err := d.Intake.Unreviewed(ctx)
	if err != nil {
		return err
	}
	for _, e := range episodes {
		s := subject{episode: e, standings: standings[e.Vulnerability], assessed: since(held[e.Vulnerability], e)}
		if row := rows[e.Vulnerability]; row != nil {
			s.row = *row
		} else {
			s.row.Name = e.Vulnerability
			s.row.ID, s.row.Source, _ = strings.Cut(e.Vulnerability, "/")
		}
		s.reviewed = !unread[s.row.ID]
		base := facts(s.row, held[e.Vulnerability])
		for _, c := range l.recorded[key{e.Vulnerability, e.Number}] {
			s.fixAt = c.FixAt
		}
		if s.fixAt.IsZero() && base.Fix {
			s.fixAt = l.at
		}
		l.bases[e.Vulnerability] = base
		l.subjects = append(l.subjects, s)
	}
	return nil
}

// since gives the assessment if it was made in the episode: a reappearance is assessed anew, though the severity once signed holds.
func since(a *Assessment, e exposure.Episode) *Assessment {
	if a == nil || a.MadeAt.Before(e.IdentifiedAt) {
		return nil
	}
	return a
}

// standings gives the distinct standings of the hosts each vulnerability affects, worked out again when hosts or their
// standings changed.
func (d *Deadlines) standings(ctx context.Context, view triage.View) (map[string][]Standing, error) {
	of, version, err := d.Standings.Standings(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.affected.by != nil && d.affected.view == view.Version && d.affected.standings == version {
		return d.affected.by, nil
	}
	kinds, single := map[string]Standing{}, decidedAlone(view)
	names, err := d.Triage.Standings(ctx, func(place string) string {
		s := of(place)
		if host, _ := verdict.HostOf(place); single[host] {
			s.host = host
		}
		name := strings.Join(append([]string{s.host, s.Environment, s.Zone, s.Exposure, s.Criticality, s.Unit}, s.Groups...), "\x00")
		kinds[name] = s
		return name
	})
	if err != nil {
		return nil, err
	}
	all := make(map[string][]Standing, len(names))
	for vulnerability, list := range names {
		for _, name := range list {
			all[vulnerability] = append(all[vulnerability], kinds[name])
		}
	}
	d.affected = affected{view.Version, version, all}
	return all, nil
}

// decidedAlone gives the hosts that decisions in force are about, each alone.
func decidedAlone(view triage.View) map[string]bool {
	hosts := map[string]bool{}
	for i := range view.Rows {
		for _, decision := range view.Rows[i].Decisions {
			if host, alone := strings.CutPrefix(decision.Scope, "host/"); alone {
				hosts[host] = true
			}
		}
	}
	return hosts
}

// record writes clocks and their act.
func (d *Deadlines) record(ctx context.Context, l *look, changed []Clock) error {
	what := recorded{Policy: l.policy.Version}
	for _, c := range changed {
		old, known := l.recorded[key{c.Vulnerability, c.Episode}][c.Clock]
		switch {
		case !known:
			what.Started++
		case old.Running() && !c.Running():
			what.Stopped++
		case !old.Running() && c.Running():
			what.Resumed++
		case !old.Due.Equal(c.Due):
			what.Moved++
		}
		if old.BreachedAt.IsZero() && !c.BreachedAt.IsZero() {
			what.Breached++
		}
	}
	fact, err := envelope.Encode(map[string]any{"at": l.at, "clocks": changed})
	if err != nil {
		return err
	}
	digest, err := blob.PutBytes(ctx, d.Blobs, fact)
	if err != nil {
		return err
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		index, err := d.act(ctx, tx, "server", "clocks.recorded", "clocks/"+l.at.Format(time.DateOnly), []string{digest}, what)
		if err != nil {
			return err
		}
		for _, c := range changed {
			c.Act = index
			if err := saveClock(ctx, tx, c, l.live[key{c.Vulnerability, c.Episode}]); err != nil {
				return err
			}
		}
		return nil
	})
}
