package scanner

import (
	"cmp"
	"encoding/json"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// maxComponents bounds what is held of a component list until its vulnerabilities are read.
const maxComponents = 1_000_000

// maxListed bounds what all records that are held list: ratings, references, components, other names.
const maxListed = 4 * maxComponents

type bomComponent struct {
	Ref        string `json:"bom-ref"`
	Type       string
	Name       string
	Version    string
	PURL       string
	Properties []bomProperty
	SourceInfo string // of SPDX
	Components json.RawMessage
}

type bomProperty struct{ Name, Value string }

func (c bomComponent) property(name string) string {
	for _, p := range c.Properties {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

// bomVulnerability is one finding. Source: CycloneDX 1.4 to 1.6, "vulnerabilities" and its "analysis".
type bomVulnerability struct {
	ID          string
	Description string
	Ratings     []struct{ Severity, Vector string }
	References  []struct{ ID string }
	Analysis    struct{ State string }
	Affects     []struct{ Ref string }
}

// bomClaims by the state of an analysis; without one the component is affected.
var bomClaims = map[string]Claim{"resolved": Fixed, "resolved_with_pedigree": Fixed, "exploitable": Affected, "in_triage": Undetermined,
	"false_positive": NotAffected, "not_affected": NotAffected}

// bom is what is held of a component list until its end, when every component that its vulnerabilities name is known.
type bom struct {
	list       *input
	host       Host
	components map[string]Package
	held       []bomVulnerability
	lists      int // things that those list
}

// bomJSON is a component list in JSON.
type bomJSON struct {
	*document
	*bom
}

// cycloneDX reads a component list in JSON or XML with its vulnerabilities. Those come to the sink at the end.
func cycloneDX(in *input, host string) error {
	held := &bom{list: in, host: Host{Name: host, Credentialed: true}, components: map[string]Package{}}
	read := held.readJSON
	if in.begins("<") {
		read = held.readXML
	}
	err := read()
	if err == nil {
		err = in.host(held.host)
	}
	for _, v := range held.held {
		if err == nil {
			err = held.row(v)
		}
	}
	return err
}

func (held *bom) readJSON() error {
	b := bomJSON{held.list.json(), held}
	format := ""
	err := b.object(func(key string) error {
		switch key {
		case "bomFormat":
			return b.read(&format)
		case "metadata":
			return b.metadata()
		case "components":
			return b.array(b.component)
		case "vulnerabilities":
			return b.array(func() error {
				var v bomVulnerability
				if err := b.read(&v); err != nil {
					return err
				}
				return b.hold(v)
			})
		}
		return b.skip()
	})
	if err == nil && format != "CycloneDX" {
		err = fault.New(fault.Invalid, "cyclonedx: the document does not say bomFormat CycloneDX")
	}
	if err == nil {
		err = b.end()
	}
	return err
}

// hold keeps a vulnerability until every component is known.
func (b *bom) hold(v bomVulnerability) error {
	if len(v.Description) > 4*maxText {
		v.Description = strings.Clone(v.Description[:4*maxText])
	}
	b.lists += len(v.Ratings) + len(v.References) + len(v.Affects)
	if b.held = append(b.held, v); len(b.held) > maxComponents || b.lists > maxListed {
		return fault.New(fault.Invalid, "cyclonedx: more than %d vulnerabilities, or they list more than %d things", maxComponents, maxListed)
	}
	return nil
}

func (b *bomJSON) metadata() error {
	return b.object(func(key string) error {
		switch key {
		case "timestamp":
			var at string
			err := b.read(&at)
			b.in.report.TakenAt = moment(at)
			return err
		case "component":
			var c bomComponent
			err := b.read(&c)
			b.host.Name = cmp.Or(b.host.Name, c.Name)
			return err
		case "tools":
			return b.tools()
		}
		return b.skip()
	})
}

// tools names the program: a list until version 1.4, an object with components since.
func (b *bomJSON) tools() error {
	type tool struct{ Name, Version string }
	var raw json.RawMessage
	if err := b.read(&raw); err != nil {
		return err
	}
	var list []tool
	var object struct{ Components []tool }
	if json.Unmarshal(raw, &list) != nil && json.Unmarshal(raw, &object) == nil {
		list = object.Components
	}
	if len(list) > 0 && list[0].Name != "" {
		b.in.report.Scanner, b.in.report.Version = list[0].Name, list[0].Version
	}
	return nil
}

func (b *bomJSON) component() error {
	var c bomComponent
	if err := b.read(&c); err != nil {
		return err
	}
	return b.keep(c, 0)
}

func (b *bom) keep(c bomComponent, depth int) error {
	if len(b.components) >= maxComponents || depth > maxDepth {
		return fault.New(fault.Invalid, "cyclonedx: more than %d components, or nested deeper than %d", maxComponents, maxDepth)
	}
	if c.Ref != "" {
		b.components[c.Ref] = packageOf(c)
	}
	if b.list.component != nil {
		if err := b.list.component(c); err != nil {
			return err
		}
	}
	var inside []bomComponent
	if len(c.Components) > 0 && json.Unmarshal(c.Components, &inside) == nil {
		for _, i := range inside {
			if err := b.keep(i, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// packageOf takes the source package out of a Debian package URL, where its maker wrote it there.
func packageOf(c bomComponent) Package {
	p := Package{Name: clean(c.Name, maxName), Version: clean(c.Version, maxName)}
	u, err := packageurl.FromString(c.PURL)
	if err != nil {
		return p
	}
	if u.Type == packageurl.TypeDebian {
		p.Source, _, _ = strings.Cut(u.Qualifiers.Map()["upstream"], "@")
	}
	return p
}

func (b *bom) row(v bomVulnerability) error {
	r := Row{Host: b.host.Name, CVEs: []string{v.ID}, Title: v.Description, Claim: cmp.Or(bomClaims[v.Analysis.State], Affected)}
	for _, ref := range v.References {
		r.Advisories = append(r.Advisories, ref.ID)
	}
	if v.ID != "" {
		r.Plugin = b.list.report.Scanner + "-" + v.ID
	}
	for _, rating := range v.Ratings {
		r.Severity, r.Vector = cmp.Or(r.Severity, rating.Severity), max(r.Vector, rating.Vector)
	}
	for _, a := range v.Affects {
		if p, known := b.components[a.Ref]; known {
			r.Packages = append(r.Packages, p)
		}
	}
	return b.list.row(r)
}
