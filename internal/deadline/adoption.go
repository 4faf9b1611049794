package deadline

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/admit"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// State of a policy.
type State string

// The states.
const (
	Proposed   State = "proposed"
	InForce    State = "in-force"
	Superseded State = "superseded"
	Withdrawn  State = "withdrawn"
)

// Adoption is a policy with what people did about it.
type Adoption struct {
	policy.Policy
	Digest     string     `json:"digest"` // sha256 of the payload
	State      State      `json:"state"`
	Payload    []byte     `json:"payload"`
	Approvals  []Approval `json:"approvals"`
	InForceAt  time.Time  `json:"in_force_at,omitzero"`
	EndedAt    time.Time  `json:"ended_at,omitzero"`
	compiled   *policy.Compiled
	proposedAt time.Time
}

// Approval is a signature over a policy.
type Approval struct {
	Person    string             `json:"person"`
	At        time.Time          `json:"at"`
	Signature envelope.Signature `json:"signature"`
}

// InForce gives the policy by which clocks run: the one people signed, or else the default as shipped, whose version is 0.
func (d *Deadlines) InForce(ctx context.Context) (*policy.Compiled, error) {
	all, err := d.Policies(ctx)
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(all, func(a Adoption) bool { return a.State == InForce }); i >= 0 {
		return all[i].compiled, nil
	}
	return d.shipped()
}

// Policies gives all policies ever proposed, the newest first.
func (d *Deadlines) Policies(ctx context.Context) (all []Adoption, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadPolicies(ctx, tx)
		return err
	})
	return all, err
}

// Policy gives one by the digest of its payload, or NotFound.
func (d *Deadlines) Policy(ctx context.Context, digest string) (a Adoption, err error) {
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		a, err = loadPolicy(ctx, tx, digest)
		return err
	})
	return a, err
}

// Propose completes a policy with the next version, its author and the trust root of now. It is in force once others have
// signed it as the class policy demands.
func (d *Deadlines) Propose(ctx context.Context, who string, p policy.Policy) (a Adoption, err error) {
	root, err := d.Root.CurrentRoot(ctx)
	if err != nil {
		return a, err
	}
	if _, ok := root.Rule(trustroot.Policy); !ok {
		return a, fault.Refuse(fault.Class, "trust root version %d has no rule for class %s: add one before a policy is proposed", root.Version, trustroot.Policy)
	}
	now := d.Now().UTC().Truncate(time.Microsecond)
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		last, err := lastPolicy(ctx, tx)
		if err != nil {
			return err
		}
		p.Version, p.Person, p.TrustRoot, p.MadeAt = last+1, who, warrant.RefOf(root), now
		payload, err := p.Encode()
		if err != nil {
			return err
		}
		c, err := policy.Decode(payload) // what is kept is what others read
		if err != nil {
			return err
		}
		a = Adoption{Policy: c.Policy, Digest: envelope.Digest(payload), State: Proposed, Payload: payload, compiled: c, proposedAt: now}
		if _, err := blob.PutBytes(ctx, d.Blobs, payload); err != nil {
			return err
		}
		if err := savePolicy(ctx, tx, a); err != nil {
			return err
		}
		_, err = d.act(ctx, tx, "person/"+who, "policy.proposed", policySubject(a), []string{a.Digest}, map[string]any{"name": p.Name})
		return err
	})
	if err != nil {
		return a, fmt.Errorf("propose policy: %w", err)
	}
	return a, nil
}

func policySubject(a Adoption) string { return fmt.Sprintf("policy/%d", a.Version) }

// Sign takes who's signature over a proposed policy. With the quorum of class policy complete it is in force, in the place of
// the one before. Codes: SIGNATURE, AUTHOR, ROOT-EXPIRED, ROOT-ROLLBACK, CLASS.
func (d *Deadlines) Sign(ctx context.Context, who, digest string, signature envelope.Signature) (a Adoption, err error) {
	root, err := d.Root.CurrentRoot(ctx)
	if err == nil {
		err = root.Current(d.Now())
	}
	if err != nil {
		return a, err
	}
	err = d.DB.Write(ctx, func(tx *db.Tx) error {
		if a, err = loadPolicy(ctx, tx, digest); err != nil {
			return err
		}
		if err := mayApprove(root, a, who, signature); err != nil {
			return err
		}
		a.Approvals = append(a.Approvals, Approval{who, d.Now().UTC().Truncate(time.Microsecond), signature})
		_, err := d.act(ctx, tx, "person/"+who, "policy.approved", policySubject(a), []string{digest}, map[string]any{"key": signature.KeyID, "kind": signature.Kind})
		if err != nil {
			return err
		}
		if err := staff.Unmoved(ctx, tx, d.Root, warrant.RefOf(root)); err != nil {
			return err
		}
		return d.adopt(ctx, tx, root, &a)
	})
	if err != nil {
		return a, fmt.Errorf("sign policy: %w", err)
	}
	return a, nil
}

