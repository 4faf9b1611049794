// Package integrity keeps what came of comparing hosts' file states: the manifest of a stage order, the reconciliation of a
// production order, and an investigation with a clock of what nothing explains. How a change is explained stands in explain.
package integrity

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Ledger is what integrity needs of the log.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Root tells what people may.
type Root interface {
	CurrentRoot(ctx context.Context) (*trustroot.Root, error)
}

// Estate tells where hosts stand, each place once.
type Estate interface {
	PlacesOf(ctx context.Context, hosts []string) ([]trustroot.Place, error)
}

// Config of Integrity. Blobs holds file trees and facts as hosts uploaded them, and packages by their own SHA-256.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Root   Root
	Estate Estate
	Now    func() time.Time
}

// Integrity keeps manifests, reconciliations and investigations.
type Integrity struct{ Config }

// New makes Integrity.
func New(c Config) *Integrity { return &Integrity{c} }

// Run is one host's part of an order as it was observed. Done is false if the executor refused or failed: then nothing
// should have changed, and whatever did is unexplained.
type Run struct {
	Host   string
	Done   bool
	Before wire.Observation
	After  wire.Observation
}

// Reconciliation is an order's result over all its hosts.
type Reconciliation struct {
	Order   string                  `json:"order"`
	PerHost []explain.StagedHost    `json:"per_host"` // sorted by host
	Counts  map[explain.Verdict]int `json:"counts"`   // over all hosts
	Clean   bool                    `json:"clean"`    // nothing missing, nothing unexplained
}

// MakeManifest observes a stage order's hosts and puts together what they showed. It gives the manifest's digest, under
// which it lies among the blobs; for an order that has one already, that.
func (i *Integrity) MakeManifest(ctx context.Context, order warrant.Order, runs []Run) (string, error) {
	digest, err := i.ManifestOf(ctx, order.ID)
	if err != nil || digest != "" {
		return digest, err
	}
	reports := map[string]*explain.Report{}
	var hosts []explain.StagedHost
	for _, run := range runs {
		h, report, err := i.observe(ctx, order, run)
		if err != nil {
			return "", err
		}
		reports[h.Report] = report
		hosts = append(hosts, h)
	}
	m := explain.ManifestOf(order.ID, reports)
	if digest, err = i.keep(ctx, &m); err != nil {
		return "", err
	}
	err = i.DB.Write(ctx, func(tx *db.Tx) error {
		if known, err := one(ctx, tx, selectManifest, order.ID); err != nil || known != "" {
			digest = known
			return err
		}
		if err := i.record(ctx, tx, order.ID, hosts); err != nil {
			return err
		}
		now := i.Now()
		if _, err := tx.Exec(ctx, insertManifest, order.ID, digest, db.Micros(now)); err != nil {
			return err
		}
		detail := map[string]any{"changes": len(m.Changes), "unexplained": len(m.Unaccounted()), "hosts": len(hosts)}
		return i.act(ctx, tx, "manifest.made", "order/"+order.ID, "server", detail, digest)
	})
	if err != nil {
		return "", fmt.Errorf("make manifest of order %s: %w", order.ID, err)
	}
	return digest, nil
}

// Reconcile observes a production order's hosts against the prediction and against what stage showed, and opens an
// investigation for each host on which something is missing or unexplained. A host is reconciled once: later calls add those
// that reported since, and give the same result if there are none.
func (i *Integrity) Reconcile(ctx context.Context, order warrant.Order, runs []Run) (Reconciliation, error) {
	known, err := i.Reconciliation(ctx, order.ID)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return known, err
	}
	var hosts []explain.StagedHost
	for _, run := range runs {
		if among(known.PerHost, run.Host) {
			continue
		}
		h, _, err := i.observe(ctx, order, run)
		if err != nil {
			return Reconciliation{}, err
		}
		hosts = append(hosts, h)
	}
	if err == nil && len(hosts) == 0 {
		return known, nil
	}
	var result Reconciliation
	err = i.DB.Write(ctx, func(tx *db.Tx) error {
		done, err := readReports(ctx, tx, selectReports, order.ID)
		if err != nil {
			return err
		}
		fresh := slices.DeleteFunc(slices.Clone(hosts), func(h explain.StagedHost) bool { return among(done, h.Host) })
		result = sum(order.ID, slices.SortedFunc(slices.Values(slices.Concat(done, fresh)), byHost))
		if len(done) > 0 && len(fresh) == 0 {
			return nil
		}
		if err := i.record(ctx, tx, order.ID, fresh); err != nil {
			return err
		}
		for _, h := range fresh {
			if err := i.open(ctx, tx, order.ID, h); err != nil {
				return err
			}
		}
		return i.act(ctx, tx, "order.reconciled", "order/"+order.ID, "server", map[string]any{"clean": result.Clean, "counts": result.Counts})
	})
	if err != nil {
		return Reconciliation{}, fmt.Errorf("reconcile order %s: %w", order.ID, err)
	}
	return result, nil
}

