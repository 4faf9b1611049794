package scanner

import (
	"cmp"
	"encoding/json"
	"strings"
)

// wazuhItem is one finding as the API of version 4.7 gives it.
type wazuhItem struct {
	Name, Version, CVE, Title, Severity, Status string
	Condition                                   string
	DetectionTime                               string `json:"detection_time"`
	AgentName                                   string `json:"agent_name"`
	AgentIP                                     string `json:"agent_ip"`
}

// wazuhHit is one finding as the index of version 4.8 and later gives it.
type wazuhHit struct {
	Source struct {
		Agent         struct{ Name, Version string }
		Host          struct{ OS struct{ Full string } }
		Package       struct{ Name, Version, Type string }
		Vulnerability struct {
			ID, Description, Severity string
			DetectedAt                string `json:"detected_at"`
			Scanner                   struct{ Condition string }
		}
	} `json:"_source"`
}

// wazuh reads what Wazuh's API (4.7) or its index (4.8) answers.
func wazuh(in *input, host string) error {
	j := in.json()
	err := j.object(func(key string) error {
		switch key {
		case "data":
			return j.object(func(key string) error {
				if key != "affected_items" {
					return j.skip()
				}
				return j.array(func() error { return wazuhRecord(j, host, wazuhOld) })
			})
		case "hits":
			return j.object(func(key string) error {
				if key != "hits" {
					return j.skip()
				}
				return j.array(func() error { return wazuhRecord(j, host, wazuhNew) })
			})
		}
		return j.skip()
	})
	if err != nil {
		return err
	}
	return j.end()
}

func wazuhRecord(j *document, host string, read func(json.RawMessage) (Host, Row)) error {
	var raw json.RawMessage
	if err := j.read(&raw); err != nil {
		return err
	}
	h, r := read(raw)
	r.Host, r.Claim = cmp.Or(host, r.Host), Affected
	h.Name, h.Credentialed = r.Host, true
	if h.TakenAt.After(j.in.report.TakenAt) {
		j.in.report.TakenAt = h.TakenAt
	}
	if err := j.in.host(h); err != nil {
		return err
	}
	return j.in.row(r)
}

func wazuhOld(raw json.RawMessage) (Host, Row) {
	var v wazuhItem
	if json.Unmarshal(raw, &v) != nil && v.CVE == "" {
		return Host{}, Row{}
	}
	r := Row{Host: cmp.Or(v.AgentName, v.AgentIP), CVEs: []string{v.CVE}, Title: v.Title, Severity: v.Severity,
		Packages: []Package{{Name: v.Name, Version: v.Version, Fixed: wazuhFixed(v.Condition)}}}
	if v.CVE != "" {
		r.Plugin = "wazuh-" + v.CVE
	}
	return Host{Names: []string{v.AgentName}, Addresses: []string{v.AgentIP}, TakenAt: moment(v.DetectionTime)}, r
}

func wazuhNew(raw json.RawMessage) (Host, Row) {
	var hit wazuhHit
	if json.Unmarshal(raw, &hit) != nil && hit.Source.Vulnerability.ID == "" {
		return Host{}, Row{}
	}
	s, v := hit.Source, hit.Source.Vulnerability
	r := Row{Host: s.Agent.Name, CVEs: []string{v.ID}, Title: v.Description, Severity: v.Severity,
		Packages: []Package{{Name: s.Package.Name, Version: s.Package.Version, Fixed: wazuhFixed(v.Scanner.Condition)}}}
	if v.ID != "" {
		r.Plugin = "wazuh-" + v.ID
	}
	return Host{Names: []string{s.Agent.Name}, CPE: s.Host.OS.Full, TakenAt: moment(v.DetectedAt)}, r
}

// wazuhFixed takes the version out of "Package less than 2".
func wazuhFixed(condition string) string {
	version, ok := strings.CutPrefix(condition, "Package less than ")
	if !ok || strings.HasPrefix(version, "or equal") {
		return ""
	}
	return version
}
