package exposure

import (
	"slices"
	"time"
)

// Episode is one time that a vulnerability was on our hosts. It ends only when its last host was observed fixed: a host
// that is silent or has left never ends it, nor does a source that is silent.
type Episode struct {
	Vulnerability string    `json:"vulnerability"`        // ID/source
	Number        int       `json:"episode"`              // from 1; a later one is a reappearance
	IdentifiedAt  time.Time `json:"identified_at"`        // first known here: a host was affected, waited for a reboot, or was undetermined
	AffectedAt    time.Time `json:"affected_at,omitzero"` // first host affected
	FixedAt       time.Time `json:"fixed_at,omitzero"`    // last host observed fixed; zero: open
	GoneAt        time.Time `json:"gone_at,omitzero"`     // since when no host is left although none was observed fixed last
	Gone          string    `json:"gone,omitempty"`       // why: HostsLeft or Withdrawn
	Hosts         int       `json:"hosts"`                // affected or waiting for a reboot, as last recorded
	Most          int       `json:"most"`                 // the most of those
	Left          int       `json:"left"`                 // hosts that left the estate unfixed
	Releases      []string  `json:"releases"`
	Act           int64     `json:"act"` // index of the last act that lists it
}

// Why nothing is left of an open episode.
const (
	HostsLeft = "hosts left" // the last hosts left the estate as they were
	Withdrawn = "withdrawn"  // sources state it no longer, or state that these releases are not affected
)

// TimeToRemediate is from the first affected host to the last one observed fixed; 0 while there is none.
func (e Episode) TimeToRemediate() time.Duration {
	if e.FixedAt.IsZero() || e.AffectedAt.IsZero() {
		return 0
	}
	return e.FixedAt.Sub(e.AffectedAt)
}

// presence is what a vulnerability is on hosts now.
type presence struct {
	affected, reboot, undetermined int
	most                           int // exposed since the last record
	releases                       []string
}

func (p presence) exposed() int { return p.affected + p.reboot }
func (p presence) any() bool    { return p.affected+p.reboot+p.undetermined > 0 }

// ending is what is known of how a vulnerability came to be on no host.
type ending struct {
	stated bool // sources still state it, or its fix, for all releases where it was
	seen   bool // a host that had it at the last look is still there
}

// open begins an episode.
func open(name string, number int, p presence, now time.Time) Episode {
	e := Episode{Vulnerability: name, Number: number, IdentifiedAt: now}
	e.look(p, now)
	return e
}

// look takes over what is there now, and reports whether that is an event and not only another number.
func (e *Episode) look(p presence, now time.Time) (event bool) {
	if p.affected > 0 && e.AffectedAt.IsZero() {
		e.AffectedAt, event = now, true
	}
	if !e.GoneAt.IsZero() {
		e.GoneAt, e.Gone, event = time.Time{}, "", true
	}
	e.Hosts, e.Most = p.exposed(), max(e.Most, p.most, p.exposed())
	for _, r := range p.releases {
		if i, found := slices.BinarySearch(e.Releases, r); !found {
			e.Releases = slices.Insert(e.Releases, i, r)
		}
	}
	return event
}

// end is for a vulnerability that is on no host now. It reports whether that is an event.
func (e *Episode) end(p presence, how ending, now time.Time) (event bool) {
	e.Hosts, e.Most = 0, max(e.Most, p.most)
	switch {
	case !e.GoneAt.IsZero():
		return false
	case !how.stated:
		e.GoneAt, e.Gone = now, Withdrawn
	case !how.seen:
		e.GoneAt, e.Gone = now, HostsLeft
	default:
		e.FixedAt = now
	}
	return true
}
