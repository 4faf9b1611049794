package main

import (
	"context"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
)

// The bulk path: rows as the rooms write them.
var (
	qHost = db.Q(`INSERT INTO hosts (id, name, reported_name, environment, cert, cert_expires_at, report_key, seen_report_key, enrolled_at,
		counter, last_seen_at, silent_at, facts_at, index_at, scanned_at, package_set, inventory, distribution, release, arch, kernel_running, kernel_version,
		reboot_required, log_size, log_root, trust_root_version, agent_version)
		VALUES ($1,$2,$2,$3,$4,$5,$6,$6,$7,$8,$9,$10,$9,$9,$9,$11,$12,'debian',$13,'amd64',$14,$15,$16,$17,$18,1,'1.0.0')`)
	qOrder = db.Q(`INSERT INTO change_order (order_id, kind, of_order, payload, curation, sequence, state, envelope, manifest, result, ended_at)
		VALUES ($1,$2,'',$3,$4,$5,$6,$7,$8,'',$9)`)
	qSequence      = db.Q(`UPDATE change_sequence SET last = $1 WHERE id = 1`)
	qRunsDone      = db.Q(`UPDATE rollout_run SET state = 'done', offered_at = $2, begun_at = $2, ended_at = $2 WHERE order_id = $1`)
	qEnded         = db.Q(`UPDATE rollout SET state = 'ended', ended_at = $2 WHERE order_id = $1`)
	qReport        = db.Q(`INSERT INTO integrity_report (order_id, host_id, input, report, counts, made_at) VALUES ($1,$2,$3,$4,$5,$6)`)
	qInvestigation = db.Q(`INSERT INTO integrity_investigation (id, order_id, host_id, report, state, opened_at, due_at, overdue_at, severity,
		outcome, reason, proposed_by, resolved_by, resolved_at) VALUES ($1,$2,$3,$4,$5,$6,$7,0,'','','','','',0)`)
	qLink   = db.Q(`UPDATE records SET host = hosts.id FROM hosts WHERE hosts.name = records.hostname`)
	qRecord = db.Q(`INSERT INTO curation_record (record, snapshot, author, made_at, index_digest, index_size, packed, packed_size, arches)
		VALUES ($1,$2,$3,$4,$5,1,$5,1,'amd64')`)
)

// linkRecords says that a record is about the host of its name.
func linkRecords(ctx context.Context, tx *db.Tx) error {
	_, err := tx.Exec(ctx, qLink)
	return err
}

func insertHost(ctx context.Context, tx *db.Tx, h estate.Host) error {
	reboot := 0
	if h.RebootRequired {
		reboot = 1
	}
	_, err := tx.Exec(ctx, qHost, h.ID, h.Name, h.Environment, envelope.Digest([]byte(h.ID)), db.Micros(h.CertExpiresAt), h.ReportKey,
		db.Micros(h.EnrolledAt), h.Counter, db.Micros(h.LastSeen), db.Micros(h.SilentAt), h.PackageSet, h.Inventory, h.Release,
		h.KernelRunning, h.KernelVersion, reboot, h.Log.Size, h.Log.Root)
	return err
}

func insertOrder(ctx context.Context, tx *db.Tx, o change.Order) error {
	_, err := tx.Exec(ctx, qOrder, o.ID, o.Kind, o.Payload, o.Curation, o.Sequence, o.State, o.Envelope, o.Manifest, db.Micros(o.EndedAt))
	if err != nil {
		return fmt.Errorf("order: %w", err)
	}
	_, err = tx.Exec(ctx, qSequence, o.Sequence)
	return err
}

func endRollout(ctx context.Context, tx *db.Tx, order string, at time.Time) error {
	if _, err := tx.Exec(ctx, qRunsDone, order, db.Micros(at)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, qEnded, order, db.Micros(at))
	return err
}

func insertReport(ctx context.Context, tx *db.Tx, order string, h explain.StagedHost, counts string, at time.Time) error {
	_, err := tx.Exec(ctx, qReport, order, h.Host, h.Input, h.Report, counts, db.Micros(at))
	return err
}

func insertInvestigation(ctx context.Context, tx *db.Tx, i integrity.Investigation) error {
	_, err := tx.Exec(ctx, qInvestigation, i.ID, i.Order, i.Host, i.Report, i.State, db.Micros(i.OpenedAt), db.Micros(i.DueAt))
	return err
}

func insertSnapshot(ctx context.Context, tx *db.Tx, s curation.Snapshot) error {
	_, err := tx.Exec(ctx, qRecord, s.Ref.Curation, s.Ref.SHA256, s.Record.Author, db.Micros(s.Record.MadeAt), s.Ref.Index)
	return err
}
