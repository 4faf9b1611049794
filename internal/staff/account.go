package staff

import (
	"context"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// leaveWithin is how soon after a notice the trust root must drop the person. Source: R-105.
const leaveWithin = 24 * time.Hour

// reviewDue gives when an account is next due for review. Source: R-105.
func reviewDue(last time.Time) time.Time { return last.AddDate(0, 3, 0) }

// Account is a person of the trust root in force with the clocks that stand beside it.
type Account struct {
	Person        trustroot.Person `json:"person"`
	Since         time.Time        `json:"since"` // when the trust root first had them
	ReviewedAt    time.Time        `json:"reviewed_at,omitzero"`
	ReviewedBy    string           `json:"reviewed_by,omitempty"`
	ReviewDue     time.Time        `json:"review_due"`
	ReviewOverdue bool             `json:"review_overdue"`
	Notice        *Notice          `json:"notice,omitempty"` // the account is off
}

// Notice says that a person leaves: the account is off, and the trust root must drop them in time.
type Notice struct {
	At      time.Time `json:"at"`
	By      string    `json:"by"`
	Why     string    `json:"why"`
	Due     time.Time `json:"due"`
	Overdue bool      `json:"overdue"`
}

// account is what the table keeps of a person.
type account struct {
	person                 string
	since, reviewed        time.Time
	reviewedBy             string
	noticed                time.Time
	noticedBy, noticedWhy  string
	reviewAlarm, leaveLate time.Time // when an act told of the clock that ran out
}

func (a account) lastLook() time.Time {
	if a.reviewed.After(a.since) {
		return a.reviewed
	}
	return a.since
}

// enabled refuses someone who is leaving.
func enabled(ctx context.Context, tx *db.Tx, person string) error {
	a, found, err := loadAccount(ctx, tx, person)
	if err == nil && found && !a.noticed.IsZero() {
		err = fault.New(fault.Unauthenticated, "the account of %s is off: notice was given that they leave", person)
	}
	return err
}

// Accounts gives the people of the trust root in force, in its order, with their clocks.
func (s *Staff) Accounts(ctx context.Context) ([]Account, error) {
	root, err := s.CurrentRoot(ctx)
	if err != nil {
		return nil, err
	}
	kept := map[string]account{}
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		all, err := loadAccounts(ctx, tx)
		for _, a := range all {
			kept[a.person] = a
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	now, accounts := s.Now(), []Account(nil)
	for _, p := range root.People {
		a, due := kept[p.ID], reviewDue(kept[p.ID].lastLook())
		one := Account{Person: p, Since: a.since, ReviewedAt: a.reviewed, ReviewedBy: a.reviewedBy, ReviewDue: due, ReviewOverdue: !now.Before(due)}
		if !a.noticed.IsZero() {
			due := a.noticed.Add(leaveWithin)
			one.Notice = &Notice{At: a.noticed, By: a.noticedBy, Why: a.noticedWhy, Due: due, Overdue: !now.Before(due)}
		}
		accounts = append(accounts, one)
	}
	return accounts, nil
}

// GiveNotice records that a person leaves: sessions and tokens end, nothing is let in again, and a clock of a day runs
// until the trust root drops them. Their signatures count on hosts until it does: only a quorum changes that.
func (s *Staff) GiveNotice(ctx context.Context, who, person, why string) error {
	return s.change(ctx, "give notice", who, person, func(tx *db.Tx, a account) (err error) {
		if why, err = ledger.Reason(why); err != nil {
			return err
		}
		if !a.noticed.IsZero() {
			return fault.New(fault.Conflict, "notice is given once")
		}
		a.noticed, a.noticedBy, a.noticedWhy, a.leaveLate = s.Now(), who, why, time.Time{}
		if err := saveAccount(ctx, tx, a); err != nil {
			return err
		}
		if err := deleteOf(ctx, tx, person); err != nil {
			return err
		}
		return s.act(ctx, tx, "account.noticed", "person/"+person, "person/"+who, struct {
			Why string    `json:"why"`
			Due time.Time `json:"due"`
		}{why, s.Now().Add(leaveWithin).UTC().Truncate(time.Microsecond)})
	})
}

// WithdrawNotice takes a notice back that was a mistake. The person cannot: they are not let in.
func (s *Staff) WithdrawNotice(ctx context.Context, who, person, why string) error {
	return s.change(ctx, "withdraw notice", who, person, func(tx *db.Tx, a account) (err error) {
		if why, err = ledger.Reason(why); err != nil {
			return err
		}
		if a.noticed.IsZero() {
			return fault.New(fault.Conflict, "it needs a notice that was given")
		}
		a.noticed, a.noticedBy, a.noticedWhy, a.leaveLate = time.Time{}, "", "", time.Time{}
		if err := saveAccount(ctx, tx, a); err != nil {
			return err
		}
		return s.act(ctx, tx, "account.restored", "person/"+person, "person/"+who, struct {
			Why string `json:"why"`
		}{why})
	})
}

// Review records that someone else looked at a person's roles and keys, as the trust root of a version has them, and found
// them right. What is wrong is mended by the next trust root, or by a notice. The clock of three months begins anew.
func (s *Staff) Review(ctx context.Context, who, person string, version int64, comment string) error {
	root, err := s.CurrentRoot(ctx)
	if err != nil {
		return err
	}
	if root.Version != version {
		return fault.New(fault.Conflict, "review %s: trust root version %d is in force, not %d: look again", person, root.Version, version)
	}
	return s.change(ctx, "review", who, person, func(tx *db.Tx, a account) error {
		if who == person {
			return fault.New(fault.Denied, "nobody reviews their own account")
		}
		if len(comment) > ledger.MaxReason {
			return fault.New(fault.Invalid, "a comment has at most %d bytes", ledger.MaxReason)
		}
		a.reviewed, a.reviewedBy, a.reviewAlarm = s.Now(), who, time.Time{}
		if err := saveAccount(ctx, tx, a); err != nil {
			return err
		}
		return s.act(ctx, tx, "account.reviewed", "person/"+person, "person/"+who, struct {
			TrustRoot int64  `json:"trust_root"`
			Comment   string `json:"comment"`
		}{version, comment}, root.Digest())
	})
}

// change runs do on the account of a person of the trust root in force.
func (s *Staff) change(ctx context.Context, what, who, person string, do func(*db.Tx, account) error) error {
	err := s.DB.Write(ctx, func(tx *db.Tx) error {
		a, found, err := loadAccount(ctx, tx, person)
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.NotFound, "the trust root in force knows no %s", person)
		}
		return do(tx, a)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// settle makes the accounts those of a trust root: who came is due for review in three months, who went has nothing left.
func (s *Staff) settle(ctx context.Context, tx *db.Tx, r *trustroot.Root) error {
	now := s.Now()
	for _, p := range r.People {
		if err := openAccount(ctx, tx, p.ID, now); err != nil {
			return err
		}
		for _, k := range p.Keys {
			if err := takePasskey(ctx, tx, k.ID, now); err != nil {
				return err
			}
		}
	}
	accounts, err := loadAccounts(ctx, tx)
	if err != nil {
		return err
	}
	for _, a := range accounts {
		if _, stays := r.Person(a.person); stays {
			continue
		}
		if err := deleteOf(ctx, tx, a.person); err != nil {
			return err
		}
		if err := closeAccount(ctx, tx, a.person); err != nil {
			return err
		}
		if err := s.act(ctx, tx, "account.closed", "person/"+a.person, "server", struct {
			TrustRoot int64 `json:"trust_root"`
		}{r.Version}); err != nil {
			return err
		}
	}
	return nil
}

// alarm tells once of each clock that ran out.
func (s *Staff) alarm(ctx context.Context, tx *db.Tx) error {
	accounts, err := loadAccounts(ctx, tx)
	if err != nil {
		return err
	}
	now := s.Now()
	for _, a := range accounts {
		var late []string
		if a.reviewAlarm.IsZero() && !now.Before(reviewDue(a.lastLook())) {
			a.reviewAlarm, late = now, append(late, "account.review-overdue")
		}
		if !a.noticed.IsZero() && a.leaveLate.IsZero() && !now.Before(a.noticed.Add(leaveWithin)) {
			a.leaveLate, late = now, append(late, "account.leave-overdue")
		}
		for _, kind := range late {
			if err := saveAccount(ctx, tx, a); err != nil {
				return err
			}
			if err := s.act(ctx, tx, kind, "person/"+a.person, "server", struct{}{}); err != nil {
				return err
			}
		}
	}
	return nil
}
