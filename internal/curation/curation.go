// Package curation decides what is in our repository: accepted packages with their closure become immutable snapshots that
// people sign, channels point at snapshots, and both are published, signed, to plain apt.
package curation

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/memo"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/pool"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Ledger is what curation needs of the log.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Mirror gives verified upstreams.
type Mirror interface {
	Index(ctx context.Context, upstream string) ([]deb.IndexEntry, mirror.Release, error)
	Fetch(ctx context.Context, upstream string, e deb.IndexEntry) error
}

// Config of Curation. Channels are in the order of promotion, such as stage and production. Signer signs the repository;
// its public key stands in the trust root.
type Config struct {
	DB       *db.DB
	Ledger   Ledger
	Blobs    blob.Store
	Mirror   Mirror
	Root     staff.Root
	Signer   *pgp.Signer
	Channels []string
	Now      func() time.Time
}

// Curation keeps all snapshots and channels.
type Curation struct {
	Config
	said memo.Memo[said]
}

// said is what the payload of a curation record says.
type said struct {
	record  warrant.Record
	payload []byte
}

// New makes a Curation.
func New(c Config) *Curation { return &Curation{Config: c, said: memo.Memo[said]{Most: 64 << 20}} }

// Snapshot is a set of packages with its curation record. Record and payload are shared: nobody changes them.
type Snapshot struct {
	Ref        warrant.SnapshotRef
	Record     warrant.Record
	Payload    []byte      // what people sign
	Signatures []Signature // oldest first
	Envelope   string      // digest of the stored envelope with its quorum; empty until then
	SignedAt   time.Time   // zero until the quorum was there
}

// Signature is one person's approval of a curation record.
type Signature struct {
	Person string
	At     time.Time
	envelope.Signature
}

// Proposal is what to make a snapshot of: the decisions that accept sources, the upstreams to take packages from (first
// the one to prefer where two have the same version), and the package sets of the hosts concerned, which are of one release.
type Proposal struct {
	Accepted  []Acceptance
	Upstreams []string
	Sets      []pkgset.Set
}

// Propose works out a snapshot (see Close), brings its packages into the pool, and writes the record for people to sign.
// The author is who; signing it is for others. Nothing to do is fault.Conflict.
func (c *Curation) Propose(ctx context.Context, who string, p Proposal) (Snapshot, error) {
	s, err := c.propose(ctx, who, p)
	if err != nil {
		return Snapshot{}, fmt.Errorf("propose snapshot: %w", err)
	}
	return s, nil
}

func (c *Curation) propose(ctx context.Context, who string, p Proposal) (Snapshot, error) {
	root, err := c.Root.CurrentRoot(ctx)
	if err != nil {
		return Snapshot{}, err
	}
	if _, known := root.Person(who); !known {
		return Snapshot{}, fault.Refuse(fault.Author, "%s is not a person of trust root version %d", who, root.Version)
	}
	candidates, origins, err := c.candidates(ctx, p.Upstreams)
	if err != nil {
		return Snapshot{}, err
	}
	chosen, err := Close(candidates, p.Accepted, p.Sets)
	if err != nil {
		return Snapshot{}, err
	}
	if len(chosen) == 0 {
		return Snapshot{}, fault.New(fault.Conflict, "there is nothing to curate: the hosts have every accepted fix, or nothing is accepted")
	}
	for _, e := range chosen {
		if err := c.Mirror.Fetch(ctx, e.Upstream, e.IndexEntry); err != nil {
			return Snapshot{}, err
		}
	}
	index := render(chosen)
	record := warrant.Record{Index: envelope.Digest(index), Author: who, TrustRoot: warrant.RefOf(root), MadeAt: c.Now().UTC().Truncate(time.Second)}
	if err := fill(&record, chosen, origins); err != nil {
		return Snapshot{}, err
	}
	return c.keep(ctx, record, index, arches(chosen))
}

// candidates reads the upstreams' indexes, with the reference by which a record cites each.
func (c *Curation) candidates(ctx context.Context, upstreams []string) ([]Candidate, map[string]warrant.UpstreamRef, error) {
	var all []Candidate
	origins := map[string]warrant.UpstreamRef{}
	for _, name := range upstreams {
		entries, r, err := c.Mirror.Index(ctx, name)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range entries {
			all = append(all, Candidate{IndexEntry: e, Upstream: name})
		}
		origins[name] = warrant.UpstreamRef{Name: name, Release: r.InRelease, Index: r.Index, Date: r.Date, Fingerprint: r.Fingerprint}
	}
	return all, origins, nil
}

// fill writes the chosen packages and the upstreams they come from into a record.
func fill(r *warrant.Record, chosen []Chosen, origins map[string]warrant.UpstreamRef) error {
	bare := make([]warrant.SnapshotPackage, 0, len(chosen))
	used := map[string]bool{}
	for _, p := range chosen {
		one := warrant.SnapshotPackage{Name: p.Name, Arch: p.Arch, Version: p.Version, SHA256: p.SHA256, Size: p.Size, File: pool.File(p.IndexEntry)}
		bare = append(bare, one)
		r.Packages = append(r.Packages, warrant.CuratedRecord{
			SnapshotPackage: one, Source: p.Source, SourceVersion: p.SourceVersion, Upstream: p.Upstream,
			AcceptedBy: p.Acceptance.Person, Decision: p.Acceptance.Decision, Because: p.Because,
		})
		used[p.Upstream] = true
	}
	for name := range used {
		r.Upstreams = append(r.Upstreams, origins[name])
	}
	slices.SortFunc(r.Upstreams, func(a, b warrant.UpstreamRef) int { return strings.Compare(a.Name, b.Name) })
	var err error
	r.Snapshot, err = warrant.SnapshotDigest(bare)
	return err
}

