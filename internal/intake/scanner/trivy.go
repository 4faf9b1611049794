package scanner

import (
	"cmp"
	"encoding/json"
	"strings"
)

// trivyTarget is what a report is about: an artefact, or a workload of a cluster.
type trivyTarget struct {
	host      Host
	namespace [3]string // namespace, kind and name of a workload
}

type trivyResult struct {
	target, class, kind string
}

// trivyRecord is one vulnerability. Source: aquasecurity/trivy, types.DetectedVulnerability.
type trivyRecord struct {
	VulnerabilityID, PkgName, InstalledVersion, FixedVersion, Status, Title, Severity, SeveritySource string
	VendorIDs                                                                                         []string
	CVSS                                                                                              map[string]struct{ V2Vector, V3Vector, V40Vector string }
}

// trivy reads schema version 2, its form for clusters, and the old bare list of results.
func trivy(in *input, host string) error {
	j := in.json()
	t := &trivyTarget{host: Host{Name: host, Credentialed: true}}
	if firstByte(in) == '{' {
		if err := trivyReport(j, t, host); err != nil {
			return err
		}
		return j.end()
	}
	if err := j.array(func() error { return trivyOne(j, t) }); err != nil {
		return err
	}
	return j.end()
}

// firstByte gives the first byte that is no blank, without reading it.
func firstByte(in *input) byte {
	for n := 1; n < 4096; n++ {
		head, err := in.r.Peek(n)
		if err != nil {
			return 0
		}
		if c := head[n-1]; c != ' ' && c != '\n' && c != '\r' && c != '\t' {
			return c
		}
	}
	return 0
}

func trivyReport(j *document, t *trivyTarget, host string) error {
	var name string
	return j.object(func(key string) error {
		switch key {
		case "CreatedAt":
			var at string
			err := j.read(&at)
			j.in.report.TakenAt = moment(at)
			return err
		case "Trivy":
			var program struct{ Version string }
			err := j.read(&program)
			j.in.report.Version = program.Version
			return err
		case "ArtifactName", "ClusterName":
			err := j.read(&name)
			t.host.Name = cmp.Or(host, name)
			return err
		case "Metadata":
			var m struct{ OS struct{ Family, Name string } }
			err := j.read(&m)
			t.host.CPE = strings.TrimSpace(m.OS.Family + " " + m.OS.Name)
			return err
		case "Results":
			return j.array(func() error { return trivyOne(j, t) })
		case "Vulnerabilities", "Resources", "Misconfigurations": // of a cluster: a list of workloads
			return j.array(func() error { return trivyWorkload(j, t) })
		}
		return j.skip()
	})
}

func trivyWorkload(j *document, cluster *trivyTarget) error {
	t := trivyTarget{host: Host{Credentialed: true}}
	return j.object(func(key string) error {
		switch key {
		case "Namespace":
			return j.read(&t.namespace[0])
		case "Kind":
			return j.read(&t.namespace[1])
		case "Name":
			return j.read(&t.namespace[2])
		case "Results":
			t.host.Name = strings.Trim(strings.Join(append([]string{cluster.host.Name}, t.namespace[:]...), "/"), "/")
			return j.array(func() error { return trivyOne(j, &t) })
		}
		return j.skip()
	})
}

// trivyOne reads the findings in one target.
func trivyOne(j *document, t *trivyTarget) error {
	var about trivyResult
	return j.object(func(key string) error {
		switch key {
		case "Target":
			return j.read(&about.target)
		case "Class":
			return j.read(&about.class)
		case "Type":
			return j.read(&about.kind)
		case "Vulnerabilities":
			h := t.host
			if h.Name == "" {
				h.Name, _, _ = strings.Cut(about.target, " (")
			}
			if err := j.in.host(h); err != nil {
				return err
			}
			return j.array(func() error { return trivyRow(j, h.Name) })
		case "Misconfigurations", "Secrets", "Licenses", "CustomResources":
			return j.array(func() error {
				j.in.refuse("a " + strings.ToLower(strings.TrimSuffix(key, "s")) + ", no vulnerability of a package")
				return j.skip()
			})
		}
		return j.skip()
	})
}

// trivyClaims by status; what is not listed claims that the host is affected.
var trivyClaims = map[string]Claim{"not_affected": NotAffected, "under_investigation": Undetermined}

func trivyRow(j *document, host string) error {
	var raw json.RawMessage
	if err := j.read(&raw); err != nil {
		return err
	}
	var v trivyRecord
	if json.Unmarshal(raw, &v) != nil || v.VulnerabilityID == "" {
		j.in.refuse(badRecord)
		return nil
	}
	r := Row{Host: host, CVEs: []string{v.VulnerabilityID}, Advisories: v.VendorIDs, Plugin: "trivy-" + v.VulnerabilityID, Title: v.Title,
		Severity: v.Severity, Claim: cmp.Or(trivyClaims[v.Status], Affected),
		Packages: []Package{{Name: v.PkgName, Version: v.InstalledVersion, Fixed: v.FixedVersion}}}
	for _, source := range []string{v.SeveritySource, "nvd"} {
		c := v.CVSS[source]
		r.Vector = cmp.Or(r.Vector, c.V40Vector, c.V3Vector, c.V2Vector)
	}
	return j.in.row(r)
}
