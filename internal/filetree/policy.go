package filetree

import (
	"bytes"
	"encoding/json"
	"path"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// PolicyVersion is the version of Policy that this program reads.
const PolicyVersion = 1

// Policy says which paths of a tree are told in less than full. Paths are absolute in the tree; a part may hold the wildcards
// of path.Match, and a last part ** means everything below. Of several lists that name a path the first one here counts.
type Policy struct {
	Version  int      `json:"version"`
	Excluded []string `json:"excluded,omitempty"` // only that it is there, its mode and owner; a directory is not entered
	Volatile []string `json:"volatile,omitempty"` // files: as Excluded; what changes at any hour by itself
	Secret   []string `json:"secret,omitempty"`   // files: the digest is keyed
}

// ShippedPolicy is what holds on every running system: kernel views and what is empty after each boot are not entered, logs and
// databases come without content, files that hold keys or passwords with a keyed digest. No path in it is shipped by a package:
// reconciliation needs plain digests of those.
func ShippedPolicy() Policy {
	return Policy{
		Version:  PolicyVersion,
		Excluded: []string{"/proc", "/sys", "/dev", "/run", "/tmp", "/swapfile", "/swap.img"},
		Volatile: []string{
			"/var/log/journal/**", "/var/log/[wb]tmp", "/var/log/lastlog", "/var/log/faillog", "/var/log/syslog", "/var/log/messages",
			"/var/log/*.log.[0-9]*", "/var/log/auth.log", "/var/log/cron.log", "/var/log/daemon.log", "/var/log/kern.log",
			"/var/log/mail.log", "/var/log/user.log", "/var/log/debug", "/var/log/secure", "/var/log/maillog", "/var/log/cron",
			"/var/log/audit/**", "/var/lib/postgresql/*/*/**", "/var/lib/mysql/**", "/var/lib/pgsql/**",
			"/var/lib/apt/lists/**", "/var/cache/apt/*.bin", "/var/cache/dnf/**", "/var/cache/man/**", "/var/backups/**",
			"/var/lib/logrotate/*", "/var/lib/dhcp/*", "/var/lib/NetworkManager/*", "/var/lib/chrony/*",
			"/var/spool/mail/**", "/var/mail/**", "/var/spool/postfix/**", "/var/spool/exim4/**",
		},
		Secret: []string{
			"/etc/shadow", "/etc/shadow-", "/etc/gshadow", "/etc/gshadow-", "/etc/security/opasswd", "/etc/krb5.keytab",
			"/etc/ssh/ssh_host_*_key", "/etc/ssl/private/**", "/etc/pki/tls/private/**", "/etc/wireguard/**",
			"/etc/letsencrypt/archive/*/privkey*", "/etc/letsencrypt/accounts/**", "/etc/NetworkManager/system-connections/**",
			"/etc/mysql/debian.cnf", "/etc/bind/rndc.key", "/etc/rndc.key",
			"/root/.ssh/id_*", "/root/.pgpass", "/root/.my.cnf", "/root/.netrc", "/home/*/.ssh/id_*", "/home/*/.pgpass", "/home/*/.my.cnf",
			"/home/*/.netrc",
		},
	}
}

const maxPolicyPaths = 1000

// ParsePolicy reads a policy in JSON, strictly. Errors: Invalid.
func ParsePolicy(b []byte) (Policy, error) {
	var p Policy
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || d.More() {
		return Policy{}, fault.New(fault.Invalid, "scan policy: no JSON object with version, excluded, volatile, secret: %v", err)
	}
	if p.Version != PolicyVersion {
		return Policy{}, fault.New(fault.Invalid, "scan policy: version %d, this program reads %d", p.Version, PolicyVersion)
	}
	if len(p.Excluded)+len(p.Volatile)+len(p.Secret) > maxPolicyPaths {
		return Policy{}, fault.New(fault.Invalid, "scan policy: more than %d paths", maxPolicyPaths)
	}
	for _, list := range [][]string{p.Excluded, p.Volatile, p.Secret} {
		for _, at := range list {
			if _, err := path.Match(at, ""); err != nil || at == "/" || !path.IsAbs(at) || path.Clean(at) != at || strings.Contains(strings.TrimSuffix(at, "/**"), "**") {
				return Policy{}, fault.New(fault.Invalid, "scan policy: %q is no clean absolute path below / with ** only at its end", at)
			}
		}
	}
	return p, nil
}

// With gives the policy with another's paths added.
func (p Policy) With(o Policy) Policy {
	join := func(a, b []string) []string { return append(append([]string(nil), a...), b...) }
	p.Excluded, p.Volatile, p.Secret = join(p.Excluded, o.Excluded), join(p.Volatile, o.Volatile), join(p.Secret, o.Secret)
	return p
}

// IsSecret reports whether the file at an absolute path is secret.
func (p Policy) IsSecret(at string) bool {
	here := Policy{Secret: p.Secret}.compile()
	class := plainly
	for part := range strings.SplitSeq(strings.TrimPrefix(path.Clean(at), "/"), "/") {
		class, here = here.step(part)
	}
	return class == secret
}

// class is how the policy has an entry told.
type class byte

const (
	plainly class = iota
	secret
	volatileFile
	excluded
)

// rules are the paths of a policy as they apply below one directory.
type rules []rule

// rule is one path: its parts that lie below the directory.
type rule struct {
	parts []string
	class class
}

func (p Policy) compile() rules {
	var all rules
	for c, list := range map[class][]string{excluded: p.Excluded, volatileFile: p.Volatile, secret: p.Secret} {
		for _, at := range list {
			all = append(all, rule{strings.Split(strings.TrimPrefix(at, "/"), "/"), c})
		}
	}
	return all
}

// step gives the class of the entry called name, and the rules that hold below it.
func (r rules) step(name string) (own class, below rules) {
	for _, x := range r {
		switch first := x.parts[0]; {
		case first == "**":
			own, below = max(own, x.class), append(below, x)
		case first == name || strings.ContainsAny(first, `*?[\`) && matches(first, name):
			if len(x.parts) == 1 {
				own = max(own, x.class)
			} else {
				below = append(below, rule{x.parts[1:], x.class})
			}
		}
	}
	return own, below
}

func matches(pattern, name string) bool {
	ok, _ := path.Match(pattern, name) // ParsePolicy tried it
	return ok
}
