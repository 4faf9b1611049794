package duty

import (
	"context"
	"fmt"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// rooms have open investigations, the newest last, and nothing else.
type rooms struct{ open []string }

func (rooms) Vulnerabilities(context.Context) (triage.View, error)        { return triage.View{}, nil }
func (rooms) Owners(context.Context) (map[string]int, error)              { return nil, nil }
func (rooms) Policies(context.Context) ([]deadline.Adoption, error)       { return nil, nil }
func (rooms) Counts(context.Context) (counts []deadline.Count, err error) { return nil, nil }
func (r rooms) InvestigationsFrom(_ context.Context, p integrity.InvestigationPage) (page []integrity.Investigation, n map[string]int, err error) {
	for i := len(r.open) - 1; i >= 0 && p.State == integrity.Open && len(page) < p.Limit; i-- {
		if p.Before == "" || r.open[i] < p.Before {
			page = append(page, integrity.Investigation{ID: r.open[i]})
		}
	}
	return page, nil, nil
}

// TestNoInvestigationIsLeftOut: also of many, the oldest among them.
func TestNoInvestigationIsLeftOut(t *testing.T) {
	var r rooms
	for i := range 2*atOnce + 1 {
		r.open = append(r.open, fmt.Sprintf("inv_%06d", i))
	}
	d := New(Config{Triage: r, Suspicions: r, Integrity: r, Deadlines: r})
	f := staffed()
	if err := d.answers(t.Context(), &f); err != nil || len(f.Investigations) != len(r.open) {
		t.Errorf("%d of %d investigations, %v", len(f.Investigations), len(r.open), err)
	}
}
