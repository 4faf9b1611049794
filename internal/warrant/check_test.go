package warrant_test

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/envelopetest"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// attack is a valid warrant and its host, before the attack; make rebuilds and signs the warrant from order and record.
type attack struct {
	*warranttest.World
	record  warrant.Record
	order   warrant.Order
	host    warrant.Host
	warrant *warrant.Warrant
}

func begin(t *testing.T) *attack {
	w := warranttest.New(t)
	a := &attack{World: w, record: w.Record([]byte("index"), warranttest.Package("hello", "1.1", []byte("deb")))}
	a.order, a.host = w.Order(a.record), w.Host()
	a.make()
	return a
}

func (a *attack) make() { a.warrant = a.Warrant(a.order, a.record) }

func (a *attack) signOrder(people ...string) {
	a.warrant.Order = a.Sign(warrant.OrderType, a.warrant.Order.Payload, people...)
}

// forge replaces text in the order's payload, keeps the signatures on the old one, or signs the new one.
func (a *attack) forge(old, new string, resign bool) {
	p := bytes.Replace(a.warrant.Order.Payload, []byte(old), []byte(new), 1)
	if bytes.Equal(p, a.warrant.Order.Payload) {
		a.TB.Fatalf("%q is not in the payload", old)
	}
	a.warrant.Order.Payload = p
	if resign {
		a.signOrder("alice", "carol")
		a.Logged(a.warrant, a.order.ID)
	}
}

// limit has carol operate only in the zone core, for an order whose hosts stand where it says.
func (a *attack) limit(places ...trustroot.Place) {
	a.SetRoot(edited(a.Root, func(r *trustroot.Root) {
		r.People[2].Scopes = []trustroot.Scope{{Role: "operations-manager", Zones: []string{"core"}}}
	}))
	a.record.TrustRoot = warrant.RefOf(a.Root)
	a.order = a.Order(a.record)
	a.order.Places, a.host = places, a.Host()
	a.make()
}

func edited(r *trustroot.Root, edit func(*trustroot.Root)) trustroot.Root {
	next := *r
	next.People = slices.Clone(r.People)
	edit(&next)
	return next
}

func TestCheckGivesLeave(t *testing.T) {
	a := begin(t)
	l, err := a.warrant.Check(a.host)
	if err != nil {
		t.Fatal(err)
	}
	if l.Transactions[0].Actions[0].Name != "hello" || len(l.Approvals) != 2 || l.Record == nil || l.Checkpoint.Size != 1 || l.Root.Version != 1 ||
		l.OrderDigest != envelope.Digest(a.warrant.Order.Payload) {
		t.Fatalf("leave = %+v", l)
	}
	b, err := a.warrant.Encode()
	if err != nil {
		t.Fatal(err)
	}
	again, err := warrant.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := again.Check(a.host); err != nil {
		t.Fatal(err)
	}
}

// One row per kind of attack; each spoils a valid warrant in the way its name says.
// TestCheckGivesLeaveWithinScopes: the attacks of TestCheckRefuses fail by the places alone.
func TestCheckGivesLeaveWithinScopes(t *testing.T) {
	a := begin(t)
	a.limit(trustroot.Place{Zone: "core"}, trustroot.Place{Platform: "debian", Zone: "core"})
	if _, err := a.warrant.Check(a.host); err != nil {
		t.Fatal(err)
	}
}

