package server

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/vex"
)

// exporter brings together what a VEX document is made of.
type exporter struct {
	triage    *triage.Triage
	estate    *estate.Estate
	staff     *staff.Staff
	namespace string
	now       func() time.Time
}

// VEX implements api.Exporter.
func (e exporter) VEX(ctx context.Context) (in vex.Input, left []string, err error) {
	root, err := e.staff.CurrentRoot(ctx)
	if err != nil {
		return in, nil, err
	}
	view, err := e.triage.Vulnerabilities(ctx)
	if err != nil {
		return in, nil, err
	}
	wanted := map[string]map[string]bool{}
	for _, v := range view.Rows {
		if len(v.Decisions) > 0 {
			wanted[v.Source] = map[string]bool{}
		}
	}
	if err := e.binaries(ctx, wanted); err != nil {
		return in, nil, err
	}
	names := map[string][]string{}
	for source, all := range wanted {
		for name := range all {
			names[source] = append(names[source], name)
		}
		slices.Sort(names[source])
	}
	in = vex.Input{Author: root.Organisation, Namespace: strings.TrimSuffix(e.namespace, "/"), At: e.now()}
	in.Decided, left = vex.Of(view, names)
	return in, left, nil
}

// binaries adds the binary packages that hosts have of the sources wanted, reading each distinct set once.
func (e exporter) binaries(ctx context.Context, wanted map[string]map[string]bool) error {
	if len(wanted) == 0 {
		return nil
	}
	hosts, _, err := e.estate.HostSets(ctx, 0)
	if err != nil {
		return err
	}
	read := map[string]bool{"": true}
	for _, h := range hosts {
		if read[h.SetDigest] {
			continue
		}
		read[h.SetDigest] = true
		set, err := e.estate.PackageSet(ctx, h.SetDigest)
		if err != nil {
			return err
		}
		for _, p := range set {
			if of := wanted[p.Source]; of != nil {
				of[p.Name] = true
			}
		}
	}
	return nil
}
