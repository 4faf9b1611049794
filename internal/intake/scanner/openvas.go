package scanner

import (
	"encoding/xml"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// trustedQuality is the quality of detection below which OpenVAS itself does not trust a result. Source: Greenbone,
// "Quality of Detection (QoD)".
const trustedQuality = 70

// openvas reads a report of Greenbone's scanner: a report element, or get_reports_response around it, with another report
// element inside that holds the results and, after them, the hosts.
func openvas(in *input, _ string) error {
	m := in.xml()
	root, err := m.root()
	if err != nil {
		return err
	}
	if root.Name.Local != "report" && root.Name.Local != "get_reports_response" {
		return fault.New(fault.Invalid, "openvas: the document is no report")
	}
	found := false
	var inside func(e xml.StartElement) error
	inside = func(e xml.StartElement) error {
		in.budget.used = 0
		switch e.Name.Local {
		case "report", "results":
			found = true
			return m.elements(inside)
		case "result":
			return openvasResult(in, m)
		case "host":
			return openvasHost(in, m)
		case "scan_end", "scan_start":
			text, err := m.text()
			if t := moment(text); t.After(in.report.TakenAt) {
				in.report.TakenAt = t
			}
			return err
		}
		return m.skip()
	}
	if err := m.elements(inside); err != nil {
		return err
	}
	if !found {
		return fault.New(fault.Invalid, "openvas: the document holds no report")
	}
	return m.end()
}

// openvasHost reads what the report tells of a host after the results.
func openvasHost(in *input, m *markup) error {
	var h Host
	err := m.elements(func(e xml.StartElement) error {
		switch e.Name.Local {
		case "ip":
			text, err := m.text()
			h.Name, h.Addresses = text, []string{text}
			return err
		case "end":
			text, err := m.text()
			h.TakenAt = moment(text)
			return err
		case "detail":
			return openvasDetail(m, &h)
		}
		return m.skip()
	})
	if err != nil {
		return err
	}
	return in.host(h)
}

func openvasDetail(m *markup, h *Host) error {
	var name, value string
	err := m.elements(func(e xml.StartElement) (err error) {
		switch e.Name.Local {
		case "name":
			name, err = m.text()
		case "value":
			value, err = m.text()
		default:
			err = m.skip()
		}
		return err
	})
	switch name {
	case "hostname":
		h.Names = append(h.Names, value)
	case "MAC":
		h.MACs = append(h.MACs, value)
	case "best_os_cpe":
		h.CPE = value
	case "Auth-SSH-Success":
		h.Credentialed = true
	}
	return err
}

// result is what is read of one result before it becomes a row.
type result struct {
	Row
	names       []string
	quality     int
	kind        string // of detection
	description string
}

func openvasResult(in *input, m *markup) error {
	r := result{Row: Row{Claim: Affected}}
	err := m.elements(func(e xml.StartElement) (err error) {
		switch e.Name.Local {
		case "host":
			return r.host(m)
		case "nvt":
			if oid := attribute(e, "oid"); oid != "" && oid != "0" {
				r.Plugin = "openvas-" + oid
			}
			return r.nvt(m)
		case "qod":
			return r.qod(m)
		case "threat":
			r.Severity, err = m.text()
		case "description":
			r.description, err = m.text()
		case "name":
			r.Title, err = m.text()
		default:
			err = m.skip()
		}
		return err
	})
	if err != nil {
		return err
	}
	r.Banner = r.quality < trustedQuality || strings.HasPrefix(r.kind, "remote_banner")
	if p := openvasPackage(r.description); p.Name != "" {
		r.Packages = []Package{p}
	}
	if strings.EqualFold(r.Severity, "log") && len(r.CVEs)+len(r.Advisories) == 0 {
		in.refuse(informational)
		return nil
	}
	if err := in.host(Host{Name: r.Host, Names: r.names, Addresses: []string{r.Host}, Credentialed: r.kind == "package"}); err != nil {
		return err
	}
	return in.row(r.Row)
}

func (r *result) host(m *markup) error {
	depth := len(m.path)
	for len(m.path) >= depth {
		t, err := m.next()
		if err != nil {
			return err
		}
		switch t := t.(type) {
		case xml.CharData:
			if len(m.path) == depth {
				r.Host = strings.TrimSpace(r.Host + string(t))
			}
		case xml.StartElement:
			if t.Name.Local != "hostname" {
				continue
			}
			name, err := m.text()
			if err != nil {
				return err
			}
			r.names = append(r.names, name)
		}
	}
	return nil
}

func (r *result) nvt(m *markup) error {
	return m.elements(func(e xml.StartElement) error {
		switch e.Name.Local {
		case "name":
			text, err := m.text()
			r.Title = text // the test's name says more than the result's
			return err
		case "cve":
			text, err := m.text()
			r.CVEs = append(r.CVEs, strings.Split(text, ",")...)
			return err
		case "refs":
			return m.elements(func(e xml.StartElement) error {
				switch attribute(e, "type") {
				case "cve":
					r.CVEs = append(r.CVEs, attribute(e, "id"))
				case "advisory_id", "dsa", "dla", "usn", "rhsa":
					r.Advisories = append(r.Advisories, attribute(e, "id"))
				}
				return m.skip()
			})
		case "tags":
			text, err := m.text()
			if _, vector, ok := strings.Cut(text, "cvss_base_vector="); ok {
				r.Vector, _, _ = strings.Cut(vector, "|")
			}
			return err
		}
		return m.skip()
	})
}

func (r *result) qod(m *markup) error {
	return m.elements(func(e xml.StartElement) error {
		text, err := m.text()
		switch e.Name.Local {
		case "value":
			if n, err := strconv.Atoi(text); err == nil {
				r.quality = n
			}
		case "type":
			r.kind = text
		}
		return err
	})
}

// openvasPackage reads what local security checks print.
func openvasPackage(description string) (p Package) {
	for line := range strings.Lines(description) {
		key, value, _ := strings.Cut(line, ":")
		value = strings.TrimLeft(strings.TrimSpace(value), "<>=")
		switch strings.TrimSpace(key) {
		case "Vulnerable package":
			p.Name = value
		case "Installed version":
			p.Version = strings.TrimPrefix(value, p.Name+"-")
		case "Fixed version":
			p.Fixed = strings.TrimPrefix(value, p.Name+"-")
		}
	}
	return p
}