// mayApprove decides whether a signature counts as who's approval.
func mayApprove(root *trustroot.Root, a Adoption, who string, signature envelope.Signature) error {
	switch {
	case a.State != Proposed:
		return fault.New(fault.Conflict, "the policy is %s, not proposed", a.State)
	case a.TrustRoot != warrant.RefOf(root):
		return fault.Refuse(fault.RootRollback, "it was made under trust root version %d; version %d is in force: propose it again", a.TrustRoot.Version, root.Version)
	case who == a.Person:
		return fault.Refuse(fault.Author, "%s proposed it; others approve", who)
	case slices.ContainsFunc(a.Approvals, func(x Approval) bool { return x.Person == who }):
		return fault.New(fault.Conflict, "%s has signed it already", who)
	}
	approvals, err := root.Approvals(a.envelope(signature))
	if err != nil {
		return err
	}
	if approvals[0].Person.ID != who {
		return fault.Refuse(fault.BadSignature, "the signature is %s's, not %s's", approvals[0].Person.ID, who)
	}
	rule, _ := root.Rule(trustroot.Policy)
	return admit.Person(rule.Seats, approvals[0].Person) // a policy is for hosts anywhere
}

func (a Adoption) envelope(signatures ...envelope.Signature) envelope.Envelope {
	return envelope.Envelope{PayloadType: policy.Type, Payload: a.Payload, Signatures: signatures}
}

// adopt saves the policy, in force if its signatures fill the quorum; too few of them are no error.
func (d *Deadlines) adopt(ctx context.Context, tx *db.Tx, root *trustroot.Root, a *Adoption) error {
	var signatures []envelope.Signature
	for _, x := range a.Approvals {
		signatures = append(signatures, x.Signature)
	}
	approvals, err := root.Approvals(a.envelope(signatures...))
	if err != nil {
		return err
	}
	if err := root.Quorum(trustroot.Policy, a.Person, approvals); admit.Lacking(err) {
		return savePolicy(ctx, tx, *a)
	} else if err != nil {
		return err
	}
	all, err := loadPolicies(ctx, tx)
	if err != nil {
		return err
	}
	now := d.Now().UTC().Truncate(time.Microsecond)
	for _, other := range all {
		if other.State == InForce && other.Version > a.Version {
			return fault.New(fault.Conflict, "version %d is in force, which is later: propose it again", other.Version)
		}
		if other.State == InForce {
			other.State, other.EndedAt = Superseded, now
			if err := savePolicy(ctx, tx, other); err != nil {
				return err
			}
		}
	}
	a.State, a.InForceAt = InForce, now
	if err := savePolicy(ctx, tx, *a); err != nil {
		return err
	}
	_, err = d.act(ctx, tx, "server", "policy.adopted", policySubject(*a), []string{a.Digest}, map[string]any{"name": a.Name})
	return err
}

// Withdraw ends a proposal; its author or anyone who may approve does so.
func (d *Deadlines) Withdraw(ctx context.Context, who, digest string) error {
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		a, err := loadPolicy(ctx, tx, digest)
		if err != nil {
			return err
		}
		if a.State != Proposed {
			return fault.New(fault.Conflict, "the policy is %s, not proposed", a.State)
		}
		a.State, a.EndedAt = Withdrawn, d.Now().UTC().Truncate(time.Microsecond)
		if err := savePolicy(ctx, tx, a); err != nil {
			return err
		}
		_, err = d.act(ctx, tx, "person/"+who, "policy.withdrawn", policySubject(a), []string{digest}, map[string]any{})
		return err
	})
}
