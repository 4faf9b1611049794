package scanner

import "cmp"

// clairItem is one finding, as clair-scanner and klar write it. Field names match in any case.
type clairItem struct {
	Name, Vulnerability string // klar, clair-scanner
	Severity, FixedBy   string
	FeatureName         string
	FeatureVersion      string
	Description         string
}

// clair reads the JSON of clair-scanner (one list) and of klar (lists by severity).
func clair(in *input, host string) error {
	j := in.json()
	in.report.Scanner = "clair"
	send := func() error {
		var v clairItem
		if err := j.read(&v); err != nil {
			return err
		}
		id := cmp.Or(v.Vulnerability, v.Name)
		r := Row{Host: host, CVEs: []string{id}, Title: v.Description, Severity: v.Severity, Claim: Affected,
			Packages: []Package{{Name: v.FeatureName, Version: v.FeatureVersion, Fixed: v.FixedBy}}}
		if id != "" {
			r.Plugin = "clair-" + id
		}
		return in.row(r)
	}
	err := j.object(func(key string) error {
		switch key {
		case "image":
			var image string
			err := j.read(&image)
			host = cmp.Or(host, image)
			return err
		case "vulnerabilities":
			return j.array(send)
		case "Vulnerabilities":
			return j.object(func(string) error { return j.array(send) })
		}
		return j.skip()
	})
	if err != nil {
		return err
	}
	if err := in.host(Host{Name: host, Credentialed: true}); err != nil {
		return err
	}
	return j.end()
}
