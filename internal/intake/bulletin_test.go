package intake_test

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/feed"
	"github.com/patchwarrant/patchwarrant/internal/intake/kev"
	"github.com/patchwarrant/patchwarrant/internal/intake/mail"
	"github.com/patchwarrant/patchwarrant/internal/intake/nvd"
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
	queue, _, err := in.Queue(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := in.Review(t.Context(), "alice", intake.Review{Advisories: []intake.Seen{queue[1].Seen()}, Reason: "read"}); err != nil {
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

// TestAMailboxThatNoMailReachesFallsSilent: its clock runs from the newest mail that counts, however often the mailbox is received, and
// not from one that says it comes from the future.
func TestAMailboxThatNoMailReachesFallsSilent(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 11, n, 0, 0, 0, 0, time.UTC) }
	now := day(1)
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := intake.New(intake.Config{DB: dbtest.Open(t), Ledger: silentLedger{}, Blobs: blobs, Now: func() time.Time { return now },
		Sources: []intake.Source{{Name: "list", Parse: feed.Parse, MaxBytes: 1 << 20, MaxAge: 5 * 24 * time.Hour,
			Heard: func(b intake.Bulletin) bool { return b.Title == "signed" }}}})
	sweep := func() {
		t.Helper()
		if err := in.Sweep(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	for i, step := range []struct {
		at     int
		items  []string // title and day
		due    int
		silent bool
	}{
		{2, []string{"stranger 2"}, 6, false}, // the term that the source began with
		{3, []string{"signed 2", "stranger 3"}, 7, false},
		{6, []string{"signed 2", "stranger 6"}, 7, false},
		{8, []string{"signed 2", "stranger 6"}, 7, true},
		{9, []string{"signed 2", "stranger 9"}, 7, true},
		{10, []string{"signed 2", "signed 9"}, 14, false},
		{11, []string{"signed 28"}, 16, false},
	} {
		now = day(step.at)
		text := "<rss>"
		for _, item := range step.items {
			title, published, _ := strings.Cut(item, " ")
			n, err := strconv.Atoi(published)
			if err != nil {
				t.Fatal(err)
			}
			text += "<item><guid>" + item + "</guid><title>" + title + "</title><pubDate>" + day(n).Format(time.RFC1123) + "</pubDate></item>"
		}
		if _, err := in.Import(t.Context(), "", "list", strings.NewReader(text+"</rss>"), "file"); err != nil {
			t.Fatal(err)
		}
		sweep()
		states, err := in.States(t.Context())
		if err != nil || !states[0].DueAt.Equal(day(step.due)) || states[0].SilentAt.IsZero() == step.silent {
			t.Errorf("step %d: %v, due %s, silent since %s", i+1, err, states[0].DueAt, states[0].SilentAt)
		}
	}
}

// TestMentions: who speaks of a vulnerability without naming a package, by its own name and by an advisory's, each with its bytes.
func TestMentions(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	const record = `{"vulnerabilities":[{"cve":{"id":"CVE-2026-0001","metrics":{"cvssMetricV31":[{"source":"nvd@nist.gov","cvssData":{"vectorString":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}}]}}}]}`
	in := intake.New(intake.Config{DB: dbtest.Open(t), Ledger: silentLedger{}, Blobs: blobs, Now: func() time.Time { return now }, Sources: []intake.Source{
		{Name: "kev", Parse: kev.Parse, MaxBytes: 1 << 20, MaxAge: time.Hour}, {Name: "feed", Parse: feed.Parse, MaxBytes: 1 << 20, MaxAge: time.Hour},
		{Name: "nvd", MaxBytes: 1 << 20, MaxAge: time.Hour, Collection: &intake.Collection{Parse: nvd.Parse(), IsDocument: nvd.IsDocument, MaxDocument: 1 << 20,
			MaxFiles: 10, MaxUnpacked: 1 << 20}}}})
	for source, document := range map[string]string{
		"kev": `{"count":1,"vulnerabilities":[{"cveID":"CVE-2026-0001","dateAdded":"2026-01-02"}]}`,
		"feed": "<rss><item><guid>old</guid><title>CVE-2026-0001</title><pubDate>Sun, 01 Nov 2026 00:00:00 GMT</pubDate></item><item><guid>new</guid><title>DSA-1-1</title>" +
			"<pubDate>Mon, 02 Nov 2026 00:00:00 GMT</pubDate></item><item><guid>other</guid><title>CVE-2026-0002</title></item></rss>"} {
		if _, err := in.Import(t.Context(), "", source, strings.NewReader(document), "file "+source); err != nil {
			t.Fatal(err)
		}
	}
	each := func(take func(intake.File) error) error {
		return take(intake.File{Path: "1.json", Body: strings.NewReader(record)})
	}
	if _, err := in.Deliver(t.Context(), "", "nvd", intake.Delivery{From: "file nvd", Whole: true, Each: each}); err != nil {
		t.Fatal(err)
	}
	k, err := in.Knowledge(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range k.Mentions("CVE-2026-0001", "DSA-1-1") {
		line := m.Source + " " + m.Says + " " + m.Bytes.Path + " from " + m.Bytes.From
		if m.Bulletin != nil {
			line += " " + m.Bulletin.ID
		}
		if got = append(got, line); len(m.Bytes.Digest) != 64 || !m.Bytes.FetchedAt.Equal(now) {
			t.Errorf("%s: bytes %+v", line, m.Bytes)
		}
	}
	want := []string{"kev exploited  from file kev", "nvd scores 1.json from file nvd", "feed announced  from file feed new", "feed announced  from file feed old"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if got := k.Mentions("CVE-2026-9"); len(got) != 0 {
		t.Errorf("of what nobody mentions: %+v", got)
	}
}

// TestATitleThatLooksLikeATime stops nothing.
func TestATitleThatLooksLikeATime(t *testing.T) {
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := intake.New(intake.Config{DB: dbtest.Open(t), Ledger: silentLedger{}, Blobs: blobs, Now: time.Now, Sources: []intake.Source{{Name: "feed", Parse: feed.Parse,
		MaxBytes: 1 << 20, MaxAge: time.Hour}}})
	const entry = "<rss><item><guid>a</guid><title>2026-11-21T12:00:00+02:00</title></item></rss>"
	if r, err := in.Import(t.Context(), "", "feed", strings.NewReader(entry), "file"); err != nil || r.New != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// silentLedger takes acts and forgets them.
type silentLedger struct{}

func (silentLedger) Append(context.Context, *db.Tx, proof.Act) (int64, error) { return 0, nil }

// TestNobodyTakesAnothersID: a mail under the Message-ID of another, sent to have that one taken for known, hides nothing; the same
// mail by two ways is one.
func TestNobodyTakesAnothersID(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	blobs, err := blob.Dir(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	in := intake.New(intake.Config{DB: dbtest.Open(t), Ledger: silentLedger{}, Blobs: blobs, Now: func() time.Time { return now },
		Sources: []intake.Source{{Name: "list", Parse: mail.Mbox(mail.Keys{}), MaxBytes: 1 << 20, MaxAge: time.Hour}}})
	const from = "From x\nFrom: a@example.org\nMessage-ID: <1@example.org>\n"
	mbox := from + "Subject: harmless\n\n\n" + from + "Subject: CVE-2026-0001\n\n\n" + from + "Subject: CVE-2026-0001\n\n"
	if _, err := in.Import(t.Context(), "", "list", strings.NewReader(mbox), "file"); err != nil {
		t.Fatal(err)
	}
	queue, _, err := in.Queue(t.Context(), 10)
	if err != nil || len(queue) != 2 || queue[0].Bulletin.Title+queue[1].Bulletin.Title != "harmlessCVE-2026-0001" || queue[0].ID == queue[1].ID {
		t.Errorf("%v, %+v", err, queue)
	}
}
