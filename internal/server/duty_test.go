package server

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/duty"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

// TestADutyEndsWhenSomebodyTakesIt: it is told each day, taken by oneself alone and in a role that may, and shown again once that
// person leaves. Naming somebody who leaves empties nothing.
func TestADutyEndsWhenSomebodyTakesIt(t *testing.T) {
	s := tell(t)
	find := func(subject string) (d duty.Duty, found bool) {
		t.Helper()
		var all v1.Duties
		s.as("frank", http.MethodGet, "/duties", nil, &all)
		i := slices.IndexFunc(all.Duties, func(d duty.Duty) bool { return d.Subject == subject })
		if i < 0 {
			return d, false
		}
		return all.Duties[i], true
	}
	if d, found := find("host/of/nobody"); !found || d.Count != len(s.hosts) || d.Takes {
		t.Errorf("hosts without a record: %+v", d)
	}
	take := v1.DutySubject{Subject: "source/debian-tracker"}
	for person, kind := range map[string]fault.Kind{"frank": fault.Denied, "carol": fault.Denied} {
		if err := s.ask(s.tokens[person], http.MethodPost, "/duties/taken", take, nil); fault.KindOf(err) != kind {
			t.Errorf("%s takes a source: %v", person, err)
		}
	}
	if err := s.ask(s.tokens["alice"], http.MethodPost, "/duties/taken", v1.DutySubject{Subject: "host/of/nobody"}, nil); fault.KindOf(err) != fault.Conflict {
		t.Errorf("hosts are taken: %v", err)
	}
	var taken atomic.Int32
	var both sync.WaitGroup
	for range 4 {
		both.Go(func() {
			if s.ask(s.tokens["alice"], http.MethodPost, "/duties/taken", take, nil) == nil {
				taken.Add(1)
			}
		})
	}
	both.Wait()
	if n, told := taken.Load(), s.acts(s.mustLogin("frank"), "duty.taken"); n != 1 || told != 1 {
		t.Errorf("taken %d times at once, told %d times", n, told)
	}
	if _, found := find(take.Subject); found {
		t.Error("it was taken, and is shown")
	}
	s.as("erin", http.MethodPost, "/records", record.Fields{Hostname: "printer-1", Owner: "dave"}, nil)
	if _, found := find("record/of/dave"); found {
		t.Error("dave is there, and his machine is shown")
	}
	s.ok(s.server.Staff.GiveNotice(t.Context(), "carol", "dave", "leaves"))
	s.ok(s.server.Staff.GiveNotice(t.Context(), "carol", "alice", "leaves"))
	s.as("erin", http.MethodPost, "/records", record.Fields{Hostname: "printer-2", Owner: "dave"}, nil) // who empties the list so
	if d, found := find("record/of/dave"); !found || d.Count != 2 || d.Why != "dave leaves" {
		t.Errorf("%+v", d)
	}
	if d, found := find(take.Subject); !found || d.Owner != "alice" || !d.Takes {
		t.Errorf("%+v", d)
	}
	for range 2 {
		s.ok(s.server.duties.Tell(t.Context()))
	}
	s.now = s.now.Add(24 * time.Hour)
	s.ok(s.server.duties.Tell(t.Context()))
	if n := s.acts(s.mustLogin("frank"), "duties.compared"); n != 2 {
		t.Errorf("told %d times in two days", n)
	}
}
