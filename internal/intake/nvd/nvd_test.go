package nvd_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake/nvd"
)

const page = `{"resultsPerPage":3,"vulnerabilities":[
{"cve":{"id":"CVE-2026-0001","vulnStatus":"Analyzed","descriptions":[{"lang":"es","value":"no"},{"lang":"en","value":"text"}],"metrics":{
"cvssMetricV31":[{"source":"cna@example.org","type":"Secondary","cvssData":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:L/I:N/A:N","baseScore":9.9}},
{"source":"nvd@nist.gov","type":"Primary","cvssData":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}],
"cvssMetricV2":[{"source":"nvd@nist.gov","type":"Primary","cvssData":{"vectorString":"AV:N/AC:L/Au:N/C:P/I:P/A:P"}}]}}},
{"cve":{"id":"CVE-2026-0002","descriptions":[],"metrics":{"cvssMetricV40":[{"source":"x","type":"Secondary","cvssData":{"vectorString":"not a vector"}}]}}},
{"cve":{"id":"CVE-2026-0003","vulnStatus":"Rejected"}}]}`

func TestScoresAndText(t *testing.T) {
	r, err := nvd.Parse()("p.json", strings.NewReader(page))
	if err != nil || len(r.Signals) != 2 || len(r.Statements) != 0 {
		t.Fatalf("%v, %d signals, %d statements", err, len(r.Signals), len(r.Statements))
	}
	a := r.Signals[0].About
	if len(a.Scores) != 2 || a.Scores[0].Score != 9.8 || a.Scores[0].Severity != "critical" || a.Scores[0].Source != "nvd@nist.gov" ||
		a.Scores[1].Source != "cna@example.org" || a.Scores[1].Score != 5.3 || a.Text != "text" {
		t.Errorf("%+v", a)
	}
	if r.Signals[1].About.Scores != nil {
		t.Error("what is no vector has a score")
	}
	for _, bad := range []string{"", "[]", "{}", page[:300], `{"vulnerabilities":[{"cve":{"id":"x"}}]}`, `{"vulnerabilities":{}}`, strings.Repeat(`{"vulnerabilities":[`, 20000)} {
		if _, err := nvd.Parse()("p.json", strings.NewReader(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func TestRealPages(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	files, err := filepath.Glob(filepath.Join(dir, "nvd", "*.json*"))
	if err != nil || len(files) == 0 {
		t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
	}
	for _, path := range files {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var plain io.Reader = f
		if strings.HasSuffix(path, ".gz") {
			if plain, err = gzip.NewReader(f); err != nil {
				t.Fatal(err)
			}
		}
		r, err := nvd.Parse()(path, plain)
		scored := 0
		for _, s := range r.Signals {
			if len(s.About.Scores) > 0 {
				scored++
			}
		}
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
		}
		t.Logf("%s: %d CVEs, %d with a score", filepath.Base(path), len(r.Signals), scored)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(page))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := nvd.Parse()("p.json", bytes.NewReader(b)); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("kind %s: %v", fault.KindOf(err), err)
		}
	})
}
