package agentapi

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

func (d *Door) checkIn(w http.ResponseWriter, r *http.Request, host estate.Host) error {
	var c wire.CheckIn
	if err := read(w, r, wire.MaxDocument, &c); err != nil {
		return err
	}
	host, need, err := d.Estate.CheckIn(r.Context(), host.ID, c)
	if err != nil {
		return err
	}
	out := wire.CheckInAnswer{Need: need}
	if err := d.trust(r.Context(), c, &out); err != nil {
		return err
	}
	if err := d.published(r.Context(), host, c, &out); err != nil {
		return err
	}
	if err := d.work(r.Context(), host, c, &out); err != nil {
		return err
	}
	if err := d.canary(r.Context(), host.ID, c, &out); err != nil {
		return err
	}
	answer(w, http.StatusOK, out)
	return nil
}

// canary takes what the host carries of a planted vulnerability, once all it said of itself is here, and asks it for one.
func (d *Door) canary(ctx context.Context, host string, c wire.CheckIn, out *wire.CheckInAnswer) (err error) {
	if d.Canary == nil {
		return nil
	}
	if c.Canary != "" && len(out.Need) == 0 {
		if err := d.Canary.Heard(ctx, host, c.Canary); err != nil {
			return err
		}
	}
	out.Canary, err = d.Canary.Seed(ctx, host)
	return err
}

// trust adds what the host needs to judge the server: newer trust roots, the ledger's checkpoint, and the proof that it
// continues the one the host saw.
func (d *Door) trust(ctx context.Context, c wire.CheckIn, out *wire.CheckInAnswer) (err error) {
	if out.TrustRoots, err = d.TrustRoots.Roots(ctx, c.TrustRootVersion+1); err != nil {
		return err
	}
	if out.Checkpoint, err = d.Ledger.Checkpoint(ctx); err != nil {
		return err
	}
	size, err := sizeOf(out.Checkpoint)
	if err != nil || c.Log.Size == 0 || c.Log.Size >= size {
		return err
	}
	out.Consistency, err = d.Ledger.Consistency(ctx, c.Log.Size, size)
	return err
}

// published adds the release file of the host's channel, where the host was shown another.
func (d *Door) published(ctx context.Context, host estate.Host, c wire.CheckIn, out *wire.CheckInAnswer) error {
	if d.Channels == nil {
		return nil
	}
	digest, err := d.Channels.Published(ctx, host.Environment)
	if err != nil || digest == "" || digest == c.Published {
		return err
	}
	out.Published, err = blob.ReadAll(ctx, d.Blobs, digest, wire.MaxRelease)
	return err
}

// sizeOf reads the number of acts in one of our own checkpoints: its second line.
func sizeOf(checkpoint string) (int64, error) {
	_, rest, _ := strings.Cut(checkpoint, "\n")
	number, _, _ := strings.Cut(rest, "\n")
	return strconv.ParseInt(number, 10, 64)
}

// work adds the host's next order, where it can obey one, has none in hand, and all it said of itself is here; and the pace.
func (d *Door) work(ctx context.Context, host estate.Host, c wire.CheckIn, out *wire.CheckInAnswer) (err error) {
	if c.Doing == nil && len(out.Need) == 0 && host.CanExecute() {
		if out.Work, err = d.Rollout.Offer(ctx, host.ID, c.TrustRootVersion); err != nil {
			return err
		}
	}
	pace := d.Rest
	if c.Doing != nil || out.Work != nil {
		pace = d.Busy
	}
	out.NextSeconds = max(1, int(pace/time.Second))
	return nil
}

func (d *Door) missing(w http.ResponseWriter, r *http.Request, _ estate.Host) error {
	var question wire.Missing
	if err := read(w, r, wire.MaxDocument, &question); err != nil {
		return err
	}
	missing, err := d.Estate.Missing(r.Context(), question.Digests)
	if err == nil {
		answer(w, http.StatusOK, wire.Missing{Digests: missing})
	}
	return err
}

// putObject keeps an uploaded object under the digest it was announced with. A directory is taken only after all that it
// holds, so whoever has a tree's top has the whole tree.
func (d *Door) putObject(w http.ResponseWriter, r *http.Request, host estate.Host) error {
	digest := r.PathValue("digest")
	if !envelope.ValidDigest(digest) {
		return fault.New(fault.Invalid, "an object's name is its SHA-256 in lower hex")
	}
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxObject))
	if err != nil {
		return fault.New(fault.Invalid, "read object: %w", err)
	}
	kind := r.Header.Get("Content-Type")
	if kind == wire.TreeDelta {
		if b, err = d.patched(r.Context(), b); err != nil {
			return err
		}
		kind = wire.TreeObject
	}
	if envelope.Digest(b) != digest {
		return fault.New(fault.Invalid, "the object's bytes are not those of its name")
	}
	switch kind {
	case wire.TreeObject:
		err = d.whole(r.Context(), b)
	case wire.PackagesObject, wire.OriginsObject, wire.InventoryObject, wire.FactsObject, wire.SessionObject:
	default:
		err = fault.New(fault.Invalid, "no such kind of object")
	}
	if err != nil {
		return err
	}
	if err := d.keep(r.Context(), host.ID, digest, b); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// patched makes a directory object out of a delta; its base must be here, and be a directory object too. Errors: NotFound, Invalid.
