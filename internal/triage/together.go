package triage

import (
	"context"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Item is one more vulnerability that a decision is about, and what the decision about it rests on.
type Item struct {
	Vulnerability string   `json:"vulnerability"`
	Facts         []string `json:"facts"` // digests, sorted
}

// MaxTogether is how many vulnerabilities one decision can be about.
const MaxTogether = 1000

// About gives the vulnerabilities that the decision is about, sorted.
func (d Decision) About() []string {
	all := []string{d.Vulnerability}
	for _, item := range d.Also {
		all = append(all, item.Vulnerability)
	}
	return all
}

// Parts gives what the decision says of each vulnerability, as a decision about it alone.
func (d Decision) Parts() []Decision {
	parts := make([]Decision, 0, 1+len(d.Also))
	for _, item := range append([]Item{{d.Vulnerability, d.Facts}}, d.Also...) {
		part := d
		part.Vulnerability, part.Facts, part.Also = item.Vulnerability, item.Facts, nil
		parts = append(parts, part)
	}
	return parts
}

// Together makes a decision about one vulnerability one about several, in order and none twice; the facts are for Draft to fill in.
func (d Decision) Together(names []string) Decision {
	names = slices.Compact(slices.Sorted(slices.Values(append(slices.Clone(names), d.Vulnerability))))
	d.Vulnerability, d.Also = names[0], nil
	for _, name := range names[1:] {
		d.Also = append(d.Also, Item{Vulnerability: name})
	}
	return d
}

// Made gives what a decision that came in force says of each of its vulnerabilities, by name; or NotFound.
func (t *Triage) Made(ctx context.Context, id string) (parts []PastDecision, err error) {
	err = t.DB.Read(ctx, func(tx *db.Tx) error {
		parts, err = loadMade(ctx, tx, id)
		if err == nil && len(parts) == 0 {
			err = fault.New(fault.NotFound, "no decision with this ID was made, and none waits for anyone")
		}
		return err
	})
	return parts, err
}

// checkAlso finds what is wrong with the further vulnerabilities.
func (d Decision) checkAlso() error {
	names := d.About()
	switch {
	case len(names) > MaxTogether:
		return fault.New(fault.Invalid, "decision: it is about %d vulnerabilities, the most is %d", len(names), MaxTogether)
	case !slices.IsSorted(names) || len(slices.Compact(slices.Clone(names))) != len(names):
		return d.invalid("also", "is unsorted, or names a vulnerability twice")
	}
	for _, part := range d.Parts() {
		switch {
		case !vulnerabilityForm.MatchString(part.Vulnerability):
			return d.invalid("vulnerability", "is not of the form CVE-…/source")
		case len(part.Facts) == 0 || !slices.IsSorted(part.Facts) || len(slices.Compact(slices.Clone(part.Facts))) != len(part.Facts):
			return d.invalid("facts", "are missing, unsorted or repeated")
		}
	}
	return nil
}

// groundsOfAll gives the grounds of all parts as of now; where nothing is stated about one, NotFound names it.
func (t *Triage) groundsOfAll(ctx context.Context, parts []Decision) ([]grounds, error) {
	scope := parts[0].Scope
	in, err := t.groupsOf(ctx, scope)
	if err == nil {
		err = in.check(scope)
	}
	if err != nil {
		return nil, err
	}
	all := make([]grounds, len(parts))
	err = t.read(ctx, func() {
		for i, part := range parts {
			all[i] = t.groundsOf(part.Vulnerability, scope, in)
		}
	})
	if err != nil {
		return nil, err
	}
	for i, part := range parts {
		if len(all[i].leading) == 0 {
			return nil, fault.New(fault.NotFound, "no source states anything about %.200q; the form is CVE-…/source", part.Vulnerability)
		}
	}
	return all, nil
}

// allowed refuses what cannot be decided on these facts.
func allowed(parts []Decision, on []grounds) error {
	for i, part := range parts {
		if err := on[i].allow(part); err != nil {
			return err
		}
	}
	return nil
}

// unchanged refuses a decision as a whole where the facts about one of its vulnerabilities changed, and says about which.
func unchanged(parts []Decision, on []grounds) error {
	var changed []string
	for i, part := range parts {
		if !slices.Equal(on[i].digests(), part.Facts) {
			changed = append(changed, part.Vulnerability)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	return fault.New(fault.Conflict, "decision: the facts about %s changed since it was drafted; look again", listed(changed))
}

// listed names things, the first of them where they are many.
func listed(names []string) string {
	const most = 10
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", …"
}
