package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/scans"
)

func newScanReportCommand() *cobra.Command {
	return noun("scan-report", "Reports of vulnerability scanners: import, list, compare with our own verdicts",
		newScanReportImport(), newScanReportList(), newScanReportShow(), newScanReportCompare())
}

func newScanReportImport() *cobra.Command {
	var format, host string
	c := verb("import FILE...", "Import reports: Nessus, OpenVAS, Trivy, Grype, CycloneDX, SPDX, Qualys, Wazuh, Clair, penetration tests", cobra.MinimumNArgs(1),
		func(ctx context.Context, c *client, args []string) (all []v1.ImportedReport, err error) {
			show := newProgress(os.Stderr, "importing", len(args))
			defer show.end()
			for _, file := range args {
				r, err := importReport(ctx, c, file, format, host)
				if err != nil {
					return all, fmt.Errorf("%s (%d of %d are imported): %w", file, len(all), len(args), err)
				}
				all = append(all, r)
				show.step()
			}
			return all, nil
		}, func(w io.Writer, all []v1.ImportedReport) {
			for _, r := range all {
				if r.Unchanged {
					say(w, "%s: the same bytes as before", r.ID)
				}
				showReport(w, r.Report)
			}
		})
	c.Flags().StringVar(&format, "scanner", "", "format of the files; without it, told by their content")
	c.Flags().StringVar(&host, "host", "", "host that the files are about, where they name none")
	return c
}

func importReport(ctx context.Context, c *client, file, format, host string) (r v1.ImportedReport, err error) {
	f, err := os.Open(file)
	if err != nil {
		return r, fault.New(fault.Invalid, "%w", err)
	}
	defer f.Close()
	q := url.Values{"from": {"file:" + filepath.Base(file)}}
	if format != "" {
		q.Set("format", format)
	}
	if host != "" {
		q.Set("host", host)
	}
	return r, c.do(ctx, http.MethodPost, "/scan-reports?"+q.Encode(), f, func(body io.Reader) error {
		return json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&r)
	})
}

func showReport(w io.Writer, r scans.Report) {
	t := newTable("REPORT", "SCANNER", "TAKEN", "FROM")
	t.add(r.ID, r.Scanner+" "+r.Version, r.TakenAt, r.From)
	t.print(w)
	say(w, "%d records: %d accepted", r.Records, r.Accepted)
	for _, why := range sortedKeys(r.Refused) {
		t := newTable("SET ASIDE", "WHY")
		t.add(r.Refused[why], why)
		t.print(w)
	}
	say(w, "%d findings are %d distinct vulnerabilities, on %d hosts; %d hosts are not in the inventory", r.Findings, r.Vulnerabilities, r.Hosts, r.UnknownHosts)
}

func sortedKeys[K ~string](m map[K]int) []K {
	keys := make([]K, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func newScanReportList() *cobra.Command {
	return verb("list", "The newest reports, and scanners that fell silent", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (all v1.ScanReports, err error) {
			return all, c.get(ctx, "/scan-reports", &all)
		}, func(w io.Writer, all v1.ScanReports) {
			t := newTable("REPORT", "SCANNER", "TAKEN", "IMPORTED", "FINDINGS", "VULNERABILITIES", "HOSTS", "UNKNOWN")
			for _, r := range all.Reports {
				t.add(r.ID, r.Scanner, r.TakenAt, r.ImportedAt, r.Findings, r.Vulnerabilities, r.Hosts, r.UnknownHosts)
			}
			t.print(w)
			t = newTable("SCANNER", "HEARD", "DUE", "ALARM")
			for _, s := range all.Scanners {
				alarm := ""
				if !s.SilentAt.IsZero() {
					alarm = "silent"
				}
				t.add(s.Scanner, s.HeardAt, s.DueAt, alarm)
			}
			t.print(w)
		})
}

func newScanReportShow() *cobra.Command {
	return verb("show REPORT", "One report and the hosts in it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (r v1.ScanReport, err error) {
			return r, c.get(ctx, "/scan-reports/"+segment(args[0]), &r)
		}, func(w io.Writer, r v1.ScanReport) {
			showReport(w, r.Report)
			t := newTable("SCANNED", "OUR HOST", "LOGIN", "TAKEN", "FINDINGS", "SUPERSEDED BY")
			for _, h := range r.Scanned {
				ours, login := h.Host, "no"
				if ours == "" {
					ours = "not in the inventory"
				}
				if h.Credentialed {
					login = "yes"
				}
				t.add(h.Name, ours, login, h.TakenAt, h.Findings, h.SupersededBy)
			}
			t.print(w)
		})
}

func newScanReportCompare() *cobra.Command {
	var relation, class, host string
	c := verb("compare REPORT", "A report beside our own verdicts, with the reason for each difference", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (result scans.Comparison, err error) {
			q := url.Values{}
			for name, value := range map[string]string{"relation": relation, "class": class, "host": host} {
				if value != "" {
					q.Set(name, value)
				}
			}
			return result, c.get(ctx, "/scan-reports/"+segment(args[0])+"/comparison?"+q.Encode(), &result)
		}, func(w io.Writer, c scans.Comparison) {
			t := newTable("HOST", "VULNERABILITY", "SCANNER SAYS", "WE SAY", "RELATION", "REASON")
			for _, x := range c.Rows {
				theirs := string(x.Claim)
				if x.Banner {
					theirs += " (banner)"
				}
				t.add(x.On.Name, x.ID+"/"+x.Source, theirs, x.Ours.Status, x.Relation, x.Reason)
			}
			t.print(w)
			t = newTable("COUNT", "RELATION")
			for _, r := range sortedKeys(c.Relations) {
				t.add(c.Relations[r], r)
			}
			t.print(w)
			t = newTable("COUNT", "REASON")
			for _, k := range sortedKeys(c.Classes) {
				t.add(c.Classes[k], k)
			}
			t.print(w)
			say(w, "%d findings are %d distinct vulnerabilities", c.Findings, c.Vulnerabilities)
		})
	c.Flags().StringVar(&relation, "relation", "", "only agree, only-theirs, only-ours, contradiction or unknown-host")
	c.Flags().StringVar(&class, "class", "", "only with this kind of reason")
	c.Flags().StringVar(&host, "host", "", "only on this host: our ID, or the scanner's name for it")
	return c
}
