package osv_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/osv"
	"github.com/patchwarrant/patchwarrant/internal/unpack"
)

const head = `{"schema_version":"1.7.3","modified":"2026-01-28T10:18:35Z","published":"2026-01-27T00:00:00Z",`

var records = map[string]string{
	"a CVE of Debian": head + `"id":"DEBIAN-CVE-2026-1","details":"overflow","upstream":["CVE-2026-1"],"affected":[
{"package":{"name":"tool","ecosystem":"Debian:12"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.2-1+deb12u1"}]}],"ecosystem_specific":{"urgency":"not yet assigned"}},
{"package":{"name":"tool","ecosystem":"Debian:13"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}],"ecosystem_specific":{"urgency":"end-of-life"}},
{"package":{"name":"tool","ecosystem":"PyPI"},"ranges":[]}]}`,
	"an advisory of Debian": head + `"id":"DSA-1-1","summary":"tool - security update","upstream":["CVE-2026-1","CVE-2026-2","DEBIAN-CVE-2026-1"],"affected":[
{"package":{"name":"tool","ecosystem":"Debian:12"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.2-1+deb12u1"}]}]}]}`,
	"a notice of Ubuntu": head + `"id":"USN-1-1","upstream":["UBUNTU-CVE-2026-3","UBUNTU-CVE-2026-4"],"affected":[
{"package":{"name":"tool","ecosystem":"Ubuntu:Pro:18.04:LTS","purl":"pkg:deb/ubuntu/tool@1?arch=source&distro=esm-apps/bionic"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.0-1~esm1"}]}],
"database_specific":{"cves_map":{"cves":[{"id":"CVE-2026-3","severity":[{"type":"CVSS_V3","score":"CVSS:3.1/x"},{"type":"Ubuntu","score":"medium"}]}]}}},
{"package":{"name":"linux","ecosystem":"Ubuntu:Pro:FIPS:20.04:LTS"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.4"}]}],"database_specific":{"cves_map":{"cves":[{"id":"CVE-2026-3"}]}}},
{"package":{"name":"linux","ecosystem":"Ubuntu:22.04:LTS"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"5.15"}]}],"ecosystem_specific":{"availability":"Livepatch subscription required"},"database_specific":{"cves_map":{"cves":[{"id":"CVE-2026-3"}]}}}]}`,
	"one of Rocky": head + `"id":"RLSA-2026:1","summary":"Important: tool security update","upstream":["CVE-2026-5"],"affected":[
{"package":{"name":"tool","ecosystem":"Rocky Linux:9"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"0:1.2-3.el9"}]}]}]}`,
	"one of AlmaLinux": head + `"id":"ALSA-2026:1","related":["CVE-2026-6"],"affected":[
{"package":{"name":"tool-libs","ecosystem":"AlmaLinux:9"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1:1.2-3.el9"}]}]}]}`,
	"withdrawn": head + `"withdrawn":"2026-02-01T00:00:00Z","id":"DSA-2-1","affected":[
{"package":{"name":"tool","ecosystem":"Debian:12"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"}]}]}]}`,
	"introduced again": head + `"id":"DSA-4-1","upstream":["CVE-2026-7"],"affected":[
{"package":{"name":"tool","ecosystem":"Debian:12"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"fixed":"1.0-1"},{"introduced":"2.0-1"}]}]},
{"package":{"name":"other","ecosystem":"Debian:12"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"introduced":"2.0-1"},{"fixed":"3.0-1"},{"fixed":"1.0-1"}]}]}]}`,
	"about no CVE": head + `"id":"DSA-3-2","affected":[{"package":{"name":"tool","ecosystem":"Debian:12"},"ranges":[{"type":"ECOSYSTEM","events":[{"introduced":"0"},{"last_affected":"1.0"}]}]}]}`,
}

func TestRecordsBecomeStatements(t *testing.T) {
	for what, want := range map[string][]string{
		"a CVE of Debian":       {"bookworm tool CVE-2026-1 fixed 1.2-1+deb12u1 [not yet assigned]", "trixie tool CVE-2026-1 open [end-of-life] end-of-life"},
		"an advisory of Debian": {"bookworm tool CVE-2026-1 fixed 1.2-1+deb12u1 DSA-1-1", "bookworm tool CVE-2026-2 fixed 1.2-1+deb12u1 DSA-1-1"},
		"a notice of Ubuntu": {"bionic tool CVE-2026-3 fixed 1.0-1~esm1 USN-1-1 (esm-apps) [medium] CVSS:3.1/x", "focal linux CVE-2026-3 fixed 5.4 USN-1-1 (fips)",
			"jammy linux CVE-2026-3 fixed 5.15 USN-1-1 (livepatch)"},
		"one of Rocky":     {"rocky-9 tool CVE-2026-5 fixed 1.2-3.el9 rpm RLSA-2026:1 [Important]"},
		"one of AlmaLinux": {"almalinux-9 tool-libs CVE-2026-6 fixed 1:1.2-3.el9 rpm binary ALSA-2026:1"},
		"withdrawn":        nil,
		"introduced again": {"bookworm other CVE-2026-7 fixed 3.0-1 DSA-4-1", "bookworm tool CVE-2026-7 open DSA-4-1"},
		"about no CVE":     {"bookworm tool DSA-3-2 undetermined DSA-3-2"},
	} {
		r, err := osv.Parse()("x.json", strings.NewReader(records[what]))
		if err != nil || r.Revised.IsZero() {
			t.Fatal(what, err)
		}
		var got []string
		for _, s := range r.Statements {
			got = append(got, line(s))
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", what, d)
		}
	}
	if r, err := osv.Parse("trixie")("x.json", strings.NewReader(records["a CVE of Debian"])); err != nil || len(r.Statements) != 1 {
		t.Errorf("of trixie: %+v %v", r.Statements, err)
	}
}

