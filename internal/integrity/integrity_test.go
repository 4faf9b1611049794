package integrity

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/explain/explaintest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// logbook stands in for the ledger.
type logbook struct{ acts []proof.Act }

func (l *logbook) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	l.acts = append(l.acts, a)
	return int64(len(l.acts) - 1), nil
}

func (l *logbook) kinds() (out []string) {
	for _, a := range l.acts {
		out = append(out, a.Kind)
	}
	return out
}

// upload gives the server what a run rests on: facts, trees, packages.
func upload(t *testing.T, h *explaintest.Host, blobs blob.Store, debs ...string) {
	t.Helper()
	put := func(b []byte) {
		_, err := blob.PutBytes(t.Context(), blobs, b)
		h.Must(err)
	}
	for _, b := range h.Facts {
		put(b)
	}
	for _, s := range h.Trees {
		for d := range s.Digests() {
			b, err := s.Get(t.Context(), d)
			h.Must(err)
			put(b)
		}
	}
	for _, file := range debs {
		b, err := os.ReadFile(file)
		h.Must(err)
		put(b)
	}
}

func TestOrderFromStageToInvestigation(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx := t.Context()
		blobs, err := blob.Dir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		log := &logbook{}
		now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
		i := New(Config{DB: d, Ledger: log, Blobs: blobs, Root: people{warranttest.New(t)}, Estate: everywhere{}, Now: func() time.Time { return now }})
		run := func(host string, meddle func(h *explaintest.Host)) (warrant.Transaction, Run) {
			h := explaintest.New(t, time.Now)
			h.Dpkg("-i", h.Pack("tool", "1", map[string]string{"/usr/bin/tool": "1"}))
			next := h.Pack("tool", "2", map[string]string{"/usr/bin/tool": "2"})
			in := h.Upgrade(func() { meddle(h) }, explaintest.Upgrades("tool"), next)
			upload(t, h, blobs, next)
			return warrant.Transaction{Hosts: []string{host}, Actions: in.Actions}, Run{Host: host, Done: true, Before: in.Before, After: in.After}
		}
		script := func(h *explaintest.Host) { h.Write("/var/lib/tool/made", "by a script") }

		staged, stageRun := run("hst_stage", script)
		stage := warrant.Order{ID: "ord_stage", Transactions: []warrant.Transaction{staged}}
		manifest, err := i.MakeManifest(ctx, stage, []Run{stageRun})
		if err != nil {
			t.Fatal(err)
		}
		if again, err := i.MakeManifest(ctx, stage, nil); err != nil || again != manifest {
			t.Errorf("second call: %s, %v", again, err)
		}
		m, err := i.Manifest(ctx, manifest)
		if err != nil || !slices.ContainsFunc(m.Changes, func(s explain.Staged) bool { return s.Path == "/var/lib/tool/made" && s.Verdict == explain.Unexplained }) {
			t.Errorf("manifest %+v, %v", m, err)
		}

		good, goodRun := run("hst_a", script)
		bad, badRun := run("hst_b", func(h *explaintest.Host) { script(h); h.Write("/usr/bin/implant", "evil") })
		order := warrant.Order{ID: "ord_prod", Transactions: []warrant.Transaction{good, bad}, Stage: &warrant.StageRef{Order: "ord_stage", Manifest: manifest}}
		if r, err := i.Reconcile(ctx, order, []Run{goodRun}); err != nil || !r.Clean || len(r.PerHost) != 1 {
			t.Errorf("before the other host reported: %+v, %v", r, err)
		}
		r, err := i.Reconcile(ctx, order, []Run{goodRun, badRun}) // late
		if err != nil {
			t.Fatal(err)
		}
		if r.Clean || r.Counts[explain.Unexplained] != 1 || !r.PerHost[0].Clean() || r.PerHost[1].Clean() {
			t.Errorf("reconciliation %+v", r)
		}
		again, err := i.Reconcile(ctx, order, []Run{goodRun, badRun})
		if d := cmp.Diff(r, again); d != "" || err != nil {
			t.Errorf("second call: %v %s", err, d)
		}
		for n, h := range r.PerHost {
			after := []string{"", r.PerHost[0].Host}[n]
			page, hosts, err := i.ReconciliationFrom(ctx, order.ID, after, 1)
			want := r
			want.PerHost = []explain.StagedHost{h}
			if d := cmp.Diff(want, page); d != "" || hosts != 2 || err != nil {
				t.Errorf("page of %d hosts: %v %s", hosts, err, d)
			}
		}
		if _, _, err := i.ReconciliationFrom(ctx, "ord_none", "", 1); fault.KindOf(err) != fault.NotFound {
			t.Errorf("page of no reconciliation: %v", err)
		}
		report, err := i.Report(ctx, r.PerHost[1].Report)
		if lines := report.Discrepancies(); err != nil || len(lines) != 1 || lines[0].Path != "/usr/bin/implant" {
			t.Errorf("discrepancies %+v, %v", lines, err)
		}
		investigate(t, i, &now, r.PerHost[1].Report)
		want := "host.observed manifest.made host.observed order.reconciled host.observed investigation.opened order.reconciled " +
			"investigation.overdue investigation.proposed investigation.ratified"
		if got := strings.Join(log.kinds(), " "); got != want {
			t.Errorf("acts %s\nwant %s", got, want)
		}
	})
}

