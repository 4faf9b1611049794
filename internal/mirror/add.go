package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
)

// maxKeyring bounds a keyring that a person brings, in bytes. Debian's has 55,000.
const maxKeyring = 1 << 20

// Add takes an upstream that a person of the server pins (who is "person/…"), as act upstream.added. Its archive is on the
// network: what lies on the server's disk only its configuration file can name. At most one upstream speaks for itself
// (Advisories). A name is used once, also after the upstream was removed, so that what the record says of it stays true.
func (m *Mirror) Add(ctx context.Context, who string, u Upstream) error {
	if _, err := u.check(); err != nil {
		return fmt.Errorf("add upstream %q: %w", u.Name, err)
	}
	if address, err := url.Parse(u.URL); err != nil || address.Host == "" || address.User != nil || len(u.Keyring) > maxKeyring {
		return fault.New(fault.Invalid, "add upstream %q: want http://HOST/… or https://HOST/…, and a keyring of at most %d bytes", u.Name, maxKeyring)
	}
	for i, f := range u.Fingerprints {
		u.Fingerprints[i] = pgp.NormalFingerprint(f)
	}
	keyring, err := blob.PutBytes(ctx, m.Blobs, u.Keyring)
	if err != nil {
		return fmt.Errorf("add upstream %s: %w", u.Name, err)
	}
	err = m.DB.Write(ctx, func(tx *db.Tx) error {
		others, err := loadAdded(ctx, tx)
		if err != nil {
			return err
		}
		if err := u.beside(m.Configured, others); err != nil {
			return err
		}
		if err := saveAdded(ctx, tx, u, keyring, m.Now()); err != nil {
			return err
		}
		return m.actBy(ctx, tx, "upstream.added", u.Name, who, []string{keyring}, map[string]any{
			"url": u.URL, "suite": u.Suite, "component": u.Component, "arch": u.Arch, "fingerprints": u.Fingerprints,
			"max_age_hours": int(u.MaxAge.Hours()), "advisories": u.Advisories})
	})
	if err != nil {
		return fmt.Errorf("add upstream %s: %w", u.Name, err)
	}
	return nil
}

// beside decides whether u can be added to those there are.
func (u Upstream) beside(configured []Upstream, added []added) error {
	all := slices.Clone(configured)
	for _, a := range added {
		if a.Name == u.Name {
			return fault.New(fault.Conflict, "the name is taken, or was: choose another")
		}
		if a.removed.IsZero() {
			all = append(all, a.Upstream)
		}
	}
	for _, other := range all {
		if other.Name == u.Name {
			return fault.New(fault.Conflict, "the server's configuration names one so")
		}
		if u.Advisories != "" && other.Advisories != "" {
			return fault.New(fault.Conflict, "upstream %s is the source of advisories already, and there can be one", other.Name)
		}
	}
	return nil
}

// Remove ends an upstream that was added, as act upstream.removed. What was taken from it stays.
func (m *Mirror) Remove(ctx context.Context, who, name string) error {
	err := m.DB.Write(ctx, func(tx *db.Tx) error {
		if there, err := removeAdded(ctx, tx, name, m.Now()); err != nil {
			return err
		} else if !there {
			return fault.New(fault.NotFound, "no upstream %q was added here; what the server's configuration names is removed there", name)
		}
		return m.actBy(ctx, tx, "upstream.removed", name, who, nil, map[string]any{})
	})
	if err != nil {
		return fmt.Errorf("remove upstream: %w", err)
	}
	return nil
}

// List gives the upstreams: those of the configuration, then those added, the oldest first. The keyrings of added ones are
// not read.
func (m *Mirror) List(ctx context.Context) ([]Upstream, error) {
	all := slices.Clone(m.Configured)
	stored, err := m.added(ctx)
	if err != nil {
		return nil, err
	}
	for _, a := range stored {
		if a.removed.IsZero() && !slices.ContainsFunc(m.Configured, func(u Upstream) bool { return u.Name == a.Name }) {
			all = append(all, a.Upstream)
		}
	}
	return all, nil
}

func (m *Mirror) added(ctx context.Context) (all []added, err error) {
	err = m.DB.Read(ctx, func(tx *db.Tx) error {
		all, err = loadAdded(ctx, tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list upstreams: %w", err)
	}
	return all, nil
}

// Keyring gives the pinned keys of an upstream, also of one that was removed.
func (m *Mirror) Keyring(ctx context.Context, name string) ([]byte, error) {
	if i := slices.IndexFunc(m.Configured, func(u Upstream) bool { return u.Name == name }); i >= 0 {
		return m.Configured[i].Keyring, nil
	}
	stored, err := m.added(ctx)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(stored, func(a added) bool { return a.Name == name })
	if i < 0 {
		return nil, fault.New(fault.NotFound, "no upstream is named %q", name)
	}
	r, err := m.Blobs.Open(ctx, stored[i].keyring)
	if err != nil {
		return nil, fmt.Errorf("keyring of upstream %s: %w", name, err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("keyring of upstream %s: %w", name, err)
	}
	return b, nil
}

// DebianKeyring is where the package debian-archive-keyring has the keys of Debian's archives.
const DebianKeyring = "/usr/share/keyrings/debian-archive-keyring.gpg"

// presets are Debian's archives with the keys that sign them. Source: the fingerprints in debian-archive-keyring and on
// https://ftp-master.debian.org/keys.html.
var presets = []Upstream{
	debian("bookworm-security", "bookworm", "05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0"),
	debian("bookworm-main", "", "B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8"),
	debian("trixie-security", "trixie", "5E04A1E3223A19A20706E20F9904613D4CCE68C6"),
	debian("trixie-main", "", "04B54C3CDCA79751B16BC6B5225629DF75B188BD"),
}

// debian describes one of Debian's archives. The security archive is signed anew each week; a point release names no end of
// its validity and may be months old.
func debian(name, advisories, fingerprint string) Upstream {
	u := Upstream{Name: name, URL: "https://deb.debian.org/debian-security", Suite: name, Component: "main", Arch: "amd64",
		Fingerprints: []string{fingerprint}, MaxAge: 10 * 24 * time.Hour, Advisories: advisories}
	if release, plain := strings.CutSuffix(name, "-main"); plain {
		u.URL, u.Suite, u.MaxAge = "https://deb.debian.org/debian", release, 365*24*time.Hour
	}
	return u
}

// Presets gives well-known archives, without their keyrings.
func Presets() []Upstream {
	all := slices.Clone(presets)
	for i := range all {
		all[i].Fingerprints = slices.Clone(all[i].Fingerprints)
	}
	return all
}

// Preset gives one with the keyring of this machine. It is fault.Conflict where the keyring is missing.
func Preset(name string) (Upstream, error) {
	all := Presets()
	i := slices.IndexFunc(all, func(u Upstream) bool { return u.Name == name })
	if i < 0 {
		return Upstream{}, fault.New(fault.NotFound, "no archive is known as %q", name)
	}
	b, err := os.ReadFile(DebianKeyring)
	if errors.Is(err, os.ErrNotExist) {
		return all[i], fault.New(fault.Conflict, "%s is missing on the server: apt install debian-archive-keyring", DebianKeyring)
	}
	if err != nil {
		return all[i], fmt.Errorf("read the keyring of %s: %w", name, err)
	}
	all[i].Keyring = b
	return all[i], nil
}
