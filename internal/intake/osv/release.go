package osv

import (
	"regexp"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// Codenames by version. Source: distro-info-data.
var (
	debian = map[string]string{"7": "wheezy", "8": "jessie", "9": "stretch", "10": "buster", "11": "bullseye", "12": "bookworm", "13": "trixie",
		"14": "forky", "15": "duke"}
	ubuntu = map[string]string{"14.04": "trusty", "16.04": "xenial", "18.04": "bionic", "20.04": "focal", "22.04": "jammy", "23.10": "mantic",
		"24.04": "noble", "24.10": "oracular", "25.04": "plucky", "25.10": "questing"}
)

// ubuntuEcosystem matches "Ubuntu:22.04:LTS", "Ubuntu:Pro:18.04:LTS" and "Ubuntu:Pro:FIPS-updates:20.04:LTS".
var ubuntuEcosystem = regexp.MustCompile(`^Ubuntu(:Pro)?(?::([A-Za-z][A-Za-z-]*))?:([0-9]{2}\.[0-9]{2})(?::LTS)?$`)

// releaseOf gives the release that an ecosystem means, as hosts name it, and the condition under which its fixes are to be
// had; no release for what we do not know. Pro's pockets (esm-infra, esm-apps) stand in the purl only.
func releaseOf(ecosystem, purl string) (release, condition string, scheme intake.Scheme) {
	distribution, version, _ := strings.Cut(ecosystem, ":")
	switch distribution {
	case "Debian":
		return debian[version], "", intake.Deb
	case "Rocky Linux":
		return "rocky-" + version, "", intake.RPM
	case "AlmaLinux":
		return "almalinux-" + version, "", intake.RPM
	}
	m := ubuntuEcosystem.FindStringSubmatch(ecosystem)
	if m == nil {
		return "", "", ""
	}
	if release = ubuntu[m[3]]; release == "" {
		release = "ubuntu-" + m[3] // as os-release has it, until this table knows the codename
	}
	switch {
	case m[2] != "":
		condition = strings.ToLower(m[2])
	case m[1] != "":
		condition = "pro"
		if _, pocket, ok := strings.Cut(purl, "distro=esm-"); ok {
			pocket, _, _ = strings.Cut(pocket, "/")
			condition = "esm-" + clip(pocket)
		}
	}
	return release, condition, intake.Deb
}
