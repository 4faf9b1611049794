// Package suspicion keeps what employees report as a vulnerability, and what penetration testers find: each has an owner and a
// clock of 24 hours, which only an answer stops.
package suspicion

import (
	"context"
	"encoding/json"
	"io"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// Terms, all from the report on. Clock is the requirement's; that nobody has taken it is told after Unowned, that the
// answer is late by a whole day is told as critical.
const (
	Clock    = 24 * time.Hour
	Unowned  = 4 * time.Hour
	Escalate = 2 * Clock
)

// Bounds of what one person reports: of people who have an account, whoever floods the CIRT is known by name.
const (
	MaxPerDay   = 20
	MaxEvidence = 256 << 10 // bytes
)

// Analyst is the role that owns and answers suspicions. Source.
const Analyst = "cirt-analyst"

// States.
const (
	Open     = "open"
	Answered = "answered"
)

// Claim is what a reporter says, in a stranger's words. At least one of Host, Package and Place says where.
type Claim struct {
	Title   string `json:"title"`
	Host    string `json:"host,omitempty"`
	Package string `json:"package,omitempty"`
	Place   string `json:"place,omitempty"` // where else
	Noticed string `json:"noticed"`         // how it was noticed
}

// Evidence is what is attached: its name as the reporter gives it, its size in bytes and its SHA-256.
type Evidence struct {
	Name   string `json:"name"`
	Bytes  int    `json:"bytes"`
	SHA256 string `json:"sha256"`
}

// Finding says of which penetration test's report a suspicion is, and what the tester says.
type Finding struct {
	Report   string    `json:"report"` // ID of the imported report
	N        int       `json:"n"`      // of the finding in it, from 1
	Severity string    `json:"severity,omitempty"`
	CVEs     []string  `json:"cves,omitempty"`
	Tester   string    `json:"tester,omitempty"`
	FoundAt  time.Time `json:"found_at,omitzero"`
}

// Suspicion is one report with its clock and its fate.
type Suspicion struct {
	ID string `json:"id"`
	Claim
	Evidence    *Evidence `json:"evidence,omitempty"`
	Finding     *Finding  `json:"finding,omitempty"`
	Reporter    string    `json:"reporter"`
	ReportedAt  time.Time `json:"reported_at"`
	DueAt       time.Time `json:"due_at"`
	Owner       string    `json:"owner,omitempty"`
	State       string    `json:"state"`
	UnownedAt   time.Time `json:"unowned_at,omitzero"`   // when it was told that nobody had taken it
	OverdueAt   time.Time `json:"overdue_at,omitzero"`   // when it was told that the clock ran out
	EscalatedAt time.Time `json:"escalated_at,omitzero"` // when it was told as critical
	AnsweredAt  time.Time `json:"answered_at,omitzero"`  // the first time: this stopped the clock
	Answer      *Answer   `json:"answer,omitempty"`      // the last one
	Steps       []Step    `json:"steps,omitempty"`       // its history, of one suspicion asked for
}

// Step is something that happened to a suspicion.
type Step struct {
	At     time.Time       `json:"at"`
	Who    string          `json:"who"` // person ID, or "server"
	What   string          `json:"what"`
	Detail json.RawMessage `json:"detail"`
}

// Late reports whether the clock ran out without an answer.
func (s Suspicion) Late(now time.Time) bool { return s.AnsweredAt.IsZero() && !now.Before(s.DueAt) }

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Root gives the trust root in force, whose CIRT analysts own suspicions.
type Root interface {
	CurrentRoot(ctx context.Context) (*trustroot.Root, error)
}

// Estate tells what hosts have.
type Estate interface {
	Known(ctx context.Context) (map[string][]string, error)
	Host(ctx context.Context, id string) (estate.Host, error)
	PackageSet(ctx context.Context, digest string) (pkgset.Set, error)
}

// Triage knows the distinct vulnerabilities.
type Triage interface {
	Case(ctx context.Context, vulnerability string, page verdict.HostPage) (triage.Case, error)
}

// Scans keeps the imported reports of penetration tests.
type Scans interface {
	PenTests(ctx context.Context) ([]scans.Report, error)
	Bytes(ctx context.Context, report string) (io.ReadCloser, error)
}

// Intake takes the vulnerabilities of our own as a source of statements.
type Intake interface {
	Import(ctx context.Context, who, source string, r io.Reader, from string) (intake.Receipt, error)
}

// Config of Suspicions.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Root   Root
	Estate Estate
	Triage Triage
	Scans  Scans
	Intake Intake
	Now    func() time.Time
}

// Suspicions keeps all of them.
type Suspicions struct{ Config }

// New makes Suspicions.
func New(c Config) *Suspicions { return &Suspicions{c} }

// Reader says whose suspicions a door may show: all of them to some, to everyone else their own.
type Reader struct {
	Person string
	All    bool
}

func (r Reader) sees(s Suspicion) bool { return r.All || s.Reporter == r.Person }

