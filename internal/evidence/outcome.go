package evidence

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// outcomes: each host's executor signed that it did exactly what was approved.
func (a *audit) outcomes() (string, error) {
	reports := 0
	for _, o := range a.signed {
		approved := byHost(o.Order)
		for _, host := range rollout.HostsOf(o.Order) {
			if err := a.outcome(o, host, approved[host]); err != nil {
				return "", fmt.Errorf("order %s on host %s: %w", o.ID, host, err)
			}
			reports++
		}
	}
	return fmt.Sprintf("%d host report(s), signed by the hosts' registered keys: plan = outcome", reports), nil
}

// byHost gives each host's transactions, in their order.
func byHost(o warrant.Order) map[string][]warrant.Transaction {
	all := map[string][]warrant.Transaction{}
	for _, t := range o.Transactions {
		for _, h := range t.Hosts {
			all[h] = append(all[h], t)
		}
	}
	return all
}

func (a *audit) outcome(o signedOrder, host string, approved []warrant.Transaction) error {
	done := a.on("run/"+o.ID+"/"+host, "run.done")
	if len(done) != 1 || len(done[0].Facts) == 0 || done[0].index <= o.warranted.index {
		return fault.Refuse(Outcome, "the ledger has no one act run.done after the order was warranted")
	}
	key, err := a.reportKey(host, done[0].index)
	if err != nil {
		return err
	}
	e, ok := asEnvelope(a.facts[done[0].Facts[0]])
	if !ok {
		return fault.Refuse(Lacking, "its report %s is not in the bundle", done[0].Facts[0])
	}
	r, err := warrant.OpenReport(e, key)
	if err != nil {
		return err
	}
	if r.Host != host || r.Order != o.ID || r.OrderDigest != o.digest || r.Outcome != warrant.Done {
		return fault.Refuse(Outcome, "the report is of host %s, order %s with digest %s: %s", r.Host, r.Order, r.OrderDigest, r.Outcome)
	}
	if r.EndedAt.Before(r.BegunAt) || r.BegunAt.Before(o.Window.OpensAt) || !r.BegunAt.Before(o.Window.ClosesAt) {
		return fault.Refuse(fault.OutsideWindow, "it ran from %s to %s; the window was %s to %s", stamp(r.BegunAt), stamp(r.EndedAt), stamp(o.Window.OpensAt), stamp(o.Window.ClosesAt))
	}
	if _, ok := a.bundle.Get(seenName(seen{Size: r.LogSize, Root: r.LogRoot})); !ok {
		return fault.Refuse(Lacking, "no proof that the log of %d acts it acted on is the sealed one", r.LogSize)
	}
	if _, ok := a.facts[r.Session]; !ok {
		return fault.Refuse(Lacking, "its session log %s is not in the bundle", r.Session)
	}
	return asPlanned(approved, r.Packages)
}

// asPlanned compares what a host found at the end in each of its roots with what was approved.
func asPlanned(approved []warrant.Transaction, found []warrant.Observed) error {
	said, n := len(found), 0
	for _, t := range approved {
		n += len(t.Actions) + len(t.Copies)
	}
	if n != said {
		return fault.Refuse(Outcome, "it reports on %d packages and copies, %d were approved", said, n)
	}
	for _, t := range approved {
		for _, x := range t.Actions {
			f := found[0]
			found = found[1:]
			if f.Root != t.Root || f.Name != x.Name || f.Arch != x.Arch || f.Now != x.To || x.To != "" && f.Status != "installed" {
				return fault.Refuse(Outcome, "%s %s %s was to be at %q and is at %q (%s)", t.Root, x.Name, x.Arch, x.To, f.Now, f.Status)
			}
		}
		for _, c := range t.Copies {
			f := found[0]
			found = found[1:]
			if want := (warrant.Observed{Root: t.Root, Name: c.Path, From: c.From, To: c.To, Now: c.To, Status: "copy"}); f != want {
				return fault.Refuse(Outcome, "%s %s was to be a copy with sha256 %s and has %q", t.Root, c.Path, c.To, f.Now)
			}
		}
	}
	return nil
}

// reportKey gives the key a host had registered at an index of the ledger.
func (a *audit) reportKey(host string, before int64) (envelope.Key, error) {
	var detail struct {
		ReportKey string `json:"report_key"`
	}
	for _, e := range a.on("host/"+host, "") {
		if e.index < before && (e.Kind == "host.enrolled" || e.Kind == "host.reenrolled") {
			if err := json.Unmarshal(e.Detail, &detail); err != nil {
				return envelope.Key{}, fault.Refuse(fault.Malformed, "entry %d: %w", e.index, err)
			}
		}
	}
	public, err := base64.StdEncoding.DecodeString(detail.ReportKey)
	if err != nil || len(public) != 32 {
		return envelope.Key{}, fault.Refuse(Lacking, "the ledger registers no report key of it")
	}
	return envelope.Ed25519Key(public), nil
}

