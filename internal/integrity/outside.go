package integrity

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// MostOutside is how many paths that changed outside orders are told one by one; more are one finding about the whole tree.
const MostOutside = 20_000

// Outside is what changed on a host between two of its states while no order ran there.
type Outside struct {
	Host   string
	Report *explain.Report
	facts  []string // input and report, as kept
}

// LookOutside judges what changed on a host between two of its states while no order ran there: only what every live system does
// by itself is explained. Input and report are kept as blobs. A tree that only after has is taken as it is; one that only before has
// counts as gone.
func (i *Integrity) LookOutside(ctx context.Context, host string, before, after wire.Observation) (Outside, error) {
	o := Outside{Host: host}
	before, after = whole(before), whole(after)
	after.Trees = maps.Clone(after.Trees)
	maps.DeleteFunc(after.Trees, func(root, _ string) bool { return before.Trees[root] == "" })
	in := &explain.Input{Host: host, Actions: []warrant.Action{}, Contents: []string{}, Before: before, After: after}
	all, err := explain.Changes(ctx, objects{i.Blobs}, in)
	if err != nil {
		return o, fmt.Errorf("compare file states of host %s: %w", host, err)
	}
	if len(all) > MostOutside {
		o.Report = &explain.Report{Host: host, Counts: map[explain.Verdict]int{explain.Unexplained: 1}, Lines: []explain.Line{{Path: "/", Verdict: explain.Unexplained,
			Why: fmt.Sprintf("%d paths differ outside orders, more than can be told one by one: compare the host's file states", len(all))}}}
	} else {
		input, report, err := explain.Reconcile(ctx, in, objects{i.Blobs}, i.facts(ctx))
		if err != nil {
			return o, fmt.Errorf("judge what changed on host %s: %w", host, err)
		}
		kept, err := blob.PutBytes(ctx, i.Blobs, input)
		if err != nil {
			return o, err
		}
		o.Report, o.facts = report, []string{kept}
	}
	return o, nil
}

// OpenOutside opens an investigation of what LookOutside found, in the transaction that moves the host's baseline on: nothing if
// all is explained. What is found on one host on one day (UTC) is one investigation, until somebody has answered it.
func (i *Integrity) OpenOutside(ctx context.Context, tx *db.Tx, o Outside) error {
	if o.Report.Clean() {
		return nil
	}
	now := i.Now()
	inv, err := unanswered(ctx, tx, o.Host, now.UTC().Truncate(24*time.Hour))
	if err != nil {
		return err
	}
	kind, report := "investigation.extended", o.Report
	if inv.ID == "" {
		kind = "investigation.opened"
		inv = Investigation{ID: id.New("inv", now), Host: o.Host, State: Open, OpenedAt: now, DueAt: now.Add(Clock)}
	} else {
		var known explain.Report
		if err := i.fetch(ctx, inv.Report, &known); err != nil {
			return err
		}
		report = together(known, *report)
	}
	known := inv.Report
	if inv.Report, err = i.keep(ctx, report); err != nil {
		return err
	}
	if known == "" {
		err = addInvestigation(ctx, tx, inv)
	} else {
		_, err = tx.Exec(ctx, extendInvestigation, inv.ID, inv.Report)
	}
	if err != nil {
		return err
	}
	detail := map[string]any{"host": o.Host, "due_at": inv.DueAt.UTC().Truncate(time.Microsecond), "counts": o.Report.Counts}
	return i.act(ctx, tx, kind, "investigation/"+inv.ID, "server", detail, append([]string{inv.Report}, o.facts...)...)
}

// isWhole tells a line about a tree of which more differs than can be told from one about a path.
func isWhole(l explain.Line) bool { return l.Path == "/" && l.Before == nil && l.After == nil }

// together adds a later report of a host to an earlier one. Of a path in both, what it was first and what it is now count; that it is
// again what it was does not take it out.
func together(first, then explain.Report) *explain.Report {
	lines := map[string]explain.Line{}
	for _, l := range first.Lines {
		lines[l.Path] = l
	}
	for _, l := range then.Lines {
		was, ok := lines[l.Path]
		switch {
		case !ok || isWhole(l):
		case isWhole(was):
			l = was
		default:
			l.Before = was.Before
			if was.Verdict == explain.Unexplained {
				l.Verdict, l.Why = was.Verdict, was.Why
			}
			if explain.Alike(l.Before, l.After) {
				l.Why = "changed while no order ran, and changed back"
			}
		}
		lines[l.Path] = l
	}
	all := explain.Report{Host: then.Host, Input: then.Input, Counts: map[explain.Verdict]int{}, Lines: slices.SortedFunc(maps.Values(lines),
		func(a, b explain.Line) int { return strings.Compare(a.Path, b.Path) })}
	for _, l := range all.Lines {
		all.Counts[l.Verdict]++
	}
	return &all
}
