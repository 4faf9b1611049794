package wire

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
)

// Bounds of an inventory's lists. What an agent finds over them it counts, where there is a field for that, or leaves out.
const (
	MaxSources   = 1000
	MaxSettings  = 200
	MaxProcesses = 500
	MaxOldFiles  = 20  // of one process
	MaxText      = 512 // bytes of any text that is not a path
	MaxFilePath  = 4 * 4096
)

// Inventory is what changes rarely on a host, or in one of its roots. Texts that come from files or processes of the host are
// as filetree.Quote writes them.
type Inventory struct {
	Hostname       string    `json:"hostname"`
	Distribution   string    `json:"distribution"`         // os-release ID, e.g. debian
	Release        string    `json:"release"`              // os-release VERSION_CODENAME, e.g. bookworm; see ReleaseName
	Version        string    `json:"version_id,omitempty"` // os-release VERSION_ID, e.g. 12 or 9.3
	Arch           string    `json:"arch"`                 // dpkg's or rpm's name, e.g. amd64
	Kernel         Kernel    `json:"kernel"`
	RebootRequired bool      `json:"reboot_required"`
	Sources        []Source  `json:"sources"`
	IndexAt        time.Time `json:"index_at"` // when the package index was last fetched; zero: never

	Pins    []Pin     `json:"pins,omitempty"`
	Keys    []Key     `json:"keys,omitempty"`  // that sign what the host installs
	Loose   []Setting `json:"loose,omitempty"` // settings under which signatures or freshness are not checked
	Updates Updates   `json:"updates,omitzero"`

	Hardware  Hardware `json:"hardware,omitzero"`
	Addresses []string `json:"addresses,omitempty"`
	MachineID string   `json:"machine_id,omitempty"` // SHA-256 of the text, which itself is to stay on the host

	Processes Processes `json:"processes,omitzero"`
	Found     []Found   `json:"found,omitempty"`   // other systems on this host
	Lagging   []Lagging `json:"lagging,omitempty"` // in this root: copies that stayed behind
	Copies    []Lagging `json:"copies,omitempty"`  // in this root: copies that are as the host's files are now

	Changeable bool     `json:"changeable,omitempty"` // of a root beside the host's own: the host's policy lets orders change it
	Unread     []string `json:"unread,omitempty"`     // configured roots that could not be read now; what is known of them is older
}

// Kernel is the running kernel and the ones installed.
type Kernel struct {
	Running   string   `json:"running"`   // uname -r
	Version   string   `json:"version"`   // uname -v, which names the Debian version
	Installed []string `json:"installed"` // releases with an image under /boot, sorted
}

// Source is one package source the host trusts.
type Source struct {
	File       string   `json:"file"`
	Types      []string `json:"types"` // deb, deb-src, rpm
	URIs       []string `json:"uris"`
	Suites     []string `json:"suites"` // of rpm: the repository's ID
	Components []string `json:"components"`
	SignedBy   string   `json:"signed_by,omitempty"` // path, address, fingerprint, or "inline"; empty: every key the packager trusts
	Options    []string `json:"options,omitempty"`   // anything else that changes trust, e.g. trusted=yes
}

// Pin is one stanza of apt_preferences(5).
type Pin struct {
	File     string `json:"file"`
	Packages string `json:"packages"`
	Pin      string `json:"pin"`
	Priority int    `json:"priority"`
}

// Key is a key that the host trusts to sign packages. Fingerprint is empty where the file cannot be read as keys.
type Key struct {
	File        string `json:"file"`
	Fingerprint string `json:"fingerprint"` // lower hex; of rpm: the key's ID
}