func byHost(a, b explain.StagedHost) int { return strings.Compare(a.Host, b.Host) }

// among reports whether a host is among those reconciled, which are sorted.
func among(hosts []explain.StagedHost, host string) bool {
	_, found := slices.BinarySearchFunc(hosts, explain.StagedHost{Host: host}, byHost)
	return found
}

func sum(order string, hosts []explain.StagedHost) Reconciliation {
	r := Reconciliation{Order: order, PerHost: hosts, Counts: map[explain.Verdict]int{}, Clean: true}
	for _, h := range hosts {
		for v, n := range h.Counts {
			r.Counts[v] += n
		}
		r.Clean = r.Clean && h.Clean()
	}
	return r
}

// observe reconciles one run; input, report and content lists are kept as blobs.
func (i *Integrity) observe(ctx context.Context, order warrant.Order, run Run) (explain.StagedHost, *explain.Report, error) {
	in := &explain.Input{Order: order.ID, Host: run.Host, Actions: []warrant.Action{}, Contents: []string{}, Before: whole(run.Before), After: whole(run.After)}
	if order.Stage != nil {
		in.Manifest = order.Stage.Manifest
	}
	for _, t := range order.For(run.Host) {
		if !run.Done {
			break
		}
		contents, err := i.contentsOf(ctx, t.Actions)
		if err != nil {
			return explain.StagedHost{}, nil, err
		}
		if t.Root == "" {
			in.Actions, in.Contents = t.Actions, contents
		} else {
			origins, err := i.originsOf(ctx, t.Copies)
			if err != nil {
				return explain.StagedHost{}, nil, err
			}
			in.Roots = append(in.Roots, explain.Inside{Root: t.Root, Actions: t.Actions, Contents: contents, Copies: t.Copies, Origins: origins})
		}
	}
	input, report, err := explain.Reconcile(ctx, in, objects{i.Blobs}, i.facts(ctx))
	if err != nil {
		return explain.StagedHost{}, nil, fmt.Errorf("observe order %s on host %s: %w", order.ID, run.Host, err)
	}
	if _, err := blob.PutBytes(ctx, i.Blobs, input); err != nil {
		return explain.StagedHost{}, nil, err
	}
	digest, err := i.keep(ctx, report)
	return explain.StagedHost{Host: run.Host, Input: report.Input, Report: digest, Counts: report.Counts}, report, err
}

// facts gives facts from the blobs.
func (i *Integrity) facts(ctx context.Context) explain.Facts {
	return func(digest string) ([]byte, error) { return blob.ReadAll(ctx, i.Blobs, digest, explain.MaxInput) }
}

// whole brings an observation's time to the precision of documents.
func whole(o wire.Observation) wire.Observation {
	o.At = o.At.UTC().Truncate(time.Microsecond)
	return o
}

// objects gives directory objects from the blobs.
type objects struct{ blobs blob.Store }

func (o objects) Get(ctx context.Context, digest string) ([]byte, error) {
	return blob.ReadAll(ctx, o.blobs, digest, filetree.MaxObject)
}

// keep stores a document among the blobs.
func (i *Integrity) keep(ctx context.Context, v any) (string, error) {
	b, err := envelope.Encode(v)
	if err != nil {
		return "", err
	}
	return blob.PutBytes(ctx, i.Blobs, b)
}

