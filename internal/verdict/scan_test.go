package verdict_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	version "github.com/knqyf263/go-deb-version"
	"golang.org/x/sync/errgroup"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// shared gives the path of a file of the shared sample data, or skips the test where it is absent.
func shared(t testing.TB, name string) string {
	t.Helper()
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "data")
	}
	path := filepath.Join(dir, name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("sample data %s is not here; set PATCHWARRANT_SHARED to its directory", name)
	}
	return path
}

func scanShared(t *testing.T) []verdict.Row {
	t.Helper()
	status, err := os.Open(shared(t, "inventory/debian12-host.dpkg-status"))
	if err != nil {
		t.Fatal(err)
	}
	defer status.Close()
	installed, err := deb.ParseStatus(status)
	if err != nil {
		t.Fatal(err)
	}
	tracker, err := os.Open(shared(t, "debian-tracker/bookworm.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer tracker.Close()
	reading, err := debian.Tracker("bookworm")(tracker)
	if err != nil {
		t.Fatal(err)
	}
	return verdict.Scan("bookworm", pkgset.FromStatus(installed), reading.Statements)
}

// oracleRow is what the test itself knows: the source versions dpkg-query printed on the host, and the tracker's records
// decoded without our parser.
type oracleRow struct{ source, version, cve, fixed string }

func oracleRows(t *testing.T) map[oracleRow]bool {
	t.Helper()
	b, err := os.ReadFile(shared(t, "debian-tracker/bookworm.json"))
	if err != nil {
		t.Fatal(err)
	}
	var tracker map[string]map[string]struct {
		Releases map[string]struct {
			Status string `json:"status"`
			Fixed  string `json:"fixed_version"`
		} `json:"releases"`
	}
	if err := json.Unmarshal(b, &tracker); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(shared(t, "inventory/debian12-host.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows := make(map[oracleRow]bool)
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Split(lines.Text(), "\t") // binary, version, arch, source, source version, state
		for cve, record := range tracker[fields[3]] {
			r, known := record.Releases["bookworm"]
			if !known {
				continue
			}
			if (r.Status == "open") != (r.Fixed == "") {
				t.Fatalf("%s %s: status %s with fixed version %q: the oracle does not cover it", fields[3], cve, r.Status, r.Fixed)
			}
			rows[oracleRow{fields[3], fields[4], cve, r.Fixed}] = true
		}
	}
	return rows
}

// TestScanAgreesWithIndependentComputation is the rule of issue 2 on a real host: affected exactly where the source version
// is older than the fixed one or no fix exists.
func TestScanAgreesWithIndependentComputation(t *testing.T) {
	rows := scanShared(t)
	got := make(map[oracleRow]verdict.Status, len(rows))
	for _, r := range rows {
		got[oracleRow{r.Source, r.SourceVersion, r.CVE, r.FixedVersion}] = r.Verdict
	}
	if len(got) != len(rows) {
		t.Errorf("%d rows, %d distinct", len(rows), len(got))
	}
	oracle := oracleRows(t)
	if d := cmp.Diff(oracle, keys(got)); d != "" {
		t.Fatalf("rows differ from the oracle's:\n%s", d)
	}
	affected := 0
	for r, status := range got {
		older := r.fixed == ""
		if !older {
			installed := parse(t, r.version)
			older = installed.LessThan(parse(t, r.fixed))
		}
		if older {
			affected++
		}
		if (status == verdict.Affected) != older {
			t.Errorf("%+v: %s, the oracle says affected: %v", r, status, older)
		}
	}
	t.Logf("%d rows, %d affected", len(rows), affected)
	if affected == 0 || affected == len(rows) {
		t.Error("the sample decides nothing")
	}
}

func keys(m map[oracleRow]verdict.Status) map[oracleRow]bool {
	set := make(map[oracleRow]bool, len(m))
	for r := range m {
		set[r] = true
	}
	return set
}

func parse(t *testing.T, s string) version.Version {
	t.Helper()
	v, err := version.NewVersion(s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestScanAgreesWithDpkg asks dpkg itself about the newest fixed version at or below and the oldest above each installed
// one, which settles all others in between.
func TestScanAgreesWithDpkg(t *testing.T) {
	dpkg, err := exec.LookPath("dpkg")
	if err != nil {
		t.Skip("dpkg is not here")
	}
	type edge struct{ below, above string }
	edges := make(map[[2]string]edge)
	for _, r := range scanShared(t) {
		if r.FixedVersion == "" {
			continue
		}
		at := [2]string{r.Source, r.SourceVersion}
		e := edges[at]
		if r.Verdict == verdict.Affected && (e.above == "" || deb.Compare(r.FixedVersion, e.above) < 0) {
			e.above = r.FixedVersion
		} else if r.Verdict == verdict.NotAffected && (e.below == "" || deb.Compare(r.FixedVersion, e.below) > 0) {
			e.below = r.FixedVersion
		}
		edges[at] = e
	}
	var group errgroup.Group
	group.SetLimit(4)
	for _, at := range slices.SortedFunc(maps.Keys(edges), func(a, b [2]string) int { return strings.Compare(a[0]+a[1], b[0]+b[1]) }) {
		for _, question := range []struct {
			fixed, relation string
		}{{edges[at].below, "ge"}, {edges[at].above, "lt"}} {
			if question.fixed == "" {
				continue
			}
			group.Go(func() error {
				err := exec.CommandContext(t.Context(), dpkg, "--compare-versions", at[1], question.relation, question.fixed).Run()
				if _, disagrees := errors.AsType[*exec.ExitError](err); disagrees {
					t.Errorf("%s: dpkg does not say %s %s %s", at[0], at[1], question.relation, question.fixed)
					return nil
				}
				return err
			})
		}
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
}
