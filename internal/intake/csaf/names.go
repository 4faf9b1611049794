package csaf

import "regexp"

// releaseCPE matches the CPE of a release of RHEL, 2.2 form: the product, its version, and nothing or "::repository".
// Extended support is a product of its own: rhel_eus, rhel_aus, rhel_tus, rhel_e4s, rhel_els.
var releaseCPE = regexp.MustCompile(`^cpe:/[ao]:redhat:(enterprise_linux|rhel_(eus|aus|tus|e4s|els|eus_long_life)):([0-9]{1,2})(\.[0-9]{1,2})?(::[a-z_]+)?$`)

// releaseOf gives the release that a platform's CPE means, named as os-release does. The main stream of a release has one
// name for all minor releases, "rhel-9"; a minor release with extended support has its own, "rhel-9.2", and the condition
// that the host is entitled to it.
func releaseOf(cpe string) (release, condition string) {
	m := releaseCPE.FindStringSubmatch(cpe)
	switch {
	case m == nil:
		return "", ""
	case m[2] == "":
		return "rhel-" + m[3], ""
	}
	return "rhel-" + m[3] + m[4], m[2]
}
