package intake_test

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// notes is a collection of made-up documents, "DATE NAME…": each name is a vulnerability fixed in 1-1.
type notes struct {
	*world
	parsed []string
}

func openNotes(t *testing.T, d *db.DB) *notes {
	n := &notes{world: newWorld(t, d)}
	n.Sources = append(n.Sources, intake.Source{Name: "notes", MaxBytes: 1 << 20, MaxAge: time.Hour, Collection: &intake.Collection{
		Parse: n.parse, IsDocument: func(path string) bool { return strings.HasSuffix(path, ".txt") },
		MaxDocument: 10_000, MaxFiles: 1000, MaxUnpacked: 1 << 20}})
	return n
}

func (n *notes) parse(path string, r io.Reader) (intake.Reading, error) {
	n.parsed = append(n.parsed, path)
	b, err := io.ReadAll(r)
	if err != nil {
		return intake.Reading{}, err
	}
	words := strings.Fields(string(b))
	if len(words) == 0 {
		return intake.Reading{}, fault.New(fault.Invalid, "the document is empty")
	}
	revised, err := time.Parse(time.DateOnly, words[0])
	if err != nil {
		return intake.Reading{}, fault.New(fault.Invalid, "the document has no date")
	}
	reading := intake.Reading{Revised: revised}
	for _, id := range words[1:] {
		reading.Statements = append(reading.Statements, intake.Statement{Package: "curl", Release: "bookworm", ID: id, Status: intake.Fixed, FixedVersion: "1-1"})
	}
	return reading, nil
}

func (n *notes) deliver(whole bool, files ...string) (intake.Receipt, error) {
	n.t.Helper()
	return n.Deliver(n.t.Context(), "", "notes", intake.Delivery{From: "https://example.org/notes", Whole: whole, Each: each(files...)})
}

// each gives files, "path=content".
func each(files ...string) func(take func(intake.File) error) error {
	return func(take func(intake.File) error) error {
		for _, f := range files {
			path, content, _ := strings.Cut(f, "=")
			if err := take(intake.File{Path: path, Body: strings.NewReader(content)}); err != nil {
				return err
			}
		}
		return nil
	}
}

// ids gives the vulnerabilities that the notes state.
func (n *notes) ids() string {
	n.t.Helper()
	var ids []string
	for _, s := range n.knowledge().Statements {
		ids = append(ids, s.ID)
	}
	return strings.Join(ids, " ")
}

func TestACollectionCostsOnlyWhatChanged(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		n := openNotes(t, d)
		r, err := n.deliver(true, "a.txt=2026-01-01 CVE-1 CVE-2", "b.txt=2026-01-01 CVE-3", "README=hello")
		if err != nil || r.Documents != 2 || r.New != 3 || r.Other != 1 || r.RefusedDocuments != 0 {
			t.Fatalf("%+v %v", r, err)
		}
		if got := n.ids(); got != "CVE-1 CVE-2 CVE-3" || len(n.parsed) != 2 {
			t.Errorf("states %s after reading %q", got, n.parsed)
		}
		n.parsed = nil
		if r, err = n.deliver(false, "b.txt=2026-01-02 CVE-3 CVE-4"); err != nil || r.Documents != 2 || r.New != 1 || r.Gone != 0 {
			t.Fatalf("%+v %v", r, err)
		}
		if got := n.ids(); got != "CVE-1 CVE-2 CVE-3 CVE-4" || fmt.Sprint(n.parsed) != "[b.txt]" {
			t.Errorf("states %s after reading %q", got, n.parsed)
		}
		if r, err = n.deliver(true, "b.txt=2026-01-02 CVE-3 CVE-4", "a.txt=2026-01-01 CVE-1 CVE-2"); err != nil || !r.Unchanged {
			t.Errorf("the same again: %+v %v", r, err)
		}
		s := n.knowledge().Statements[2]
		want := intake.Document{Path: "b.txt", Digest: envelope.Digest([]byte("2026-01-02 CVE-3 CVE-4")), Bytes: 22, From: "https://example.org/notes",
			FetchedAt: n.now, Revised: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
		if d := cmp.Diff(want, n.knowledge().Provenance(s)); d != "" {
			t.Error(d)
		}
	})
}

