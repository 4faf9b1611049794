package explain

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Verdict says how a path's state after a transaction is accounted for.
type Verdict string

// A production host's changes are substantively similar to what was planned and staged when each changed path has one of
// the first three verdicts and no path has one of the last two:
//
//   - as shipped: the path is in the state that the packages' own contents and the host's settings predict (rules P1 to
//     P14): type, mode, owner and group by name, size, SHA-256, link target, extended attributes;
//   - derived: the path is an output of a named derivation whose cause is part of this transaction (or that runs on every
//     live system), and its content passed that derivation's own check; a known path alone never suffices;
//   - as staged: the path is in the very state, attribute by attribute as above, that the sealed manifest shows for stage,
//     which the approvers of the production order had before them;
//   - missing: a predicted state was not reached, and the path is as it was before;
//   - unexplained: anything else, among it every change outside the transaction.
//
// Numbers of users and groups (they differ between hosts), times, inode numbers and the size of directories are not
// compared. What stage did beyond its prediction need not happen on production.
const (
	AsShipped   Verdict = "as shipped"
	AsStaged    Verdict = "as staged"
	Derived     Verdict = "derived"
	Missing     Verdict = "missing"
	Unexplained Verdict = "unexplained"
)

// Line is one path of a reconciliation: one that changed, or that should have.
type Line struct {
	Path     string          `json:"path"`
	Verdict  Verdict         `json:"verdict"`
	Rule     string          `json:"rule,omitempty"`    // P1 … P14, or the derivation's name
	Package  string          `json:"package,omitempty"` // whose contents or derivation it is
	Why      string          `json:"why,omitempty"`     // of missing and unexplained: what does not fit
	Before   *filetree.Entry `json:"before,omitempty"`
	After    *filetree.Entry `json:"after,omitempty"`
	Expected *filetree.Entry `json:"expected,omitempty"` // where the prediction differs from After
}

// Report is the reconciliation of one host: pure arithmetic on an Input and its facts.
type Report struct {
	Order   string          `json:"order"`
	Host    string          `json:"host"`
	Input   string          `json:"input"`   // digest of the Input
	Already int             `json:"already"` // predicted states that held before and after
	Counts  map[Verdict]int `json:"counts"`
	Lines   []Line          `json:"lines"` // sorted by path
}

// Clean reports whether everything is accounted for.
func (r *Report) Clean() bool { return r.Counts[Missing] == 0 && r.Counts[Unexplained] == 0 }

// Discrepancies gives the lines that are not accounted for.
func (r *Report) Discrepancies() []Line {
	return slices.DeleteFunc(slices.Clone(r.Lines), func(l Line) bool { return l.Verdict != Missing && l.Verdict != Unexplained })
}

// scene is what the rules see.
type scene struct {
	actions       []warrant.Action
	contents      []*Contents
	before, after *wire.HostFacts
	wasAt, isAt   lookup
	expected      map[string]Expected
	staged        map[string][]filetree.Entry
	gone          map[string]bool // paths that stage showed gone
	bundle        *certificates   // worked out when first asked for
	outside       bool            // no order ran
}

// newScene fetches and reads the facts, and predicts. Paths are within the root of i; none: the host's own.
func newScene(in *Input, i Inside, facts Facts, wasAt, isAt lookup) (*scene, error) {
	s := &scene{actions: in.Actions, outside: in.Order == "", before: &wire.HostFacts{}, after: &wire.HostFacts{}, wasAt: wasAt, isAt: isAt,
		staged: map[string][]filetree.Entry{}, gone: map[string]bool{}}
	load := func(digest string, v any) error {
		if digest == "" {
			return nil
		}
		b, err := facts(digest)
		if err != nil {
			return fmt.Errorf("fact %s: %w", digest, err)
		}
		if envelope.Digest(b) != digest {
			return fault.New(fault.Invalid, "fact %s has other bytes than its digest says", digest)
		}
		if h, ok := v.(*wire.HostFacts); ok {
			return wire.Decode(bytes.NewReader(b), wire.MaxObject, h)
		}
		return Decode(b, v)
	}
	packages := 0
	for _, a := range in.Actions {
		if a.Do != "remove" {
			packages++
		}
	}
	if packages != len(in.Contents) {
		return nil, fault.New(fault.Invalid, "%d packages to unpack but %d content lists", packages, len(in.Contents))
	}
	next := 0
	for _, a := range in.Actions {
		if a.Do == "remove" {
			continue
		}
		c := &Contents{}
		if err := load(in.Contents[next], c); err != nil {
			return nil, err
		}
		if c.Name != a.Name || c.Version != a.To || c.SHA256 != a.SHA256 {
			return nil, fault.New(fault.Invalid, "content list of %s %s is for %s %s", a.Name, a.To, c.Name, c.Version)
		}
		s.contents = append(s.contents, c)
		next++
	}
	var m Manifest
	for digest, v := range map[string]any{in.Before.Facts: s.before, in.After.Facts: s.after, in.Manifest: &m} {
		if err := load(digest, v); err != nil {
			return nil, err
		}
	}
	for _, c := range m.Changes {
		switch p, inside := within(i.Root, c.Path); {
		case !inside:
		case c.After == nil:
			s.gone[p] = true
		default:
			s.staged[p] = append(s.staged[p], *c.After)
		}
	}
	s.expected = predict(in.Actions, s.contents, s.before, wasAt)
	return s, s.renewed(i, load)
}

