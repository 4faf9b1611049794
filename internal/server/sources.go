package server

import (
	"cmp"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/csaf"
	"github.com/patchwarrant/patchwarrant/internal/intake/cve5"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/intake/epss"
	"github.com/patchwarrant/patchwarrant/internal/intake/feed"
	"github.com/patchwarrant/patchwarrant/internal/intake/kev"
	"github.com/patchwarrant/patchwarrant/internal/intake/mail"
	"github.com/patchwarrant/patchwarrant/internal/intake/nvd"
	"github.com/patchwarrant/patchwarrant/internal/intake/openvex"
	"github.com/patchwarrant/patchwarrant/internal/intake/osv"
	"github.com/patchwarrant/patchwarrant/internal/intake/ubuntu"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
)

// Source is a source of advisories: one that is fetched from an address, or imported from files only.
type Source struct {
	Name         string   `toml:"name"`
	Kind         string   `toml:"kind"`         // see kinds; default: the name
	URL          string   `toml:"url"`          // empty: imported from files only
	Keyring      string   `toml:"keyring"`      // file of OpenPGP keys; then every document must be signed
	Fingerprints []string `toml:"fingerprints"` // of the keys in it that may sign
	VendorOf     []string `toml:"vendor_of"`    // kinds csaf and openvex: the distributions whose vendor it is, such as "debian"
	MaxAge       duration `toml:"max_age"`      // silence for so long is an alarm; default by kind
}

func (s Source) kind() string { return cmp.Or(s.Kind, s.Name) }

// kind is a form in which sources speak.
type kind struct {
	name     string
	file     func(releases ...string) intake.Parser         // of a source that is one file
	document func(releases ...string) intake.DocumentParser // of one that is a collection
	mails    func(mail.Keys) intake.Parser                  // of one that is a file of mails
	message  func(mail.Keys) intake.DocumentParser          // of one that is a collection of mails
	is       func(path string) bool                         // a document of the collection
	largest  int64                                          // bytes of the file, or of one document
	maxAge   time.Duration
	protocol protocol // how a collection is fetched; a file comes as it is
	foreign  bool     // anyone may speak in it: what it says is claims, but for distributions that it is the vendor of
}

// protocol is how the documents of a collection are found.
type protocol string

const (
	whole    protocol = ""         // one archive of all
	provider protocol = "provider" // CSAF: provider-metadata.json, a ROLIE feed or a directory with changes.csv
	redHat   protocol = "redhat"   // a directory with a whole archive, then changes.csv and deletions.csv
)

const day = 24 * time.Hour