// TestTimesFromOutside: documents, lists and announcements tell times in any zone and year; they are kept in UTC, and one that cannot be
// is none.
func TestTimesFromOutside(t *testing.T) {
	n := openNotes(t, dbtest.Open(t))
	moments := map[string]string{"a": "2026-01-01T12:00:00+02:00", "b": "9999-12-31T23:59:59-05:00", "c": "0001-01-01T00:00:00+05:00"}
	parse := func(name string, _ io.Reader) (intake.Reading, error) {
		at, err := time.Parse(time.RFC3339, moments[name])
		return intake.Reading{Revised: at, Bulletins: []intake.Bulletin{{ID: name, Published: at}}, Support: []intake.Support{{Release: "bookworm", Until: at}}}, err
	}
	n.Sources = append(n.Sources, intake.Source{Name: "times", MaxBytes: 1 << 20, MaxAge: time.Hour, Collection: &intake.Collection{Parse: parse,
		IsDocument: func(string) bool { return true }, MaxDocument: 10, MaxFiles: 10, MaxUnpacked: 100}})
	_, err := n.Deliver(t.Context(), "", "times", intake.Delivery{From: "x", Whole: true, Each: func(take func(intake.File) error) error {
		for name, text := range moments {
			at, err := time.Parse(time.RFC3339, text)
			if err == nil {
				err = take(intake.File{Path: name, Listed: at, Body: strings.NewReader(name)})
			}
			if err != nil {
				return err
			}
		}
		return nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	documents, err := n.Documents(t.Context(), "times", false)
	if err != nil || len(documents) != 3 {
		t.Fatalf("%+v, %v", documents, err)
	}
	kept := time.Date(2026, 1, 1, 10, 0, 0, 0, time.UTC)
	for i, d := range documents {
		b, _ := n.knowledge().Bulletin("times", d.Path)
		for _, at := range []time.Time{d.Revised, d.Listed, b.Published, n.knowledge().Support[i].Until} {
			if want := map[bool]time.Time{true: kept}[i == 0]; !at.Equal(want) || at.Location() != time.UTC {
				t.Errorf("%s: %s, want %s", d.Path, at, want)
			}
		}
	}
}

func TestARefusedDocumentIsListedAndHidesNothing(t *testing.T) {
	n := openNotes(t, dbtest.Open(t))
	if _, err := n.deliver(true, "a.txt=2026-01-01 CVE-1", "b.txt=2026-01-01 CVE-2"); err != nil {
		t.Fatal(err)
	}
	sum := envelope.Digest([]byte("2026-01-02 CVE-5"))
	r, err := n.deliver(true, "a.txt=not a date", "b.txt=2025-12-31 CVE-9", "c.txt=2026-01-02 CVE-5", "c.txt.sha256="+sum+"  c.txt", "d.txt=2026-01-02 CVE-6",
		"e.txt=2026-01-02 CVE-7", "d.txt.sha512=0000 d.txt")
	if err != nil || r.Documents != 4 || r.RefusedDocuments != 3 {
		t.Fatalf("%+v %v", r, err)
	}
	if got := n.ids(); got != "CVE-1 CVE-2 CVE-5 CVE-7" {
		t.Errorf("states %s", got)
	}
	refused, err := n.Documents(t.Context(), "notes", true)
	if err != nil || len(refused) != 3 {
		t.Fatalf("%+v %v", refused, err)
	}
	for i, want := range []string{"no date", "an older one came again", "not the digest that d.txt.sha512 names"} {
		if !strings.Contains(refused[i].Refused, want) || (refused[i].Digest == "") != (i == 2) || refused[i].RefusedDigest == "" {
			t.Errorf("%+v, want %s", refused[i], want)
		}
	}
	if all, err := n.Documents(t.Context(), "notes", false); err != nil || len(all) != r.Documents+1 {
		t.Errorf("%d documents, %v", len(all), err)
	}
	if s := n.state("notes"); s.Documents != 4 || s.RefusedDocuments != 3 {
		t.Errorf("%+v", s)
	}
	if _, err := n.deliver(false, "a.txt=2026-01-03 CVE-1", "b.txt=2026-01-03 CVE-2", "d.txt=2026-01-03 CVE-6"); err != nil {
		t.Fatal(err)
	}
	if refused, err = n.Documents(t.Context(), "notes", true); err != nil || len(refused) != 0 {
		t.Errorf("good versions came, and %+v are refused; %v", refused, err)
	}
}

func TestDeliveriesThatAreRefusedAsAWhole(t *testing.T) {
	many := make([]string, 40)
	for i := range many {
		many[i] = fmt.Sprintf("%02d.txt=2026-01-01 CVE-%d", i, i)
	}
	for name, c := range map[string]struct {
		files []string
		want  string
	}{
		"half is missing":    {many[:20], "shrank from 40 to 20"},
		"most are damaged":   {append([]string{"00.txt=x", "01.txt=x", "02.txt=x", "03.txt=x"}, many[4:]...), "4 of 40 documents cannot be accepted"},
		"a path leads out":   {append([]string{"../00.txt=2026-01-01 CVE-0"}, many...), "not a plain relative one"},
		"an absolute path":   {append([]string{"/etc/00.txt=2026-01-01 CVE-0"}, many...), "not a plain relative one"},
		"a backslash":        {append([]string{`..\00.txt=2026-01-01 CVE-0`}, many...), "not a plain relative one"},
		"one path twice":     {append([]string{many[0]}, many...), "00.txt twice"},
		"no document":        {[]string{"README=hello"}, "shrank from 40 to 0"},
		"more than may come": {slicesRepeat("x%d=", 1001), "more than 1000 files"},
	} {
		t.Run(name, func(t *testing.T) {
			n := openNotes(t, dbtest.Open(t))
			if _, err := n.deliver(true, many...); err != nil {
				t.Fatal(err)
			}
			before := n.ids()
			_, err := n.deliver(true, c.files...)
			if name == "no document" {
				c.want = "holds no document"
			}
			if fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("got %v, want %s", err, c.want)
			}
			if n.ids() != before || n.state("notes").RefusedAt.IsZero() || len(n.acts("notes")) != 2 {
				t.Errorf("the knowledge changed or there is no alarm: %q", n.acts("notes"))
			}
		})
	}
}

func slicesRepeat(format string, n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf(format, i))
	}
	return all
}

