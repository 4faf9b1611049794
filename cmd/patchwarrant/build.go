package main

import (
	"cmp"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newBuildCommand() *cobra.Command {
	return noun("build", "Standard builds that hosts come from: register, list, show, drop", newBuildRegister(), newBuildList(), newBuildShow(), newBuildDrop())
}

func newBuildRegister() *cobra.Command {
	var host, status, sbom, release string
	var days int
	c := verb("register BUILD --days N (--host HOST | --status FILE --release RELEASE | --sbom FILE)",
		"Register a host's packages, a dpkg status file, or a component list (SBOM), as a build", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (b build.Build, err error) {
			path := "/builds/" + segment(args[0])
			if from := slices.DeleteFunc([]string{host, status, sbom}, func(s string) bool { return s == "" }); len(from) != 1 {
				return b, fault.New(fault.Invalid, "name one of --host, --status and --sbom")
			}
			var now v1.Build
			if host != "" {
				return b, c.put(ctx, path, &now, func() (any, error) { return v1.BuildOfHost{Host: host, Days: days}, nil }, &b)
			}
			etag, err := c.read(ctx, path, &now)
			if err != nil && fault.KindOf(err) != fault.NotFound {
				return b, err
			}
			file, as := status, "/status?"
			if sbom != "" {
				file, as = sbom, "/sbom?"
			}
			f, err := os.Open(file)
			if err != nil {
				return b, fault.New(fault.Invalid, "%w", err)
			}
			defer f.Close()
			q := url.Values{"release": {release}, "days": {strconv.Itoa(days)}}
			return b, c.send(ctx, http.MethodPut, path+as+q.Encode(), etag, f, func(answer *http.Response) error {
				return json.NewDecoder(io.LimitReader(answer.Body, maxAnswer)).Decode(&b)
			})
		}, showBuild)
	c.Flags().StringVar(&host, "host", "", "ID of the host")
	c.Flags().StringVar(&status, "status", "", "dpkg status file of the image")
	c.Flags().StringVar(&sbom, "sbom", "", "CycloneDX or SPDX 2 list of the image's components")
	c.Flags().StringVar(&release, "release", "", "of the status file, such as bookworm; or of the components that name none")
	c.Flags().IntVar(&days, "days", 0, "in which a vulnerability must be out of the build")
	c.MarkFlagRequired("days")
	return c
}

func showBuild(w io.Writer, b build.Build) {
	say(w, "%s  %s from %s, registered %s by %s, judged %s; %d vulnerabilities, %d overdue, %d undetermined", orderview.Clean(b.Name), orderview.Clean(b.Release),
		orderview.Clean(b.From), moment(b.RegisteredAt), orderview.Clean(b.RegisteredBy), moment(b.JudgedAt), len(b.Findings), b.Overdue(time.Now()), len(b.Undetermined))
	t := newTable("VULNERABILITY", "INSTALLED", "FIXED IN", "SINCE", "DUE")
	for _, f := range b.Findings {
		t.add(f.Vulnerability, f.Version, f.Fixed, f.Since, f.DueAt)
	}
	t.print(w)
	for _, f := range b.Undetermined {
		say(w, "undetermined: %s %s: %s", orderview.Clean(cmp.Or(f.Vulnerability, "any vulnerability")), orderview.Clean(f.Version), orderview.Clean(f.Doubt))
	}
	for _, u := range b.Unjudged {
		say(w, "not judged: %d components %s: %s", u.Components, orderview.Clean(u.Kind), orderview.Clean(u.Reason))
	}
}

func newBuildList() *cobra.Command {
	return verb("list", "All builds", cobra.NoArgs, func(ctx context.Context, c *client, _ []string) (b v1.Builds, err error) {
		return b, c.get(ctx, "/builds", &b)
	}, func(w io.Writer, b v1.Builds) {
		t := newTable("BUILD", "RELEASE", "VULNERABILITIES", "OVERDUE", "UNDETERMINED", "NOT JUDGED", "FROM", "REGISTERED")
		for _, b := range b.Builds {
			t.add(b.Name, b.Release, len(b.Findings), b.Overdue(time.Now()), len(b.Undetermined), b.NotJudged(), b.From, b.RegisteredAt)
		}
		t.print(w)
	})
}

func newBuildShow() *cobra.Command {
	return verb("show BUILD", "One build, and the hosts that came from it", cobra.ExactArgs(1),
		func(ctx context.Context, c *client, args []string) (b v1.Build, err error) {
			return b, c.get(ctx, "/builds/"+segment(args[0]), &b)
		}, func(w io.Writer, b v1.Build) {
			showBuild(w, b.Build)
			t := newTable("RECORD", "HOSTNAME", "HOST")
			for _, r := range b.Records {
				t.add(r.ID, r.Hostname, r.Host)
			}
			t.print(w)
		})
}

func newBuildDrop() *cobra.Command {
	return verb("drop BUILD", "Forget a build", cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (struct{}, error) {
		return struct{}{}, c.call(ctx, http.MethodDelete, "/builds/"+segment(args[0]), nil, nil)
	}, func(w io.Writer, _ struct{}) { say(w, "dropped") })
}
