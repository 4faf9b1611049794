// Package mirror is the verified view of upstream archives: release file, index and package files, each checked by the one
// before, from keys pinned by fingerprint; what is expired, replayed, frozen or altered is refused and said so.
package mirror

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/pool"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// Unreachable is the code of an upstream that does not answer, or not with what its release file promises.
const Unreachable = "UNREACHABLE"

// Upstream is one suite, component and architecture of a vendor's archive.
type Upstream struct {
	Name         string // lower case letters, digits, hyphens
	URL          string // the archive's root: http, https or file
	Suite        string // directory below dists/; the release file's Suite or Codename must be it
	Component    string
	Arch         string
	Keyring      []byte        // OpenPGP public keys, binary or armoured
	Fingerprints []string      // of the primary keys that are trusted, at least one
	MaxAge       time.Duration // how old a release file may be that names no Valid-Until
	Advisories   string        // a release's codename: its changelogs are a source for that; empty: they are not
	Added        bool          // by a person, and so removable by one
}

// Release is the accepted state of an upstream.
type Release struct {
	Upstream    string
	InRelease   string // digest of the blob
	Index       string // digest of the blob, as IndexPath in InRelease names it
	IndexPath   string
	Date        time.Time
	ValidUntil  time.Time // zero where upstream names none
	Fingerprint string
	Packages    int
	AcceptedAt  time.Time
	SeenAt      time.Time // when upstream last showed something acceptable
	RefusedAt   time.Time // zero unless upstream is refused now
	RefusedCode string
	RefusedWhy  string
}

// Ledger is what mirrors need of the log.
type Ledger interface {
	Append(ctx context.Context, tx *db.Tx, act proof.Act) (int64, error)
}

// Config of a Mirror. Client fetches http and https; it sets its own time limits.
type Config struct {
	DB         *db.DB
	Ledger     Ledger
	Blobs      blob.Store
	Pool       *pool.Pool
	Client     *http.Client
	Configured []Upstream // beside those that are added
	Now        func() time.Time
}

// Mirror keeps the verified state of some upstreams.
type Mirror struct{ Config }

// New makes a Mirror. An upstream that could not be checked is fault.Invalid: a name or URL of the wrong form, no
// pinned key in its keyring, no MaxAge.
func New(c Config) (*Mirror, error) {
	for i, u := range c.Configured {
		if _, err := u.check(); err != nil {
			return nil, fmt.Errorf("upstream %q: %w", u.Name, err)
		}
		if slices.ContainsFunc(c.Configured[:i], func(other Upstream) bool { return other.Name == u.Name }) {
			return nil, fault.New(fault.Invalid, "upstream %q is named twice", u.Name)
		}
	}
	return &Mirror{c}, nil
}

func (u Upstream) check() (*pgp.Keyring, error) {
	if u.Name == "" || strings.Trim(u.Name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, fault.New(fault.Invalid, "its name is not of lower case letters, digits and hyphens")
	}
	address, err := url.Parse(u.URL)
	if err != nil || !slices.Contains([]string{"http", "https", "file"}, address.Scheme) || address.RawQuery != "" {
		return nil, fault.New(fault.Invalid, "its URL is none of http, https, file, or has a query")
	}
	for _, part := range []string{u.Suite, u.Component} {
		if part == "" || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz0123456789-./") != "" || strings.Contains(part, "..") {
			return nil, fault.New(fault.Invalid, "its suite or component is no plain name: %q", part)
		}
	}
	if !deb.ValidArch(u.Arch) || u.Arch == "all" {
		return nil, fault.New(fault.Invalid, "%q is not an architecture with an index of its own", u.Arch)
	}
	if strings.Trim(u.Advisories, "abcdefghijklmnopqrstuvwxyz") != "" {
		return nil, fault.New(fault.Invalid, "advisories are for a release by its codename, such as bookworm")
	}
	if u.MaxAge <= 0 {
		return nil, fault.New(fault.Invalid, "it needs a maximum age for release files without Valid-Until")
	}
	keys, err := pgp.LoadKeyring(u.Keyring)
	if err != nil {
		return nil, err
	}
	if len(u.Fingerprints) == 0 {
		return nil, fault.New(fault.Invalid, "it pins no key")
	}
	for _, f := range u.Fingerprints {
		if !slices.Contains(keys.Fingerprints(), pgp.NormalFingerprint(f)) {
			return nil, fault.New(fault.Invalid, "its keyring has no key %s", f)
		}
	}
	return keys, nil
}

