package triage

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/admit"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// PastDecision is a decision as it is kept: in force, or ended and why.
type PastDecision struct {
	Decision
	Envelope  string    `json:"envelope"`           // digest of the signed envelope, a blob
	Signed    string    `json:"signed"`             // digest of the signed bytes
	Together  int       `json:"together,omitempty"` // of a decision about many vulnerabilities: how many
	DecidedAt time.Time `json:"decided_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"` // zero: in force
	Ended     string    `json:"ended,omitempty"`
}

// Draft completes what a person wants to decide (Vulnerability, Also, Kind, Scope, Justification, Reason, Until) with the facts
// and the trust root of now, and gives the payload for Who to sign and hand to Decide. Nothing is kept.
func (t *Triage) Draft(ctx context.Context, who string, d Decision) ([]byte, error) {
	root, err := t.Root.CurrentRoot(ctx)
	if err != nil {
		return nil, err
	}
	on, err := t.groundsOfAll(ctx, d.Parts())
	if err != nil {
		return nil, err
	}
	now := t.Now().UTC().Truncate(time.Microsecond)
	d.ID, d.Facts, d.Person, d.TrustRoot, d.MadeAt = id.New("dec", now), on[0].digests(), who, warrant.RefOf(root), now
	for i := range d.Also {
		d.Also[i].Facts = on[i+1].digests()
	}
	if err := d.check(); err != nil {
		return nil, err
	}
	if err := allowed(d.Parts(), on); err != nil {
		return nil, err
	}
	touched, err := t.touched(ctx, root, d)
	if err != nil {
		return nil, err
	}
	p, _ := root.Person(who)
	if err := admit.Person(kinds[d.Kind], p, touched...); err != nil {
		return nil, fmt.Errorf("decision: %w", err)
	}
	return d.Encode()
}

// Decided is what came of handing in a signature: the decision is in force, or waits for who else has to agree.
type Decided struct {
	Decision
	InForce bool `json:"in_force"`
}

// Decide takes a decision that who signed over exactly what Draft gave. One that needs a second person waits for them, at
// most a week; any other is in force, and the one in force on the same vulnerability and scope ends. It is a Conflict when
// the facts or the trust root changed since, or the decision is known.
func (t *Triage) Decide(ctx context.Context, who string, e envelope.Envelope) (Decided, error) {
	if e.PayloadType != DecisionType {
		return Decided{}, fault.New(fault.Invalid, "decision: the envelope holds %.100q", e.PayloadType)
	}
	d, err := DecodeDecision(e.Payload)
	if err != nil {
		return Decided{}, err
	}
	if d.Person != who {
		return Decided{}, fault.New(fault.Denied, "decision: %s cannot hand in what %s decides", who, d.Person)
	}
	return t.hand(ctx, d, e, false)
}

// hand checks a decision with the signatures there are, and keeps it: in force, or waiting. One that waited must wait still.
func (t *Triage) hand(ctx context.Context, d Decision, e envelope.Envelope, waited bool) (Decided, error) {
	within := maxDrafted
	if waited {
		within = maxWaiting
	}
	root, err := t.Root.CurrentRoot(ctx)
	if err != nil {
		return Decided{}, err
	}
	touched, err := t.touched(ctx, root, d)
	if err != nil {
		return Decided{}, err
	}
	complete, err := d.verify(e, root, touched, t.Now(), within)
	if err != nil {
		return Decided{}, err
	}
	on, err := t.groundsOfAll(ctx, d.Parts())
	if err != nil {
		return Decided{}, err
	}
	if err := unchanged(d.Parts(), on); err != nil {
		return Decided{}, err
	}
	if err := allowed(d.Parts(), on); err != nil {
		return Decided{}, err
	}
	if complete {
		err = t.keep(ctx, d, e, on, waited)
	} else {
		err = t.wait(ctx, d, e)
	}
	if err != nil {
		return Decided{}, fmt.Errorf("decide about %s: %w", d.Vulnerability, err)
	}
	return Decided{d, complete}, nil
}

// decided is the detail of the act decision.made. Its facts: the payload, the envelope, then what the decision cites.
type decided struct {
	Decision   string    `json:"decision"`
	Kind       string    `json:"kind"`
	Scope      string    `json:"scope"`
	Until      time.Time `json:"until,omitzero"`
	Supersedes string    `json:"supersedes,omitempty"`
	Together   int       `json:"together,omitempty"` // vulnerabilities that it is about, where they are many
}

