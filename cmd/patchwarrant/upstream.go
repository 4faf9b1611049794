package main

import (
	"context"
	"io"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

func newUpstreamCommand() *cobra.Command {
	return noun("upstream", "Mirrored archives: list, add, remove, refresh",
		verb("list", "All archives and what was last accepted or refused of them", cobra.NoArgs,
			func(ctx context.Context, c *client, _ []string) (u v1.Upstreams, err error) {
				return u, c.get(ctx, "/upstreams", &u)
			}, func(w io.Writer, u v1.Upstreams) { showUpstreams(w, u.Upstreams...) }),
		verb("presets", "Archives that are known: what to name after add --preset, and the keys to check", cobra.NoArgs,
			func(ctx context.Context, c *client, _ []string) (p v1.Presets, err error) {
				return p, c.get(ctx, "/upstream-presets", &p)
			}, showPresets),
		newUpstreamAdd(),
		verb("remove NAME", "Mirror an archive no longer; what was taken from it stays", cobra.ExactArgs(1),
			func(ctx context.Context, c *client, args []string) (struct{}, error) {
				return struct{}{}, c.call(ctx, http.MethodDelete, "/upstreams/"+segment(args[0]), nil, nil)
			}, func(w io.Writer, _ struct{}) { say(w, "removed") }),
		verb("refresh NAME", "Look at an archive again, with all checks", cobra.ExactArgs(1),
			func(ctx context.Context, c *client, args []string) (u v1.Upstream, err error) {
				return u, c.post(ctx, "/upstreams/"+segment(args[0])+"/refresh", nil, &u)
			}, func(w io.Writer, u v1.Upstream) { showUpstreams(w, u) }))
}

func newUpstreamAdd() *cobra.Command {
	var n v1.NewUpstream
	var keyring string
	c := verb("add --fingerprint FINGERPRINT (--preset NAME | --name NAME --url URL --suite SUITE --keyring FILE)", "Pin an archive and mirror it", cobra.NoArgs,
		func(ctx context.Context, c *client, _ []string) (u v1.Upstream, err error) {
			if n.Preset != "" {
				n = v1.NewUpstream{Preset: n.Preset, Fingerprints: n.Fingerprints}
			} else if keyring == "" {
				return u, fault.New(fault.Invalid, "name a file of OpenPGP public keys with --keyring, or a preset")
			} else if n.Keyring, err = readBounded(keyring); err != nil {
				return u, err
			}
			return u, c.post(ctx, "/upstreams", n, &u)
		}, func(w io.Writer, u v1.Upstream) {
			say(w, "%s is mirrored; the server looks at it within a minute", orderview.Clean(u.Name))
		})
	c.Flags().StringVar(&n.Preset, "preset", "", "an archive that upstream presets lists")
	c.Flags().StringVar(&n.Name, "name", "", "a name: a-z 0-9 -")
	c.Flags().StringVar(&n.URL, "url", "", "the archive's root")
	c.Flags().StringVar(&n.Suite, "suite", "", "directory below dists/")
	c.Flags().StringVar(&n.Component, "component", "main", "component")
	c.Flags().StringVar(&n.Arch, "arch", "amd64", "architecture")
	c.Flags().StringVar(&keyring, "keyring", "", "file of OpenPGP public keys")
	c.Flags().StringSliceVar(&n.Fingerprints, "fingerprint", nil, "of a primary key that may sign, as you know it")
	c.Flags().IntVar(&n.MaxAgeHours, "max-age-hours", 240, "how old a release file may be that names no Valid-Until")
	c.Flags().StringVar(&n.Advisories, "advisories", "", "a release's codename: the archive's changelogs are a source for it")
	c.MarkFlagRequired("fingerprint")
	return c
}

func showUpstreams(w io.Writer, all ...v1.Upstream) {
	t := newTable("UPSTREAM", "DATE", "PACKAGES", "RELEASE", "SIGNED BY", "SEEN", "REFUSED")
	for _, u := range all {
		t.add(u.Name, u.Date, u.Packages, short(u.Release), u.Fingerprint, u.SeenAt, u.RefusedCode)
	}
	t.print(w)
}

func showPresets(w io.Writer, p v1.Presets) {
	t := newTable("PRESET", "URL", "SUITE", "ADVISORIES", "SIGNED BY")
	for _, u := range p.Presets {
		t.add(u.Name, u.URL, u.Suite, u.Advisories, strings.Join(u.Fingerprints, " "))
	}
	t.print(w)
}
