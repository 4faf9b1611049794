package record

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

type world struct {
	*Records
	t    *testing.T
	acts []proof.Act
}

func (w *world) Append(_ context.Context, _ *db.Tx, a proof.Act) (int64, error) {
	w.acts = append(w.acts, a)
	return int64(len(w.acts) - 1), nil
}

func (w *world) CurrentRoot(context.Context) (*trustroot.Root, error) {
	return &trustroot.Root{People: []trustroot.Person{{ID: "dave"}}}, nil
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	blobs, err := blob.Dir(t.TempDir())
	check(t, err)
	w := &world{t: t}
	w.Records = New(Config{DB: d, Ledger: w, Blobs: blobs, Root: w, Now: func() time.Time { return time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC) }})
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) kinds() string {
	var all []string
	for _, a := range w.acts {
		all = append(all, a.Kind)
	}
	return strings.Join(all, " ")
}

var full = Fields{Hostname: "web1.example.org", Vendor: "Dell", Model: "R6\"15, 1U", Serial: "SN-1", Maintenance: "noc@example.org", Rack: "A 12",
	Use: "web", Addresses: []string{"192.0.2.1", "2001:db8::1"}, Zone: "dmz", Environment: "production", Ring: "1", QuorumGroup: "web",
	Criticality: "high", Exposure: "internet", Owner: "dave", Unit: "Shop", Build: "base-12", StageTwin: "web1-stage", Notes: "line one\nline two"}

func TestEditsAreActsWithBeforeAndAfter(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		rec, err := w.Create(ctx, "erin", full)
		check(t, err)
		again, err := w.Change(ctx, "erin", rec.ID, rec.Revision, full)
		if err != nil || again.Revision != rec.Revision || len(w.acts) != 1 {
			t.Errorf("a change of nothing: %+v, %v, acts %s", again, err, w.kinds())
		}
		f := full
		f.Zone, f.Notes = "core", ""
		changed, err := w.Change(ctx, "erin", rec.ID, rec.Revision, f)
		check(t, err)
		if a := w.acts[1]; a.Kind != "record.changed" || a.Who != "person/erin" ||
			string(a.Detail) != `{"after":{"notes":"","zone":"core"},"before":{"notes":"line one\nline two","zone":"dmz"},"hostname":"web1.example.org","revision":2}` {
			t.Errorf("act %+v %s", a, a.Detail)
		}
		if _, err := w.Change(ctx, "frank", rec.ID, rec.Revision, full); fault.CodeOf(err) != fault.Stale || fault.KindOf(err) != fault.Conflict {
			t.Errorf("a lost update: %v", err)
		}
		if _, err := w.Create(ctx, "erin", Fields{Hostname: full.Hostname}); fault.KindOf(err) != fault.Conflict {
			t.Errorf("the name twice: %v", err)
		}
		check(t, w.Drop(ctx, "erin", rec.ID, changed.Revision))
		gone, err := w.Get(ctx, rec.ID)
		if err != nil || gone.DroppedAt.IsZero() || gone.Zone != "core" {
			t.Errorf("a dropped record is still read: %+v, %v", gone, err)
		}
		if all, err := w.List(ctx, Filter{}, "", 10); err != nil || len(all) != 0 {
			t.Errorf("and listed: %+v, %v", all, err)
		}
		if _, err := w.Create(ctx, "erin", full); err != nil {
			t.Errorf("its name is free again: %v", err)
		}
		if all, upTo, err := w.Since(ctx, 0); err != nil || len(all) != 2 || upTo != 4 {
			t.Errorf("since the start: %d records up to %d, %v", len(all), upTo, err)
		}
	})
}

