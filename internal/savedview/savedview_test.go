package savedview_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
)

// acts keeps what is written to the ledger.
type acts struct{ said []string }

func (a *acts) Append(_ context.Context, _ *db.Tx, act proof.Act) (int64, error) {
	a.said = append(a.said, act.Who+" "+act.Kind+" "+string(act.Detail))
	return 0, nil
}

func begin(t *testing.T, d *db.DB) (*savedview.Views, *acts) {
	now := time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)
	a := &acts{}
	return savedview.New(savedview.Config{DB: d, Ledger: a, Now: func() time.Time { now = now.Add(time.Second); return now }}), a
}

func names(t *testing.T, s *savedview.Views, person, list string) (all []string) {
	t.Helper()
	views, err := s.List(t.Context(), person, list)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range views {
		all = append(all, v.Person+" "+v.List+" "+v.Name+" "+v.Query)
	}
	return all
}

// TestAPrivateViewIsItsOwnersAlone: nobody else sees, replaces or drops it, and the ledger does not tell what it is.
func TestAPrivateViewIsItsOwnersAlone(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		s, a := begin(t, d)
		save := func(person, name, query string, shared bool) savedview.View {
			v, err := s.Save(t.Context(), savedview.View{Person: person, List: "hosts", Name: name, Query: query, Shared: shared})
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		secret := save("alice", "Quiet", "state=silent&page=3", false)
		ours := save("alice", "Stage", "environment=stage", true)
		save("bob", "Quiet", "state=cloned", false)
		for person, want := range map[string][]string{
			"alice": {"alice hosts Quiet state=silent", "alice hosts Stage environment=stage"},
			"bob":   {"bob hosts Quiet state=cloned", "alice hosts Stage environment=stage"},
			"carol": {"alice hosts Stage environment=stage"},
		} {
			if d := cmp.Diff(want, names(t, s, person, "hosts")); d != "" {
				t.Errorf("%s: %s", person, d)
			}
		}
		if got := names(t, s, "alice", "changes"); len(got) != 0 {
			t.Errorf("on another list: %v", got)
		}
		for _, view := range []string{secret.ID, ours.ID, "vew_none"} {
			if err := s.Drop(t.Context(), "bob", view); fault.KindOf(err) != fault.NotFound {
				t.Errorf("bob drops alice's view: %v", err)
			}
		}
		if got := names(t, s, "alice", ""); len(got) != 2 {
			t.Errorf("alice has %v", got)
		}
		save("alice", "Quiet", "state=alarms", false) // in the place of the first
		if err := s.Drop(t.Context(), "alice", secret.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a view that was replaced is dropped: %v", err)
		}
		if err := s.Drop(t.Context(), "alice", ours.ID); err != nil {
			t.Error(err)
		}
		if d := cmp.Diff([]string{"alice hosts Quiet state=alarms"}, names(t, s, "alice", "")); d != "" {
			t.Error(d)
		}
		shared := `{"list":"hosts","shared":true,"name":"Stage","query":"environment=stage"}`
		want := []string{`person/alice view.saved {"list":"hosts","shared":false}`, "person/alice view.saved " + shared, `person/bob view.saved {"list":"hosts","shared":false}`,
			`person/alice view.saved {"list":"hosts","shared":false}`, "person/alice view.dropped " + shared}
		if d := cmp.Diff(want, a.said); d != "" {
			t.Error(d)
		}
	})
}

func TestViewsThatAreRefused(t *testing.T) {
	s, a := begin(t, dbtest.Open(t))
	good := savedview.View{Person: "alice", List: "hosts", Name: "n", Query: "state=silent"}
	for name, change := range map[string]func(*savedview.View){
		"another page":     func(v *savedview.View) { v.List = "people" },
		"an address":       func(v *savedview.View) { v.List = "//evil.example.org" },
		"no name":          func(v *savedview.View) { v.Name = " " },
		"a long name":      func(v *savedview.View) { v.Name = strings.Repeat("ä", 41) },
		"a control":        func(v *savedview.View) { v.Name = "a\x1b[2J" },
		"no filter":        func(v *savedview.View) { v.Query = "page=2&q=+" },
		"no query":         func(v *savedview.View) { v.Query = "%zz" },
		"a strange key":    func(v *savedview.View) { v.Query = "<b>=1" },
		"a long query":     func(v *savedview.View) { v.Query = "q=" + strings.Repeat("x", 500) },
		"bytes, not text":  func(v *savedview.View) { v.Query = "q=%ff" },
		"a split response": func(v *savedview.View) { v.Name = "a\r\nSet-Cookie: x" },
	} {
		v := good
		change(&v)
		if _, err := s.Save(t.Context(), v); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(a.said) > 0 {
		t.Errorf("acts: %v", a.said)
	}
	for i := range 50 {
		good.Name = fmt.Sprint(i)
		if _, err := s.Save(t.Context(), good); err != nil {
			t.Fatal(err)
		}
	}
	good.Name = "one more"
	if _, err := s.Save(t.Context(), good); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the 51st view: %v", err)
	}
	good.Name = "7"
	if _, err := s.Save(t.Context(), good); err != nil {
		t.Errorf("in the place of another: %v", err)
	}
}

func FuzzCanonical(f *testing.F) {
	for _, seed := range []string{"", "a=1&b=2", "q=%ff", "page=1", "a=1&a=2", "%zz", "q=a+b;c", "<b>=&"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, query string) {
		once, err := savedview.Canonical(query)
		if err != nil {
			return
		}
		if twice, err := savedview.Canonical(once); len(once) <= 500 && (err != nil || twice != once) {
			t.Errorf("%q becomes %q becomes %q, %v", query, once, twice, err)
		}
		if strings.ContainsAny(once, "\r\n <>\"'#/\\") {
			t.Errorf("%q becomes %q", query, once)
		}
	})
}