func (t *Triage) keep(ctx context.Context, d Decision, e envelope.Envelope, on []grounds, waited bool) error {
	put := map[string]bool{}
	for _, g := range on {
		for _, f := range g.cited {
			if digest := envelope.Digest(f); !put[digest] {
				put[digest] = true
				if _, err := blob.PutBytes(ctx, t.Blobs, f); err != nil {
					return err
				}
			}
		}
	}
	signed, err := envelope.Encode(e)
	if err != nil {
		return err
	}
	digest, err := blob.PutBytes(ctx, t.Blobs, signed)
	if err != nil {
		return err
	}
	return t.DB.Write(ctx, func(tx *db.Tx) error {
		known, err := hasDecision(ctx, tx, d.ID)
		if err != nil {
			return err
		}
		if known {
			return fault.New(fault.Conflict, "decision %s was handed in before", d.ID)
		}
		waits, err := dropWaiting(ctx, tx, d.ID)
		if err != nil {
			return err
		}
		if waited && !waits {
			return over(d.ID)
		}
		signed, parts := envelope.Digest(e.Payload), d.Parts()
		for _, part := range parts {
			if err := t.keepPart(ctx, tx, PastDecision{Decision: part, Envelope: digest, Signed: signed, DecidedAt: t.Now(), Together: len(parts)}); err != nil {
				return err
			}
		}
		return staff.Unmoved(ctx, tx, t.Root, d.TrustRoot)
	})
}

// keepPart keeps what a decision says of one vulnerability.
func (t *Triage) keepPart(ctx context.Context, tx *db.Tx, d PastDecision) (err error) {
	act := decided{Decision: d.ID, Kind: d.Kind, Scope: d.Scope, Until: d.Until}
	if d.Together > 1 {
		act.Together = d.Together
	}
	if act.Supersedes, err = inForceAt(ctx, tx, d.Vulnerability, d.Scope); err != nil {
		return err
	}
	if act.Supersedes != "" {
		if err := endDecision(ctx, tx, act.Supersedes, d.Vulnerability, "superseded by "+d.ID, d.DecidedAt); err != nil {
			return err
		}
	}
	if err := insertDecision(ctx, tx, d); err != nil {
		return err
	}
	if d.Kind == Reopen {
		if err := endDecision(ctx, tx, d.ID, d.Vulnerability, "it undid what was decided", d.DecidedAt); err != nil {
			return err
		}
	}
	return t.act(ctx, tx, "person/"+d.Person, "decision.made", d.Vulnerability, append([]string{d.Signed, d.Envelope}, d.Facts...), act)
}

func (t *Triage) act(ctx context.Context, tx *db.Tx, who, kind, vulnerability string, facts []string, detail any) error {
	b, err := envelope.Encode(detail)
	if err != nil {
		return err
	}
	_, err = t.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "vulnerability/" + vulnerability, At: t.Now(), Who: who,
		Facts: facts, Detail: json.RawMessage(b)})
	return err
}

// grounds is what a decision about a vulnerability rests on: the leading statement in each release, and the entry in a
// catalogue of exploited vulnerabilities; for a group also who is in it. Scores that move daily and statements that do not lead are none.
type grounds struct {
	leading []intake.Statement
	cited   [][]byte // sorted by digest
}

func (g grounds) digests() []string {
	digests := make([]string, 0, len(g.cited))
	for _, b := range g.cited {
		digests = append(digests, envelope.Digest(b))
	}
	return digests
}

// allow says what cannot be decided on these facts.
func (g grounds) allow(d Decision) error {
	hasFix := slices.ContainsFunc(g.leading, func(s intake.Statement) bool { return s.Status == intake.Fixed })
	if d.Kind == Accept && !hasFix {
		return fault.New(fault.Conflict, "decision: no source knows a fix for %s, so there is nothing to accept; defer it or find another remedy", d.Vulnerability)
	}
	return nil
}

// groundsOf gives them as of the last sync, with what a scope adds; the caller reads.
func (t *Triage) groundsOf(vulnerability, scope string, in groups) grounds {
	g := grounds{leading: t.leading(vulnerability)}
	for _, s := range g.leading {
		g.cited = append(g.cited, s.Fact())
	}
	name, _, _ := strings.Cut(vulnerability, "/")
	if e := t.knowledge.Signal(name).Exploited; e != nil {
		g.cited = append(g.cited, e.Fact())
	}
	if f := in.fact(scope); f != nil {
		g.cited = append(g.cited, f)
	}
	slices.SortFunc(g.cited, func(a, b []byte) int { return strings.Compare(envelope.Digest(a), envelope.Digest(b)) })
	g.cited = slices.CompactFunc(g.cited, bytes.Equal)
	return g
}

