package estate

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const hostColumns = `id, name, reported_name, environment, cert, next_cert, cert_expires_at, report_key, seen_report_key,
 enrolled_at, counter, cloned_at, last_seen_at, silent_at, facts_at, package_set, inventory, trees, distribution, release, arch,
 kernel_running, kernel_version, reboot_required, index_at, log_size, log_root, trust_root_version, agent_version, alarm,
 retired_at, spoke_at, scanned_at, origins, roots, serial, addresses, agent_memory, agent_cpu, agent_seconds`

var (
	hostByID   = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE id = $1`)
	hostByCert = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE cert = $1 OR next_cert = $1`)
	hostsAll   = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE retired_at = 0 ORDER BY name, id`)
	hostsQuiet = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE last_seen_at < $1 AND silent_at = 0 AND retired_at = 0 ORDER BY id`)
	hostsThese = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE id IN
 ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25)`)
	hostPut = db.Q(`INSERT INTO hosts (` + hostColumns + `, changed) VALUES
 ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17,$18,$19,$20,$21,$22,$23,$24,$25,$26,$27,$28,$29,$30,
 $31,$32,$33,$34,$35,$36,$37,$38,$39,$40,
 (SELECT COALESCE(MAX(changed), 0) + 1 FROM hosts))
 ON CONFLICT (id) DO UPDATE SET name = excluded.name, reported_name = excluded.reported_name, environment = excluded.environment,
 cert = excluded.cert, next_cert = excluded.next_cert, cert_expires_at = excluded.cert_expires_at,
 report_key = excluded.report_key, seen_report_key = excluded.seen_report_key, enrolled_at = excluded.enrolled_at,
 counter = excluded.counter, cloned_at = excluded.cloned_at, last_seen_at = excluded.last_seen_at, silent_at = excluded.silent_at,
 facts_at = excluded.facts_at, package_set = excluded.package_set, inventory = excluded.inventory, trees = excluded.trees,
 distribution = excluded.distribution, release = excluded.release, arch = excluded.arch,
 kernel_running = excluded.kernel_running, kernel_version = excluded.kernel_version,
 reboot_required = excluded.reboot_required, index_at = excluded.index_at, log_size = excluded.log_size,
 log_root = excluded.log_root, trust_root_version = excluded.trust_root_version,
 agent_version = excluded.agent_version, alarm = excluded.alarm, retired_at = excluded.retired_at, spoke_at = excluded.spoke_at,
 scanned_at = excluded.scanned_at, origins = excluded.origins, roots = excluded.roots, serial = excluded.serial,
 addresses = excluded.addresses, agent_memory = excluded.agent_memory, agent_cpu = excluded.agent_cpu, agent_seconds = excluded.agent_seconds,
 changed = excluded.changed`)
	beatPut = db.Q(`UPDATE hosts SET counter = $2, last_seen_at = $3, facts_at = $4, log_size = $5, log_root = $6, scanned_at = $8,
 agent_memory = $9, agent_cpu = $10, agent_seconds = $11
 WHERE id = $1 AND counter < $2 AND enrolled_at = $7 AND cloned_at = 0 AND retired_at = 0`)

	changeLast  = db.Q(`SELECT COALESCE(MAX(changed), 0) FROM hosts`)
	changedSets = db.Q(`SELECT id, release, environment, CASE WHEN retired_at = 0 THEN package_set ELSE '' END, kernel_running,
 kernel_version, CASE WHEN retired_at = 0 THEN roots ELSE '' END, origins FROM hosts WHERE changed > $1`)
	changedIDs = db.Q(`SELECT id FROM hosts WHERE changed > $1`)
	changedAll = db.Q(`SELECT id, name, reported_name, environment, release, report_key, seen_report_key, cloned_at, silent_at, alarm,
 reboot_required, retired_at, distribution, arch, kernel_running, serial, addresses FROM hosts WHERE changed > $1`)

	coverage = db.Q(`SELECT COUNT(*), COALESCE(SUM(CASE WHEN silent_at > 0 THEN 1 ELSE 0 END), 0),
 COALESCE(SUM(CASE WHEN package_set <> '' THEN 1 ELSE 0 END), 0), COALESCE(SUM(CASE WHEN facts_at > $1 THEN 1 ELSE 0 END), 0),
 COALESCE(SUM(CASE WHEN facts_at > $2 THEN 1 ELSE 0 END), 0) FROM hosts WHERE retired_at = 0`)

	stateGet = db.Q(`SELECT tree, digest, first_at FROM host_state WHERE host = $1 ORDER BY first_at DESC, tree`)
	statePut = db.Q(`INSERT INTO host_state (host, tree, digest, first_at) VALUES ($1, $2, $3, $4)
 ON CONFLICT (host, tree, first_at) DO UPDATE SET digest = excluded.digest`)
	stateTrim = db.Q(`DELETE FROM host_state WHERE host = $1 AND tree = $2 AND first_at <=
 (SELECT first_at FROM host_state WHERE host = $1 AND tree = $2 ORDER BY first_at DESC LIMIT 1 OFFSET $3)`)

	tokenPut   = db.Q(`INSERT INTO enrolment_tokens (hash, name, environment, host, made_by, made_at, expires_at) VALUES ($1,$2,$3,$4,$5,$6,$7)`)
	tokenGet   = db.Q(`SELECT name, environment, host, expires_at, used_at FROM enrolment_tokens WHERE hash = $1`)
	tokenDrop  = db.Q(`DELETE FROM enrolment_tokens WHERE hash = $1`)
	tokenSpend = db.Q(`UPDATE enrolment_tokens SET used_at = $1, used_for = $2 WHERE hash = $3`)

	hostsSpoke = db.Q(`SELECT ` + hostColumns + ` FROM hosts WHERE spoke_at > 0 AND spoke_at > $1 ORDER BY spoke_at DESC LIMIT 100`)
	toldGet    = db.Q(`SELECT day FROM estate_daily WHERE what = $1`)
	toldPut    = db.Q(`INSERT INTO estate_daily (what, day) VALUES ($1,$2) ON CONFLICT (what) DO UPDATE SET day = excluded.day
 WHERE estate_daily.day <> excluded.day`)

	setKnown = db.Q(`SELECT COUNT(*) FROM package_sets WHERE digest = $1`)
	setPut   = db.Q(`INSERT INTO package_sets (digest, packages, first_seen_at) VALUES ($1,$2,$3) ON CONFLICT (digest) DO NOTHING`)
)

// late says which hosts a clock has run out for. One in use by two machines has its own alarm.
var late = map[Clock]db.Query{
	Contact: db.Q(`SELECT id, name, enrolled_at, last_seen_at FROM hosts WHERE last_seen_at < $1 AND enrolled_at < $1 AND retired_at = 0 AND cloned_at = 0`),
	Facts:   db.Q(`SELECT id, name, enrolled_at, facts_at FROM hosts WHERE facts_at < $1 AND enrolled_at < $1 AND retired_at = 0 AND cloned_at = 0`),
	Index:   db.Q(`SELECT id, name, enrolled_at, index_at FROM hosts WHERE index_at < $1 AND enrolled_at < $1 AND retired_at = 0 AND cloned_at = 0`),
	Files:   db.Q(`SELECT id, name, enrolled_at, scanned_at FROM hosts WHERE scanned_at < $1 AND enrolled_at < $1 AND retired_at = 0 AND cloned_at = 0`),
}

type row interface{ Scan(...any) error }

func scanHost(r row) (Host, error) {
	var h Host
	var certExpires, enrolled, cloned, seen, silent, facts, index, reboot, retired, spoke, scanned int64
	var trees, roots, addresses string
	err := r.Scan(&h.ID, &h.Name, &h.ReportedName, &h.Environment, &h.cert, &h.nextCert, &certExpires, &h.ReportKey, &h.SeenReportKey,
		&enrolled, &h.Counter, &cloned, &seen, &silent, &facts, &h.PackageSet, &h.Inventory, &trees, &h.Distribution, &h.Release, &h.Arch,
		&h.KernelRunning, &h.KernelVersion, &reboot, &index, &h.Log.Size, &h.Log.Root, &h.TrustRootVersion, &h.AgentVersion, &h.Alarm,
		&retired, &spoke, &scanned, &h.Origins, &roots, &h.Serial, &addresses, &h.Cost.MemoryKiB, &h.Cost.CPUMillis, &h.Cost.Seconds)
	if err != nil {
		return Host{}, err
	}
	h.CertExpiresAt, h.EnrolledAt, h.ClonedAt, h.LastSeen = db.Time(certExpires), db.Time(enrolled), db.Time(cloned), db.Time(seen)
	h.SilentAt, h.FactsAt, h.IndexAt, h.RebootRequired = db.Time(silent), db.Time(facts), db.Time(index), reboot != 0
	h.RetiredAt, h.SpokeAt, h.ScannedAt = db.Time(retired), db.Time(spoke), db.Time(scanned)
	if addresses != "" {
		h.Addresses = strings.Split(addresses, "\n")
	}
	if err := json.Unmarshal([]byte(trees), &h.Trees); err != nil {
		return Host{}, fmt.Errorf("host %s: column trees: %w", h.ID, err)
	}
	if h.Roots, err = readRoots(roots); err != nil {
		return Host{}, fmt.Errorf("host %s: %w", h.ID, err)
	}
	return h, nil
}

// readRoots reads the column roots; no roots are nil.
func readRoots(column string) (roots map[string]HostRoot, err error) {
	if column == "" {
		return nil, nil
	}
	if err := json.Unmarshal([]byte(column), &roots); err != nil {
		return nil, fmt.Errorf("column roots: %w", err)
	}
	return roots, nil
}

func saveHost(ctx context.Context, tx *db.Tx, h Host) error {
	trees, err := json.Marshal(h.Trees)
	if err != nil {
		return err
	}
	roots := ""
	if len(h.Roots) > 0 {
		b, err := json.Marshal(h.Roots)
		if err != nil {
			return err
		}
		roots = string(b)
	}
	reboot := 0
	if h.RebootRequired {
		reboot = 1
	}
	_, err = tx.Exec(ctx, hostPut, h.ID, h.Name, h.ReportedName, h.Environment, h.cert, h.nextCert, db.Micros(h.CertExpiresAt), h.ReportKey, h.SeenReportKey,
		db.Micros(h.EnrolledAt), h.Counter, db.Micros(h.ClonedAt), db.Micros(h.LastSeen), db.Micros(h.SilentAt), db.Micros(h.FactsAt), h.PackageSet,
		h.Inventory, string(trees), h.Distribution, h.Release, h.Arch, h.KernelRunning, h.KernelVersion, reboot, db.Micros(h.IndexAt),
		h.Log.Size, h.Log.Root, h.TrustRootVersion, h.AgentVersion, h.Alarm, db.Micros(h.RetiredAt),
		db.Micros(h.SpokeAt), db.Micros(h.ScannedAt), h.Origins, roots, h.Serial, strings.Join(h.Addresses, "\n"),
		h.Cost.MemoryKiB, h.Cost.CPUMillis, h.Cost.Seconds)
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

// loadThese gives hosts by ID, in the order of the IDs.
func loadThese(ctx context.Context, tx *db.Tx, ids []string) ([]Host, error) {
	const most = 25 // placeholders of the statement
	byID := make(map[string]Host, len(ids))
	for some := range slices.Chunk(ids, most) {
		args := make([]any, most)
		for i := range args {
			args[i] = some[min(i, len(some)-1)]
		}
		rows, err := tx.Query(ctx, hostsThese, args...)
		hosts, err := db.Collect(rows, err, func(r *sql.Rows) (Host, error) { return scanHost(r) })
		if err != nil {
			return nil, err
		}
		for _, h := range hosts {
			byID[h.ID] = h
		}
	}
	hosts := make([]Host, 0, len(ids))
	for _, id := range ids {
		if h, ok := byID[id]; ok {
			hosts = append(hosts, h)
		}
	}
	return hosts, nil
}

// saveHeartbeat reports false where the host has that counter or a later one, was enrolled anew or counts as cloned.
func saveHeartbeat(ctx context.Context, tx *db.Tx, host string, b heartbeat) (bool, error) {
	n, err := tx.Exec(ctx, beatPut, host, b.counter, db.Micros(b.at), db.Micros(b.factsAt), b.log.Size, b.log.Root, db.Micros(b.enrolled), db.Micros(b.scannedAt),
		b.cost.MemoryKiB, b.cost.CPUMillis, b.cost.Seconds)
	return n == 1, err
}

func lastChange(ctx context.Context, tx *db.Tx) (n int64, err error) {
	err = tx.QueryRow(ctx, changeLast).Scan(&n)
	return n, err
}

// loadChanged gives the hosts that changed after a change number.
func loadChanged(ctx context.Context, tx *db.Tx, since int64) ([]string, error) {
	rows, err := tx.Query(ctx, changedIDs, since)
	return db.Collect(rows, err, func(r *sql.Rows) (id string, err error) {
		err = r.Scan(&id)
		return id, err
	})
}

func loadSets(ctx context.Context, tx *db.Tx, since int64) ([]HostSet, error) {
	rows, err := tx.Query(ctx, changedSets, since)
	hosts, err := db.Collect(rows, err, func(r *sql.Rows) (all []HostSet, err error) {
		var s HostSet
		var column string
		if err := r.Scan(&s.HostID, &s.Release, &s.Environment, &s.SetDigest, &s.KernelRunning, &s.KernelVersion, &column, &s.Origins); err != nil {
			return nil, err
		}
		all = append(all, s)
		roots, err := readRoots(column)
		for _, path := range slices.Sorted(maps.Keys(roots)) {
			root := roots[path]
			all = append(all, HostSet{HostID: s.HostID, Root: path, Release: root.Release, Environment: s.Environment, SetDigest: root.PackageSet, Origins: root.Origins})
		}
		return all, err
	})
	return slices.Concat(hosts...), err
}

// loadEntries gives what the directory holds of the hosts changed after since.
func loadEntries(ctx context.Context, tx *db.Tx, since int64) ([]entry, error) {
	rows, err := tx.Query(ctx, changedAll, since)
	return db.Collect(rows, err, func(r *sql.Rows) (entry, error) {
		var h Host
		var cloned, silent, reboot, retired int64
		var addresses string
		err := r.Scan(&h.ID, &h.Name, &h.ReportedName, &h.Environment, &h.Release, &h.ReportKey, &h.SeenReportKey, &cloned, &silent,
			&h.Alarm, &reboot, &retired, &h.Distribution, &h.Arch, &h.KernelRunning, &h.Serial, &addresses)
		h.ClonedAt, h.SilentAt, h.RebootRequired, h.RetiredAt = db.Time(cloned), db.Time(silent), reboot != 0, db.Time(retired)
		return entry{id: h.ID, name: h.Name, reportedName: h.ReportedName, distribution: h.Distribution, arch: h.Arch, kernel: h.KernelRunning,
			serial: h.Serial, addresses: addresses, text: strings.ToLower(h.Name + " " + h.ReportedName + " " + h.ID),
			cell: cell{ByEnvironment: h.Environment, ByRelease: h.Release, ByState: string(h.State())}}, err
	})
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

func countCoverage(ctx context.Context, tx *db.Tx, now time.Time) (c Coverage, err error) {
	const day = 24 * time.Hour
	err = tx.QueryRow(ctx, coverage, db.Micros(now.Add(-day)), db.Micros(now.Add(-7*day))).Scan(&c.Hosts, &c.Silent, &c.Reported, &c.FreshDay, &c.FreshWeek)
	return c, err
}

// lastTold gives the day on which something daily was last told, "" before the first.
func lastTold(ctx context.Context, tx *db.Tx, what string) (day string, err error) {
	err = tx.QueryRow(ctx, toldGet, what).Scan(&day)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return day, err
}

// tell notes that something daily is told, and reports whether it is the first time today.
func tell(ctx context.Context, tx *db.Tx, what, day string) (first bool, err error) {
	n, err := tx.Exec(ctx, toldPut, what, day)
	return n == 1, err
}

func saveFileState(ctx context.Context, tx *db.Tx, host string, s FileState) error {
	if _, err := tx.Exec(ctx, statePut, host, s.Tree, s.Digest, db.Micros(s.FirstAt)); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, stateTrim, host, s.Tree, MostFileStates)
	return err
}

func loadFileStates(ctx context.Context, tx *db.Tx, host string) ([]FileState, error) {
	rows, err := tx.Query(ctx, stateGet, host)
	return db.Collect(rows, err, func(r *sql.Rows) (s FileState, err error) {
		var first int64
		err = r.Scan(&s.Tree, &s.Digest, &first)
		s.FirstAt = db.Time(first)
		return s, err
	})
}

func loadSpoke(ctx context.Context, tx *db.Tx, after time.Time) ([]Host, error) {
	rows, err := tx.Query(ctx, hostsSpoke, db.Micros(after))
	return db.Collect(rows, err, func(r *sql.Rows) (Host, error) { return scanHost(r) })
}

func loadLate(ctx context.Context, tx *db.Tx, c Clock, before time.Time) ([]Heard, error) {
	rows, err := tx.Query(ctx, late[c], db.Micros(before))
	return db.Collect(rows, err, func(r *sql.Rows) (h Heard, err error) {
		var enrolled, at int64
		err = r.Scan(&h.Host, &h.Name, &enrolled, &at)
		h.At = db.Time(max(enrolled, at))
		return h, err
	})
}
