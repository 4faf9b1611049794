// Package retirement takes hosts out of service for good: a document that enough people sign, none of them its author.
package retirement

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/admit"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// PayloadType of a retirement's envelope.
const PayloadType = "application/vnd.patchwarrant.retirement.v1+json"

const predicate = "https://patchwarrant.org/retirement/v1"

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Config of Retirements.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Root   staff.Root
	Estate *estate.Estate
	Now    func() time.Time
}

// Retirements keeps all retirements.
type Retirements struct{ Config }

// New makes Retirements.
func New(c Config) *Retirements { return &Retirements{c} }

// Document is what people sign to take a host out of service for good. Source: R-304.
type Document struct {
	ID          string          `json:"retirement"`
	Host        string          `json:"host"` // ID
	Name        string          `json:"name"`
	Environment string          `json:"environment"`
	Place       trustroot.Place `json:"place,omitzero"` // where the host stands: scopes of who signs cover it
	Reason      string          `json:"reason"`
	Author      string          `json:"author"` // person ID; never counts
	TrustRoot   warrant.RootRef `json:"trust_root"`
	MadeAt      time.Time       `json:"made_at"`
	ExpiresAt   time.Time       `json:"expires_at"` // it is in force by then, or never
}

// States of a retirement.
const (
	Proposed = "proposed"
	InForce  = "in force"
	Ended    = "ended" // somebody said no, or its author took it back
	Expired  = "expired"
)

// Retirement is such a document with what became of it.
type Retirement struct {
	Document
	State      string      `json:"state"`
	Payload    []byte      `json:"payload"` // what people sign
	SHA256     string      `json:"sha256"`  // of the payload
	Envelope   string      `json:"envelope,omitempty"`
	EndedAt    time.Time   `json:"ended_at,omitzero"`
	Signatures []Signature `json:"signatures"`
}

// Signature is one person's approval.
type Signature struct {
	Person    string             `json:"person"`
	At        time.Time          `json:"at"`
	Signature envelope.Signature `json:"signature"`
}

// Decode reads a payload strictly.
func Decode(payload []byte) (Document, error) {
	r, about, err := envelope.DecodeStatement[Document](payload, predicate)
	if err == nil && (len(about) > 0 || !id.Valid("ret", r.ID) || !id.Valid("hst", r.Host) || r.Reason == "") {
		err = fault.New(fault.Invalid, "retirement: it needs an ID, a host and a reason")
	}
	return r, err
}

// Propose makes the document by which others retire a host. The trust root's rule for the class says who, and by
// when.
func (s *Retirements) Propose(ctx context.Context, who, host, reason string) (r Retirement, err error) {
	if reason, err = ledger.Reason(reason); err != nil {
		return r, err
	}
	root, err := s.Root.CurrentRoot(ctx)
	if err == nil {
		err = root.Current(s.Now())
	}
	if err != nil {
		return r, err
	}
	rule, ok := root.Rule(trustroot.RetireHost)
	if !ok {
		return r, fault.Refuse(fault.Class, "trust root version %d has no rule for class %s", root.Version, trustroot.RetireHost)
	}
	places, err := s.Estate.PlacesOf(ctx, []string{host})
	if err != nil {
		return r, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		h, err := estate.InService(ctx, tx, host)
		if err != nil {
			return err
		}
		now := s.Now().UTC().Truncate(time.Microsecond)
		if open, err := openOf(ctx, tx, host, now); err != nil {
			return err
		} else if open != "" {
			return fault.New(fault.Conflict, "retirement %s of this host waits for signatures", open)
		}
		r = Retirement{State: Proposed, Signatures: []Signature{}, Document: Document{ID: id.New("ret", now), Host: host,
			Name: h.Name, Environment: h.Environment, Place: places[0], Reason: reason, Author: who, TrustRoot: warrant.RefOf(root), MadeAt: now,
			ExpiresAt: now.Add(time.Duration(rule.MaxWindowHours) * time.Hour)}}
		if r.Payload, err = envelope.EncodeStatement(predicate, nil, r.Document); err != nil {
			return err
		}
		r.SHA256 = envelope.Digest(r.Payload)
		if _, err := blob.PutBytes(ctx, s.Blobs, r.Payload); err != nil {
			return err
		}
		if err := save(ctx, tx, r); err != nil {
			return err
		}
		return s.act(ctx, tx, "retirement.proposed", subject(host), "person/"+who, map[string]any{"retirement": r.ID, "reason": reason}, r.SHA256)
	})
	return r, err
}

