package executor

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Step is one line of a simulation. Verb is Inst, Conf, Remv or Purg; Arch is empty for removals.
type Step struct{ Verb, Name, Arch, From, To string }

func (s Step) String() string {
	return strings.Join([]string{s.Verb, s.Name, s.Arch, s.From, s.To}, " ")
}

// checkBefore refuses (PLAN, HELD) where the host does not have what the order starts from.
func checkBefore(before map[string]Status, actions []warrant.Action) error {
	for _, a := range actions {
		s, installed := before[Key(a.Name, a.Arch)]
		switch {
		case s.Want == "hold":
			return fault.Refuse(fault.Held, "%s is on hold on this host", a.Name)
		case installed != (a.From != "") || installed && (s.Version != a.From || s.Is != "installed"):
			return fault.Refuse(fault.Plan, "%s %s: the order starts from %q, the host has %q (%s)", a.Name, a.Arch, a.From, s.Version, s.Is)
		}
	}
	return nil
}

// comparePlan refuses (PLAN) unless the steps are exactly those of the actions. Source: R-604.
func comparePlan(steps []Step, actions []warrant.Action) error {
	var approved, would []string
	for _, a := range actions {
		if a.Do == "remove" {
			approved = append(approved, Step{Verb: "Remv", Name: a.Name, From: a.From}.String())
			continue
		}
		approved = append(approved, Step{"Inst", a.Name, a.Arch, a.From, a.To}.String(), Step{"Conf", a.Name, a.Arch, "", a.To}.String())
	}
	for _, s := range steps {
		would = append(would, s.String())
	}
	slices.Sort(approved)
	slices.Sort(would)
	if slices.Equal(approved, would) {
		return nil
	}
	return fault.Refuse(fault.Plan, "the host would do something else than was approved: too much %q, missing %q",
		without(would, approved), without(approved, would))
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// asPlanned reports whether the packages after are those before with the actions done and nothing else.
func asPlanned(before, after map[string]Status, actions []warrant.Action) bool {
	want := maps.Clone(before)
	for _, a := range actions {
		if a.Do == "remove" {
			delete(want, Key(a.Name, a.Arch))
			continue
		}
		want[Key(a.Name, a.Arch)] = Status{a.To, "install", "installed"}
	}
	return maps.Equal(want, after)
}

// observe lists the order's packages as they are.
func observe(actions []warrant.Action, after map[string]Status) []warrant.Observed {
	out := make([]warrant.Observed, 0, len(actions))
	for _, a := range actions {
		s, found := after[Key(a.Name, a.Arch)]
		if !found {
			s.Is = "not-installed"
		}
		out = append(out, warrant.Observed{Name: a.Name, Arch: a.Arch, From: a.From, To: a.To, Now: s.Version, Status: s.Is})
	}
	return out
}

// notice is the line of the session that tells a package's old and new version. Source: R-705.
func notice(o warrant.Observed) string {
	return fmt.Sprintf("# %s:%s %s -> %s (%s)\n", o.Name, o.Arch, orNone(o.From), orNone(o.Now), o.Status)
}

func orNone(version string) string {
	if version == "" {
		return "none"
	}
	return version
}
