// Package deadline runs the clocks: which policy is in force, how a vulnerability was assessed, by when it must be reviewed,
// assessed, answered and remediated, and what stopped each clock.
package deadline

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/policy"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Triage tells what affects the fleet.
type Triage interface {
	Vulnerabilities(ctx context.Context) (triage.View, error)
	Standings(ctx context.Context, of func(host string) string) (map[string][]string, error)
}

// Exposure tells since when.
type Exposure interface {
	OpenEpisodes(ctx context.Context) ([]exposure.Episode, error)
	History(ctx context.Context, vulnerability string) ([]exposure.Episode, error)
}

// Intake tells what nobody has read yet.
type Intake interface {
	Unreviewed(ctx context.Context) (map[string]bool, error)
}

// Standing is what rules ask about a host. Two hosts with equal standings have the same deadlines.
type Standing struct {
	Environment string   `json:"environment"`
	Zone        string   `json:"zone,omitempty"`
	Exposure    string   `json:"exposure,omitempty"`
	Criticality string   `json:"criticality,omitempty"`
	Unit        string   `json:"unit,omitempty"`
	Groups      []string `json:"groups,omitempty"` // sorted

	host string // the one host that it is of, where decisions are about single hosts
}

// Standings tells every host's standing, of now; under the same version all are as they were.
type Standings interface {
	Standings(ctx context.Context) (of func(host string) Standing, version int, err error)
}

// Config of Deadlines. Default is the policy that holds until people put one in force.
type Config struct {
	DB        *db.DB
	Ledger    Ledger
	Blobs     blob.Store
	Root      staff.Root
	Triage    Triage
	Exposure  Exposure
	Intake    Intake
	Standings Standings
	Default   string // name of a shipped profile
	Now       func() time.Time
}

// Deadlines is the policies, assessments and clocks.
type Deadlines struct {
	Config
	shipped func() (*policy.Compiled, error) // the default

	mu       sync.Mutex // guards affected
	affected affected
}

// affected is the distinct standings of the hosts each vulnerability affects.
type affected struct {
	view      triage.Version
	standings int // their version
	by        map[string][]Standing
}

// New makes Deadlines.
func New(c Config) *Deadlines {
	return &Deadlines{Config: c, shipped: sync.OnceValues(func() (*policy.Compiled, error) {
		p, err := policy.Profile(c.Default)
		if err != nil {
			return nil, err
		}
		return policy.Compile(p)
	})}
}

func (d *Deadlines) act(ctx context.Context, tx *db.Tx, who, kind, subject string, facts []string, detail any) (int64, error) {
	b, err := envelope.Encode(detail)
	if err != nil {
		return 0, err
	}
	return d.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: d.Now().UTC(), Who: who, Facts: facts, Detail: json.RawMessage(b)})
}

// subjectOf is the subject of acts about a vulnerability, as triage has it.
func subjectOf(vulnerability string) string { return "vulnerability/" + vulnerability }