func TestCheckRefuses(t *testing.T) {
	type row struct {
		name, code string
		do         func(a *attack)
	}
	rows := []row{
		{"host clock set back", fault.Clock, func(a *attack) { a.host.LatestTime = a.host.Now.Add(time.Hour) }},
		{"host clock behind the ledger", fault.Clock, func(a *attack) { a.Log.At = warranttest.Now.Add(10 * time.Minute); a.make() }},
		{"root expired", fault.RootExpired, func(a *attack) { a.host.Now = a.Root.ExpiresAt }},
		{"root skips a version", fault.RootChain, func(a *attack) {
			a.warrant.Roots = []envelope.Envelope{a.NextRoot(func(r *trustroot.Root) { r.Version = 3 }, "alice", "carol")}
		}},
		{"other root of the same version", fault.RootChain, func(a *attack) {
			a.warrant.Roots = []envelope.Envelope{a.NextRoot(func(r *trustroot.Root) { r.Version, r.Previous, r.Organisation = 1, "", "Fork" }, "alice", "carol")}
		}},
		{"next root by one person", fault.Quorum, func(a *attack) {
			a.warrant.Roots = []envelope.Envelope{a.NextRoot(func(*trustroot.Root) {}, "alice", "alice")}
		}},
		{"next root by strangers it names itself", fault.Quorum, func(a *attack) {
			e := a.NextRoot(func(r *trustroot.Root) {
				for _, id := range []string{"mallory", "moriarty"} {
					signer, key := warranttest.SSHKey(a.TB)
					a.Signers[id] = signer
					r.People = append(r.People, trustroot.Person{ID: id, Name: id, Roles: []string{"system-owner"}, Keys: []envelope.Key{key}})
				}
			}, "mallory", "moriarty")
			a.warrant.Roots = []envelope.Envelope{e}
		}},
		{"next root edited after signing", fault.BadSignature, func(a *attack) {
			e := a.NextRoot(func(*trustroot.Root) {}, "alice", "carol")
			e.Payload = bytes.Replace(e.Payload, []byte(`"Example"`), []byte(`"Evil"`), 1)
			a.warrant.Roots = []envelope.Envelope{e}
		}},
		{"order made under an older root", fault.RootRollback, func(a *attack) {
			a.warrant.Roots = []envelope.Envelope{a.NextRoot(func(*trustroot.Root) {}, "alice", "carol")}
		}},
		{"order made under a root the host lacks", fault.RootChain, func(a *attack) { a.order.TrustRoot.Version = 2; a.make() }},
		{"order made under another root of that version", fault.RootChain, func(a *attack) {
			a.order.TrustRoot.SHA256 = envelope.Digest(nil)
			a.make()
		}},
		{"order edited after signing", fault.BadSignature, func(a *attack) { a.forge(`"to":"1.1"`, `"to":"6.6"`, false) }},
		{"order signed for another type", fault.BadSignature, func(a *attack) {
			a.warrant.Order.Signatures = a.Sign(warrant.CurationType, a.warrant.Order.Payload, "alice", "carol").Signatures
		}},
		{"curation record passed off as order", fault.Malformed, func(a *attack) { a.warrant.Order = *a.warrant.Curation }},
		{"signature by a stranger", fault.BadSignature, func(a *attack) {
			a.Signers["mallory"], _ = warranttest.SSHKey(a.TB)
			a.signOrder("alice", "carol", "mallory")
		}},
		{"too many signatures", fault.BadSignature, func(a *attack) { a.signOrder(strings.Split(strings.Repeat("alice,", 16)+"carol", ",")...) }},
		{"duplicate key in the order", fault.Malformed, func(a *attack) { a.forge(`"class":"routine"`, `"class":"routine","class":"emergency"`, true) }},
		{"case-variant key in the order", fault.Malformed, func(a *attack) { a.forge(`"class":"routine"`, `"class":"routine","Class":"emergency"`, true) }},
		{"unknown field in the order", fault.Malformed, func(a *attack) { a.forge(`"class":"routine"`, `"class":"routine","hook":"x"`, true) }},
		{"package name that is an option", fault.Malformed, func(a *attack) { a.forge(`"name":"hello"`, `"name":"--allow-unauthenticated"`, true) }},
		{"pool path that climbs", fault.Malformed, func(a *attack) {
			a.forge(`"file":"pool/main/hello`, `"file":"pool/../../hello`, true)
		}},
		{"subjects are not the packages", fault.Malformed, func(a *attack) {
			a.forge(`"subject":[{"name":"pool/main/hello`, `"subject":[{"name":"pool/main/other`, true)
		}},
		{"nobody signed", fault.Quorum, func(a *attack) { a.signOrder() }},
		{"one person signed", fault.Quorum, func(a *attack) { a.signOrder("alice") }},
		{"one person signed twice", fault.Quorum, func(a *attack) { a.signOrder("alice", "alice") }},
		{"one person with both roles", fault.Quorum, func(a *attack) { a.signOrder("dave") }},
		{"the right number in the wrong roles", fault.Quorum, func(a *attack) { a.order.Author = "dave"; a.make(); a.signOrder("alice", "bob") }},
		{"one of two outside their scope", fault.Scope, func(a *attack) { a.limit(trustroot.Place{Zone: "dmz"}) }},
		{"one host outside a scope", fault.Scope, func(a *attack) { a.limit(trustroot.Place{Zone: "core"}, trustroot.Place{Zone: "dmz"}) }},
		{"a host nobody knows where", fault.Scope, func(a *attack) { a.limit(trustroot.Place{Platform: "debian"}) }},
		{"an order that says nothing of where", fault.Scope, func(a *attack) { a.limit() }},
		{"places changed after signing", fault.BadSignature, func(a *attack) {
			a.limit(trustroot.Place{Zone: "dmz"})
			a.forge(`"zone":"dmz"`, `"zone":"core"`, false)
		}},
		{"an administrator signed", fault.Quorum, func(a *attack) { a.signOrder("alice", "erin") }},
		{"an auditor signed", fault.Quorum, func(a *attack) { a.signOrder("alice", "frank") }},
		{"the author signed", fault.Author, func(a *attack) { a.signOrder("bob", "carol") }},
		{"the author is nobody", fault.Author, func(a *attack) { a.order.Author = "nobody"; a.make() }},
		{"no local signature", fault.Local, func(a *attack) {
			keys := map[string]*envelopetest.Passkey{}
			a.SetRoot(edited(a.Root, func(r *trustroot.Root) {
				for _, i := range []int{0, 2} { // alice and carol
					keys[r.People[i].ID] = envelopetest.NewPasskey(a.TB)
					r.People[i].Keys = append(r.People[i].Keys, keys[r.People[i].ID].Key)
				}
			}))
			a.host.Root, a.order.TrustRoot, a.record.TrustRoot = a.Root, warrant.RefOf(a.Root), warrant.RefOf(a.Root)
			curation, err := a.record.Encode()
			if err != nil {
				a.TB.Fatal(err)
			}
			a.order.Snapshot.Curation = envelope.Digest(curation)
			a.make()
			if _, err := a.warrant.Check(a.host); err != nil {
				a.TB.Fatal(err)
			}
			for i, id := range []string{"alice", "carol"} {
				a.warrant.Order.Signatures[i] = keys[id].Sign(warrant.OrderType, a.warrant.Order.Payload)
			}
		}},
		{"class without a rule", fault.Class, func(a *attack) { a.order.Class = trustroot.Standing; a.make() }},
		{"curation record missing", fault.MixMatch, func(a *attack) { a.warrant.Curation = nil }},
		{"curation record by one person", fault.Quorum, func(a *attack) {
			*a.warrant.Curation = a.Sign(warrant.CurationType, a.warrant.Curation.Payload, "alice")
		}},
		{"curation record by its author", fault.Author, func(a *attack) {
			*a.warrant.Curation = a.Sign(warrant.CurationType, a.warrant.Curation.Payload, "alice", "carol")
		}},
		{"curation record edited", fault.BadSignature, func(a *attack) {
			a.warrant.Curation.Payload = bytes.Replace(a.warrant.Curation.Payload, []byte("1.1"), []byte("6.6"), 1)
		}},
		{"snapshot digest that is not the packages'", fault.Malformed, func(a *attack) {
			p := bytes.ReplaceAll(a.warrant.Curation.Payload, []byte(a.record.Snapshot), []byte(envelope.Digest(nil)))
			*a.warrant.Curation = a.Sign(warrant.CurationType, p, "alice", "bob")
		}},
		{"another curation record", fault.MixMatch, func(a *attack) {
			a.record = a.Record([]byte("index"), warranttest.Package("hello", "1.2", []byte("other")))
			a.make()
		}},
		{"another index", fault.MixMatch, func(a *attack) { a.order.Snapshot.Index = envelope.Digest(nil); a.make() }},
		{"another snapshot", fault.MixMatch, func(a *attack) { a.order.Snapshot.SHA256 = envelope.Digest(nil); a.make() }},
		{"package with other bytes than curated", fault.Arbitrary, func(a *attack) {
			a.order.Transactions[0].Actions[0].SHA256 = envelope.Digest([]byte("evil"))
			a.make()
		}},
		{"package nobody curated", fault.Arbitrary, func(a *attack) {
			x := a.order.Transactions[0].Actions[0]
			x.Name = "implant"
			a.order.Transactions[0].Actions = append(a.order.Transactions[0].Actions, x)
			a.make()
		}},
		{"upgrade that goes back", fault.Downgrade, func(a *attack) { a.order.Transactions[0].Actions[0].From = "1:0.9"; a.make() }},
		{"upgrade to the same", fault.Downgrade, func(a *attack) { a.order.Transactions[0].Actions[0].From = "1.1"; a.make() }},
		{"downgrade that goes forward", fault.Downgrade, func(a *attack) { a.order.Transactions[0].Actions[0].Do = "downgrade"; a.make() }},
		{"for stage only", fault.Environment, func(a *attack) { a.order.Environment = "stage"; a.make() }},
		{"class not for the environment", fault.Environment, func(a *attack) { a.order.Class = trustroot.Stage; a.make() }},
		{"for another host", fault.WrongHost, func(a *attack) { a.host.ID = "hst_2" }},
		{"replayed", fault.Replay, func(a *attack) { a.host.LastSequence = 1 }},
		{"expired", fault.Expired, func(a *attack) { a.host.Now = a.order.ExpiresAt }},
		{"window too long", fault.WindowTooLong, func(a *attack) { a.order.Window.ClosesAt = a.order.Window.OpensAt.Add(73 * time.Hour); a.make() }},
		{"before the window", fault.OutsideWindow, func(a *attack) { a.host.Now = a.order.Window.OpensAt.Add(-time.Second) }},
		{"after the window", fault.OutsideWindow, func(a *attack) { a.host.Now = a.order.Window.ClosesAt }},
		{"not in the ledger", fault.Unlogged, func(a *attack) { a.warrant.Logged = proof.Logged{} }},
		{"ledger of another key", fault.Unlogged, func(a *attack) { a.Log = warranttest.NewLog(a.TB, warranttest.Origin); a.make() }},
		{"entry not in the tree", fault.Unlogged, func(a *attack) { a.warrant.Logged.Entry = append(a.warrant.Logged.Entry, ' ') }},
		{"act about another order", fault.Unlogged, func(a *attack) { a.Logged(a.warrant, "ord_2") }},
		{"act about another payload of this order", fault.Unlogged, func(a *attack) {
			logged := a.warrant.Logged
			a.order.Reason = "another"
			a.make()
			a.warrant.Logged = logged
		}},
		{"ledger shrank", fault.LogRollback, func(a *attack) { a.host.LogSize = 2 }},
		{"ledger rewritten", fault.LogRollback, func(a *attack) { a.host.LogSize = 1 }},
		{"old checkpoint", fault.Freeze, func(a *attack) { a.Log.At = warranttest.Now.Add(-25 * time.Hour); a.make() }},
		{"several things wrong: signatures come first", fault.Quorum, func(a *attack) {
			a.signOrder("alice")
			a.host.ID, a.host.LastSequence, a.warrant.Logged = "hst_2", 9, proof.Logged{}
		}},
	}
	codes := map[string]bool{}
	for _, r := range rows {
		codes[r.code] = true
		t.Run(r.name, func(t *testing.T) {
			a := begin(t)
			r.do(a)
			if _, err := a.warrant.Check(a.host); fault.CodeOf(err) != r.code {
				t.Fatalf("code = %q (%v), want %s", fault.CodeOf(err), err, r.code)
			}
		})
	}
	if len(codes) != 23 {
		t.Errorf("%d codes are covered, want all 23", len(codes))
	}
}
