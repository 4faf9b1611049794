package scans

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Delivery says what is known of a report beside its bytes.
type Delivery struct {
	From   string // where the bytes came from, for people
	Format string // one of scanner.Formats; empty: told by the content
	About  string // the host it is about, where it names none
}

// imported is the detail of the act report.imported.
type imported struct {
	Scanner         string         `json:"scanner"`
	From            string         `json:"from"`
	About           string         `json:"about,omitempty"`
	Bytes           int64          `json:"bytes"`
	TakenAt         time.Time      `json:"taken_at,omitzero"`
	Records         int            `json:"records"`
	Accepted        int            `json:"accepted"`
	Refused         map[string]int `json:"refused,omitempty"`
	Findings        int            `json:"findings"`
	Vulnerabilities int            `json:"vulnerabilities"`
	Hosts           int            `json:"hosts"`
	UnknownHosts    int            `json:"unknown_hosts"`
}

// refusal is the detail of the act report.refused.
type refusal struct {
	From   string `json:"from"`
	Bytes  int64  `json:"bytes"`
	Reason string `json:"reason"`
}

// Import takes a report's bytes from r, for a person. They become a fact before they are read. What is no report, or is
// damaged, is fault.Invalid and the act report.refused. The same bytes again give the report they are, and change nothing.
func (s *Scans) Import(ctx context.Context, who string, r io.Reader, d Delivery) (report Report, unchanged bool, err error) {
	d.From, d.About = intake.Clip(d.From, 500), intake.Clip(strings.ToLower(strings.TrimSpace(d.About)), 500)
	head := bufio.NewReaderSize(r, scanner.Head)
	most := int64(scanner.MaxBytes + 1)
	var unknown error
	if d.Format == "" {
		if d.Format, unknown = scanner.Detect(head); unknown != nil {
			most = int64(head.Buffered()) // enough to show what came
		}
	}
	digest, size, err := s.Blobs.Put(ctx, io.LimitReader(head, most))
	if err != nil {
		return Report{}, false, fmt.Errorf("receive report: %w", err)
	}
	if unknown != nil {
		return Report{}, false, s.refuse(ctx, who, d, digest, size, unknown)
	}
	err = s.DB.Read(ctx, func(tx *db.Tx) error {
		report, unchanged, err = loadReportOf(ctx, tx, digest, d.About)
		return err
	})
	if err != nil || unchanged {
		return report, unchanged, err
	}
	report = Report{Digest: digest, About: d.About, From: d.From, Bytes: size, ImportedBy: who}
	f, err := s.read(ctx, d, &report)
	if err != nil {
		return Report{}, false, s.refuse(ctx, who, d, digest, size, err)
	}
	report, err = s.receive(ctx, who, report, f)
	return report, false, err
}

// refuse records that a report cannot be used, and gives the reason back.
func (s *Scans) refuse(ctx context.Context, who string, d Delivery, digest string, size int64, why error) error {
	if fault.KindOf(why) == fault.Invalid {
		err := s.DB.Write(ctx, func(tx *db.Tx) error {
			return s.act(ctx, tx, who, "report.refused", "scan-report/"+digest, []string{digest}, refusal{d.From, size, intake.Clip(why.Error(), 500)})
		})
		if err != nil {
			return err
		}
	}
	return fmt.Errorf("import report: %w", why)
}

// read parses the report's bytes.
func (s *Scans) read(ctx context.Context, d Delivery, report *Report) (*fold, error) {
	if report.Bytes > scanner.MaxBytes {
		return nil, fault.New(fault.Invalid, "larger than %d bytes, which is the most a report may have", int64(scanner.MaxBytes))
	}
	bytes, err := s.Blobs.Open(ctx, report.Digest)
	if err != nil {
		return nil, err
	}
	defer bytes.Close()
	f := newFold()
	said, err := scanner.Read(bytes, d.Format, d.About, f)
	if err != nil {
		return nil, err
	}
	if said.Accepted == 0 && len(f.hosts) == 0 {
		why := "the report says nothing about any host"
		if said.Read > 0 {
			why = fmt.Sprintf("none of its %d records can be used: %s; a report that names no host needs one to be given", said.Read, reasons(said.Refused))
		}
		return nil, fault.New(fault.Invalid, "%s", why)
	}
	report.Format, report.Scanner, report.Version, report.TakenAt = said.Format, said.Scanner, said.Version, said.TakenAt
	report.Records, report.Accepted, report.Refused = said.Read, said.Accepted, said.Refused
	return f, nil
}

func reasons(refused map[string]int) string {
	var all []string
	for why, n := range refused {
		all = append(all, fmt.Sprintf("%d: %s", n, why))
	}
	slices.Sort(all)
	return strings.Join(all, ", ")
}

