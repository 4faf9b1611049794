package evidence

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/bundle"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

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
	for _, h := range rollout.HostsOf(o.Order) {
		subjects = append(subjects, "run/"+o.ID+"/"+h)
		context = append(context, "host/"+h)
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
		keyring, err := g.Keyrings.Keyring(ctx, u.Name)
		if err == nil {
			g.member(keyringName(u.Name), keyring)
		} else if fault.KindOf(err) != fault.NotFound {
			return err
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
	if in, err := explain.DecodeInput(fact); err == nil {
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
	_, err := explain.Redo(ctx, input, objects(func(digest string) ([]byte, error) {
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
