package evidence

import (
	"bytes"
	"cmp"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/bundle"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Codes that only evidence has.
const (
	Removed        = "REMOVED"        // an entry of the ledger that belongs to the change is not in the bundle
	Altered        = "ALTERED"        // a member is not the one that was sealed
	Lacking        = "LACKING"        // something cited is neither there nor declared withheld
	Upstream       = "UPSTREAM"       // a package does not come from the upstream index named
	Outcome        = "OUTCOME"        // a host does not report what was approved
	Reconciliation = "RECONCILIATION" // the reconciliation sealed is not what the facts give
	Lapsed         = "LAPSED"         // a decision was not in force when its package was curated
	Open           = "OPEN"           // the change was not closed
)

// Options of Verify.
type Options struct {
	// RootDigest is the sha256 of the payload of trust root version 1, known from elsewhere. Without it the bundle is checked
	// under the trust root it brings, and the caller compares Result.Root.
	RootDigest string
}

// Check is one step of a verification.
type Check struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
	Code string `json:"code,omitempty"` // of what is wrong
	Text string `json:"text"`           // what was checked and found, or what is wrong
}

// Result is a verification, step by step; the last check is the first that failed, if one did.
type Result struct {
	Order  string  `json:"order"`
	Root   string  `json:"root"` // sha256 of the payload of trust root version 1
	Checks []Check `json:"checks"`
}

// Verify checks a bundle by itself: no server, no network, no clock. Everything is judged under the trust root in force
// when it was signed. The error is the first thing wrong, with its code; the result lists what was checked until then.
func Verify(sealed []byte, o Options) (Result, error) {
	a := &audit{sealed: sealed, options: o}
	var result Result
	for _, step := range []struct {
		name string
		do   func() (string, error)
	}{
		{"container", a.container},
		{"trust root", a.trustRoots},
		{"checkpoint", a.openCheckpoint},
		{"ledger entries", a.entries},
		{"contents", a.contentsSealed},
		{"continuity", a.continuity},
		{"trust root terms", a.terms},
		{"members", a.memberDigests},
		{"checkpoints hosts saw", a.consistency},
		{"cited facts", a.citedFacts},
		{"orders", a.orders},
		{"curation", a.curations},
		{"decisions", a.decisions},
		{"upstream", a.upstreams},
		{"packages", a.packages},
		{"outcome", a.outcomes},
		{"reconciliation", a.reconciliations},
		{"close", a.closed},
	} {
		text, err := step.do()
		result.Order = a.contents.Order
		if len(a.roots) > 0 {
			result.Root = a.roots[0].Digest()
		}
		if err != nil {
			result.Checks = append(result.Checks, Check{step.name, false, fault.CodeOf(err), err.Error()})
			return result, fmt.Errorf("%s: %w", step.name, err)
		}
		result.Checks = append(result.Checks, Check{Name: step.name, OK: true, Text: text})
	}
	return result, nil
}

// entry is an act that is proved to be in the ledger.
type entry struct {
	index int64
	proof.Act
}

// audit is a verification at work; each step fills what later ones need.
type audit struct {
	sealed     []byte
	options    Options
	bundle     *bundle.Bundle
	roots      []*trustroot.Root // by version, from 1
	since      []int64           // the entry that put each root in force
	checkpoint proof.Checkpoint
	contents   Contents
	acts       []entry // by index
	facts      map[string][]byte
	envelopes  map[string]envelope.Envelope // by payload digest
	signed     []signedOrder                // the order, then the stage order it rests on
	records    map[string]warrant.Record    // by payload digest, each under its quorum
}

func (a *audit) container() (string, error) {
	b, err := bundle.Unpack(a.sealed)
	if err != nil {
		return "", err
	}
	a.bundle = b
	return fmt.Sprintf("%d members, each byte of the container as its index gives it", len(b.Members())), nil
}

func (a *audit) get(name string, v any) error {
	b, ok := a.bundle.Get(name)
	if !ok {
		return fault.Refuse(Lacking, "the bundle has no %s", name)
	}
	if err := envelope.DecodeUpTo(maxContents, b, v); err != nil {
		return fault.Refuse(fault.Malformed, "%s: %w", name, err)
	}
	return nil
}

func (a *audit) trustRoots() (string, error) {
	for i, m := range a.bundle.Under(rootsPrefix) {
		var e envelope.Envelope
		if err := a.get(m.Name, &e); err != nil {
			return "", err
		}
		r, err := trustroot.Decode(e.Payload)
		if err != nil {
			return "", fault.Refuse(fault.Malformed, "%s: %w", m.Name, err)
		}
		if i == 0 {
			r, err = trustroot.First(e, cmp.Or(a.options.RootDigest, r.Digest()), r.MadeAt)
		} else {
			r, err = a.roots[i-1].Next(e, r.MadeAt)
		}
		if err != nil {
			return "", fmt.Errorf("%s: %w", m.Name, err)
		}
		if rootName(r.Version) != m.Name {
			return "", fault.Refuse(fault.RootChain, "%s holds version %d", m.Name, r.Version)
		}
		a.roots = append(a.roots, r)
	}
	if len(a.roots) == 0 {
		return "", fault.Refuse(Lacking, "the bundle has no trust root")
	}
	last, first := a.newest(), "is the pinned one"
	if a.options.RootDigest == "" {
		first = "is " + a.roots[0].Digest() + ", which was not pinned: compare it with the one you know"
	}
	return fmt.Sprintf("version 1 %s; %d version(s), each under its quorum and its predecessor's; %s, %d people",
		first, last.Version, last.Organisation, len(last.People)), nil
}

