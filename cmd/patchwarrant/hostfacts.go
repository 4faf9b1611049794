package main

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"strings"

	"github.com/spf13/cobra"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// inRoot is a verb about one root of a host.
func inRoot[T any](use, short, what string, print func(io.Writer, T)) *cobra.Command {
	root := ""
	c := verb(use+" HOST", short, cobra.ExactArgs(1), func(ctx context.Context, c *client, args []string) (v T, err error) {
		return v, c.get(ctx, "/hosts/"+segment(args[0])+"/"+what+"?root="+url.QueryEscape(root), &v)
	}, print)
	c.Flags().StringVar(&root, "root", "/", "which of the host's file-system roots")
	return c
}

func newHostPackages() *cobra.Command {
	return inRoot("packages", "Packages of a host with where each came from", "packages", func(w io.Writer, p v1.Packages) {
		t := newTable("PACKAGE", "ARCH", "VERSION", "SOURCE", "STATE", "ORIGIN")
		for _, p := range p.Packages {
			state := p.State
			if p.Held {
				state = strings.TrimSpace(state + " held")
			}
			t.add(p.Name, p.Arch, p.Version, p.Source+" "+p.SourceVersion, state, origins(p))
		}
		t.print(w)
	})
}

// origins says in one cell where a package came from.
func origins(p estate.Package) string {
	var all []string
	for _, o := range p.Origins {
		all = append(all, strings.Join(strings.Fields(o.Label+" "+o.Suite+" "+o.Component+" "+o.Repository), " "))
	}
	if len(all) == 0 && p.Vendor != "" {
		return p.Vendor
	}
	if len(all) == 0 {
		return "unknown or local"
	}
	return strings.Join(all, ", ")
}

func newHostProcesses() *cobra.Command {
	return inRoot("processes", "Processes that still run replaced or deleted files, or programs whose files changed", "inventory", func(w io.Writer, i wire.Inventory) {
		p := i.Processes
		if p.Unknown != "" {
			say(w, "not known: %s", p.Unknown)
			return
		}
		t := newTable("PID", "UNIT", "NAME", "USER ID", "ROOT", "FILE", "PACKAGE", "HOW")
		for _, p := range p.Old {
			for _, f := range p.Old {
				how := "runs it"
				if f.Source {
					how = "read it before it changed"
				}
				t.add(p.ID, p.Unit, p.Name, p.UID, p.Root, f.Path, f.Package, how)
			}
		}
		t.print(w)
		if p.More+p.Unseen > 0 {
			say(w, "%d more over the bounds, %d could not be read", p.More, p.Unseen)
		}
		if p.Unjudged > 0 {
			say(w, "%d run by an interpreter cannot be judged: the files of their programs are not all known", p.Unjudged)
		}
	})
}

func newHostSources() *cobra.Command {
	return inRoot("sources", "Package sources, pins, trusted keys, and settings that loosen checks", "inventory", func(w io.Writer, i wire.Inventory) {
		t := newTable("WHAT", "FILE", "VALUE", "NOTE")
		for _, s := range i.Sources {
			note := "signed by " + s.SignedBy
			if s.SignedBy == "" {
				note = "signed by any trusted key"
			}
			t.add("source", s.File, strings.Join([]string{strings.Join(s.Types, " "), strings.Join(s.URIs, " "), strings.Join(s.Suites, " "),
				strings.Join(s.Components, " ")}, " "), strings.TrimSpace(note+" "+strings.Join(s.Options, " ")))
		}
		for _, p := range i.Pins {
			t.add("pin", p.File, p.Packages+": "+p.Pin, fmt.Sprint(p.Priority))
		}
		for _, k := range i.Keys {
			t.add("key", k.File, k.Fingerprint, "")
		}
		for _, s := range i.Loose {
			t.add("WARNING", s.File, s.Name+" "+s.Value, "signatures or freshness are not checked")
		}
		for _, s := range i.Updates.Settings {
			t.add("automatic", s.File, s.Name, s.Value)
		}
		t.print(w)
		if i.Updates.Installs {
			say(w, "this host installs updates by itself, without an order")
		}
	})
}
