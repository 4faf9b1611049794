package change

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Template makes a routine order one action: what a proposal leaves empty is taken from it. The order is proposed, checked and
// signed as any other. Source: R-603.
type Template struct {
	Name       string    `json:"name" maxLength:"40"`      // a-z 0-9 -
	Zone       string    `json:"time_zone" maxLength:"64"` // IANA name, such as Europe/Zurich
	Stage      Slot      `json:"stage"`
	Production Slot      `json:"production"` // the first one after stage for which the notice is in time
	Reason     string    `json:"reason" maxLength:"2000"`
	Plan       string    `json:"plan" maxLength:"2000"` // this, Reason and BackOut may name the Placeholders
	BackOut    string    `json:"back_out" maxLength:"2000"`
	Audience   string    `json:"audience,omitempty" maxLength:"200"` // of the notice, which goes out with the stage order
	ChangedBy  string    `json:"changed_by,omitempty" readOnly:"true"`
	ChangedAt  time.Time `json:"changed_at,omitzero" readOnly:"true"`
}

// Slot is a window that comes each week, by the clocks of the template's time zone.
type Slot struct {
	Weekday string `json:"weekday" enum:"monday,tuesday,wednesday,thursday,friday,saturday,sunday"`
	At      string `json:"at" pattern:"^[0-2][0-9]:[0-5][0-9]$"` // such as 22:00
	Hours   int    `json:"hours" minimum:"1" maximum:"72"`
}

// Placeholders of a template's texts: the snapshot's first digits, what is remedied, when stage and production open.
var Placeholders = []string{"{snapshot}", "{vulnerabilities}", "{stage}", "{production}"}

// Weekdays of slots.
var Weekdays = []string{"monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"}

// MostTemplates is how many there may be.
const MostTemplates = 100

// Bounds of a template's texts, in bytes.
const (
	maxText     = 2000
	maxAudience = 200
	maxHours    = 72
)