// investigate follows the one open investigation through its clock to its end.
func investigate(t *testing.T, i *Integrity, now *time.Time, report string) {
	t.Helper()
	ctx := t.Context()
	all, err := i.Investigations(ctx)
	if err != nil || len(all) != 1 || all[0].State != Open || all[0].Report != report || !all[0].DueAt.Equal(now.Add(24*time.Hour)) {
		t.Fatalf("investigations %+v, %v", all, err)
	}
	for _, c := range []struct {
		page InvestigationPage
		want int
	}{
		{InvestigationPage{Limit: 5}, 1}, {InvestigationPage{Order: all[0].Order, State: Open, Limit: 5}, 1},
		{InvestigationPage{State: Closed, Limit: 5}, 0}, {InvestigationPage{Order: "ord_none", Limit: 5}, 0},
		{InvestigationPage{Before: all[0].ID, Limit: 5}, 0},
	} {
		page, n, err := i.InvestigationsFrom(ctx, c.page)
		if err != nil || len(page) != c.want || n[Open] != 1 || c.want == 1 && page[0] != all[0] {
			t.Errorf("%+v: %+v of %v, %v", c.page, page, n, err)
		}
	}
	for _, after := range []time.Duration{24*time.Hour - time.Microsecond, 24 * time.Hour, 25 * time.Hour} {
		start := all[0].OpenedAt
		*now = start.Add(after)
		if err := i.SweepOverdue(ctx); err != nil {
			t.Fatal(err)
		}
		inv, err := i.Investigation(ctx, all[0].ID)
		if err != nil || inv.OverdueAt.IsZero() != (after < 24*time.Hour) {
			t.Errorf("%v after it opened: overdue %v, %v", after, inv.OverdueAt, err)
		}
	}
	legitimate := Resolution{Outcome: Legitimate, Reason: "put there by hand"}
	if _, err := i.Resolve(ctx, "alice", all[0].ID, legitimate); err != nil {
		t.Error(err)
	}
	if _, err := i.Resolve(ctx, "alice", all[0].ID, legitimate); fault.KindOf(err) != fault.Denied {
		t.Errorf("the same person twice: %v", err)
	}
	inv, err := i.Resolve(ctx, "bob", all[0].ID, legitimate)
	if err != nil || inv.State != Closed || inv.ProposedBy != "alice" || inv.ResolvedBy != "bob" {
		t.Errorf("second person: %+v, %v", inv, err)
	}
	if _, err := i.Resolve(ctx, "carol", all[0].ID, legitimate); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a closed one: %v", err)
	}
}

func TestResolve(t *testing.T) {
	open := Investigation{ID: "inv_1", State: Open}
	proposed := Investigation{ID: "inv_1", State: Proposed, ProposedBy: "alice", Reason: "x"}
	for name, c := range map[string]struct {
		inv  Investigation
		r    Resolution
		kind fault.Kind
		act  string
	}{
		"incident":                     {open, Resolution{Outcome: Incident, Severity: "intrusion", Reason: "why"}, "", "investigation.closed"},
		"incident overrules proposal":  {proposed, Resolution{Outcome: Incident, Severity: "compromise", Reason: "why"}, "", "investigation.closed"},
		"incident without severity":    {open, Resolution{Outcome: Incident, Severity: "", Reason: "why"}, fault.Invalid, ""},
		"incident of another severity": {open, Resolution{Outcome: Incident, Severity: "bad", Reason: "why"}, fault.Invalid, ""},
		"legitimate with severity":     {open, Resolution{Outcome: Legitimate, Severity: "probe", Reason: "why"}, fault.Invalid, ""},
		"no reason":                    {open, Resolution{Outcome: Legitimate, Severity: "", Reason: ""}, fault.Invalid, ""},
		"no outcome":                   {open, Resolution{Outcome: "", Severity: "", Reason: "why"}, fault.Invalid, ""},
		"proposer ratifies":            {proposed, Resolution{Outcome: Legitimate, Severity: "", Reason: "why"}, fault.Denied, ""},
		"of an older report":           {Investigation{ID: "inv_1", State: Open, Report: "b"}, Resolution{Outcome: Legitimate, Reason: "why", Report: "a"}, fault.Conflict, ""},
		"closed":                       {Investigation{State: Closed}, Resolution{Outcome: Incident, Severity: "probe", Reason: "why"}, fault.Conflict, ""},
	} {
		inv, act, err := resolve(c.inv, "alice", c.r, time.Unix(1, 0))
		if act != c.act || err != nil && fault.KindOf(err) != c.kind || err == nil && inv.State != Closed {
			t.Errorf("%s: %s, %v, %+v", name, act, err, inv)
		}
	}
}