// reconciliations does the comparison of files again from the sealed facts.
func (a *audit) reconciliations() (string, error) {
	found := map[string]string{} // order and host → digest
	for _, e := range a.acts {
		for _, digest := range e.Facts {
			if r, ok := asReconciliation(a.facts[digest]); ok && e.Kind == observedKind && e.Subject == "order/"+r.Order {
				found[r.Order+"/"+r.Host] = digest
			}
		}
	}
	counts := map[explain.Verdict]int{}
	for _, o := range a.signed {
		approved := byHost(o.Order)
		for _, host := range rollout.HostsOf(o.Order) {
			digest, ok := found[o.ID+"/"+host]
			if !ok {
				return "", fault.Refuse(Lacking, "order %s on host %s has no reconciliation in the bundle", o.ID, host)
			}
			if err := a.reconciliation(o, host, approved[host], digest); err != nil {
				return "", fmt.Errorf("order %s on host %s: %w", o.ID, host, err)
			}
			r, _ := asReconciliation(a.facts[digest])
			for v, n := range r.Counts {
				counts[v] += n
			}
		}
	}
	var told []string
	for _, v := range slices.Sorted(maps.Keys(counts)) {
		told = append(told, fmt.Sprintf("%d %s", counts[v], v))
	}
	return "file trees compared again, every change judged again by the packages' content lists as the server sealed them: " + strings.Join(told, ", "), nil
}

// reconciliation: its input is of this order and of what the host showed, and worked out again it gives the same.
func (a *audit) reconciliation(o signedOrder, host string, approved []warrant.Transaction, digest string) error {
	sealed, _ := asReconciliation(a.facts[digest])
	input, err := a.fact(sealed.Input)
	if err != nil {
		return err
	}
	in, err := explain.DecodeInput(input)
	if err != nil {
		return fault.Refuse(fault.Malformed, "%w", err)
	}
	if in.Order != o.ID || in.Host != host || sealed.Host != host || !same(did(in), ordered(approved)) {
		return fault.Refuse(fault.MixMatch, "its input is of host %s and order %s with other actions", in.Host, in.Order)
	}
	if o.Stage != nil && in.Manifest != o.Stage.Manifest {
		return fault.Refuse(fault.MixMatch, "it was compared with manifest %q, the order was approved on %s", in.Manifest, o.Stage.Manifest)
	}
	shown := a.on("run/"+o.ID+"/"+in.Host, "run.done")[0].Facts // outcome made sure that it is there
	for _, o := range []wire.Observation{in.Before, in.After} {
		for _, digest := range append(slices.Collect(maps.Values(o.Trees)), o.PackageSet) {
			if !slices.Contains(shown, digest) {
				return fault.Refuse(fault.MixMatch, "its input rests on state %s, which the host's report did not bring", digest)
			}
		}
	}
	again, err := explain.Redo(context.Background(), input, objects(a.fact), a.fact)
	if err != nil {
		return fault.Refuse(Reconciliation, "%w", err)
	}
	if !same(&sealed, again) {
		return fault.Refuse(Reconciliation, "worked out again, it gives another result than was sealed")
	}
	if o.Class != trustroot.Stage && !sealed.Clean() && !a.ratified(digest) {
		return fault.Refuse(Reconciliation, "%d files are unexplained or missing, and no investigation of them ended with two people's ratification", len(sealed.Discrepancies()))
	}
	return nil
}

// work is what is done in a root.
type work struct {
	Actions []warrant.Action
	Copies  []warrant.Copy
}

// did gives what an input says was done, root by root, and ordered what was approved.
func did(in *explain.Input) map[string]work {
	all := map[string]work{}
	if len(in.Actions) > 0 {
		all[""] = work{Actions: in.Actions}
	}
	for _, i := range in.Roots {
		all[i.Root] = work{i.Actions, i.Copies}
	}
	return all
}

func ordered(transactions []warrant.Transaction) map[string]work {
	all := map[string]work{}
	for _, t := range transactions {
		all[t.Root] = work{t.Actions, t.Copies}
	}
	return all
}

// ratified reports whether people called legitimate what a reconciliation found.
func (a *audit) ratified(digest string) bool {
	return slices.ContainsFunc(a.acts, func(e entry) bool {
		return e.Kind == openedKind && slices.Contains(e.Facts, digest) && len(a.on(e.Subject, ratifiedKind)) == 1
	})
}

func (a *audit) fact(digest string) ([]byte, error) {
	b, ok := a.facts[digest]
	if !ok {
		return nil, fault.Refuse(Lacking, "fact %s is not in the bundle", digest)
	}
	return b, nil
}

// closed: the orders came to their end in the ledger, and the manifest approved is the one stage gave.
func (a *audit) closed() (string, error) {
	for _, o := range a.signed {
		end := a.on("order/"+o.ID, "order.closed")
		if len(end) != 1 || !slices.Contains(end[0].Facts, o.digest) {
			return "", fault.Refuse(Open, "order %s has no act order.closed", o.ID)
		}
		if stage := a.signed[0].Stage; stage != nil && stage.Order == o.ID && !slices.Contains(end[0].Facts, stage.Manifest) {
			return "", fault.Refuse(fault.MixMatch, "order %s was approved on manifest %s, which stage order %s did not give", a.signed[0].ID, stage.Manifest, o.ID)
		}
	}
	return fmt.Sprintf("order %s is closed", a.contents.Order), nil
}
