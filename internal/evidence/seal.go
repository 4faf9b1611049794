package evidence

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
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
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Orders gives orders.
type Orders interface {
	Get(ctx context.Context, order string) (change.Order, error)
}

// Roots gives the trust root envelopes from a version on, oldest first.
type Roots interface {
	Roots(ctx context.Context, from int64) ([]envelope.Envelope, error)
}

// Config of a Sealer.
type Config struct {
	DB       *db.DB
	Ledger   *ledger.Ledger
	Blobs    blob.Store
	Orders   Orders
	Roots    Roots
	Keyrings map[string][]byte // of the upstreams, by name
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

// gathering is a bundle in the making.
type gathering struct {
	*Sealer
	acts     map[int64]ledger.Entry
	facts    map[string][]byte // by digest
	withheld map[string]string // digest → why
	roots    map[string]bool   // payload digests of trust roots, which acts cite and roots/ holds
	shown    map[string]seen   // by member name; without hashes yet
	members  []bundle.Member   // roots and keyrings
}

// order gathers an order, and the stage order it rests on.
func (g *gathering) order(ctx context.Context, o change.Order) error {
	subjects := []string{"order/" + o.ID, "rollout/" + o.ID}
	context := []string{"channel/stage", "channel/production"}
	for _, t := range o.Transactions {
		for _, h := range t.Hosts {
			subjects = append(subjects, "run/"+o.ID+"/"+h)
			context = append(context, "host/"+h)
		}
	}
	for _, subject := range subjects {
		if err := g.subject(ctx, subject, true); err != nil {
			return err
		}
	}
	for _, subject := range context {
		if err := g.subject(ctx, subject, false); err != nil {
			return err
		}
	}
	if err := errors.Join(g.investigations(ctx, o.ID), g.curation(ctx, o)); err != nil {
		return err
	}
	if o.Stage == nil {
		return nil
	}
	stage, err := g.Orders.Get(ctx, o.Stage.Order)
	if err != nil {
		return err
	}
	return g.order(ctx, stage)
}

// investigations gathers those that the order's discrepancies became.
func (g *gathering) investigations(ctx context.Context, order string) error {
	return g.list(ctx, ledger.Filter{KindPrefix: openedKind}, func(e ledger.Entry) error {
		var detail struct {
			Order string `json:"order"`
		}
		if err := json.Unmarshal(e.Act.Detail, &detail); err != nil || detail.Order != order {
			return err
		}
		return g.subject(ctx, e.Act.Subject, true)
	})
}

// curation gathers what let the order's packages in: the record, its upstreams, the decisions.
func (g *gathering) curation(ctx context.Context, o change.Order) error {
	if err := errors.Join(g.subject(ctx, "snapshot/"+o.Snapshot.SHA256, true), g.fact(ctx, o.Curation)); err != nil {
		return err
	}
	e, ok := asEnvelope(g.facts[o.Curation])
	if !ok {
		return fault.New(fault.Internal, "the curation record's envelope %s is not in the store", o.Curation)
	}
	record, err := warrant.DecodeRecord(e.Payload)
	if err != nil {
		return err
	}
	for _, u := range record.Upstreams {
		if err := errors.Join(g.subject(ctx, "upstream/"+u.Name, false), g.fact(ctx, u.Release), g.fact(ctx, u.Index)); err != nil {
			return err
		}
		if keyring, ok := g.Keyrings[u.Name]; ok {
			g.member(keyringName(u.Name), keyring)
		}
	}
	decisions := map[string]bool{}
	for _, p := range record.Packages {
		decisions[p.Decision] = true
	}
	return g.decisions(ctx, decisions)
}

// decisions gathers all acts on the vulnerabilities that the decisions named are about.
func (g *gathering) decisions(ctx context.Context, wanted map[string]bool) error {
	return g.list(ctx, ledger.Filter{KindPrefix: decisionKind}, func(e ledger.Entry) error {
		if !wanted[decisionOf(e.Act)] {
			return nil
		}
		return g.subject(ctx, e.Act.Subject, true)
	})
}

func (g *gathering) member(name string, data []byte) {
	if !slices.ContainsFunc(g.members, func(m bundle.Member) bool { return m.Name == name }) {
		g.members = append(g.members, bundle.Member{Name: name, Data: data})
	}
}

// subject gathers all acts on a subject, and the facts they cite if the change rests on them.
func (g *gathering) subject(ctx context.Context, subject string, facts bool) error {
	return g.list(ctx, ledger.Filter{Subject: subject}, func(e ledger.Entry) error {
		g.acts[e.Index] = e
		for _, f := range e.Act.Facts {
			if !facts {
				g.withhold(f, aside)
			} else if err := g.fact(ctx, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// list goes through all entries that a filter chooses.
func (g *gathering) list(ctx context.Context, f ledger.Filter, do func(ledger.Entry) error) error {
	for {
		entries, err := g.Ledger.List(ctx, f)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if err := do(e); err != nil {
				return err
			}
		}
		if len(entries) < ledger.MaxList {
			return nil
		}
		f.From = entries[len(entries)-1].Index + 1
	}
}

func (g *gathering) withhold(digest, why string) {
	if _, have := g.facts[digest]; !have && g.withheld[digest] == "" {
		g.withheld[digest] = why
	}
}

// fact gathers a fact and what it rests on. What the store does not have, or what is too large, is declared.
func (g *gathering) fact(ctx context.Context, digest string) error {
	if _, have := g.facts[digest]; have || !envelope.ValidDigest(digest) {
		return nil
	}
	delete(g.withheld, digest)
	b, err := blob.ReadAll(ctx, g.Blobs, digest, maxFact)
	switch fault.KindOf(err) {
	case fault.NotFound:
		g.withhold(digest, absent)
		return nil
	case fault.Invalid:
		g.withhold(digest, bulk)
		return nil
	}
	if err != nil {
		return err
	}
	g.facts[digest] = b
	for _, cited := range g.citations(ctx, b) {
		if err := g.fact(ctx, cited); err != nil {
			return err
		}
	}
	return nil
}

// citations gives the digests that a fact rests on, for the kinds of fact that name others.
func (g *gathering) citations(ctx context.Context, fact []byte) []string {
	if e, ok := asEnvelope(fact); ok && e.PayloadType == warrant.ReportType {
		return g.report(e.Payload)
	}
	if r, ok := asReconciliation(fact); ok {
		return []string{r.Input}
	}
	if in, err := integrity.DecodeInput(fact); err == nil {
		return append(in.Facts(), g.treesOf(ctx, fact)...)
	}
	if m, ok := asManifest(fact); ok {
		var cited []string
		for _, h := range m.Hosts {
			cited = append(cited, h.Input, h.Report)
		}
		return cited
	}
	return nil
}

// treesOf gives the directory objects by which a reconciliation's input follows from the file trees. An input that does not
// follow is sealed as it is: Verify says so.
func (g *gathering) treesOf(ctx context.Context, input []byte) []string {
	used := map[string]bool{}
	fetch := func(digest string) ([]byte, error) { return blob.ReadAll(ctx, g.Blobs, digest, maxFact) }
	_, err := integrity.Redo(ctx, input, objects(func(digest string) ([]byte, error) {
		used[digest] = true
		return fetch(digest)
	}), fetch)
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(used))
}

// report notes the checkpoint an executor acted on, and gives its session. Whether the report is a host's is for Verify.
func (g *gathering) report(payload []byte) []string {
	var said struct {
		Predicate warrant.Report `json:"predicate"`
	}
	if json.Unmarshal(payload, &said) != nil {
		return nil
	}
	if r := said.Predicate; r.LogSize > 0 {
		s := seen{Size: r.LogSize, Root: r.LogRoot}
		g.shown[seenName(s)] = s
	}
	return []string{said.Predicate.Session}
}

func (g *gathering) trustRoots(ctx context.Context) error {
	roots, err := g.Roots.Roots(ctx, 1)
	if err != nil {
		return err
	}
	for _, e := range roots {
		r, err := trustroot.Decode(e.Payload)
		if err != nil {
			return err
		}
		b, err := envelope.Encode(e)
		if err != nil {
			return err
		}
		g.member(rootName(r.Version), b)
		g.roots[r.Digest()] = true
		if err := g.subject(ctx, fmt.Sprintf("trust-root/%d", r.Version), false); err != nil {
			return err
		}
	}
	return nil
}

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