func (d *Door) patched(ctx context.Context, delta []byte) ([]byte, error) {
	base, err := filetree.DeltaBase(delta)
	if err != nil {
		return nil, err
	}
	object, err := blob.ReadAll(ctx, d.Blobs, base, filetree.MaxObject)
	if err != nil {
		return nil, err
	}
	if _, err := filetree.Decode(object); err != nil {
		return nil, err
	}
	return filetree.Patch(object, delta)
}

// keep keeps an object that is not here yet, within the host's quota.
func (d *Door) keep(ctx context.Context, host, digest string, b []byte) error {
	has, err := d.Blobs.Has(ctx, digest)
	if err != nil || has {
		return err
	}
	if err := d.bytes.Take(host, int64(len(b)), d.Estate.Now()); err != nil {
		return err
	}
	_, err = blob.PutBytes(ctx, d.Blobs, b)
	return err
}

func (d *Door) whole(ctx context.Context, directory []byte) error {
	below, err := filetree.Subtrees(directory)
	if err != nil {
		return err
	}
	missing, err := d.Estate.Missing(ctx, below)
	if err == nil && len(missing) > 0 {
		err = fault.New(fault.Conflict, "%d directories below this one are not here yet; send them first", len(missing))
	}
	return err
}

func (d *Door) file(w http.ResponseWriter, r *http.Request, host estate.Host) error {
	order, path := r.PathValue("order"), r.PathValue("path")
	if !wire.ValidOrder(order) || !wire.ValidPath(path) {
		return fault.New(fault.NotFound, "no such file")
	}
	f, err := d.Rollout.File(r.Context(), host.ID, order, path)
	if err != nil {
		return err
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	_, _ = io.Copy(w, f) // the agent checks size and digest
	return nil
}

func (d *Door) begin(w http.ResponseWriter, r *http.Request, host estate.Host) error {
	var b wire.Begin
	if err := read(w, r, wire.MaxDocument, &b); err != nil {
		return err
	}
	if err := d.here(r.Context(), b.Before); err != nil {
		return err
	}
	if err := d.Rollout.Begin(r.Context(), host.ID, b); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// report takes the outcome of a run: first what the host looked like, then what its executor signed, so that a run that is
// done is one that can be reconciled.
func (d *Door) report(w http.ResponseWriter, r *http.Request, host estate.Host) error {
	var report wire.Report
	if err := read(w, r, wire.MaxReport, &report); err != nil {
		return err
	}
	said, err := open(host, report.Envelope)
	if err != nil {
		return err
	}
	if said.Session != "" {
		if missing, err := d.Estate.Missing(r.Context(), []string{said.Session}); err != nil || len(missing) > 0 {
			return errors.Join(err, fault.New(fault.Unavailable, "the session log is not here; upload it first"))
		}
	}
	for _, o := range []wire.Observation{report.Before, report.After} {
		if err := d.here(r.Context(), o); err != nil {
			return err
		}
	}
	if err := d.Rollout.Report(r.Context(), host.ID, report); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// here refuses an observation of which anything has not been uploaded.
func (d *Door) here(ctx context.Context, o wire.Observation) error {
	digests := append(slices.AppendSeq(slices.Collect(maps.Values(o.Trees)), maps.Values(o.RootFacts)), o.PackageSet)
	if o.Facts != "" {
		digests = append(digests, o.Facts)
	}
	missing, err := d.Estate.Missing(ctx, digests)
	if err == nil && len(missing) > 0 {
		err = fault.New(fault.Unavailable, "%d objects of the observation are not here; upload them first", len(missing))
	}
	return err
}

// open checks that a report is by the executor the host was enrolled with, and speaks of this host.
func open(host estate.Host, e envelope.Envelope) (warrant.Report, error) {
	public, err := base64.StdEncoding.DecodeString(host.ReportKey)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return warrant.Report{}, fault.Refuse(fault.BadSignature, "this host was enrolled without an executor; enrol it again")
	}
	said, err := warrant.OpenReport(e, envelope.Ed25519Key(public))
	if err == nil && said.Host != host.ID {
		err = fault.Refuse(fault.WrongHost, "the report is about another host")
	}
	return said, err
}
