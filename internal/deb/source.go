package deb

import (
	"regexp"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

var (
	signedKernel = regexp.MustCompile(`^linux-signed(-[0-9.]+)?-(amd64|arm64|i386)$`) // Debian
	signedUbuntu = regexp.MustCompile(`^linux-signed(-[a-z0-9.-]+)?$`)
	signedOther  = regexp.MustCompile(`^(grub)-efi-[a-z0-9]+-signed$|^(fwupd)-[a-z0-9]+-signed$`)
)

// SourceOf gives the source package and its version from a binary's name, version and Source field ("", "name" or
// "name (version)"; Debian policy 5.6.1). Packages built a second time to carry a Secure Boot signature are traced to
// the source that was compiled, because advisories name only that one:
//
//	linux-signed-amd64 6.1.192+2                        is linux 6.1.192-2 (linux-signed-6.12-amd64 is linux-6.12)
//	linux-signed-aws 5.15.0-1050.55                     is linux-aws 5.15.0-1050.55, in Ubuntu (linux-signed is linux)
//	grub-efi-amd64-signed 1+2.06+13+deb12u1             is grub2 2.06-13+deb12u1
//	fwupd-amd64-signed 1:1.4+1                          is fwupd-efi 1:1.4-1
//	shim-signed 1.51~1, binary 1.51~1+16.1-2~deb12u1    is shim 16.1-2~deb12u1
func SourceOf(name, version, field string) (source, sourceVersion string, err error) {
	source, sourceVersion = name, version
	if field != "" {
		var rest string
		source, rest, _ = strings.Cut(field, " ")
		if rest = strings.TrimSpace(rest); rest != "" {
			inner, ok := strings.CutPrefix(rest, "(")
			inner, closed := strings.CutSuffix(inner, ")")
			if !ok || !closed || ValidVersion(inner) != nil {
				return "", "", fault.New(fault.Invalid, "Source field %.200q of package %.100q is not of the form \"name (version)\"", field, name)
			}
			sourceVersion = inner
		}
	}
	if !ValidName(source) {
		return "", "", fault.New(fault.Invalid, "Source field %.200q of package %.100q names no package", field, name)
	}
	source, sourceVersion = unsigned(source, sourceVersion, version)
	return source, sourceVersion, nil
}

// unsigned traces a signed rebuild to its origin. The signed source's version is the origin's with "+" for "-".
func unsigned(source, sourceVersion, binaryVersion string) (string, string) {
	dashed := strings.Replace(sourceVersion, "+", "-", 1)
	if m := signedKernel.FindStringSubmatch(source); m != nil {
		return "linux" + m[1], dashed
	}
	if m := signedUbuntu.FindStringSubmatch(source); m != nil {
		return "linux" + m[1], sourceVersion
	}
	if m := signedOther.FindStringSubmatch(source); m != nil {
		if m[2] != "" {
			return "fwupd-efi", dashed
		}
		if rest, ok := strings.CutPrefix(sourceVersion, "1+"); ok {
			return "grub2", strings.Replace(rest, "+", "-", 1)
		}
	}
	if shim, ok := strings.CutPrefix(binaryVersion, sourceVersion+"+"); ok && source == "shim-signed" {
		return "shim", shim
	}
	return source, sourceVersion
}

// ValidName reports whether s can name a package (Debian policy 5.6.7; capitals, which dpkg still reads, are refused).
func ValidName(s string) bool {
	if len(s) < 2 || len(s) > 200 || strings.IndexByte("+-.", s[0]) >= 0 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && (c < 'a' || 'z' < c) && strings.IndexByte("+-.", c) < 0 {
			return false
		}
	}
	return true
}

// ValidArch reports whether s can name an architecture, "all" included.
func ValidArch(s string) bool {
	if s == "" || len(s) > 40 || s[0] == '-' {
		return false
	}
	for i := range len(s) {
		if c := s[i]; !isDigit(c) && (c < 'a' || 'z' < c) && c != '-' {
			return false
		}
	}
	return true
}
