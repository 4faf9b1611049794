// Package orderview renders an order for the person who is about to sign it: everything that was signed, nothing else,
// from the payload's own bytes.
package orderview

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Render decodes an order's payload strictly and gives the complete text of it: every host, every package with old and new
// version, the window in UTC and in local time, all digests. Control and formatting characters of the
// order's own texts are shown escaped, so a text cannot move the cursor, hide, or imitate a line of the rendering.
func Render(payload []byte, local *time.Location) (string, error) {
	o, err := warrant.DecodeOrder(payload)
	if err != nil {
		return "", fmt.Errorf("render order: %w", err)
	}
	p := &page{local: local}
	p.head(o, envelope.Digest(payload))
	p.texts(o)
	p.packages(o)
	return p.b.String(), nil
}

type page struct {
	b     strings.Builder
	local *time.Location
}

func (p *page) line(name, format string, args ...any) {
	fmt.Fprintf(&p.b, "%-14s %s\n", name, fmt.Sprintf(format, args...))
}

func (p *page) head(o warrant.Order, digest string) {
	fmt.Fprintf(&p.b, "CHANGE ORDER %s\n\n", Clean(o.ID))
	p.line("payload", "sha256:%s", digest)
	p.line("class", "%s, for environment %s", Clean(o.Class), Clean(o.Environment))
	p.line("sequence", "%d", o.Sequence)
	p.line("author", "%s (cannot approve it)", Clean(o.Author))
	p.line("made", "%s", p.at(o.MadeAt))
	p.line("window opens", "%s", p.at(o.Window.OpensAt))
	p.line("window closes", "%s (%s long)", p.at(o.Window.ClosesAt), o.Window.ClosesAt.Sub(o.Window.OpensAt))
	p.line("expires", "%s", p.at(o.ExpiresAt))
	p.line("trust root", "version %d, sha256:%s", o.TrustRoot.Version, Clean(o.TrustRoot.SHA256))
	for _, x := range o.Places {
		p.line("hosts stand", "platform %s, unit %s, zone %s", known(x.Platform), known(x.Unit), known(x.Zone))
	}
	p.line("snapshot", "sha256:%s", Clean(o.Snapshot.SHA256))
	p.line("index", "sha256:%s", Clean(o.Snapshot.Index))
	p.line("curation", "sha256:%s", Clean(o.Snapshot.Curation))
	if o.Stage == nil {
		p.line("stage", "no stage evidence is cited")
	} else {
		p.line("stage", "order %s, manifest sha256:%s", Clean(o.Stage.Order), Clean(o.Stage.Manifest))
	}
}

func (p *page) texts(o warrant.Order) {
	p.b.WriteByte('\n')
	p.line("reason", "%s", Clean(o.Reason))
	p.line("plan", "%s", Clean(o.Plan))
	p.line("back-out", "%s", Clean(o.BackOut))
	for _, v := range o.Vulnerabilities {
		p.line("vulnerability", "%s", Clean(v))
	}
	if len(o.Vulnerabilities) == 0 {
		p.line("vulnerability", "none named")
	}
	for _, n := range o.Notices {
		p.line("notice", "%s to %s", p.at(n.At), Clean(n.Audience))
	}
	if len(o.Notices) == 0 {
		p.line("notice", "none")
	}
}

func (p *page) packages(o warrant.Order) {
	for i, t := range o.Transactions {
		copies := ""
		if n := len(t.Copies); n > 0 {
			copies = fmt.Sprintf(" and %d copied %s", n, plural(n, "file"))
		}
		fmt.Fprintf(&p.b, "\nTRANSACTION %d of %d: %d %s%s on %d %s\n", i+1, len(o.Transactions),
			len(t.Actions), plural(len(t.Actions), "package"), copies, len(t.Hosts), plural(len(t.Hosts), "host"))
		if t.Root != "" {
			p.line("  in root", "%s  (not in the host's own)", Clean(t.Root))
		}
		for _, h := range t.Hosts {
			p.line("  host", "%s", Clean(h))
		}
		for _, a := range t.Actions {
			p.line("  "+Clean(a.Do), "%s %s  %s -> %s", Clean(a.Name), Clean(a.Arch), version(a.From), version(a.To))
			if a.SHA256 != "" {
				p.line("", "sha256:%s  %d bytes  %s", Clean(a.SHA256), a.Size, Clean(a.File))
			}
		}
		for _, c := range t.Copies {
			p.line("  copy", "%s  as in %s %s", Clean(c.Path), Clean(c.Package), Clean(c.Version))
			p.line("", "now sha256:%s", Clean(c.From))
			p.line("", "new sha256:%s  %d bytes, from package sha256:%s", Clean(c.To), c.Size, Clean(c.Deb))
		}
	}
}

// at gives a time in UTC and, where that differs, in local time with its offset.
func (p *page) at(t time.Time) string {
	utc := t.UTC().Format("Mon 2006-01-02 15:04:05 UTC")
	here := t.In(p.local).Format("Mon 2006-01-02 15:04:05 -0700")
	return utc + "  (local " + here + ")"
}

func version(v string) string {
	if v == "" {
		return "(none)"
	}
	return Clean(v)
}

// known gives a word, or that nobody said it.
func known(word string) string {
	if word == "" {
		return "(unknown)"
	}
	return Clean(word)
}

func plural(n int, noun string) string {
	if n == 1 {
		return noun
	}
	return noun + "s"
}

// Clean escapes whatever a terminal would act on or not show; backslashes are doubled so that an escape cannot be
// imitated.
func Clean(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r == '\\':
			b.WriteString(`\\`)
		case r == unicode.ReplacementChar || !unicode.IsPrint(r):
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}