// Setting is one setting in a file.
type Setting struct {
	File  string `json:"file"`
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Updates is what the host does about updates by itself.
type Updates struct {
	Installs bool      `json:"installs"` // it installs without an order
	Settings []Setting `json:"settings,omitempty"`
}

// Hardware is the machine. What it does not tell is empty.
type Hardware struct {
	Vendor         string `json:"vendor,omitempty"`
	Model          string `json:"model,omitempty"`
	Serial         string `json:"serial,omitempty"`
	CPU            string `json:"cpu,omitempty"`
	CPUs           int    `json:"cpus,omitempty"`
	MemoryKiB      int64  `json:"memory_kib,omitempty"`
	Virtualization string `json:"virtualization,omitempty"` // a container manager's name, "vm", or empty
}

// Processes are those that still run files which were replaced or deleted, or a program whose files changed.
type Processes struct {
	Unknown string    `json:"unknown,omitempty"` // why nobody could look; empty: somebody did
	Old     []Process `json:"old,omitempty"`     // by ID
	More    int       `json:"more,omitempty"`    // over the bounds
	Unseen  int       `json:"unseen,omitempty"`  // whose mappings could not be read

	Unjudged int `json:"unjudged,omitempty"` // interpreters whose program's files could not all be found or read
}

// Process runs a file that is not on disk any more.
type Process struct {
	ID   int       `json:"pid"`
	UID  int       `json:"uid"`
	Name string    `json:"name"`
	Exe  string    `json:"exe"`
	Unit string    `json:"unit,omitempty"` // systemd's, e.g. ssh.service
	Root string    `json:"root,omitempty"` // the process's own root directory; empty: the host's
	Old  []OldFile `json:"old"`
}

// OldFile is a replaced or deleted file that a process runs.
type OldFile struct {
	Path    string `json:"path"`
	Package string `json:"package,omitempty"` // to which a file of that path belongs now
	Source  bool   `json:"source,omitempty"`  // the process's interpreter read it, and it changed since
}

// Found is another system on the host: a container or chroot by its place or by a process that lives in it.
type Found struct {
	Path         string `json:"path"`
	Kind         string `json:"kind"` // machine, chroot, container, process
	Distribution string `json:"distribution,omitempty"`
	Release      string `json:"release,omitempty"`
	Reported     bool   `json:"reported"` // it is one of the host's configured roots
}

// Lagging is a file of a root that was the same as the host's own and stayed behind when that was replaced. Among copies Host is
// empty: it is Has.
type Lagging struct {
	Path    string `json:"path"`
	Package string `json:"package"` // the host's, whose file was copied
	Has     string `json:"has"`     // SHA-256
	Host    string `json:"host"`    // SHA-256 of the host's file

	Attributes bool `json:"attributes,omitempty"` // it has extended attributes: no order renews it
}

// ReleaseName is what sources of advisories call the release: its codename, or where it has none ID and major version, e.g.
// "rocky-9". Minor releases of such distributions share one stream of updates.
func (i *Inventory) ReleaseName() string {
	major, _, _ := strings.Cut(i.Version, ".")
	if i.Release != "" || i.Distribution == "" || major == "" {
		return i.Release
	}
	return i.Distribution + "-" + major
}

// Check implements Checker.
func (i *Inventory) Check() error {
	switch {
	case len(i.Hostname) > MaxName || len(i.Distribution) > 64 || len(i.Release) > 64 || len(i.Version) > 64 || len(i.Arch) > 32 ||
		len(i.Kernel.Installed) > 100 || i.MachineID != "" && !envelope.ValidDigest(i.MachineID):
		return invalid("inventory")
	case len(i.Sources) > MaxSources || len(i.Pins) > MaxSettings || len(i.Keys) > MaxSources || len(i.Loose) > MaxSettings || len(i.Updates.Settings) > MaxSettings:
		return invalid("inventory: sources")
	case len(i.Addresses) > MaxSettings || slices.ContainsFunc(i.Addresses, notAddress) || len(i.Hardware.Serial) > MaxText:
		return invalid("inventory: machine")
	case len(i.Found) > MaxSources || len(i.Lagging) > MaxSources || len(i.Copies) > MaxSources || len(i.Unread) > MaxRoots:
		return invalid("inventory")
	}
	return i.Processes.Check()
}

func notAddress(s string) bool {
	a, err := netip.ParseAddr(s)
	return err != nil || a.Zone() != "" || a.String() != s
}

// Check implements Checker.
func (p *Processes) Check() error {
	if len(p.Old) > MaxProcesses || len(p.Unknown) > MaxText || p.More < 0 || p.Unseen < 0 || p.Unjudged < 0 {
		return invalid("processes")
	}
	last := 0
	for _, old := range p.Old {
		if old.ID <= last || len(old.Old) > MaxOldFiles || len(old.Name) > MaxText || len(old.Unit) > MaxText || len(old.Exe) > MaxFilePath || len(old.Root) > MaxFilePath {
			return invalid("processes")
		}
		for _, f := range old.Old {
			if len(f.Path) > MaxFilePath || len(f.Package) > MaxText {
				return invalid("processes")
			}
		}
		last = old.ID
	}
	return nil
}

// Origins says which configured source each package of a set came from: the ones whose index holds exactly its version now;
// of rpm's packages the repository that dnf noted when it installed them.
// It stands apart from the set, so that hosts with the same packages share the set whatever their sources are.
type Origins struct {
	PackageSet string   `json:"package_set"`
	Sources    []Origin `json:"sources"`
	Of         [][]int  `json:"of"` // for each package, in the set's order, indexes of Sources; none: unknown, or local
}

// Origin is a source as its signed release file calls itself, or a repository.
type Origin struct {
	Site      string `json:"site"` // host and path, as apt names its list; of a repository: its address, if it is configured and in use
	Origin    string `json:"origin,omitempty"`
	Label     string `json:"label,omitempty"`
	Suite     string `json:"suite,omitempty"`
	Codename  string `json:"codename,omitempty"`
	Component string `json:"component,omitempty"`

	Repository string `json:"repository,omitempty"` // its ID, as dnf noted it; "@commandline" is a file that somebody named
}

// Check implements Checker.
func (o *Origins) Check() error {
	if !envelope.ValidDigest(o.PackageSet) || len(o.Sources) > MaxSources || len(o.Of) > 200_000 {
		return invalid("origins")
	}
	for _, s := range o.Sources {
		for _, text := range []string{s.Site, s.Origin, s.Label, s.Suite, s.Codename, s.Component, s.Repository} {
			if len(text) > MaxText {
				return invalid("origins")
			}
		}
	}
	for _, of := range o.Of {
		last := -1
		for _, i := range of {
			if i <= last || i >= len(o.Sources) {
				return invalid("origins")
			}
			last = i
		}
	}
	return nil
}