// receive puts a report that was read in the place of older ones.
func (s *Scans) receive(ctx context.Context, who string, report Report, f *fold) (Report, error) {
	now := s.Now()
	report.ID, report.ImportedAt, report.Hosts = id.New("scn", now), now, len(f.hosts)
	if report.TakenAt.After(now) {
		report.TakenAt = now // a scanner's clock that runs ahead must not outlast the reports that follow
	}
	hosts, findings, err := s.place(ctx, report, f)
	if err != nil {
		return Report{}, err
	}
	distinct := map[[2]string]bool{}
	report.Findings = len(findings)
	for _, x := range findings {
		distinct[[2]string{x.ID, x.Source}] = true
		hosts[x.N].Findings++
	}
	report.Vulnerabilities = len(distinct)
	for _, h := range hosts {
		if h.Host == "" {
			report.UnknownHosts++
		}
	}
	again := report
	err = s.DB.Write(ctx, func(tx *db.Tx) error {
		report = again
		if known, there, err := loadReportOf(ctx, tx, report.Digest, report.About); err != nil || there {
			report = known // imported twice at once
			return err
		}
		if err := saveReport(ctx, tx, report); err != nil {
			return err
		}
		if err := supersede(ctx, tx, hosts); err != nil {
			return err
		}
		if err := saveFindings(ctx, tx, report.ID, hosts, findings); err != nil {
			return err
		}
		if err := saveClock(ctx, tx, Clock{Scanner: report.Scanner, HeardAt: now, DueAt: now.Add(maxAge(report.Scanner))}); err != nil {
			return err
		}
		return s.act(ctx, tx, who, "report.imported", "scan-report/"+report.ID, []string{report.Digest}, imported{report.Scanner, report.From, report.About,
			report.Bytes, report.TakenAt, report.Records, report.Accepted, report.Refused, report.Findings, report.Vulnerabilities, report.Hosts, report.UnknownHosts})
	})
	return report, err
}

// place finds the report's hosts among ours, and folds its records onto source packages.
func (s *Scans) place(ctx context.Context, report Report, f *fold) ([]ScannedHost, []Finding, error) {
	known, err := s.Estate.Known(ctx)
	if err != nil {
		return nil, nil, err
	}
	statements, err := s.Intake.Knowledge(ctx)
	if err != nil {
		return nil, nil, err
	}
	ours := newDirectory(known)
	hosts := make([]ScannedHost, len(f.hosts))
	maps := make([]map[string]string, len(f.hosts))
	bySet := map[string]map[string]string{}
	for i, h := range f.hosts {
		if h.TakenAt.After(report.ImportedAt) {
			h.TakenAt = report.ImportedAt
		}
		hosts[i] = ScannedHost{Report: report.ID, N: i, Name: h.Name, Names: names(h), Scanner: report.Scanner, Credentialed: h.Credentialed,
			TakenAt: taken(h.TakenAt, report.TakenAt, report.ImportedAt), Host: ours.find(h)}
		if hosts[i].Host == "" {
			continue
		}
		host, err := s.Estate.Host(ctx, hosts[i].Host)
		if err != nil {
			return nil, nil, err
		}
		if hosts[i].PackageSet = host.PackageSet; host.PackageSet == "" {
			continue
		}
		if bySet[host.PackageSet] == nil {
			var set pkgset.Set
			if set, err = s.Estate.PackageSet(ctx, host.PackageSet); err != nil {
				return nil, nil, err
			}
			bySet[host.PackageSet] = sources(set)
		}
		maps[i] = bySet[host.PackageSet]
	}
	return hosts, f.findings(func(host int, pkg string) string { return maps[host][pkg] }, stated(statements)), nil
}

// stated gives the source packages that our sources state a vulnerability about. The index is made when first asked for.
func stated(k *intake.Knowledge) func(id string) []string {
	var index map[string][]string
	return func(id string) []string {
		if index == nil {
			index = map[string][]string{}
			for _, s := range k.Statements {
				if !slices.Contains(index[s.ID], s.Package) {
					index[s.ID] = append(index[s.ID], s.Package)
				}
			}
		}
		return index[id]
	}
}

// supersede ends the word of older reports about the same hosts, and of hosts whose newer report is here already: one of the
// same scanner, and a scan without a login does not outdate one with.
func supersede(ctx context.Context, tx *db.Tx, hosts []ScannedHost) error {
	for i := range hosts {
		h := &hosts[i]
		others, err := loadSame(ctx, tx, *h)
		if err != nil {
			return err
		}
		for _, o := range others {
			switch {
			case o.Report == h.Report:
			case o.TakenAt.After(h.TakenAt):
				h.SupersededBy = o.Report
			default:
				if err := endHost(ctx, tx, o, h.Report); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Scans) act(ctx context.Context, tx *db.Tx, who, kind, subject string, facts []string, detail any) error {
	b, err := envelope.Encode(detail)
	if err != nil {
		return err
	}
	if who = "person/" + who; who == "person/" {
		who = "server"
	}
	_, err = s.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: s.Now(), Who: who, Facts: facts, Detail: json.RawMessage(b)})
	return err
}
