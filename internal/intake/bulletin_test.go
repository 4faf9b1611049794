package intake_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/feed"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

func TestNamed(t *testing.T) {
	got := intake.Named("[DSA 6352-1] CVE-2026-0001, RHSA-2026:0001", "USN-1-1 CVE-2026-0001 XCVE-2026-1 CVE-26-1")
	if want := []string{"CVE-2026-0001", "DSA-6352-1", "RHSA-2026:0001", "USN-1-1"}; !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, bad := range []string{"javascript:alert(1)", "//example.org", "https://a:b@example.org/", "ftp://example.org", "https://", "data:text/html,x"} {
		if got := intake.SafeLink(bad); got != "" {
			t.Errorf("%q is led to as %q", bad, got)
		}
	}
}

func TestReadCVSS(t *testing.T) {
	for vector, want := range map[string]struct {
		score    float64
		severity string
	}{
		"AV:N/AC:L/Au:N/C:P/I:P/A:P":                                      {7.5, "high"},
		"CVSS:3.0/AV:N/AC:H/PR:L/UI:N/S:U/C:N/I:N/A:H":                    {5.3, "medium"},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H":                    {9.8, "critical"},
		"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": {9.3, "critical"},
	} {
		got, err := intake.ReadCVSS(vector, "x")
		if err != nil || got.Score != want.score || got.Severity != want.severity {
			t.Errorf("%s: %v %+v", vector, err, got)
		}
	}
	if _, err := intake.ReadCVSS("CVSS:3.1/AV:X", "x"); err == nil {
		t.Error("what is no vector has a score")
	}
}

// TestPartsOfVectors reads what a vector says about exploitation, in every version of CVSS.
func TestPartsOfVectors(t *testing.T) {
	for vector, want := range map[string]intake.Parts{
		"AV:A/AC:M/Au:S/C:P/I:P/A:P":                                      {Attack: "adjacent", Complexity: "medium", Privileges: "low"},
		"CVSS:3.1/AV:N/AC:L/PR:N/UI:R/S:U/C:H/I:H/A:H":                    {Attack: "network", Complexity: "low", Privileges: "none", Interaction: "required"},
		"CVSS:4.0/AV:P/AC:L/AT:P/PR:H/UI:A/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": {Attack: "physical", Complexity: "high", Privileges: "high", Interaction: "required"},
		"CVSS:4.0/AV:L/AC:H/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N": {Attack: "local", Complexity: "high", Privileges: "none", Interaction: "none"},
	} {
		c, err := intake.ReadCVSS(vector, "x")
		if err != nil {
			t.Fatal(err)
		}
		if got := c.Parts(); got != want {
			t.Errorf("%s: %+v, want %+v", vector, got, want)
		}
	}
}

// TestBulletinsAreReviewed: each waits for a person, also after the feed shows newer ones only, and a changed one again.
func TestBulletinsAreReviewed(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := intake.New(intake.Config{DB: dbtest.Open(t), Ledger: silentLedger{}, Blobs: blobs, Now: func() time.Time { return now },
		Sources: []intake.Source{{Name: "feed", Parse: feed.Parse, MaxBytes: 1 << 20, MaxAge: time.Hour}}})
	imports := func(items ...string) {
		t.Helper()
		text := "<rss>"
		for _, item := range items {
			id, title, _ := strings.Cut(item, " ")
			text += "<item><guid>" + id + "</guid><title>" + title + "</title></item>"
		}
		if _, err := in.Import(t.Context(), "", "feed", strings.NewReader(text+"</rss>"), "file"); err != nil {
			t.Fatal(err)
		}
	}
	waits := func() string {
		t.Helper()
		queue, _, err := in.Queue(t.Context(), 100)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, a := range queue {
			title := ""
			if a.Bulletin != nil {
				title = "=" + a.Bulletin.Title
			}
			all = append(all, a.ID+title)
		}
		return strings.Join(all, " ")
	}
	imports("a one", "b CVE-2026-0001", "c three")
	if got := waits(); got != "a=one b=CVE-2026-0001 c=three" {
		t.Errorf("waiting: %s", got)
	}
	if err := in.Review(t.Context(), "alice", intake.Review{Source: "feed", IDs: []string{"b"}, Reason: "read"}); err != nil {
		t.Fatal(err)
	}
	imports("c three", "d four")
	if got := waits(); got != "a c=three d=four" {
		t.Errorf("waiting: %s", got)
	}
	imports("c changed", "d four", "b CVE-2026-0001")
	if got := waits(); got != "a c=changed d=four" {
		t.Errorf("waiting: %s", got)
	}
}

// silentLedger takes acts and forgets them.
type silentLedger struct{}

func (silentLedger) Append(context.Context, *db.Tx, proof.Act) (int64, error) { return 0, nil }
