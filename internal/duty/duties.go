package duty

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Staff knows the people, and who leaves.
type Staff interface {
	CurrentRoot(ctx context.Context) (*trustroot.Root, error)
	Accounts(ctx context.Context) ([]staff.Account, error)
}

// Rooms list what has owners.
type (
	Estate interface {
		Facets(ctx context.Context, f estate.Filter) (estate.Facets, error)
		Platforms(ctx context.Context) (map[string]int, error)
	}
	Records interface {
		Owners(ctx context.Context) (map[string]int, error)
	}
	Intake interface {
		States(ctx context.Context) ([]intake.SourceState, error)
	}
	Groups interface {
		List(ctx context.Context) ([]group.Group, error)
	}
	Triage interface {
		Vulnerabilities(ctx context.Context) (triage.View, error)
	}
	Suspicions interface {
		Owners(ctx context.Context) (map[string]int, error)
	}
	Integrity interface {
		InvestigationsFrom(ctx context.Context, p integrity.InvestigationPage) ([]integrity.Investigation, map[string]int, error)
	}
	Deadlines interface {
		Policies(ctx context.Context) ([]deadline.Adoption, error)
		Counts(ctx context.Context) ([]deadline.Count, error)
	}
)

// Config of Duties.
type Config struct {
	DB         *db.DB
	Ledger     Ledger
	Blobs      blob.Store
	Staff      Staff
	Estate     Estate
	Records    Records
	Intake     Intake
	Groups     Groups
	Triage     Triage
	Suspicions Suspicions
	Integrity  Integrity
	Deadlines  Deadlines
	Now        func() time.Time
}

// Duties finds and keeps owners.
type Duties struct{ Config }

// New makes Duties.
func New(c Config) *Duties { return &Duties{c} }

// atOnce is how many open investigations are asked for at once.
const atOnce = 1000

// List gives all duties without an owner, of now.
func (d *Duties) List(ctx context.Context) ([]Duty, error) {
	f, err := d.facts(ctx)
	if err != nil {
		return nil, err
	}
	return Find(f), nil
}

func (d *Duties) facts(ctx context.Context) (f Facts, err error) {
	if f.Root, err = d.Staff.CurrentRoot(ctx); err != nil {
		return f, err
	}
	accounts, err := d.Staff.Accounts(ctx)
	if err != nil {
		return f, err
	}
	f.Leaving = map[string]bool{}
	for _, a := range accounts {
		f.Leaving[a.Person.ID] = a.Notice != nil
	}
	err = d.DB.Read(ctx, func(tx *db.Tx) error {
		f.Owners, err = loadOwners(ctx, tx)
		return err
	})
	for _, look := range []func(context.Context, *Facts) error{d.hosts, d.lists, d.answers} {
		if err == nil {
			err = look(ctx, &f)
		}
	}
	return f, err
}

func (d *Duties) hosts(ctx context.Context, f *Facts) error {
	facets, err := d.Estate.Facets(ctx, estate.Filter{})
	if err != nil {
		return err
	}
	f.Hosts, f.Units = facets.By(estate.ByOwner), facets.By(estate.ByUnit)
	if f.Platforms, err = d.Estate.Platforms(ctx); err != nil {
		return err
	}
	f.Records, err = d.Records.Owners(ctx)
	return err
}

func (d *Duties) lists(ctx context.Context, f *Facts) error {
	sources, err := d.Intake.States(ctx)
	if err != nil {
		return err
	}
	for _, s := range sources {
		if s.Name != intake.Own { // fed by answers, whose owners are known
			f.Sources = append(f.Sources, s.Name)
		}
	}
	groups, err := d.Groups.List(ctx)
	for _, g := range groups {
		f.Groups = append(f.Groups, g.Name)
	}
	return err
}

