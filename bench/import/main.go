// Import reads every file of a directory of real input in one go, each by the source or report format that reads it, and prints a
// table: records, distinct vulnerabilities, time, peak memory, and what was refused with the reason. What nothing reads is listed,
// too: no file is passed over in silence.
package main

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	_ "modernc.org/sqlite"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/scanner"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/server"
)

// input says which source reads which files: a glob below the directory, or a directory of documents.
type input struct{ kind, files string }

var inputs = []input{
	{"debian-tracker", "debian-tracker/bookworm.json"}, {"debian-advisories", "debian-dsa/*.list"}, {"distro-support", "debian-support/"},
	{"ubuntu-osv", "ubuntu/osv-all-sample.tar.xz"}, {"ubuntu-osv", "ubuntu/osv-U*.json"}, {"ubuntu-notices", "ubuntu/api-notices.json"}, {"ubuntu-oval", "ubuntu/*.oval.xml.bz2"},
	{"redhat-csaf", "redhat/csaf-advisories/"}, {"redhat-vex", "redhat/csaf-vex/"}, {"redhat-csaf", "redhat/csaf-advisories/*.tar.zst"}, {"redhat-vex", "redhat/csaf-vex/*.tar.zst"}, {"csaf", "csaf/csaf_*.json"}, {"csaf", "csaf/providers/*/white/*.json"}, {"osv", "osv/*.zip"},
	{"nvd", "nvd/"}, {"cve5", "cve5/*.tar.xz"}, {"kev", "kev/known_exploited_vulnerabilities.json"}, {"epss", "epss/*.csv.gz"},
	{"openvex", "openvex/*.json"}, {"openvex", "ubuntu/openvex-*.json"}, {"openvex", "ubuntu/vex-all.tar.xz"},
	{"mbox", "announce/*.mbox"}, {"feed", "announce/*.rdf"},
}

// reports are the folders of scanners' reports.
var reports = []string{"nessus", "openvas", "trivy", "grype", "cyclonedx", "qualys", "wazuh", "clair"}

// row is a line of the table. Read = Accepted + Refused.
type row struct {
	source, file            string
	read, accepted, refused int
	vulnerabilities         int
	took                    time.Duration
	peak                    int64 // bytes
	why                     map[string]int
}

