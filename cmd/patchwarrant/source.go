package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

func newSourceCommand() *cobra.Command {
	return noun("source", "Sources of advisories: list, import a file", newSourceList(), newSourceImport(), newSourceFetch())
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
				if !s.RefusedAt.IsZero() {
					alarm = strings.TrimPrefix(alarm+", refused: "+s.Refused, ", ")
				}
				t.add(s.Name, records, s.ReceivedAt, s.DueAt, short(s.Digest), alarm)
			}
			t.print(w)
		})
}

func newSourceImport() *cobra.Command {
	return verb("import SOURCE FILE", "Import a source's file, as fetched; works without network", cobra.ExactArgs(2),
		func(ctx context.Context, c *client, args []string) (r v1.Receipt, err error) {
			f, err := os.Open(args[1])
			if err != nil {
				return r, fault.New(fault.Invalid, "%w", err)
			}
			defer f.Close()
			path := "/sources/" + segment(args[0]) + "/content?from=" + url.QueryEscape("file:"+filepath.Base(args[1]))
			return r, c.do(ctx, http.MethodPut, path, f, func(body io.Reader) error { return json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(&r) })
		}, showReceipt)
}

func newSourceFetch() *cobra.Command {
	return verb("fetch SOURCE", "Have the server fetch a source from its configured address now", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (r v1.Receipt, err error) {
			return r, c.post(ctx, "/sources/"+segment(args[0])+"/fetches", nil, &r)
		}, showReceipt)
}

func showReceipt(w io.Writer, r v1.Receipt) {
	if r.Unchanged {
		say(w, "the same bytes as before: only the clock was set")
		return
	}
	say(w, "%d bytes, %d statements, %d signals: %d advisories new, %d changed, %d gone\nsha256 %s",
		r.Bytes, r.Statements, r.Signals, r.New, r.Changed, r.Gone, r.Digest)
}