func (a *audit) newest() *trustroot.Root { return a.roots[len(a.roots)-1] }

func (a *audit) openCheckpoint() (string, error) {
	text, ok := a.bundle.Get(checkpointName)
	if !ok {
		return "", fault.Refuse(Lacking, "the bundle has no %s", checkpointName)
	}
	ledger := a.newest().Ledger
	c, err := proof.OpenCheckpoint(string(text), ledger.Keys, ledger.Origin)
	if err != nil {
		return "", err
	}
	a.checkpoint = c
	return fmt.Sprintf("%s signed %d entries at %s, root %x", c.Origin, c.Size, stamp(c.At), c.Root), nil
}

// prove opens a member that holds an act and checks that it is under the checkpoint.
func (a *audit) prove(name string) (e entry, err error) {
	var in included
	if err := a.get(name, &in); err != nil {
		return e, err
	}
	text, _ := a.bundle.Get(checkpointName)
	ledger := a.newest().Ledger
	act, _, err := proof.Logged{Entry: in.Entry, Index: in.Index, Hashes: in.Hashes, Checkpoint: string(text)}.Verify(ledger.Keys, ledger.Origin)
	if err != nil {
		return e, fmt.Errorf("%s: %w", name, err)
	}
	return entry{in.Index, act}, nil
}

func (a *audit) entries() (string, error) {
	for _, m := range a.bundle.Under(actsPrefix) {
		e, err := a.prove(m.Name)
		if err != nil {
			return "", err
		}
		if actName(e.index) != m.Name {
			return "", fault.Refuse(fault.Unlogged, "%s holds entry %d", m.Name, e.index)
		}
		a.acts = append(a.acts, e)
	}
	return fmt.Sprintf("%d acts, each proved to be in the ledger", len(a.acts)), nil
}

func (a *audit) contentsSealed() (string, error) {
	seal, err := a.prove(sealName)
	if err != nil {
		return "", err
	}
	if err := a.get(contentsName, &a.contents); err != nil {
		return "", err
	}
	raw, _ := a.bundle.Get(contentsName)
	if seal.Kind != sealKind || seal.Subject != "evidence/"+a.contents.Order || len(seal.Facts) != 1 || seal.Facts[0] != envelope.Digest(raw) {
		return "", fault.Refuse(Altered, "%s is not the list that entry %d of the ledger sealed", contentsName, seal.index)
	}
	return fmt.Sprintf("the list of contents is the one that %s sealed at %s (entry %d)", seal.Who, stamp(seal.At), seal.index), nil
}

// continuity compares the acts with the sealed list, and follows each subject's chain of acts: what somebody took out is
// named.
func (a *audit) continuity() (string, error) {
	have := map[int64]entry{}
	for _, e := range a.acts {
		have[e.index] = e
	}
	latest := map[string]int64{}
	for _, l := range a.contents.Acts {
		e, ok := have[l.Index]
		if !ok {
			return "", fault.Refuse(Removed, "entry %d of the ledger, %s on %s, was removed from the bundle", l.Index, l.Kind, l.Subject)
		}
		if e.Kind != l.Kind || e.Subject != l.Subject {
			return "", fault.Refuse(Altered, "entry %d is %s on %s, not %s on %s as sealed", l.Index, e.Kind, e.Subject, l.Kind, l.Subject)
		}
		previous, ok := latest[l.Subject]
		if !ok {
			previous = -1
		}
		if e.Prev != previous {
			return "", fault.Refuse(Removed, "entry %d of the ledger on %s, which entry %d (%s) follows, is not in the bundle", e.Prev, l.Subject, l.Index, l.Kind)
		}
		latest[l.Subject] = l.Index
		delete(have, l.Index)
	}
	for _, i := range slices.Sorted(maps.Keys(have)) {
		return "", fault.Refuse(Altered, "entry %d (%s on %s) was added to the bundle", i, have[i].Kind, have[i].Subject)
	}
	return fmt.Sprintf("%d subjects, none of their acts left out", len(latest)), nil
}

// terms finds the entry that put each trust root in force: what it says counts from there to its successor's.
func (a *audit) terms() (string, error) {
	var told []string
	for i, r := range a.roots {
		begun := a.on(fmt.Sprintf("trust-root/%d", r.Version), "")
		if len(begun) != 1 || !slices.Contains(begun[0].Facts, r.Digest()) || i > 0 && begun[0].index <= a.since[i-1] {
			return "", fault.Refuse(fault.Unlogged, "no one entry puts trust root version %d in force, after its predecessor's", r.Version)
		}
		a.since = append(a.since, begun[0].index)
		told = append(told, fmt.Sprintf("version %d from entry %d", r.Version, begun[0].index))
	}
	return strings.Join(told, ", "), nil
}

