package server

import (
	"context"
	"maps"
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
	points, err := e.installed(ctx, wanted)
	if err != nil {
		return in, nil, err
	}
	installed := map[string]vex.Installed{}
	for source, all := range wanted {
		installed[source] = vex.Installed{Binaries: slices.Sorted(maps.Keys(all)), Points: points}
	}
	in = vex.Input{Author: root.Organisation, Namespace: strings.TrimSuffix(e.namespace, "/"), At: e.now()}
	in.Decided, left = vex.Of(view, installed)
	return in, left, nil
}

// installed adds the binary packages that hosts have of the sources wanted, reading each distinct set once, and gives the point
// releases of the hosts by release.
func (e exporter) installed(ctx context.Context, wanted map[string]map[string]bool) (points map[string][]string, err error) {
	points = map[string][]string{}
	if len(wanted) == 0 {
		return points, nil
	}
	hosts, _, err := e.estate.HostSets(ctx, 0)
	if err != nil {
		return nil, err
	}
	read := map[string]bool{"": true}
	for _, h := range hosts {
		if read[h.SetDigest] {
			continue
		}
		read[h.SetDigest] = true
		set, err := e.estate.PackageSet(ctx, h.SetDigest)
		if err != nil {
			return nil, err
		}
		for _, p := range set {
			if of := wanted[p.Source]; of != nil {
				of[p.Name] = true
			}
		}
		if point := vex.PointOf(h.Release, set); point != "" && !slices.Contains(points[h.Release], point) {
			points[h.Release] = append(points[h.Release], point)
		}
	}
	for _, all := range points {
		slices.Sort(all)
	}
	return points, nil
}
