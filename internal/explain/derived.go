package explain

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// derivation is a way in which a file's change follows from a transaction without a package shipping the file. The path
// alone never suffices: check looks at what is in it.
type derivation struct {
	name    string
	outputs *regexp.Regexp
	cause   func(s *scene) (pkg string, ok bool)
	check   func(s *scene, c filetree.Change) (why string) // "" accepts
}

func outputs(pattern string) *regexp.Regexp { return regexp.MustCompile(`^(` + pattern + `)$`) }

// derivations, the first whose outputs match decides. What they rest on: file formats of dpkg(1), apt(8), debconf(7),
// ldconfig(8), update-ca-certificates(8), deb-systemd-helper(1p), systemd-journald(8), utmp(5).
var derivations = []derivation{
	{"dpkg status", outputs(`/var/lib/dpkg/status`), anyCause, plain(statusBook)},
	{"dpkg status, previous", outputs(`/var/lib/dpkg/status-old`), anyCause, plain(statusOldBook)},
	{"dpkg triggers", outputs(`/var/lib/dpkg/triggers/[^/]+`), anyCause, plain(triggersBook)},
	{"dpkg log", outputs(`/var/log/dpkg\.log`), anyCause, plain(dpkgLog)},
	{"alternatives log", outputs(`/var/log/alternatives\.log`), anyCause, plain(alternativesLog)},
	{"lock", outputs(`/var/lib/dpkg/(lock|lock-frontend|triggers/Lock)|/var/cache/apt/archives/lock|/var/lib/apt/(lists/lock|daily_lock)`),
		always, plain(empty)},
	{"apt history", outputs(`/var/log/apt/history\.log`), anyCause, plain(aptHistory)},
	{"apt terminal log", outputs(`/var/log/apt/term\.log`), anyCause, plain(aptTerminal)},
	{"apt planner log", outputs(`/var/log/apt/eipp\.log\.xz`), anyCause, plain(aptPlanner)},
	{"apt cache", outputs(`/var/cache/apt/(src)?pkgcache\.bin`), always, plain(aptCache)},
	{"apt states", outputs(`/var/lib/apt/extended_states`), anyCause, plain(aptStates)},
	{"apt archive", outputs(`/var/cache/apt/archives/[^/]+\.deb`), anyCause, plain(aptArchive)},
	{"debconf", outputs(`/var/cache/debconf/(config|templates)\.dat(-old)?`), anyCause, plain(debconfBook)},
	{"ldconfig", outputs(`/etc/ld\.so\.cache`), ldconfigCause, plain(ldCache)},
	{"ldconfig, private", outputs(`/var/cache/ldconfig/aux-cache`), ldconfigCause, plain(ldAuxCache)},
	{"certificates", outputs(`/etc/ssl/certs/[^/]+|/etc/ca-certificates\.conf`), certificatesCause, certificateOutput},
	{"certificates, previous", outputs(`/etc/ca-certificates\.conf\.dpkg-old`), certificatesCause, plain(formerly("/etc/ca-certificates.conf"))},
	{"unit link", outputs(`/etc/systemd/(system|user)/.+`), anyCause, unitLink},
	{"unit state", outputs(`/var/lib/systemd/deb-(systemd|systemd-user)-helper-(enabled|masked)/.+`), anyCause, unitState},
	{"journal", outputs(`/var/log/journal/[0-9a-f]{32}/[^/]+\.journal~?`), always, plain(journal)},
	{"login records", outputs(`/var/log/[wb]tmp`), always, plain(loginRecords)},
	{"random seed", outputs(`/var/lib/systemd/random-seed`), always, plain(randomSeed)},
	{"time stamp", outputs(`/var/lib/systemd/timers/stamp-[^/]+|/var/lib/systemd/timesync/clock|/var/lib/apt/periodic/[^/]+`), always, plain(empty)},
}

// derive finds the derivation of a change; rule is "" if there is none, why says what in it does not hold.
func (s *scene) derive(c filetree.Change) (rule, pkg, why string) {
	for _, d := range derivations {
		if !d.outputs.MatchString(c.Path) {
			continue
		}
		pkg, ok := d.cause(s)
		if !ok {
			return d.name, "", "no package of this transaction causes it"
		}
		return d.name, pkg, d.check(s, c)
	}
	return "", "", ""
}

func always(*scene) (string, bool) { return "", true }

func anyCause(s *scene) (string, bool) { return "", len(s.actions) > 0 }

// planned gives the action on a package, by name.
func (s *scene) planned(name string) (warrant.Action, bool) {
	i := slices.IndexFunc(s.actions, func(a warrant.Action) bool { return a.Name == name })
	if i < 0 {
		return warrant.Action{}, false
	}
	return s.actions[i], true
}

