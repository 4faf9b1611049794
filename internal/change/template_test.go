package change

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// weekly is "stage Tuesday, production Thursday", by the clocks of Zurich. The world begins on a Saturday at 12:00 UTC.
func weekly() Template {
	return Template{Name: "weekly", Zone: "Europe/Zurich", Stage: Slot{"tuesday", "08:00", 4}, Production: Slot{"thursday", "22:00", 3},
		Reason: "Routine patches: {vulnerabilities}", Plan: "stage {stage}, production {production}", BackOut: "back from {snapshot}", Audience: "customers"}
}

// TestARoutineOrderIsOneAction: first for stage, which tells the audience of production, then for production; each is proposed
// through the same checks as any order.
func TestARoutineOrderIsOneAction(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d)
		_, err := w.SaveTemplate(t.Context(), "bob", weekly())
		w.ok(err)
		stage := w.propose(Proposal{Kind: Stage, Template: "weekly", Snapshot: w.snapshot.Ref.SHA256, Vulnerabilities: []string{"CVE-2026-0001/hello"}})
		w.want("stage opens", stage.Window.OpensAt.Format(time.RFC3339), "2026-11-24T07:00:00Z")
		w.want("stage closes", stage.Window.ClosesAt.Format(time.RFC3339), "2026-11-24T11:00:00Z")
		w.want("reason", stage.Reason, "Routine patches: CVE-2026-0001/hello")
		w.want("plan", stage.Plan, "stage Tue 24 Nov 2026 08:00 CET, production Thu 26 Nov 2026 22:00 CET")
		w.want("back-out", stage.BackOut, "back from "+w.snapshot.Ref.SHA256[:12])
		if len(stage.Notices) != 1 || stage.Notices[0] != (warrant.Notice{At: w.now, Audience: "customers"}) {
			t.Errorf("notices %+v", stage.Notices)
		}
		w.approve(stage)
		w.now = stage.Window.OpensAt
		w.carryOut(stage, warrant.Done)

		w.promoted = "" // the checks are those of any order
		follow := Proposal{Kind: Production, Template: "weekly", Of: stage.ID}
		if _, _, err := w.Propose(t.Context(), "bob", follow); fault.KindOf(err) != fault.Conflict {
			t.Errorf("what was not promoted: %v", err)
		}
		w.promoted = w.snapshot.Ref.SHA256
		w.now = time.Date(2026, 11, 25, 9, 0, 0, 0, time.UTC) // a notice of today would be late for Thursday
		order := w.propose(follow)
		w.want("class", order.Class, trustroot.Routine)
		w.want("production opens", order.Window.OpensAt.Format(time.RFC3339), "2026-11-26T21:00:00Z")
		w.want("what was announced", order.Plan, stage.Plan)
		w.want("vulnerabilities", strings.Join(order.Vulnerabilities, " "), "CVE-2026-0001/hello")
		w.want("acts of templates", w.of("template/weekly"), "template.saved")
		w.ok(w.DropTemplate(t.Context(), "carol", "weekly"))
		if _, _, err := w.Propose(t.Context(), "bob", follow); fault.KindOf(err) != fault.NotFound {
			t.Errorf("dropped: %v", err)
		}
	})
}

