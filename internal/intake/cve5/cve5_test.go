package cve5_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xi2/xz"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/cve5"
)

const record = `{"dataType":"CVE_RECORD","cveMetadata":{"cveId":"CVE-2026-0001","state":"PUBLISHED"},"containers":{
"cna":{"providerMetadata":{"shortName":"redhat"},"descriptions":[{"lang":"en-US","value":"text"}],"metrics":[{"cvssV3_0":{"vectorString":"CVSS:3.0/AV:N/AC:H/PR:L/UI:N/S:U/C:N/I:N/A:H","baseScore":1}}]},
"adp":[{"providerMetadata":{"shortName":"CISA-ADP"},"metrics":[{"other":{"type":"ssvc","content":{"options":[{"Exploitation":"poc"},{"Automatable":"no"},{"Technical Impact":"partial"}]}}},
{"cvssV3_1":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}]}]}}`

func TestScoresAndText(t *testing.T) {
	r, err := cve5.Parse()("CVE-2026-0001.json", strings.NewReader(record))
	if err != nil || len(r.Signals) != 1 {
		t.Fatalf("%v, %d signals", err, len(r.Signals))
	}
	a := r.Signals[0].About
	if len(a.Scores) != 2 || a.Scores[0].Score != 5.3 || a.Scores[0].Source != "redhat" || a.Scores[1].Source != "CISA-ADP" || a.Text != "text" ||
		a.SSVC == nil || *a.SSVC != (intake.SSVC{Exploitation: "poc", Automatable: "no", Impact: "partial", Source: "CISA-ADP"}) {
		t.Errorf("%+v %+v", a, a.SSVC)
	}
	for _, bad := range []string{"", "{}", "[]", record[:200], strings.Repeat(`{"containers":`, 20000)} {
		if _, err := cve5.Parse()("x", strings.NewReader(bad)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%.40q: %v", bad, err)
		}
	}
}

func TestRealRecords(t *testing.T) {
	dir := os.Getenv("PATCHWARRANT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "..", "shared", "data")
	}
	f, err := os.Open(filepath.Join(dir, "cve5", "vulnrichment-bookworm-subset.tar.xz"))
	if err != nil {
		t.Skipf("sample data is not here; set PATCHWARRANT_SHARED to its directory: %v", err)
	}
	defer f.Close()
	plain, err := xz.NewReader(f, 0)
	if err != nil {
		t.Fatal(err)
	}
	n, scored, ssvc := 0, 0, 0
	for archive := tar.NewReader(plain); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !cve5.IsDocument(h.Name) {
			continue
		}
		r, err := cve5.Parse()(h.Name, archive)
		if err != nil {
			t.Fatalf("%s: %v", h.Name, err)
		}
		n++
		for _, s := range r.Signals {
			if len(s.About.Scores) > 0 {
				scored++
			}
			if s.About.SSVC != nil {
				ssvc++
			}
		}
	}
	t.Logf("%d records, %d scored, %d with SSVC", n, scored, ssvc)
	if n < 1900 || scored == 0 || ssvc < 1900 {
		t.Errorf("%d records, %d scored, %d with SSVC", n, scored, ssvc)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(record))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := cve5.Parse()("x", bytes.NewReader(b)); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("kind %s: %v", fault.KindOf(err), err)
		}
	})
}