// people are those of the trust root in force.
type people struct{ *warranttest.World }

func (p people) CurrentRoot(context.Context) (*trustroot.Root, error) { return p.Root, nil }

// everywhere is where hosts stand.
type everywhere map[string]trustroot.Place

func (e everywhere) PlacesOf(_ context.Context, hosts []string) (all []trustroot.Place, _ error) {
	for _, h := range hosts {
		all = append(all, e[h])
	}
	return all, nil
}

// TestWhoIsLimitedAnswersOnlyForTheirHosts: first and second person, for where the host stands now; what nobody knows is not covered.
func TestWhoIsLimitedAnswersOnlyForTheirHosts(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		ctx, all, places := t.Context(), people{warranttest.New(t)}, everywhere{"hst_core": {Zone: "core"}}
		root := *all.Root
		root.People = slices.Clone(root.People)
		root.People[1].Scopes = []trustroot.Scope{{Role: "product-manager", Zones: []string{"lab"}}} // bob
		all.SetRoot(root)
		blobs, err := blob.Dir(t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		log := &logbook{}
		i := New(Config{DB: d, Ledger: log, Blobs: blobs, Root: all, Estate: places, Now: func() time.Time { return time.Unix(1, 0) }})
		open := func(host string) string {
			t.Helper()
			o := Outside{Host: host, Report: &explain.Report{Host: host, Counts: map[explain.Verdict]int{explain.Unexplained: 1}, Lines: []explain.Line{{Path: "/x", Verdict: explain.Unexplained}}}}
			if err := d.Write(ctx, func(tx *db.Tx) error { return i.OpenOutside(ctx, tx, o) }); err != nil {
				t.Fatal(err)
			}
			return strings.TrimPrefix(log.acts[len(log.acts)-1].Subject, "investigation/")
		}
		core, unknown := open("hst_core"), open("hst_unknown")
		ours := Resolution{Outcome: Legitimate, Reason: "ours"}
		for _, id := range []string{core, unknown} {
			for _, r := range []Resolution{ours, {Outcome: Incident, Severity: "probe", Reason: "x"}} {
				if _, err := i.Resolve(ctx, "bob", id, r); fault.KindOf(err) != fault.Denied || fault.CodeOf(err) != fault.Scope {
					t.Errorf("the first person, %s: %v", r.Outcome, err)
				}
			}
			if _, err := i.Resolve(ctx, "nobody", id, ours); fault.CodeOf(err) != fault.Scope {
				t.Errorf("who is not in the trust root: %v", err)
			}
			if inv, err := i.Resolve(ctx, "carol", id, ours); err != nil || inv.State != Proposed {
				t.Errorf("who is not limited: %+v, %v", inv, err)
			}
			if _, err := i.Resolve(ctx, "bob", id, ours); fault.CodeOf(err) != fault.Scope {
				t.Errorf("the second person: %v", err)
			}
		}
		places["hst_core"] = trustroot.Place{Zone: "lab"}
		if inv, err := i.Resolve(ctx, "bob", core, ours); err != nil || inv.State != Closed {
			t.Errorf("within: %+v, %v", inv, err)
		}
	})
}

// TestTheRolesThatAnswerAreThoseOfTheDoor: the room and the table of roles name the same.
func TestTheRolesThatAnswerAreThoseOfTheDoor(t *testing.T) {
	for _, role := range trustroot.Roles() {
		if p := (trustroot.Person{Roles: []string{role}}); MayAnswer(p) != staff.Can(p, staff.Investigate) {
			t.Errorf("%s: the room says %v", role, MayAnswer(p))
		}
	}
}