// record saves reports with an act for each host.
func (i *Integrity) record(ctx context.Context, tx *db.Tx, order string, hosts []explain.StagedHost) error {
	for _, h := range hosts {
		if err := saveReport(ctx, tx, order, h, i.Now()); err != nil {
			return err
		}
		detail := map[string]any{"host": h.Host, "counts": h.Counts}
		if err := i.act(ctx, tx, "host.observed", "order/"+order, "server", detail, h.Input, h.Report); err != nil {
			return err
		}
	}
	return nil
}

// open opens an investigation for a host that is not clean.
func (i *Integrity) open(ctx context.Context, tx *db.Tx, order string, h explain.StagedHost) error {
	if h.Clean() {
		return nil
	}
	now := i.Now()
	inv := Investigation{ID: id.New("inv", now), Order: order, Host: h.Host, Report: h.Report, State: Open, OpenedAt: now, DueAt: now.Add(Clock)}
	if err := addInvestigation(ctx, tx, inv); err != nil {
		return err
	}
	detail := map[string]any{"order": order, "host": h.Host, "due_at": inv.DueAt.UTC().Truncate(time.Microsecond), "counts": h.Counts}
	return i.act(ctx, tx, "investigation.opened", "investigation/"+inv.ID, "server", detail, h.Report)
}

func (i *Integrity) act(ctx context.Context, tx *db.Tx, kind, subject, who string, detail map[string]any, facts ...string) error {
	b, err := envelope.Encode(detail)
	if err != nil {
		return err
	}
	_, err = i.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, Who: who, Facts: facts, Detail: b})
	return err
}

// ManifestOf gives the digest of a stage order's manifest, "" if there is none yet.
func (i *Integrity) ManifestOf(ctx context.Context, order string) (digest string, err error) {
	err = i.DB.Read(ctx, func(tx *db.Tx) error {
		digest, err = one(ctx, tx, selectManifest, order)
		return err
	})
	return digest, err
}

// Manifest gives a manifest by digest.
func (i *Integrity) Manifest(ctx context.Context, digest string) (m explain.Manifest, err error) {
	return m, i.fetch(ctx, digest, &m)
}

// Report gives a host's reconciliation by its digest.
func (i *Integrity) Report(ctx context.Context, digest string) (r explain.Report, err error) {
	return r, i.fetch(ctx, digest, &r)
}

func (i *Integrity) fetch(ctx context.Context, digest string, v any) error {
	b, err := blob.ReadAll(ctx, i.Blobs, digest, explain.MaxInput)
	if err != nil {
		return err
	}
	return explain.Decode(b, v)
}

// Reconciliation gives what Reconcile (or MakeManifest) found for an order; NotFound before.
func (i *Integrity) Reconciliation(ctx context.Context, order string) (Reconciliation, error) {
	var hosts []explain.StagedHost
	err := i.DB.Read(ctx, func(tx *db.Tx) (err error) {
		hosts, err = readReports(ctx, tx, selectReports, order)
		return err
	})
	if err == nil && len(hosts) == 0 {
		err = fault.New(fault.NotFound, "order %.40s is not reconciled", order)
	}
	return sum(order, hosts), err
}

// ReconciliationFrom is Reconciliation with only a page of the hosts, at most limit of those after the host after, and their
// number.
func (i *Integrity) ReconciliationFrom(ctx context.Context, order, after string, limit int) (r Reconciliation, hosts int, err error) {
	r.Order = order
	err = i.DB.Read(ctx, func(tx *db.Tx) error {
		if r.Counts, hosts, err = sumCounts(ctx, tx, order); err != nil {
			return err
		}
		r.PerHost, err = readReports(ctx, tx, selectReportsFrom, order, after, limit)
		return err
	})
	if err == nil && hosts == 0 {
		err = fault.New(fault.NotFound, "order %.40s is not reconciled", order)
	}
	r.Clean = r.Counts[explain.Missing] == 0 && r.Counts[explain.Unexplained] == 0
	return r, hosts, err
}
