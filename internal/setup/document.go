package setup

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/trustroot/draft"
)

// Warnings says what people should know of the state before they sign: what nobody could do under it.
func (s State) Warnings() (all []string) {
	var r trustroot.Root
	r.Rules = draft.ShippedRules()
	admin := false
	for _, c := range s.Candidates {
		r.People = append(r.People, trustroot.Person{ID: c.ID, Roles: c.Roles})
		admin = admin || slices.Contains(c.Roles, "administrator")
	}
	if !admin {
		all = append(all, "Nobody is administrator: upstreams can be added only in the server's configuration file.")
	}
	if stuck := draft.Stuck(&r, []string{"product-manager", "operations-manager"}); len(stuck) > 0 {
		all = append(all, "Too few people for "+strings.Join(stuck, ", ")+": each needs two different people beside its author.")
	}
	return all
}

// Missing says what the document still waits for; empty: it can be made.
func (s State) Missing() (all []string) {
	if s.Organisation == "" {
		all = append(all, "the organisation's name")
	}
	if len(s.Candidates) < 2 {
		all = append(all, "at least two people")
	}
	var without []string
	for _, c := range s.Candidates {
		if len(c.Keys()) == 0 {
			without = append(without, c.Name)
		}
	}
	if len(without) > 0 {
		all = append(all, "keys of "+strings.Join(without, ", "))
	}
	return all
}

// life is how long the first trust root is good, as the command line has it.
const (
	lifeDays           = 365
	checkpointAgeHours = 24
)

// Make makes the document of what was handed in.
func (s *Setup) Make(ctx context.Context) (*Draft, error) {
	state, err := s.Load(ctx)
	if err != nil {
		return nil, err
	}
	if missing := state.Missing(); len(missing) > 0 {
		return nil, fault.New(fault.Conflict, "the document waits for %s", strings.Join(missing, ", "))
	}
	made := s.Now().UTC().Truncate(time.Second)
	r := trustroot.Root{Version: 1, Organisation: state.Organisation, MadeAt: made, ExpiresAt: made.AddDate(0, 0, lifeDays),
		Rules:      draft.ShippedRules(),
		Ledger:     trustroot.Ledger{Origin: s.Origin, Keys: []string{s.LedgerKey}, MaxCheckpointAgeHours: checkpointAgeHours},
		Repository: trustroot.Repository{Keys: []string{s.Repository}}}
	for _, c := range state.Candidates {
		r.People = append(r.People, trustroot.Person{ID: c.ID, Name: c.Name, Mail: c.Mail, Roles: c.Roles, Keys: c.Keys()})
	}
	payload, err := r.Encode()
	if err != nil {
		return nil, err
	}
	digest := envelope.Digest(payload)
	err = s.change(ctx, "trust-root.drafted", rootSubject, "server", map[string]string{"sha256": digest}, func(tx *db.Tx, now State) error {
		if !same(now, state) {
			return fault.New(fault.Conflict, "somebody changed something meanwhile: look again")
		}
		return saveDocument(ctx, tx, state.Organisation, string(payload), s.Now())
	})
	if err != nil {
		return nil, err
	}
	root, err := trustroot.Decode(payload)
	return &Draft{Root: root, Payload: payload}, err
}

// same compares what both states have in their tables.
func same(a, b State) bool {
	bare := func(s State) []byte {
		s.Candidates = slices.Clone(s.Candidates)
		for i := range s.Candidates {
			s.Candidates[i].Passkeys = nil
		}
		text, err := json.Marshal(s)
		if err != nil {
			panic(err) // texts and keys: cannot fail
		}
		return text
	}
	return bytes.Equal(bare(a), bare(b))
}

// TakeBack ends the document and forgets its signatures, so that people and keys can be changed again.
func (s *Setup) TakeBack(ctx context.Context) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := s.Staff.NoRoot(ctx, tx); err != nil {
			return err
		}
		state, err := load(ctx, tx)
		if err != nil {
			return err
		}
		if state.Draft == nil {
			return fault.New(fault.Conflict, "there is no document to take back")
		}
		if err := saveDocument(ctx, tx, state.Organisation, "", s.Now()); err != nil {
			return err
		}
		if err := deleteSignatures(ctx, tx); err != nil {
			return err
		}
		return s.act(ctx, tx, "trust-root.taken-back", rootSubject, "server", map[string]string{"sha256": state.Draft.SHA256()})
	})
}

// Sign takes a candidate's signature under the document with the digest they read, made by the command line. With the last
// one that the quorum needs the trust root is in force. Signing again changes nothing.
func (s *Setup) Sign(ctx context.Context, person, digest string, sig envelope.Signature) (inForce bool, err error) {
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := s.Staff.NoRoot(ctx, tx); err != nil {
			return err
		}
		state, err := load(ctx, tx)
		if err != nil {
			return err
		}
		if err := state.accepts(person, digest, sig); err != nil {
			return err
		}
		if slices.ContainsFunc(state.Draft.Signed, func(d Signed) bool { return d.Signature.KeyID == sig.KeyID }) {
			return nil
		}
		now := s.Now()
		if err := saveSignature(ctx, tx, person, sig, now); err != nil {
			return err
		}
		err = s.act(ctx, tx, "trust-root.signed", rootSubject, "person/"+person, map[string]string{"key": sig.KeyID, "sha256": digest})
		if err != nil {
			return err
		}
		state.Draft.Signed = append(state.Draft.Signed, Signed{person, now, sig})
		e := state.Draft.Envelope()
		if state.Draft.quorum(e) != nil {
			return nil
		}
		inForce = true
		_, err = s.Staff.InstallIn(ctx, tx, e, digest)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("sign the first trust root: %w", err)
	}
	return inForce, nil
}

// accepts decides whether a signature counts: by the candidate's own SSH key, under exactly this document.
func (s State) accepts(person, digest string, sig envelope.Signature) error {
	if s.Draft == nil {
		return fault.New(fault.Conflict, "there is no document to sign: it was taken back, or is not made yet")
	}
	if digest != s.Draft.SHA256() {
		return fault.New(fault.Conflict, "the document changed: its sha256 is %s now, not the one you read; look at it again", s.Draft.SHA256())
	}
	approvals, err := s.Draft.Root.Approvals(envelope.Envelope{PayloadType: trustroot.PayloadType, Payload: s.Draft.Payload, Signatures: []envelope.Signature{sig}})
	if err != nil {
		return err
	}
	if approvals[0].Person.ID != person {
		return fault.New(fault.Denied, "the key is one of %s, not of %s", approvals[0].Person.ID, person)
	}
	if approvals[0].Proof.Kind != envelope.SSH {
		return fault.Refuse(fault.Local, "a trust root is signed by the command line, with an SSH key")
	}
	return nil
}

// Envelope is the document with its signatures.
func (d *Draft) Envelope() envelope.Envelope {
	e := envelope.Envelope{PayloadType: trustroot.PayloadType, Payload: d.Payload}
	for _, one := range d.Signed {
		e.Signatures = append(e.Signatures, one.Signature)
	}
	return e
}

func (d *Draft) quorum(e envelope.Envelope) error {
	approvals, err := d.Root.Approvals(e)
	if err != nil {
		return err
	}
	return d.Root.Quorum(trustroot.TrustRoot, "", approvals)
}
