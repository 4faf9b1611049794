package trustroot_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/envelopetest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func TestRootSurvivesEncoding(t *testing.T) {
	w := warranttest.New(t)
	payload, err := w.Root.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := trustroot.Decode(payload)
	if diff := cmp.Diff(w.Root, again, cmpopts.IgnoreUnexported(trustroot.Root{})); err != nil || diff != "" {
		t.Error(err, diff)
	}
	if again.Digest() != envelope.Digest(payload) || w.Root.Digest() != again.Digest() {
		t.Error("digest is not the payload's")
	}
}

// One row per rule of the document.
func TestRootRules(t *testing.T) {
	_, host := warranttest.ReportKey(t)
	passkey := envelopetest.NewPasskey(t).Key
	for name, spoil := range map[string]func(r *trustroot.Root){
		"version 0":                       func(r *trustroot.Root) { r.Version = 0 },
		"version 1 with a predecessor":    func(r *trustroot.Root) { r.Previous = envelope.Digest(nil) },
		"version 2 without":               func(r *trustroot.Root) { r.Version = 2 },
		"predecessor that is no digest":   func(r *trustroot.Root) { r.Version, r.Previous = 2, "x" },
		"no organisation":                 func(r *trustroot.Root) { r.Organisation = "" },
		"expires before it is made":       func(r *trustroot.Root) { r.ExpiresAt = r.MadeAt },
		"no ledger origin":                func(r *trustroot.Root) { r.Ledger.Origin = "" },
		"ledger origin with a line break": func(r *trustroot.Root) { r.Ledger.Origin = "a\nb" },
		"no ledger key":                   func(r *trustroot.Root) { r.Ledger.Keys = nil },
		"ledger key that is none":         func(r *trustroot.Root) { r.Ledger.Keys = []string{"x"} },
		"checkpoints of any age":          func(r *trustroot.Root) { r.Ledger.MaxCheckpointAgeHours = 0 },
		"checkpoints of a year":           func(r *trustroot.Root) { r.Ledger.MaxCheckpointAgeHours = 9000 },
		"no repository key":               func(r *trustroot.Root) { r.Repository.Keys = nil },
		"repository key that is none":     func(r *trustroot.Root) { r.Repository.Keys = []string{"x"} },
		"person twice":                    func(r *trustroot.Root) { r.People[1].ID = "alice" },
		"person ID with a slash":          func(r *trustroot.Root) { r.People[0].ID = "a/b" },
		"person ID in upper case":         func(r *trustroot.Root) { r.People[0].ID = "Alice" },
		"person without a name":           func(r *trustroot.Root) { r.People[0].Name = "" },
		"unknown role":                    func(r *trustroot.Root) { r.People[0].Roles = []string{"king"} },
		"administrator who approves":      func(r *trustroot.Root) { r.People[4].Roles = []string{"administrator", "system-owner"} },
		"auditor who approves":            func(r *trustroot.Root) { r.People[5].Roles = []string{"system-owner", "auditor"} },
		"one key of two people":           func(r *trustroot.Root) { r.People[1].Keys = r.People[0].Keys },
		"one key twice":                   func(r *trustroot.Root) { r.People[0].Keys = append(r.People[0].Keys, r.People[0].Keys[0]) },
		"one public key with two IDs": func(r *trustroot.Root) {
			twin := passkey
			twin.ID += "AA"
			r.People[0].Keys = append(r.People[0].Keys, passkey, twin)
		},
		"key ID of another key": func(r *trustroot.Root) { r.People[0].Keys[0].ID = "SHA256:x" },
		"host key for a person": func(r *trustroot.Root) { r.People[0].Keys = append(r.People[0].Keys, host) },
		"unknown class":         func(r *trustroot.Root) { r.Rules[0].Class = "whatever" },
		"class twice":           func(r *trustroot.Root) { r.Rules[1].Class = r.Rules[0].Class },
		"one seat":              func(r *trustroot.Root) { r.Rules[0].Seats = r.Rules[0].Seats[:1] },
		"nine seats":            func(r *trustroot.Root) { r.Rules[0].Seats = slices.Repeat(r.Rules[0].Seats[:1], 9) },
		"empty seat":            func(r *trustroot.Root) { r.Rules[0].Seats = [][]string{{}, r.Rules[0].Seats[0]} },
		"administrator in a seat": func(r *trustroot.Root) {
			r.Rules[0].Seats = [][]string{{"administrator", "system-owner"}, {"cirt-analyst"}}
		},
		"auditor in a seat":                func(r *trustroot.Root) { r.Rules[0].Seats = [][]string{{"auditor", "system-owner"}, {"cirt-analyst"}} },
		"no local signature":               func(r *trustroot.Root) { r.Rules[0].Local = 0 },
		"more local signatures than seats": func(r *trustroot.Root) { r.Rules[0].Local = 3 },
		"window without limit":             func(r *trustroot.Root) { r.Rules[0].MaxWindowHours = 0 },
		"window of a year":                 func(r *trustroot.Root) { r.Rules[0].MaxWindowHours = 9000 },
		"window where nothing happens":     func(r *trustroot.Root) { r.Rules[ruleOf(r, trustroot.Curation)].MaxWindowHours = 1 },
		"window of a policy":               func(r *trustroot.Root) { r.Rules[ruleOf(r, trustroot.Policy)].MaxWindowHours = 1 },
		"no rule for trust roots": func(r *trustroot.Root) {
			i := ruleOf(r, trustroot.TrustRoot)
			r.Rules = slices.Delete(slices.Clone(r.Rules), i, i+1)
		},
		"rule that nobody can meet": func(r *trustroot.Root) { r.Rules[0].Seats = [][]string{{"risk-manager"}, {"system-owner"}} },
		"time with an offset":       func(r *trustroot.Root) { r.MadeAt = r.MadeAt.In(time.FixedZone("", 3600)) },
	} {
		t.Run(name, func(t *testing.T) {
			r := warranttest.New(t).Root
			spoil(r)
			if _, err := r.Encode(); fault.KindOf(err) != fault.Invalid {
				t.Fatalf("accepted (%v)", err)
			}
		})
	}
}

