package web

import (
	"cmp"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// recordsPage is how many records the overview shows at once.
const recordsPage = 100

type estateBody struct {
	estate.Unmatched
	Records []record.Record
	Further string
	Search  string
	Fields  []fieldBody // of a new record
}

// estate is the inventory beside the hosts: what differs, and all records.
func (s *site) estate(v *visit) error {
	ctx, q := v.r.Context(), v.r.URL.Query()
	u, err := s.Estate.Unmatched(ctx)
	if err != nil {
		return err
	}
	all, err := s.Records.List(ctx, record.Filter{Text: strings.TrimSpace(q.Get("q"))}, q.Get("after"), recordsPage+1)
	if err != nil {
		return err
	}
	body := estateBody{Unmatched: u, Records: all, Search: q.Get("q")}
	if len(all) > recordsPage {
		body.Records, body.Further = all[:recordsPage], all[recordsPage-1].Hostname
	}
	if body.Fields, err = v.fields(record.Fields{Hostname: q.Get("hostname")}); err != nil {
		return err
	}
	return v.show(http.StatusOK, "estate", "Inventory", body)
}

// fieldBody is one field of a record's form.
type fieldBody struct {
	Name, Title, Value string
	Choices            []string
	Long               bool
}

func (v *visit) fields(f record.Fields) ([]fieldBody, error) {
	root, err := v.root()
	if err != nil {
		return nil, err
	}
	all := make([]fieldBody, 0, len(record.Table))
	for _, field := range record.Table {
		one := fieldBody{field.Name, field.Title, field.Text(f), field.Choices(), field.Name == "notes"}
		if field.Name == "owner" {
			one.Choices = idsOf(root.People, func(p trustroot.Person) string { return p.ID })
		}
		all = append(all, one)
	}
	return all, nil
}

type recordBody struct {
	record.Record
	Fields []fieldBody
	Acts   []ledger.Entry
}

func (s *site) record(v *visit) error {
	ctx := v.r.Context()
	rec, err := s.Records.Get(ctx, v.r.PathValue("id"))
	if err != nil {
		return err
	}
	body := recordBody{Record: rec}
	if body.Fields, err = v.fields(rec.Fields); err != nil {
		return err
	}
	body.Acts, err = s.Ledger.List(ctx, ledger.Filter{Subject: "record/" + rec.ID, Newest: true, Limit: hostActs})
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "record", rec.Hostname, body)
}

// recordForm reads a posted record with the revision it was made from, 0 for a new one.
func (v *visit) recordForm() (f record.Fields, revision int64, err error) {
	form, err := v.form()
	if err != nil {
		return f, 0, err
	}
	cells := map[string]string{}
	for _, field := range record.Table {
		cells[field.Name] = strings.TrimSpace(form.Get(field.Name))
	}
	if f, err = record.FieldsOf(cells); err != nil {
		return f, 0, err
	}
	revision, err = revisionOf(form)
	return f, revision, err
}

func revisionOf(form url.Values) (int64, error) {
	n, err := strconv.ParseInt(form.Get("revision"), 10, 64)
	if err != nil {
		return 0, fault.New(fault.Invalid, "the form does not say which revision it was made from")
	}
	return n, nil
}

// changedAt reads when what the form changes was changed last; zero: the form makes it.
func changedAt(form url.Values) (time.Time, error) {
	us, err := strconv.ParseInt(cmp.Or(form.Get("from"), "0"), 10, 64)
	if err != nil {
		return time.Time{}, fault.New(fault.Invalid, "the form does not say what it was made from")
	}
	return db.Time(us), nil
}

func (s *site) createRecord(v *visit) error {
	f, _, err := v.recordForm()
	if err != nil {
		return err
	}
	rec, err := s.Records.Create(v.r.Context(), v.me(), f)
	if err != nil {
		return err
	}
	return v.see("/hosts/records/"+rec.ID, "recorded")
}

func (s *site) changeRecord(v *visit) error {
	f, revision, err := v.recordForm()
	if err != nil {
		return err
	}
	rec, err := s.Records.Change(v.r.Context(), v.me(), v.r.PathValue("id"), revision, f)
	if err != nil {
		return err
	}
	return v.see("/hosts/records/"+rec.ID, "recorded")
}

// linkRecord says which host a record is about; none where the form names none.
func (s *site) linkRecord(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	revision, err := revisionOf(form)
	if err != nil {
		return err
	}
	ctx, id, host := v.r.Context(), v.r.PathValue("id"), form.Get("host")
	if host == "" {
		_, err = s.Records.Link(ctx, v.me(), id, revision, "")
	} else {
		_, err = s.Estate.Link(ctx, v.me(), id, revision, host)
	}
	if err != nil {
		return err
	}
	return v.see("/hosts/records/"+id, "recorded")
}

func (s *site) dropRecord(v *visit) error {
	form, err := v.form()
	if err != nil {
		return err
	}
	revision, err := revisionOf(form)
	if err != nil {
		return err
	}
	if err := s.Records.Drop(v.r.Context(), v.me(), v.r.PathValue("id"), revision); err != nil {
		return err
	}
	return v.see("/hosts/estate", "over")
}

type importBody struct {
	record.Import
	File string
}

// importRecords takes a file over, or tells what it would change.
func (s *site) importRecords(v *visit) error {
	form, file, err := v.file()
	if err != nil {
		return err
	}
	b, err := whole(file, record.MaxImport)
	if err != nil {
		return err
	}
	format := record.CSV
	if strings.HasSuffix(strings.ToLower(file.FileName()), ".json") {
		format = record.JSON
	}
	out, err := s.Records.Import(v.r.Context(), v.me(), format, b, form.Get("do") != "import")
	if err != nil {
		return err
	}
	return v.show(http.StatusOK, "imported", "Import", importBody{out, file.FileName()})
}

func (s *site) exportRecords(v *visit) error {
	format := record.CSV
	if strings.HasSuffix(v.r.URL.Path, ".json") {
		format = record.JSON
	}
	all, err := s.Records.Export(v.r.Context())
	if err != nil {
		return err
	}
	v.download("inventory." + string(format))
	if err := record.Encode(v.w, format, all); err != nil {
		s.Log.Debug("send inventory", "error", err)
	}
	return nil
}
