package explain

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

const (
	certificateDir  = "/usr/share/ca-certificates/"
	localDir        = "/usr/local/share/ca-certificates/"
	certificateConf = "/etc/ca-certificates.conf"
	linkDir         = "/etc/ssl/certs/"
)

func certificatesCause(s *scene) (string, bool) {
	for _, c := range s.contents {
		if c.Name == "ca-certificates" || slices.Contains(c.Triggers, "update-ca-certificates") || slices.Contains(c.Triggers, "update-ca-certificates-fresh") {
			return c.Name, true
		}
	}
	return "", false
}

// certificates is what update-ca-certificates(8) must make of the host's configuration.
type certificates struct {
	links  map[string]string // name in linkDir → certificate
	digest string            // of the bundle
	why    string            // it cannot be worked out
}

// enabled reads ca-certificates.conf: enabled certificates in order.
func enabled(conf []byte) (on []string) {
	for line := range strings.Lines(string(conf)) {
		if line = strings.TrimSuffix(line, "\n"); line != "" && line[0] != '#' && line[0] != '!' {
			on = append(on, filetree.Quote(line))
		}
	}
	return on
}

// certificates works out the links and the bundle, which is each enabled certificate in the order of the configuration,
// then the local ones sorted, each with a line end.
func (s *scene) certificates() *certificates {
	if s.bundle != nil {
		return s.bundle
	}
	s.bundle = &certificates{links: map[string]string{}}
	conf, why := s.told(certificateConf)
	if why != "" {
		s.bundle.why = why
		return s.bundle
	}
	var all []string
	for _, name := range enabled(conf) {
		if s.isAt(certificateDir+name) != nil {
			all = append(all, certificateDir+name)
		}
	}
	for _, f := range s.after.Files {
		if strings.HasPrefix(f.Path, localDir) {
			all = append(all, f.Path)
		}
	}
	var sum bytes.Buffer
	for _, name := range all {
		b, why := s.told(name)
		if why != "" {
			s.bundle.why = why + ": " + name
			return s.bundle
		}
		sum.Write(b)
		if len(b) > 0 && b[len(b)-1] != '\n' {
			sum.WriteByte('\n')
		}
		link := strings.NewReplacer(" ", "_", "(", "=", ")", "=", ",", "_").Replace(strings.TrimSuffix(path.Base(name), ".crt")) + ".pem"
		s.bundle.links[link] = name
	}
	s.bundle.digest = envelope.Digest(sum.Bytes())
	return s.bundle
}

var hashLink = regexp.MustCompile(`^[0-9a-f]{8}\.[0-9]+$`)

// certificateOutput checks one output: the bundle by its bytes; links by certificate by their targets; links by hash by
// pointing to such a link (a wrong hash only means that nobody finds it). Something that is gone must no longer be enabled.
func certificateOutput(s *scene, c filetree.Change) string {
	if c.Path == certificateConf {
		return plain(certificateConfig)(s, c)
	}
	want := s.certificates()
	if want.why != "" {
		return want.why
	}
	name := strings.TrimPrefix(c.Path, linkDir)
	if name == "ca-certificates.crt" {
		return plain(func(_ *scene, c filetree.Change) string {
			if c.After.SHA256 != want.digest {
				return "is not the sum of the enabled certificates"
			}
			return ""
		})(s, c)
	}
	byHash := hashLink.MatchString(name)
	target, isEnabled := want.links[name]
	switch e := c.After; {
	case e == nil && byHash:
		still := c.Before.Type == filetree.Symlink && want.links[c.Before.Target] != ""
		if still && s.isAt(linkDir+name[:9]+"0") == nil {
			return "is gone although its certificate is enabled"
		}
	case e == nil && isEnabled:
		return "is gone although its certificate is enabled"
	case e == nil && c.Before.Type != filetree.Symlink:
		return "is gone and was no link"
	case e == nil:
	case e.Type != filetree.Symlink:
		return "is no symlink"
	case byHash && want.links[e.Target] == "":
		return "links to no enabled certificate"
	case !byHash && (!isEnabled || e.Target != target):
		return "is not the link of an enabled certificate"
	}
	return ""
}

// certificateConfig: what is newly enabled is shipped by this transaction; what was enabled and is not is gone.
func certificateConfig(s *scene, c filetree.Change) string {
	before, after, why := s.both(c.Path)
	if why != "" {
		return why
	}
	was, is := enabled(before), enabled(after)
	for _, name := range is {
		if want, ok := s.expected[certificateDir+name]; !slices.Contains(was, name) && (!ok || want.Gone) {
			return "enables a certificate that this transaction does not ship: " + name
		}
	}
	for _, name := range was {
		if !slices.Contains(is, name) && s.isAt(certificateDir+name) != nil {
			return "disables a certificate that is still there: " + name
		}
	}
	return ""
}
