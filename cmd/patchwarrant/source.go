package main

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newSourceCommand() *cobra.Command {
	return noun("source", "Sources of advisories: list, import a file, list documents", newSourceList(), newSourceImport(), newSourceFetch(),
		newSourceDocuments(), newSourceAcceptShrink())
}

func newSourceList() *cobra.Command {
	return verb("list", "All sources, with their clocks and alarms", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (s v1.Sources, err error) {
			return s, c.get(ctx, "/sources", &s)
		}, func(w io.Writer, s v1.Sources) {
			t := newTable("SOURCE", "RECORDS", "RECEIVED", "DUE", "DIGEST", "ALARM")
			for _, s := range s.Sources {
				records, alarm := 0, ""
				for _, n := range s.Counts {
					records += n
				}
				if !s.SilentAt.IsZero() {
					alarm = "silent"
				}
				if s.RefusedDocuments > 0 {
					alarm = strings.TrimPrefix(fmt.Sprintf("%s, %d of %d documents refused", alarm, s.RefusedDocuments, s.Documents), ", ")
				}
				if !s.RefusedAt.IsZero() {
					alarm = strings.TrimPrefix(alarm+", refused: "+s.Refused, ", ")
				}
				t.add(s.Name, records, s.ReceivedAt, s.DueAt, short(s.Digest), alarm)
			}
			t.print(w)
		})
}

func newSourceImport() *cobra.Command {
	return verb("import SOURCE FILE", "Import a source's file, as fetched, or a directory or archive of its documents; works without network", cobra.ExactArgs(2),
		func(ctx context.Context, c *client, args []string) (r v1.Receipt, err error) {
			body, err := openUpload(args[1])
			if err != nil {
				return r, err
			}
			defer body.Close()
			path := "/sources/" + segment(args[0]) + "/content?from=" + url.QueryEscape("file:"+filepath.Base(args[1]))
			return r, c.do(ctx, http.MethodPut, path, body, func(body io.Reader) error { return json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&r) })
		}, showReceipt)
}

// openUpload opens a file; of a directory it gives a zip archive that is made while it is read.
func openUpload(name string) (io.ReadCloser, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, fault.New(fault.Invalid, "%w", err)
	}
	if !info.IsDir() {
		f, err := os.Open(name)
		if err != nil {
			return nil, fault.New(fault.Invalid, "%w", err)
		}
		return f, nil
	}
	r, w := io.Pipe()
	go func() {
		z := zip.NewWriter(w)
		err := z.AddFS(os.DirFS(name))
		w.CloseWithError(errors.Join(err, z.Close()))
	}()
	return r, nil
}

func newSourceFetch() *cobra.Command {
	return verb("fetch SOURCE", "Have the server fetch a source from its configured address now", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (r v1.Receipt, err error) {
			return r, c.post(ctx, "/sources/"+segment(args[0])+"/fetches", nil, &r)
		}, showReceipt)
}

func newSourceDocuments() *cobra.Command {
	var refused bool
	c := verb("documents SOURCE", "The documents of a source that is a collection: where each came from, who signed it, and why it was refused", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (all v1.Documents, err error) {
			for after := ""; ; {
				var page v1.Documents
				path := fmt.Sprintf("/sources/%s/documents?limit=1000&refused=%t&after=%s", segment(args[0]), refused, url.QueryEscape(after))
				if err := c.get(ctx, path, &page); err != nil {
					return all, err
				}
				all.All, all.Documents = page.All, append(all.Documents, page.Documents...)
				if len(page.Documents) == 0 || len(all.Documents) >= page.All {
					return all, nil
				}
				after = page.Documents[len(page.Documents)-1].Path
			}
		}, func(w io.Writer, all v1.Documents) {
			t := newTable("DOCUMENT", "FETCHED", "SIGNED BY", "DIGEST", "REFUSED")
			for _, d := range all.Documents {
				t.add(d.Path, d.FetchedAt, short(d.SignedBy), short(d.Digest), d.Refused)
			}
			t.print(w)
		})
	c.Flags().BoolVar(&refused, "refused", false, "only those whose last bytes were refused")
	return c
}

func newSourceAcceptShrink() *cobra.Command {
	var in v1.Shrink
	c := verb("accept-shrink SOURCE DIGEST", "Put in force what was refused because it states much less than before, after you looked at it", cobra.ExactArgs(2),
		func(ctx context.Context, c *client, args []string) (r v1.Receipt, err error) {
			in.Digest = args[1]
			return r, c.post(ctx, "/sources/"+segment(args[0])+"/shrinks", in, &r)
		}, showReceipt)
	c.Flags().StringVar(&in.Reason, "reason", "", "why it is right")
	c.MarkFlagRequired("reason")
	return c
}

func showReceipt(w io.Writer, r v1.Receipt) {
	if r.Unchanged {
		say(w, "the same bytes as before: only the clock was set")
		return
	}
	if r.Documents > 0 {
		say(w, "%d documents in force, %d refused, %d other files passed over", r.Documents, r.RefusedDocuments, r.Other)
	}
	for _, why := range slices.Sorted(maps.Keys(r.PassedOver)) {
		say(w, "passed over: %d times, a record %s", r.PassedOver[why], orderview.Clean(why))
	}
	say(w, "%d bytes, %d statements, %d signals: %d advisories new, %d changed, %d gone\nsha256 %s",
		r.Bytes, r.Statements, r.Signals, r.New, r.Changed, r.Gone, r.Digest)
}
