package scans

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

const (
	reportColumns = `id, digest, about, format, scanner, version, origin, bytes, imported_by, imported_at, taken_at, records, accepted,
 refused, findings, vulnerabilities, hosts, unknown_hosts`
	hostColumns    = `report, n, name, names, scanner, credentialed, taken_at, host, package_set, findings, superseded_by`
	findingColumns = `n, id, source, banner, claim, package, version, fixed, severity, vector, plugin, title, records`
)

var (
	qReport     = db.Q(`SELECT ` + reportColumns + ` FROM scan_reports WHERE id = $1`)
	qReportOf   = db.Q(`SELECT ` + reportColumns + ` FROM scan_reports WHERE digest = $1 AND about = $2`)
	qReports    = db.Q(`SELECT ` + reportColumns + ` FROM scan_reports WHERE $1 = '' OR id < $1 ORDER BY id DESC LIMIT $2`)
	qPenTests   = db.Q(`SELECT ` + reportColumns + ` FROM scan_reports WHERE format = 'pentest' ORDER BY id DESC`)
	qSaveReport = db.Q(`INSERT INTO scan_reports (` + reportColumns + `)
 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18)`)

	qHosts   = db.Q(`SELECT ` + hostColumns + ` FROM scan_hosts WHERE report = $1 ORDER BY n`)
	qHostsOf = db.Q(`SELECT ` + hostColumns + ` FROM scan_hosts WHERE host = $1 AND superseded_by = '' ORDER BY scanner, taken_at`)
	qSame    = db.Q(`SELECT ` + hostColumns + ` FROM scan_hosts WHERE superseded_by = '' AND scanner = $1 AND credentialed = $2
 AND (host = $3 AND host <> '' OR $3 = '' AND host = '' AND name = $4)`)
	qSaveHost = db.Q(`INSERT INTO scan_hosts (` + hostColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`)
	qEndHost  = db.Q(`UPDATE scan_hosts SET superseded_by = $3 WHERE report = $1 AND n = $2`)

	qFindings    = db.Q(`SELECT ` + findingColumns + ` FROM scan_findings WHERE report = $1 ORDER BY n, source, id, claim, banner`)
	qSaveFinding = db.Q(`INSERT INTO scan_findings (report, ` + findingColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)`)
	qEndFindings = db.Q(`DELETE FROM scan_findings WHERE report = $1 AND n = $2`)
	qAbout       = db.Q(`SELECT h.report, h.n, h.name, h.names, h.scanner, h.credentialed, h.taken_at, h.host, h.package_set, h.findings, h.superseded_by,
 f.n, f.id, f.source, f.banner, f.claim, f.package, f.version, f.fixed, f.severity, f.vector, f.plugin, f.title, f.records
 FROM scan_findings f JOIN scan_hosts h ON h.report = f.report AND h.n = f.n
 WHERE f.id = $1 AND f.source IN ($2, 'unknown') ORDER BY h.scanner, f.banner, h.name, h.report, f.source, f.claim LIMIT $3`)
	qAboutCounts = db.Q(`SELECT h.scanner, f.banner, f.claim, COUNT(*) FROM scan_findings f JOIN scan_hosts h ON h.report = f.report AND h.n = f.n
 WHERE f.id = $1 AND f.source IN ($2, 'unknown') GROUP BY h.scanner, f.banner, f.claim ORDER BY h.scanner, f.banner, f.claim`)

	qClocks    = db.Q(`SELECT name, heard_at, due_at, silent_at FROM scanners ORDER BY name`)
	qSaveClock = db.Q(`INSERT INTO scanners (name, heard_at, due_at, silent_at) VALUES ($1, $2, $3, $4)
 ON CONFLICT (name) DO UPDATE SET heard_at = excluded.heard_at, due_at = excluded.due_at, silent_at = excluded.silent_at`)
)

func flag(b bool) int {
	if b {
		return 1
	}
	return 0
}

func scanReport(scan func(...any) error) (r Report, err error) {
	var imported, taken int64
	var refused string
	if err := scan(&r.ID, &r.Digest, &r.About, &r.Format, &r.Scanner, &r.Version, &r.From, &r.Bytes, &r.ImportedBy, &imported, &taken, &r.Records,
		&r.Accepted, &refused, &r.Findings, &r.Vulnerabilities, &r.Hosts, &r.UnknownHosts); err != nil {
		return r, err
	}
	r.ImportedAt, r.TakenAt = db.Time(imported), db.Time(taken)
	return r, json.Unmarshal([]byte(refused), &r.Refused)
}

func loadReport(ctx context.Context, tx *db.Tx, id string) (Report, error) {
	r, err := scanReport(tx.QueryRow(ctx, qReport, id).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return r, fault.New(fault.NotFound, "there is no such scan report")
	}
	return r, err
}

// loadReportOf gives the report of some bytes about a host.
func loadReportOf(ctx context.Context, tx *db.Tx, digest, about string) (Report, bool, error) {
	r, err := scanReport(tx.QueryRow(ctx, qReportOf, digest, about).Scan)
	if errors.Is(err, sql.ErrNoRows) {
		return Report{}, false, nil
	}
	return r, err == nil, err
}

func loadReports(ctx context.Context, tx *db.Tx, before string, limit int) ([]Report, error) {
	rows, err := tx.Query(ctx, qReports, before, limit)
	return db.Collect(rows, err, func(rows *sql.Rows) (Report, error) { return scanReport(rows.Scan) })
}

func loadPenTests(ctx context.Context, tx *db.Tx) ([]Report, error) {
	rows, err := tx.Query(ctx, qPenTests)
	return db.Collect(rows, err, func(rows *sql.Rows) (Report, error) { return scanReport(rows.Scan) })
}

func saveReport(ctx context.Context, tx *db.Tx, r Report) error {
	refused, err := json.Marshal(r.Refused)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, qSaveReport, r.ID, r.Digest, r.About, r.Format, r.Scanner, r.Version, r.From, r.Bytes, r.ImportedBy, db.Micros(r.ImportedAt),
		db.Micros(r.TakenAt), r.Records, r.Accepted, string(refused), r.Findings, r.Vulnerabilities, r.Hosts, r.UnknownHosts)
	return err
}