// Approve takes who's signature over a retirement. With the quorum of the class the host is retired in the same
// transaction. Codes as for an order.
func (s *Retirements) Approve(ctx context.Context, who, retirement string, sig envelope.Signature) (r Retirement, err error) {
	root, err := s.Root.CurrentRoot(ctx)
	if err == nil {
		err = root.Current(s.Now())
	}
	if err != nil {
		return r, err
	}
	if r, err = s.Get(ctx, retirement); err != nil {
		return r, err
	}
	now, err := s.Estate.PlacesOf(ctx, []string{r.Host})
	if err != nil {
		return r, err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if r, err = s.waiting(ctx, tx, retirement); err != nil {
			return err
		}
		if err := r.approvedBy(root, now, who, sig); err != nil {
			return err
		}
		signed := Signature{Person: who, At: s.Now().UTC(), Signature: sig}
		if err := insertSignature(ctx, tx, r.ID, len(r.Signatures), signed); err != nil {
			return err
		}
		r.Signatures = append(r.Signatures, signed)
		err := s.act(ctx, tx, "retirement.approved", subject(r.Host), "person/"+who,
			map[string]any{"retirement": r.ID, "key": sig.KeyID, "kind": sig.Kind}, r.SHA256)
		if err != nil {
			return err
		}
		if err := staff.Unmoved(ctx, tx, s.Root, warrant.RefOf(root)); err != nil {
			return err
		}
		return s.retire(ctx, tx, root, now, &r)
	})
	if err != nil {
		return r, fmt.Errorf("approve retirement %s: %w", retirement, err)
	}
	return r, nil
}

// waiting loads a retirement that still takes signatures.
func (s *Retirements) waiting(ctx context.Context, tx *db.Tx, retirement string) (Retirement, error) {
	r, err := load(ctx, tx, retirement, s.Now())
	if err == nil && r.State != Proposed {
		err = fault.New(fault.Conflict, "retirement %s is %s", r.ID, r.State)
	}
	return r, err
}

// approvedBy decides whether one signature counts as who's approval. The host stands where the document says, and now.
func (r Retirement) approvedBy(root *trustroot.Root, now []trustroot.Place, who string, s envelope.Signature) error {
	switch {
	case r.TrustRoot != warrant.RefOf(root):
		return fault.Refuse(fault.RootRollback, "it was made under trust root version %d; version %d is in force: propose it again", r.TrustRoot.Version, root.Version)
	case who == r.Author:
		return fault.Refuse(fault.Author, "%s is its author; others approve it", who)
	case slices.ContainsFunc(r.Signatures, func(x Signature) bool { return x.Person == who }):
		return fault.New(fault.Conflict, "%s has approved it already", who)
	}
	approvals, err := root.Approvals(envelope.Envelope{PayloadType: PayloadType, Payload: r.Payload, Signatures: []envelope.Signature{s}})
	if err != nil {
		return err
	}
	if signer := approvals[0].Person; signer.ID != who {
		return fault.Refuse(fault.BadSignature, "the signature is %s's, not %s's", signer.ID, who)
	}
	rule, _ := root.Rule(trustroot.RetireHost)
	return admit.Person(rule.Seats, approvals[0].Person, append(now, r.Place)...)
}

// retire takes the host out of service if the signatures are enough; otherwise the retirement goes on waiting.
func (s *Retirements) retire(ctx context.Context, tx *db.Tx, root *trustroot.Root, now []trustroot.Place, r *Retirement) error {
	signed := envelope.Envelope{PayloadType: PayloadType, Payload: r.Payload, Signatures: []envelope.Signature{}}
	for _, s := range r.Signatures {
		signed.Signatures = append(signed.Signatures, s.Signature)
	}
	approvals, err := root.Approvals(signed)
	if err != nil {
		return err
	}
	if err := root.Quorum(trustroot.RetireHost, r.Author, approvals, append(now, r.Place)...); admit.Lacking(err) {
		return nil
	} else if err != nil {
		return err
	}
	b, err := envelope.Encode(signed)
	if err != nil {
		return err
	}
	if r.Envelope, err = blob.PutBytes(ctx, s.Blobs, b); err != nil {
		return err
	}
	r.State, r.EndedAt = InForce, s.Now().UTC()
	if err := save(ctx, tx, *r); err != nil {
		return err
	}
	return s.Estate.Retire(ctx, tx, r.Host, r.ID, r.Reason, r.SHA256, r.Envelope)
}

// End takes a proposed retirement back, or says no to it.
func (s *Retirements) End(ctx context.Context, who, retirement, reason string) error {
	reason, err := ledger.Reason(reason)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		r, err := s.waiting(ctx, tx, retirement)
		if err != nil {
			return err
		}
		r.State, r.EndedAt = Ended, s.Now().UTC()
		if err := save(ctx, tx, r); err != nil {
			return err
		}
		return s.act(ctx, tx, "retirement.ended", subject(r.Host), "person/"+who, map[string]any{"retirement": r.ID, "reason": reason}, r.SHA256)
	})
}

// Retirement gives one, or NotFound.
func (s *Retirements) Get(ctx context.Context, id string) (r Retirement, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		r, err = load(ctx, tx, id, s.Now())
		return err
	})
	return r, err
}

// Retirements gives those of a host, or those that wait for signatures where host is empty; the newest first, at most
// MaxList.
func (s *Retirements) List(ctx context.Context, host string) (all []Retirement, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadList(ctx, tx, host, s.Now())
		return err
	})
	return all, err
}

func subject(host string) string { return "host/" + host }

func (s *Retirements) act(ctx context.Context, tx *db.Tx, kind, subject, who string, detail map[string]any, facts ...string) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = s.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: s.Now().UTC(), Who: who, Facts: facts, Detail: b})
	return err
}