func (m *Mirror) upstream(ctx context.Context, name string) (Upstream, error) {
	all, err := m.List(ctx)
	if err != nil {
		return Upstream{}, err
	}
	i := slices.IndexFunc(all, func(u Upstream) bool { return u.Name == name })
	if i < 0 {
		return Upstream{}, fault.New(fault.NotFound, "no upstream is named %q", name)
	}
	return all[i], nil
}

// State gives what is accepted of an upstream; a zero InRelease says nothing yet.
func (m *Mirror) State(ctx context.Context, name string) (Release, error) {
	if _, err := m.upstream(ctx, name); err != nil {
		return Release{}, err
	}
	s, err := m.state(ctx, name)
	return s.Release, err
}

func (m *Mirror) state(ctx context.Context, name string) (s state, err error) {
	err = m.DB.Read(ctx, func(tx *db.Tx) (err error) {
		s, err = load(ctx, tx, name)
		return err
	})
	return s, err
}

// Refresh fetches an upstream's release file and index, checks both, and accepts them in one transaction with an act
// mirror.refreshed. What is refused changes nothing but the alarm: an act mirror.refused, once until the reason changes.
// Codes: SIGNATURE, MIXMATCH (another suite; an index that is not the one of the release file), EXPIRED (Valid-Until),
// REPLAY (older than what was accepted), FREEZE (too old), CLOCK (from the future), MALFORMED, UNREACHABLE.
func (m *Mirror) Refresh(ctx context.Context, name string) (Release, error) {
	u, err := m.upstream(ctx, name)
	if err != nil {
		return Release{}, err
	}
	r, err := m.refresh(ctx, u)
	if code := fault.CodeOf(err); code != "" && ctx.Err() == nil {
		err = fmt.Errorf("refresh upstream %s: %w", name, err)
		if alarm := m.refused(ctx, name, code, err); alarm != nil {
			return Release{}, fmt.Errorf("%w; and the refusal could not be recorded: %w", err, alarm)
		}
	}
	return r, err
}

// RefreshAll is the sweep over all upstreams; one that fails does not keep the others back.
func (m *Mirror) RefreshAll(ctx context.Context) error {
	return m.refreshEach(ctx, func(state) bool { return true })
}

// RefreshNew is the sweep over those that nobody has looked at yet.
func (m *Mirror) RefreshNew(ctx context.Context) error {
	return m.refreshEach(ctx, func(s state) bool { return s.SeenAt.IsZero() && s.RefusedAt.IsZero() })
}

func (m *Mirror) refreshEach(ctx context.Context, wanted func(state) bool) error {
	all, err := m.List(ctx)
	if err != nil {
		return err
	}
	var failed []error
	for _, u := range all {
		s, err := m.state(ctx, u.Name)
		if err == nil && wanted(s) {
			_, err = m.Refresh(ctx, u.Name)
		}
		if err != nil {
			failed = append(failed, err)
		}
	}
	return errors.Join(failed...)
}

func (m *Mirror) refresh(ctx context.Context, u Upstream) (Release, error) {
	was, err := m.state(ctx, u.Name)
	if err != nil {
		return Release{}, err
	}
	raw, err := m.get(ctx, u, "dists/"+u.Suite+"/InRelease", maxRelease)
	if err != nil {
		return Release{}, err
	}
	now := m.Now()
	text, signature, err := m.verify(ctx, u, raw, now)
	if err != nil {
		return Release{}, err
	}
	parsed, err := deb.ParseRelease(text)
	if err != nil {
		return Release{}, fault.Refuse(fault.Malformed, "%w", err)
	}
	next := state{Release: Release{Upstream: u.Name, Date: parsed.Date, ValidUntil: parsed.ValidUntil, Fingerprint: signature.By, SeenAt: now}, text: envelope.Digest(text)}
	if parsed.Suite != u.Suite && parsed.Codename != u.Suite {
		return Release{}, fault.Refuse(fault.MixMatch, "the release file is of suite %q (%q), not of %q", parsed.Suite, parsed.Codename, u.Suite)
	}
	if err := u.fresh(next.Release, now); err != nil {
		return Release{}, err
	}
	if err := was.follows(next); err != nil {
		return Release{}, err
	}
	if was.InRelease != envelope.Digest(raw) {
		if err := m.fetchIndex(ctx, u, parsed, &next.Release); err != nil {
			return Release{}, err
		}
		if next.InRelease, err = blob.PutBytes(ctx, m.Blobs, raw); err != nil {
			return Release{}, err
		}
	}
	return m.accept(ctx, next)
}

