// Accuracy holds sample reports of scanners against our own verdicts on the same inventory, and prints where the two agree, what
// only one of them says, and why, by kind of reason. With -write it keeps the figures in docs/accuracy.md.
//
// It needs a directory with debian-tracker/bookworm.json, inventory/debian12-host.dpkg-status and reports in folders by their
// format; without it says what is missing and does nothing. A report that is not compared is named with the reason.
package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/triage"
)

func main() {
	data := flag.String("data", cmp.Or(os.Getenv("PATCHWARRANT_SHARED"), "../shared/data"), "directory with the files")
	write := flag.Bool("write", false, "write docs/accuracy.md")
	flag.Parse()
	out := io.Writer(os.Stdout)
	var kept strings.Builder
	if *write {
		out = io.MultiWriter(os.Stdout, &kept)
	}
	if err := run(context.Background(), out, *data); err != nil {
		fmt.Fprintln(os.Stderr, "accuracy:", err)
		os.Exit(1)
	}
	if *write && kept.Len() > 0 {
		if err := os.WriteFile("docs/accuracy.md", []byte(kept.String()), 0o644); err != nil {
			fmt.Fprintln(os.Stderr, "accuracy:", err)
			os.Exit(1)
		}
	}
}

const release = "bookworm"

func run(ctx context.Context, out io.Writer, data string) error {
	status, err := os.Open(filepath.Join(data, "inventory", "debian12-host.dpkg-status"))
	if err != nil {
		fmt.Fprintf(os.Stderr, "nothing to measure: %v; give the directory with -data or PATCHWARRANT_SHARED\n", err)
		return nil
	}
	defer status.Close()
	installed, err := deb.ParseStatus(status)
	if err != nil {
		return err
	}
	s, err := open(ctx, data, pkgset.FromStatus(installed))
	if err != nil {
		return err
	}
	defer os.RemoveAll(s.dir)
	defer s.db.Close()
	fmt.Fprintf(out, "# Accuracy\n\nReports of scanners beside our own verdicts on the same inventory, by `go run ./bench/accuracy -write`. "+
		"A report does not bring the inventory of its hosts. For each Debian 12 host it is rebuilt: the packages that the report names, in the versions that it names, "+
		"and the other packages of the same sources, by the source packages of `inventory/debian12-host`. What else such a host had is not known and not counted. "+
		"A report named constructed was made from some of the real advisories, so what only we say about it is much. Our verdicts come from `debian-tracker/bookworm.json`.\n\n")
	var aside strings.Builder
	for _, folder := range []string{"nessus", "openvas", "trivy", "grype", "cyclonedx", "qualys", "wazuh", "clair"} {
		files, err := filepath.Glob(filepath.Join(data, folder, "*.*"))
		if err != nil {
			return err
		}
		for _, file := range files {
			why, err := s.measure(ctx, out, file)
			if err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
			if why != "" {
				fmt.Fprintf(&aside, "| %s/%s | %s |\n", folder, filepath.Base(file), why)
			}
		}
	}
	_, err = fmt.Fprintf(out, "## Not compared\n\nOnly of Debian 12 is an inventory there to judge.\n\n| report | why not |\n|---|---|\n%s", aside.String())
	return err
}

// site is the rooms that compare, over the hosts of one report.
type site struct {
	dir    string
	db     *db.DB
	scans  *scans.Scans
	estate *estateOf
}

func open(ctx context.Context, data string, base pkgset.Set) (*site, error) {
	dir, err := os.MkdirTemp("", "accuracy-")
	if err != nil {
		return nil, err
	}
	s := &site{dir: dir, estate: &estateOf{base: base, sets: map[string]pkgset.Set{}, hosts: map[string]string{}}}
	if s.db, err = db.Open(ctx, "sqlite:"+filepath.Join(dir, "db")); err != nil {
		return nil, err
	}
	blobs, err := blob.Dir(filepath.Join(dir, "blobs"))
	if err != nil {
		return nil, err
	}
	known := intake.New(intake.Config{DB: s.db, Ledger: forget{}, Blobs: blobs, Now: time.Now, Sources: []intake.Source{
		{Name: debian.TrackerSource, Parse: debian.Tracker(release), MaxBytes: 512 << 20, MaxAge: time.Hour}}})
	tracker, err := os.Open(filepath.Join(data, "debian-tracker", "bookworm.json"))
	if err != nil {
		return nil, err
	}
	defer tracker.Close()
	if _, err := known.Import(ctx, "", debian.TrackerSource, tracker, "file"); err != nil {
		return nil, err
	}
	judge := triage.New(triage.Config{DB: s.db, Ledger: forget{}, Blobs: blobs, Estate: s.estate, Intake: known, Now: time.Now})
	s.scans = scans.New(scans.Config{DB: s.db, Ledger: forget{}, Blobs: blobs, Estate: s.estate, Triage: judge, Intake: known, Now: time.Now})
	return s, nil
}

// measure compares one report, or says why not.
func (s *site) measure(ctx context.Context, out io.Writer, file string) (why string, err error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer f.Close()
	seen := &sight{hosts: map[string]bool{}, versions: map[string]map[string]string{}, systems: map[string]bool{}}
	read, err := scanner.Read(f, "", "", seen)
	if err != nil {
		return "refused: " + intake.Clip(err.Error(), 150), nil
	}
	if len(seen.hosts) == 0 {
		return seen.other(read), nil
	}
	s.estate.take(seen)
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	r, _, err := s.scans.Import(ctx, "accuracy", f, scans.Delivery{From: filepath.Base(file)})
	if err != nil {
		return "", err
	}
	c, err := s.scans.Compare(ctx, r.ID, scans.Filter{})
	if err != nil {
		return "", err
	}
	fmt.Fprintf(out, "## %s\n\n%d records, %d accepted; %d findings are %d distinct vulnerabilities, on %d hosts.\n\n| | findings |\n|---|---|\n", filepath.Base(file),
		r.Records, r.Accepted, r.Findings, r.Vulnerabilities, r.Hosts)
	for _, relation := range []scans.Relation{scans.Agree, scans.OnlyTheirs, scans.OnlyOurs, scans.Contradiction, scans.NotOurs} {
		fmt.Fprintf(out, "| %s | %d |\n", relation, c.Relations[relation])
	}
	fmt.Fprint(out, "\n| relation | reason | findings | for example |\n|---|---|---|---|\n")
	printClasses(out, c)
	return "", nil
}

func printClasses(out io.Writer, c scans.Comparison) {
	type class struct {
		scans.Relation
		scans.Class
	}
	n, example := map[class]int{}, map[class]scans.Said{}
	for _, x := range c.Rows {
		k := class{x.Relation, x.Class}
		if n[k]++; n[k] == 1 {
			example[k] = x
		}
	}
	keys := make([]class, 0, len(n))
	for k := range n {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b class) int { return cmp.Or(cmp.Compare(a.Relation, b.Relation), cmp.Compare(n[b], n[a])) })
	for _, k := range keys {
		x := example[k]
		fmt.Fprintf(out, "| %s | %s | %d | %s in %s: %s |\n", k.Relation, k.Class, n[k], x.ID, x.Source, x.Reason)
	}
	fmt.Fprintln(out)
}
