package intake_test

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/mod/sumdb/note"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/intake/kev"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
)

type world struct {
	*intake.Intake
	t      *testing.T
	ledger *ledger.Ledger
	blobs  blob.Store
	now    time.Time
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	secret, verifier, err := note.GenerateKey(rand.Reader, "example.org/log")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(secret)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, now: time.Date(2026, 11, 20, 8, 0, 0, 0, time.UTC)}
	clock := func() time.Time { return w.now }
	w.ledger, err = ledger.New(ledger.Config{DB: d, Signer: signer, Verifier: verifier, Origin: "example.org/log",
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	if w.blobs, err = blob.Dir(t.TempDir()); err != nil {
		t.Fatal(err)
	}
	w.Intake = intake.New(intake.Config{DB: d, Ledger: w.ledger, Blobs: w.blobs, Now: clock, Sources: []intake.Source{
		{Name: debian.TrackerSource, Parse: debian.Tracker(), MaxBytes: 1 << 16, MaxAge: 24 * time.Hour},
		{Name: debian.ArchiveSource, Parse: debian.ParseArchive, MaxBytes: 1 << 16, MaxAge: 24 * time.Hour},
		{Name: kev.Source, Parse: kev.Parse, MaxBytes: 1 << 16, MaxAge: 48 * time.Hour},
	}})
	return w
}

func (w *world) imports(doc string) intake.Receipt {
	w.t.Helper()
	r, err := w.Import(w.t.Context(), "alice", debian.TrackerSource, strings.NewReader(doc), "https://example.org/json")
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// acts gives the kinds and details of all acts on a source.
func (w *world) acts(source string) []string {
	w.t.Helper()
	entries, err := w.ledger.List(w.t.Context(), ledger.Filter{Subject: "source/" + source})
	if err != nil {
		w.t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Act.Who+" "+e.Act.Kind+" "+string(e.Act.Detail))
	}
	return all
}

func (w *world) state(source string) intake.SourceState {
	w.t.Helper()
	states, err := w.States(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	for _, s := range states {
		if s.Name == source {
			return s
		}
	}
	return intake.SourceState{}
}

// tracker makes a tracker document in which n vulnerabilities of curl are fixed in a version.
func tracker(n int, version string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"CVE-2026-%d":{"releases":{"bookworm":{"status":"resolved","fixed_version":"%s"}}}`, 1000+i, version)
	}
	return `{"curl":{` + b.String()[1:] + `}}`
}

func TestReceiving(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		first := tracker(3, "1-1")
		r := w.imports(first)
		want := intake.Receipt{From: "https://example.org/json", Bytes: int64(len(first)), Statements: 3, New: 3, Digest: envelope.Digest([]byte(first))}
		if d := cmp.Diff(want, r); d != "" {
			t.Error(d)
		}
		if kept, err := blob.ReadAll(t.Context(), w.blobs, r.Digest, 1<<20); err != nil || string(kept) != first {
			t.Errorf("the bytes are not kept: %v", err)
		}
		second := strings.Replace(tracker(4, "1-1"), `"CVE-2026-1000":{"releases":{"bookworm":{"status":"resolved","fixed_version":"1-1"}}}`,
			`"CVE-2026-1000":{"description":"only words","releases":{"bookworm":{"status":"resolved","fixed_version":"1-1"}}}`, 1)
		second = strings.Replace(second, `"CVE-2026-1001":{"releases":{"bookworm":{"status":"resolved","fixed_version":"1-1"}}}`,
			`"CVE-2026-1001":{"releases":{"bookworm":{"status":"open"}}}`, 1)
		second = strings.Replace(second, "CVE-2026-1002", "CVE-2026-2002", 1)
		if r = w.imports(second); r.New != 2 || r.Changed != 1 || r.Gone != 1 {
			t.Errorf("got %+v, want 2 new, 1 changed, 1 gone", r)
		}
		w.now = w.now.Add(time.Hour)
		if r = w.imports(second); !r.Unchanged || r.New+r.Changed+r.Gone != 0 {
			t.Errorf("the same bytes: %+v", r)
		}
		if got := w.state(debian.TrackerSource); !got.CheckedAt.Equal(w.now) || got.ReceivedAt.Equal(w.now) || got.Digest != r.Digest {
			t.Errorf("after the same bytes: %+v", got)
		}
		wantActs := []string{
			fmt.Sprintf(`person/alice source.received {"from":"https://example.org/json","bytes":%d,"statements":3,"signals":0,"new":3,"changed":0,"gone":0}`, len(first)),
			fmt.Sprintf(`person/alice source.received {"from":"https://example.org/json","bytes":%d,"statements":4,"signals":0,"new":2,"changed":1,"gone":1}`, len(second)),
		}
		if d := cmp.Diff(wantActs, w.acts(debian.TrackerSource)); d != "" {
			t.Error(d)
		}
	})
}

func TestRefusedReceiptsLeaveTheStateAlone(t *testing.T) {
	good := tracker(100, "1-1")
	cases := map[string]struct{ doc, want string }{
		"not JSON":       {"<html>404</html>", "is not JSON"},
		"truncated":      {good[:len(good)/2], "truncated"},
		"empty":          {"", "is empty"},
		"shrank by half": {tracker(50, "1-1"), "shrank from 100 to 50"},
		"shrank by 6 %":  {tracker(94, "1-1"), "shrank from 100 to 94"},
		"too large":      {good + strings.Repeat(" ", 1<<16), "larger than 65536 bytes"},
		"other release":  {strings.ReplaceAll(good, "bookworm", "trixie"), "shrank from 100 to 0 statements about bookworm"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dbtest.Open(t))
			w.imports(good)
			before, known := w.state(debian.TrackerSource), w.knowledge()
			w.now = w.now.Add(time.Hour)
			_, err := w.Import(t.Context(), "", debian.TrackerSource, strings.NewReader(c.doc), "file")
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want an invalid error with %q", err, c.want)
			}
			after := w.state(debian.TrackerSource)
			if !after.RefusedAt.Equal(w.now) || !strings.Contains(after.Refused, c.want) {
				t.Errorf("no alarm: %+v", after)
			}
			after.RefusedAt, after.Refused, after.Shrunk = before.RefusedAt, before.Refused, before.Shrunk
			if d := cmp.Diff(before, after); d != "" {
				t.Errorf("more than the alarm changed: %s", d)
			}
			if w.knowledge() != known {
				t.Error("the knowledge changed")
			}
			acts := w.acts(debian.TrackerSource)
			if len(acts) != 2 || !strings.HasPrefix(acts[1], "server source.refused ") || !strings.Contains(acts[1], c.want) {
				t.Errorf("acts: %q", acts)
			}
			if w.imports(good); !w.state(debian.TrackerSource).RefusedAt.IsZero() {
				t.Error("a good receipt does not end the alarm")
			}
		})
	}
}

func (w *world) knowledge() *intake.Knowledge {
	w.t.Helper()
	k, err := w.Knowledge(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

func TestFivePercentLessIsNoShrinking(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	w.imports(tracker(100, "1-1"))
	if r := w.imports(tracker(95, "1-1")); r.Gone != 5 {
		t.Errorf("%+v", r)
	}
}

func TestABrokenTransferIsNoRefusal(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	broken := errors.New("connection reset")
	_, err := w.Import(t.Context(), "", debian.TrackerSource, iotest.ErrReader(broken), "url")
	if !errors.Is(err, broken) || len(w.acts(debian.TrackerSource)) != 0 {
		t.Errorf("got %v, acts %q", err, w.acts(debian.TrackerSource))
	}
	if _, err := w.Import(t.Context(), "", "nobody", strings.NewReader(""), "url"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("unknown source: %v", err)
	}
}

func TestSilenceRaisesOneAlarmAndForgetsNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		sweep := func() {
			t.Helper()
			if err := w.Sweep(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		sweep()
		w.imports(tracker(3, "1-1"))
		known := w.knowledge()
		w.now = w.now.Add(24 * time.Hour)
		sweep()
		w.now = w.now.Add(time.Hour)
		sweep()
		if got := w.state(debian.TrackerSource).SilentAt; !got.Equal(w.now.Add(-time.Hour)) {
			t.Errorf("silent since %s", got)
		}
		if acts := w.acts(debian.TrackerSource); len(acts) != 3 || acts[2] != `server source.silent {"last_heard":"2026-11-20T08:00:00Z"}` {
			t.Errorf("acts: %q", acts)
		}
		if acts := w.acts(kev.Source); len(acts) != 1 || acts[0] != `server source.registered {"hours":48}` {
			t.Errorf("a source never heard, before its term: %q", acts)
		}
		w.now = w.now.Add(24 * time.Hour)
		if sweep(); len(w.acts(kev.Source)) != 2 {
			t.Errorf("a source never heard, after its term: %q", w.acts(kev.Source))
		}
		if w.knowledge() != known {
			t.Error("silence changed the knowledge")
		}
		if w.imports(tracker(3, "1-1")); !w.state(debian.TrackerSource).SilentAt.IsZero() || len(w.acts(debian.TrackerSource)) != 4 {
			t.Errorf("the source's return is not recorded: %q", w.acts(debian.TrackerSource))
		}
	})
}

func TestReviewQueue(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		w.imports(tracker(3, "1-1"))
		queue, all, err := w.Queue(t.Context(), 2)
		if err != nil || all != 3 || len(queue) != 2 || queue[0].ID != "CVE-2026-1000" || !queue[0].DueAt.Equal(w.now.Add(48*time.Hour)) {
			t.Fatalf("queue of %d: %+v %v", all, queue, err)
		}
		rest, all, err := w.QueueAfter(t.Context(), queue[1], 2)
		if err != nil || all != 3 || len(rest) != 1 || rest[0].ID != "CVE-2026-1002" {
			t.Errorf("rest of the queue of %d: %+v %v", all, rest, err)
		}
		review := intake.Review{Advisories: []intake.Seen{rest[0].Seen(), queue[1].Seen()}, Reason: "curl is not used"}
		if err := w.Review(t.Context(), "bob", review); err != nil {
			t.Fatal(err)
		}
		acts := w.acts(debian.TrackerSource)
		if got := acts[len(acts)-1]; got != `person/bob advisory.reviewed {"count":2,"relevant":false,"reason":"curl is not used"}` {
			t.Error(got)
		}
		review.Advisories = []intake.Seen{queue[0].Seen(), queue[1].Seen()}
		if err := w.Review(t.Context(), "bob", review); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a second review of the same: %v", err)
		}
		if _, all, _ := w.Queue(t.Context(), 0); all != 1 {
			t.Errorf("%d wait after a refused review, want 1", all)
		}
		whole := func(want ...string) {
			t.Helper()
			queue, all, err := w.WholeQueue(t.Context())
			var got []string
			for _, a := range queue {
				got = append(got, a.ID)
			}
			if err != nil || all != len(want) || !slices.Equal(got, want) {
				t.Errorf("the whole queue of %d: %v, %v; want %v", all, got, err, want)
			}
		}
		whole("CVE-2026-1000")
		w.now = w.now.Add(time.Minute)
		w.imports(strings.Replace(tracker(3, "1-1"), `"1-1"`, `"1-2"`, 3)) // revised: all are to be looked at again
		if _, all, _ := w.Queue(t.Context(), 0); all != 3 {
			t.Errorf("%d wait after a revision, want 3", all)
		}
		whole("CVE-2026-1000", "CVE-2026-1001", "CVE-2026-1002")
		review.Advisories = review.Advisories[:1]
		if err := w.Review(t.Context(), "bob", review); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a review of what was revised since: %v", err)
		}
		queue, _, err = w.Queue(t.Context(), 1)
		if err != nil {
			t.Fatal(err)
		}
		review.Advisories[0].Revision = queue[0].Revision[:15]
		if err := w.Review(t.Context(), "bob", review); fault.KindOf(err) != fault.Conflict {
			t.Errorf("a review of any revision that begins so: %v", err)
		}
		review.Advisories[0].Revision = queue[0].Revision[:16]
		if err := w.Review(t.Context(), "bob", review); err != nil {
			t.Errorf("a review of the revision that there is: %v", err)
		}
		review.Reason = " "
		if err := w.Review(t.Context(), "bob", review); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a review without a reason: %v", err)
		}
	})
}

func TestKnowledgeJoinsSourcesByPrecedence(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	archive := `{"release":"bookworm","sources":[{"source":"curl","entries":[{"version":"1-0","cves":["CVE-2026-1000"]}]}]}`
	exploited := `{"count":1,"vulnerabilities":[{"cveID":"CVE-2026-1000","vulnerabilityName":"n","dateAdded":"2026-01-02"}]}`
	for source, doc := range map[string]string{debian.ArchiveSource: archive, kev.Source: exploited} {
		if _, err := w.Import(t.Context(), "", source, bytes.NewReader([]byte(doc)), "file"); err != nil {
			t.Fatal(err)
		}
	}
	w.imports(tracker(1, "1-1"))
	k := w.knowledge()
	var got []string
	for _, s := range k.Statements {
		got = append(got, s.ID+" "+s.Source+" "+s.FixedVersion)
	}
	if d := cmp.Diff([]string{"CVE-2026-1000 debian-tracker 1-1", "CVE-2026-1000 debian-archive 1-0"}, got); d != "" {
		t.Error(d)
	}
	if s := k.Signal("CVE-2026-1000"); s.Exploited == nil || s.Exploited.Since != "2026-01-02" {
		t.Errorf("signal %+v", s)
	}
	if s := k.Signal("CVE-2026-9"); s.Exploited != nil || s.Score != 0 {
		t.Errorf("signal of an unknown CVE: %+v", s)
	}
	if w.knowledge() != k {
		t.Error("knowledge is made again without a change")
	}
}

func TestDigestIsOfTheClaimNotTheWords(t *testing.T) {
	a := intake.Statement{Source: "s", Package: "p", Release: "r", ID: "CVE-2026-1", Status: intake.Fixed, FixedVersion: "1"}
	b, c := a, a
	b.Description, c.FixedVersion = "words", "2"
	if a.Digest() != b.Digest() || a.Digest() == c.Digest() {
		t.Error("the digest must follow the claim alone")
	}
}

// TestAnOlderFileIsRefused: the catalogue of last month, within the 5 % that may be missing, hides what was added since.
func TestAnOlderFileIsRefused(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	catalogue := func(released string, entries int) string {
		text := ""
		for i := range entries {
			text += fmt.Sprintf(`,{"cveID":"CVE-2026-%d","dateAdded":"2026-01-02"}`, 1000+i)
		}
		return fmt.Sprintf(`{"dateReleased":%q,"count":%d,"vulnerabilities":[%s]}`, released, entries, text[1:])
	}
	for i, step := range []struct {
		document string
		accepted bool
	}{
		{catalogue("2026-01-20T00:00:00.5Z", 100), true}, {catalogue("2026-01-20T00:00:00.5Z", 100), true}, {catalogue("2026-01-19T00:00:00.5Z", 99), false},
		{catalogue("2026-01-21T00:00:00.5Z", 99), true}, {catalogue("yesterday", 98), true}, {catalogue("2026-01-20T00:00:00.5Z", 97), true},
		{catalogue("2066-01-20T00:00:00.5Z", 97), true}, {catalogue("2026-01-21T00:00:00.5Z", 97), true},
	} {
		_, err := w.Import(t.Context(), "", kev.Source, strings.NewReader(step.document), "file")
		if accepted := err == nil; accepted != step.accepted || !accepted && (fault.KindOf(err) != fault.Invalid || w.state(kev.Source).RefusedAt.IsZero()) {
			t.Errorf("step %d: %v", i+1, err)
		}
	}
}