// kinds in the order of their precedence: a vendor's own tracker, its own archive and advisories, copies of them, all others.
var kinds = []kind{
	{name: "debian-tracker", file: debian.Tracker, largest: 512 << 20, maxAge: 2 * day},
	{name: "redhat-vex", document: csaf.RedHat, is: csaf.IsDocument, largest: csaf.MaxDocument, maxAge: 2 * day, protocol: redHat},
	{name: "redhat-csaf", document: csaf.RedHat, is: csaf.IsDocument, largest: csaf.MaxDocument, maxAge: 2 * day, protocol: redHat},
	{name: debian.ArchiveSource, file: func(...string) intake.Parser { return debian.ParseArchive }, largest: 64 << 20, maxAge: 2 * day},
	{name: "debian-cves", file: debian.Issues, largest: debian.MaxList, maxAge: 2 * day},
	{name: "debian-advisories", file: debian.Advisories, largest: debian.MaxList, maxAge: 7 * day},
	{name: "ubuntu-osv", document: osv.Parse, is: osv.IsDocument, largest: osv.MaxDocument, maxAge: 2 * day},
	{name: "ubuntu-oval", file: ubuntu.OVAL, largest: ubuntu.MaxOVAL, maxAge: 2 * day},
	{name: "ubuntu-notices", document: ubuntu.Notices, is: osv.IsDocument, largest: ubuntu.MaxNotices, maxAge: 7 * day},
	{name: "osv", document: osv.Parse, is: osv.IsDocument, largest: osv.MaxDocument, maxAge: 2 * day},
	{name: "csaf", document: csaf.Parse, is: csaf.IsDocument, largest: csaf.MaxDocument, maxAge: 7 * day, protocol: provider, foreign: true},
	{name: "openvex", document: openvex.Parse, is: openvex.IsDocument, largest: openvex.MaxDocument, maxAge: 30 * day, foreign: true},
	{name: "distro-support", document: func(...string) intake.DocumentParser { return debian.Support }, is: debian.IsSupport, largest: debian.MaxSupport, maxAge: 90 * day},
	{name: "nvd", document: nvd.Parse, is: nvd.IsDocument, largest: nvd.MaxDocument, maxAge: 7 * day},
	{name: "cve5", document: cve5.Parse, is: cve5.IsDocument, largest: cve5.MaxDocument, maxAge: 7 * day},
	{name: "mbox", mails: mail.Mbox, largest: mail.MaxBytes, maxAge: 30 * day},
	{name: "maildir", message: mail.Message, is: mail.InMaildir, largest: mail.MaxMail, maxAge: 30 * day},
	{name: "feed", file: func(...string) intake.Parser { return feed.Parse }, largest: feed.MaxBytes, maxAge: 7 * day},
	{name: "kev", file: func(...string) intake.Parser { return kev.Parse }, largest: 64 << 20, maxAge: 7 * day},
	{name: "epss", file: func(...string) intake.Parser { return epss.Parse }, largest: 256 << 20, maxAge: 2 * day},
}

// always are the sources that every server has, configured or not.
var always = []string{"debian-tracker", debian.ArchiveSource, "kev", "epss"}

// Bounds of a collection: Red Hat's VEX archive of 2026 has about 50,000 documents.
const (
	maxFiles    = 1_000_000
	maxUnpacked = 64 << 30
	maxArchive  = 4 << 30
)

func kindNamed(name string) (kind, int) {
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, i
	}
	return kinds[i], i
}

// configured gives the sources of the configuration and those every server has, the first to speak about a vulnerability
// before the others.
func (c Config) configured() []Source {
	all := slices.Clone(c.Sources)
	for _, name := range always {
		if !slices.ContainsFunc(all, func(s Source) bool { return s.Name == name }) {
			all = append(all, Source{Name: name})
		}
	}
	slices.SortStableFunc(all, func(a, b Source) int {
		_, i := kindNamed(a.kind())
		_, j := kindNamed(b.kind())
		return cmp.Compare(i, j)
	})
	return all
}

// Sources are the advisories a server can be fed with.
func Sources(c Config, now func() time.Time) ([]intake.Source, error) {
	var all []intake.Source
	for _, s := range c.configured() {
		k, _ := kindNamed(s.kind())
		source := intake.Source{Name: s.Name, MaxBytes: k.largest, MaxAge: cmp.Or(s.MaxAge.Duration, k.maxAge), Foreign: k.foreign, VendorOf: s.VendorOf}
		switch {
		case k.file != nil:
			source.Parse = k.file(c.Releases...)
		case k.mails != nil || k.message != nil:
			if err := s.mails(k, &source, now); err != nil {
				return nil, fmt.Errorf("source %s: %w", s.Name, err)
			}
		default:
			verify, err := s.verify(now)
			if err != nil {
				return nil, fmt.Errorf("source %s: %w", s.Name, err)
			}
			source.MaxBytes = maxArchive
			source.Collection = &intake.Collection{Parse: k.document(c.Releases...), IsDocument: k.is, MaxDocument: k.largest, MaxFiles: maxFiles,
				MaxUnpacked: maxUnpacked, Verify: verify}
		}
		all = append(all, source)
	}
	return all, nil
}

