// Package rollout carries a warranted order to its hosts: who needs which transaction, who is offered the warrant when,
// and what became of it.
package rollout

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Ledger is what a rollout needs of the log: to write acts, and to prove the act order.warranted to a host.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
	Prove(ctx context.Context, index int64) (proof.Logged, error)
}

// Roots gives the trust root envelopes from a version on, oldest first.
type Roots interface {
	Roots(ctx context.Context, from int64) ([]envelope.Envelope, error)
}

// Carrier gives the files by which a host installs from a snapshot without reaching the repository: release, index and
// packages, by their paths in the repository. Their bytes are blobs.
type Carrier interface {
	Carry(ctx context.Context, snapshot string) ([]wire.File, error)
}

// Hosts gives what the estate knows of a host: here, the key of its executor's reports.
type Hosts interface {
	Host(ctx context.Context, id string) (estate.Host, error)
}

// Config of Rollouts.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Roots  Roots
	Files  Carrier
	Hosts  Hosts
	Now    func() time.Time
}

// Rollouts keeps all rollouts.
type Rollouts struct{ Config }

// New makes Rollouts.
func New(c Config) *Rollouts { return &Rollouts{c} }

// Warranted is an order that has its quorum: what Start needs to carry it out.
type Warranted struct {
	Order    warrant.Order
	Digest   string // of the order's payload
	Envelope string // digest of the stored envelope of the order with its signatures
	Curation string // digest of the stored envelope of the curation record
	Index    int64  // of the act order.warranted
}

// Start makes the rollout of an order and its runs, in the transaction that warrants it. The failure budget is 0: the
// first failed run halts it.
func (s *Rollouts) Start(ctx context.Context, tx *db.Tx, w Warranted) error {
	hosts := HostsOf(w.Order)
	if len(hosts) == 0 {
		return fault.New(fault.Invalid, "order %s names no host", w.Order.ID)
	}
	r := Rollout{
		Order: w.Order.ID, OrderDigest: w.Digest, Author: w.Order.Author, Envelope: w.Envelope, Curation: w.Curation,
		Warranted: w.Index, Sequence: w.Order.Sequence, Window: w.Order.Window, State: Running, StartedAt: s.Now(),
	}
	runs := make([]Run, len(hosts))
	wave := waves(len(hosts))
	for i, h := range hosts {
		runs[i] = Run{Order: r.Order, Host: h, Position: i, Wave: wave[i], State: Waiting}
	}
	if err := insert(ctx, tx, r, runs); err != nil {
		return err
	}
	return s.act(ctx, tx, "rollout.started", "rollout/"+r.Order, "server", []string{w.Digest},
		map[string]any{"hosts": len(hosts), "waves": wave[len(wave)-1] + 1})
}

// HostsOf gives the hosts that an order names, each once, as they first appear.
func HostsOf(o warrant.Order) (hosts []string) {
	known := map[string]bool{}
	for _, t := range o.Transactions {
		for _, h := range t.Hosts {
			if !known[h] {
				known[h], hosts = true, append(hosts, h)
			}
		}
	}
	return hosts
}

// Offer gives the host the first order it may carry out now, or nil. rootVersion is the trust root the host has.
// The proof in the warrant is always under the newest checkpoint, so that no host takes it for a frozen log.
func (s *Rollouts) Offer(ctx context.Context, host string, rootVersion int64) (*wire.Work, error) {
	var r Rollout
	var run *Run
	look := func(tx *db.Tx) (err error) {
		r, run, err = s.next(ctx, tx, host)
		return err
	}
	err := s.DB.Read(ctx, look) // most hosts have nothing to do, and writers take turns
	if err == nil && run != nil && run.State == Waiting {
		err = s.DB.Write(ctx, func(tx *db.Tx) error {
			if err := look(tx); err != nil || run == nil || run.State != Waiting {
				return err
			}
			run.OfferedAt = s.Now()
			return s.move(ctx, tx, *run, Offered, "server", nil)
		})
	}
	if err != nil || run == nil {
		return nil, wrap("offer work to host "+host, err)
	}
	work, err := s.assemble(ctx, host, r, rootVersion)
	return work, wrap("assemble warrant of order "+r.Order, err)
}

