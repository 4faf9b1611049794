package web

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

type orderBody struct {
	change.Order
	Text           string // as the command line shows it
	Cut            bool   // lists are cut on this page; the text has all
	Shown          []warrant.Transaction
	Hosts          int
	Lines          int // packages and copies
	Rule           trustroot.Rule
	Local          int // signatures made by the command line
	MaySign        bool
	WhyNot         string
	Mine           bool // the visitor is the author
	Rollout        *rolloutBody
	Reconciliation *integrity.Reconciliation
	Further        string // host after which the next page of the reconciliation begins
	Verdicts       []slice
	Investigations []integrity.Investigation
	Sign           signing
}

// Bounds of what the page shows of all transactions and results; the text has everything.
const (
	mostHosts   = 100
	mostActions = 100
	mostText    = 16_000
	resultsPage = 50
)

func (s *site) order(v *visit) error {
	ctx := v.r.Context()
	o, err := s.Changes.Get(ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	body := orderBody{Order: o, Sign: v.signing(warrant.OrderType, o.Payload), Mine: o.Author == v.me()}
	if body.Text, err = orderview.Render(o.Payload, time.UTC); err != nil {
		return err
	}
	body.cut()
	for _, t := range body.Shown {
		v.know(t.Hosts...)
	}
	root, err := v.root()
	if err != nil {
		return err
	}
	body.Rule, _ = root.Rule(o.Class)
	for _, x := range o.Signatures {
		if x.Kind == envelope.SSH {
			body.Local++
		}
	}
	already := slices.ContainsFunc(o.Signatures, func(x change.Signature) bool { return x.Person == v.me() })
	body.MaySign, body.WhyNot = signable(root, o.Class, o.Author, v.session.Person, already, o.State == change.Proposed, o.Places...)
	if body.Rollout, err = s.rolloutOf(v, o.ID); err != nil {
		return err
	}
	if err := s.outcome(v, &body); err != nil {
		return err
	}
	return v.show(http.StatusOK, "order", "Order "+o.ID, body)
}

// cut takes as much of the transactions as a page can show.
func (b *orderBody) cut() {
	for _, t := range b.Transactions {
		hosts, left := min(len(t.Hosts), mostHosts-b.Hosts), max(0, mostActions-b.Lines)
		actions := min(len(t.Actions), left)
		copies := min(len(t.Copies), left-actions)
		if hosts > 0 && actions+copies > 0 {
			b.Shown = append(b.Shown, warrant.Transaction{Hosts: t.Hosts[:hosts], Root: t.Root, Actions: t.Actions[:actions], Copies: t.Copies[:copies]})
		}
		b.Cut = b.Cut || hosts < len(t.Hosts) || actions < len(t.Actions) || copies < len(t.Copies)
		b.Hosts += len(t.Hosts)
		b.Lines += len(t.Actions) + len(t.Copies)
	}
	b.Hosts = len(rollout.HostsOf(b.Order.Order))
	if len(b.Text) > mostText {
		b.Text, b.Cut = "", true
	}
}

// outcome adds what changed on the hosts, where that is known.
func (s *site) outcome(v *visit, body *orderBody) error {
	ctx := v.r.Context()
	r, _, err := s.Integrity.ReconciliationFrom(ctx, body.ID, v.r.URL.Query().Get("after"), resultsPage+1)
	if fault.KindOf(err) == fault.NotFound {
		return nil
	}
	if err != nil {
		return err
	}
	if len(r.PerHost) > resultsPage {
		r.PerHost = r.PerHost[:resultsPage]
		body.Further = r.PerHost[resultsPage-1].Host
	}
	body.Reconciliation, body.Verdicts = &r, verdicts(r.Counts)
	v.know(idsOf(r.PerHost, func(h explain.StagedHost) string { return h.Host })...)
	body.Investigations, _, err = s.Integrity.InvestigationsFrom(ctx, integrity.InvestigationPage{Order: body.ID, Limit: resultsPage})
	return err
}

// verdicts in the order in which they are shown, the trouble first.
var verdictOrder = []explain.Verdict{explain.Unexplained, explain.Missing, explain.AsShipped, explain.Derived, explain.AsStaged}

func verdicts(counts map[explain.Verdict]int) []slice {
	var parts []slice
	for _, verdict := range verdictOrder {
		parts = append(parts, slice{Name: string(verdict), Tone: tone(verdict), Count: counts[verdict]})
	}
	return bar(parts...)
}

func (s *site) orderText(v *visit) error {
	o, err := s.Changes.Get(v.r.Context(), v.r.PathValue("id"))
	if err != nil {
		return err
	}
	text, err := orderview.Render(o.Payload, time.UTC)
	if err != nil {
		return err
	}
	v.w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if _, err := v.w.Write([]byte(text)); err != nil {
		s.Log.Debug("send order", "error", err)
	}
	return nil
}

type rolloutBody struct {
	rollout.Rollout
	Waves   []wave
	Runs    cut[rollout.Run]
	Counts  []slice
	Live    bool // it can still change: the page asks again
	Path    string
	MayHalt bool
}

type wave struct {
	Number, Hosts int
	Parts         []slice
}

// states of runs in the order in which they are shown.
var runStates = []rollout.State{rollout.Done, rollout.Begun, rollout.Offered, rollout.Waiting, rollout.Refused, rollout.Failed,
	rollout.Interrupted, rollout.Lost, rollout.Missed}

// rolloutOf gives an order's rollout, nil before it has one.
func (s *site) rolloutOf(v *visit, order string) (*rolloutBody, error) {
	r, runs, err := s.Rollouts.Get(v.r.Context(), order)
	if fault.KindOf(err) == fault.NotFound {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	body := &rolloutBody{Rollout: r, Live: r.State == rollout.Running, Path: "/changes/" + order, Counts: partsOf(runs), Runs: paged(v, runs, 50)}
	v.know(idsOf(body.Runs.Rows, func(r rollout.Run) string { return r.Host })...)
	for len(runs) > 0 {
		n := 1
		for n < len(runs) && runs[n].Wave == runs[0].Wave {
			n++
		}
		body.Waves = append(body.Waves, wave{runs[0].Wave + 1, n, partsOf(runs[:n])})
		runs = runs[n:]
	}
	return body, nil
}

func partsOf(runs []rollout.Run) []slice {
	n := map[rollout.State]int{}
	for _, r := range runs {
		n[r.State]++
	}
	var parts []slice
	for _, state := range runStates {
		parts = append(parts, slice{Name: string(state), Tone: tone(state), Count: n[state]})
	}
	return bar(parts...)
}

// rolloutPart is the rollout alone, which the page of a running order fetches again and again.
func (s *site) rolloutPart(v *visit) error {
	r, err := s.rolloutOf(v, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	if r == nil {
		return fault.New(fault.NotFound, "the order has no rollout yet")
	}
	return v.showPart("order", "rollout", r)
}

func (s *site) approveOrder(v *visit) error {
	sig, err := v.signature()
	if err != nil {
		return err
	}
	o, err := s.Changes.Approve(v.r.Context(), v.me(), v.r.PathValue("id"), sig)
	if err != nil {
		return err
	}
	if o.State == change.Warranted {
		return v.see("/changes/"+o.ID, "warranted")
	}
	return v.see("/changes/"+o.ID, "approved")
}

// because runs what a person does to an order for a reason.
func (v *visit) because(do func(ctx context.Context, who, order, reason string) error, said string) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	id := v.r.PathValue("id")
	if err := do(v.r.Context(), v.me(), id, form.Get("reason")); err != nil {
		return err
	}
	return v.see("/changes/"+id, said)
}

func (s *site) rejectOrder(v *visit) error   { return v.because(s.Changes.Reject, "ended") }
func (s *site) withdrawOrder(v *visit) error { return v.because(s.Changes.Withdraw, "ended") }
func (s *site) haltRollout(v *visit) error   { return v.because(s.Rollouts.Halt, "halted") }
func (s *site) resumeRollout(v *visit) error { return v.because(s.Changes.Resume, "resumed") }

// sealEvidence makes the bundle, which is an act, and sends it.
func (s *site) sealEvidence(v *visit) error {
	id := v.r.PathValue("id")
	b, err := s.Evidence.Seal(v.r.Context(), v.me(), id)
	if err != nil {
		return err
	}
	v.download(id + ".bundle") // an ID of ours: Seal knew it
	if _, err := v.w.Write(b); err != nil {
		s.Log.Debug("send bundle", "error", err)
	}
	return nil
}