func TestADocumentWithoutAPinnedSignatureIsRefused(t *testing.T) {
	n := openNotes(t, dbtest.Open(t))
	n.Sources[len(n.Sources)-1].Collection.Verify = func(signed io.ReadSeeker, signature []byte) (string, error) {
		b, err := io.ReadAll(signed)
		if err != nil || string(signature) != "by alice: "+string(b) {
			return "", fault.Refuse(fault.BadSignature, "no good signature by a pinned key")
		}
		return "alice", nil
	}
	a, b := "a.txt=2026-01-01 CVE-1", "b.txt=2026-01-01 CVE-2"
	signed := "a.txt.asc=by alice: 2026-01-01 CVE-1"
	r, err := n.deliver(true, a, b, signed)
	if err != nil || r.Documents != 1 || r.RefusedDocuments != 1 || n.ids() != "CVE-1" {
		t.Fatalf("%+v %v", r, err)
	}
	if p := n.knowledge().Provenance(n.knowledge().Statements[0]); p.SignedBy != "alice" {
		t.Errorf("%+v", p)
	}
	if _, err := n.deliver(false, "a.txt=2026-01-02 CVE-9", signed); err != nil || n.ids() != "CVE-1" {
		t.Errorf("other bytes under the signature: states %s, %v", n.ids(), err)
	}
	if r, err = n.deliver(true, a, b); err != nil || n.ids() != "CVE-1" {
		t.Errorf("the same bytes, whose signature was checked: %+v %v", r, err)
	}
}

func TestAPersonMayAcceptThatASourceShrank(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		n := openNotes(t, d)
		if _, err := n.deliver(true, "a.txt=2026-01-01 CVE-1 CVE-2", "b.txt=2026-01-01 CVE-3"); err != nil {
			t.Fatal(err)
		}
		if _, err := n.deliver(true, "b.txt=2026-01-01 CVE-3"); fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
		digest := n.state("notes").Shrunk
		for _, c := range [][2]string{{digest, " "}, {strings.Repeat("0", 64), "really"}, {n.state("notes").Digest, "really"}, {"", "really"}} {
			if _, err := n.AcceptShrink(t.Context(), "alice", "notes", c[0], c[1]); fault.KindOf(err) != fault.Conflict && fault.KindOf(err) != fault.Invalid {
				t.Errorf("%q: %v", c, err)
			}
		}
		r, err := n.AcceptShrink(t.Context(), "alice", "notes", digest, "a was withdrawn")
		if err != nil || r.Gone != 2 || n.ids() != "CVE-3" {
			t.Fatalf("%+v %v, states %s", r, err, n.ids())
		}
		acts := n.acts("notes")
		if last := acts[len(acts)-1]; !strings.HasPrefix(last, "person/alice source.shrink-accepted ") || !strings.Contains(last, `"reason":"a was withdrawn"`) {
			t.Error(last)
		}
		if s := n.state("notes"); s.Shrunk != "" || !s.RefusedAt.IsZero() || s.Digest != digest {
			t.Errorf("%+v", s)
		}
		n.imports(tracker(100, "1-1"))
		if _, err := n.Import(t.Context(), "", "debian-tracker", strings.NewReader(tracker(10, "1-1")), "file"); fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
		if r, err = n.AcceptShrink(t.Context(), "alice", "debian-tracker", n.state("debian-tracker").Shrunk, "support ended"); err != nil || r.Gone != 90 {
			t.Errorf("a file: %+v %v", r, err)
		}
	})
}

