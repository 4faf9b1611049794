package api

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// scans: what scanners report, held against our own verdicts.
func (d *door) scans() {
	serve(d, operation{"import-scan-report", http.MethodPost, "/scan-reports", "Import a scanner's report", staff.ImportAdvisories}, d.importReport)
	serve(d, operation{"scan-reports", http.MethodGet, "/scan-reports", "The imported reports, newest first", staff.Read}, d.scanReports)
	serve(d, operation{"scan-report", http.MethodGet, "/scan-reports/{id}", "One report with the hosts in it", staff.Read}, d.scanReport)
	serve(d, operation{"compare-scan-report", http.MethodGet, "/scan-reports/{id}/comparison", "A report beside our own verdicts of now", staff.Read},
		d.compareReport)
	serve(d, operation{"vulnerability-scans", http.MethodGet, "/vulnerabilities/{cve}/{source}/scans", "What scanners say about a vulnerability",
		staff.Read}, d.scannersSay)
	serve(d, operation{"host-scans", http.MethodGet, "/hosts/{id}/scans", "The newest reports about a host", staff.Read}, d.hostScans)
}

// reportContent is a report of any format, read as it comes.
type reportContent struct {
	From   string `query:"from" maxLength:"1000" doc:"where the bytes came from, for people"`
	Format string `query:"format" enum:"clair,cyclonedx,grype,nessus,openvas,pentest,qualys,spdx,trivy,wazuh" doc:"without it, told by the content"`
	Host   string `query:"host" maxLength:"255" doc:"the host that the report is about, where it names none"`
	Upload
}

var _ huma.Resolver = (*reportContent)(nil)

func (d *door) importReport(ctx context.Context, s staff.Session, in *reportContent) (v1.ImportedReport, error) {
	r, unchanged, err := d.Scans.Import(ctx, s.Person.ID, in.body, scans.Delivery{From: in.From, Format: in.Format, About: in.Host})
	return v1.ImportedReport{Report: r, Unchanged: unchanged}, err
}

// reportPage is a part of the list of reports.
type reportPage struct {
	Limit  int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
	Before string `query:"before" maxLength:"64" doc:"go on with those imported before the report with this ID"`
}

func (d *door) scanReports(ctx context.Context, _ staff.Session, in *reportPage) (v1.ScanReports, error) {
	clocks, err := d.Scans.Clocks(ctx)
	if err != nil {
		return v1.ScanReports{}, err
	}
	reports, err := d.Scans.Reports(ctx, in.Before, in.Limit)
	return v1.ScanReports{Scanners: list(clocks), Reports: list(reports)}, err
}

func (d *door) scanReport(ctx context.Context, _ staff.Session, in *Named) (v1.ScanReport, error) {
	r, hosts, err := d.Scans.Report(ctx, in.ID)
	return v1.ScanReport{Report: r, Scanned: list(hosts)}, err
}

type comparison struct {
	Named
	Page
	Relation string `query:"relation" enum:"agree,only-theirs,only-ours,contradiction,unknown-host" doc:"only these"`
	Class    string `query:"class" maxLength:"64" doc:"only with this kind of reason"`
	Host     string `query:"host" maxLength:"255" doc:"only on this host: our ID, or the scanner's name"`
	Banner   string `query:"banner" enum:"yes,no" doc:"only what was concluded from a banner, or only what was not"`
	Text     string `query:"q" maxLength:"200" doc:"a part of the vulnerability, the source package or the package"`
}

func (d *door) compareReport(ctx context.Context, _ staff.Session, in *comparison) (scans.Comparison, error) {
	c, err := d.Scans.Compare(ctx, in.ID, scans.Filter{Relation: scans.Relation(in.Relation), Class: scans.Class(in.Class), Host: in.Host, Banner: in.Banner,
		Text: in.Text})
	if err == nil {
		c.Rows, err = pageOf(c.Rows, in.Page, func(s scans.Said) string {
			return fmt.Sprintf("%d/%s/%s/%s/%t", s.N, s.ID, s.Source, s.Claim, s.Banner)
		})
	}
	return c, err
}

type saidAbout struct {
	CVE    string `path:"cve" maxLength:"100"`
	Source string `path:"source" maxLength:"200"`
}

func (d *door) scannersSay(ctx context.Context, _ staff.Session, in *saidAbout) (v1.ScannersSay, error) {
	counts, said, err := d.Scans.About(ctx, in.CVE+"/"+in.Source, scans.MaxAbout)
	return v1.ScannersSay{Counts: list(counts), Findings: list(said)}, err
}

func (d *door) hostScans(ctx context.Context, _ staff.Session, in *Named) (v1.HostScans, error) {
	hosts, err := d.Scans.OnHost(ctx, in.ID)
	return v1.HostScans{Scans: list(hosts)}, err
}