// reconcile gives each changed path, and each path that should have changed, its verdict.
func (s *scene) reconcile(in *Input) *Report {
	r := &Report{Order: in.Order, Host: in.Host, Counts: map[Verdict]int{}, Lines: []Line{}}
	changed := map[string]bool{}
	for _, c := range in.Changes {
		changed[c.Path] = true
		r.Lines = append(r.Lines, s.judge(c))
	}
	for _, path := range slices.Sorted(maps.Keys(s.expected)) {
		if changed[path] {
			continue
		}
		now := s.isAt(path)
		want := s.expected[path]
		why := s.differs(path, want, now)
		if why == "" || want.MayStay {
			r.Already++
			continue
		}
		l := Line{Path: path, Verdict: Missing, Rule: want.Rule, Package: want.Package, Why: why, Before: s.wasAt(path), After: now,
			Expected: want.entry()}
		if s.asStaged(path, now) {
			l.Verdict = AsStaged
		}
		r.Lines = append(r.Lines, l)
	}
	slices.SortStableFunc(r.Lines, func(a, b Line) int { return strings.Compare(a.Path, b.Path) })
	for _, l := range r.Lines {
		r.Counts[l.Verdict]++
	}
	return r
}

func (e Expected) entry() *filetree.Entry {
	if e.Gone {
		return nil
	}
	return &e.Entry
}

// judge finds the account of one change: prediction, derivation, stage, in this order.
func (s *scene) judge(c filetree.Change) Line {
	l := Line{Path: c.Path, Before: c.Before, After: c.After}
	want, predicted := s.expected[c.Path]
	if predicted {
		why := s.differs(c.Path, want, c.After)
		if why == "" {
			l.Verdict, l.Rule, l.Package = AsShipped, want.Rule, want.Package
			return l
		}
		l.Rule, l.Package, l.Why, l.Expected = want.Rule, want.Package, why, want.entry()
	} else if s.outside && comesAndGoes(c) {
		l.Verdict, l.Rule = Derived, "volatile"
		return l
	} else if rule, pkg, why := s.derive(c); rule != "" {
		if why == "" {
			l.Verdict, l.Rule, l.Package = Derived, rule, pkg
			return l
		}
		l.Why = rule + ": " + why
	} else if l.Why = "no package of the transaction ships it and no rule derives it"; s.outside {
		l.Why = "changed while no order ran"
	}
	if s.asStaged(c.Path, c.After) {
		l.Verdict, l.Why = AsStaged, ""
		return l
	}
	l.Verdict = Unexplained
	return l
}

// differs says in what a path's state is not the expected one, or "".
func (s *scene) differs(path string, want Expected, now *filetree.Entry) string {
	switch {
	case want.Gone && now == nil:
		return ""
	case want.Gone:
		return "should be gone"
	case now == nil:
		return "is not there"
	}
	e := want.Entry
	if m, ok := scriptModes[path]; ok && now.Mode == m.mode && now.Group == m.group {
		e.Mode, e.Group = m.mode, m.group
	}
	if e.Type == filetree.Dir {
		e.Size = 0
	}
	return unlike(e, *now)
}

// unlike names the first attribute in which two entries are not alike, owners by name; "" if they are. What could not be
// read is like nothing.
func unlike(want, now filetree.Entry) string {
	switch {
	case want.Type != now.Type:
		return fmt.Sprintf("is of type %s, expected %s", now.Type, want.Type)
	case want.Note == filetree.Secret || now.Note == filetree.Secret:
		return "is secret by the host's scan policy: it can be said to have changed, not to what"
	case want.Note != now.Note, !byPolicy(now.Note):
		return "could not be described in full: " + now.Note
	case want.Mode != now.Mode:
		return fmt.Sprintf("has mode %04o, expected %04o", now.Mode, want.Mode)
	case !sameOwner(want.User, want.UID, now.User, now.UID):
		return fmt.Sprintf("belongs to %q (%d), expected %q", now.User, now.UID, want.User)
	case !sameOwner(want.Group, want.GID, now.Group, now.GID):
		return fmt.Sprintf("is of group %q (%d), expected %q", now.Group, now.GID, want.Group)
	case want.SHA256 != now.SHA256 || want.Size != now.Size:
		return "has other content"
	case want.Target != now.Target:
		return "links elsewhere"
	case want.Rdev != now.Rdev:
		return "is another device"
	case !maps.Equal(want.Xattrs, now.Xattrs):
		return "has other extended attributes"
	}
	return ""
}

// byPolicy tells notes that leave nothing open, which are two alike if they are the same, from those that say what could not be read.
func byPolicy(note string) bool {
	switch note {
	case "", filetree.Excluded, filetree.Mount, filetree.Volatile, filetree.Sparse:
		return true
	}
	return false
}

// sameOwner compares owners by name; by number where one has no name on its host.
func sameOwner(name string, id uint32, otherName string, otherID uint32) bool {
	if name != "" && otherName != "" {
		return name == otherName
	}
	return id == otherID
}

// asStaged reports whether stage showed this state of this path.
func (s *scene) asStaged(path string, now *filetree.Entry) bool {
	if now == nil {
		return s.gone[path]
	}
	return slices.ContainsFunc(s.staged[path], func(e filetree.Entry) bool { return unlike(e, *now) == "" })
}
