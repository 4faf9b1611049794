// Package setup makes the first trust root together with the people it is about: who is named, the keys that each hands in,
// the document, and who signed it. With the quorum's signatures it is in force, and nothing here can be done again.
package setup

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Config says what a set-up is made of, and what the document says about this server.
type Config struct {
	DB         *db.DB
	Ledger     *ledger.Ledger
	Staff      *staff.Staff
	Origin     string // of the ledger
	LedgerKey  string // its verifier
	Repository string // armoured OpenPGP public key
	Now        func() time.Time
}

// Setup is the way to the first trust root.
type Setup struct{ Config }

// New opens the room.
func New(c Config) *Setup { return &Setup{c} }

// Candidate is someone named for the first trust root.
type Candidate struct {
	ID, Name, Mail string
	Roles          []string
	SSH            []envelope.Key  // handed in
	Passkeys       []staff.Passkey // registered
}

// Keys gives all keys of the candidate as a trust root has them.
func (c Candidate) Keys() []envelope.Key {
	keys := slices.Clone(c.SSH)
	for _, p := range c.Passkeys {
		keys = append(keys, p.Key)
	}
	return keys
}

// State is how far the set-up has come.
type State struct {
	Organisation string
	Candidates   []Candidate
	Draft        *Draft // nil while it is being prepared
}

// Draft is the document that people sign. While it stands nobody changes what went into it.
type Draft struct {
	Root    *trustroot.Root
	Payload []byte
	Signed  []Signed
}

// SHA256 is the digest that people compare.
func (d *Draft) SHA256() string { return d.Root.Digest() }

// Signed is who signed, with which key, and when.
type Signed struct {
	Person    string
	At        time.Time
	Signature envelope.Signature
}

// Candidate finds one by ID.
func (s State) Candidate(id string) (Candidate, bool) {
	i := slices.IndexFunc(s.Candidates, func(c Candidate) bool { return c.ID == id })
	if i < 0 {
		return Candidate{}, false
	}
	return s.Candidates[i], true
}

// Bounds of what is prepared.
const (
	mostCandidates = 50
	mostKeys       = 8   // of a candidate, by SSH
	longestText    = 200 // bytes of a name, a mail address, an organisation
)

// Load gives the state.
func (s *Setup) Load(ctx context.Context) (state State, err error) {
	pending, err := s.Staff.PendingKeys(ctx)
	if err != nil {
		return state, err
	}
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		state, err = load(ctx, tx)
		return err
	})
	if err != nil {
		return state, fmt.Errorf("load set-up: %w", err)
	}
	for i := range state.Candidates {
		for _, p := range pending {
			if p.Person == state.Candidates[i].ID {
				state.Candidates[i].Passkeys = append(state.Candidates[i].Passkeys, p)
			}
		}
	}
	return state, nil
}

// change does one step while there is neither a trust root nor a draft; who is "server" for the holder of the bootstrap link.
func (s *Setup) change(ctx context.Context, kind, subject, who string, detail any, do func(*db.Tx, State) error) error {
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		if err := s.Staff.NoRoot(ctx, tx); err != nil {
			return err
		}
		state, err := load(ctx, tx)
		if err != nil {
			return err
		}
		if state.Draft != nil {
			return fault.New(fault.Conflict, "the document is made, and people may have signed it: it has to be taken back first")
		}
		if err := do(tx, state); err != nil {
			return err
		}
		return s.act(ctx, tx, kind, subject, who, detail)
	})
}

func (s *Setup) act(ctx context.Context, tx *db.Tx, kind, subject, who string, detail any, facts ...string) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = s.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: s.Now(), Who: who, Facts: facts, Detail: b})
	return err
}

const rootSubject = "trust-root/1"

// Organise names the organisation.
func (s *Setup) Organise(ctx context.Context, name string) error {
	if err := plain("organisation", name); err != nil {
		return err
	}
	return s.change(ctx, "organisation.named", rootSubject, "server", map[string]string{"name": name}, func(tx *db.Tx, _ State) error {
		return saveDocument(ctx, tx, name, "", s.Now())
	})
}

