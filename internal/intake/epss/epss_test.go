package epss_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/gzip"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/epss"
)

const today = "#model_version:v2025.03.14,score_date:2026-08-16T00:00:00Z\ncve,epss,percentile\nCVE-1999-0001,0.0123,0.78\nCVE-2026-1,1,1\n"

func packed(t *testing.T, s string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte(s)); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestParseLayouts(t *testing.T) {
	two := []intake.Signal{{ID: "CVE-1999-0001", Score: 0.0123, Percentile: 0.78}, {ID: "CVE-2026-1", Score: 1, Percentile: 1}}
	cases := map[string]struct {
		file []byte
		want []intake.Signal
	}{
		"today":         {[]byte(today), two},
		"today, packed": {packed(t, today), two},
		"2021":          {[]byte("cve,epss\nCVE-2020-5902,0.65117\n"), []intake.Signal{{ID: "CVE-2020-5902", Score: 0.65117}}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			got, err := epss.Parse(bytes.NewReader(c.file))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got.Signals); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestParseRefusesDamage(t *testing.T) {
	z := packed(t, today)
	for name, file := range map[string][]byte{
		"empty":            nil,
		"header only":      []byte("cve,epss,percentile\n"),
		"no header":        []byte("CVE-2026-1,0.1,0.2\n"),
		"truncated gzip":   z[:len(z)-9],
		"damaged gzip":     append([]byte{0x1f, 0x8b}, "rubbish"...),
		"score over one":   []byte(strings.Replace(today, "0.0123", "1.5", 1)),
		"score NaN":        []byte(strings.Replace(today, "0.0123", "NaN", 1)),
		"missing column":   []byte(strings.Replace(today, ",0.78", "", 1)),
		"cut in a line":    []byte(today[:len(today)-6]),
		"named twice":      []byte(strings.Replace(today, "CVE-2026-1", "CVE-1999-0001", 1)),
		"not a CVE":        []byte(strings.Replace(today, "CVE-2026-1", "x", 1)),
		"one endless line": bytes.Repeat([]byte("x"), 1<<17),
	} {
		if _, err := epss.Parse(bytes.NewReader(file)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, want an invalid error", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(today))
	f.Fuzz(func(t *testing.T, file []byte) {
		if r, err := epss.Parse(bytes.NewReader(file)); (err == nil) != (len(r.Signals) > 0) {
			t.Errorf("%d signals with error %v", len(r.Signals), err)
		}
	})
}
