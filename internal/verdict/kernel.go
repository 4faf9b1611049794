package verdict

import (
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
	"github.com/patchwarrant/patchwarrant/internal/rpm"
)

// Kernel is what a host says about the kernel it runs.
type Kernel struct {
	Release string // uname -r, e.g. 6.1.0-40-amd64 or 5.14.0-362.8.1.el9_3.x86_64
	Version string // uname -v, e.g. "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1 (2025-09-20)"
	None    bool   // a root beside /, a chroot say: no kernel of it ever runs
}

var (
	kernelSource  = regexp.MustCompile(`^linux(-[0-9.]+)?$`)
	kernelPart    = regexp.MustCompile(`^linux-([a-z0-9.-]+-)?(image|modules|headers|tools)(-unsigned|-extra)?-[0-9]`)
	kernelRPM     = regexp.MustCompile(`^kernel(-rt|-64k|-uek)?$`)
	kernelImage   = regexp.MustCompile(`^kernel(-rt|-64k|-uek)?(-debug)?(-core)?$`)
	imageDeb      = regexp.MustCompile(`^linux-image-(unsigned-)?[0-9]`) // not the metapackages, which hold no kernel
	runningDebian = regexp.MustCompile(`\bDebian (\S+)`)
	runningUbuntu = regexp.MustCompile(`^#(\S+)-Ubuntu\b`)
	ubuntuABI     = regexp.MustCompile(`^[0-9.]+-[0-9]+`)
)

// ofKernel reports whether a package is built from a kernel's source. Ubuntu has dozens of those (linux-aws, linux-hwe-6.5,
// linux-raspi); what they build tells them from linux-firmware and the like.
func ofKernel(p pkgset.Package) bool {
	if p.RPM != nil {
		return kernelRPM.MatchString(p.Source)
	}
	return strings.HasPrefix(p.Source, "linux") && (kernelSource.MatchString(p.Source) || kernelPart.MatchString(p.Name))
}

// boot looks at images only. The running kernel is one of them, or one whose image was removed since the boot; where it does not
// say its version, or another source's image runs, the oldest installed version stands: better affected than wrongly fixed.
func (h *holding) boot(set pkgset.Set, kernel Kernel) {
	newest, running, removed := "", "", ""
	for _, p := range set {
		if p.Source != h.source || !image(p) {
			continue
		}
		version := p.SourceVersion
		if h.rpm {
			version = p.Version
		}
		if newest == "" || h.compare(version, newest) > 0 {
			newest = version
		}
		if runs(p, kernel.Release) {
			running = version
		}
		if version, _ = strings.CutSuffix(kernel.Release, "."+p.Arch); rpm.ValidVersion(version) == nil {
			removed = version
		}
	}
	gone := running == "" && !slices.ContainsFunc(set, func(p pkgset.Package) bool { return image(p) && runs(p, kernel.Release) })
	switch {
	case !h.rpm && (running != "" || gone):
		running = kernel.running()
	case gone:
		running = removed
	}
	switch {
	case newest == "" || kernel.None:
		h.artefacts = true
	case running != "":
		h.version, h.epochless = newest, false
		if h.compare(running, newest) < 0 {
			h.running = running
		}
	}
}

// running gives the version of dpkg's package that runs, or "" where the kernel does not tell it. Debian's stands in uname -v;
// Ubuntu's is the number there behind what uname -r begins with: 5.15.0-91-generic and "#101-Ubuntu" are 5.15.0-91.101.
func (k Kernel) running() string {
	version := ""
	if m := runningDebian.FindStringSubmatch(k.Version); m != nil {
		version = m[1]
	} else if m := runningUbuntu.FindStringSubmatch(k.Version); m != nil {
		version = ubuntuABI.FindString(k.Release) + "." + m[1]
	}
	if deb.ValidVersion(version) != nil {
		return ""
	}
	return version
}

func image(p pkgset.Package) bool {
	if p.RPM != nil {
		return kernelImage.MatchString(p.Name)
	}
	return imageDeb.MatchString(p.Name) && !strings.HasSuffix(p.Name, "-dbg") && !strings.HasSuffix(p.Name, "-dbgsym")
}

// runs reports whether an image is the one that uname -r names: that of dpkg in its name, rpm's by version, release and
// architecture, behind which the variant may stand ("+rt", ".debug").
func runs(p pkgset.Package, release string) bool {
	if p.RPM == nil {
		name := strings.TrimPrefix(strings.TrimPrefix(p.Name, "linux-image-"), "unsigned-") // Ubuntu's mark, and Debian's
		return strings.TrimSuffix(name, "-unsigned") == release
	}
	return release == p.Version+"."+p.Arch || strings.HasPrefix(release, p.Version+"."+p.Arch+"+") || strings.HasPrefix(release, p.Version+"."+p.Arch+".")
}
