package scanner

import (
	"cmp"
	"io"
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// Component is an entry of a component list (SBOM). Its texts are a stranger's; the version is as the package's own manager
// writes it, with the epoch.
type Component struct {
	Kind    string // type of its package URL: "deb", "rpm", "npm", …; empty: it has none that can be read
	Distro  string // that its package URL names, see intake.ReleaseNamed
	Name    string
	Arch    string
	Version string
	// Source package, where the list names one: in the package URL (Syft, Grype), in properties (Trivy, Syft), or in
	// SPDX's sourceInfo (Trivy). SourceVersion is empty where it is the version of the component.
	Source, SourceVersion string
	Module                string // name:stream:version:context of an rpm module
	File                  bool   // a file or the operating system itself: no package
}

// Components reads the entries of a component list, CycloneDX or SPDX 2, nested ones too. What is none, or is damaged, is
// fault.Invalid. An error of take ends it.
func Components(r io.Reader, take func(Component) error) error {
	in := newInput(r, nowhere{})
	format, err := Detect(in.r)
	if err != nil {
		return err
	}
	if format != "cyclonedx" && format != "spdx" {
		return fault.New(fault.Invalid, "a %s report is no component list; want CycloneDX or SPDX 2", format)
	}
	in.component = func(c bomComponent) error {
		err := take(c.component())
		in.sank = in.sank || err != nil
		return err
	}
	if err = formats[format](in, "component list"); err != nil && fault.KindOf(err) == fault.Internal && !in.sank {
		err = fault.New(fault.Invalid, "%s: damaged or truncated: %w", format, err)
	}
	return err
}

// nowhere is where the vulnerabilities of a component list go that is read for its components.
type nowhere struct{}

func (nowhere) Host(Host) error { return nil }
func (nowhere) Row(Row) error   { return nil }

func (c bomComponent) component() Component {
	all := Component{Name: c.Name, Version: c.Version, File: c.Type == "file" || c.Type == "operating-system"}
	u, err := packageurl.FromString(c.PURL)
	if err != nil {
		return all
	}
	q := u.Qualifiers.Map()
	all.Kind, all.Name, all.Version, all.Arch, all.Distro = u.Type, u.Name, withEpoch(q["epoch"], u.Version), q["arch"], q["distro"]
	switch {
	case q["upstream"] != "" && u.Type == packageurl.TypeRPM:
		all.Source, all.SourceVersion, _ = rpm.ParseSource(q["upstream"])
	case q["upstream"] != "":
		all.Source, all.SourceVersion, _ = strings.Cut(q["upstream"], "@")
	case c.SourceInfo != "":
		words := strings.Fields(strings.TrimPrefix(c.SourceInfo, builtFrom))
		if strings.HasPrefix(c.SourceInfo, builtFrom) && len(words) == 2 {
			all.Source, all.SourceVersion = words[0], words[1]
		}
	default:
		all.sourceIn(c.property)
	}
	if u.Type == packageurl.TypeRPM { // the name of a source package holds no epoch
		if _, rest, found := strings.Cut(all.SourceVersion, ":"); found {
			all.SourceVersion = rest
		}
	}
	all.Module = cmp.Or(q["rpmmod"], c.property("aquasecurity:trivy:Modularitylabel"), c.property("syft:metadata:modularityLabel"))
	return all
}

// builtFrom is how Trivy begins SPDX's sourceInfo.
const builtFrom = "built package from: "

// sourceIn reads the source package from properties.
func (c *Component) sourceIn(property func(string) string) {
	const trivy, syft = "aquasecurity:trivy:Src", "syft:metadata:source"
	if c.Source = property(trivy + "Name"); c.Source == "" {
		c.Source, c.SourceVersion = property(syft), property(syft+"Version")
		return
	}
	c.SourceVersion = property(trivy + "Version")
	if release := property(trivy + "Release"); release != "" {
		c.SourceVersion += "-" + release
	}
	c.SourceVersion = withEpoch(property(trivy+"Epoch"), c.SourceVersion)
}

func withEpoch(epoch, version string) string {
	if epoch == "" || epoch == "0" || version == "" || strings.Contains(version, ":") {
		return version
	}
	return epoch + ":" + version
}