// next gives the host's run of the first order that it may carry out now, or nil.
func (s *Rollouts) next(ctx context.Context, tx *db.Tx, host string) (Rollout, *Run, error) {
	orders, err := openOrders(ctx, tx, host)
	if err != nil {
		return Rollout{}, nil, err
	}
	for _, order := range orders {
		r, err := loadRollout(ctx, tx, order)
		if err != nil {
			return r, nil, err
		}
		run, err := loadRun(ctx, tx, order, host)
		if err != nil {
			return r, nil, err
		}
		first, err := unfinished(ctx, tx, order)
		if err != nil {
			return r, nil, err
		}
		if mayOffer(r, run, first, s.Now()) {
			return r, &run, nil
		}
	}
	return Rollout{}, nil, nil
}

func (s *Rollouts) assemble(ctx context.Context, host string, r Rollout, rootVersion int64) (*wire.Work, error) {
	w := warrant.Warrant{Curation: new(envelope.Envelope)}
	if err := s.stored(ctx, r.Envelope, &w.Order); err != nil {
		return nil, err
	}
	files, err := s.files(ctx, host, w.Order.Payload)
	if err != nil {
		return nil, err
	}
	if err := s.stored(ctx, r.Curation, w.Curation); err != nil {
		return nil, err
	}
	if w.Roots, err = s.Roots.Roots(ctx, rootVersion+1); err != nil {
		return nil, err
	}
	if w.Logged, err = s.Ledger.Prove(ctx, r.Warranted); err != nil {
		return nil, err
	}
	b, err := w.Encode()
	if err != nil {
		return nil, err
	}
	return &wire.Work{OrderID: r.Order, Warrant: b, Files: files}, nil
}

// files gives what the host needs of the order's snapshot: release and index, and of the packages only its own.
func (s *Rollouts) files(ctx context.Context, host string, payload []byte) ([]wire.File, error) {
	order, err := warrant.DecodeOrder(payload)
	if err != nil {
		return nil, err
	}
	here := order.For(host)
	if len(here) == 0 {
		return nil, fault.New(fault.NotFound, "order %s does not name host %s", order.ID, host)
	}
	needed := map[string]bool{}
	for _, t := range here {
		for _, a := range t.Actions {
			needed[a.File] = true
		}
	}
	all, err := s.Files.Carry(ctx, order.Snapshot.SHA256)
	if err != nil {
		return nil, fmt.Errorf("files of snapshot %s: %w", order.Snapshot.SHA256, err)
	}
	return slices.DeleteFunc(all, func(f wire.File) bool {
		return strings.HasPrefix(f.Path, "pool/") && !needed[f.Path]
	}), nil
}