func TestTheDoorRefuses(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	for what, spoil := range map[string]func(*Fields){
		"no name":             func(f *Fields) { f.Hostname = "" },
		"a name in capitals":  func(f *Fields) { f.Hostname = "Web1" },
		"a path":              func(f *Fields) { f.Hostname = "../web1" },
		"criticality":         func(f *Fields) { f.Criticality = "huge" },
		"exposure":            func(f *Fields) { f.Exposure = "yes" },
		"an address":          func(f *Fields) { f.Addresses = []string{"192.0.2.300"} },
		"a scoped address":    func(f *Fields) { f.Addresses = []string{"fe80::1%eth0"} },
		"a stranger as owner": func(f *Fields) { f.Owner = "mallory" },
		"an escape sequence":  func(f *Fields) { f.Rack = "\x1b[2J" },
		"hidden direction":    func(f *Fields) { f.Unit = "a\u202eb" },
		"two lines":           func(f *Fields) { f.Vendor = "a\nb" },
		"too long":            func(f *Fields) { f.Vendor = strings.Repeat("x", 201) },
		"not UTF-8":           func(f *Fields) { f.Notes = "\xff" },
		"a zone":              func(f *Fields) { f.Zone = "DMZ 1" },
	} {
		f := full
		spoil(&f)
		if _, err := w.Create(t.Context(), "erin", f); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v", what, err)
		}
	}
	if len(w.acts) != 0 {
		t.Errorf("acts %s", w.kinds())
	}
}

func TestListsFilterAndGoOn(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		for _, name := range []string{"a", "b-1", "b2", "c", "d%d"} {
			f := Fields{Hostname: strings.ReplaceAll(name, "%", ""), Zone: "dmz", Serial: name}
			if name == "c" {
				f.Zone = "core"
			}
			_, err := w.Create(t.Context(), "erin", f)
			check(t, err)
		}
		for _, c := range []struct {
			f    Filter
			want string
		}{{Filter{}, "a b-1 b2 c dd"}, {Filter{Zone: "dmz"}, "a b-1 b2 dd"}, {Filter{Text: "B"}, "b-1 b2"}, {Filter{Text: "%"}, "dd"}, {Filter{Text: "_"}, ""},
			{Filter{Zone: "dmz", Unlinked: true, Text: "b2"}, "b2"}} {
			for _, limit := range []int{1, 2, 10} {
				var got []string
				for after := ""; ; {
					page, err := w.List(t.Context(), c.f, after, limit)
					check(t, err)
					if len(page) == 0 {
						break
					}
					for _, r := range page {
						got = append(got, r.Hostname)
					}
					after = got[len(got)-1]
				}
				if strings.Join(got, " ") != c.want {
					t.Errorf("%+v by %d: %v", c.f, limit, got)
				}
			}
		}
	})
}

// TestAnExportImportedChangesNothing: in both formats, whatever a text begins with.
func TestAnExportImportedChangesNothing(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	odd := Fields{Hostname: "odd", Vendor: `=HYPERLINK("http://evil")`, Model: "+1", Use: "'=x", Rack: "-1", Maintenance: "@noc", Unit: "'plain'", Notes: "''+,\"\n"}
	for _, f := range []Fields{full, odd} {
		_, err := w.Create(t.Context(), "erin", f)
		check(t, err)
	}
	all, err := w.Export(t.Context())
	check(t, err)
	for _, format := range []Format{CSV, JSON} {
		var b bytes.Buffer
		check(t, Encode(&b, format, all))
		out, err := w.Import(t.Context(), "erin", format, b.Bytes(), false)
		if err != nil || out.Same != 2 || out.Changed+out.Created+len(out.Errors) != 0 {
			t.Errorf("%s: %+v, %v\n%s", format, out, err, b.String())
		}
		if format == CSV {
			rows, _, err := decode(CSV, b.Bytes())
			check(t, err)
			if len(rows) != 2 || strings.Contains(b.String(), `,=`) || strings.Contains(b.String(), `"=`) || strings.Contains(b.String(), ",+1,") ||
				strings.Contains(b.String(), ",@noc") || strings.Contains(b.String(), ",-1,") {
				t.Errorf("a spreadsheet would compute a cell:\n%s", b.String())
			}
		}
	}
}

