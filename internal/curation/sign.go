package curation

import (
	"context"
	"fmt"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/admit"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Sign takes who's signature over a curation record (the digest of its payload). When it fills the quorum of the class
// curation, the snapshot is signed: from then on it is published and never changes. Codes: SIGNATURE, AUTHOR,
// ROOT-EXPIRED, ROOT-ROLLBACK, CLASS.
func (c *Curation) Sign(ctx context.Context, who, record string, signature envelope.Signature) (s Snapshot, err error) {
	root, err := c.Root.CurrentRoot(ctx)
	if err == nil {
		err = root.Current(c.Now())
	}
	if err != nil {
		return s, fmt.Errorf("sign curation record %s: %w", record, err)
	}
	err = c.DB.Write(ctx, func(tx *db.Tx) error {
		var w row
		if s, w, err = c.load(ctx, tx, record); err != nil {
			return err
		}
		if err := approval(root, s, who, signature); err != nil {
			return err
		}
		signed := Signature{who, c.Now().UTC(), signature}
		if err := insertSignature(ctx, tx, record, signed); err != nil {
			return err
		}
		s.Signatures = append(s.Signatures, signed)
		err := c.act(ctx, tx, "snapshot.approved", "snapshot/"+s.Ref.SHA256, "person/"+who, []string{record}, map[string]any{"key": signature.KeyID, "kind": signature.Kind})
		if err != nil {
			return err
		}
		if err := staff.Unmoved(ctx, tx, c.Root, warrant.RefOf(root)); err != nil {
			return err
		}
		return c.seal(ctx, tx, root, &s, w)
	})
	if err != nil {
		return s, fmt.Errorf("sign curation record %s: %w", record, err)
	}
	return s, nil
}

// approval decides whether a signature counts as who's approval of the snapshot.
func approval(root *trustroot.Root, s Snapshot, who string, signature envelope.Signature) error {
	switch {
	case s.Envelope != "":
		return fault.New(fault.Conflict, "its quorum is complete")
	case s.Record.TrustRoot != warrant.RefOf(root):
		return fault.Refuse(fault.RootRollback, "it was made under trust root version %d; version %d is in force: propose it again", s.Record.TrustRoot.Version, root.Version)
	case who == s.Record.Author:
		return fault.Refuse(fault.Author, "%s proposed it; others approve", who)
	case slices.ContainsFunc(s.Signatures, func(x Signature) bool { return x.Person == who }):
		return fault.New(fault.Conflict, "%s has signed it already", who)
	}
	rule, ok := root.Rule(trustroot.Curation)
	if !ok {
		return fault.Refuse(fault.Class, "trust root version %d has no rule for class %s", root.Version, trustroot.Curation)
	}
	approvals, err := root.Approvals(envelope.Envelope{PayloadType: warrant.CurationType, Payload: s.Payload, Signatures: []envelope.Signature{signature}})
	if err != nil {
		return err
	}
	if approvals[0].Person.ID != who {
		return fault.Refuse(fault.BadSignature, "the signature is %s's, not %s's", approvals[0].Person.ID, who)
	}
	return admit.Person(rule.Seats, approvals[0].Person) // a snapshot is for hosts anywhere
}

// seal makes the snapshot signed if its signatures fill the quorum; too few of them are no error.
func (c *Curation) seal(ctx context.Context, tx *db.Tx, root *trustroot.Root, s *Snapshot, w row) error {
	e := envelope.Envelope{PayloadType: warrant.CurationType, Payload: s.Payload}
	for _, x := range s.Signatures {
		e.Signatures = append(e.Signatures, x.Signature)
	}
	approvals, err := root.Approvals(e)
	if err != nil {
		return err
	}
	if err := root.Quorum(trustroot.Curation, s.Record.Author, approvals); admit.Lacking(err) {
		return nil
	} else if err != nil {
		return err
	}
	b, err := envelope.Encode(e)
	if err != nil {
		return err
	}
	if s.Envelope, err = blob.PutBytes(ctx, c.Blobs, b); err != nil {
		return err
	}
	s.SignedAt = c.Now().UTC()
	if err := markSigned(ctx, tx, w.record, s.Envelope, s.SignedAt); err != nil {
		return err
	}
	for _, f := range w.files(s.Record) {
		if err := insertFile(ctx, tx, f); err != nil {
			return err
		}
	}
	return c.act(ctx, tx, "snapshot.signed", "snapshot/"+w.snapshot, "server", []string{w.record, s.Envelope}, map[string]any{"record": w.record})
}
