package scanner

import (
	"cmp"
	"encoding/xml"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// nessus reads NessusClientData_v2. Source: Tenable, "Nessus v2 File Format".
func nessus(in *input, _ string) error {
	m := in.xml()
	root, err := m.root()
	if err != nil {
		return err
	}
	if root.Name.Local != "NessusClientData_v2" {
		return fault.New(fault.Invalid, "nessus: the document is not NessusClientData_v2")
	}
	err = m.elements(func(e xml.StartElement) error {
		if e.Name.Local != "Report" {
			return m.skip()
		}
		return m.elements(func(e xml.StartElement) error {
			if e.Name.Local != "ReportHost" {
				return m.skip()
			}
			h := Host{Name: attribute(e, "name")}
			return nessusHost(in, m, &h)
		})
	})
	if err != nil {
		return err
	}
	return m.end()
}

// nessusHost reads a ReportHost. Its properties stand before its items.
func nessusHost(in *input, m *markup, h *Host) error {
	told := false
	err := m.elements(func(e xml.StartElement) error {
		in.budget.used = 0
		switch e.Name.Local {
		case "HostProperties":
			if err := nessusProperties(m, h); err != nil {
				return err
			}
			if h.TakenAt.After(in.report.TakenAt) {
				in.report.TakenAt = h.TakenAt
			}
			told = true
			return in.host(*h)
		case "ReportItem":
			return nessusItem(in, m, e, *h)
		}
		return m.skip()
	})
	if err == nil && !told {
		err = in.host(*h)
	}
	return err
}

func nessusProperties(m *markup, h *Host) error {
	return m.elements(func(e xml.StartElement) error {
		name := attribute(e, "name")
		value, err := m.text()
		if err != nil {
			return err
		}
		switch name {
		case "host-ip":
			h.Addresses = append(h.Addresses, value)
		case "host-fqdn", "hostname", "host-rdns", "netbios-name":
			h.Names = append(h.Names, value)
		case "mac-address":
			h.MACs = append(h.MACs, strings.Fields(value)...)
		case "cpe":
			h.CPE = value
		case "Credentialed_Scan":
			h.Credentialed = value == "true"
		case "HOST_END_TIMESTAMP":
			if seconds, err := strconv.ParseInt(value, 10, 64); err == nil && seconds > 0 && seconds < 1<<33 {
				h.TakenAt = time.Unix(seconds, 0).UTC()
			}
		case "HOST_END":
			if h.TakenAt.IsZero() {
				h.TakenAt = moment(value)
			}
		}
		return nil
	})
}

// severities by the number a ReportItem has.
var severities = map[string]string{"0": "info", "1": "low", "2": "medium", "3": "high", "4": "critical"}

func nessusItem(in *input, m *markup, e xml.StartElement, h Host) error {
	r := Row{Host: h.Name, Title: attribute(e, "pluginName"), Severity: severities[attribute(e, "severity")], Claim: Affected,
		Banner: !h.Credentialed}
	if id := attribute(e, "pluginID"); id != "" {
		r.Plugin = "nessus-" + id
	}
	var output string
	err := m.elements(func(e xml.StartElement) error {
		text, err := m.text()
		if err != nil {
			return err
		}
		switch e.Name.Local {
		case "cve":
			r.CVEs = append(r.CVEs, text)
		case "xref":
			if kind, id, ok := strings.Cut(text, ":"); ok && nessusXrefs[kind] {
				r.Advisories = append(r.Advisories, kind+"-"+strings.TrimPrefix(id, kind+"-"))
			}
		case "cvss3_vector":
			r.Vector = text
		case "cvss_vector": // version 2: only where there is nothing newer
			r.Vector = cmp.Or(r.Vector, text)
		case "plugin_output":
			output = text
		case "plugin_type":
			r.Banner = r.Banner || text == "remote"
		}
		return nil
	})
	if err != nil {
		return err
	}
	r.Packages = nessusPackages(output)
	if r.Severity == "info" && len(r.CVEs)+len(r.Advisories) == 0 {
		in.refuse(informational)
		return nil
	}
	return in.row(r)
}

// nessusXrefs are the references that are vendors' advisories.
var nessusXrefs = map[string]bool{"DSA": true, "DLA": true, "USN": true, "RHSA": true, "ELSA": true, "ALSA": true, "RLSA": true, "SUSE-SU": true}

var (
	nessusInstalled = regexp.MustCompile(`^(?:Remote package installed|-? ?Installed package)\s*: ?(\S+)$`)
	nessusFixed     = regexp.MustCompile(`^(?:Should be|Fixed package)\s*: ?(\S+)$`)
)

// nessusPackages reads what local checks print: the installed package and the one that should be.
func nessusPackages(output string) []Package {
	var all []Package
	for line := range strings.Lines(output) {
		line = strings.TrimSpace(line)
		if m := nessusInstalled.FindStringSubmatch(line); m != nil && len(all) < maxIDs {
			name, version := splitPackage(m[1])
			all = append(all, Package{Name: name, Version: version})
		} else if m := nessusFixed.FindStringSubmatch(line); m != nil && len(all) > 0 {
			_, all[len(all)-1].Fixed = splitPackage(m[1])
		}
	}
	return all
}

// rpmForm: the release of an rpm names its distribution.
var rpmForm = regexp.MustCompile(`^.+-[^-]+-[^-]*\.(el|fc|amzn|module|lp|suse)[0-9+]`)

// splitPackage takes name_version (deb) or name-version-release (rpm) apart.
func splitPackage(s string) (name, version string) {
	if name, version, ok := strings.Cut(s, "_"); ok && !rpmForm.MatchString(s) {
		return name, version
	}
	release := strings.LastIndexByte(s, '-')
	dash := strings.LastIndexByte(s[:max(release, 0)], '-')
	if dash <= 0 {
		return s, ""
	}
	return s[:dash], s[dash+1:]
}