// memberDigests compares all members that no ledger proof covers with the sealed list.
func (a *audit) memberDigests() (string, error) {
	a.facts, a.envelopes = map[string][]byte{}, map[string]envelope.Envelope{}
	sealed := map[string]string{}
	for _, n := range a.contents.Members {
		sealed[n.Name] = n.SHA256
	}
	for _, m := range a.bundle.Members() {
		if m.Name == contentsName || m.Name == sealName || m.Name == checkpointName || strings.HasPrefix(m.Name, actsPrefix) || strings.HasPrefix(m.Name, seenPrefix) {
			continue
		}
		digest := envelope.Digest(m.Data)
		if sealed[m.Name] != digest {
			return "", fault.Refuse(Altered, "%s has digest %s, not %q as sealed", m.Name, digest, sealed[m.Name])
		}
		delete(sealed, m.Name)
		name, isFact := strings.CutPrefix(m.Name, factsPrefix)
		if !isFact {
			continue
		}
		if name != digest {
			return "", fault.Refuse(Altered, "%s has digest %s", m.Name, digest)
		}
		a.facts[digest] = m.Data
		if e, ok := asEnvelope(m.Data); ok {
			a.envelopes[envelope.Digest(e.Payload)] = e
		}
	}
	for _, name := range slices.Sorted(maps.Keys(sealed)) {
		return "", fault.Refuse(Removed, "%s was sealed and is not in the bundle", name)
	}
	return fmt.Sprintf("%d roots, keyrings and facts are those that were sealed", len(a.contents.Members)), nil
}

// consistency checks that what hosts were shown is a beginning of the log the bundle stands under: no host was told
// another story.
func (a *audit) consistency() (string, error) {
	members := a.bundle.Under(seenPrefix)
	for _, m := range members {
		var s seen
		if err := a.get(m.Name, &s); err != nil {
			return "", err
		}
		root, err := hex.DecodeString(s.Root)
		if err != nil || !envelope.ValidDigest(s.Root) || seenName(s) != m.Name {
			return "", fault.Refuse(fault.Malformed, "%s is not a checkpoint of its name", m.Name)
		}
		old := proof.Checkpoint{Origin: a.checkpoint.Origin, Size: s.Size, Root: [32]byte(root)}
		if err := proof.VerifyConsistency(old, a.checkpoint, s.Hashes); err != nil {
			return "", fmt.Errorf("%s: %w", m.Name, err)
		}
	}
	return fmt.Sprintf("%d checkpoint(s) that hosts acted on are beginnings of the sealed one", len(members)), nil
}

// citedFacts: whatever an act rests on is here, or is said to be withheld.
func (a *audit) citedFacts() (string, error) {
	known := map[string]bool{}
	for _, w := range a.contents.Withheld {
		if w.Why != aside && w.Why != bulk && w.Why != absent {
			return "", fault.Refuse(fault.Malformed, "fact %s is withheld for no known reason", w.SHA256)
		}
		known[w.SHA256] = true
	}
	for _, r := range a.roots {
		known[r.Digest()] = true
	}
	cited := 0
	for _, e := range a.acts {
		for _, f := range e.Facts {
			cited++
			_, isFact := a.facts[f]
			_, isPayload := a.envelopes[f]
			if !isFact && !isPayload && !known[f] && envelope.ValidDigest(f) {
				return "", fault.Refuse(Lacking, "entry %d (%s on %s) cites %s, which is neither in the bundle nor declared withheld", e.index, e.Kind, e.Subject, f)
			}
		}
	}
	return fmt.Sprintf("%d citations; %d facts present, %d declared withheld", cited, len(a.facts), len(a.contents.Withheld)), nil
}

// on gives the acts on a subject of a kind (empty: any), by index.
func (a *audit) on(subject, kind string) []entry {
	var found []entry
	for _, e := range a.acts {
		if e.Subject == subject && (kind == "" || e.Kind == kind) {
			found = append(found, e)
		}
	}
	return found
}

// root gives the trust root a document was made under, if it was in force when an act took the document up.
func (a *audit) root(ref warrant.RootRef, by entry) (*trustroot.Root, error) {
	i := slices.IndexFunc(a.roots, func(r *trustroot.Root) bool { return warrant.RefOf(r) == ref })
	switch {
	case i < 0 || by.index <= a.since[i]:
		return nil, fault.Refuse(fault.RootChain, "trust root version %d with digest %s was not in force at entry %d", ref.Version, ref.SHA256, by.index)
	case i+1 < len(a.roots) && by.index > a.since[i+1]:
		return nil, fault.Refuse(fault.RootRollback, "trust root version %d was replaced at entry %d, before entry %d (%s) used it", ref.Version, a.since[i+1], by.index, by.Kind)
	}
	return a.roots[i], a.roots[i].Current(by.At)
}

func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }

// same reports whether two values have one encoding.
func same(x, y any) bool {
	a, errA := envelope.Encode(x)
	b, errB := envelope.Encode(y)
	return errA == nil && errB == nil && bytes.Equal(a, b)
}
