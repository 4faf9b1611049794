package explain

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Expected is the state a path must have when the transaction is done. The rules, by number:
//
//	P1  a shipped file has the archive's type, mode, owner names, size and digest; P2 links and special files likewise
//	P3  a shipped directory is new as in the archive, or stays as it was
//	P4  parents are followed through the host's own symlinks
//	P5  a path diverted for another package goes to the diverted name
//	P6  modes and owners in dpkg's statoverride win
//	P7  paths under path-exclude (and no later path-include) are not unpacked, and gone if they were there (P9)
//	P8  a shipped symlink leaves a directory, or a link to one, alone
//	P9  what the old version listed and the new one does not is gone, except conffiles and what others own too
//	P10 conffiles: see conffile
//	P11 dpkg keeps the control members and the list of paths
//	P13 modes that maintainer scripts give (scriptModes)
//	P14 in another root: a file that was copied from a package of the host's own has the content the order names
//
// P12, the status file, is checked as a book. Rules has the same for people who read a report.
type Expected struct {
	Gone    bool
	Entry   filetree.Entry
	Rule    string
	Package string
	MayStay bool // Gone, but the path may as well stay as it was: a directory that others use
}

// Rules says in a few words what each rule that a Line can name demands. Derivations are named by what they are.
var Rules = map[string]string{
	"P1":  "a file as the package has it: type, mode, owner and group, size and SHA-256",
	"P2":  "a link or special file as the package has it",
	"P3":  "a directory, new as the package has it or left as it was",
	"P5":  "a file that the host diverts to another name for the sake of another package",
	"P6":  "a file whose mode or owner the host overrides (dpkg-statoverride)",
	"P7":  "a path that the host's dpkg configuration keeps from being unpacked",
	"P8":  "a link that leaves the directory alone which stands in its place",
	"P9":  "what the old version had and the new one has not is gone",
	"P10": "a configuration file: the old one, the new one, or both, by what was changed on the host",
	"P11": "dpkg's own notes about the package",
	"P13": "a mode that the package's script gives to its file",
	"P14": "a file that was copied from a package of the host's own root: the content that the package has and the order names, otherwise as it was",
}

// scriptModes are modes that a postinst gives to a shipped file (rule P13). Source: openssh-client.postinst.
var scriptModes = map[string]struct {
	mode  uint32
	group string
}{
	"/usr/bin/ssh-agent": {0o2755, "_ssh"},
}

// predictor gathers expectations.
type predictor struct {
	facts    *wire.HostFacts
	look     lookup // before
	expected map[string]Expected

	diverted  map[string]diversion
	overrides map[string]override
	filters   []filter
	conffiles map[string]map[string]string // package → path → md5 the old version brought
}

type diversion struct{ to, owner string }

type override struct {
	user, group string
	mode        uint32
}

type filter struct {
	include bool
	glob    string
}

// predict gives the state that the actions must bring, by canonical path. It rests on the packages' contents and the host
// before; the host after has no part in it.
func predict(actions []warrant.Action, contents []*Contents, facts *wire.HostFacts, look lookup) map[string]Expected {
	p := &predictor{facts: facts, look: look, expected: map[string]Expected{}, diverted: map[string]diversion{},
		overrides: map[string]override{}, conffiles: map[string]map[string]string{}}
	p.readHost()
	next := 0
	for _, a := range actions {
		if a.Do == "remove" {
			p.removed(a)
			continue
		}
		p.unpacked(contents[next])
		next++
	}
	next = 0
	for _, a := range actions {
		var c *Contents
		if a.Do != "remove" {
			c, next = contents[next], next+1
		}
		p.dropped(a, c)
	}
	return p.expected
}

// content gives a file's bytes before the transaction, if they are those of the tree.
func (p *predictor) content(path string) []byte { return proven(p.facts, path, p.look) }

// proven gives a told file's bytes if the host's tree has that very content at the path, else nil.
func proven(facts *wire.HostFacts, path string, look lookup) []byte {
	f, e := facts.File(path), look(path)
	if f == nil || f.Head || e == nil || e.SHA256 != envelope.Digest(f.Content) {
		return nil
	}
	return f.Content
}

// expect files an expectation for a package's path, at its canonical place.
func (p *predictor) expect(at string, e Expected) {
	if o, ok := p.overrides[at]; ok && !e.Gone && e.Entry.Type != filetree.Symlink {
		e.Entry.Mode, e.Entry.User, e.Entry.Group, e.Rule = o.mode, o.user, o.group, "P6"
	}
	p.expected[canonical(at, p.look)] = e
}