// keep stores a new record and its index.
func (c *Curation) keep(ctx context.Context, r warrant.Record, index []byte, arches []string) (Snapshot, error) {
	payload, err := r.Encode()
	if err != nil {
		return Snapshot{}, err
	}
	packed, err := pack(index)
	if err != nil {
		return Snapshot{}, err
	}
	for _, b := range [][]byte{payload, index, packed} {
		if _, err := blob.PutBytes(ctx, c.Blobs, b); err != nil {
			return Snapshot{}, err
		}
	}
	w := row{record: envelope.Digest(payload), snapshot: r.Snapshot, author: r.Author, madeAt: r.MadeAt, index: r.Index, indexSize: int64(len(index)),
		packed: envelope.Digest(packed), packedSize: int64(len(packed)), arches: arches}
	err = c.DB.Write(ctx, func(tx *db.Tx) error {
		if added, err := insertRecord(ctx, tx, w); err != nil || !added {
			return err
		}
		facts := []string{w.record, w.index}
		for _, u := range r.Upstreams {
			facts = append(facts, u.Release, u.Index)
		}
		return c.act(ctx, tx, "snapshot.proposed", "snapshot/"+r.Snapshot, "person/"+r.Author, facts, map[string]any{"packages": len(r.Packages), "record": w.record})
	})
	if err != nil {
		return Snapshot{}, err
	}
	return c.Proposed(ctx, w.record)
}

func (c *Curation) act(ctx context.Context, tx *db.Tx, kind, subject, who string, facts []string, detail map[string]any) error {
	b, err := envelope.Encode(detail)
	if err != nil {
		return err
	}
	_, err = c.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, Who: who, Facts: facts, Detail: json.RawMessage(b)})
	return err
}

// Proposed gives a snapshot by the digest of its record's payload, signed or not.
func (c *Curation) Proposed(ctx context.Context, record string) (s Snapshot, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		s, _, err = c.load(ctx, tx, record)
		return err
	})
	return s, err
}

// Snapshot gives a signed snapshot by its digest, with the record that got its quorum last. One that nobody signed is
// fault.NotFound.
func (c *Curation) Snapshot(ctx context.Context, digest string) (s Snapshot, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		record, err := signedRecord(ctx, tx, digest)
		if err != nil {
			return err
		}
		s, _, err = c.load(ctx, tx, record)
		return err
	})
	return s, err
}

// Snapshots gives all, newest first.
func (c *Curation) Snapshots(ctx context.Context) (all []Snapshot, err error) {
	return c.SnapshotsAfter(ctx, "", math.MaxInt32)
}

// SnapshotsAfter gives at most limit of those that Snapshots gives after the one with this record; from the newest where it
// is empty.
func (c *Curation) SnapshotsAfter(ctx context.Context, record string, limit int) (all []Snapshot, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		records, err := recordsAfter(ctx, tx, record, limit)
		if err != nil || len(records) == 0 {
			return err
		}
		signed, err := signaturesWithin(ctx, tx, records[len(records)-1].madeAt, records[0].madeAt)
		if err != nil {
			return err
		}
		for _, w := range records {
			s, err := c.open(ctx, w, signed[w.record])
			if err != nil {
				return err
			}
			all = append(all, s)
		}
		return nil
	})
	return all, err
}

// load reads a snapshot; its record comes from the bytes that people sign.
func (c *Curation) load(ctx context.Context, tx *db.Tx, record string) (Snapshot, row, error) {
	w, err := loadRecord(ctx, tx, record)
	if err != nil {
		return Snapshot{}, w, err
	}
	signed, err := signatures(ctx, tx, record)
	if err != nil {
		return Snapshot{}, w, err
	}
	s, err := c.open(ctx, w, signed)
	return s, w, err
}

// open completes a snapshot by what its record says.
func (c *Curation) open(ctx context.Context, w row, signed []Signature) (Snapshot, error) {
	record := w.record
	s := Snapshot{Envelope: w.envelope, SignedAt: w.signedAt, Signatures: signed,
		Ref: warrant.SnapshotRef{SHA256: w.snapshot, Index: w.index, Curation: record}}
	x, err := c.said.Get(record, func() (said, int, error) {
		payload, err := blob.ReadAll(ctx, c.Blobs, record, envelope.MaxPayload)
		if err != nil {
			return said{}, 0, err
		}
		r, err := warrant.DecodeRecord(payload)
		return said{r, payload}, 3 * len(payload), err // about, with what was read of it
	})
	if err != nil {
		return s, fmt.Errorf("curation record %s: %w", record, err)
	}
	s.Record, s.Payload = x.record, x.payload
	if s.Record.Snapshot != w.snapshot || s.Record.Index != w.index {
		return s, fault.New(fault.Internal, "curation record %s: the database says something else than what people sign", record)
	}
	return s, nil
}

// Packages gives the entries of a signed snapshot's index, as served.
func (c *Curation) Packages(ctx context.Context, digest string) ([]deb.IndexEntry, error) {
	s, err := c.Snapshot(ctx, digest)
	if err != nil {
		return nil, err
	}
	f, err := c.Blobs.Open(ctx, s.Ref.Index)
	if err != nil {
		return nil, fmt.Errorf("index of snapshot %s: %w", digest, err)
	}
	defer f.Close()
	var all []deb.IndexEntry
	for e, err := range deb.ParsePackages(f) {
		if err != nil {
			return nil, fmt.Errorf("index of snapshot %s: %w", digest, err)
		}
		all = append(all, e)
	}
	return all, nil
}
