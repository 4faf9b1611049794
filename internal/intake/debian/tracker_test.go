package debian_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
)

func TestTrackerRecordsBecomeStatements(t *testing.T) {
	cases := []struct {
		name, record string
		want         intake.Statement
	}{
		{"resolved", `{"status":"resolved","fixed_version":"1.2-3","urgency":"low","repositories":{"bookworm":"1.2-3"}}`,
			intake.Statement{Status: intake.Fixed, FixedVersion: "1.2-3", Urgency: "low"}},
		{"resolved as never affected", `{"status":"resolved","fixed_version":"0","urgency":"unimportant"}`,
			intake.Statement{Status: intake.NotAffected, Urgency: "unimportant"}},
		{"resolved without a version", `{"status":"resolved"}`,
			intake.Statement{Status: intake.Undetermined, Note: "the tracker says resolved without a fixed version"}},
		{"resolved with nonsense", `{"status":"resolved","fixed_version":"1 2"}`,
			intake.Statement{Status: intake.Undetermined, Note: "the tracker's fixed version is no Debian version: 1 2"}},
		{"open", `{"status":"open","urgency":"high**"}`,
			intake.Statement{Status: intake.Open, Urgency: "high**"}},
		{"open, no DSA", `{"status":"open","nodsa":"Minor issue","nodsa_reason":""}`,
			intake.Statement{Status: intake.Open, Note: "Minor issue", Expectation: "no-dsa"}},
		{"open, ignored", `{"status":"open","nodsa":"Too intrusive","nodsa_reason":"ignored"}`,
			intake.Statement{Status: intake.Open, Note: "Too intrusive", Expectation: "ignored"}},
		{"open, next point update", `{"status":"open","nodsa":"Minor","nodsa_reason":"postponed","next_point_update":true}`,
			intake.Statement{Status: intake.Open, Note: "Minor", Expectation: "next-point-update"}},
		{"open, end of life", `{"status":"open","urgency":"end-of-life"}`,
			intake.Statement{Status: intake.Open, Urgency: "end-of-life", Expectation: "end-of-life"}},
		{"undetermined", `{"status":"undetermined"}`, intake.Statement{Status: intake.Undetermined}},
		{"unknown status", `{"status":"maybe"}`,
			intake.Statement{Status: intake.Undetermined, Note: "the tracker gives an unknown status: maybe"}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			doc := `{"curl":{"CVE-2026-1":{"scope":"remote","description":"d","debianbug":1,"releases":{"sid":{"status":"open"},"bookworm":` + c.record + `}}}}`
			got, err := debian.Tracker("bookworm")(strings.NewReader(doc))
			if err != nil {
				t.Fatal(err)
			}
			c.want.Source, c.want.Package, c.want.Release, c.want.ID = "debian-tracker", "curl", "bookworm", "CVE-2026-1"
			c.want.Scope, c.want.Description = "remote", "d"
			if d := cmp.Diff([]intake.Statement{c.want}, got.Statements); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestTrackerWithoutReleasesKeepsAllSorted(t *testing.T) {
	doc := `{"zz":{"CVE-2026-2":{"releases":{"trixie":{"status":"open"},"bookworm":{"status":"open"}}}},
		"aa":{"TEMP-0000000-0CA7E3":{"releases":{"bookworm":{"status":"open"}}}}}`
	got, err := debian.Tracker()(strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, s := range got.Statements {
		order = append(order, s.Release+" "+s.Package+" "+s.ID)
	}
	want := []string{"bookworm aa TEMP-0000000-0CA7E3", "bookworm zz CVE-2026-2", "trixie zz CVE-2026-2"}
	if d := cmp.Diff(want, order); d != "" {
		t.Error(d)
	}
}

func TestTrackerOfKeepsOnlyTheSourcesWanted(t *testing.T) {
	doc := `{"aa":{"CVE-2026-1":{"releases":{"bookworm":{"status":"open"}}}},"bb":{"CVE-2026-1":{"releases":{"bookworm":{"status":"open"}}}},
		"cc":{"CVE-2026-1":{"releases":{"bookworm":{"status":"open"}}}}}`
	got, err := debian.TrackerOf("bookworm", map[string]bool{"bb": true})(strings.NewReader(doc))
	if err != nil || len(got.Statements) != 1 || got.Statements[0].Package != "bb" {
		t.Errorf("got %+v, %v", got, err)
	}
	if got, err := debian.TrackerOf("bookworm", map[string]bool{"zz": true})(strings.NewReader(doc)); err != nil || len(got.Statements) != 0 {
		t.Errorf("a release that is spoken about, not the source: %+v, %v", got, err)
	}
	if _, err := debian.TrackerOf("sid", map[string]bool{"bb": true})(strings.NewReader(doc)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a release nobody speaks about: %v", err)
	}
	cut := doc[:len(doc)-4]
	if _, err := debian.TrackerOf("bookworm", map[string]bool{"aa": true})(strings.NewReader(cut)); fault.KindOf(err) != fault.Invalid {
		t.Errorf("cut where nothing is wanted: %v", err)
	}
}

func TestTrackerRefusesDamage(t *testing.T) {
	good := `{"curl":{"CVE-2026-1":{"releases":{"bookworm":{"status":"open"}}}}}`
	cases := map[string]struct{ doc, want string }{
		"empty":                {"", "is empty"},
		"not JSON":             {"<html>", "is not JSON"},
		"an array":             {"[]", "not an object"},
		"null":                 {"null", "not an object"},
		"truncated":            {good[:len(good)-9], "truncated"},
		"truncated at the end": {good[:len(good)-1], "truncated"},
		"trailing":             {good + "{}", "something follows"},
		"no such release":      {strings.Replace(good, "bookworm", "trixie", 1), "no record for bookworm"},
		"no record":            {"{}", "no record for bookworm"},
		"wrong type":           {`{"curl":[]}`, "bad record for source curl"},
		"wrong releases":       {`{"curl":{"CVE-2026-1":{"releases":["bookworm"]}}}`, "bad record for source curl"},
		"wrong field type":     {strings.Replace(good, `"open"`, `7`, 1), "bad record for source curl"},
		"twice":                {strings.Replace(good, `{"curl"`, `{"curl":{},"curl"`, 1), "stands twice"},
		"source name":          {strings.Replace(good, "curl", "../x", 1), "no source package name"},
		"vulnerability name":   {strings.Replace(good, "CVE-2026-1", "x", 1), "no name of a vulnerability"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			_, err := debian.Tracker("bookworm")(strings.NewReader(c.doc))
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want an invalid error with %q", err, c.want)
			}
		})
	}
}

func FuzzTracker(f *testing.F) {
	f.Add([]byte(`{"curl":{"CVE-2026-1":{"releases":{"bookworm":{"status":"resolved","fixed_version":"1"}}}}}`))
	f.Add([]byte(`{"a`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := debian.Tracker()(strings.NewReader(string(b)))
		if (err == nil) != (len(r.Statements) > 0) {
			t.Errorf("%d statements with error %v", len(r.Statements), err)
		}
		for _, s := range r.Statements {
			if (s.Status == intake.Fixed) != (s.FixedVersion != "") {
				t.Errorf("status %s with fixed version %q", s.Status, s.FixedVersion)
			}
		}
	})
}
