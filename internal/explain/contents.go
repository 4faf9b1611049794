// Package explain accounts for file changes: what a transaction's packages must make of a host (prediction), what programs derive
// from that, what stage showed (manifest), and so the verdict about each path that differs (reconciliation). It is arithmetic over
// facts, which anyone does again offline, and keeps nothing.
package explain

import (
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// Contents is the content list of one .deb, as a fact: all that a prediction needs to know of it. Paths and targets are in
// the form filetree.Quote gives.
type Contents struct {
	SHA256    string    `json:"sha256"` // of the .deb
	Name      string    `json:"name"`
	Arch      string    `json:"arch"`
	Version   string    `json:"version"`
	MultiArch string    `json:"multi_arch,omitempty"`
	Conffiles []string  `json:"conffiles,omitempty"`
	Triggers  []string  `json:"triggers,omitempty"` // names it activates or is interested in
	Info      []Info    `json:"info"`               // control members that dpkg keeps
	Files     []Shipped `json:"files"`              // data.tar in its order
}

// Info is a control member.
type Info struct {
	Name   string `json:"name"`
	Mode   uint32 `json:"mode"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// Shipped is a member of data.tar.
type Shipped struct {
	Path   string `json:"path"`
	Type   string `json:"type"`
	Mode   uint32 `json:"mode"`
	User   string `json:"user,omitempty"`
	Group  string `json:"group,omitempty"`
	UID    uint32 `json:"uid"`
	GID    uint32 `json:"gid"`
	Size   int64  `json:"size,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	MD5    string `json:"md5,omitempty"`
	Target string `json:"target,omitempty"`
}

// ContentsOf takes the content list from a .deb.
func ContentsOf(p *deb.Package) Contents {
	c := Contents{SHA256: p.SHA256, Name: p.Name, Arch: p.Arch, Version: p.Version, MultiArch: p.Control.Get("Multi-Arch"),
		Files: make([]Shipped, 0, len(p.Files))}
	for _, path := range p.Conffiles {
		c.Conffiles = append(c.Conffiles, filetree.Quote(path))
	}
	for line := range strings.Lines(string(p.InfoContent("triggers"))) {
		if f := strings.Fields(line); len(f) == 2 && f[0][0] != '#' {
			c.Triggers = append(c.Triggers, f[1])
		}
	}
	for _, i := range p.Info {
		if i.Name != "control" { // goes into the status file
			c.Info = append(c.Info, Info{i.Name, i.Mode, int64(len(i.Content)), i.SHA256})
		}
	}
	for _, f := range p.Files {
		c.Files = append(c.Files, Shipped{Path: filetree.Quote(f.Path), Type: string(f.Type), Mode: f.Mode, User: f.User, Group: f.Group,
			UID: uint32(f.UID), GID: uint32(f.GID), Size: f.Size, SHA256: f.SHA256, MD5: f.MD5, Target: filetree.Quote(f.Target)})
	}
	return c
}

// infoName is how dpkg names the package's files in /var/lib/dpkg/info. Source: dpkg, pkg-format of "Multi-Arch: same".
func (c *Contents) infoName() string {
	if c.MultiArch == "same" {
		return c.Name + ":" + c.Arch
	}
	return c.Name
}

// ships reports whether the package contains a path, as written or below another name of the same directory.
func (c *Contents) ships(path string) bool {
	return slices.ContainsFunc(c.Files, func(f Shipped) bool { return f.Path == path })
}
