package osv

import (
	"regexp"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/intake"
)

// ubuntuEcosystem matches "Ubuntu:22.04:LTS", "Ubuntu:Pro:18.04:LTS" and "Ubuntu:Pro:FIPS-updates:20.04:LTS".
var ubuntuEcosystem = regexp.MustCompile(`^Ubuntu(:Pro)?(?::([A-Za-z][A-Za-z-]*))?:([0-9]{2}\.[0-9]{2})(?::LTS)?$`)

// releaseOf gives the release that an ecosystem means, as hosts name it, and the condition under which its fixes are to be
// had; no release for what we do not know. Pro's pockets (esm-infra, esm-apps) stand in the purl only.
func releaseOf(ecosystem, purl string) (release, condition string, scheme intake.Scheme) {
	distribution, version, _ := strings.Cut(ecosystem, ":")
	switch distribution {
	case "Debian":
		return intake.ReleaseOf("debian", version), "", intake.Deb
	case "Rocky Linux":
		return "rocky-" + version, "", intake.RPM
	case "AlmaLinux":
		return "almalinux-" + version, "", intake.RPM
	}
	m := ubuntuEcosystem.FindStringSubmatch(ecosystem)
	if m == nil {
		return "", "", ""
	}
	release = intake.ReleaseOf("ubuntu", m[3])
	switch {
	case m[2] != "":
		condition = strings.ToLower(m[2])
	case m[1] != "":
		condition = "pro"
		if _, pocket, ok := strings.Cut(purl, "distro=esm-"); ok {
			pocket, _, _ = strings.Cut(pocket, "/")
			condition = "esm-" + intake.Clip(pocket, 200)
		}
	}
	return release, condition, intake.Deb
}
