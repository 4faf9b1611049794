package triage

import (
	"regexp"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// Kernel is what a host says about the kernel it runs.
type Kernel struct {
	Release string // uname -r, e.g. 6.1.0-40-amd64 or 5.14.0-362.8.1.el9_3.x86_64
	Version string // uname -v, e.g. "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1 (2025-09-20)"
	None    bool   // a root beside /, a chroot say: no kernel of it ever runs
}

var (
	kernelSource  = regexp.MustCompile(`^linux(-[0-9.]+)?$`)
	kernelRPM     = regexp.MustCompile(`^kernel(-rt|-64k|-uek)?$`)
	kernelImage   = regexp.MustCompile(`^kernel(-rt|-64k|-uek)?(-debug)?(-core)?$`)
	runningDebian = regexp.MustCompile(`\bDebian (\S+)`)
)

func (h holding) isKernel() bool {
	if h.rpm {
		return kernelRPM.MatchString(h.source)
	}
	return kernelSource.MatchString(h.source)
}

// kernel looks at images only. Where the running kernel is none of the installed images, or does not say its version, the
// oldest installed version stands: better affected than wrongly fixed.
func (h *holding) kernel(set pkgset.Set, kernel Kernel) {
	newest, running := "", ""
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
	}
	if m := runningDebian.FindStringSubmatch(kernel.Version); !h.rpm && running != "" {
		running = ""
		if m != nil && deb.ValidVersion(m[1]) == nil {
			running = m[1]
		}
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

func image(p pkgset.Package) bool {
	if p.RPM != nil {
		return kernelImage.MatchString(p.Name)
	}
	return strings.HasPrefix(p.Name, "linux-image-")
}

// runs reports whether an image is the one that uname -r names: Debian's in its name, rpm's by version, release and
// architecture, behind which the variant may stand ("+rt", ".debug").
func runs(p pkgset.Package, release string) bool {
	if p.RPM == nil {
		return strings.TrimSuffix(strings.TrimPrefix(p.Name, "linux-image-"), "-unsigned") == release
	}
	return release == p.Version+"."+p.Arch || strings.HasPrefix(release, p.Version+"."+p.Arch+"+") || strings.HasPrefix(release, p.Version+"."+p.Arch+".")
}
