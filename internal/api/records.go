package api

import (
	"cmp"
	"context"
	"io"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/once"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// records: the inventory.
func (d *door) records() {
	serve(d, operation{"records", http.MethodGet, "/records", "The inventory, by hostname", staff.Read}, d.listRecords)
	create(d, operation{"create-record", http.MethodPost, "/records", "Make a record", staff.EditRecord}, once.Answer, d.createRecord)
	serve(d, operation{"record", http.MethodGet, "/records/{id}", "One record", staff.Read}, d.record)
	serve(d, operation{"change-record", http.MethodPut, "/records/{id}", "Replace a record's fields", staff.EditRecord}, d.changeRecord)
	serve(d, operation{"drop-record", http.MethodDelete, "/records/{id}", "Take a record out of the inventory", staff.EditRecord}, d.dropRecord)
	serve(d, operation{"link-record", http.MethodPut, "/records/{id}/host", "Say which enrolled host a record is about",
		staff.LinkRecord}, d.linkRecord)
	serve(d, operation{"unlink-record", http.MethodDelete, "/records/{id}/host", "Say that a record is about no enrolled host",
		staff.LinkRecord}, d.unlinkRecord)
	serve(d, operation{"import-records", http.MethodPost, "/record-imports", "Take records over from a file, all or none",
		staff.EditRecord}, d.importRecords)
	serveBytes(d, operation{"export-records", http.MethodGet, "/record-exports", "All records as a file", staff.Read}, d.exportRecords)
	serve(d, operation{"unmatched", http.MethodGet, "/unmatched", "Records without a host, hosts without a record", staff.Read}, d.unmatched)
}

type chosenRecords struct {
	Limit       int    `query:"limit" minimum:"0" maximum:"1000" default:"0" doc:"at most so many; 0: all"`
	After       string `query:"after" maxLength:"253" doc:"go on after this hostname"`
	Zone        string `query:"zone" maxLength:"64"`
	Environment string `query:"environment" maxLength:"64"`
	Owner       string `query:"owner" maxLength:"64"`
	Unit        string `query:"unit" maxLength:"200"`
	Criticality string `query:"criticality" enum:"low,medium,high,critical"`
	Exposure    string `query:"exposure" enum:"internet,dmz,internal,isolated"`
	Build       string `query:"build" maxLength:"64"`
	Unlinked    bool   `query:"unlinked" doc:"only those without a host"`
	Text        string `query:"q" maxLength:"200" doc:"a part of the hostname or the serial number"`
}

func (d *door) listRecords(ctx context.Context, _ staff.Session, in *chosenRecords) (v1.Records, error) {
	f := record.Filter{Zone: in.Zone, Environment: in.Environment, Owner: in.Owner, Unit: in.Unit, Criticality: in.Criticality,
		Exposure: in.Exposure, Build: in.Build, Unlinked: in.Unlinked, Text: in.Text}
	size := cmp.Or(in.Limit, record.MaxList)
	var all []record.Record
	for {
		some, err := d.Records.List(ctx, f, in.After, size)
		if all = append(all, some...); err != nil || len(some) < size || in.Limit > 0 {
			return v1.Records{Records: list(all)}, err
		}
		in.After = some[len(some)-1].Hostname
	}
}

func (d *door) createRecord(ctx context.Context, s staff.Session, in *record.Fields) (record.Record, error) {
	return d.Records.Create(ctx, s.Person.ID, *in)
}

func (d *door) record(ctx context.Context, _ staff.Session, in *Named) (record.Record, error) {
	return d.Records.Get(ctx, in.ID)
}

// Based is a change of a record as its sender read it. It is exported for huma to fill.
type Based struct {
	Named
	IfMatch string `header:"If-Match" maxLength:"200" doc:"the ETag of the record the change was made from; needed"`
}

// revision gives the revision of the record that the caller read, or refuses with code STALE when it is not the one of now.
func (d *door) revision(ctx context.Context, in Based) (int64, error) {
	if in.IfMatch == "" {
		return 0, fault.New(fault.Invalid, "a change names the record it was made from: header If-Match with its ETag")
	}
	rec, err := base(d, in.IfMatch, func() (record.Record, error) { return d.Records.Get(ctx, in.ID) })
	return rec.Revision, err
}

type recordChange struct {
	Based
	Body record.Fields
}

func (d *door) changeRecord(ctx context.Context, s staff.Session, in *recordChange) (record.Record, error) {
	revision, err := d.revision(ctx, in.Based)
	if err != nil {
		return record.Record{}, err
	}
	return d.Records.Change(ctx, s.Person.ID, in.ID, revision, in.Body)
}

func (d *door) dropRecord(ctx context.Context, s staff.Session, in *Based) (none, error) {
	revision, err := d.revision(ctx, *in)
	if err != nil {
		return none{}, err
	}
	return none{}, d.Records.Drop(ctx, s.Person.ID, in.ID, revision)
}

type recordLink struct {
	Based
	Body v1.RecordLink
}

func (d *door) linkRecord(ctx context.Context, s staff.Session, in *recordLink) (record.Record, error) {
	revision, err := d.revision(ctx, in.Based)
	if err != nil {
		return record.Record{}, err
	}
	return d.Estate.Link(ctx, s.Person.ID, in.ID, revision, in.Body.Host)
}

func (d *door) unlinkRecord(ctx context.Context, s staff.Session, in *Based) (record.Record, error) {
	revision, err := d.revision(ctx, *in)
	if err != nil {
		return record.Record{}, err
	}
	return d.Records.Link(ctx, s.Person.ID, in.ID, revision, "")
}

type recordFile struct {
	Format string `query:"format" enum:"csv,json" required:"true"`
	DryRun bool   `query:"dry_run" doc:"only tell what would change"`
	Upload
}

func (d *door) importRecords(ctx context.Context, s staff.Session, in *recordFile) (record.Import, error) {
	b, err := io.ReadAll(io.LimitReader(in.body, record.MaxImport+1))
	if err != nil {
		return record.Import{}, fault.New(fault.Invalid, "read the file: %w", err)
	}
	return d.Records.Import(ctx, s.Person.ID, record.Format(in.Format), b, in.DryRun)
}

func (d *door) exportRecords(ctx context.Context, _ staff.Session, in *struct {
	Format string `query:"format" enum:"csv,json" required:"true"`
}) (*huma.StreamResponse, error) {
	all, err := d.Records.Export(ctx)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Disposition", `attachment; filename="inventory.`+in.Format+`"`)
		if err := record.Encode(ctx.BodyWriter(), record.Format(in.Format), all); err != nil {
			d.Log.Debug("send inventory", "error", err)
		}
	}}, nil
}

func (d *door) unmatched(ctx context.Context, _ staff.Session, _ *struct{}) (estate.Unmatched, error) {
	return d.Estate.Unmatched(ctx)
}
