package curation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Validity is how long a published release file counts; Renewal, how old it may grow before the sweep signs it again.
const (
	Validity = 7 * 24 * time.Hour
	Renewal  = 24 * time.Hour
)

// publication is a suite as it is served: a channel or one snapshot.
type publication struct {
	suite               string
	record              string
	version             int64
	release             string // digest of InRelease
	size                int64
	signedAt, expiresAt time.Time
}

// snapshotSuite is the suite under which one snapshot is published for good.
func snapshotSuite(digest string) string { return "snapshots/" + digest }

// Publish is the sweep that keeps the repository signed: every signed snapshot and every channel gets a release file when
// it has none, shows something else now, or its release file is older than Renewal. Run it after Sign and Promote, too.
func (c *Curation) Publish(ctx context.Context) error {
	var suites []publication
	err := c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		suites, err = c.suites(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	if len(suites) == 0 { // and perhaps no trust root yet
		return nil
	}
	root, err := c.Root.CurrentRoot(ctx)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	var failed []error
	for _, p := range suites {
		if err := c.publish(ctx, p, root.Organisation); err != nil {
			failed = append(failed, fmt.Errorf("publish %s: %w", p.suite, err))
		}
	}
	return errors.Join(failed...)
}

// suites gives what is to be published: suite, record and version.
func (c *Curation) suites(ctx context.Context, tx *db.Tx) ([]publication, error) {
	signed, err := signedSnapshots(ctx, tx)
	if err != nil {
		return nil, err
	}
	var all []publication
	for _, digest := range signed {
		record, err := signedRecord(ctx, tx, digest)
		if err != nil {
			return nil, err
		}
		all = append(all, publication{suite: snapshotSuite(digest), record: record})
	}
	for _, name := range c.Channels {
		channel, err := loadChannel(ctx, tx, name)
		if err != nil {
			return nil, err
		}
		if channel.Version == 0 {
			continue
		}
		record, err := signedRecord(ctx, tx, channel.Snapshot)
		if err != nil {
			return nil, err
		}
		all = append(all, publication{suite: name, record: record, version: channel.Version})
	}
	return all, nil
}

// publish signs one suite if it needs it. Dates never go back: while the clock is behind the last signature, nothing is
// signed.
func (c *Curation) publish(ctx context.Context, p publication, origin string) error {
	return c.DB.Write(ctx, func(tx *db.Tx) error {
		now := c.Now().UTC().Truncate(time.Second)
		was, err := loadPublication(ctx, tx, p.suite)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		same := was.record == p.record && was.version == p.version
		switch {
		case was.version > p.version || same && now.Sub(was.signedAt) < Renewal:
			return nil
		case now.Equal(was.signedAt): // a date that grows tells clients the later of two in one second
			now = now.Add(time.Second)
		case now.Before(was.signedAt):
			return fault.Refuse(fault.Clock, "the clock says %s, but the last signature is of %s", now.Format(time.RFC3339), was.signedAt.Format(time.RFC3339))
		}
		w, err := loadRecord(ctx, tx, p.record)
		if err != nil {
			return err
		}
		p.signedAt, p.expiresAt = now, now.Add(Validity)
		text, err := w.release(p.suite, p.version, origin, p.signedAt, p.expiresAt)
		if err != nil {
			return err
		}
		signed, err := c.Signer.SignClearsigned(text, c.Now())
		if err != nil {
			return err
		}
		if p.release, err = blob.PutBytes(ctx, c.Blobs, signed); err != nil {
			return err
		}
		p.size = int64(len(signed))
		if err := savePublication(ctx, tx, p); err != nil {
			return err
		}
		return c.act(ctx, tx, "repository.published", "repository/"+p.suite, "server", []string{p.release}, map[string]any{
			"key": c.Signer.Fingerprint(), "record": p.record, "snapshot": w.snapshot, "valid_until": p.expiresAt, "version": p.version,
		})
	})
}

// Published gives the digest of the release file that a channel shows now; empty: none yet.
func (c *Curation) Published(ctx context.Context, channel string) (digest string, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		p, err := loadPublication(ctx, tx, channel)
		digest = p.release
		return err
	})
	if fault.KindOf(err) == fault.NotFound {
		return "", nil
	}
	return digest, err
}

// Carry gives the files by which a host installs from a signed snapshot without reaching the repository: InRelease,
// Packages, and the packages by their pool paths. Their bytes are blobs.
func (c *Curation) Carry(ctx context.Context, snapshot string) (files []wire.File, err error) {
	err = c.DB.Read(ctx, func(tx *db.Tx) error {
		p, err := loadPublication(ctx, tx, snapshotSuite(snapshot))
		if err != nil {
			return err
		}
		s, w, err := c.load(ctx, tx, p.record)
		if err != nil {
			return err
		}
		files = []wire.File{{Path: "InRelease", SHA256: p.release, Size: p.size}, {Path: "Packages", SHA256: w.index, Size: w.indexSize}}
		for _, one := range s.Record.Packages {
			files = append(files, wire.File{Path: one.File, SHA256: one.SHA256, Size: one.Size})
		}
		return nil
	})
	return files, err
}

// file is something the repository serves besides release files.
type file struct {
	path      string // pool/… or by-hash/DIGEST
	sha256    string
	size      int64
	damagedAt time.Time
}

// files gives what a signed snapshot lets the repository serve.
func (w row) files(r warrant.Record) []file {
	all := []file{{path: "by-hash/" + w.index, sha256: w.index, size: w.indexSize}, {path: "by-hash/" + w.packed, sha256: w.packed, size: w.packedSize}}
	for _, p := range r.Packages {
		all = append(all, file{path: p.File, sha256: p.SHA256, size: p.Size})
	}
	return all
}

// Inspect is the sweep that reads every file the repository serves and compares it with its digest: what was deleted or
// replaced in storage is an act repository.damaged, once, and repository.restored when it is whole again.
func (c *Curation) Inspect(ctx context.Context) error {
	var all []file
	err := c.DB.Read(ctx, func(tx *db.Tx) (err error) {
		all, err = files(ctx, tx)
		return err
	})
	if err != nil {
		return fmt.Errorf("inspect repository: %w", err)
	}
	var failed []error
	for _, f := range all {
		damage := c.whole(ctx, f)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if damage != nil {
			failed = append(failed, fmt.Errorf("inspect repository: %s: %w", f.path, damage))
		}
		if (damage == nil) != f.damagedAt.IsZero() {
			failed = append(failed, c.mark(ctx, f, damage))
		}
	}
	return errors.Join(failed...)
}

func (c *Curation) whole(ctx context.Context, f file) error {
	r, err := c.Blobs.Open(ctx, f.sha256)
	if err != nil {
		return err
	}
	defer r.Close()
	if n, err := io.Copy(io.Discard, r); err != nil || n != f.size {
		return errors.Join(err, fault.New(fault.Internal, "read %d of %d bytes", n, f.size))
	}
	return nil
}

// mark writes down that a file is damaged, or whole again.
func (c *Curation) mark(ctx context.Context, f file, damage error) error {
	return c.DB.Write(ctx, func(tx *db.Tx) error {
		kind, detail, at := "repository.restored", map[string]any{}, time.Time{}
		if damage != nil {
			kind, detail, at = "repository.damaged", map[string]any{"reason": damage.Error()}, c.Now()
		}
		if err := markFile(ctx, tx, f.path, at); err != nil {
			return err
		}
		return c.act(ctx, tx, kind, "repository/"+f.path, "server", []string{f.sha256}, detail)
	})
}
