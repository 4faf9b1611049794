package triage

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/verdict"
)

// touched gives where the hosts stand that a decision concerns now, each place once: those of its scope that are not known to
// be unaffected. Where nobody's roles are limited nobody asks, and there are none.
func (t *Triage) touched(ctx context.Context, root *trustroot.Root, d Decision) ([]trustroot.Place, error) {
	if t.Places == nil || !slices.ContainsFunc(root.People, isLimited) {
		return nil, nil
	}
	in, err := t.groupsOf(ctx, d.Scope)
	if err != nil {
		return nil, err
	}
	var hosts []string
	if err := t.read(ctx, func() { hosts = t.reached(d, in) }); err != nil {
		return nil, err
	}
	return t.Places.PlacesOf(ctx, hosts)
}

// Touched gives where the hosts stand that a decision about a vulnerability, for a scope, concerns.
func (t *Triage) Touched(ctx context.Context, d Decision) ([]trustroot.Place, error) {
	root, err := t.Root.CurrentRoot(ctx)
	if err != nil {
		return nil, err
	}
	return t.touched(ctx, root, d)
}

func isLimited(p trustroot.Person) bool { return len(p.Scopes) > 0 }

// reached gives the hosts that a decision concerns, one again for each of its roots; the caller reads.
func (t *Triage) reached(d Decision, in groups) []string {
	if host, one := strings.CutPrefix(d.Scope, "host/"); one {
		return []string{host}
	}
	return t.fleet.Concerned(d.About(), func(host, environment string) bool { return inScope(d.Scope, environment) || in.has(d.Scope, host) })
}

func inScope(scope, environment string) bool {
	return scope == FleetScope || scope == "environment/"+environment
}

// limited remembers who signed the decisions in force in roles that were limited. What was signed does not change.
type limited struct {
	mu    sync.Mutex
	roots map[int64]*trustroot.Root       // by version; nil: nobody's roles are limited in it
	by    map[string][]trustroot.Approval // by decision; none: nobody of them is limited
}

// signers gives who signed those decisions that somebody in limited roles signed, by ID.
func (t *Triage) signers(ctx context.Context, all []PastDecision) (map[string][]trustroot.Approval, error) {
	l := &t.limited
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.learn(ctx, t.Root, all); err != nil {
		return nil, err
	}
	now := map[string][]trustroot.Approval{}
	for _, d := range all {
		root := l.roots[d.TrustRoot.Version]
		if root == nil {
			continue
		}
		if _, done := now[d.ID]; done {
			continue // of a decision about many
		}
		approvals, known := l.by[d.ID]
		if !known {
			var err error
			if approvals, err = t.approvals(ctx, root, d); err != nil {
				return nil, err
			}
		}
		now[d.ID] = approvals
	}
	l.by = now
	limited := maps.Clone(now)
	maps.DeleteFunc(limited, func(_ string, by []trustroot.Approval) bool { return len(by) == 0 })
	return limited, nil
}

// learn reads the trust roots that decisions were signed under and that are not known.
func (l *limited) learn(ctx context.Context, roots Root, all []PastDecision) error {
	lacks := func(d PastDecision) bool { _, known := l.roots[d.TrustRoot.Version]; return !known }
	if !slices.ContainsFunc(all, lacks) {
		return nil
	}
	chain, err := roots.Roots(ctx, 1)
	if err != nil {
		return err
	}
	l.roots = map[int64]*trustroot.Root{}
	for _, e := range chain {
		r, err := trustroot.Decode(e.Payload)
		if err != nil {
			return err
		}
		if l.roots[r.Version] = r; !slices.ContainsFunc(r.People, isLimited) {
			l.roots[r.Version] = nil
		}
	}
	return nil
}

const maxSigned = 8 << 20 // bytes of a signed decision

// approvals gives who signed a decision, if any of them is limited.
func (t *Triage) approvals(ctx context.Context, root *trustroot.Root, d PastDecision) ([]trustroot.Approval, error) {
	if root.Digest() != d.TrustRoot.SHA256 {
		return nil, fault.New(fault.Internal, "decision %s was made under another trust root version %d", d.ID, root.Version)
	}
	b, err := blob.ReadAll(ctx, t.Blobs, d.Envelope, maxSigned)
	if err != nil {
		return nil, err
	}
	var e envelope.Envelope
	if err := envelope.Decode(b, &e); err != nil {
		return nil, err
	}
	approvals, err := root.Approvals(e)
	if !slices.ContainsFunc(approvals, func(a trustroot.Approval) bool { return isLimited(a.Person) }) {
		return nil, err
	}
	return approvals, err
}

// outgrown says of decisions why they do not hold any more that concern hosts outside the scopes of who signed them: hosts came
// to be affected since, or moved. The pass costs what Standings costs, and nothing where no signer is limited.
func (t *Triage) outgrown(ctx context.Context, all []PastDecision, why map[name]string) error {
	if t.Places == nil {
		return nil
	}
	signers, err := t.signers(ctx, all)
	if err != nil || len(signers) == 0 {
		return err
	}
	places, err := t.Places.Places(ctx)
	if err != nil {
		return err
	}
	type stand struct {
		environment string
		trustroot.Place
	}
	stands := map[string]stand{}
	standings, err := t.Standings(ctx, func(at string) string {
		host, _ := verdict.HostOf(at)
		s := stand{t.fleet.Environment(at), places[host]}
		key := strings.Join([]string{s.environment, s.Platform, s.Unit, s.Zone}, "\x00")
		stands[key] = s
		return key
	})
	if err != nil {
		return err
	}
	for _, d := range all {
		approvals := signers[d.ID]
		if len(approvals) == 0 {
			continue
		}
		var touched []trustroot.Place
		if host, one := strings.CutPrefix(d.Scope, "host/"); one {
			touched = append(touched, places[host])
		} else if _, is := groupOf(d.Scope); is {
			in, err := t.groupsOf(ctx, d.Scope)
			if err != nil {
				return err
			}
			if err := t.read(ctx, func() {
				for _, host := range t.reached(d.Decision, in) {
					touched = append(touched, places[host])
				}
			}); err != nil {
				return err
			}
		}
		for _, key := range standings[d.Vulnerability] {
			if s := stands[key]; inScope(d.Scope, s.environment) {
				touched = append(touched, s.Place)
			}
		}
		if len(touched) > 0 && !trustroot.Seated(kinds[d.Kind], approvals, touched...) {
			why[name{d.ID, d.Vulnerability}] = "it came to concern hosts outside the scope of who signed it"
		}
	}
	return nil
}