// File opens a file of an order that the host has been offered and not finished; NotFound for any other.
func (s *Rollouts) File(ctx context.Context, host, order, path string) (io.ReadCloser, error) {
	var r Rollout
	var run Run
	err := s.DB.Read(ctx, func(tx *db.Tx) (err error) {
		if r, err = loadRollout(ctx, tx, order); err == nil {
			run, err = loadRun(ctx, tx, order, host)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	none := fault.New(fault.NotFound, "host %s has been offered no file %s of order %s", host, path, order)
	if run.State != Offered && run.State != Begun {
		return nil, none
	}
	var e envelope.Envelope
	if err := s.stored(ctx, r.Envelope, &e); err != nil {
		return nil, err
	}
	files, err := s.files(ctx, host, e.Payload)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(files, func(f wire.File) bool { return f.Path == path })
	if i < 0 {
		return nil, none
	}
	return s.Blobs.Open(ctx, files[i].SHA256)
}

// stored reads an envelope from the blob store.
func (s *Rollouts) stored(ctx context.Context, digest string, e *envelope.Envelope) error {
	b, err := blob.ReadAll(ctx, s.Blobs, digest, maxEnvelope)
	if err != nil {
		return err
	}
	return envelope.DecodeUpTo(maxEnvelope, b, e)
}

const maxEnvelope = 4 << 20

// Halt stops offers; runs that have begun go on. A person says why.
func (s *Rollouts) Halt(ctx context.Context, who, order, reason string) error {
	return s.turn(ctx, who, order, reason, Running, Halted, "rollout.halted", func(r *Rollout, _ []Run) error { return nil })
}

// Resume lets a halted rollout go on, bearing the failures it has now: approval of a person other than the order's author.
func (s *Rollouts) Resume(ctx context.Context, who, order, reason string) error {
	return s.turn(ctx, who, order, reason, Halted, Running, "rollout.resumed", func(r *Rollout, runs []Run) error {
		if who == r.Author {
			return fault.New(fault.Denied, "the author of order %s cannot approve that its rollout goes on", order)
		}
		r.Budget = 0
		for _, run := range runs {
			if run.State.bad() {
				r.Budget++
			}
		}
		return nil
	})
}

func (s *Rollouts) turn(ctx context.Context, who, order, reason, from, to, kind string, decide func(*Rollout, []Run) error) error {
	reason, err := ledger.Reason(reason)
	if err != nil {
		return err
	}
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		r, runs, err := load(ctx, tx, order)
		if err != nil {
			return err
		}
		if r.State != from {
			return fault.New(fault.Conflict, "the rollout of order %s is %s, not %s", order, r.State, from)
		}
		if err := decide(&r, runs); err != nil {
			return err
		}
		r.State = to
		if err := saveRollout(ctx, tx, r); err != nil {
			return err
		}
		return s.act(ctx, tx, kind, "rollout/"+order, "person/"+who, []string{r.OrderDigest},
			map[string]any{"reason": reason, "budget": r.Budget})
	})
}

// Get gives a rollout with its runs in order.
func (s *Rollouts) Get(ctx context.Context, order string) (r Rollout, runs []Run, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		r, runs, err = load(ctx, tx, order)
		return err
	})
	return r, runs, err
}

// End is when an order's rollout ended.
type End struct {
	Order string
	At    time.Time
}

// EndedAfter gives the rollouts that ended after a time, the earliest first. One that a host reports to late ends again.
func (s *Rollouts) EndedAfter(ctx context.Context, after time.Time) (all []End, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = ended(ctx, tx, after)
		return err
	})
	return all, err
}

// RunPage is a part of a rollout's runs, in order.
type RunPage struct {
	State State // only in this state; empty: all
	From  int   // the first position
	Limit int
}

// Page gives a rollout with the number of its runs by state, and a page of them.
func (s *Rollouts) Page(ctx context.Context, order string, p RunPage) (r Rollout, n map[State]int, runs []Run, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		if r, err = loadRollout(ctx, tx, order); err != nil {
			return err
		}
		if n, err = counts(ctx, tx, order); err != nil {
			return err
		}
		runs, err = runsBy(ctx, tx, selectRunsFrom, order, p.From, string(p.State), p.Limit)
		return err
	})
	return r, n, runs, err
}

// RunsOf gives a host's runs, of the newest order first; those of orders older than the order before, where it is not empty.
func (s *Rollouts) RunsOf(ctx context.Context, host, before string, limit int) (runs []Run, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		runs, err = runsBy(ctx, tx, selectRunsOf, host, before, limit)
		return err
	})
	return runs, err
}

// act writes one act; detail is encoded canonically (maps have their keys sorted).
func (s *Rollouts) act(ctx context.Context, tx *db.Tx, kind, subject, who string, facts []string, detail map[string]any) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = s.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: s.Now(), Who: who, Facts: facts, Detail: b})
	return wrap("record "+kind, err)
}

func wrap(doing string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", doing, err)
}
