package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"io/fs"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
)

// Checker is a document that can tell whether it keeps the protocol's rules.
type Checker interface{ Check() error }

// Decode reads one JSON document of at most limit bytes into v and checks it. Unknown fields are let pass, so that the two
// sides can be upgraded apart. Errors are Invalid and never repeat what was read.
func Decode(r io.Reader, limit int64, v Checker) error {
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err != nil {
		return fault.New(fault.Invalid, "read document: %w", err)
	}
	if int64(len(b)) > limit {
		return fault.New(fault.Invalid, "document is over %d bytes", limit)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if err := d.Decode(v); err != nil {
		return fault.New(fault.Invalid, "document is not the JSON expected here")
	}
	if _, err := d.Token(); err != io.EOF {
		return fault.New(fault.Invalid, "document has bytes after its end")
	}
	return v.Check()
}

// ValidOrder reports whether s is an order's ID, safe as a name in a path.
func ValidOrder(s string) bool { return id.Valid("ord", s) }

const pathChars = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+~:%=@-/"

// ValidPath reports whether p may name a carried file: relative, slash-separated, no "." or "..", plain characters.
func ValidPath(p string) bool {
	return len(p) <= MaxPath && p != "." && fs.ValidPath(p) && strings.Trim(p, pathChars) == ""
}

// ValidReportKey reports whether s is base64 of an Ed25519 public key.
func ValidReportKey(s string) bool {
	b, err := base64.StdEncoding.Strict().DecodeString(s)
	return err == nil && len(b) == 32
}

// ValidRoot reports whether s names a file-system root: an absolute clean path.
func ValidRoot(s string) bool {
	return s == "/" || len(s) <= 4096 && strings.HasPrefix(s, "/") && fs.ValidPath(s[1:])
}

func invalid(what string) error { return fault.New(fault.Invalid, "%s is not valid here", what) }

// Check implements Checker.
func (r *EnrolRequest) Check() error {
	switch {
	case len(r.Token) < 20 || len(r.Token) > 200:
		return invalid("token")
	case r.Name == "" || len(r.Name) > MaxName || strings.ContainsFunc(r.Name, func(c rune) bool { return c <= ' ' || c > '~' }):
		return invalid("name")
	case len(r.CSR) == 0 || len(r.CSR) > 8192:
		return invalid("csr")
	case r.ReportKey != "" && !ValidReportKey(r.ReportKey):
		return invalid("report_key")
	}
	return nil
}

// Check implements Checker.
func (a *EnrolAnswer) Check() error {
	switch {
	case !id.Valid("hst", a.HostID):
		return invalid("host_id")
	case a.Environment == "" || len(a.Environment) > 64 || strings.Trim(a.Environment, "abcdefghijklmnopqrstuvwxyz0123456789-") != "":
		return invalid("environment")
	case len(a.Certificate) == 0 || len(a.CA) == 0:
		return invalid("certificate")
	case len(a.TrustRoots) == 0 || len(a.TrustRoots) > MaxRoots:
		return invalid("trust_roots")
	}
	return nil
}

// Check implements Checker.
func (r *RenewRequest) Check() error {
	if len(r.CSR) == 0 || len(r.CSR) > 8192 {
		return invalid("csr")
	}
	return nil
}

// Check implements Checker.
func (a *RenewAnswer) Check() error {
	if len(a.Certificate) == 0 {
		return invalid("certificate")
	}
	return nil
}

// Check implements Checker.
func (c *CheckIn) Check() error {
	switch {
	case c.Counter < 1:
		return invalid("counter")
	case c.At.IsZero():
		return invalid("at")
	case len(c.AgentVersion) > 64:
		return invalid("agent_version")
	case !envelope.ValidDigest(c.PackageSet):
		return invalid("package_set")
	case !envelope.ValidDigest(c.Inventory):
		return invalid("inventory")
	case c.Log.Size < 0 || c.Log.Size > 0 && !envelope.ValidDigest(c.Log.Root):
		return invalid("log")
	case c.TrustRootVersion < 1:
		return invalid("trust_root_version")
	case c.ReportKey != "" && !ValidReportKey(c.ReportKey):
		return invalid("report_key")
	case c.Origins != "" && !envelope.ValidDigest(c.Origins):
		return invalid("origins")
	case c.Published != "" && !envelope.ValidDigest(c.Published):
		return invalid("published")
	case !validCanary(c.Canary):
		return invalid("canary")
	case c.Cost.MemoryKiB < 0 || c.Cost.CPUMillis < 0 || c.Cost.Seconds < 0:
		return invalid("cost")
	case len(c.Alarm) > 200:
		return invalid("alarm")
	case c.Doing != nil && (!ValidOrder(c.Doing.Order) || len(c.Doing.Phase) > 32):
		return invalid("doing")
	}
	if err := c.checkRoots(); err != nil {
		return err
	}
	return checkTrees(c.Trees)
}

func (c *CheckIn) checkRoots() error {
	if len(c.Roots) > MaxRoots || c.Spooled != nil && len(c.Spooled.States) > MaxSpooled {
		return invalid("roots")
	}
	for root, r := range c.Roots {
		if root == "/" || !ValidRoot(root) || !allDigests([]string{r.PackageSet, r.Inventory}) || r.Origins != "" && !envelope.ValidDigest(r.Origins) {
			return invalid("roots")
		}
	}
	if c.Spooled == nil {
		return nil
	}
	for _, s := range c.Spooled.States {
		if s.At.IsZero() || !allDigests([]string{s.PackageSet, s.Inventory}) || checkTrees(s.Trees) != nil {
			return invalid("spooled")
		}
	}
	return nil
}

func checkTrees(trees map[string]string) error {
	if len(trees) > MaxRoots {
		return invalid("trees")
	}
	for root, digest := range trees {
		if !ValidRoot(root) || !envelope.ValidDigest(digest) {
			return invalid("trees")
		}
	}
	return nil
}

// Check implements Checker.
func (a *CheckInAnswer) Check() error {
	switch {
	case len(a.Published) > MaxRelease:
		return invalid("published")
	case !validCanary(a.Canary):
		return invalid("canary")
	case a.NextSeconds < 1 || a.NextSeconds > 86400:
		return invalid("next_seconds")
	case len(a.Need) > MaxMissing || !allDigests(a.Need):
		return invalid("need")
	case len(a.TrustRoots) > MaxRoots:
		return invalid("trust_roots")
	case a.Work != nil:
		return a.Work.Check()
	}
	return nil
}

// Check implements Checker.
func (w *Work) Check() error {
	if !ValidOrder(w.OrderID) || len(w.Warrant) == 0 || len(w.Files) > MaxFiles {
		return invalid("work")
	}
	seen := make(map[string]bool, len(w.Files))
	for _, f := range w.Files {
		if !ValidPath(f.Path) || seen[f.Path] || !envelope.ValidDigest(f.SHA256) || f.Size < 0 || f.Size > MaxFile {
			return invalid("work.files")
		}
		seen[f.Path] = true
	}
	return nil
}

// Check implements Checker.
func (m *Missing) Check() error {
	if len(m.Digests) > MaxMissing || !allDigests(m.Digests) {
		return invalid("digests")
	}
	return nil
}

func allDigests(ds []string) bool {
	for _, d := range ds {
		if !envelope.ValidDigest(d) {
			return false
		}
	}
	return true
}

// Check implements Checker.
func (b *Begin) Check() error {
	if !ValidOrder(b.Order) {
		return invalid("order")
	}
	return b.Before.Check()
}

// Check implements Checker.
func (o *Observation) Check() error {
	for root, digest := range o.RootFacts {
		if len(o.RootFacts) > MaxRoots || !ValidRoot(root) || !envelope.ValidDigest(digest) {
			return invalid("observation.root_facts")
		}
	}
	if o.At.IsZero() || !envelope.ValidDigest(o.PackageSet) || o.Facts != "" && !envelope.ValidDigest(o.Facts) {
		return invalid("observation")
	}
	return checkTrees(o.Trees)
}

// Check implements Checker.
func (r *Report) Check() error {
	switch {
	case !ValidOrder(r.Order):
		return invalid("order")
	case len(r.Envelope.Payload) == 0 || len(r.Envelope.Signatures) != 1:
		return invalid("envelope")
	}
	if err := r.Before.Check(); err != nil {
		return err
	}
	return r.After.Check()
}

// Check implements Checker.
func (p *Problem) Check() error {
	if p.Kind == "" {
		return invalid("kind")
	}
	return nil
}
