package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newReportCommand() *cobra.Command {
	return noun("report", "Numbers over time: exposure, time to remediate, emergencies, coverage",
		newReportExposure(), newReportRemediation(), newReportFixed(), newReportEmergencies(), newReportCoverage(), newReportScores())
}

// since adds the flag for the first day.
func since(c *cobra.Command, day *string) *cobra.Command {
	c.Flags().StringVar(day, "since", "1970-01-01", "the first day wanted, YYYY-MM-DD")
	return c
}

func newReportExposure() *cobra.Command {
	var day string
	return since(verb("exposure", "Findings and vulnerabilities, day by day", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (d v1.Days, err error) {
			return d, c.get(ctx, "/figures/days?since="+query(day), &d)
		}, func(w io.Writer, d v1.Days) {
			t := newTable("DAY", "FINDINGS", "VULNERABILITIES", "UNDECIDED", "EXPLOITED", "ACT")
			for _, d := range d.Days {
				t.add(d.Day, d.Findings, d.Vulnerabilities, d.Undecided, d.Exploited, d.Act)
			}
			t.print(w)
		}), &day)
}

func newReportCoverage() *cobra.Command {
	var day string
	return since(verb("coverage", "How much of the estate is looked at, day by day", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (d v1.Days, err error) {
			return d, c.get(ctx, "/figures/days?since="+query(day), &d)
		}, func(w io.Writer, d v1.Days) {
			t := newTable("DAY", "HOSTS", "SILENT", "JUDGED", "UNJUDGED", "FRESH 24 H", "FRESH 7 D", "ACT")
			for _, d := range d.Days {
				t.add(d.Day, d.Hosts, d.Silent, d.Judged, d.Unjudged, d.FreshDay, d.FreshWeek, d.Act)
			}
			t.print(w)
		}), &day)
}

func newReportScores() *cobra.Command {
	return verb("scores owner|unit|zone", "What is open with each owner, unit or zone, the most findings first", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (s v1.Scores, err error) {
			return s, c.get(ctx, "/figures/scores?by="+query(args[0]), &s)
		}, func(w io.Writer, s v1.Scores) {
			t := newTable("NAME", "HOSTS", "FINDINGS", "VULNERABILITIES", "UNDECIDED", "EXPLOITED", "OVERDUE")
			for _, x := range s.Cards {
				t.add(cmp.Or(x.Name, "(not recorded)"), x.Hosts, x.Findings, x.Vulnerabilities, x.Undecided, x.Exploited, x.Overdue)
			}
			t.print(w)
		})
}

func newReportRemediation() *cobra.Command {
	var day string
	return since(verb("remediation", "Time from the first affected host to the last observed fixed, by month", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (r v1.Remediations, err error) {
			return r, c.get(ctx, "/figures/remediation?since="+query(day), &r)
		}, func(w io.Writer, r v1.Remediations) {
			t := newTable("MONTH", "FIXED", "MEDIAN", "90 %", "LONGEST")
			for _, m := range r.Months {
				t.add(m.Month, m.Fixed, hours(m.MedianHours), hours(m.P90Hours), hours(m.LongestHours))
			}
			t.print(w)
			if len(r.Months) > 0 {
				say(w, "what a month counts: patchwarrant report fixed %s", orderview.Clean(r.Months[len(r.Months)-1].Month))
			}
		}), &day)
}

func newReportFixed() *cobra.Command {
	return verb("fixed MONTH", "What was observed fixed in a month (YYYY-MM): the evidence of its times to remediate", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (all v1.Episodes, err error) {
			all.Episodes = []exposure.Episode{}
			path := "/figures/remediation/" + segment(args[0])
			for after := ""; ; {
				var page v1.Episodes
				if err := c.get(ctx, path+"?limit=1000&after="+query(after), &page); err != nil {
					return all, err
				}
				all.Episodes = append(all.Episodes, page.Episodes...)
				if len(page.Episodes) < exposure.MaxFixed {
					return all, nil
				}
				last := page.Episodes[len(page.Episodes)-1]
				after = fmt.Sprintf("%s/%d", last.Vulnerability, last.Number)
			}
		}, showEpisodes)
}

func newReportEmergencies() *cobra.Command {
	var day string
	return since(verb("emergencies", "Emergency orders among the production orders, by month", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (m v1.Months, err error) {
			return m, c.get(ctx, "/figures/emergencies?since="+query(day), &m)
		}, func(w io.Writer, m v1.Months) {
			t := newTable("MONTH", "PRODUCTION ORDERS", "EMERGENCIES", "SHARE")
			for _, m := range m.Months {
				t.add(m.Month, m.Orders, m.Emergencies, fmt.Sprintf("%d %%", m.Emergencies*100/max(m.Orders, 1)))
			}
			t.print(w)
		}), &day)
}

func newVulnerabilityHistory() *cobra.Command {
	return verb("history CVE/SOURCE", "When it was here: first known, first host, last host observed fixed", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (e v1.Episodes, err error) {
			path, err := vulnerabilityPath(args[0])
			if err != nil {
				return e, err
			}
			return e, c.get(ctx, path+"/history", &e)
		}, showEpisodes)
}

func showEpisodes(w io.Writer, all v1.Episodes) {
	t := newTable("VULNERABILITY", "EPISODE", "FIRST KNOWN", "FIRST HOST", "MOST HOSTS", "LEFT", "OBSERVED FIXED", "TOOK", "ACT")
	for _, e := range all.Episodes {
		fixed, took := "open", "-"
		switch {
		case !e.FixedAt.IsZero():
			fixed = moment(e.FixedAt)
		case !e.GoneAt.IsZero():
			fixed = "no: " + e.Gone
		}
		if d := e.TimeToRemediate(); d > 0 {
			took = hours(d.Hours())
		}
		t.add(e.Vulnerability, e.Number, e.IdentifiedAt, e.AffectedAt, e.Most, e.Left, fixed, took, e.Act)
	}
	t.print(w)
}

// hours prints a duration in hours, of two days and more in days.
func hours(h float64) string {
	if h < 48 {
		return fmt.Sprintf("%.1f h", h)
	}
	return fmt.Sprintf("%.1f d", h/(24*time.Hour).Hours())
}
