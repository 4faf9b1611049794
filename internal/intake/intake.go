package intake

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/memo"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// ReviewTerm is how long an advisory may wait for its review. Source: R-403, initial assessment within 48 h.
const ReviewTerm = 48 * time.Hour

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Config of an Intake. Sources stand in the order of their precedence.
type Config struct {
	DB      *db.DB
	Ledger  Ledger
	Blobs   blob.Store
	Sources []Source
	Now     func() time.Time
}

// Intake is the sources of advisories.
type Intake struct {
	Config
	read  memo.Memo[Reading] // documents of collections
	mu    sync.Mutex
	known *Knowledge // the last one made
	queue memo.Memo[[]Advisory]
}

// maxRead is how much of what documents say is remembered, in bytes: a server that keeps the statements about two releases
// of a vendor's every CVE needs less.
const maxRead = 512 << 20

// New makes an Intake.
func New(c Config) *Intake {
	return &Intake{Config: c, read: memo.Memo[Reading]{Most: maxRead}, queue: memo.Memo[[]Advisory]{Most: 8 << 20}}
}

func (in *Intake) source(name string) (Source, error) {
	i := slices.IndexFunc(in.Sources, func(s Source) bool { return s.Name == name })
	if i < 0 {
		return Source{}, fault.New(fault.NotFound, "no source of advisories is named %q", Clip(name, maxNote))
	}
	return in.Sources[i], nil
}

// Source gives a source by name.
func (in *Intake) Source(name string) (Source, bool) {
	s, err := in.source(name)
	return s, err == nil
}

// SourceState is what is known of a source: the bytes in force and its clock.
type SourceState struct {
	Name       string         `json:"name"`
	Digest     string         `json:"digest"` // of the bytes in force, of a collection's index; empty before the first
	From       string         `json:"from"`
	Bytes      int64          `json:"bytes"`
	Counts     map[string]int `json:"counts"` // statements by release; signals and support data under ""
	ReceivedAt time.Time      `json:"received_at,omitzero"`
	CheckedAt  time.Time      `json:"checked_at,omitzero"`
	DueAt      time.Time      `json:"due_at"`
	SilentAt   time.Time      `json:"silent_at,omitzero"`  // alarm: nothing heard within the term
	RefusedAt  time.Time      `json:"refused_at,omitzero"` // alarm: what came last was refused
	Refused    string         `json:"refused,omitempty"`   // why
	Shrunk     string         `json:"shrunk,omitempty"`    // digest of what was refused for stating less, which a person may accept

	Documents        int `json:"documents,omitempty"`         // of a collection, in force
	RefusedDocuments int `json:"refused_documents,omitempty"` // of these the last bytes were refused
}

// States gives every source that was ever registered, by name.
func (in *Intake) States(ctx context.Context) (states []SourceState, err error) {
	err = in.DB.Read(ctx, func(tx *db.Tx) error {
		states, err = loadSources(ctx, tx)
		return err
	})
	return states, err
}

// state gives one source; the zero state before it was registered.
func (in *Intake) state(ctx context.Context, name string) (state SourceState, err error) {
	err = in.DB.Read(ctx, func(tx *db.Tx) error {
		state, _, err = loadSource(ctx, tx, name)
		return err
	})
	return state, err
}

// Sweep keeps the freshness clocks: a source registered for the first time gets one, and a source that was not heard within
// its term raises the alarm source.silent, once. Nothing is forgotten because of silence.
func (in *Intake) Sweep(ctx context.Context) error {
	now := in.Now()
	for _, s := range in.Sources {
		err := in.DB.Write(ctx, func(tx *db.Tx) error {
			state, known, err := loadSource(ctx, tx, s.Name)
			if err != nil {
				return err
			}
			if !known {
				if err := saveSource(ctx, tx, SourceState{Name: s.Name, DueAt: now.Add(s.MaxAge)}); err != nil {
					return err
				}
				return in.act(ctx, tx, "", "source.registered", s.Name, nil, registration{Hours: int(s.MaxAge.Hours())})
			}
			if now.Before(state.DueAt) || !state.SilentAt.IsZero() {
				return nil
			}
			state.SilentAt = now
			if err := saveSource(ctx, tx, state); err != nil {
				return err
			}
			last := silence{}
			if !state.CheckedAt.IsZero() {
				last.LastHeard = state.DueAt.Add(-s.MaxAge)
			}
			return in.act(ctx, tx, "", "source.silent", s.Name, nil, last)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// registration is the detail of source.registered: the freshness term.
type registration struct {
	Hours int `json:"hours"`
}

// silence is the detail of source.silent; LastHeard is absent for a source never heard.
type silence struct {
	LastHeard time.Time `json:"last_heard,omitzero"`
}