// leading gives what leads in each release; the caller reads.
func (t *Triage) leading(vulnerability string) (all []intake.Statement) {
	name, source, _ := strings.Cut(vulnerability, "/")
	for _, s := range t.fleet.Statements(name, source) {
		if n := len(all); n == 0 || all[n-1].Release != s.Release {
			all = append(all, s)
		}
	}
	return all
}

// reopened is the detail of the act decision.reopened. Its fact is what was signed.
type reopened struct {
	Decision string `json:"decision"`
	Why      string `json:"why"`
}

// Sweep re-opens what does not hold any more: decisions whose term ended, whose facts changed, or that came to concern hosts
// outside the scopes of who signed them. Those that waited for a
// second person in vain lapse.
func (t *Triage) Sweep(ctx context.Context) error {
	if err := t.lapse(ctx); err != nil {
		return err
	}
	all, err := t.current(ctx)
	if err != nil {
		return err
	}
	stale, err := t.stale(ctx, all)
	if err == nil {
		err = t.outgrown(ctx, all, stale)
	}
	if err != nil {
		return err
	}
	for _, d := range all {
		why := stale[name{d.ID, d.Vulnerability}]
		if why == "" {
			continue
		}
		err := t.DB.Write(ctx, func(tx *db.Tx) error {
			now, err := inForceAt(ctx, tx, d.Vulnerability, d.Scope)
			if err != nil || now != d.ID {
				return err // superseded meanwhile
			}
			if err := endDecision(ctx, tx, d.ID, d.Vulnerability, why, t.Now()); err != nil {
				return err
			}
			return t.act(ctx, tx, "server", "decision.reopened", d.Vulnerability, []string{d.Signed}, reopened{d.ID, why})
		})
		if err != nil {
			return fmt.Errorf("re-open %s: %w", d.Vulnerability, err)
		}
	}
	return nil
}

// name is one vulnerability of a decision.
type name struct{ decision, vulnerability string }

// stale says why decisions do not hold any more; of one about many, for which of its vulnerabilities.
func (t *Triage) stale(ctx context.Context, all []PastDecision) (map[name]string, error) {
	why := make(map[name]string)
	scopes := make([]string, 0, len(all))
	for _, d := range all {
		scopes = append(scopes, d.Scope)
	}
	in, err := t.groupsOf(ctx, scopes...)
	if err != nil {
		return nil, err
	}
	err = t.read(ctx, func() {
		for _, d := range all {
			if !slices.Equal(t.groundsOf(d.Vulnerability, d.Scope, in).digests(), d.Facts) {
				why[name{d.ID, d.Vulnerability}] = "the facts it rests on changed"
			}
			if !d.Until.IsZero() && !t.Now().Before(d.Until) {
				why[name{d.ID, d.Vulnerability}] = "its term ended"
			}
		}
	})
	return why, err
}

// Accepted is what curation may let in: a fix that somebody accepted.
type Accepted struct {
	Decision      string `json:"decision"` // ID
	Envelope      string `json:"envelope"` // digest of the signed decision, a blob
	Vulnerability string `json:"vulnerability"`
	Person        string `json:"person"`
	Source        string `json:"source"`
	Release       string `json:"release"`
	FixedVersion  string `json:"fixed_version"` // this version of the source package or a later one
}

// Accepted gives the fixes accepted by decisions in force, one for each release that has one, sorted by source and vulnerability.
func (t *Triage) Accepted(ctx context.Context) ([]Accepted, error) {
	accepted := []Accepted{}
	err := t.read(ctx, func() {
		for _, d := range t.inForce {
			if d.Kind != Accept {
				continue
			}
			for _, s := range t.leading(d.Vulnerability) {
				if s.Status == intake.Fixed {
					accepted = append(accepted, Accepted{d.ID, d.Envelope, d.Vulnerability, d.Person, s.Package, s.Release, s.FixedVersion})
				}
			}
		}
	})
	slices.SortStableFunc(accepted, func(a, b Accepted) int {
		return strings.Compare(a.Source+" "+a.Vulnerability, b.Source+" "+b.Vulnerability)
	})
	return accepted, err
}