func TestFirst(t *testing.T) {
	w := warranttest.New(t)
	e, digest := w.RootEnvelope, w.Root.Digest()
	if _, err := trustroot.First(e, envelope.Digest(nil), warranttest.Now); fault.CodeOf(err) != fault.RootChain {
		t.Errorf("not the pinned one: %v", err)
	}
	if _, err := trustroot.First(e, digest, w.Root.ExpiresAt); fault.CodeOf(err) != fault.RootExpired {
		t.Errorf("expired: %v", err)
	}
	alone := w.Sign(trustroot.PayloadType, e.Payload, "alice")
	if _, err := trustroot.First(alone, digest, warranttest.Now); fault.CodeOf(err) != fault.Quorum {
		t.Errorf("by one person: %v", err)
	}
	other := w.Sign("application/vnd.patchwarrant.order.v1+json", e.Payload, "alice", "carol")
	if _, err := trustroot.First(other, digest, warranttest.Now); fault.CodeOf(err) != fault.Malformed {
		t.Errorf("another payload type: %v", err)
	}
	e.Payload = []byte(strings.Replace(string(e.Payload), "Example", "Evil", 1))
	if _, err := trustroot.First(e, envelope.Digest(e.Payload), warranttest.Now); fault.CodeOf(err) != fault.BadSignature {
		t.Errorf("edited: %v", err)
	}
}

// hire gives a root its next version, in which mallory replaces bob.
func hire(t *testing.T, w *warranttest.World) func(*trustroot.Root) {
	signer, key := warranttest.SSHKey(t)
	w.Signers["mallory"] = signer
	return func(r *trustroot.Root) {
		r.People[1] = trustroot.Person{ID: "mallory", Name: "mallory", Roles: []string{"product-manager"}, Keys: []envelope.Key{key}}
	}
}