func (d *Duties) answers(ctx context.Context, f *Facts) error {
	view, err := d.Triage.Vulnerabilities(ctx)
	if err != nil {
		return err
	}
	f.Exceptions = map[string]string{}
	for i := range view.Rows {
		for _, x := range view.Rows[i].Decisions {
			if x.Exception != nil {
				f.Exceptions[x.ID] = x.Exception.Owner
			}
		}
	}
	if f.Suspicions, err = d.Suspicions.Owners(ctx); err != nil {
		return err
	}
	for _, state := range []string{integrity.Open, integrity.Proposed} {
		page := integrity.InvestigationPage{State: state, Limit: atOnce}
		for more := true; more; {
			open, _, err := d.Integrity.InvestigationsFrom(ctx, page)
			if err != nil {
				return err
			}
			for _, i := range open {
				f.Investigations = append(f.Investigations, i.ID)
				page.Before = i.ID
			}
			more = len(open) == atOnce
		}
	}
	if !f.decided() {
		counts, err := d.Deadlines.Counts(ctx)
		if err != nil {
			return err
		}
		for _, c := range counts {
			f.Clocks += c.Running
		}
	}
	policies, err := d.Deadlines.Policies(ctx)
	for _, p := range policies {
		if p.State == deadline.InForce {
			f.Policy, f.PolicyBy = p.Version, p.Person
		}
	}
	return err
}

// Take makes somebody the owner of a duty that has none: oneself alone, so that nobody becomes one unasked. Denied for who has
// none of the roles that its kind asks for, Conflict for what has an owner or is mended elsewhere.
func (d *Duties) Take(ctx context.Context, who, subject string) (Duty, error) {
	f, err := d.facts(ctx)
	if err != nil {
		return Duty{}, err
	}
	all := Find(f)
	i := slices.IndexFunc(all, func(x Duty) bool { return x.Subject == subject })
	if i < 0 {
		return Duty{}, fault.New(fault.Conflict, "%.200q is no duty without an owner; look again", subject)
	}
	x := all[i]
	p, _ := f.Root.Person(who)
	switch {
	case !x.Takes:
		return x, fault.New(fault.Conflict, "%s is not taken here: %s", subject, x.Mend)
	case !slices.ContainsFunc(takers[x.Kind], func(role string) bool { return slices.Contains(p.Roles, role) }):
		return x, fault.New(fault.Denied, "none of the roles of %s may own %s: %s", who, subject, x.Mend)
	}
	before := x.Owner
	x.Owner, x.Why = who, ""
	return x, d.DB.Write(ctx, func(tx *db.Tx) error {
		if now, err := loadOwner(ctx, tx, subject); err != nil || now != f.Owners[subject] {
			if err == nil {
				err = fault.New(fault.Conflict, "%s took %s meanwhile", now, subject)
			}
			return err
		}
		if err := saveOwner(ctx, tx, subject, who, d.Now()); err != nil {
			return err
		}
		return d.act(ctx, tx, "duty.taken", subject, "person/"+who, map[string]any{"owner": who, "before": before})
	})
}

// Tell is the sweep that writes, once a day, what has no owner: one act with the list as its fact.
func (d *Duties) Tell(ctx context.Context) error {
	today := d.Now().UTC().Format(time.DateOnly)
	var told bool
	err := d.DB.Read(ctx, func(tx *db.Tx) (err error) {
		told, err = loadDay(ctx, tx, today)
		return err
	})
	if err != nil || told {
		return err
	}
	all, err := d.List(ctx)
	if fault.KindOf(err) == fault.Unavailable {
		return nil // no trust root yet
	}
	if err != nil {
		return err
	}
	b, err := json.Marshal(append([]Duty{}, all...))
	if err != nil {
		return err
	}
	fact, err := blob.PutBytes(ctx, d.Blobs, b)
	if err != nil {
		return err
	}
	kinds := map[string]int{}
	for _, x := range all {
		kinds[x.Kind] += x.Count
	}
	severity := "none"
	if len(all) > 0 {
		severity = "alarm"
	}
	return d.DB.Write(ctx, func(tx *db.Tx) error {
		if first, err := saveDay(ctx, tx, today); err != nil || !first {
			return err
		}
		return d.act(ctx, tx, "duties.compared", "duties/"+today, "server", map[string]any{"severity": severity, "kinds": kinds}, fact)
	})
}

func (d *Duties) act(ctx context.Context, tx *db.Tx, kind, subject, who string, detail map[string]any, facts ...string) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = d.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: d.Now().UTC(), Who: who, Facts: facts, Detail: b})
	return err
}
