package integrity

import (
	"context"
	"fmt"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Investigations lists all investigations, newest first.
func (i *Integrity) Investigations(ctx context.Context) (all []Investigation, err error) {
	err = i.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = readInvestigations(ctx, tx, selectInvestigations)
		return err
	})
	return all, err
}

// InvestigationPage is a part of the investigations, newest first.
type InvestigationPage struct {
	Order  string // only of this order; empty: of all
	State  string // only in this state; empty: in any
	Before string // only those older than this one, by ID; empty: from the newest
	Limit  int
}

// InvestigationsFrom lists a page of investigations, and counts all there are by state.
func (i *Integrity) InvestigationsFrom(ctx context.Context, p InvestigationPage) (page []Investigation, all map[string]int, err error) {
	err = i.DB.Read(ctx, func(tx *db.Tx) error {
		if all, err = countByState(ctx, tx); err != nil {
			return err
		}
		page, err = readInvestigations(ctx, tx, selectInvestigationsFrom, p.Order, p.State, p.Before, p.Limit)
		return err
	})
	return page, all, err
}

// Investigation gives one; NotFound if there is none.
func (i *Integrity) Investigation(ctx context.Context, id string) (inv Investigation, err error) {
	err = i.DB.Read(ctx, func(tx *db.Tx) error {
		inv, err = readInvestigation(ctx, tx, id)
		return err
	})
	return inv, err
}

// Resolve records a person's conclusion (who is a person's ID). Errors: Invalid, NotFound, Conflict for a closed one, Denied
// for a second signature by the first person, and (SCOPE) for who may not answer for where the host stands now.
func (i *Integrity) Resolve(ctx context.Context, who, id string, r Resolution) (inv Investigation, err error) {
	if err := i.admit(ctx, who, id); err != nil {
		return inv, fmt.Errorf("resolve investigation: %w", err)
	}
	err = i.DB.Write(ctx, func(tx *db.Tx) error {
		if inv, err = readInvestigation(ctx, tx, id); err != nil {
			return err
		}
		var kind string
		if inv, kind, err = resolve(inv, who, r, i.Now()); err != nil {
			return err
		}
		if err := saveInvestigation(ctx, tx, inv); err != nil {
			return err
		}
		detail := map[string]any{"outcome": r.Outcome, "severity": r.Severity, "reason": r.Reason}
		return i.act(ctx, tx, kind, "investigation/"+id, "person/"+who, detail, inv.Report)
	})
	if err != nil {
		return Investigation{}, fmt.Errorf("resolve investigation: %w", err)
	}
	return inv, nil
}

func (i *Integrity) admit(ctx context.Context, who, id string) error {
	inv, err := i.Investigation(ctx, id)
	if err != nil {
		return err
	}
	root, err := i.Root.CurrentRoot(ctx)
	if err != nil {
		return err
	}
	stands, err := i.Estate.PlacesOf(ctx, []string{inv.Host})
	if err != nil {
		return err
	}
	if p, _ := root.Person(who); !MayAnswer(p, stands...) {
		return fault.Refuse(fault.Scope, "%s may not answer for this host: it stands outside the scope of their roles", who)
	}
	return nil
}

// SweepOverdue raises an alarm, once each, for investigations whose clock has run out: an act investigation.overdue.
func (i *Integrity) SweepOverdue(ctx context.Context) error {
	return i.DB.Write(ctx, func(tx *db.Tx) error {
		now := i.Now()
		late, err := readInvestigations(ctx, tx, selectOverdue, db.Micros(now))
		if err != nil {
			return err
		}
		for _, inv := range late {
			inv.OverdueAt = now
			if err := saveInvestigation(ctx, tx, inv); err != nil {
				return err
			}
			detail := map[string]any{"order": inv.Order, "host": inv.Host}
			if err := i.act(ctx, tx, "investigation.overdue", "investigation/"+inv.ID, "server", detail, inv.Report); err != nil {
				return err
			}
		}
		return nil
	})
}
