package scanner

import (
	"cmp"
	"encoding/xml"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// bomXML is a component list in XML. Source: CycloneDX 1.4 to 1.6; the vulnerabilities that 1.3 and before had in an extension
// are passed over.
type bomXML struct {
	*markup
	*bom
}

func (held *bom) readXML() error {
	b := bomXML{held.list.xml(), held}
	root, err := b.root()
	if err != nil {
		return err
	}
	if root.Name.Local != "bom" || !strings.HasPrefix(root.Name.Space, "http://cyclonedx.org/schema/bom/") {
		return fault.New(fault.Invalid, "cyclonedx: the document is no bom of CycloneDX")
	}
	err = b.elements(func(e xml.StartElement) error {
		switch e.Name.Local {
		case "metadata":
			return b.metadata()
		case "components":
			return b.inside(0)
		case "vulnerabilities":
			return b.elements(func(xml.StartElement) error { return b.vulnerability() })
		}
		return b.skip()
	})
	if err != nil {
		return err
	}
	return b.end()
}

// fields reads the element that was just opened: the texts of the elements in it whose names are given, and others by other.
func (b *bomXML) fields(into map[string]*string, other func(xml.StartElement) error) error {
	b.list.budget.used = 0
	return b.elements(func(e xml.StartElement) error {
		if field := into[e.Name.Local]; field != nil {
			text, err := b.text()
			*field = cmp.Or(*field, text)
			return err
		}
		if other != nil {
			return other(e)
		}
		return b.skip()
	})
}

func (b *bomXML) metadata() error {
	var at, name string
	err := b.fields(map[string]*string{"timestamp": &at}, func(e xml.StartElement) error {
		switch e.Name.Local {
		case "component":
			return b.fields(map[string]*string{"name": &name}, nil)
		case "tools":
			return b.tools()
		}
		return b.skip()
	})
	b.list.report.TakenAt, b.host.Name = moment(at), cmp.Or(b.host.Name, name)
	return err
}

// tools names the program, the first one: tool elements until version 1.4, components since.
func (b *bomXML) tools() error {
	var name, version string
	one := func() error { return b.fields(map[string]*string{"name": &name, "version": &version}, nil) }
	err := b.elements(func(e xml.StartElement) error {
		switch {
		case name != "":
			return b.skip()
		case e.Name.Local == "tool":
			return one()
		case e.Name.Local == "components":
			return b.elements(func(xml.StartElement) error {
				if name != "" {
					return b.skip()
				}
				return one()
			})
		}
		return b.skip()
	})
	if name != "" {
		b.list.report.Scanner, b.list.report.Version = name, version
	}
	return err
}

// inside reads the components of the element that was just opened.
func (b *bomXML) inside(depth int) error {
	return b.elements(func(e xml.StartElement) error {
		if e.Name.Local != "component" {
			return b.skip()
		}
		c := bomComponent{Ref: attribute(e, "bom-ref"), Type: attribute(e, "type")}
		err := b.fields(map[string]*string{"name": &c.Name, "version": &c.Version, "purl": &c.PURL}, func(e xml.StartElement) error {
			switch e.Name.Local {
			case "components":
				return b.inside(depth + 1)
			case "properties":
				return b.elements(func(e xml.StartElement) error {
					value, err := b.text()
					c.Properties = append(c.Properties, bomProperty{attribute(e, "name"), value})
					return b.few(len(c.Properties), err)
				})
			}
			return b.skip()
		})
		if err != nil {
			return err
		}
		return b.keep(c, depth)
	})
}

func (b *bomXML) vulnerability() error {
	var v bomVulnerability
	err := b.fields(map[string]*string{"id": &v.ID, "description": &v.Description}, func(e xml.StartElement) error {
		switch e.Name.Local {
		case "analysis":
			return b.fields(map[string]*string{"state": &v.Analysis.State}, nil)
		case "ratings":
			return b.elements(func(xml.StartElement) error {
				var r struct{ Severity, Vector string }
				err := b.fields(map[string]*string{"severity": &r.Severity, "vector": &r.Vector}, nil)
				v.Ratings = append(v.Ratings, r)
				return b.few(len(v.Ratings), err)
			})
		case "references":
			return b.elements(func(xml.StartElement) error {
				var r struct{ ID string }
				err := b.fields(map[string]*string{"id": &r.ID}, nil)
				v.References = append(v.References, r)
				return b.few(len(v.References), err)
			})
		case "affects":
			return b.elements(func(xml.StartElement) error {
				var ref string
				err := b.fields(map[string]*string{"ref": &ref}, nil)
				v.Affects = append(v.Affects, struct{ Ref string }{ref})
				return b.few(len(v.Affects), err)
			})
		}
		return b.skip()
	})
	if err != nil {
		return err
	}
	return b.hold(v)
}

// few refuses a vulnerability that lists more than any honest one.
func (b *bomXML) few(n int, err error) error {
	if err == nil && n > maxComponents/10 {
		err = fault.New(fault.Invalid, "cyclonedx: one vulnerability lists more than %d things", maxComponents/10)
	}
	return err
}
