package evidence

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/bundle"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Orders gives orders.
type Orders interface {
	Get(ctx context.Context, order string) (change.Order, error)
}

// Roots gives the trust root envelopes from a version on, oldest first.
type Roots interface {
	Roots(ctx context.Context, from int64) ([]envelope.Envelope, error)
}

// Keyrings gives the pinned keys of an upstream by its name; fault.NotFound where they are not known.
type Keyrings interface {
	Keyring(ctx context.Context, upstream string) ([]byte, error)
}

// Config of a Sealer.
type Config struct {
	DB       *db.DB
	Ledger   *ledger.Ledger
	Blobs    blob.Store
	Orders   Orders
	Roots    Roots
	Keyrings Keyrings
	Now      func() time.Time
}

// Sealer makes bundles.
type Sealer struct{ Config }

// New makes a Sealer.
func New(c Config) *Sealer { return &Sealer{c} }

// Seal gives the bundle of a closed order. That it was made, by whom, is itself an act (evidence.sealed).
func (s *Sealer) Seal(ctx context.Context, who, order string) ([]byte, error) {
	b, err := s.seal(ctx, who, order)
	if err != nil {
		return nil, fmt.Errorf("seal evidence of order %s: %w", order, err)
	}
	return b, nil
}

func (s *Sealer) seal(ctx context.Context, who, order string) ([]byte, error) {
	o, err := s.Orders.Get(ctx, order)
	if err != nil {
		return nil, err
	}
	if o.State != change.Closed {
		return nil, fault.New(fault.Conflict, "it is %s; evidence is sealed when an order is closed", o.State)
	}
	g := &gathering{Sealer: s, facts: map[string][]byte{}, withheld: map[string]string{}, roots: map[string]bool{}, acts: map[int64]ledger.Entry{}, shown: map[string]seen{}}
	if err := g.order(ctx, o); err != nil {
		return nil, err
	}
	if err := g.trustRoots(ctx); err != nil {
		return nil, err
	}
	contents, err := g.contents(order)
	if err != nil {
		return nil, err
	}
	index, err := s.record(ctx, who, order, envelope.Digest(contents))
	if err != nil {
		return nil, err
	}
	return g.pack(ctx, contents, index)
}

// record writes the act that anchors the contents in the ledger.
func (s *Sealer) record(ctx context.Context, who, order, contents string) (index int64, err error) {
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		index, err = s.Ledger.Append(ctx, tx, proof.Act{Kind: sealKind, Subject: "evidence/" + order, At: s.Now(), Who: "person/" + who, Facts: []string{contents}})
		return err
	})
	return index, err
}

const sealKind = "evidence.sealed"

// contents makes the list that the ledger anchors. Payloads stand inside the envelopes gathered, so they are not withheld.
func (g *gathering) contents(order string) ([]byte, error) {
	c := Contents{Order: order, Acts: []Listed{}, Members: []Named{}, Withheld: []Withheld{}}
	for _, i := range slices.Sorted(maps.Keys(g.acts)) {
		a := g.acts[i].Act
		c.Acts = append(c.Acts, Listed{i, a.Kind, a.Subject})
	}
	inside := maps.Clone(g.roots)
	for digest, fact := range g.facts {
		g.member(factsPrefix+digest, fact)
		if e, ok := asEnvelope(fact); ok {
			inside[envelope.Digest(e.Payload)] = true
		}
	}
	slices.SortFunc(g.members, func(a, b bundle.Member) int { return strings.Compare(a.Name, b.Name) })
	for _, m := range g.members {
		c.Members = append(c.Members, Named{m.Name, envelope.Digest(m.Data)})
	}
	for _, digest := range slices.Sorted(maps.Keys(g.withheld)) {
		if _, have := g.facts[digest]; !have && !inside[digest] {
			c.Withheld = append(c.Withheld, Withheld{digest, g.withheld[digest]})
		}
	}
	return envelope.Encode(c)
}

// pack proves every act under one checkpoint and puts the container together.
func (g *gathering) pack(ctx context.Context, contents []byte, seal int64) ([]byte, error) {
	proofs, err := g.Ledger.ProveAll(ctx, append(slices.Sorted(maps.Keys(g.acts)), seal))
	if err != nil {
		return nil, err
	}
	members := append(slices.Clone(g.members), bundle.Member{Name: contentsName, Data: contents},
		bundle.Member{Name: checkpointName, Data: []byte(proofs[0].Checkpoint)})
	add := func(name string, v any) error {
		b, err := envelope.Encode(v)
		members = append(members, bundle.Member{Name: name, Data: b})
		return err
	}
	for _, p := range proofs {
		name := actName(p.Index)
		if p.Index == seal {
			name = sealName
		}
		if err := add(name, included{p.Index, p.Entry, p.Hashes}); err != nil {
			return nil, err
		}
	}
	c, err := proof.OpenCheckpoint(proofs[0].Checkpoint, []string{g.Ledger.Verifier}, g.Ledger.Origin)
	if err != nil {
		return nil, err
	}
	for name, s := range g.shown {
		if s.Size > c.Size {
			return nil, fault.Refuse(fault.LogRollback, "a host acted on a checkpoint of %d acts, the ledger has %d", s.Size, c.Size)
		}
		if s.Hashes, err = g.Ledger.Consistency(ctx, s.Size, c.Size); err != nil {
			return nil, err
		}
		if root, err := hex.DecodeString(s.Root); err != nil || len(root) != 32 {
			return nil, fault.New(fault.Internal, "a report names no proper log root")
		}
		if err := add(name, s); err != nil {
			return nil, err
		}
	}
	return bundle.Pack(members)
}
