package record

import (
	"context"
	"fmt"
	"strconv"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
)

// Import is what an import does, or would do.
type Import struct {
	Rows    int          `json:"rows"`
	Created int          `json:"created"`
	Changed int          `json:"changed"`
	Same    int          `json:"same"`
	DryRun  bool         `json:"dry_run"` // nothing was written
	Errors  []RowError   `json:"errors"`  // while there are any, nothing is written
	Changes []RowsChange `json:"changes"` // the first of them
}

// RowsChange is what one row changes.
type RowsChange struct {
	Row      int               `json:"row"`
	Hostname string            `json:"hostname"`
	New      bool              `json:"new"`
	Before   map[string]string `json:"before"`
	After    map[string]string `json:"after"`
}

const maxChanges = 1000 // told of one import

// step is one row's record before and after.
type step struct {
	row    int
	record Record // without ID where it is new
	after  Fields
}

// Import takes records over from a file: a row is about the record with its hostname, or makes one. Cells replace, columns
// that are not there leave alone, and what the file does not name stays. All of it is written, or nothing: with dryRun, or
// while a row is wrong. A file with a revision column is refused where a record changed since.
func (r *Records) Import(ctx context.Context, who string, format Format, b []byte, dryRun bool) (Import, error) {
	rows, errs, err := decode(format, b)
	if err != nil {
		return Import{}, err
	}
	root, err := r.Root.CurrentRoot(ctx)
	if err != nil {
		return Import{}, err
	}
	var out Import
	look := func(tx *db.Tx) ([]step, error) {
		now, err := loadAll(ctx, tx)
		if err != nil {
			return nil, err
		}
		steps, more := plan(rows, now, root)
		out = report(steps, append(append([]RowError{}, errs...), more...), len(rows), dryRun)
		return steps, nil
	}
	if dryRun {
		err = r.DB.Read(ctx, func(tx *db.Tx) error {
			_, err := look(tx)
			return err
		})
		return out, err
	}
	fact, err := blob.PutBytes(ctx, r.Blobs, b)
	if err != nil {
		return Import{}, err
	}
	err = r.DB.Write(ctx, func(tx *db.Tx) error {
		steps, err := look(tx)
		if err != nil || len(out.Errors) > 0 {
			return err
		}
		return r.take(ctx, tx, who, steps, fact, out)
	})
	return out, err
}

// take writes the steps of an import.
func (r *Records) take(ctx context.Context, tx *db.Tx, who string, steps []step, fact string, out Import) error {
	for _, s := range steps {
		var err error
		if s.record.ID == "" {
			_, err = r.create(ctx, tx, who, s.after)
		} else {
			_, err = r.change(ctx, tx, who, s.record, s.after)
		}
		if err != nil {
			return fmt.Errorf("row %d: %w", s.row, err)
		}
	}
	return r.act(ctx, tx, who, "records.imported", "import/"+fact[:16], []string{fact},
		map[string]any{"rows": out.Rows, "created": out.Created, "changed": out.Changed, "same": out.Same})
}

// plan decides what rows do to the records of now.
func plan(rows []row, now []Record, root *trustroot.Root) (steps []step, errs []RowError) {
	byName := make(map[string]Record, len(now))
	for _, rec := range now {
		byName[rec.Hostname] = rec
	}
	first := map[string]int{}
	for i, from := range rows {
		if from == nil {
			continue
		}
		s, wrong := stepOf(i+1, from, byName, root)
		if earlier := first[s.after.Hostname]; wrong == nil && earlier > 0 {
			wrong = []RowError{{s.row, "hostname", fmt.Sprintf("row %d is about the same host", earlier)}}
		}
		first[s.after.Hostname] = i + 1
		steps, errs = append(steps, s), append(errs, wrong...)
	}
	return steps, errs
}

func stepOf(n int, from row, byName map[string]Record, root *trustroot.Root) (s step, errs []RowError) {
	s = step{row: n, record: byName[from["hostname"]]}
	s.after = s.record.Fields
	for _, f := range Table {
		text, there := from[f.Name]
		if !there && f.Name != "hostname" {
			continue
		}
		if err := f.set(&s.after, text); err != nil {
			errs = append(errs, RowError{n, f.Name, err.Error()})
		}
	}
	if owner := s.after.Owner; owner != s.record.Owner && owner != "" && owns(root, owner) != nil {
		errs = append(errs, RowError{n, "owner", "the trust root has no such person"})
	}
	if text := from["id"]; text != "" && text != s.record.ID {
		errs = append(errs, RowError{n, "id", "the record of this hostname has another ID, or there is none"})
	}
	if text := from[revision]; text != "" && text != strconv.FormatInt(s.record.Revision, 10) {
		errs = append(errs, RowError{n, revision, "the record was changed since the file was made; export again"})
	}
	return s, errs
}

// report tells what steps do.
func report(steps []step, errs []RowError, rows int, dryRun bool) Import {
	out := Import{Rows: rows, DryRun: dryRun, Errors: errs[:min(len(errs), maxErrors)], Changes: []RowsChange{}}
	for _, s := range steps {
		d := diff(s.record.Fields, s.after)
		switch {
		case s.record.ID == "":
			out.Created++
		case len(d.fields) == 0:
			out.Same++
			continue
		default:
			out.Changed++
		}
		if len(out.Changes) < maxChanges {
			out.Changes = append(out.Changes, RowsChange{s.row, s.after.Hostname, s.record.ID == "", d.before, d.after})
		}
	}
	return out
}

// Export gives all records of the inventory by hostname.
func (r *Records) Export(ctx context.Context) (all []Record, err error) {
	err = r.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadAll(ctx, tx)
		return err
	})
	return all, err
}

// Refused gives the errors of an import as one, nil where there are none.
func (i Import) Refused() error {
	if len(i.Errors) == 0 {
		return nil
	}
	e := i.Errors[0]
	return fault.New(fault.Invalid, "row %d: %s: %s (%d rows are wrong; nothing was imported)", e.Row, e.Field, e.Problem, len(i.Errors))
}
