package suspicion

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Bounds of texts, in bytes.
const (
	maxLine = 200
	maxText = 4000
)

// check refuses what does not say what and where, and text that could hide or rearrange what its readers see.
func (c Claim) check() error {
	for field, s := range map[string]string{"title": c.Title, "host": c.Host, "package": c.Package, "place": c.Place} {
		if !line(s) {
			return fault.New(fault.Invalid, "%s: want one line of at most %d bytes without control characters", field, maxLine)
		}
	}
	switch {
	case !text(c.Noticed):
		return fault.New(fault.Invalid, "noticed: want text of at most %d bytes without control characters; attach what is longer", maxText)
	case strings.TrimSpace(c.Title) == "" || strings.TrimSpace(c.Noticed) == "":
		return fault.New(fault.Invalid, "say what it is, and how you noticed it")
	case c.Host == "" && c.Package == "" && c.Place == "":
		return fault.New(fault.Invalid, "say where: a host, a package or any other place")
	}
	return nil
}

func line(s string) bool {
	return len(s) <= maxLine && !strings.Contains(s, "\n") && text(s)
}

func text(s string) bool {
	return len(s) <= maxText && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r != '\n' && (unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || unicode.Is(unicode.Zl, r) || unicode.Is(unicode.Zp, r))
	})
}

// evidenceOf describes what is attached; nil where nothing is. Its bytes are never interpreted.
func evidenceOf(name string, attached []byte) (*Evidence, error) {
	switch {
	case len(attached) == 0:
		return nil, nil
	case len(attached) > MaxEvidence:
		return nil, fault.New(fault.Invalid, "what is attached is larger than %d KiB, which is the most", MaxEvidence>>10)
	case !line(name) || strings.TrimSpace(name) == "":
		return nil, fault.New(fault.Invalid, "the name of what is attached: want one line of at most %d bytes without control characters", maxLine)
	}
	return &Evidence{Name: name, Bytes: len(attached), SHA256: envelope.Digest(attached)}, nil
}