// Report takes what a person suspects, with bytes attached under a name or nil. The clock begins. A person who has reported
// MaxPerDay within a day is refused (fault.Conflict).
func (x *Suspicions) Report(ctx context.Context, who string, c Claim, name string, attached []byte) (s Suspicion, err error) {
	if err := c.check(); err != nil {
		return s, err
	}
	s = x.open(who, c)
	if s.Evidence, err = evidenceOf(name, attached); err != nil {
		return s, err
	}
	err = x.DB.Write(ctx, func(tx *db.Tx) error {
		n, err := countSince(ctx, tx, who, s.ReportedAt.Add(-24*time.Hour))
		if err != nil {
			return err
		}
		if n >= MaxPerDay {
			return fault.New(fault.Conflict, "you have reported %d within a day, which is the most; tell the CIRT directly what cannot wait", n)
		}
		return x.add(ctx, tx, s, attached)
	})
	return s, err
}

func (x *Suspicions) open(who string, c Claim) Suspicion {
	now := x.Now().UTC().Truncate(time.Microsecond)
	return Suspicion{ID: id.New("sus", now), Claim: c, Reporter: who, ReportedAt: now, DueAt: now.Add(Clock), State: Open}
}

// add keeps a new suspicion. Everyone reads the ledger, so its act binds the report by a digest and tells nothing of it.
func (x *Suspicions) add(ctx context.Context, tx *db.Tx, s Suspicion, attached []byte) error {
	if err := insert(ctx, tx, s); err != nil {
		return err
	}
	if s.Evidence != nil {
		if err := insertEvidence(ctx, tx, s.ID, attached); err != nil {
			return err
		}
	}
	said, err := envelope.Encode(map[string]any{"claim": s.Claim, "evidence": s.Evidence, "finding": s.Finding})
	if err != nil {
		return err
	}
	return x.step(ctx, tx, s.ID, s.Reporter, "suspicion.reported", map[string]any{"sha256": envelope.Digest(said), "due": s.DueAt})
}

// Assign gives a suspicion an owner: oneself, or another CIRT analyst. An answered one keeps its owner.
func (x *Suspicions) Assign(ctx context.Context, who, id, owner string) (s Suspicion, err error) {
	root, err := x.Root.CurrentRoot(ctx)
	if err != nil {
		return s, err
	}
	if p, ok := root.Person(owner); !ok || !slices.Contains(p.Roles, Analyst) {
		return s, fault.New(fault.Invalid, "owner: want a person of the trust root who is a CIRT analyst")
	}
	err = x.DB.Write(ctx, func(tx *db.Tx) error {
		if s, err = load(ctx, tx, id); err != nil {
			return err
		}
		switch {
		case s.State == Answered:
			return fault.New(fault.Conflict, "it was answered by %s already", s.Answer.By)
		case s.Owner == owner:
			return nil
		}
		before := s.Owner
		s.Owner = owner
		if err := save(ctx, tx, s); err != nil {
			return err
		}
		return x.step(ctx, tx, id, who, "suspicion.assigned", map[string]any{"owner": owner, "before": before})
	})
	return s, err
}

// Get gives one suspicion with its history, or NotFound for what the reader may not see.
func (x *Suspicions) Get(ctx context.Context, by Reader, id string) (s Suspicion, err error) {
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		if s, err = load(ctx, tx, id); err != nil {
			return err
		}
		if !by.sees(s) {
			return missing()
		}
		s.Steps, err = loadSteps(ctx, tx, id)
		return err
	})
	return s, err
}

// Attached gives the bytes of a suspicion's evidence.
func (x *Suspicions) Attached(ctx context.Context, by Reader, id string) (b []byte, err error) {
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		s, err := load(ctx, tx, id)
		if err != nil {
			return err
		}
		if !by.sees(s) {
			return missing()
		}
		b, err = loadEvidence(ctx, tx, id)
		return err
	})
	return b, err
}

// Page is a part of the list: of one state or of both where it is empty, before an ID.
type Page struct {
	State  string
	Before string
	Limit  int
}

// MaxList is the most suspicions List gives at once.
const MaxList = 500

// Counts are over all that a reader sees.
type Counts struct {
	Open     int `json:"open"`
	Late     int `json:"late"`    // of those, without an answer in time
	Unowned  int `json:"unowned"` // of those, nobody's
	Answered int `json:"answered"`
}

// List gives what a reader sees, the newest first.
func (x *Suspicions) List(ctx context.Context, by Reader, p Page) (all []Suspicion, n Counts, err error) {
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		if n, err = count(ctx, tx, by, x.Now()); err != nil {
			return err
		}
		p.Limit = min(max(p.Limit, 1), MaxList)
		all, err = loadPage(ctx, tx, by, p)
		return err
	})
	return all, n, err
}

// Owners counts the open suspicions by owner; the empty one is nobody.
func (x *Suspicions) Owners(ctx context.Context) (owners map[string]int, err error) {
	err = x.DB.Read(ctx, func(tx *db.Tx) error {
		owners, err = countOwners(ctx, tx)
		return err
	})
	return owners, err
}

func missing() error {
	return fault.New(fault.NotFound, "no such suspicion, or it is not yours to see")
}

// step writes what happened to a suspicion into its history and the ledger.
func (x *Suspicions) step(ctx context.Context, tx *db.Tx, id, who, what string, detail map[string]any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	now := x.Now().UTC()
	if err := insertStep(ctx, tx, id, Step{now, who, what, b}); err != nil {
		return err
	}
	if who != "server" {
		who = "person/" + who
	}
	_, err = x.Ledger.Append(ctx, tx, proof.Act{Kind: what, Subject: "suspicion/" + id, At: now, Who: who, Detail: b})
	return err
}