// hostRow is a ScannedHost on its way out of a row.
type hostRow struct {
	ScannedHost
	names               string
	credentialed, taken int64
}

func (h *hostRow) places() []any {
	return []any{&h.Report, &h.N, &h.Name, &h.names, &h.Scanner, &h.credentialed, &h.taken, &h.Host, &h.PackageSet, &h.Findings, &h.SupersededBy}
}

func (h *hostRow) host() (ScannedHost, error) {
	h.Credentialed, h.TakenAt = h.credentialed != 0, db.Time(h.taken)
	err := json.Unmarshal([]byte(h.names), &h.Names)
	return h.ScannedHost, err
}

func collectHosts(rows *sql.Rows, err error) ([]ScannedHost, error) {
	return db.Collect(rows, err, func(rows *sql.Rows) (ScannedHost, error) {
		var h hostRow
		if err := rows.Scan(h.places()...); err != nil {
			return ScannedHost{}, err
		}
		return h.host()
	})
}

func loadHosts(ctx context.Context, tx *db.Tx, report string) ([]ScannedHost, error) {
	return collectHosts(tx.Query(ctx, qHosts, report))
}

func loadHostsOf(ctx context.Context, tx *db.Tx, host string) ([]ScannedHost, error) {
	return collectHosts(tx.Query(ctx, qHostsOf, host))
}

// loadSame gives what stands in force of the same scanner about the same host, with or without a login alike.
func loadSame(ctx context.Context, tx *db.Tx, h ScannedHost) ([]ScannedHost, error) {
	return collectHosts(tx.Query(ctx, qSame, h.Scanner, flag(h.Credentialed), h.Host, h.Name))
}