// unpacked expects what a package ships.
func (p *predictor) unpacked(c *Contents) {
	conffiles := map[string]bool{}
	for _, path := range c.Conffiles {
		conffiles[path] = true
	}
	for _, f := range c.Files {
		at, rule := f.Path, "P1"
		if p.excluded(f) {
			continue
		}
		if d, ok := p.diverted[at]; ok && d.owner != c.Name {
			at, rule = d.to, "P5"
		}
		want := filetree.Entry{Type: f.Type, Mode: f.Mode, User: f.User, Group: f.Group, UID: f.UID, GID: f.GID, Size: f.Size,
			SHA256: f.SHA256, Target: f.Target}
		switch was := p.look(canonical(at, p.look)); {
		case conffiles[f.Path]:
			p.conffile(c, f, at, was, want)
			continue
		case f.Type == filetree.Dir:
			rule = "P3"
			if at == "/" || p.leadsToDirectory(canonical(at, p.look), was) {
				want = stay(was)
			}
		case f.Type == filetree.Symlink:
			rule, want.Mode, want.Size = "P2", 0o777, 0
			if was != nil && (was.Type == filetree.Dir || p.leadsToDirectory(canonical(at, p.look), was) && was.Target != f.Target) {
				rule, want = "P8", *was
			}
		case f.Type != filetree.File:
			rule = "P2"
		}
		p.expect(at, Expected{Entry: want, Rule: rule, Package: c.Name})
	}
	p.info(c)
}

// stay is the expectation that nothing changes.
func stay(was *filetree.Entry) filetree.Entry {
	if was == nil {
		return filetree.Entry{}
	}
	return *was
}

// leadsToDirectory reports whether an entry is a directory or a symlink to one.
func (p *predictor) leadsToDirectory(at string, e *filetree.Entry) bool {
	for hops := 0; e != nil && e.Type == filetree.Symlink && hops < 40; hops++ {
		target := e.Target
		if !path.IsAbs(target) {
			target = path.Join(path.Dir(at), target)
		}
		at = canonical(target, p.look)
		e = p.look(at)
	}
	return e != nil && e.Type == filetree.Dir
}

// conffile applies rule P10. dpkg compares three versions by md5: the current one, the one the old package brought, the
// new one. The executor runs dpkg with --force-confold, so an edited file is kept and the new one stands beside it as
// .dpkg-dist. A replaced conffile keeps the mode and owner of the current one. Source: dpkg, src/main/configure.c.
func (p *predictor) conffile(c *Contents, f Shipped, at string, was *filetree.Entry, want filetree.Entry) {
	old, known := p.conffiles[c.Name][f.Path]
	current := ""
	if told := p.facts.File(canonical(at, p.look)); told != nil {
		current = told.MD5
	}
	beside := func(like *filetree.Entry) {
		if like != nil {
			want.Mode, want.User, want.Group, want.UID, want.GID = like.Mode, like.User, like.Group, like.UID, like.GID
		}
	}
	switch {
	case was != nil && was.Type != filetree.File: // a link that an administrator made: dpkg writes through it
	case was == nil && known && old == f.MD5:
		p.expect(at, Expected{Gone: true, Rule: "P10", Package: c.Name})
	case was == nil && known:
		p.expect(at, Expected{Gone: true, Rule: "P10", Package: c.Name})
		p.expect(at+".dpkg-dist", Expected{Entry: want, Rule: "P10", Package: c.Name})
	case was == nil, was.SHA256 == f.SHA256, known && current == old && old != f.MD5:
		beside(was)
		p.expect(at, Expected{Entry: want, Rule: "P10", Package: c.Name})
	case known && old == f.MD5:
		p.expect(at, Expected{Entry: *was, Rule: "P10", Package: c.Name})
	default:
		beside(was)
		p.expect(at, Expected{Entry: *was, Rule: "P10", Package: c.Name})
		p.expect(at+".dpkg-dist", Expected{Entry: want, Rule: "P10", Package: c.Name})
	}
}

const infoDir = "/var/lib/dpkg/info/"

