package score

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// house is three hosts of which unit a has two, and one is in no unit; a root of the first is affected, too.
type house struct {
	unit    map[string]string
	overdue map[string]bool
	looks   int
}

func (h *house) Vulnerabilities(context.Context) (triage.View, error) {
	return triage.View{Rows: []triage.Vulnerability{{Name: "one", Decisions: []triage.Decision{{}}}, {Name: "two"}}}, nil
}

func (h *house) Shares(_ context.Context, of func(string) string, sets ...map[string]bool) (map[string]*verdict.Share, error) {
	h.looks++
	all := map[string]*verdict.Share{}
	for _, host := range []string{"x", "y", "z", "x/srv/root"} {
		s := all[of(host)]
		if s == nil {
			s = &verdict.Share{Hosts: 1, Vulnerabilities: 2}
			for _, set := range sets {
				n := 0
				for _, v := range []string{"one", "two"} {
					if set[v] {
						n++
					}
				}
				s.Of = append(s.Of, n)
			}
			all[of(host)] = s
		}
		s.Findings++
	}
	return all, nil
}

func (h *house) Values(context.Context, estate.Property) (*map[string]string, error) {
	return &h.unit, nil
}
func (h *house) Overdue(context.Context) (map[string]bool, error) { return h.overdue, nil }

func TestCardsAreSortedAndMadeAgainWhenSomethingChanged(t *testing.T) {
	h := &house{unit: map[string]string{"x": "a", "y": "a"}, overdue: map[string]bool{"two": true}}
	s := New(h, h, h)
	got, err := s.Cards(t.Context(), "unit")
	want := []Card{{"a", 1, 3, 2, 1, 0, 1}, {"", 1, 1, 2, 1, 0, 1}}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v\n%s", err, diff)
	}
	if _, err := s.Cards(t.Context(), "unit"); err != nil || h.looks != 1 {
		t.Errorf("%v: looked %d times at what did not change", err, h.looks)
	}
	h.overdue = map[string]bool{}
	if got, err := s.Cards(t.Context(), "unit"); err != nil || got[0].Overdue != 0 {
		t.Errorf("%v: %v is still overdue", err, got[0])
	}
	if _, err := s.Cards(t.Context(), "colour"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("by colour: %v", err)
	}
}