// told gives the content of a file after the transaction, if it is the one in the tree.
func (s *scene) told(path string) ([]byte, string) {
	b := proven(s.after, path, s.isAt)
	if b == nil {
		if e := s.isAt(path); e != nil && e.Size == 0 && e.SHA256 == emptyDigest {
			return []byte{}, ""
		}
		return nil, "the host did not tell this content"
	}
	return b, ""
}

const emptyDigest = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// head gives the first bytes of a file after the transaction.
func (s *scene) head(path string) []byte {
	if f := s.after.File(path); f != nil {
		return f.Content[:min(len(f.Content), wire.FactHead)]
	}
	return nil
}

// plain wraps a check of a regular file: it must still be there, with the mode and owner it had, or, if it is new, be root's
// and neither executable nor writable for others.
func plain(check func(*scene, filetree.Change) string) func(*scene, filetree.Change) string {
	return func(s *scene, c filetree.Change) string {
		now := c.After
		switch {
		case now == nil:
			return "it is gone"
		case now.Type != filetree.File:
			return "is no regular file"
		case now.Note != "" && now.Note != filetree.Unstable && now.Note != filetree.Volatile:
			return "could not be described in full: " + now.Note
		}
		if c.Before != nil {
			like, is := *c.Before, *now
			like.Size, like.SHA256, like.Note, is.Note = is.Size, is.SHA256, "", "" // a log may be unstable: it is being written
			if why := unlike(like, is); why != "" {
				return why
			}
		} else if now.Mode&0o7133 != 0 || now.UID != 0 || len(now.Xattrs) > 0 {
			return "is new with an unfit mode, owner or attribute"
		}
		return check(s, c)
	}
}

func empty(_ *scene, c filetree.Change) string {
	if c.After.Size != 0 {
		return "should be empty"
	}
	return ""
}

// formerly accepts a file that is now what another one was before.
func formerly(other string) func(*scene, filetree.Change) string {
	return func(s *scene, c filetree.Change) string {
		if was := s.wasAt(other); was == nil || was.SHA256 != c.After.SHA256 {
			return "is not what " + other + " was before"
		}
		return ""
	}
}

// unitLink accepts a symlink that enables a unit of this transaction's packages, and the directory it stands in.
func unitLink(s *scene, c filetree.Change) string {
	switch e := c.After; {
	case e == nil:
		return "it is gone"
	case e.Type == filetree.Dir && (strings.HasSuffix(c.Path, ".wants") || strings.HasSuffix(c.Path, ".requires")) && c.Before == nil:
		if e.Mode != 0o755 || e.UID != 0 {
			return "is new with an unfit mode or owner"
		}
		return ""
	case e.Type != filetree.Symlink:
		return "is no symlink"
	case path.Base(e.Target) != path.Base(c.Path): // also an alias, which could take the place of any unit
		return "links to another unit"
	case !s.shipsUnit(e.Target):
		return "links to no unit that this transaction ships"
	}
	return ""
}

func (s *scene) shipsUnit(target string) bool {
	name := path.Base(target)
	dir := path.Base(path.Dir(target))
	for _, root := range []string{"/lib/systemd/", "/usr/lib/systemd/"} {
		if target != root+dir+"/"+name || dir != "system" && dir != "user" {
			continue
		}
		for _, c := range s.contents {
			if c.ships("/lib/systemd/"+dir+"/"+name) || c.ships("/usr/lib/systemd/"+dir+"/"+name) {
				return true
			}
		}
	}
	return false
}

// unitState accepts deb-systemd-helper's memory of a unit of this transaction: empty files, or lists of enabling links.
func unitState(s *scene, c filetree.Change) string {
	if c.After != nil && c.After.Type == filetree.Dir && c.Before == nil && c.After.Mode == 0o755 && c.After.UID == 0 {
		return ""
	}
	unit := strings.TrimSuffix(path.Base(c.Path), ".dsh-also")
	if !s.shipsUnit("/lib/systemd/system/"+unit) && !s.shipsUnit("/lib/systemd/user/"+unit) {
		return "remembers a unit that this transaction does not ship"
	}
	return plain(func(s *scene, c filetree.Change) string {
		b, why := s.told(c.Path)
		if why != "" {
			return why
		}
		for line := range strings.Lines(string(b)) {
			if !strings.HasPrefix(line, "/etc/systemd/") {
				return "lists something else than links of systemd"
			}
		}
		return ""
	})(s, c)
}

// comesAndGoes reports whether all there was and is at a path is a file that the host's scan policy calls volatile and nobody can
// execute: what is in it is not told anyway, and programs make and remove it at any hour.
func comesAndGoes(c filetree.Change) bool {
	for _, e := range []*filetree.Entry{c.Before, c.After} {
		if e != nil && (e.Type != filetree.File || e.Note != filetree.Volatile || e.Mode&0o7111 != 0) {
			return false
		}
	}
	return true
}