var (
	templateName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,39}$`)
	braced       = regexp.MustCompile(`\{[^{}]*\}`)
)

func (t Template) check() error {
	if !templateName.MatchString(t.Name) {
		return fault.New(fault.Invalid, "name: lower case letters, digits and hyphens, at most 40")
	}
	if _, err := zoneOf(t.Zone); err != nil {
		return err
	}
	for _, s := range []Slot{t.Stage, t.Production} {
		if _, _, _, ok := s.clock(); !ok || s.Hours < 1 || s.Hours > maxHours {
			return fault.New(fault.Invalid, "a window is a weekday, a time such as 22:00, and 1 to %d hours", maxHours)
		}
	}
	for name, text := range map[string]string{"reason": t.Reason, "plan": t.Plan, "back_out": t.BackOut} {
		if strings.TrimSpace(text) == "" || len(text) > maxText {
			return fault.New(fault.Invalid, "%s: a text of at most %d bytes is needed", name, maxText)
		}
		for _, p := range braced.FindAllString(text, -1) {
			if !slices.Contains(Placeholders, p) {
				return fault.New(fault.Invalid, "%s: %.40q is none of %s", name, p, strings.Join(Placeholders, ", "))
			}
		}
	}
	if len(t.Audience) > maxAudience {
		return fault.New(fault.Invalid, "audience: at most %d bytes", maxAudience)
	}
	return nil
}

// zoneOf refuses what is not the name of a time zone, Local among it: the server's clock is nobody's wall clock.
func zoneOf(name string) (*time.Location, error) {
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" || name == "Local" {
		return nil, fault.New(fault.Invalid, "time_zone: %.64q is no time zone such as Europe/Zurich or UTC", name)
	}
	return zone, nil
}

func (s Slot) clock() (day time.Weekday, hour, minute int, ok bool) {
	at, err := time.Parse("15:04", s.At)
	for day = range time.Saturday + 1 {
		if strings.ToLower(day.String()) == s.Weekday {
			return day, at.Hour(), at.Minute(), err == nil
		}
	}
	return 0, 0, 0, false
}

// after gives the slot's first window that opens after a time. A time that a change of clocks skips is an hour off.
func (s Slot) after(t time.Time, zone *time.Location) warrant.Window {
	day, hour, minute, _ := s.clock()
	here := t.In(zone)
	for d := 0; ; d++ {
		opens := time.Date(here.Year(), here.Month(), here.Day()+d, hour, minute, 0, 0, zone)
		if opens.Weekday() == day && opens.After(t) {
			return warrant.Window{OpensAt: opens.UTC(), ClosesAt: opens.Add(time.Duration(s.Hours) * time.Hour).UTC()}
		}
	}
}

// fill gives a proposal with what it leaves empty. A production order follows of, whose notices it goes on from: they told
// of production when stage was proposed.
func (t Template) fill(p Proposal, of Order, now time.Time, noticeHours int) (Proposal, error) {
	if p.Kind != Stage && p.Kind != Production || p.Class == trustroot.Emergency {
		return p, fault.New(fault.Invalid, "a template is for stage orders and routine production orders")
	}
	zone, err := zoneOf(t.Zone)
	if err != nil {
		return p, err
	}
	told := warrant.Notice{At: now.UTC().Truncate(time.Second), Audience: t.Audience}
	notices, stage := []warrant.Notice{told}, t.Stage.after(now, zone)
	if p.Kind == Production {
		stage = of.Window
		if len(of.Notices) > 0 {
			notices = of.Notices
			told = slices.MinFunc(of.Notices, func(a, b warrant.Notice) int { return a.At.Compare(b.At) })
		}
		if p.Snapshot == "" {
			p.Snapshot = of.Snapshot.SHA256
		}
		if len(p.Vulnerabilities) == 0 {
			p.Vulnerabilities = of.Vulnerabilities
		}
		if p.Class == "" {
			p.Class = trustroot.Routine
		}
	}
	earliest := slices.MaxFunc([]time.Time{now, stage.OpensAt, told.At.Add(time.Duration(noticeHours)*time.Hour - time.Second)}, time.Time.Compare)
	production := t.Production.after(earliest, zone)
	if p.Window == (warrant.Window{}) {
		p.Window = map[string]warrant.Window{Stage: stage, Production: production}[p.Kind]
	}
	if len(p.Notices) == 0 && notices[0].Audience != "" {
		p.Notices = notices
	}
	const form = "Mon 2 Jan 2006 15:04 MST"
	words := strings.NewReplacer("{snapshot}", p.Snapshot[:min(12, len(p.Snapshot))], "{vulnerabilities}", strings.Join(p.Vulnerabilities, ", "),
		"{stage}", stage.OpensAt.In(zone).Format(form), "{production}", production.OpensAt.In(zone).Format(form))
	for field, text := range map[*string]string{&p.Reason: t.Reason, &p.Plan: t.Plan, &p.BackOut: t.BackOut} {
		if *field == "" {
			*field = words.Replace(text)
		}
	}
	return p, nil
}

// Fill gives a proposal with what its template adds. Without a template it is as it was.
func (c *Changes) Fill(ctx context.Context, p Proposal) (Proposal, error) {
	if p.Template == "" {
		return p, nil
	}
	t, err := c.Template(ctx, p.Template)
	if err != nil {
		return p, err
	}
	var of Order
	if p.Kind == Production {
		if of, err = c.Get(ctx, p.Of); err != nil {
			return p, err
		}
	}
	return t.fill(p, of, c.Now(), c.NoticeHours)
}

// Templates gives all templates by name.
func (c *Changes) Templates(ctx context.Context) (all []Template, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadTemplates(ctx, tx)
		return err
	})
	return all, err
}

// Template gives one, or NotFound.
func (c *Changes) Template(ctx context.Context, name string) (t Template, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		t, err = loadTemplate(ctx, tx, name)
		return err
	})
	return t, err
}

// SaveTemplate makes a template, or changes the one whose ChangedAt t has: Conflict with code STALE if there is another by now.
func (c *Changes) SaveTemplate(ctx context.Context, who string, t Template) (Template, error) {
	if err := t.check(); err != nil {
		return t, fmt.Errorf("template: %w", err)
	}
	return t, c.DB.Write(ctx, func(tx *db.Tx) error {
		all, err := loadTemplates(ctx, tx)
		if err != nil {
			return err
		}
		var before Template
		if i := slices.IndexFunc(all, func(old Template) bool { return old.Name == t.Name }); i >= 0 {
			before = all[i]
		}
		if !before.ChangedAt.Equal(t.ChangedAt) {
			return db.Outdated("template %s was made, changed or dropped since you looked; look again", t.Name)
		}
		if before.Name == "" && len(all) >= MostTemplates {
			return fault.New(fault.Conflict, "there are %d templates already; drop one first", MostTemplates)
		}
		t.ChangedBy, t.ChangedAt = who, db.Later(c.Now(), before.ChangedAt)
		if err := putTemplate(ctx, tx, t); err != nil {
			return err
		}
		return c.templateAct(ctx, tx, "template.saved", who, t)
	})
}

// DropTemplate forgets a template. Orders made from it stay as they are.
func (c *Changes) DropTemplate(ctx context.Context, who, name string) error {
	return c.DB.Write(ctx, func(tx *db.Tx) error {
		t, err := loadTemplate(ctx, tx, name)
		if err != nil {
			return err
		}
		if err := dropTemplate(ctx, tx, name); err != nil {
			return err
		}
		return c.templateAct(ctx, tx, "template.dropped", who, t)
	})
}

func (c *Changes) templateAct(ctx context.Context, tx *db.Tx, kind, who string, t Template) error {
	b, err := encodeTemplate(t)
	if err != nil {
		return err
	}
	_, err = c.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "template/" + t.Name, At: c.Now(), Who: "person/" + who, Detail: []byte(b)})
	return err
}