func line(s intake.Statement) string {
	words := []string{s.Release, s.Package, s.ID, string(s.Status), s.FixedVersion, string(s.Scheme)}
	for text, is := range map[string]bool{"binary": s.Binary} {
		if is {
			words = append(words, text)
		}
	}
	words = append(words, s.Advisory)
	if s.Condition != "" {
		words = append(words, "("+s.Condition+")")
	}
	if s.Urgency != "" {
		words = append(words, "["+s.Urgency+"]")
	}
	return strings.Join(strings.Fields(strings.Join(append(words, s.Vector, s.Expectation), " ")), " ")
}

func TestDamagedRecordsAreRefused(t *testing.T) {
	good := records["a CVE of Debian"]
	for name, doc := range map[string]string{
		"empty": "", "not JSON": "<html>", "truncated": good[:len(good)/2], "two records": good + good, "another JSON": `{"x":1}`,
		"no version": strings.Replace(good, "1.2-1+deb12u1", "1 2", 1), "no package": strings.Replace(good, `"tool"`, `"../x"`, 1),
		"too many CVEs":       strings.Replace(good, `"CVE-2026-1"`, strings.TrimSuffix(strings.Repeat(`"CVE-2026-1",`, 10_001), ","), 1),
		"CVEs times packages": strings.Replace(strings.Replace(good, `"CVE-2026-1"`, strings.TrimSuffix(strings.Repeat(`"CVE-2026-1",`, 5000), ","), 1), `{"package":{"name":"tool","ecosystem":"PyPI"},"ranges":[]}`, strings.TrimSuffix(strings.Repeat(`{"package":{"name":"tool","ecosystem":"Debian:12"}},`, 300), ","), 1),
		"deep JSON":           `{"affected":` + strings.Repeat("[", 20_000), "UTF-16": "\xff\xfe{\x00}\x00", "a bad name": strings.Replace(good, "DEBIAN-CVE-2026-1", "<b>", 1),
	} {
		if r, err := osv.Parse()("x.json", strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %+v, %v", name, r.Statements, err)
		}
	}
}

// TestRealArchives: every record of the archives that publishers made is understood.
func TestRealArchives(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	for file, want := range map[string][2]int{ // records, statements; the first Debian releases have no name here
		"osv/osv-debian-all.zip": {120, 464}, "osv/osv-ubuntu-all.zip": {124, 5187}, "osv/osv-rocky-all.zip": {116, 995}, "osv/osv-almalinux-all.zip": {121, 43129},
		"osv/debian-all-sample.zip": {3, 0}, "ubuntu/osv-all-sample.tar.xz": {3, 634},
	} {
		f, err := os.Open(filepath.Join(dir, file))
		if err != nil {
			t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
		}
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		records, statements, undetermined := 0, 0, 0
		err = unpack.Walk(f, info.Size(), unpack.Limits{Files: 1000, File: 1 << 22, Total: 1 << 28}, func(one unpack.File) error {
			r, err := osv.Parse()(one.Path, one.Body)
			if err != nil {
				t.Errorf("%s: %v", one.Path, err)
			}
			records, statements = records+1, statements+len(r.Statements)
			for _, s := range r.Statements {
				if s.Status == intake.Undetermined {
					undetermined++
				}
			}
			return nil
		})
		if err != nil || records != want[0] || statements != want[1] || undetermined != 0 {
			t.Errorf("%s: %d records, %d statements, %d of them undetermined, %v; want %v", file, records, statements, undetermined, err, want)
		}
		f.Close()
	}
}

func FuzzParse(f *testing.F) {
	for _, r := range records {
		f.Add([]byte(r))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := osv.Parse()("x.json", strings.NewReader(string(b)))
		if err != nil && fault.KindOf(err) != fault.Invalid {
			t.Error(err)
		}
		for _, s := range r.Statements {
			if s.Package == "" || s.Release == "" || s.ID == "" || (s.FixedVersion != "") != (s.Status == intake.Fixed) {
				t.Errorf("%+v", s)
			}
		}
	})
}
