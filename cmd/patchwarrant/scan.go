package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

func newScanCommand() *cobra.Command {
	var status, release, tracker string
	var asJSON bool
	c := &cobra.Command{
		Use:   "scan --status FILE --release NAME --tracker FILE",
		Short: "Judge the packages of one dpkg status file, offline",
		Long: `Judge every installed source package by Debian's security tracker, without a server or a network.

FILE of --status is a host's /var/lib/dpkg/status, FILE of --tracker the tracker's data/json
(https://security-tracker.debian.org/tracker/data/json). The table leaves out what is not affected;
--json prints every verdict.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			rows, err := scan(status, release, tracker)
			if err != nil {
				return err
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(rows)
			}
			return writeScan(c.OutOrStdout(), rows)
		},
	}
	c.Flags().StringVar(&status, "status", "", "dpkg status file of the host")
	c.Flags().StringVar(&release, "release", "", "codename of the host's release, e.g. bookworm")
	c.Flags().StringVar(&tracker, "tracker", "", "JSON file of Debian's security tracker")
	c.Flags().BoolVar(&asJSON, "json", false, "print every verdict as a JSON array")
	for _, name := range []string{"status", "release", "tracker"} {
		if err := c.MarkFlagRequired(name); err != nil {
			panic(err) // the flag stands above
		}
	}
	return c
}

// scan judges the status file; what cannot be judged at all (no package, a release the tracker does not know) is an error,
// never an empty result.
func scan(status, release, tracker string) ([]verdict.Row, error) {
	installed, err := readFile(status, deb.ParseStatus)
	if err != nil {
		return nil, err
	}
	set := pkgset.FromStatus(installed)
	if len(set) == 0 {
		return nil, fault.New(fault.Invalid, "%s names no installed package; is it a dpkg status file?", status)
	}
	sources := make(map[string]bool)
	for _, p := range set {
		sources[p.Source] = true
	}
	reading, err := readFile(tracker, func(r io.Reader) (intake.Reading, error) {
		return debian.TrackerOf(release, sources)(io.LimitReader(r, debian.MaxTracker))
	})
	if err != nil {
		return nil, err
	}
	return verdict.Scan(release, set, reading.Statements), nil
}

func readFile[T any](path string, parse func(io.Reader) (T, error)) (v T, err error) {
	f, err := os.Open(path)
	if err != nil {
		return v, err
	}
	defer f.Close()
	if v, err = parse(f); err != nil {
		return v, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

func writeScan(w io.Writer, rows []verdict.Row) error {
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	fmt.Fprintln(table, "SOURCE\tVERSION\tVULNERABILITY\tFIXED\tVERDICT\tREASON")
	count := make(map[verdict.Status]int)
	upgrades := make(map[string]bool)
	for _, r := range rows {
		count[r.Verdict]++
		if r.Verdict == verdict.NotAffected {
			continue
		}
		if r.Verdict == verdict.Affected && r.FixedVersion != "" {
			upgrades[r.Source] = true
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\n", r.Source, r.SourceVersion, r.CVE, r.FixedVersion, r.Verdict, r.Reason)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintf(w, "\n%d affected, %d undetermined, %d not affected; %d source packages to upgrade\n",
		count[verdict.Affected], count[verdict.Undetermined], count[verdict.NotAffected], len(upgrades))
	return err
}