// info applies rule P11.
func (p *predictor) info(c *Contents) {
	base := infoDir + c.infoName() + "."
	for _, i := range c.Info {
		p.expect(base+i.Name, Expected{Rule: "P11", Package: c.Name,
			Entry: filetree.Entry{Type: filetree.File, Mode: i.Mode, User: "root", Group: "root", Size: i.Size, SHA256: i.SHA256}})
	}
	var list bytes.Buffer
	shipped := map[string]bool{}
	for _, f := range c.Files {
		raw, _ := filetree.Unquote(f.Path)
		if raw == "/" {
			raw = "/."
		}
		shipped[f.Path] = true
		list.WriteString(raw + "\n")
	}
	obsolete := make([]string, 0)
	for path := range p.conffiles[c.Name] {
		if !shipped[path] && p.look(canonical(path, p.look)) != nil {
			obsolete = append(obsolete, path)
		}
	}
	slices.Sort(obsolete)
	for _, path := range obsolete {
		raw, _ := filetree.Unquote(path)
		list.WriteString(raw + "\n")
	}
	p.expect(base+"list", Expected{Rule: "P11", Package: c.Name, Entry: filetree.Entry{Type: filetree.File, Mode: 0o644,
		User: "root", Group: "root", Size: int64(list.Len()), SHA256: envelope.Digest(list.Bytes())}})
}

// lists gives the paths the installed version of a package owns, and the name of its files in infoDir.
func (p *predictor) list(a warrant.Action) (base string, paths []string) {
	for _, base := range []string{infoDir + a.Name + ":" + a.Arch, infoDir + a.Name} {
		if b := p.content(base + ".list"); b != nil {
			for line := range strings.Lines(string(b)) {
				if path := strings.TrimSuffix(line, "\n"); path != "/." {
					paths = append(paths, filetree.Quote(path))
				}
			}
			return base, paths
		}
	}
	return infoDir + a.Name, nil
}

// infoMembers are the control members that dpkg keeps. Source: deb-control(5) and dpkg's infodb.
var infoMembers = []string{"conffiles", "config", "list", "md5sums", "postinst", "postrm", "preinst", "prerm", "shlibs", "symbols", "templates", "triggers"}

// dropped applies rule P9 to what the old version owned; now is nil for a removed package.
func (p *predictor) dropped(a warrant.Action, now *Contents) {
	base, paths := p.list(a)
	gone := Expected{Gone: true, Rule: "P9", Package: a.Name}
	for _, old := range paths {
		at := old
		if d, ok := p.diverted[at]; ok && d.owner != a.Name {
			at = d.to
		}
		place := canonical(at, p.look)
		was := p.look(place)
		_, taken := p.expected[place]
		_, conffile := p.conffiles[a.Name][old]
		_, shared := slices.BinarySearch(p.facts.Shared, old)
		if taken || conffile || shared || was == nil {
			continue
		}
		gone.MayStay = was.Type == filetree.Dir || p.leadsToDirectory(place, was)
		p.expected[place] = gone
	}
	if now == nil {
		return
	}
	gone.Rule, gone.MayStay = "P11", false
	for _, member := range infoMembers {
		at := base + "." + member
		if _, taken := p.expected[at]; !taken && p.look(at) != nil && member != "md5sums" { // dpkg makes one where a package has none
			p.expected[at] = gone
		}
	}
}

// removed expects that a removed package's control members are gone, but for what dpkg keeps for a later purge.
func (p *predictor) removed(a warrant.Action) {
	base, _ := p.list(a)
	for _, member := range infoMembers {
		if at := base + "." + member; p.look(at) != nil && member != "list" && member != "postrm" {
			p.expected[at] = Expected{Gone: true, Rule: "P11", Package: a.Name}
		}
	}
}

// readHost reads dpkg's own settings on the host.
func (p *predictor) readHost() {
	lines := strings.Split(strings.TrimSuffix(string(p.content("/var/lib/dpkg/diversions")), "\n"), "\n")
	for ; len(lines) >= 3; lines = lines[3:] {
		p.diverted[filetree.Quote(lines[0])] = diversion{filetree.Quote(lines[1]), lines[2]}
	}
	for line := range strings.Lines(string(p.content("/var/lib/dpkg/statoverride"))) {
		f := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(f) == 4 {
			if mode, ok := octal(f[2]); ok {
				p.overrides[filetree.Quote(f[3])] = override{f[0], f[1], mode}
			}
		}
	}
	for _, f := range p.facts.Files {
		if f.Path == "/etc/dpkg/dpkg.cfg" || strings.HasPrefix(f.Path, "/etc/dpkg/dpkg.cfg.d/") {
			p.readConfig(p.content(f.Path))
		}
	}
	installed, err := deb.ParseStatus(bytes.NewReader(p.content("/var/lib/dpkg/status")))
	if err != nil {
		return // then conffiles count as unknown, and what differs as unexplained
	}
	for _, i := range installed {
		own := map[string]string{}
		for _, c := range i.Conffiles {
			own[filetree.Quote(c.Path)] = c.MD5
		}
		p.conffiles[i.Name] = own
	}
}
