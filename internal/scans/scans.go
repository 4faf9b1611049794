// Package scans keeps what vulnerability scanners report and holds it against our own verdicts: each record folds onto a
// distinct vulnerability, and every difference has a reason. A report never closes anything: only an observed package set does.
package scans

import (
	"context"
	"io"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// MaxAge is how long a scanner may be silent. Source: R-202; the scans that NCSSR 2.0.5 section 4 and EN 319 401 ask for
// come at least every three months, ours are expected monthly.
const MaxAge = 35 * 24 * time.Hour

// MaxPenTestAge is how long it may be without a new report of a penetration test. Source: NCSSR 2.0.5 section 4, which asks for
// one a year.
const MaxPenTestAge = 366 * 24 * time.Hour

func maxAge(name string) time.Duration {
	if name == scanner.PenTestFormat {
		return MaxPenTestAge
	}
	return MaxAge
}

// Unknown is the source package of a finding whose report names no package.
const Unknown = "unknown"

// Ledger is the log that every change of state is written to.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Estate tells which hosts there are and what is installed there.
type Estate interface {
	Known(ctx context.Context) (map[string][]string, error)
	Host(ctx context.Context, id string) (estate.Host, error)
	PackageSet(ctx context.Context, digest string) (pkgset.Set, error)
}

// Triage tells our own verdicts.
type Triage interface {
	Answers(ctx context.Context, host string, asked []verdict.Asked) ([]verdict.Answer, bool, error)
	Findings(ctx context.Context, host string) ([]verdict.Finding, error)
}

// Intake tells what is stated, by which packages of hosts that we do not know fold onto source packages.
type Intake interface {
	Knowledge(ctx context.Context) (*intake.Knowledge, error)
}

// Config of a Scans.
type Config struct {
	DB     *db.DB
	Ledger Ledger
	Blobs  blob.Store
	Estate Estate
	Triage Triage
	Intake Intake
	Now    func() time.Time
}

// Scans is the reports of scanners.
type Scans struct{ Config }

// New makes a Scans.
func New(c Config) *Scans { return &Scans{c} }

// Report is one imported report. Records = Accepted + the sum of Refused; the accepted ones fold onto Findings, a
// vulnerability on a host each, of Vulnerabilities distinct ones.
type Report struct {
	ID              string         `json:"id"`
	Digest          string         `json:"digest"`          // of its bytes, which are a fact
	About           string         `json:"about,omitempty"` // the host that the importer said it is about
	Format          string         `json:"format"`
	Scanner         string         `json:"scanner"`
	Version         string         `json:"version,omitempty"`
	From            string         `json:"from"`
	Bytes           int64          `json:"bytes"`
	ImportedBy      string         `json:"imported_by"`
	ImportedAt      time.Time      `json:"imported_at"`
	TakenAt         time.Time      `json:"taken_at,omitzero"` // when the scan ended, as the report says
	Records         int            `json:"records"`
	Accepted        int            `json:"accepted"`
	Refused         map[string]int `json:"refused"` // by reason
	Findings        int            `json:"findings"`
	Vulnerabilities int            `json:"vulnerabilities"`
	Hosts           int            `json:"hosts"`
	UnknownHosts    int            `json:"unknown_hosts"` // of those, not in the inventory
}

// ScannedHost is a host in a report.
type ScannedHost struct {
	Report       string    `json:"report"`
	N            int       `json:"n"`
	Name         string    `json:"name"`  // as the scanner names it
	Names        []string  `json:"names"` // what else it says: host names, addresses, MACs
	Scanner      string    `json:"scanner"`
	Credentialed bool      `json:"credentialed"`
	TakenAt      time.Time `json:"taken_at"`
	Host         string    `json:"host,omitempty"`        // our ID; empty: not in the inventory
	PackageSet   string    `json:"package_set,omitempty"` // what we knew of the host when the report was imported
	Findings     int       `json:"findings"`
	SupersededBy string    `json:"superseded_by,omitempty"` // a newer report; the findings are now in the bytes alone
}

// Finding is what a report says about one vulnerability on one host.
type Finding struct {
	N        int           `json:"n"`      // of the host in the report
	ID       string        `json:"id"`     // CVE, else advisory, else the scanner's check
	Source   string        `json:"source"` // source package, or Unknown
	Banner   bool          `json:"banner"` // concluded from what a service says of itself
	Claim    scanner.Claim `json:"claim"`
	Package  string        `json:"package,omitempty"` // as the scanner names it
	Version  string        `json:"version,omitempty"`
	Fixed    string        `json:"fixed_version,omitempty"` // as the scanner claims
	Severity string        `json:"severity,omitempty"`      // the scanner's word
	Vector   string        `json:"vector,omitempty"`        // CVSS
	Plugin   string        `json:"plugin"`
	Title    string        `json:"title,omitempty"`
	Records  int           `json:"records"` // so many records say it
}

// Clock is a scanner and when its next report is due.
type Clock struct {
	Scanner  string    `json:"scanner"`
	HeardAt  time.Time `json:"heard_at"`
	DueAt    time.Time `json:"due_at"`
	SilentAt time.Time `json:"silent_at,omitzero"` // alarm: no report within the term
}

// Sweep raises the alarm scanner.silent, once, for a scanner without a new report within its term. Nothing it said is forgotten.
func (s *Scans) Sweep(ctx context.Context) error {
	now := s.Now()
	return s.DB.Write(ctx, func(tx *db.Tx) error {
		clocks, err := loadClocks(ctx, tx)
		if err != nil {
			return err
		}
		for _, c := range clocks {
			if now.Before(c.DueAt) || !c.SilentAt.IsZero() {
				continue
			}
			c.SilentAt = now
			if err := saveClock(ctx, tx, c); err != nil {
				return err
			}
			if err := s.act(ctx, tx, "", "scanner.silent", "scanner/"+c.Scanner, nil, silence{c.HeardAt}); err != nil {
				return err
			}
		}
		return nil
	})
}

// silence is the detail of scanner.silent.
type silence struct {
	LastHeard time.Time `json:"last_heard"`
}

// Clocks gives the scanners, by name.
func (s *Scans) Clocks(ctx context.Context) (clocks []Clock, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		clocks, err = loadClocks(ctx, tx)
		return err
	})
	return clocks, err
}

// Reports gives the reports, newest first, at most limit, those imported before the report with the ID before; from the newest
// where it is empty.
func (s *Scans) Reports(ctx context.Context, before string, limit int) (all []Report, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadReports(ctx, tx, before, limit)
		return err
	})
	return all, err
}

// Report gives one report with its hosts, or fault.NotFound.
func (s *Scans) Report(ctx context.Context, id string) (r Report, hosts []ScannedHost, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		if r, err = loadReport(ctx, tx, id); err != nil {
			return err
		}
		hosts, err = loadHosts(ctx, tx, id)
		return err
	})
	return r, hosts, err
}

// PenTests gives the reports of penetration tests, newest first.
func (s *Scans) PenTests(ctx context.Context) (all []Report, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadPenTests(ctx, tx)
		return err
	})
	return all, err
}

// Bytes opens a report as it was imported.
func (s *Scans) Bytes(ctx context.Context, id string) (io.ReadCloser, error) {
	r, _, err := s.Report(ctx, id)
	if err != nil {
		return nil, err
	}
	return s.Blobs.Open(ctx, r.Digest)
}

// OnHost gives the newest report of each scanner about one of our hosts, by scanner.
func (s *Scans) OnHost(ctx context.Context, host string) (hosts []ScannedHost, err error) {
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		hosts, err = loadHostsOf(ctx, tx, host)
		return err
	})
	return hosts, err
}