// verify gives the signed text of a release file and the signature by a pinned key.
func (m *Mirror) verify(ctx context.Context, u Upstream, raw []byte, now time.Time) ([]byte, pgp.Signature, error) {
	b, err := m.Keyring(ctx, u.Name)
	if err != nil {
		return nil, pgp.Signature{}, err
	}
	keys, err := pgp.LoadKeyring(b)
	if err != nil {
		return nil, pgp.Signature{}, err
	}
	return pgp.VerifyClearsigned(raw, keys, u.Fingerprints, now)
}

// clockSkew is how far in the future a release file may be dated.
const clockSkew = 10 * time.Minute

// fresh decides whether a release may be believed at now, whatever came before.
func (u Upstream) fresh(r Release, now time.Time) error {
	switch {
	case r.Date.After(now.Add(clockSkew)):
		return fault.Refuse(fault.Clock, "the release file is dated %s, which is in the future: check this machine's clock", stamp(r.Date))
	case !r.ValidUntil.IsZero() && !now.Before(r.ValidUntil):
		return fault.Refuse(fault.Expired, "the release file of %s expired at %s: upstream, or something on the way, shows old data", stamp(r.Date), stamp(r.ValidUntil))
	case r.ValidUntil.IsZero() && now.Sub(r.Date) > u.MaxAge:
		return fault.Refuse(fault.Freeze, "the release file of %s names no Valid-Until and is older than the %d hours this upstream may be", stamp(r.Date), int(u.MaxAge.Hours()))
	}
	return nil
}

// follows decides whether the release next may replace was.
func (was state) follows(next state) error {
	if was.InRelease == "" || next.text == was.text || next.Date.After(was.Date) {
		return nil
	}
	return fault.Refuse(fault.Replay, "the release file is dated %s, but one dated %s was accepted before: an older state is shown again", stamp(next.Date), stamp(was.Date))
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// accept makes next the state, with an act if the signed text changed.
func (m *Mirror) accept(ctx context.Context, next state) (r Release, err error) {
	err = m.DB.Write(ctx, func(tx *db.Tx) error {
		was, err := load(ctx, tx, next.Upstream)
		if err != nil {
			return err
		}
		if err := was.follows(next); err != nil {
			return err
		}
		changed := next.text != was.text
		if !changed {
			next.Release, next.text = was.Release, was.text
			next.SeenAt, next.RefusedAt, next.RefusedCode, next.RefusedWhy = m.Now(), time.Time{}, "", ""
		} else {
			next.AcceptedAt = next.SeenAt
		}
		r = next.Release
		if err := save(ctx, tx, next); err != nil || !changed && was.RefusedCode == "" {
			return err
		}
		return m.act(ctx, tx, "mirror.refreshed", r.Upstream, []string{r.InRelease, r.Index}, map[string]any{
			"date": r.Date, "fingerprint": r.Fingerprint, "index": r.IndexPath, "packages": r.Packages,
		})
	})
	return r, err
}

// refused raises the alarm about an upstream, once for each reason.
func (m *Mirror) refused(ctx context.Context, name, code string, reason error) error {
	return m.DB.Write(ctx, func(tx *db.Tx) error {
		s, err := load(ctx, tx, name)
		if err != nil || s.RefusedCode == code {
			return err
		}
		s.RefusedAt, s.RefusedCode, s.RefusedWhy = m.Now(), code, fmt.Sprintf("%.500s", reason) // who is refused has a part in it
		if err := save(ctx, tx, s); err != nil {
			return err
		}
		return m.act(ctx, tx, "mirror.refused", name, nil, map[string]any{"code": code, "reason": s.RefusedWhy})
	})
}

func (m *Mirror) act(ctx context.Context, tx *db.Tx, kind, upstream string, facts []string, detail map[string]any) error {
	return m.actBy(ctx, tx, kind, upstream, "server", facts, detail)
}

func (m *Mirror) actBy(ctx context.Context, tx *db.Tx, kind, upstream, who string, facts []string, detail map[string]any) error {
	b, err := envelope.Encode(detail)
	if err != nil {
		return err
	}
	_, err = m.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: "upstream/" + upstream, Who: who, Facts: facts, Detail: json.RawMessage(b)})
	return err
}
