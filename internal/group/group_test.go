package group

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

type log struct{ acts []proof.Act }

func (l *log) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	l.acts = append(l.acts, a)
	return int64(len(l.acts)), nil
}

func TestAGroupIsRefusedAtTheDoor(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		l := &log{}
		g := New(Config{DB: d, Ledger: l, Now: func() time.Time { return time.Unix(1, 0) }})
		ctx := t.Context()
		for _, x := range []Group{{Name: "A b", Expression: "true"}, {Name: "a", Expression: ""}, {Name: "a", Expression: "zone"}, {Name: "a", Expression: "no_such_field == 1"},
			{Name: "a", Expression: "zone ==="}, {Name: "a", Expression: strings.Repeat("true && ", 1000) + "true"}, {Name: "a", Expression: "true", Note: strings.Repeat("x", 501)}} {
			if _, err := g.Save(ctx, "erin", x); fault.KindOf(err) != fault.Invalid {
				t.Errorf("%.40v: %v", x, err)
			}
		}
		if err := g.Drop(ctx, "erin", "a"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("drop what is not there: %v", err)
		}
		for i := range Most {
			if _, err := g.Save(ctx, "erin", Group{Name: fmt.Sprintf("g%d", i), Expression: "recorded"}); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := g.Save(ctx, "erin", Group{Name: "one-more", Expression: "true"}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("one over the bound: %v", err)
		}
		first, err := g.Get(ctx, "g1")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := g.Save(ctx, "erin", Group{Name: "g1", Expression: "!recorded", ChangedAt: first.ChangedAt}); err != nil {
			t.Errorf("a change at the bound: %v", err)
		}
		if a := l.acts[len(l.acts)-1]; a.Kind != "group.saved" || a.Subject != "group/g1" || !strings.Contains(string(a.Detail), `"after":"!recorded","before":"recorded"`) {
			t.Errorf("act %+v %s", a, a.Detail)
		}
		if err := g.Drop(ctx, "erin", "g1"); err != nil {
			t.Fatal(err)
		}
		if all, err := g.List(ctx); err != nil || len(all) != Most-1 {
			t.Errorf("%d groups, %v", len(all), err)
		}
	})
}

// TestAGroupIsNotWrittenOver: a change is made from the group of now, a new one where there is none.
func TestAGroupIsNotWrittenOver(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		g := New(Config{DB: d, Ledger: &log{}, Now: func() time.Time { return time.Unix(1, 0) }}) // the clock stands still
		ctx := t.Context()
		save := func(from Group, expression string) (Group, error) {
			return g.Save(ctx, "erin", Group{Name: "dmz", Expression: expression, ChangedAt: from.ChangedAt})
		}
		first, err := save(Group{}, "true")
		if err != nil {
			t.Fatal(err)
		}
		second, err := save(first, "recorded")
		if err != nil {
			t.Fatal(err)
		}
		for what, from := range map[string]Group{"made again": {}, "from what it was": first} {
			if _, err := save(from, "false"); fault.KindOf(err) != fault.Conflict || fault.CodeOf(err) != fault.Stale {
				t.Errorf("%s: %v", what, err)
			}
		}
		if now, err := g.Get(ctx, "dmz"); err != nil || now != second {
			t.Errorf("%+v, %v", now, err)
		}
		if err := g.Drop(ctx, "erin", "dmz"); err != nil {
			t.Fatal(err)
		}
		if _, err := save(second, "false"); fault.CodeOf(err) != fault.Stale {
			t.Errorf("from what was dropped: %v", err)
		}
		if _, err := save(Group{}, "false"); err != nil {
			t.Errorf("made again after it was dropped: %v", err)
		}
	})
}
