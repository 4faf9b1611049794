package evidence

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// decisions: each package was let in by an accepting decision, signed by the person whom the record names and in force
// when the snapshot was proposed.
func (a *audit) decisions() (string, error) {
	made := map[string][]entry{} // by decision; for each vulnerability the first: the same yes handed in again is no new one
	for _, e := range a.acts {
		id := decisionOf(e.Act)
		if id != "" && !slices.ContainsFunc(made[id], func(o entry) bool { return o.Subject == e.Subject }) {
			made[id] = append(made[id], e)
		}
	}
	count := 0
	for _, digest := range slices.Sorted(maps.Keys(a.records)) {
		r := a.records[digest]
		proposed, err := a.proposed(digest, r)
		if err != nil {
			return "", err
		}
		checked := map[string]string{} // decision → person
		for _, p := range r.Packages {
			person, ok := checked[p.Decision]
			if !ok {
				if person, err = a.decision(p.Decision, made, proposed); err != nil {
					return "", fmt.Errorf("decision %s for %s %s: %w", p.Decision, p.Name, p.Version, err)
				}
				checked[p.Decision] = person
			}
			if person != p.AcceptedBy {
				return "", fault.Refuse(fault.MixMatch, "%s %s was accepted by %s, not by %s as the curation record says", p.Name, p.Version, person, p.AcceptedBy)
			}
		}
		count += len(checked)
	}
	return fmt.Sprintf("%d decision(s) to accept, in force when the snapshot was proposed, signed by the people whom the curation records name", count), nil
}

// proposed finds the entry by which a curation record's author proposed it, with its digest.
func (a *audit) proposed(digest string, r warrant.Record) (entry, error) {
	all := a.on("snapshot/"+r.Snapshot, "snapshot.proposed")
	i := slices.IndexFunc(all, func(e entry) bool { return e.Who == "person/"+r.Author && slices.Contains(e.Facts, digest) })
	if i < 0 {
		return entry{}, fault.Refuse(fault.Unlogged, "no entry of the ledger says that %s proposed the curation record %s", r.Author, digest)
	}
	return all[i], nil
}

// decision checks one that let a package in. One about many vulnerabilities has an entry for each, and must have lasted for one.
func (a *audit) decision(id string, made map[string][]entry, proposed entry) (person string, err error) {
	err = fault.Refuse(Lacking, "it is not in the ledger's entries here")
	for _, act := range made[id] {
		if person, err = a.decidedAt(id, act, proposed); err == nil {
			return person, nil
		}
	}
	return "", err
}

func (a *audit) decidedAt(id string, act, proposed entry) (person string, err error) {
	d, err := a.decided(act)
	if err != nil {
		return "", err
	}
	e := a.envelopes[act.Facts[0]]
	root, err := a.root(d.TrustRoot, act)
	if err != nil {
		return "", err
	}
	signers, err := approvals(root, e, triage.DecisionType)
	if err != nil {
		return "", err
	}
	if len(signers) != 1 || signers[0].Person.ID != d.Person || d.ID != id || d.Kind != triage.Accept || !slices.Contains(d.About(), strings.TrimPrefix(act.Subject, "vulnerability/")) {
		return "", fault.Refuse(fault.MixMatch, "it is decision %s to %s about %s by %s", d.ID, d.Kind, d.Vulnerability, d.Person)
	}
	if act.index > proposed.index {
		return "", fault.Refuse(Lapsed, "it was made at entry %d, after the snapshot was proposed at entry %d", act.index, proposed.index)
	}
	return d.Person, a.lasted(d, act, proposed)
}

// decided reads what was signed at an entry.
func (a *audit) decided(act entry) (d triage.Decision, err error) {
	if len(act.Facts) > 0 {
		if e, ok := a.envelopes[act.Facts[0]]; ok {
			if d, err = triage.DecodeDecision(e.Payload); err != nil {
				err = fault.Refuse(fault.Malformed, "%w", err)
			}
			return d, err
		}
	}
	return d, fault.Refuse(Lacking, "the signed envelope of entry %d (%s on %s) is not in the bundle", act.index, act.Kind, act.Subject)
}

// lasted refuses a decision that ended between its entry and the proposal: re-opened, or replaced by another of its scope.
// What another decided is read from what was signed: the server may keep silent about what it replaced.
func (a *audit) lasted(d triage.Decision, made, proposed entry) error {
	for _, e := range a.on(made.Subject, "") {
		if e.index <= made.index || e.index > proposed.index {
			continue
		}
		switch e.Kind {
		case "decision.reopened":
			if slices.Contains(e.Facts, made.Facts[0]) {
				return fault.Refuse(Lapsed, "it was re-opened at entry %d, before the snapshot was proposed at entry %d", e.index, proposed.index)
			}
		case decisionKind:
			other, err := a.decided(e)
			if err != nil {
				return err
			}
			if other.ID != d.ID && other.Scope == d.Scope {
				return fault.Refuse(Lapsed, "decision %s took its place at entry %d, before the snapshot was proposed at entry %d", other.ID, e.index, proposed.index)
			}
		}
	}
	return nil
}
