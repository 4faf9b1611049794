package scanner

import (
	"cmp"
	"encoding/json"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// grypeMatch is one finding. Source: anchore/grype, presenter models.Match. Old reports write some lists as one object.
type grypeMatch struct {
	Vulnerability struct {
		ID, Severity, Namespace string
		Fix                     struct {
			Versions []string
			State    string
		}
		Advisories []struct{ ID string }
		CVSS       []struct{ Version, Vector string }
	}
	RelatedVulnerabilities []struct{ ID string }
	Artifact               struct {
		Name, Version, Type string
		Upstreams           []struct{ Name, Version string }
	}
}

// grype reads Grype's JSON. The host is what was scanned, which the report tells after the matches: the rows come under
// an own name of the report until then.
func grype(in *input, host string) error {
	j := in.json()
	var held []Row
	names := 0 // of their vulnerabilities
	send := func() error {
		for _, r := range held {
			if r.Host = host; r.Host == "" {
				r.Host = "unnamed"
			}
			if err := in.row(r); err != nil {
				return err
			}
		}
		held = nil
		return nil
	}
	err := j.object(func(key string) error {
		switch key {
		case "matches":
			return j.array(func() error {
				r, ok, err := grypeRow(j)
				switch {
				case err != nil:
					return err
				case !ok:
					in.refuse(badRecord)
				default:
					names += len(r.CVEs) + len(r.Advisories)
					if held = append(held, r); len(held) > maxComponents || names > maxListed {
						return fault.New(fault.Invalid, "grype: more than %d matches, or %d names in them", maxComponents, maxListed)
					}
				}
				return nil
			})
		case "ignoredMatches":
			return j.array(func() error {
				in.refuse("the scanner's own rules ignore it")
				return j.skip()
			})
		case "source":
			name, err := grypeSource(j)
			host = cmp.Or(host, name)
			return err
		case "distro":
			var d struct{ Name, Version string }
			return j.read(&d)
		case "descriptor":
			var d struct{ Name, Version, Timestamp string }
			err := j.read(&d)
			in.report.Version, in.report.TakenAt = d.Version, moment(d.Timestamp)
			return err
		}
		return j.skip()
	})
	if err != nil {
		return err
	}
	if err := in.host(Host{Name: cmp.Or(host, "unnamed"), Credentialed: true}); err != nil {
		return err
	}
	if err := send(); err != nil {
		return err
	}
	return j.end()
}

// grypeSource names what was scanned: a directory, or an image.
func grypeSource(j *document) (string, error) {
	var s struct {
		Target json.RawMessage
	}
	if err := j.read(&s); err != nil {
		return "", err
	}
	var path string
	if json.Unmarshal(s.Target, &path) == nil {
		return path, nil
	}
	var image struct{ UserInput string }
	if json.Unmarshal(s.Target, &image) != nil {
		return "", nil
	}
	return image.UserInput, nil
}

func grypeRow(j *document) (Row, bool, error) {
	var raw json.RawMessage
	if err := j.read(&raw); err != nil {
		return Row{}, false, err
	}
	var m grypeMatch
	if err := json.Unmarshal(raw, &m); err != nil && m.Vulnerability.ID == "" || m.Vulnerability.ID == "" || m.Artifact.Name == "" {
		return Row{}, false, nil
	}
	v := m.Vulnerability
	r := Row{CVEs: []string{v.ID}, Plugin: "grype-" + v.ID, Severity: v.Severity, Claim: Affected}
	for _, related := range m.RelatedVulnerabilities {
		r.CVEs = append(r.CVEs, related.ID)
	}
	for _, a := range v.Advisories {
		r.Advisories = append(r.Advisories, a.ID)
	}
	for _, c := range v.CVSS {
		r.Vector = max(r.Vector, c.Vector)
	}
	p := Package{Name: m.Artifact.Name, Version: m.Artifact.Version}
	if len(v.Fix.Versions) > 0 {
		p.Fixed = v.Fix.Versions[0]
	}
	if m.Artifact.Type == "deb" {
		p.Source = p.Name
		if len(m.Artifact.Upstreams) > 0 {
			p.Source = m.Artifact.Upstreams[0].Name
		}
	}
	r.Packages = []Package{p}
	return r, true, nil
}
