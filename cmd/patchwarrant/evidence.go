package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/evidence"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

// maxBundle bounds an evidence bundle, in bytes.
const maxBundle = 1 << 30

func newReconciliationCommand() *cobra.Command {
	return noun("reconciliation", "How changed files are explained", verb("show ORDER", "An order's reconciliation, host by host", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (r reconciliation, err error) {
			if err := c.get(ctx, "/orders/"+segment(args[0])+"/reconciliation", &r.Reconciliation); err != nil {
				return r, err
			}
			for _, h := range r.PerHost {
				var report explain.Report
				if err := c.get(ctx, "/reports/"+segment(h.Report), &report); err != nil {
					return r, err
				}
				r.Reports = append(r.Reports, report)
			}
			return r, nil
		}, showReconciliation))
}

// reconciliation is an order's result with its hosts' reports.
type reconciliation struct {
	integrity.Reconciliation
	Reports []explain.Report `json:"reports"`
}

func showReconciliation(w io.Writer, r reconciliation) {
	t := newTable("HOST", "AS SHIPPED", "AS STAGED", "DERIVED", "MISSING", "UNEXPLAINED")
	for _, h := range r.PerHost {
		t.add(h.Host, h.Counts[explain.AsShipped], h.Counts[explain.AsStaged], h.Counts[explain.Derived], h.Counts[explain.Missing], h.Counts[explain.Unexplained])
	}
	t.print(w)
	showDiscrepancies(w, r.Reports...)
	if r.Clean {
		say(w, "every changed file is explained")
	} else {
		say(w, "NOT every changed file is explained")
	}
}

// showDiscrepancies lists the paths that nothing explains, if there are any.
func showDiscrepancies(w io.Writer, reports ...explain.Report) {
	t := newTable("HOST", "PATH", "VERDICT", "WHY")
	for _, report := range reports {
		for _, l := range report.Discrepancies() {
			t.add(report.Host, l.Path, l.Verdict, l.Why)
		}
	}
	if len(t.rows) > 0 {
		t.print(w)
	}
}

func newInvestigationCommand() *cobra.Command {
	list := verb("list", "All investigations, newest first", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (i v1.Investigations, err error) {
		return i, c.get(ctx, "/investigations", &i)
	}, func(w io.Writer, i v1.Investigations) { showInvestigations(w, i.Investigations...) })
	show := verb("show INVESTIGATION", "One investigation, with the paths that nothing explains", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (i investigation, err error) {
			if err = c.get(ctx, "/investigations/"+segment(args[0]), &i.Investigation); err == nil {
				err = c.get(ctx, "/reports/"+segment(i.Report), &i.Found)
			}
			return i, err
		}, func(w io.Writer, i investigation) {
			showInvestigations(w, i.Investigation)
			showDiscrepancies(w, i.Found)
			say(w, "what you see is report %s", i.Report)
		})
	var res integrity.Resolution
	resolve := verb("resolve INVESTIGATION --outcome OUTCOME --reason TEXT", "Say what a discrepancy was; ratifying takes two people", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (i integrity.Investigation, err error) {
			return i, c.post(ctx, "/investigations/"+segment(args[0])+"/resolutions", res, &i)
		}, func(w io.Writer, i integrity.Investigation) { showInvestigations(w, i) })
	resolve.Flags().StringVar(&res.Outcome, "outcome", "", "legitimate (takes two people) or incident")
	resolve.Flags().StringVar(&res.Severity, "severity", "", "of an incident: probe, directed probe, intrusion, compromise, denial of service")
	resolve.Flags().StringVar(&res.Reason, "reason", "", "why")
	resolve.Flags().StringVar(&res.Report, "report", "", "digest of the report you looked at (show prints it): refused if more was found since")
	resolve.MarkFlagRequired("outcome")
	resolve.MarkFlagRequired("reason")
	return noun("investigation", "What nothing explains: list, show, resolve", list, show, resolve)
}

// investigation is one with what was found.
type investigation struct {
	integrity.Investigation
	Found explain.Report `json:"found"`
}

func showInvestigations(w io.Writer, all ...integrity.Investigation) {
	t := newTable("INVESTIGATION", "ORDER", "HOST", "STATE", "OPENED", "DUE", "OUTCOME")
	for _, i := range all {
		t.add(i.ID, i.Order, i.Host, i.State, i.OpenedAt, i.DueAt, i.Outcome)
	}
	t.print(w)
}

func newBundleCommand() *cobra.Command {
	var out string
	c := verb("bundle ORDER -o FILE", "Seal the evidence of a closed order into one file", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (string, error) {
			return out, c.do(ctx, http.MethodPost, "/orders/"+segment(args[0])+"/bundle", nil, func(body io.Reader) error { return save(out, body) })
		}, func(w io.Writer, path string) {
			say(w, "%s written; check it with  patchwarrant verify %s", path, path)
		})
	c.Flags().StringVarP(&out, "output", "o", "change.bundle", "file to write")
	return c
}

// save writes a file whole or not at all.
func save(path string, body io.Reader) error {
	f, err := os.Create(path + ".new")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	n, err := io.Copy(f, io.LimitReader(body, maxBundle+1))
	if err == nil && n > maxBundle {
		err = fault.New(fault.Unavailable, "the bundle is over %d bytes", maxBundle)
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}

func newVerifyCommand() *cobra.Command {
	var root string
	var asJSON bool
	c := &cobra.Command{
		Use:   "verify BUNDLE [--root SHA256]",
		Short: "Check the evidence of a change: no server, no network",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			b, err := readBundle(args[0])
			if err != nil {
				return err
			}
			result, wrong := evidence.Verify(b, evidence.Options{RootDigest: root})
			w := cmd.OutOrStdout()
			if asJSON {
				if err := printJSON(w, result); err != nil {
					return err
				}
			} else {
				showChecks(w, result.Checks)
			}
			if wrong != nil {
				return fmt.Errorf("INVALID: %w", wrong)
			}
			if !asJSON && root == "" {
				say(w, "VALID: order %s, if the first trust root you know has sha256 %s", orderview.Clean(result.Order), result.Root)
			} else if !asJSON {
				say(w, "VALID: order %s", orderview.Clean(result.Order))
			}
			return nil
		},
	}
	c.Flags().StringVar(&root, "root", "", "SHA-256 of trust root version 1, known from elsewhere (say, from the enrolment line)")
	c.Flags().BoolVar(&asJSON, "json", false, "print the checks as JSON")
	return c
}

func readBundle(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxBundle+1))
	if err == nil && len(b) > maxBundle {
		err = fault.New(fault.Invalid, "it is over %d bytes", maxBundle)
	}
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return b, nil
}

func showChecks(w io.Writer, checks []evidence.Check) {
	width := 0
	for _, c := range checks {
		width = max(width, len(c.Name))
	}
	for _, c := range checks {
		mark := "ok  "
		if !c.OK {
			mark = "FAIL"
		}
		say(w, "%s  %-*s  %s", mark, width, orderview.Clean(c.Name), orderview.Clean(c.Text))
	}
}