func TestAnArchiveIsACollection(t *testing.T) {
	n := openNotes(t, dbtest.Open(t))
	archive := zipped(t, "a.txt=2026-01-01 CVE-1", "sub/b.txt=2026-01-01 CVE-2")
	r, err := n.Import(t.Context(), "alice", "notes", bytes.NewReader(archive), "file:notes.zip")
	if err != nil || r.Documents != 2 || n.ids() != "CVE-1 CVE-2" {
		t.Fatalf("%+v %v", r, err)
	}
	for name, bad := range map[string][]byte{"truncated": archive[:len(archive)/2], "a bomb": zipped(t, "a.txt="+strings.Repeat(" ", 2<<20)), "text": []byte("hello"),
		"leads out": zipped(t, "../a.txt=2026-01-01 CVE-1"), "larger than may be": make([]byte, 1<<20+1)} {
		_, err := n.Import(t.Context(), "alice", "notes", bytes.NewReader(bad), "file")
		acts := n.acts("notes")
		if fault.KindOf(err) != fault.Invalid || n.ids() != "CVE-1 CVE-2" || !strings.Contains(acts[len(acts)-1], "source.refused") {
			t.Errorf("%s: %v", name, err)
		}
	}
	broken := errors.New("connection reset")
	before := len(n.acts("notes"))
	_, err = n.Deliver(t.Context(), "", "notes", intake.Delivery{Each: func(func(intake.File) error) error { return broken }})
	if !errors.Is(err, broken) || len(n.acts("notes")) != before {
		t.Errorf("a broken transfer is no refusal: %v", err)
	}
	if ok, err := blob.ReadAll(t.Context(), n.blobs, envelope.Digest([]byte("hello")), 10); err != nil || string(ok) != "hello" {
		t.Errorf("the refused bytes are not kept: %v", err)
	}
}

func zipped(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	for _, f := range files {
		path, content, _ := strings.Cut(f, "=")
		w, err := z.Create(path)
		if err == nil {
			_, err = io.WriteString(w, content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestLeadingStatements(t *testing.T) {
	s := func(status intake.Status, version, condition, advisory string) intake.Statement {
		return intake.Statement{Package: "p", Release: "r", ID: "CVE-1", Status: status, FixedVersion: version, Condition: condition, Advisory: advisory}
	}
	got := intake.Lead([]intake.Statement{s(intake.Fixed, "1-9", "", "DSA-1"), s(intake.NotAffected, "", "", ""), s(intake.Fixed, "1-10", "pro", ""),
		s(intake.Fixed, "1-10", "", "DSA-2"), s(intake.Fixed, "1-9", "", "")})
	want := []intake.Statement{s(intake.Fixed, "1-10", "", "DSA-2"), s(intake.Fixed, "1-9", "", "DSA-1"), s(intake.NotAffected, "", "", ""), s(intake.Fixed, "1-10", "pro", "")}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// TestNoDeliveryIsLostToAnother: one comes while the files of another are on their way, and one while those are read.
func TestNoDeliveryIsLostToAnother(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		n := openNotes(t, d)
		other := func(id string) {
			t.Helper()
			if _, err := n.deliver(false, id+".txt=2026-01-01 "+id); err != nil {
				t.Fatal(err)
			}
		}
		other("CVE-1")
		_, err := n.Deliver(t.Context(), "", "notes", intake.Delivery{From: "x", Each: func(take func(intake.File) error) error {
			other("CVE-2")
			return each("CVE-3.txt=2026-01-01 CVE-3")(take)
		}})
		if got := n.ids(); err != nil || got != "CVE-1 CVE-2 CVE-3" {
			t.Errorf("states %s, %v", got, err)
		}
		parse := n.Sources[len(n.Sources)-1].Collection
		parse.Parse = func(path string, r io.Reader) (intake.Reading, error) {
			parse.Parse = n.parse
			other("CVE-4")
			return n.parse(path, r)
		}
		if _, err := n.deliver(false, "CVE-5.txt=2026-01-01 CVE-5"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("%v, want a conflict", err)
		}
		if _, err := n.deliver(false, "CVE-5.txt=2026-01-01 CVE-5"); err != nil || n.ids() != "CVE-1 CVE-2 CVE-3 CVE-4 CVE-5" {
			t.Errorf("states %s, %v", n.ids(), err)
		}
	})
}
