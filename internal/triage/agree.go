package triage

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
)

// Waiting is a decision that a second person has to agree to.
type Waiting struct {
	Decision
	Payload  []byte            `json:"payload"`
	SHA256   string            `json:"sha256"` // of the payload
	Envelope envelope.Envelope `json:"-"`
	Needs    [][]string        `json:"needs"` // roles, by seat
	Until    time.Time         `json:"waits_until"`
}

// proposedDecision is the detail of the act decision.proposed. Its facts: the payload and the envelope.
type proposedDecision struct {
	Decision string `json:"decision"`
	Kind     string `json:"kind"`
	Scope    string `json:"scope"`
}

// wait keeps a decision with its first signature.
func (t *Triage) wait(ctx context.Context, d Decision, e envelope.Envelope) error {
	payload, err := blob.PutBytes(ctx, t.Blobs, e.Payload)
	if err != nil {
		return err
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
		if err := insertWaiting(ctx, tx, d, signed); err != nil {
			return err
		}
		for _, vulnerability := range d.About() {
			if err := t.act(ctx, tx, "person/"+d.Person, "decision.proposed", vulnerability, []string{payload, digest}, proposedDecision{d.ID, d.Kind, d.Scope}); err != nil {
				return err
			}
		}
		return nil
	})
}

// WaitingDecisions gives those that wait for a second person, the oldest first.
func (t *Triage) WaitingDecisions(ctx context.Context) (all []Waiting, err error) {
	err = t.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadWaiting(ctx, tx, "")
		return err
	})
	return all, err
}

// WaitingDecision gives one of them, or NotFound.
func (t *Triage) WaitingDecision(ctx context.Context, id string) (w Waiting, err error) {
	err = t.DB.Read(ctx, func(tx *db.Tx) error {
		all, err := loadWaiting(ctx, tx, id)
		if err == nil && len(all) == 0 {
			err = fault.New(fault.NotFound, "no decision with this ID waits for anyone")
		}
		if err == nil {
			w = all[0]
		}
		return err
	})
	return w, err
}

// Agree takes the second person's signature over a decision that waits. With it the decision is in force, unless its facts
// changed meanwhile.
func (t *Triage) Agree(ctx context.Context, who, id string, signature envelope.Signature) (Decided, error) {
	w, err := t.WaitingDecision(ctx, id)
	if err != nil {
		return Decided{}, err
	}
	if who == w.Person {
		return Decided{}, fault.Refuse(fault.Author, "decision: %s made it; another agrees", who)
	}
	root, err := t.Root.CurrentRoot(ctx)
	if err != nil {
		return Decided{}, err
	}
	e := w.Envelope
	e.Signatures = append(slices.Clone(e.Signatures), signature)
	approvals, err := root.Approvals(e)
	if err != nil {
		return Decided{}, err
	}
	if signer := approvals[len(approvals)-1].Person.ID; signer != who {
		return Decided{}, fault.Refuse(fault.BadSignature, "decision: the signature is %s's, not %s's", signer, who)
	}
	return t.hand(ctx, w.Decision, e, true)
}

// Refuse ends a decision that waits: its author thought better of it, or the other does not agree. It is a Conflict where
// somebody agreed, or refused, meanwhile.
func (t *Triage) Refuse(ctx context.Context, who, id, reason string) error {
	reason, err := ledger.Reason(reason)
	if err != nil {
		return err
	}
	w, err := t.WaitingDecision(ctx, id)
	if err != nil {
		return err
	}
	return t.endWaiting(ctx, w, "person/"+who, "decision.refused", reason)
}

func (t *Triage) endWaiting(ctx context.Context, w Waiting, who, kind, why string) error {
	err := t.DB.Write(ctx, func(tx *db.Tx) error {
		waited, err := dropWaiting(ctx, tx, w.ID)
		if err != nil {
			return err
		}
		if !waited {
			return over(w.ID)
		}
		for _, vulnerability := range w.About() {
			if err := t.act(ctx, tx, who, kind, vulnerability, []string{w.SHA256}, reopened{w.ID, why}); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("end decision %s: %w", w.ID, err)
	}
	return nil
}

func over(id string) error {
	return fault.New(fault.Conflict, "decision %s does not wait any more: it was agreed to, refused, or lapsed; look again", id)
}

// lapse ends those that waited too long, or whose facts changed.
func (t *Triage) lapse(ctx context.Context) error {
	all, err := t.WaitingDecisions(ctx)
	if err != nil {
		return err
	}
	why := map[string]string{}
	scopes := make([]string, 0, len(all))
	for _, w := range all {
		scopes = append(scopes, w.Scope)
	}
	in, err := t.groupsOf(ctx, scopes...)
	if err != nil {
		return err
	}
	err = t.read(ctx, func() {
		for _, w := range all {
			for _, part := range w.Parts() {
				if !slices.Equal(t.groundsOf(part.Vulnerability, w.Scope, in).digests(), part.Facts) {
					why[w.ID] = "the facts about " + part.Vulnerability + " changed"
				}
			}
			if !t.Now().Before(w.Until) {
				why[w.ID] = "nobody agreed in time"
			}
		}
	})
	for _, w := range all {
		if err == nil && why[w.ID] != "" {
			err = t.endWaiting(ctx, w, "server", "decision.lapsed", why[w.ID])
		}
		if fault.KindOf(err) == fault.Conflict {
			err = nil // a person was faster
		}
	}
	return err
}
