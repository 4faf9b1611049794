package intake

import (
	"maps"
	"regexp"
	"strings"
)

// codenames of releases by distribution and version. Source: distro-info-data.
var codenames = map[string]map[string]string{
	"debian": {"7": "wheezy", "8": "jessie", "9": "stretch", "10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie", "14": "forky", "15": "duke"},
	"ubuntu": {"14.04": "trusty", "16.04": "xenial", "18.04": "bionic", "20.04": "focal", "22.04": "jammy", "23.10": "mantic", "24.04": "noble",
		"24.10": "oracular", "25.04": "plucky", "25.10": "questing"},
}

type numbered struct{ distribution, version string }

var byCodename = func() map[string]numbered {
	all := map[string]numbered{}
	for distribution, names := range codenames {
		for version, name := range maps.All(names) {
			all[name] = numbered{distribution, version}
		}
	}
	return all
}()

// distributions by the other names that package URLs have for them. Source: Trivy calls RHEL redhat and AlmaLinux alma, as the purl
// type rpm has the namespace redhat.
var distributions = map[string]string{"redhat": "rhel", "alma": "almalinux"}

// Distribution gives the distribution of a release and its version, both as os-release has them: "bookworm" is debian and 12,
// "rhel-9" is rhel and 9. What names no release has no version.
func Distribution(release string) (distribution, version string) {
	if n, known := byCodename[release]; known {
		return n.distribution, n.version
	}
	distribution, version, _ = strings.Cut(release, "-")
	return distribution, version
}

// ReleaseOf gives the release that a distribution's version means, as statements and hosts name it: its codename, or where it has
// none the distribution and its major version, since minor ones share one stream of updates. A version of Ubuntu that this
// table does not know is "ubuntu-26.04"; one of Debian is none.
func ReleaseOf(distribution, version string) string {
	if name, known := distributions[distribution]; known {
		distribution = name
	}
	major, _, _ := strings.Cut(version, ".")
	switch {
	case major == "":
		return ""
	case distribution == "debian":
		return codenames["debian"][major]
	case distribution == "ubuntu":
		if name := codenames["ubuntu"][version]; name != "" {
			return name
		}
		return "ubuntu-" + version
	}
	return distribution + "-" + major
}

var distroForm = regexp.MustCompile(`^([a-z][a-z0-9-]{0,40}/)?[a-z][a-z0-9.-]{0,40}$`)

// ReleaseNamed gives the release that the qualifier distro of a package URL names: as scanners write it, "debian-12.11", or its
// codename, behind a pocket of Ubuntu Pro where there is one, "esm-infra/focal"; then the pocket is the condition under
// which its fixes are to be had. Source: Trivy, Syft, and Canonical's VEX.
func ReleaseNamed(distro string) (release, condition string) {
	if !distroForm.MatchString(distro) {
		return "", ""
	}
	if pocket, name, found := strings.Cut(distro, "/"); found {
		condition, distro = pocket, name
	}
	if _, known := byCodename[distro]; known {
		return distro, condition
	}
	distribution, version, _ := strings.Cut(distro, "-")
	return ReleaseOf(distribution, version), condition
}