func main() {
	data := flag.String("data", cmp.Or(os.Getenv("PATCHWARRANT_SHARED"), "../shared/data"), "directory with the files")
	flag.Parse()
	if _, err := os.Stat(*data); err != nil {
		fmt.Fprintf(os.Stderr, "nothing to import: %v; give the directory with -data or PATCHWARRANT_SHARED\n", err)
		return
	}
	if err := run(context.Background(), os.Stdout, *data); err != nil {
		fmt.Fprintln(os.Stderr, "import:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, data string) error {
	met := map[string]bool{}
	var rows []row
	for _, in := range inputs {
		files, err := filepath.Glob(filepath.Join(data, in.files))
		if err != nil {
			return err
		}
		for _, f := range files {
			r, err := advisories(ctx, in.kind, f, met)
			if err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			rows = append(rows, r)
		}
	}
	for _, folder := range reports {
		files, err := filepath.Glob(filepath.Join(data, folder, "*.*"))
		if err != nil {
			return err
		}
		for _, f := range files {
			r, err := report(f)
			if err != nil {
				return fmt.Errorf("%s: %w", f, err)
			}
			met[f] = true
			rows = append(rows, r)
		}
	}
	for i := range rows {
		rows[i].file, _ = filepath.Rel(data, rows[i].file)
	}
	print(out, rows)
	return rest(out, data, met)
}

// advisories imports one file or directory into a fresh room.
func advisories(ctx context.Context, kind, file string, met map[string]bool) (row, error) {
	r := row{source: kind, file: file}
	dir, err := os.MkdirTemp("", "import-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)
	sources, err := server.Sources(server.Config{Sources: []server.Source{{Name: kind, Kind: kind}}}, time.Now)
	if err != nil {
		return r, err
	}
	d, err := db.Open(ctx, "sqlite:"+filepath.Join(dir, "db"))
	if err != nil {
		return r, err
	}
	defer d.Close()
	blobs, err := blob.Dir(filepath.Join(dir, "blobs"))
	if err != nil {
		return r, err
	}
	room := intake.New(intake.Config{DB: d, Ledger: forget{}, Blobs: blobs, Now: time.Now, Sources: sources})
	source := sources[slices.IndexFunc(sources, func(s intake.Source) bool { return s.Name == kind })]
	clearPeak()
	start := time.Now()
	receipt, err := receive(ctx, room, source, file, met)
	r.took, r.peak = time.Since(start), peak()
	if err != nil && fault.KindOf(err) != fault.Invalid {
		return r, err
	}
	r.why = map[string]int{}
	if err != nil {
		r.read, r.refused = 1, 1
		r.why[err.Error()]++
		return r, nil
	}
	return r, r.count(ctx, room, source, receipt)
}

// receive hands a file over as a person would: a file or an archive as it is, a directory as its documents.
func receive(ctx context.Context, room *intake.Intake, source intake.Source, file string, met map[string]bool) (intake.Receipt, error) {
	info, err := os.Stat(file)
	if err != nil {
		return intake.Receipt{}, err
	}
	single := !info.IsDir() && filepath.Ext(file) == ".json" && source.Collection != nil
	if !info.IsDir() && !single {
		f, err := os.Open(file)
		if err != nil {
			return intake.Receipt{}, err
		}
		defer f.Close()
		met[file] = true
		return room.Import(ctx, "", source.Name, f, filepath.Base(file))
	}
	return room.Deliver(ctx, "", source.Name, intake.Delivery{From: file, Whole: true, Each: func(take func(intake.File) error) error {
		return filepath.WalkDir(file, func(path string, e fs.DirEntry, err error) error {
			if err != nil || e.IsDir() {
				return err
			}
			name, err := filepath.Rel(file, path)
			if err != nil {
				return err
			}
			if single {
				name = filepath.Base(path)
			}
			met[path] = source.Collection.IsDocument(name)
			f, err := os.Open(path)
			if err != nil {
				return err
			}
			defer f.Close()
			return take(intake.File{Path: filepath.ToSlash(name), Body: f})
		})
	}})
}

func (r *row) count(ctx context.Context, room *intake.Intake, source intake.Source, receipt intake.Receipt) error {
	if source.Collection == nil {
		if r.accepted = receipt.Statements + receipt.Signals + receipt.Support; r.accepted == 0 {
			r.accepted = receipt.New // bulletins, which state nothing about packages
		}
	} else {
		r.accepted, r.refused = receipt.Documents, receipt.RefusedDocuments
		refused, err := room.Documents(ctx, source.Name, true)
		if err != nil {
			return err
		}
		for _, d := range refused {
			r.why[d.Refused]++
			if d.Digest == "" && r.refused < len(refused) {
				r.refused = len(refused)
			}
		}
	}
	for why, n := range receipt.PassedOver {
		r.why[why] += n
		r.refused += n
	}
	r.read = r.accepted + r.refused
	known, err := room.Knowledge(ctx)
	if err != nil {
		return err
	}
	ids := map[string]bool{}
	for _, s := range known.Statements {
		ids[s.ID] = true
	}
	r.vulnerabilities = max(len(ids), receipt.Signals)
	return nil
}

// tally counts a report's rows and the vulnerabilities they name.
type tally map[string]bool

func (tally) Host(scanner.Host) error { return nil }
func (t tally) Row(r scanner.Row) error {
	for _, id := range r.IDs() {
		t[id] = true
	}
	return nil
}

func report(file string) (row, error) {
	r := row{source: "report", file: file}
	f, err := os.Open(file)
	if err != nil {
		return r, err
	}
	defer f.Close()
	ids := tally{}
	clearPeak()
	start := time.Now()
	read, err := scanner.Read(bufio.NewReader(f), "", "host", ids)
	r.took, r.peak = time.Since(start), peak()
	if err != nil {
		if fault.KindOf(err) != fault.Invalid {
			return r, err
		}
		r.read, r.refused, r.why = 1, 1, map[string]int{err.Error(): 1}
		return r, nil
	}
	r.source, r.read, r.accepted, r.why, r.vulnerabilities = read.Format, read.Read, read.Accepted, read.Refused, len(ids)
	for _, n := range read.Refused {
		r.refused += n
	}
	if r.read != r.accepted+r.refused {
		return r, fmt.Errorf("%d records were read, but %d accepted and %d refused", r.read, r.accepted, r.refused)
	}
	return r, nil
}

func print(out io.Writer, rows []row) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "source\tread\taccepted\trefused\tvulnerabilities\tms\tpeak MiB\tfile\t")
	sum := row{}
	for _, r := range rows {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\t\n", r.source, r.read, r.accepted, r.refused, r.vulnerabilities, r.took.Milliseconds(), r.peak>>20, r.file)
		sum.read, sum.accepted, sum.refused, sum.took, sum.peak = sum.read+r.read, sum.accepted+r.accepted, sum.refused+r.refused, sum.took+r.took, max(sum.peak, r.peak)
	}
	fmt.Fprintf(w, "all\t%d\t%d\t%d\t\t%d\t%d\t%d files\t\n", sum.read, sum.accepted, sum.refused, sum.took.Milliseconds(), sum.peak>>20, len(rows))
	w.Flush()
	fmt.Fprintln(out, "\nrefused, and why:")
	for _, r := range rows {
		for _, why := range slices.Sorted(maps.Keys(r.why)) {
			fmt.Fprintf(out, "  %5d  %s: %.300s\n", r.why[why], r.file, strings.ReplaceAll(why, "\n", " "))
		}
	}
}

// rest lists the files that nothing read.
func rest(out io.Writer, data string, met map[string]bool) error {
	fmt.Fprintln(out, "\nnot read, because they are no input of a source or report:")
	return filepath.WalkDir(data, func(path string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() && !met[path] {
			name, _ := filepath.Rel(data, path)
			fmt.Fprintln(out, "  "+name)
		}
		return err
	})
}

// clearPeak begins the measuring of peak memory anew. Source: proc(5), clear_refs.
func clearPeak() { _ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) }

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

func peak() (bytes int64) {
	b, err := os.ReadFile("/proc/self/status")
	if m := highWater.FindSubmatch(b); err == nil && m != nil {
		_, err = fmt.Sscan(string(m[1]), &bytes)
	}
	if err != nil {
		panic(errors.Join(errors.New("import: no peak of memory"), err))
	}
	return bytes << 10
}

// forget is a ledger for rooms whose acts nobody reads.
type forget struct{}

// Append implements intake.Ledger.
func (forget) Append(context.Context, *db.Tx, proof.Act) (int64, error) { return 0, nil }
