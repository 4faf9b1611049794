package suspicion

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// Kinds of answer.
const (
	IsVulnerability = "vulnerability" // that of Vulnerability, or a new one of our own
	IsDuplicate     = "duplicate"     // of another suspicion
	IsNone          = "none"          // not one, because
)

// Answer is what the owner says. A later one takes the place of an earlier, which stays in the history.
type Answer struct {
	Kind          string    `json:"kind"`
	Vulnerability string    `json:"vulnerability,omitempty"` // "ID/source", of one that sources state or of our own
	Of            string    `json:"of,omitempty"`            // the suspicion it is a duplicate of
	Reason        string    `json:"reason"`
	New           *Ours     `json:"new,omitempty"` // with IsVulnerability and no Vulnerability: what gets an identifier of our own
	By            string    `json:"by"`
	At            time.Time `json:"at"`
}

func (a Answer) check() error {
	switch {
	case strings.TrimSpace(a.Reason) == "" || !text(a.Reason):
		return fault.New(fault.Invalid, "an answer needs a reason of at most %d bytes without control characters", maxText)
	case a.Kind == IsVulnerability && (a.Vulnerability == "") == (a.New == nil):
		return fault.New(fault.Invalid, "name the vulnerability it is, or describe a new one")
	case a.Kind == IsDuplicate && a.Of == "":
		return fault.New(fault.Invalid, "name the suspicion it is a duplicate of")
	case a.Kind != IsVulnerability && a.Kind != IsDuplicate && a.Kind != IsNone:
		return fault.New(fault.Invalid, "an answer is %s, %s or %s", IsVulnerability, IsDuplicate, IsNone)
	case a.Kind != IsVulnerability && (a.Vulnerability != "" || a.New != nil), a.Kind != IsDuplicate && a.Of != "":
		return fault.New(fault.Invalid, "the answer %s names something that belongs to another kind of answer", a.Kind)
	}
	return nil
}

// Answer stops the clock. Only the owner answers; a new vulnerability gets an identifier of our own, and is triaged like every
// other once Publish has stated it.
func (x *Suspicions) Answer(ctx context.Context, who, id string, a Answer) (s Suspicion, err error) {
	if err := a.check(); err != nil {
		return s, err
	}
	if a.Vulnerability != "" {
		if _, err := x.Triage.Case(ctx, a.Vulnerability, verdict.HostPage{}); err != nil {
			return s, err
		}
	}
	var affected []Affected
	if a.New != nil {
		if affected, err = x.affected(ctx, *a.New); err != nil {
			return s, err
		}
	}
	a.By, a.At = who, x.Now().UTC().Truncate(time.Microsecond)
	err = x.DB.Write(ctx, func(tx *db.Tx) error {
		if s, err = load(ctx, tx, id); err != nil {
			return err
		}
		if err := x.mayAnswer(ctx, tx, s, a); err != nil {
			return err
		}
		if a, err = x.own(ctx, tx, s, a, affected); err != nil {
			return err
		}
		return x.answer(ctx, tx, &s, a)
	})
	return s, err
}

func (x *Suspicions) mayAnswer(ctx context.Context, tx *db.Tx, s Suspicion, a Answer) error {
	switch {
	case s.Owner == "":
		return fault.New(fault.Conflict, "nobody owns it yet: take it first")
	case s.Owner != a.By:
		return fault.New(fault.Denied, "%s owns it, and answers it; take it over first", s.Owner)
	case a.Kind != IsDuplicate:
		return nil
	}
	for at, n := a.Of, 0; ; n++ {
		other, err := load(ctx, tx, at)
		if err != nil {
			return fmt.Errorf("duplicate of %.100q: %w", at, err)
		}
		if other.ID == s.ID || n > 100 {
			return fault.New(fault.Conflict, "it would be a duplicate of itself")
		}
		if other.Answer == nil || other.Answer.Kind != IsDuplicate {
			return nil
		}
		at = other.Answer.Of
	}
}

// answer keeps an answer. Its reason may tell of the report, so the ledger, which everyone reads, has its digest.
func (x *Suspicions) answer(ctx context.Context, tx *db.Tx, s *Suspicion, a Answer) error {
	said, err := envelope.Encode(a)
	if err != nil {
		return err
	}
	if s.AnsweredAt.IsZero() {
		s.AnsweredAt = a.At
	}
	s.State, s.Answer = Answered, &a
	if err := save(ctx, tx, *s); err != nil {
		return err
	}
	detail := map[string]any{"kind": a.Kind, "sha256": envelope.Digest(said)}
	for name, value := range map[string]string{"vulnerability": a.Vulnerability, "of": a.Of} {
		if value != "" {
			detail[name] = value
		}
	}
	return x.step(ctx, tx, s.ID, a.By, "suspicion.answered", detail)
}
