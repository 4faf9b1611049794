package drift

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Difference is one thing in which a production host and its stage twin differ. An empty side has no such thing.
type Difference struct {
	What       string `json:"what"` // package, source, pin, key, setting
	Name       string `json:"name"`
	Stage      string `json:"stage,omitempty"`
	Production string `json:"production,omitempty"`
}

// Packages compares two package sets: how many packages are the same in both, of how many in either, and those that are not.
// A package is named by name and architecture; of one that is installed in several versions, all count as one.
func Packages(stage, production pkgset.Set) (same, all int, differences []Difference) {
	a, b := versions(stage), versions(production)
	for name, on := range b {
		if a[name] == on {
			same++
		} else {
			differences = append(differences, Difference{"package", name, a[name], on})
		}
	}
	for name, on := range a {
		if b[name] == "" {
			differences = append(differences, Difference{"package", name, on, ""})
		}
	}
	slices.SortFunc(differences, byName)
	return same, same + len(differences), differences
}

func versions(set pkgset.Set) map[string]string {
	all := make(map[string]string, len(set))
	for _, p := range set {
		name := p.Name + ":" + p.Arch
		if old := all[name]; old != "" {
			all[name] = old + " " + p.Version
		} else {
			all[name] = p.Version
		}
	}
	return all
}

// Configuration compares what two hosts report of their package managers: sources, pins, keys, and settings under which
// less is checked. Which file a source stands in is no difference.
func Configuration(stage, production wire.Inventory) []Difference {
	a, b := configured(stage), configured(production)
	var differences []Difference
	for key, on := range b {
		if a[key] != on {
			differences = append(differences, Difference{key.what, key.name, a[key], on})
		}
	}
	for key, on := range a {
		if _, there := b[key]; !there {
			differences = append(differences, Difference{key.what, key.name, on, ""})
		}
	}
	slices.SortFunc(differences, byName)
	return differences
}

func byName(x, y Difference) int {
	return cmp.Or(cmp.Compare(x.What, y.What), cmp.Compare(x.Name, y.Name))
}

type item struct{ what, name string }

func configured(i wire.Inventory) map[item]string {
	all := map[item]string{}
	for _, s := range i.Sources {
		words := []string{strings.Join(s.Types, ","), strings.Join(s.URIs, ","), strings.Join(s.Suites, ","), strings.Join(s.Components, ",")}
		all[item{"source", strings.Join(words, " ")}] = strings.TrimSpace("signed by " + cmp.Or(s.SignedBy, "any key") + " " + strings.Join(s.Options, " "))
	}
	for _, p := range i.Pins {
		all[item{"pin", p.Packages + " " + p.Pin}] = fmt.Sprint(p.Priority)
	}
	for _, k := range i.Keys {
		all[item{"key", k.Fingerprint}] = "trusted"
	}
	for _, s := range i.Loose {
		all[item{"setting", s.Name}] = cmp.Or(s.Value, "set")
	}
	return all
}