// Propose names a candidate, or gives one who is named another name, address or roles.
func (s *Setup) Propose(ctx context.Context, c Candidate) error {
	p := trustroot.Person{ID: c.ID, Name: c.Name, Mail: c.Mail, Roles: c.Roles}
	if err := p.Check(); err != nil {
		return err
	}
	if len(c.Roles) == 0 {
		return fault.New(fault.Invalid, "%s needs a role", c.ID)
	}
	if err := plain("name", c.Name); err != nil {
		return err
	}
	if c.Mail != "" {
		if err := plain("mail address", c.Mail); err != nil {
			return err
		}
	}
	return s.change(ctx, "candidate.named", "person/"+c.ID, "server", map[string]any{"name": c.Name, "mail": c.Mail, "roles": c.Roles}, func(tx *db.Tx, state State) error {
		before, known := state.Candidate(c.ID)
		c.SSH = before.SSH
		if !known && len(state.Candidates) >= mostCandidates {
			return fault.New(fault.Invalid, "a first trust root has at most %d people; the next can have more", mostCandidates)
		}
		return saveCandidate(ctx, tx, c, s.Now())
	})
}

// plain refuses texts that are empty, too long, or that a screen would act on.
func plain(what, text string) error {
	odd := func(r rune) bool {
		return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == utf8.RuneError
	}
	if strings.TrimSpace(text) == "" || len(text) > longestText || strings.ContainsFunc(text, odd) {
		return fault.New(fault.Invalid, "the %s is a text of 1 to %d bytes without control characters", what, longestText)
	}
	return nil
}

// Drop takes a candidate back, with the keys they handed in and what let them in.
func (s *Setup) Drop(ctx context.Context, id string) error {
	return s.change(ctx, "candidate.dropped", "person/"+id, "server", struct{}{}, func(tx *db.Tx, state State) error {
		if _, known := state.Candidate(id); !known {
			return fault.New(fault.NotFound, "nobody is named %q", id)
		}
		if err := s.Staff.Uninvite(ctx, tx, id); err != nil {
			return err
		}
		return deleteCandidate(ctx, tx, id)
	})
}

// Invite gives the secret of an invitation for a candidate; see staff.Invite.
func (s *Setup) Invite(ctx context.Context, by staff.Session, id string) (string, time.Time, error) {
	state, err := s.Load(ctx)
	if err != nil {
		return "", time.Time{}, err
	}
	if _, known := state.Candidate(id); !known {
		return "", time.Time{}, fault.New(fault.NotFound, "nobody is named %q", id)
	}
	return s.Staff.Invite(ctx, by, id)
}

// HandIn takes a candidate's SSH keys, one authorized_keys line each, in place of those before.
func (s *Setup) HandIn(ctx context.Context, person, lines string) error {
	var keys []envelope.Key
	var ids []string
	for line := range strings.Lines(lines) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		k, err := sshkey.Read(line)
		if err != nil {
			return err
		}
		if slices.Contains(ids, k.ID) {
			continue
		}
		keys, ids = append(keys, k), append(ids, k.ID)
	}
	if len(keys) == 0 || len(keys) > mostKeys {
		return fault.New(fault.Invalid, "paste one to %d public keys, a line each", mostKeys)
	}
	return s.change(ctx, "candidate.keyed", "person/"+person, "person/"+person, map[string]any{"keys": ids}, func(tx *db.Tx, state State) error {
		c, known := state.Candidate(person)
		if !known {
			return fault.New(fault.NotFound, "nobody is named %q any more", person)
		}
		for _, other := range state.Candidates {
			if other.ID != person && slices.ContainsFunc(other.SSH, func(k envelope.Key) bool { return slices.Contains(ids, k.ID) }) {
				return fault.New(fault.Conflict, "one of the keys is another person's")
			}
		}
		c.SSH = keys
		return saveCandidate(ctx, tx, c, s.Now())
	})
}