func TestNext(t *testing.T) {
	w := warranttest.New(t)
	change := hire(t, w)
	for name, row := range map[string]struct {
		edit   func(*trustroot.Root)
		people []string
		code   string
	}{
		"two who stay": {change, []string{"alice", "carol"}, ""},
		"two of both, beside one who leaves and one who comes": {change, []string{"alice", "bob", "carol", "mallory"}, ""},
		"a quorum under the old alone":                         {change, []string{"alice", "bob"}, fault.Quorum},
		"a quorum under the new alone":                         {change, []string{"alice", "mallory"}, fault.Quorum},
		"a quorum of each, by different people":                {change, []string{"alice", "bob", "mallory"}, ""},
		"nobody":                                               {change, nil, fault.Quorum},
		"one person":                                           {change, []string{"alice"}, fault.Quorum},
		"administrator and auditor":                            {change, []string{"erin", "frank"}, fault.Quorum},
		"a version left out":                                   {func(r *trustroot.Root) { r.Version++ }, []string{"alice", "carol"}, fault.RootChain},
		"another predecessor":                                  {func(r *trustroot.Root) { r.Previous = envelope.Digest(nil) }, []string{"alice", "carol"}, fault.RootChain},
		"expired":                                              {func(r *trustroot.Root) { r.ExpiresAt = warranttest.Now }, []string{"alice", "carol"}, fault.RootExpired},
	} {
		next, err := w.Root.Next(w.NextRoot(row.edit, row.people...), warranttest.Now)
		if fault.CodeOf(err) != row.code || (err == nil) != (row.code == "") || err == nil && next.Version != 2 {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := w.Root.Next(w.RootEnvelope, warranttest.Now); fault.KindOf(err) != fault.Conflict {
		t.Errorf("the same again: %v", err)
	}
}

// A host that was away follows a chain of roots, also through one that has expired meanwhile.
func TestFollow(t *testing.T) {
	w := warranttest.New(t)
	first, chain := w.Root, []envelope.Envelope{w.RootEnvelope}
	for i := range 3 {
		e := w.NextRoot(func(r *trustroot.Root) {
			if i == 0 {
				r.ExpiresAt = warranttest.Now.Add(-time.Minute)
			}
		}, "alice", "carol")
		chain = append(chain, e)
		w.RootEnvelope = e
		root, err := w.Root.Follow([]envelope.Envelope{e})
		if err != nil {
			t.Fatal(err)
		}
		w.Root = root
	}
	last, err := first.Follow(chain)
	if err != nil || last.Version != 4 || last.Digest() != w.Root.Digest() {
		t.Fatal(last, err)
	}
	if _, err := first.Follow([]envelope.Envelope{chain[1], chain[3]}); fault.CodeOf(err) != fault.RootChain {
		t.Errorf("with a gap: %v", err)
	}
	if same, err := last.Follow(chain); err != nil || same != last {
		t.Errorf("nothing new: %v", err)
	}
}

// approvals are what Quorum counts, without signatures behind them.
func approvals(r *trustroot.Root, kinds map[string][]string) []trustroot.Approval {
	var out []trustroot.Approval
	for _, p := range r.People {
		for _, kind := range kinds[p.ID] {
			out = append(out, trustroot.Approval{Person: p, Proof: envelope.Proof{Kind: kind}})
		}
	}
	return out
}

// possible decides a quorum by trying every assignment of people to seats: slow and plain.
func possible(rule trustroot.Rule, people []trustroot.Person, local map[string]bool, taken map[string]bool, seat, locals int) bool {
	if seat == len(rule.Seats) {
		return locals >= rule.Local
	}
	for _, p := range people {
		if taken[p.ID] || !slices.ContainsFunc(p.Roles, func(role string) bool { return slices.Contains(rule.Seats[seat], role) }) {
			continue
		}
		taken[p.ID] = true
		n := locals
		if local[p.ID] {
			n++
		}
		found := possible(rule, people, local, taken, seat+1, n)
		delete(taken, p.ID)
		if found {
			return true
		}
	}
	return false
}

// Quorum agrees with the plain search on all small roots: so two keys of one person never count twice, the author never
// counts, and local signatures are counted among those who fill the seats.
func TestQuorumAgreesWithSearch(t *testing.T) {
	roles := []string{"cirt-analyst", "product-manager", "risk-manager", "operations-manager", "system-owner"}
	some := rapid.SliceOfNDistinct(rapid.SampledFrom(roles), 1, 3, rapid.ID)
	rapid.Check(t, func(t *rapid.T) {
		r := &trustroot.Root{}
		for _, id := range []string{"a", "b", "c", "d", "e"} {
			r.People = append(r.People, trustroot.Person{ID: id, Roles: some.Draw(t, "roles of "+id)})
		}
		rule := trustroot.Rule{Class: trustroot.Routine, Seats: rapid.SliceOfN(some, 2, 4).Draw(t, "seats")}
		rule.Local = rapid.IntRange(1, len(rule.Seats)).Draw(t, "local")
		r.Rules = []trustroot.Rule{rule}
		author := rapid.SampledFrom([]string{"", "a", "b", "nobody"}).Draw(t, "author")
		kinds, local := map[string][]string{}, map[string]bool{}
		var signed []trustroot.Person
		for _, p := range r.People {
			kinds[p.ID] = rapid.SliceOfN(rapid.SampledFrom([]string{envelope.SSH, envelope.WebAuthn}), 0, 3).Draw(t, "signatures of "+p.ID)
			local[p.ID] = slices.Contains(kinds[p.ID], envelope.SSH)
			if len(kinds[p.ID]) > 0 && p.ID != author {
				signed = append(signed, p)
			}
		}
		err := r.Quorum(trustroot.Routine, author, approvals(r, kinds))
		if want := possible(rule, signed, local, map[string]bool{}, 0, 0); (err == nil) != want {
			t.Fatalf("%v, the search says %t", err, want)
		}
		unlimited := rule
		unlimited.Local = 0
		if filled := possible(unlimited, signed, local, map[string]bool{}, 0, 0); err != nil && (fault.CodeOf(err) == fault.Local) != filled {
			t.Fatalf("%v, the seats can be filled: %t", err, filled)
		}
	})
}

func TestQuorumCodes(t *testing.T) {
	w := warranttest.New(t)
	ssh, web := []string{envelope.SSH}, []string{envelope.WebAuthn}
	for name, row := range map[string]struct {
		class, author string
		kinds         map[string][]string
		code          string
	}{
		"two people":                     {trustroot.Routine, "bob", map[string][]string{"alice": ssh, "carol": ssh}, ""},
		"one of them local":              {trustroot.Routine, "bob", map[string][]string{"alice": web, "carol": ssh}, ""},
		"none of them local":             {trustroot.Routine, "bob", map[string][]string{"alice": web, "carol": web}, fault.Local},
		"local is one who fills no seat": {trustroot.Routine, "bob", map[string][]string{"alice": web, "carol": web, "erin": ssh}, fault.Local},
		"local is the author":            {trustroot.Routine, "bob", map[string][]string{"alice": web, "carol": web, "bob": ssh}, fault.Local},
		"two keys of one person":         {trustroot.Routine, "bob", map[string][]string{"dave": {envelope.SSH, envelope.WebAuthn}}, fault.Quorum},
		"one of two is the author":       {trustroot.Routine, "alice", map[string][]string{"alice": ssh, "carol": ssh}, fault.Author},
		"author beside two":              {trustroot.Routine, "bob", map[string][]string{"alice": ssh, "bob": ssh, "carol": ssh}, ""},
		"class without a rule":           {trustroot.Standing, "bob", map[string][]string{"alice": ssh, "carol": ssh}, fault.Class},
	} {
		if err := w.Root.Quorum(row.class, row.author, approvals(w.Root, row.kinds)); fault.CodeOf(err) != row.code {
			t.Errorf("%s: %v, want %q", name, err, row.code)
		}
	}
}

func ruleOf(r *trustroot.Root, class string) int {
	return slices.IndexFunc(r.Rules, func(rule trustroot.Rule) bool { return rule.Class == class })
}
