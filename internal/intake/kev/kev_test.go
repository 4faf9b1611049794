package kev_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/kev"
)

const good = `{"title":"t","count":1,"vulnerabilities":[{"cveID":"CVE-2026-1","vulnerabilityName":"n","dateAdded":"2026-01-02",
"dueDate":"2026-01-23","knownRansomwareCampaignUse":"Known","cwes":[]}]}`

func TestParse(t *testing.T) {
	got, err := kev.Parse(strings.NewReader(good))
	if err != nil {
		t.Fatal(err)
	}
	want := []intake.Signal{{ID: "CVE-2026-1", Exploited: &intake.Exploited{ID: "CVE-2026-1", Name: "n", Since: "2026-01-02", Due: "2026-01-23", Ransomware: true}}}
	if d := cmp.Diff(want, got.Signals); d != "" {
		t.Error(d)
	}
}

func TestParseRefusesDamage(t *testing.T) {
	for name, doc := range map[string]string{
		"not JSON":    "<html>",
		"truncated":   good[:len(good)-2],
		"trailing":    good + "x",
		"wrong count": strings.Replace(good, `"count":1`, `"count":2`, 1),
		"no count":    strings.Replace(good, `"count":1,`, "", 1),
		"empty":       `{"count":0,"vulnerabilities":[]}`,
		"no CVE":      strings.Replace(good, "CVE-2026-1", "x", 1),
		"no date":     strings.Replace(good, "2026-01-02", "yesterday", 1),
	} {
		if _, err := kev.Parse(strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: got %v, want an invalid error", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(good)
	f.Fuzz(func(t *testing.T, doc string) {
		if r, err := kev.Parse(strings.NewReader(doc)); (err == nil) != (len(r.Signals) > 0) {
			t.Errorf("%d signals with error %v", len(r.Signals), err)
		}
	})
}
