package estate

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const hostColumns = `id, name, reported_name, environment, cert, next_cert, cert_expires_at, report_key, seen_report_key,
 enrolled_at, counter, cloned_at, last_seen_at, silent_at, facts_at, package_set, inventory, trees, distribution, release, arch,
 kernel_running, kernel_version, reboot_required, index_at, log_size, log_root, trust_root_version, agent_version, alarm`

var (
	hostByID   = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE id = $1`)
	hostByCert = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE cert = $1 OR next_cert = $1`)
	hostsAll   = db.Q(`SELECT ` + hostColumns + ` FROM hosts ORDER BY name, id`)
	hostsQuiet = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE last_seen_at < $1 AND silent_at = 0 ORDER BY id`)
	hostPut    = db.Q(`INSERT INTO hosts (` + hostColumns + `) VALUES
 ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29,$30)
 ON CONFLICT (id) DO UPDATE SET name = excluded.name, reported_name = excluded.reported_name, environment = excluded.environment,
 cert = excluded.cert, next_cert = excluded.next_cert, cert_expires_at = excluded.cert_expires_at,
 report_key = excluded.report_key, seen_report_key = excluded.seen_report_key, enrolled_at = excluded.enrolled_at,
 counter = excluded.counter, cloned_at = excluded.cloned_at, last_seen_at = excluded.last_seen_at, silent_at = excluded.silent_at,
 facts_at = excluded.facts_at, package_set = excluded.package_set, inventory = excluded.inventory, trees = excluded.trees,
 distribution = excluded.distribution, release = excluded.release, arch = excluded.arch,
 kernel_running = excluded.kernel_running, kernel_version = excluded.kernel_version,
 reboot_required = excluded.reboot_required, index_at = excluded.index_at, log_size = excluded.log_size,
 log_root = excluded.log_root, trust_root_version = excluded.trust_root_version,
 agent_version = excluded.agent_version, alarm = excluded.alarm`)

	tokenPut   = db.Q(`INSERT INTO enrolment_tokens (hash, name, environment, host, made_by, made_at, expires_at) VALUES ($1,$2,$3,$4,$5,$6,$7)`)
	tokenGet   = db.Q(`SELECT name, environment, host, expires_at, used_at FROM enrolment_tokens WHERE hash = $1`)
	tokenDrop  = db.Q(`DELETE FROM enrolment_tokens WHERE hash = $1`)
	tokenSpend = db.Q(`UPDATE enrolment_tokens SET used_at = $1, used_for = $2 WHERE hash = $3`)

	setKnown = db.Q(`SELECT COUNT(*) FROM package_sets WHERE digest = $1`)
	setPut   = db.Q(`INSERT INTO package_sets (digest, packages, first_seen_at) VALUES ($1,$2,$3) ON CONFLICT (digest) DO NOTHING`)
)

type row interface{ Scan(...any) error }

func scanHost(r row) (Host, error) {
	var h Host
	var certExpires, enrolled, cloned, seen, silent, facts, index, reboot int64
	var trees string
	err := r.Scan(&h.ID, &h.Name, &h.ReportedName, &h.Environment, &h.cert, &h.nextCert, &certExpires, &h.ReportKey, &h.SeenReportKey,
		&enrolled, &h.Counter, &cloned, &seen, &silent, &facts, &h.PackageSet, &h.Inventory, &trees, &h.Distribution, &h.Release, &h.Arch,
		&h.KernelRunning, &h.KernelVersion, &reboot, &index, &h.Log.Size, &h.Log.Root, &h.TrustRootVersion, &h.AgentVersion, &h.Alarm)
	if err != nil {
		return Host{}, err
	}
	h.CertExpiresAt, h.EnrolledAt, h.ClonedAt, h.LastSeen = db.Time(certExpires), db.Time(enrolled), db.Time(cloned), db.Time(seen)
	h.SilentAt, h.FactsAt, h.IndexAt, h.RebootRequired = db.Time(silent), db.Time(facts), db.Time(index), reboot != 0
	if err := json.Unmarshal([]byte(trees), &h.Trees); err != nil {
		return Host{}, fmt.Errorf("host %s: column trees: %w", h.ID, err)
	}
	return h, nil
}

func saveHost(ctx context.Context, tx *db.Tx, h Host) error {
	trees, err := json.Marshal(h.Trees)
	if err != nil {
		return err
	}
	reboot := 0
	if h.RebootRequired {
		reboot = 1
	}
	_, err = tx.Exec(ctx, hostPut, h.ID, h.Name, h.ReportedName, h.Environment, h.cert, h.nextCert, db.Micros(h.CertExpiresAt), h.ReportKey, h.SeenReportKey,
		db.Micros(h.EnrolledAt), h.Counter, db.Micros(h.ClonedAt), db.Micros(h.LastSeen), db.Micros(h.SilentAt), db.Micros(h.FactsAt), h.PackageSet,
		h.Inventory, string(trees), h.Distribution, h.Release, h.Arch, h.KernelRunning, h.KernelVersion, reboot, db.Micros(h.IndexAt),
		h.Log.Size, h.Log.Root, h.TrustRootVersion, h.AgentVersion, h.Alarm)
	if err != nil {
		return fmt.Errorf("save host %s: %w", h.ID, err)
	}
	return nil
}

func loadHost(ctx context.Context, tx *db.Tx, id string) (Host, error) {
	h, err := scanHost(tx.QueryRow(ctx, hostByID, id))
	if errors.Is(err, sql.ErrNoRows) {
		return Host{}, fault.New(fault.NotFound, "no such host")
	}
	return h, err
}

// loadHostByCert finds the host that uses, or was given to use next, the certificate with this fingerprint.
func loadHostByCert(ctx context.Context, tx *db.Tx, cert string) (Host, error) {
	h, err := scanHost(tx.QueryRow(ctx, hostByCert, cert))
	if errors.Is(err, sql.ErrNoRows) {
		return Host{}, fault.New(fault.Unauthenticated, "this certificate belongs to no enrolled host; enrol the host again")
	}
	return h, err
}

func loadHosts(ctx context.Context, tx *db.Tx) ([]Host, error) {
	rows, err := tx.Query(ctx, hostsAll)
	return db.Collect(rows, err, func(r *sql.Rows) (Host, error) { return scanHost(r) })
}

func loadQuiet(ctx context.Context, tx *db.Tx, before time.Time) ([]Host, error) {
	rows, err := tx.Query(ctx, hostsQuiet, db.Micros(before))
	return db.Collect(rows, err, func(r *sql.Rows) (Host, error) { return scanHost(r) })
}

type token struct {
	name, environment, host string
	expires, used           time.Time
}

func loadToken(ctx context.Context, tx *db.Tx, hash string) (token, error) {
	var t token
	var expires, used int64
	err := tx.QueryRow(ctx, tokenGet, hash).Scan(&t.name, &t.environment, &t.host, &expires, &used)
	if errors.Is(err, sql.ErrNoRows) {
		return token{}, fault.New(fault.Unauthenticated, "the enrolment token is not known here")
	}
	t.expires, t.used = db.Time(expires), db.Time(used)
	return t, err
}

func saveToken(ctx context.Context, tx *db.Tx, hash string, t token, by string, now time.Time) error {
	_, err := tx.Exec(ctx, tokenPut, hash, t.name, t.environment, t.host, by, db.Micros(now), db.Micros(t.expires))
	return err
}

func dropToken(ctx context.Context, tx *db.Tx, hash string) error {
	_, err := tx.Exec(ctx, tokenDrop, hash)
	return err
}

func spendToken(ctx context.Context, tx *db.Tx, hash, host string, now time.Time) error {
	_, err := tx.Exec(ctx, tokenSpend, db.Micros(now), host, hash)
	return err
}

func knownSet(ctx context.Context, tx *db.Tx, digest string) (bool, error) {
	var n int
	err := tx.QueryRow(ctx, setKnown, digest).Scan(&n)
	return n > 0, err
}

func saveSet(ctx context.Context, tx *db.Tx, digest string, packages int, now time.Time) error {
	_, err := tx.Exec(ctx, setPut, digest, packages, db.Micros(now))
	return err
}