// TestATemplateGivesNoPower: what a proposal says itself stays, and what it must say no template says for it.
func TestATemplateGivesNoPower(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	_, err := w.SaveTemplate(t.Context(), "bob", weekly())
	w.ok(err)
	own := w.proposal(Stage)
	own.Template = "weekly"
	if got, err := w.Fill(t.Context(), own); err != nil || got.Window != own.Window || got.Reason != own.Reason || got.Plan != own.Plan {
		t.Errorf("%+v, %v", got, err)
	}
	for what, p := range map[string]Proposal{
		"an emergency": {Kind: Production, Class: trustroot.Emergency, Template: "weekly", Of: w.propose(w.proposal(Stage)).ID, Grounds: "fire"},
		"a back-out":   {Kind: BackOut, Template: "weekly"},
		"no kind":      {Template: "weekly", Snapshot: own.Snapshot},
	} {
		if _, _, err := w.Propose(t.Context(), "bob", p); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	long := weekly()
	long.Stage.Hours = 72
	long.Name = "long"
	_, err = w.SaveTemplate(t.Context(), "bob", long)
	w.ok(err)
	rule := *w.people.Root
	rule.Rules[0].MaxWindowHours = 24
	w.people.SetRoot(rule)
	_, _, err = w.Propose(t.Context(), "bob", Proposal{Kind: Stage, Template: "long", Snapshot: own.Snapshot})
	if fault.CodeOf(err) != fault.WindowTooLong {
		t.Errorf("a window that the trust root does not allow: %v", err)
	}
}

// TestATemplateIsNotWrittenOver: a change is made from the template of now, a new one where there is none.
func TestATemplateIsNotWrittenOver(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d)
		save := func(from Template, plan string) (Template, error) {
			x := weekly()
			x.Plan, x.ChangedAt = plan, from.ChangedAt
			return w.SaveTemplate(t.Context(), "bob", x)
		}
		first, err := save(Template{}, "first")
		w.ok(err)
		second, err := save(first, "second") // in the same moment
		w.ok(err)
		for what, from := range map[string]Template{"made again": {}, "from what it was": first} {
			if _, err := save(from, "third"); fault.KindOf(err) != fault.Conflict || fault.CodeOf(err) != fault.Stale {
				t.Errorf("%s: %v", what, err)
			}
		}
		if now, err := w.Template(t.Context(), "weekly"); err != nil || now.Plan != "second" || !now.ChangedAt.Equal(second.ChangedAt) {
			t.Errorf("%+v, %v", now, err)
		}
		w.ok(w.DropTemplate(t.Context(), "carol", "weekly"))
		if _, err := save(second, "third"); fault.CodeOf(err) != fault.Stale {
			t.Errorf("from what was dropped: %v", err)
		}
	})
}

func TestTemplatesThatAreRefused(t *testing.T) {
	w := begin(t, dbtest.Open(t))
	for what, spoil := range map[string]func(*Template){
		"a name with a slash":   func(x *Template) { x.Name = "a/b" },
		"the server's own zone": func(x *Template) { x.Zone = "Local" },
		"no zone":               func(x *Template) { x.Zone = "" },
		"a zone from a path":    func(x *Template) { x.Zone = "../../etc/passwd" },
		"no weekday":            func(x *Template) { x.Stage.Weekday = "someday" },
		"no time":               func(x *Template) { x.Production.At = "25:00" },
		"no hours":              func(x *Template) { x.Production.Hours = 0 },
		"a window of a month":   func(x *Template) { x.Stage.Hours = 720 },
		"no plan":               func(x *Template) { x.Plan = " " },
		"a long reason":         func(x *Template) { x.Reason = strings.Repeat("x", 2001) },
		"a long audience":       func(x *Template) { x.Audience = strings.Repeat("x", 201) },
		"an unknown word":       func(x *Template) { x.BackOut = "{password}" },
	} {
		bad := weekly()
		spoil(&bad)
		if _, err := w.SaveTemplate(t.Context(), "bob", bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	for i := range MostTemplates {
		x := weekly()
		x.Name = "t" + strings.Repeat("0", i%30) + string(rune('a'+i/30))
		_, err := w.SaveTemplate(t.Context(), "bob", x)
		w.ok(err)
	}
	if _, err := w.SaveTemplate(t.Context(), "bob", weekly()); fault.KindOf(err) != fault.Conflict {
		t.Errorf("one more than the most: %v", err)
	}
}

// TestSlotsComeEachWeek: at the wall clock's time on the weekday, after the moment asked about and within a week and an hour.
func TestSlotsComeEachWeek(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		zone, err := time.LoadLocation(rapid.SampledFrom([]string{"UTC", "Europe/Zurich", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"}).Draw(t, "zone"))
		if err != nil {
			t.Skip(err)
		}
		s := Slot{Weekday: rapid.SampledFrom(Weekdays).Draw(t, "day"), Hours: rapid.IntRange(1, 72).Draw(t, "hours"),
			At: time.Date(0, 1, 1, rapid.IntRange(4, 23).Draw(t, "hour"), rapid.IntRange(0, 59).Draw(t, "minute"), 0, 0, time.UTC).Format("15:04")}
		from := time.Unix(rapid.Int64Range(1_700_000_000, 2_000_000_000).Draw(t, "from"), 0).UTC()
		w := s.after(from, zone)
		here := w.OpensAt.In(zone)
		if here.Format("15:04") != s.At || strings.ToLower(here.Weekday().String()) != s.Weekday || !w.OpensAt.After(from) ||
			w.OpensAt.Sub(from) > 7*24*time.Hour+time.Hour || w.ClosesAt.Sub(w.OpensAt) != time.Duration(s.Hours)*time.Hour {
			t.Fatalf("%+v after %s: %s", s, from.In(zone), here)
		}
	})
}