func TestImportIsAllOrNothing(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		rec, err := w.Create(ctx, "erin", full)
		check(t, err)
		w.acts = nil
		bad := "hostname,zone,owner,revision\nweb1.example.org,core,dave,9\nnew1,BAD ZONE,mallory,\nnew1,dmz,,\nshort\n"
		out, err := w.Import(ctx, "erin", CSV, []byte(bad), false)
		check(t, err)
		want := []RowError{{4, "", "it has 1 cells, the header 4"},
			{1, "revision", "the record was changed since the file was made; export again"},
			{2, "zone", "want " + aName}, {2, "owner", "the trust root has no such person"},
			{3, "hostname", "row 2 is about the same host"}}
		if diff := cmp.Diff(want, out.Errors); diff != "" || len(w.acts) != 0 || out.Refused() == nil {
			t.Errorf("acts %q\n%s", w.kinds(), diff)
		}
		good := "hostname,zone,addresses\r\nweb1.example.org,core,\r\nnew1,dmz,\"192.0.2.9 192.0.2.8\"\r\n"
		dry, err := w.Import(ctx, "erin", CSV, []byte(good), true)
		check(t, err)
		if !dry.DryRun || dry.Created != 1 || dry.Changed != 1 || len(w.acts) != 0 ||
			cmp.Diff(map[string]string{"zone": "dmz", "addresses": "192.0.2.1 2001:db8::1"}, dry.Changes[0].Before) != "" {
			t.Errorf("dry run: %+v, acts %q", dry, w.kinds())
		}
		_, err = w.Import(ctx, "erin", CSV, []byte(good), false)
		check(t, err)
		if w.kinds() != "record.changed record.created records.imported" {
			t.Errorf("acts %q", w.kinds())
		}
		now, err := w.Get(ctx, rec.ID)
		if err != nil || now.Zone != "core" || now.Addresses != nil || now.Vendor != "Dell" {
			t.Errorf("after: %+v, %v", now, err)
		}
	})
}

// TestImportTakesNoOtherFields: what links a record to a host, or says which revision it is, cannot come in by a file.
func TestImportTakesNoOtherFields(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	for _, c := range []struct {
		format Format
		file   string
	}{
		{CSV, "hostname,host\nweb1,hst_1\n"}, {CSV, "hostname,hostname\na,b\n"}, {CSV, ""}, {CSV, "hostname\n\xff\n"},
		{JSON, `{"records":[{"hostname":"a"}]} x`}, {JSON, `{}`}, {JSON, `{"records":[],"more":1}`}, {"xml", ""},
	} {
		if _, err := w.Import(t.Context(), "erin", c.format, []byte(c.file), false); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s %q: %v", c.format, c.file, err)
		}
	}
	for _, file := range []string{`{"records":[{"hostname":"a","host":"hst_1"}]}`, `{"records":[{"hostname":"a","zone":{}}]}`} {
		if out, err := w.Import(t.Context(), "erin", JSON, []byte(file), false); err != nil || len(out.Errors) != 1 {
			t.Errorf("%s: %+v, %v", file, out, err)
		}
	}
	if out, err := w.Import(t.Context(), "erin", JSON, []byte(`{"records":[{"hostname":"a","revision":0,"addresses":["192.0.2.1"]}]}`), false); err != nil || out.Created != 1 {
		t.Errorf("a new record: %+v, %v", out, err)
	}
	if len(w.acts) != 2 {
		t.Errorf("acts %q", w.kinds())
	}
}

// FuzzDecode: whatever a file is, its rows are refused or come back the same after an export.
func FuzzDecode(f *testing.F) {
	f.Add(true, []byte("hostname,zone\nweb1,dmz\n"))
	f.Add(false, []byte(`{"records":[{"hostname":"a","addresses":["192.0.2.1"]}]}`))
	f.Add(true, []byte("hostname,notes\nweb1,\"'=1\n\"\n"))
	f.Fuzz(func(t *testing.T, isCSV bool, b []byte) {
		format := JSON
		if isCSV {
			format = CSV
		}
		rows, _, err := decode(format, b)
		if err != nil {
			return
		}
		steps, errs := plan(rows, nil, &trustroot.Root{})
		if len(errs) > 0 {
			return
		}
		var all []Record
		for _, s := range steps {
			all = append(all, Record{Fields: s.after})
		}
		var out bytes.Buffer
		if err := Encode(&out, CSV, all); err != nil {
			t.Fatal(err)
		}
		again, errs, err := decode(CSV, out.Bytes())
		if err != nil || len(errs) > 0 || len(again) != len(all) {
			t.Fatalf("%v %v\n%s", err, errs, out.String())
		}
		for i, r := range again {
			delete(r, "id")
			s, wrong := stepOf(1, r, nil, &trustroot.Root{})
			if len(wrong) > 0 || cmp.Diff(all[i].Fields, s.after) != "" {
				t.Fatalf("%v\n%s", wrong, cmp.Diff(all[i].Fields, s.after))
			}
		}
	})
}