// endHost lets a newer report take the place of one about a host. Its findings stay in its bytes alone.
func endHost(ctx context.Context, tx *db.Tx, h ScannedHost, by string) error {
	if _, err := tx.Exec(ctx, qEndHost, h.Report, h.N, by); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, qEndFindings, h.Report, h.N)
	return err
}

// saveFindings writes a report's hosts, and the findings on those that no newer report is about.
func saveFindings(ctx context.Context, tx *db.Tx, report string, hosts []ScannedHost, findings []Finding) error {
	for _, h := range hosts {
		names, err := json.Marshal(h.Names)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, qSaveHost, report, h.N, h.Name, string(names), h.Scanner, flag(h.Credentialed), db.Micros(h.TakenAt), h.Host, h.PackageSet,
			h.Findings, h.SupersededBy); err != nil {
			return err
		}
	}
	for _, f := range findings {
		if hosts[f.N].SupersededBy != "" {
			continue
		}
		if _, err := tx.Exec(ctx, qSaveFinding, report, f.N, f.ID, f.Source, flag(f.Banner), f.Claim, f.Package, f.Version, f.Fixed, f.Severity, f.Vector,
			f.Plugin, f.Title, f.Records); err != nil {
			return err
		}
	}
	return nil
}

func (f *Finding) places(banner *int64) []any {
	return []any{&f.N, &f.ID, &f.Source, banner, &f.Claim, &f.Package, &f.Version, &f.Fixed, &f.Severity, &f.Vector, &f.Plugin, &f.Title, &f.Records}
}

// loadFindings gives what a report says in force, sorted by host, source and ID.
func loadFindings(ctx context.Context, tx *db.Tx, report string) ([]Finding, error) {
	rows, err := tx.Query(ctx, qFindings, report)
	return db.Collect(rows, err, func(rows *sql.Rows) (f Finding, err error) {
		var banner int64
		err = rows.Scan(f.places(&banner)...)
		f.Banner = banner != 0
		return f, err
	})
}

// loadAbout gives what scanners say about a vulnerability, at most limit findings.
func loadAbout(ctx context.Context, tx *db.Tx, id, source string, limit int) ([]Said, error) {
	rows, err := tx.Query(ctx, qAbout, id, source, limit)
	return db.Collect(rows, err, func(rows *sql.Rows) (s Said, err error) {
		var h hostRow
		var banner int64
		if err := rows.Scan(append(h.places(), s.Finding.places(&banner)...)...); err != nil {
			return s, err
		}
		s.Finding.Banner = banner != 0
		s.On, err = h.host()
		return s, err
	})
}

func loadAboutCounts(ctx context.Context, tx *db.Tx, id, source string) ([]SaidBy, error) {
	rows, err := tx.Query(ctx, qAboutCounts, id, source)
	return db.Collect(rows, err, func(rows *sql.Rows) (s SaidBy, err error) {
		var banner int64
		err = rows.Scan(&s.Scanner, &banner, &s.Claim, &s.Findings)
		s.Banner = banner != 0
		return s, err
	})
}

func loadClocks(ctx context.Context, tx *db.Tx) ([]Clock, error) {
	rows, err := tx.Query(ctx, qClocks)
	return db.Collect(rows, err, func(rows *sql.Rows) (c Clock, err error) {
		var heard, due, silent int64
		err = rows.Scan(&c.Scanner, &heard, &due, &silent)
		c.HeardAt, c.DueAt, c.SilentAt = db.Time(heard), db.Time(due), db.Time(silent)
		return c, err
	})
}

func saveClock(ctx context.Context, tx *db.Tx, c Clock) error {
	_, err := tx.Exec(ctx, qSaveClock, c.Scanner, db.Micros(c.HeardAt), db.Micros(c.DueAt), db.Micros(c.SilentAt))
	return err
}
