package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/record"
)

func newRecordCommand() *cobra.Command {
	return noun("record", "The inventory: list, write, link to hosts, import, export", newRecordList(), newRecordShow(), newRecordSave(),
		newRecordLink(), newRecordUnlink(), newRecordDrop(), newRecordImport(), newRecordExport())
}

func newRecordList() *cobra.Command {
	by := newFilter("q", "zone", "environment", "owner", "unit", "criticality", "exposure", "build")
	c := verb("list", "The inventory, by hostname", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (r v1.Records, err error) {
		return r, c.get(ctx, "/records"+by.query(), &r)
	}, func(w io.Writer, r v1.Records) {
		t := newTable("RECORD", "HOSTNAME", "ZONE", "ENVIRONMENT", "CRITICALITY", "EXPOSURE", "OWNER", "HOST")
		for _, r := range r.Records {
			t.add(r.ID, r.Hostname, r.Zone, r.Environment, r.Criticality, r.Exposure, r.Owner, r.Host)
		}
		t.print(w)
	})
	by.flags(c)
	return c
}

func newRecordShow() *cobra.Command {
	return verb("show RECORD", "One record", cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (r record.Record, err error) {
		return r, c.get(ctx, "/records/"+segment(args[0]), &r)
	}, showRecord)
}

func showRecord(w io.Writer, r record.Record) {
	t := newTable("FIELD", "VALUE")
	t.add("record", r.ID)
	for _, f := range record.Table {
		if text := f.Text(r.Fields); text != "" {
			t.add(f.Name, text)
		}
	}
	t.add("host", r.Host)
	t.add("revision", r.Revision)
	if !r.DroppedAt.IsZero() {
		t.add("dropped", r.DroppedAt)
	}
	t.print(w)
}

func newRecordSave() *cobra.Command {
	by, id := filter{}, ""
	for _, f := range record.Table {
		by[f.Name] = new(string)
	}
	var c *cobra.Command
	c = verb("save [--record ID] --FIELD TEXT …", "Make a record, or change the fields of one that are named", cobra.NoArgs,
		func(ctx context.Context, client *client, _ []string) (r record.Record, err error) {
			set := func(now record.Fields) (record.Fields, error) {
				texts := map[string]string{}
				for _, f := range record.Table {
					if texts[f.Name] = f.Text(now); c.Flags().Changed(f.Name) {
						texts[f.Name] = *by[f.Name]
					}
				}
				return record.FieldsOf(texts)
			}
			if id == "" {
				fields, err := set(record.Fields{})
				if err != nil {
					return r, err
				}
				return r, client.post(ctx, "/records", fields, &r)
			}
			return client.edit(ctx, id, http.MethodPut, "", func(now record.Record) (any, error) { return set(now.Fields) })
		}, showRecord)
	c.Flags().StringVar(&id, "record", "", "ID of the record to change; none: make one")
	for _, f := range record.Table {
		c.Flags().StringVar(by[f.Name], f.Name, "", strings.ToLower(f.Title))
	}
	return c
}

// edit changes a record as it is now: what somebody else changes meanwhile is never written over.
func (c *client) edit(ctx context.Context, id, method, below string, make func(record.Record) (any, error)) (r record.Record, err error) {
	path := "/records/" + segment(id)
	etag, err := c.read(ctx, path, &r)
	if err != nil {
		return r, err
	}
	var body io.Reader
	if make != nil {
		document, err := make(r)
		if err != nil {
			return r, err
		}
		b, err := json.Marshal(document)
		if err != nil {
			return r, err
		}
		body = bytes.NewReader(b)
	}
	var after record.Record
	return after, c.send(ctx, method, path+below, etag, body, func(answer *http.Response) error {
		return json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&after)
	})
}

func newRecordLink() *cobra.Command {
	return verb("link RECORD HOST", "Say which enrolled host a record is about", cobra.ExactArgs(2),
		func(ctx context.Context, c *client, args []string) (record.Record, error) {
			return c.edit(ctx, args[0], http.MethodPut, "/host", func(record.Record) (any, error) { return v1.RecordLink{Host: args[1]}, nil })
		}, showRecord)
}

func newRecordUnlink() *cobra.Command {
	return verb("unlink RECORD", "Say that a record is about no enrolled host", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (record.Record, error) {
			return c.edit(ctx, args[0], http.MethodDelete, "/host", nil)
		}, showRecord)
}

func newRecordDrop() *cobra.Command {
	return verb("drop RECORD", "Take a record out of the inventory", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (record.Record, error) {
			return c.edit(ctx, args[0], http.MethodDelete, "", nil)
		}, func(w io.Writer, _ record.Record) { say(w, "dropped; it can still be read") })
}

func newRecordImport() *cobra.Command {
	var dryRun bool
	c := verb("import FILE.csv|FILE.json [--dry-run]", "Take records over from a file, all or nothing", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (out record.Import, err error) {
			f, err := os.Open(args[0])
			if err != nil {
				return out, fault.New(fault.Invalid, "%w", err)
			}
			defer f.Close()
			path := "/record-imports?format=csv"
			if strings.HasSuffix(strings.ToLower(args[0]), ".json") {
				path = "/record-imports?format=json"
			}
			if dryRun {
				path += "&dry_run=true"
			}
			err = c.do(ctx, http.MethodPost, path, f, func(body io.Reader) error { return json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&out) })
			if err == nil && len(out.Errors) > 0 {
				for _, e := range out.Errors {
					say(os.Stderr, "row %d %s: %s", e.Row, e.Field, e.Problem)
				}
				err = out.Refused()
			}
			return out, err
		}, func(w io.Writer, out record.Import) {
			if out.DryRun {
				say(w, "nothing was written; the file would do this:")
			}
			t := newTable("ROW", "HOSTNAME", "FIELD", "BEFORE", "AFTER")
			for _, change := range out.Changes {
				for _, f := range record.Table {
					if after, differs := change.After[f.Name]; differs {
						t.add(change.Row, change.Hostname, f.Name, change.Before[f.Name], after)
					}
				}
			}
			t.print(w)
			say(w, "%d rows: %d new, %d changed, %d the same", out.Rows, out.Created, out.Changed, out.Same)
		})
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only tell what would change")
	return c
}

func newRecordExport() *cobra.Command {
	var format string
	c := verb("export [--format csv|json]", "All records as a file, to standard output", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (b []byte, err error) {
			err = c.do(ctx, http.MethodGet, "/record-exports?format="+segment(format), nil, func(body io.Reader) (err error) {
				b, err = io.ReadAll(io.LimitReader(body, maxAnswer))
				return err
			})
			return b, err
		}, func(w io.Writer, b []byte) { _, _ = w.Write(b) })
	c.Flags().StringVar(&format, "format", "csv", "csv or json")
	return c
}
