// Package ledger is the record of what happened: a Merkle log of acts, written in the transaction that changes the state
// they are about, with signed checkpoints and proofs in C2SP forms (tlog-checkpoint, tlog-tiles).
package ledger

import (
	"context"
	"fmt"
	"regexp"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Config says what a ledger is made of.
type Config struct {
	DB        *db.DB
	Signer    note.Signer // named by the origin
	Verifier  string      // the signer's verifier key, in note form
	Origin    string
	GuardFile string // remembers, outside the database, the largest checkpoint signed
	Now       func() time.Time
}

// Ledger is the log of one database.
type Ledger struct {
	Config
	signing sync.Mutex
}

// New opens the ledger of a database.
func New(c Config) (*Ledger, error) {
	v, err := note.NewVerifier(c.Verifier)
	if err != nil {
		return nil, fmt.Errorf("open ledger: verifier key: %w", err)
	}
	if v.Name() != c.Origin || c.Signer.Name() != c.Origin || c.Signer.KeyHash() != v.KeyHash() {
		return nil, fault.New(fault.Invalid, "open ledger: signing key, verifier key and origin %q belong to different logs", c.Origin)
	}
	return &Ledger{Config: c}, nil
}

var (
	kindForm    = regexp.MustCompile(`^[a-z]+(-[a-z]+)*(\.[a-z]+(-[a-z]+)*)+$`)
	subjectForm = regexp.MustCompile(`^[a-z]+(-[a-z]+)*/[!-~]{1,300}$`)
	whoForm     = regexp.MustCompile(`^(server|(person|host)/[!-~]{1,100})$`)
)

// Append writes an act in the caller's transaction and gives its index. It sets Prev to the latest act on the subject,
// and At to now if it is zero.
func (l *Ledger) Append(ctx context.Context, tx *db.Tx, a proof.Act) (int64, error) {
	index, err := l.append(ctx, tx, a)
	if err != nil {
		return 0, fmt.Errorf("append act %s on %s: %w", a.Kind, a.Subject, err)
	}
	return index, nil
}

func (l *Ledger) append(ctx context.Context, tx *db.Tx, a proof.Act) (int64, error) {
	if !kindForm.MatchString(a.Kind) || !subjectForm.MatchString(a.Subject) || !whoForm.MatchString(a.Who) {
		return 0, fault.New(fault.Internal, "an act needs a dotted kind, a subject noun/id, and a person/, a host/ or the server who did it")
	}
	if a.At.IsZero() {
		a.At = l.Now()
	}
	a.At = a.At.UTC().Truncate(time.Microsecond)
	index, err := grow(ctx, tx)
	if err != nil {
		return 0, err
	}
	if a.Prev, err = last(ctx, tx, a.Subject); err != nil {
		return 0, err
	}
	b, err := envelope.Encode(a)
	if err != nil {
		return 0, err
	}
	if len(b) > proof.MaxEntry {
		return 0, fault.New(fault.Invalid, "the act has %d bytes, more than %d: keep the details as a fact", len(b), proof.MaxEntry)
	}
	completed, err := tlog.StoredHashes(index, b, hashes(ctx, tx))
	if err != nil {
		return 0, err
	}
	return index, insert(ctx, tx, row{index, a.Kind, a.Subject, b}, completed)
}

// Entry is an act as the ledger holds it.
type Entry struct {
	Index int64
	Act   proof.Act
	Bytes []byte // the leaf
}

func (r row) open() (Entry, error) {
	e := Entry{Index: r.index, Bytes: r.entry}
	if err := envelope.Decode(r.entry, &e.Act); err != nil {
		return Entry{}, fmt.Errorf("ledger entry %d: %w", r.index, err)
	}
	return e, nil
}

// Entry gives one entry, or fault.NotFound.
func (l *Ledger) Entry(ctx context.Context, index int64) (e Entry, err error) {
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		r, err := entry(ctx, tx, index)
		if err != nil {
			return err
		}
		e, err = r.open()
		return err
	})
	return e, err
}

// MaxList is the most entries List gives at once.
const MaxList = 1000

// Filter chooses entries: all set fields must hold.
type Filter struct {
	Subject    string // whole
	KindPrefix string // such as "order."
	From       int64  // the first index
	Before     int64  // the index after the last; 0: the end
	Newest     bool   // the newest first, else the oldest
	Limit      int    // at most MaxList, which 0 means too
}

// List gives the entries a filter chooses.
func (l *Ledger) List(ctx context.Context, f Filter) (all []Entry, err error) {
	if f.Limit <= 0 || f.Limit > MaxList {
		f.Limit = MaxList
	}
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		all = nil
		rows, err := list(ctx, tx, f)
		if err != nil {
			return fmt.Errorf("list ledger: %w", err)
		}
		for _, r := range rows {
			e, err := r.open()
			if err != nil {
				return err
			}
			all = append(all, e)
		}
		return nil
	})
	return all, err
}
