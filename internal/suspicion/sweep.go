package suspicion

import (
	"context"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/scans"
)

// Sweep runs the clocks, and makes suspicions of the findings of penetration tests that were imported.
func (x *Suspicions) Sweep(ctx context.Context) error {
	if err := x.takeFindings(ctx); err != nil {
		return err
	}
	now := x.Now().UTC()
	return x.DB.Write(ctx, func(tx *db.Tx) error {
		open, err := loadPending(ctx, tx, now)
		if err != nil {
			return err
		}
		for _, s := range open {
			told := s.alarms(now)
			if len(told) == 0 {
				continue
			}
			if err := save(ctx, tx, s); err != nil {
				return err
			}
			for _, a := range told {
				if err := x.step(ctx, tx, s.ID, "server", a.kind, map[string]any{"severity": a.severity, "owner": s.Owner, "due": s.DueAt}); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

type told struct{ kind, severity string }

// alarms notes what is to be told of a suspicion now, once each.
func (s *Suspicion) alarms(now time.Time) (all []told) {
	once := func(at *time.Time, due time.Time, kind, severity string) {
		if at.IsZero() && !now.Before(due) {
			*at, all = now, append(all, told{kind, severity})
		}
	}
	if s.State == Answered {
		return nil
	}
	if s.Owner == "" {
		once(&s.UnownedAt, s.ReportedAt.Add(Unowned), "suspicion.unowned", "alarm")
	}
	once(&s.OverdueAt, s.DueAt, "suspicion.overdue", "alarm")
	once(&s.EscalatedAt, s.ReportedAt.Add(Escalate), "suspicion.escalated", "critical")
	return all
}

// takeFindings opens a suspicion for each finding of the imported penetration tests that have none yet. Their clocks run from
// the import.
func (x *Suspicions) takeFindings(ctx context.Context) error {
	reports, err := x.Scans.PenTests(ctx)
	if err != nil {
		return err
	}
	var taken map[string]bool
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		taken, err = loadTaken(ctx, tx)
		return err
	})
	for _, r := range reports {
		if err == nil && !taken[r.ID] {
			err = x.takeReport(ctx, r)
		}
	}
	return err
}

func (x *Suspicions) takeReport(ctx context.Context, r scans.Report) error {
	b, err := x.Scans.Bytes(ctx, r.ID)
	if err != nil {
		return err
	}
	defer b.Close()
	var all []Suspicion
	_, err = scanner.PenTest(b, r.About, func(f scanner.Finding) error {
		s := x.open(r.ImportedBy, claimOf(f))
		s.ReportedAt, s.DueAt = r.ImportedAt, r.ImportedAt.Add(Clock)
		s.Finding = &Finding{Report: r.ID, N: f.N, Severity: f.Severity, CVEs: f.CVEs, Tester: f.Tester, FoundAt: f.FoundAt}
		all = append(all, s)
		return nil
	})
	if err != nil {
		return fmt.Errorf("findings of %s: %w", r.ID, err)
	}
	err = x.DB.Write(ctx, func(tx *db.Tx) error {
		if first, err := take(ctx, tx, r.ID); err != nil || !first {
			return err
		}
		for _, s := range all {
			if err := x.add(ctx, tx, s, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if fault.KindOf(err) == fault.Conflict {
		return nil
	}
	return err
}

// claimOf says what a tester says in the form of a claim. The parser has bounded the texts.
func claimOf(f scanner.Finding) Claim {
	c := Claim{Title: f.Title, Host: f.Host, Package: f.Package, Noticed: f.Evidence}
	if c.Noticed == "" {
		c.Noticed = "found by a penetration test; the report gives no evidence"
	}
	return c
}
