package staff

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// countEvery is how often an act tells of attempts that fail one after the other. Someone who guesses can make at most
// two acts in that time for each person, and two for all unknown ones: the record stays readable.
const countEvery = 10 * time.Minute

// refused counts attempts that failed since the first, of which an act tells, and the uncounted ones after it.
type refused struct {
	who       string
	since     time.Time
	uncounted int64
}

// refuse records an attempt that failed, flagged, and gives its cause back. person is empty for someone unknown.
func (s *Staff) refuse(ctx context.Context, kind, person, from string, cause error) error {
	if k := fault.KindOf(cause); k != fault.Unauthenticated && k != fault.Denied {
		return cause // trouble of ours, no attempt
	}
	who := "person/" + person
	if person == "" {
		who = "person/-"
	}
	now := s.Now()
	ctx = context.WithoutCancel(ctx) // who guesses may have hung up while the answer was held back
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		r, err := loadRefused(ctx, tx, who)
		if err != nil {
			return err
		}
		if !r.since.IsZero() && now.Before(r.since.Add(countEvery)) {
			r.uncounted++
			return saveRefused(ctx, tx, r)
		}
		if err := s.tell(ctx, tx, r, now); err != nil {
			return err
		}
		if err := saveRefused(ctx, tx, refused{who: who, since: now}); err != nil {
			return err
		}
		return s.act(ctx, tx, kind, who, "server", struct {
			Reason string `json:"reason"`
			From   string `json:"from"`
		}{fmt.Sprintf("%.500s", cause), from}) // an OpenID provider has a part in it
	})
	if err != nil {
		return errors.Join(cause, fmt.Errorf("record refused attempt: %w", err))
	}
	return cause
}

// tell writes how many attempts followed the one an act told of.
func (s *Staff) tell(ctx context.Context, tx *db.Tx, r refused, now time.Time) error {
	if r.uncounted == 0 {
		return nil
	}
	return s.act(ctx, tx, "attempts.counted", r.who, "server", struct {
		More  int64     `json:"more"`
		Since time.Time `json:"since"`
		Until time.Time `json:"until"`
	}{r.uncounted, r.since, now.UTC().Truncate(time.Microsecond)})
}

// Sweep ends what time has ended: sessions, tokens, challenges, and the counting of refused attempts. It tells of clocks of
// accounts that ran out.
func (s *Staff) Sweep(ctx context.Context) error {
	root, err := s.CurrentRoot(ctx)
	if err != nil && fault.KindOf(err) != fault.Unavailable {
		return err
	}
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		now := s.Now()
		if err := deleteOver(ctx, tx, now); err != nil {
			return err
		}
		if version, _, err := latestRoot(ctx, tx); err != nil {
			return err
		} else if root != nil && root.Version == version {
			if err := s.settle(ctx, tx, root); err != nil {
				return err
			}
		}
		if err := s.alarm(ctx, tx); err != nil {
			return err
		}
		over, err := loadOverRefused(ctx, tx, now.Add(-countEvery))
		if err != nil {
			return err
		}
		for _, r := range over {
			if err := s.tell(ctx, tx, r, now); err != nil {
				return err
			}
			if err := deleteRefused(ctx, tx, r.who); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("sweep staff: %w", err)
	}
	return nil
}
