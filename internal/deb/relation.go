package deb

import (
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Relation is one alternative of Depends, Conflicts, Provides and the like. Op is "", "<<", "<=", "=", ">=" or ">>".
type Relation struct {
	Name      string
	Qualifier string // after the colon: "any", "native" or an architecture
	Op        string
	Version   string
}

// String gives the relation as a control file writes it.
func (r Relation) String() string {
	s := r.Name
	if r.Qualifier != "" {
		s += ":" + r.Qualifier
	}
	if r.Op != "" {
		s += " (" + r.Op + " " + r.Version + ")"
	}
	return s
}

const maxRelations = 10_000

// ParseRelations reads a relation field of a binary package: every one of the outer list must hold, and of each inner list
// at least one. An empty field gives no relations. Restrictions to architectures or build profiles belong to source
// packages and are refused here.
func ParseRelations(value string) ([][]Relation, error) {
	if strings.TrimSpace(value) == "" {
		return nil, nil
	}
	var all [][]Relation
	for clause := range strings.SplitSeq(value, ",") {
		if clause = strings.TrimSpace(clause); clause == "" {
			continue // dpkg accepts a comma at the end
		}
		var alternatives []Relation
		for alternative := range strings.SplitSeq(clause, "|") {
			r, err := parseRelation(strings.TrimSpace(alternative))
			if err != nil {
				return nil, err
			}
			alternatives = append(alternatives, r)
		}
		if all = append(all, alternatives); len(all) > maxRelations {
			return nil, fault.New(fault.Invalid, "more than %d relations in one field", maxRelations)
		}
	}
	return all, nil
}

func parseRelation(s string) (Relation, error) {
	bad := fault.New(fault.Invalid, "relation %.200q is not of the form \"name (>= version)\"", s)
	var r Relation
	end := strings.IndexAny(s, " \t\n(")
	if end < 0 {
		end = len(s)
	}
	r.Name, r.Qualifier, _ = strings.Cut(s[:end], ":")
	if !ValidName(r.Name) || strings.Contains(s[:end], ":") && !ValidArch(r.Qualifier) {
		return r, bad
	}
	rest := strings.TrimSpace(s[end:])
	if rest == "" {
		return r, nil
	}
	inner, opened := strings.CutPrefix(rest, "(")
	inner, closed := strings.CutSuffix(inner, ")")
	if !opened || !closed {
		return r, bad
	}
	inner = strings.TrimSpace(inner)
	for _, op := range []string{"<<", "<=", ">=", ">>", "=", "<", ">"} {
		if version, ok := strings.CutPrefix(inner, op); ok {
			r.Op, r.Version = op, strings.TrimSpace(version)
			break
		}
	}
	switch r.Op { // dpkg reads the old single signs as "or equal"
	case "<", ">":
		r.Op += "="
	case "":
		return r, bad
	}
	if ValidVersion(r.Version) != nil {
		return r, bad
	}
	return r, nil
}

// Accepts reports whether a version satisfies the relation's version condition.
func (r Relation) Accepts(version string) bool {
	if r.Op == "" {
		return true
	}
	c := Compare(version, r.Version)
	switch r.Op {
	case "<<":
		return c < 0
	case "<=":
		return c <= 0
	case "=":
		return c == 0
	case ">=":
		return c >= 0
	default:
		return c > 0
	}
}

// SatisfiedBy reports whether the package name at version, which provides the given names, satisfies the relation. A
// provided name without a version satisfies only a relation without one (Debian policy 7.5). Architectures are the
// caller's matter.
func (r Relation) SatisfiedBy(name, version string, provides [][]Relation) bool {
	if r.Name == name && r.Accepts(version) {
		return true
	}
	return r.satisfiedByProvided(provides)
}

func (r Relation) satisfiedByProvided(provides [][]Relation) bool {
	for _, alternatives := range provides {
		for _, p := range alternatives {
			if p.Name == r.Name && (r.Op == "" || p.Op == "=" && r.Accepts(p.Version)) {
				return true
			}
		}
	}
	return false
}
