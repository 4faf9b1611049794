package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/bench/fleet"
	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// What is seeded beside hosts and acts. Each order has one investigation.
const (
	sources     = 600 // source packages on a host
	advisories  = 12  // about each: some 5,000 of them affect a host
	images      = 10_000
	decisions   = 200
	orders      = 300
	orderHosts  = 200
	largeOrder  = 5_000 // hosts of the last order
	snapshots   = 40
	snapshotOf  = 120 // packages
	linesOf     = 150 // a host's reconciliation
	transaction = 2_000
)

// seeded says what there is, as samples for the routes.
type seeded struct {
	Hosts, Sets    int
	Vulnerability  [2]string // ID and source package
	Host           []string
	Order          []string
	Investigation  []string
	Report         string
	Manifest, Fact string
	Snapshot       []string
	Record, Group  []string
}

// seeder writes in bulk, beside the server.
type seeder struct {
	*world
	db     *db.DB
	ledger *ledger.Ledger
	fleet  *fleet.World
	now    time.Time
	hosts  []string
}

func (w *world) seed(ctx context.Context, o options) error {
	f, err := fleet.Generate(w.dir, sources, advisories)
	if err != nil {
		return err
	}
	if err := w.seedByDoor(ctx, f); err != nil {
		return err
	}
	d, err := db.Open(ctx, w.config.Database)
	if err != nil {
		return err
	}
	defer d.Close()
	l, err := ledger.New(ledger.Config{DB: d, Signer: w.keys.Ledger, Verifier: w.keys.Verifier, Origin: origin,
		GuardFile: filepath.Join(w.dir, "ledger.guard"), Now: time.Now})
	if err != nil {
		return err
	}
	s := &seeder{world: w, db: d, ledger: l, fleet: f, now: time.Now().UTC().Truncate(time.Second)}
	for _, step := range []func(context.Context, options) error{s.seedHosts, s.seedActs, s.seedOrders, s.seedSnapshots, s.seedRecords, s.seedTime} {
		if err := step(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// seedByDoor does what people do: trust root, import, decisions.
func (w *world) seedByDoor(ctx context.Context, f *fleet.World) (err error) {
	if err := w.start(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close()) }()
	if err := w.installRoot(ctx); err != nil {
		return err
	}
	if err := w.signIn(ctx, "alice"); err != nil {
		return err
	}
	file, err := os.Open(f.Tracker)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := w.send(ctx, http.MethodPut, "/sources/debian-tracker/content", file, nil); err != nil {
		return err
	}
	for i := range decisions {
		s := f.Statements[i*len(f.Statements)/decisions]
		w.seeded.Vulnerability = [2]string{s.ID, s.Package}
		draft := v1.Draft{Vulnerability: s.ID + "/" + s.Package, Kind: triage.Accept, Scope: triage.FleetScope, Reason: "the fix is small and the parser is reachable"}
		var p v1.Payload
		if err := w.send(ctx, http.MethodPost, "/decisions/draft", draft, &p); err != nil {
			return err
		}
		sig, err := sshkey.Sign(w.signer["alice"], p.PayloadType, p.Payload)
		if err != nil {
			return err
		}
		e := envelope.Envelope{PayloadType: p.PayloadType, Payload: p.Payload, Signatures: []envelope.Signature{sig}}
		if err := w.send(ctx, http.MethodPost, "/decisions", e, nil); err != nil {
			return err
		}
	}
	return nil
}

// batches runs do for 0 to n-1, many in a transaction.
func (s *seeder) batches(ctx context.Context, n int, do func(tx *db.Tx, i int) error) error {
	for from := 0; from < n; from += transaction {
		err := s.db.Write(ctx, func(tx *db.Tx) error {
			for i := from; i < min(n, from+transaction); i++ {
				if err := do(tx, i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// keep writes a blob without the syncs of package blob, which would take most of the time.
func (s *seeder) keep(b []byte) (string, error) {
	digest := envelope.Digest(b)
	dir := filepath.Join(s.dir, "blobs", digest[:2])
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	return digest, os.WriteFile(filepath.Join(dir, digest), b, 0o600)
}

func (s *seeder) keepDocument(v any) (string, error) {
	b, err := envelope.Encode(v)
	if err != nil {
		return "", err
	}
	return s.keep(b)
}

// seedHosts makes hosts of 10,000 images, which are some 2,300 package sets. One in fifty is silent.
func (s *seeder) seedHosts(ctx context.Context, o options) error {
	inventory, err := s.keepDocument(wire.Inventory{Hostname: "host", Distribution: "debian", Release: fleet.Release, Arch: "amd64"})
	if err != nil {
		return err
	}
	sets := make([]string, min(o.hosts, images))
	for i := range sets {
		if sets[i], err = s.keep(s.fleet.Host(i).Canonical()); err != nil {
			return err
		}
	}
	made := s.now.Add(-90 * 24 * time.Hour)
	err = s.batches(ctx, o.hosts, func(tx *db.Tx, i int) error {
		h := estate.Host{ID: id.New("hst", made.Add(time.Duration(i)*time.Minute)), Name: hostName(i),
			Environment: "production", EnrolledAt: made, LastSeen: s.now, CertExpiresAt: s.now.Add(48 * time.Hour), Counter: 9000,
			PackageSet: sets[i%len(sets)], Inventory: inventory, Release: fleet.Release, KernelRunning: "6.1.0-40-amd64",
			KernelVersion: "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1 (2025-09-20)", RebootRequired: i%17 == 0}
		if i%20 == 0 {
			h.Environment = "stage"
		}
		if i%50 == 7 {
			h.LastSeen, h.SilentAt = s.now.Add(-48*time.Hour), s.now.Add(-47*time.Hour)
		}
		if i%10 != 3 {
			h.ReportKey = "MCowBQYDK2VwAyEAMCowBQYDK2VwAyEAMCowBQYDK2U="
		}
		s.hosts = append(s.hosts, h.ID)
		return insertHost(ctx, tx, h)
	})
	slices.Sort(sets)
	s.seeded.Hosts, s.seeded.Sets = o.hosts, len(slices.Compact(sets))
	s.seeded.Host = s.hosts[:min(len(s.hosts), 100)]
	return err
}

func hostName(i int) string {
	return fmt.Sprintf("%s-%06d.example.org", []string{"web", "db", "app", "edge", "batch"}[i%5], i)
}

// seedActs fills the ledger through its own Append.
func (s *seeder) seedActs(ctx context.Context, o options) error {
	kinds := []string{"host.enrolled", "host.renewed", "run.offered", "run.begun", "run.done"}
	return s.batches(ctx, o.acts, func(tx *db.Tx, i int) error {
		host := "host/" + s.hosts[i%len(s.hosts)]
		detail, err := json.Marshal(map[string]any{"number": i, "environment": "production"})
		if err != nil {
			return err
		}
		_, err = s.ledger.Append(ctx, tx, proof.Act{Kind: kinds[i%len(kinds)], Subject: host, Who: host, Detail: detail})
		return err
	})
}

// seedOrders makes orders with their rollouts, through the room, and ends all but the last ten.
func (s *seeder) seedOrders(ctx context.Context, _ options) error {
	rollouts := rollout.New(rollout.Config{DB: s.db, Ledger: s.ledger, Now: func() time.Time { return s.now }})
	report, err := s.report()
	if err != nil {
		return err
	}
	manifest, err := s.keepDocument(&explain.Manifest{Order: "ord_0", Hosts: []explain.StagedHost{}, Changes: []explain.Staged{}})
	if err != nil {
		return err
	}
	s.seeded.Report, s.seeded.Manifest, s.seeded.Fact = report, manifest, report
	for n := range orders {
		o, err := s.order(n)
		if err != nil {
			return err
		}
		if o.Curation, err = s.keepDocument(envelope.Envelope{PayloadType: warrant.CurationType}); err != nil {
			return err
		}
		if o.Envelope, err = s.keepDocument(envelope.Envelope{PayloadType: warrant.OrderType, Payload: o.Payload}); err != nil {
			return err
		}
		inv := integrity.Investigation{ID: id.New("inv", o.MadeAt), Order: o.ID, Host: o.Transactions[0].Hosts[0], Report: report,
			State: []string{integrity.Open, integrity.Closed}[min(1, n%10)], OpenedAt: o.MadeAt, DueAt: o.MadeAt.Add(24 * time.Hour)}
		err = s.db.Write(ctx, func(tx *db.Tx) error {
			if err := insertOrder(ctx, tx, o); err != nil {
				return err
			}
			if err := rollouts.Start(ctx, tx, rollout.Warranted{Order: o.Order, Digest: envelope.Digest(o.Payload), Envelope: o.Envelope, Curation: o.Curation}); err != nil {
				return err
			}
			if o.State == change.Closed {
				if err := endRollout(ctx, tx, o.ID, o.EndedAt); err != nil {
					return err
				}
			}
			for _, h := range o.Transactions[0].Hosts {
				if err := insertReport(ctx, tx, o.ID, explain.StagedHost{Host: h, Input: report, Report: report}, `{"as shipped":148,"derived":2}`, o.MadeAt); err != nil {
					return err
				}
			}
			return insertInvestigation(ctx, tx, inv)
		})
		if err != nil {
			return err
		}
		if n%(orders/20) == 0 || n == orders-1 {
			s.seeded.Order = append(s.seeded.Order, o.ID)
			s.seeded.Investigation = append(s.seeded.Investigation, inv.ID)
		}
	}
	return nil
}

// order makes the n-th, of an hour after the one before; the last is large.
func (s *seeder) order(n int) (change.Order, error) {
	made := s.now.Add(time.Duration(n-orders) * time.Hour)
	hosts := slices.Clone(s.hosts[n*7%max(1, len(s.hosts)-orderHosts):])
	count := orderHosts
	if n == orders-1 {
		count, hosts = largeOrder, slices.Clone(s.hosts)
	}
	hosts = hosts[:min(len(hosts), count)]
	slices.Sort(hosts)
	var actions []warrant.Action
	for i := range 5 {
		name := fmt.Sprintf("libsource%d", n+i)
		actions = append(actions, warrant.Action{Do: "upgrade", Name: name, Arch: "amd64", From: "1.20-1", To: "1.30-1", SHA256: envelope.Digest([]byte(name)),
			Size: 100, File: "pool/main/" + name + "_1.30-1_amd64.deb"})
	}
	slices.SortFunc(actions, func(a, b warrant.Action) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	digest := envelope.Digest([]byte("bench"))
	o := change.Order{Kind: change.Production, State: change.Closed, EndedAt: made.Add(time.Hour), Order: warrant.Order{ID: id.New("ord", made), Class: "routine",
		Environment: "production", Sequence: int64(n + 1), Author: "alice", TrustRoot: warrant.RootRef{Version: 1, SHA256: digest}, MadeAt: made,
		ExpiresAt: made.Add(24 * time.Hour), Window: warrant.Window{OpensAt: made.Add(time.Hour), ClosesAt: made.Add(9 * time.Hour)}, Reason: "monthly maintenance",
		Vulnerabilities: []string{"CVE-2026-1000/source1"}, Snapshot: warrant.SnapshotRef{SHA256: digest, Index: digest, Curation: digest},
		Plan: "upgrade, then the service's smoke test", BackOut: "downgrade to the versions before",
		Stage: &warrant.StageRef{Order: "ord_0", Manifest: digest}, Notices: []warrant.Notice{},
		Transactions: []warrant.Transaction{{Hosts: hosts, Actions: actions}}}}
	if n >= orders-10 {
		o.State, o.EndedAt = change.Warranted, time.Time{}
	}
	var err error
	o.Payload, err = o.Encode()
	return o, err
}

// report is one host's reconciliation, the same for all.
func (s *seeder) report() (string, error) {
	r := explain.Report{Order: "ord_0", Host: s.hosts[0], Input: envelope.Digest([]byte("input")), Counts: map[explain.Verdict]int{explain.AsShipped: linesOf}, Lines: []explain.Line{}}
	for i := range linesOf {
		r.Lines = append(r.Lines, explain.Line{Path: fmt.Sprintf("/usr/lib/x86_64-linux-gnu/libsource%03d.so.1", i), Verdict: explain.AsShipped, Rule: "P1", Package: "libsource1"})
	}
	return s.keepDocument(&r)
}

// seedSnapshots makes curation records that wait for signatures.
func (s *seeder) seedSnapshots(ctx context.Context, _ options) error {
	return s.batches(ctx, snapshots, func(tx *db.Tx, n int) error {
		digest := envelope.Digest(fmt.Append(nil, "index", n))
		record := warrant.Record{Index: digest, Author: "carol", TrustRoot: warrant.RootRef{Version: 1, SHA256: digest},
			MadeAt:    s.now.Add(time.Duration(n-snapshots) * time.Hour),
			Upstreams: []warrant.UpstreamRef{{Name: "debian-security", Release: digest, Index: digest, Date: s.now, Fingerprint: "F"}}}
		var bare []warrant.SnapshotPackage
		for i := range snapshotOf {
			name := fmt.Sprintf("libsource%03d", i+n)
			p := warrant.CuratedRecord{SnapshotPackage: warrant.SnapshotPackage{Name: name, Arch: "amd64", Version: "1.40-1", SHA256: envelope.Digest([]byte(name)),
				Size: 100, File: "pool/main/" + name + "_1.40-1_amd64.deb"}, Source: name, SourceVersion: "1.40-1", Upstream: "debian-security",
				AcceptedBy: "alice", Decision: "dec_1", Because: "accepted"}
			record.Packages, bare = append(record.Packages, p), append(bare, p.SnapshotPackage)
		}
		var err error
		if record.Snapshot, err = warrant.SnapshotDigest(bare); err != nil {
			return err
		}
		payload, err := record.Encode()
		if err != nil {
			return err
		}
		kept, err := s.keep(payload)
		if err != nil {
			return err
		}
		s.seeded.Snapshot = append(s.seeded.Snapshot, kept)
		return insertSnapshot(ctx, tx, curation.Snapshot{Record: record, Ref: warrant.SnapshotRef{SHA256: record.Snapshot, Index: digest, Curation: kept}})
	})
}
