package triage

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// Kernel is what a host says about the kernel it runs.
type Kernel struct {
	Release string // uname -r, e.g. 6.1.0-40-amd64
	Version string // uname -v, e.g. "#1 SMP PREEMPT_DYNAMIC Debian 6.1.153-1 (2025-09-20)"
	None    bool   // a root beside /, a chroot say: no kernel of it ever runs
}

// holding is one source package on hosts: what is judged. Several versions of one source on a host count as the oldest,
// but for kernels, where the newest image is what the next boot runs.
type holding struct {
	release, source, version string
	running                  string // kernels: the running version, when it is known and older than version
	artefacts                bool   // kernels: no image is installed, only headers and tools built from the source
}

var (
	kernelSource  = regexp.MustCompile(`^linux(-[0-9.]+)?$`)
	runningDebian = regexp.MustCompile(`\bDebian (\S+)`)
)

// holdings reduces a package set to what is judged, in no order.
func holdings(release string, set pkgset.Set, kernel Kernel) []holding {
	oldest := make(map[string]string, len(set))
	for _, p := range set {
		if v, ok := oldest[p.Source]; !ok || deb.Compare(p.SourceVersion, v) < 0 {
			oldest[p.Source] = p.SourceVersion
		}
	}
	all := make([]holding, 0, len(oldest))
	for source, version := range oldest {
		h := holding{release: release, source: source, version: version}
		if kernelSource.MatchString(source) {
			h.kernel(set, kernel)
		}
		all = append(all, h)
	}
	return all
}

// kernel looks at images only. Where the running kernel is none of the installed images, or does not say its Debian
// version, the oldest installed version stands: better affected than wrongly fixed.
func (h *holding) kernel(set pkgset.Set, kernel Kernel) {
	newest, ours := "", false
	for _, p := range set {
		if p.Source != h.source || !strings.HasPrefix(p.Name, "linux-image-") {
			continue
		}
		if newest == "" || deb.Compare(p.SourceVersion, newest) > 0 {
			newest = p.SourceVersion
		}
		name := strings.TrimPrefix(p.Name, "linux-image-")
		ours = ours || strings.TrimSuffix(name, "-unsigned") == kernel.Release
	}
	m := runningDebian.FindStringSubmatch(kernel.Version)
	switch {
	case newest == "" || kernel.None:
		h.artefacts = true
	case ours && m != nil && deb.ValidVersion(m[1]) == nil:
		h.version = newest
		if deb.Compare(m[1], newest) < 0 {
			h.running = m[1]
		}
	}
}

// judge is Judge with what a holding adds about kernels.
func (h holding) judge(s intake.Statement) Verdict {
	v := Judge(h.release, h.source, h.version, s)
	if h.artefacts && v.Status == Affected {
		return Verdict{Undetermined, v.Fixed, "no kernel image is installed that could run, only packages built beside it; " + v.Reason}
	}
	if h.running != "" && v.Status == NotAffected {
		if Judge(h.release, h.source, h.running, s).Status == Affected {
			return Verdict{FixedAfterReboot, v.Fixed, fmt.Sprintf("%s; kernel %s still runs", v.Reason, h.running)}
		}
	}
	return v
}
