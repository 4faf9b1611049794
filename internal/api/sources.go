package api

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/staff"
)

// Feeds fetches sources that have an address.
type Feeds interface {
	Fetch(ctx context.Context, who, source string) (intake.Receipt, error)
}

// sources: what is known about vulnerabilities, and from whom.
func (d *door) sources() {
	serve(d, operation{"sources", http.MethodGet, "/sources", "All sources of advisories, with their clocks", staff.Read}, d.listSources)
	serve(d, operation{"import", http.MethodPut, "/sources/{id}/content", "Import a source's bytes", staff.ImportAdvisories}, d.importSource)
	serve(d, operation{"fetch-source", http.MethodPost, "/sources/{id}/fetches", "Fetch a source from its configured address",
		staff.ImportAdvisories}, d.fetchSource)
	serve(d, operation{"source-documents", http.MethodGet, "/sources/{id}/documents", "The documents of a source that is a collection: where each came from, who signed it, and why it was refused",
		staff.Read}, d.listDocuments)
	serve(d, operation{"accept-shrink", http.MethodPost, "/sources/{id}/shrinks", "Put in force what was refused because it states much less than before",
		staff.AcceptShrink}, d.acceptShrink)
	serve(d, operation{"advisories", http.MethodGet, "/advisories", "Advisories that wait for review", staff.Read}, d.queue)
	serve(d, operation{"review-advisories", http.MethodPost, "/advisories/reviews", "Say whether advisories are relevant",
		staff.Decide}, d.review)
}

func (d *door) listSources(ctx context.Context, _ staff.Session, _ *struct{}) (v1.Sources, error) {
	states, err := d.Intake.States(ctx)
	return v1.Sources{Sources: list(states)}, err
}

type documentsOf struct {
	Named
	Refused bool   `query:"refused" doc:"only those whose last bytes were refused"`
	After   string `query:"after" maxLength:"400" doc:"go on after this path"`
	Limit   int    `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (d *door) listDocuments(ctx context.Context, _ staff.Session, in *documentsOf) (v1.Documents, error) {
	all, err := d.Intake.Documents(ctx, in.ID, in.Refused)
	if err != nil {
		return v1.Documents{}, err
	}
	page, err := pageOf(all, Page{Limit: in.Limit, After: in.After}, func(x intake.Document) string { return x.Path })
	return v1.Documents{All: len(all), Documents: list(page)}, err
}

func (d *door) acceptShrink(ctx context.Context, s staff.Session, in *struct {
	Named
	Body v1.Shrink
}) (v1.Receipt, error) {
	r, err := d.Intake.AcceptShrink(ctx, s.Person.ID, in.ID, in.Body.Digest, in.Body.Reason)
	return v1.Receipt{Receipt: r, Digest: r.Digest, Unchanged: r.Unchanged}, err
}

// content is a body of any type, read as it comes.
type content struct {
	Named
	From string `query:"from" maxLength:"1000" doc:"where the bytes came from, for people"`
	Upload
}

func (d *door) importSource(ctx context.Context, s staff.Session, in *content) (v1.Receipt, error) {
	r, err := d.Intake.Import(ctx, s.Person.ID, in.ID, in.body, in.From)
	return v1.Receipt{Receipt: r, Digest: r.Digest, Unchanged: r.Unchanged}, err
}

// Limited is a list cut after so many.
type Limited struct {
	Limit int `query:"limit" minimum:"1" maximum:"1000" default:"100"`
}

func (d *door) fetchSource(ctx context.Context, s staff.Session, in *Named) (v1.Receipt, error) {
	r, err := d.Feeds.Fetch(ctx, s.Person.ID, in.ID)
	return v1.Receipt{Receipt: r, Digest: r.Digest, Unchanged: r.Unchanged}, err
}

// queueOf is a part of the queue.
type queueOf struct {
	Limited
	After string `query:"after" maxLength:"2000" doc:"go on after this one, the last of the page before: due_at/source/id"`
}

func (d *door) queue(ctx context.Context, _ staff.Session, in *queueOf) (v1.Advisories, error) {
	last, err := queuedLast(in.After)
	if err != nil {
		return v1.Advisories{}, err
	}
	queue, all, err := d.Intake.QueueAfter(ctx, last, in.Limit)
	return v1.Advisories{All: all, Advisories: list(queue)}, err
}

// queuedLast reads where a part of the queue begins.
func queuedLast(after string) (last intake.Advisory, err error) {
	if after == "" {
		return last, nil
	}
	due, name, _ := strings.Cut(after, "/")
	if last.DueAt, err = time.Parse(time.RFC3339Nano, due); err == nil {
		last.Source, last.ID, _ = strings.Cut(name, "/")
	}
	if last.ID == "" {
		return last, fault.New(fault.Invalid, "after: want due_at/source/id of an advisory")
	}
	return last, nil
}

func (d *door) review(ctx context.Context, s staff.Session, in *struct{ Body intake.Review }) (none, error) {
	return none{}, d.Intake.Review(ctx, s.Person.ID, in.Body)
}

var _ huma.Resolver = (*content)(nil)