// mails makes a source of mails. Signatures stand in the mails themselves: one without is shown as such.
func (s Source) mails(k kind, source *intake.Source, now func() time.Time) error {
	var keys mail.Keys
	source.Heard = func(intake.Bulletin) bool { return true }
	if s.Keyring != "" {
		source.Heard = func(b intake.Bulletin) bool { return b.SignedBy != "" } // others can write to a list, too
		ring, err := s.keys()
		if err != nil {
			return err
		}
		keys.Detached = func(signed io.ReadSeeker, signature []byte) (pgp.Signature, error) {
			return pgp.VerifyDetached(signed, signature, ring, s.Fingerprints, now())
		}
		keys.Clear = func(document []byte) ([]byte, pgp.Signature, error) {
			return pgp.VerifyClearsigned(document, ring, s.Fingerprints, now())
		}
	}
	if k.mails != nil {
		source.Parse = k.mails(keys)
		return nil
	}
	source.MaxBytes = maxArchive
	source.Collection = &intake.Collection{Parse: k.message(keys), IsDocument: k.is, MaxDocument: k.largest, MaxFiles: maxFiles, MaxUnpacked: maxUnpacked}
	return nil
}

// verify checks signatures by the pinned keys; nil without any.
func (s Source) verify(now func() time.Time) (func(io.ReadSeeker, []byte) (string, error), error) {
	if s.Keyring == "" {
		return nil, nil
	}
	ring, err := s.keys()
	if err != nil {
		return nil, err
	}
	return func(signed io.ReadSeeker, signature []byte) (string, error) {
		good, err := pgp.VerifyDetached(signed, signature, ring, s.Fingerprints, now())
		return good.By, err
	}, nil
}

func (s Source) keys() (*pgp.Keyring, error) {
	b, err := os.ReadFile(s.Keyring)
	if err != nil {
		return nil, err
	}
	return pgp.LoadKeyring(b)
}

// checkSources refuses what no source can be.
func (c Config) checkSources() error {
	for i, s := range c.Sources {
		k, known := kindNamed(s.kind())
		switch {
		case !providerName.MatchString(s.Name) || slices.ContainsFunc(c.Sources[:i], func(other Source) bool { return other.Name == s.Name }):
			return fault.New(fault.Invalid, "source %q: want a name of a-z 0-9 - that no other source has", s.Name)
		case known < 0 || k.name == debian.ArchiveSource:
			return fault.New(fault.Invalid, "source %q: want a kind of %s", s.Name, kindNames())
		case k.name != s.Name && slices.Contains(always, s.Name):
			return fault.New(fault.Invalid, "source %q: this name is for the kind of that name", s.Name)
		case len(s.VendorOf) > 0 && !k.foreign:
			return fault.New(fault.Invalid, "source %q: vendor_of is for kinds csaf and openvex; of the others it is known whose vendor speaks", s.Name)
		case (s.Keyring == "") != (len(s.Fingerprints) == 0):
			return fault.New(fault.Invalid, "source %q: keyring and fingerprints go together", s.Name)
		case s.Keyring != "" && k.document == nil && k.mails == nil && k.message == nil:
			return fault.New(fault.Invalid, "source %q: sources of kind %s are not signed", s.Name, k.name)
		}
		if k.protocol == redHat && s.URL != "" && !strings.HasSuffix(s.URL, "/") {
			return fault.New(fault.Invalid, "source %q: want the url of the directory, with a / at its end", s.Name)
		}
		if u, err := url.Parse(s.URL); s.URL != "" && (err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http") {
			return fault.New(fault.Invalid, "source %q: want the url https://…", s.Name)
		}
	}
	return nil
}

func kindNames() string {
	var names []string
	for _, k := range kinds {
		if k.name != debian.ArchiveSource {
			names = append(names, k.name)
		}
	}
	return strings.Join(names, ", ")
}
