package evidence

import (
	"bytes"
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/bundle"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/explain"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/filetree"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func unpack(t *testing.T, b []byte) []bundle.Member {
	t.Helper()
	opened, err := bundle.Unpack(b)
	if err != nil {
		t.Fatal(err)
	}
	return opened.Members()
}

func pack(t *testing.T, members []bundle.Member) []byte {
	t.Helper()
	b, err := bundle.Pack(members)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestASealedChangeIsValid(t *testing.T) {
	w := newWorld(t)
	r, err := w.verify(w.sealed())
	for _, c := range r.Checks {
		t.Logf("%v %-22s %s", c.OK, c.Name, c.Text)
	}
	if err != nil {
		t.Fatal(err)
	}
	if r.Order != w.order.ID || len(r.Checks) != 18 {
		t.Errorf("order %s, %d checks", r.Order, len(r.Checks))
	}
}

// Any single byte of the file.
func TestAFlippedByteOfTheFileIsRefused(t *testing.T) {
	w := newWorld(t)
	sealed := w.sealed()
	for i := 0; i < len(sealed); i += 1 + i%397 { // all headers and members are hit; package bundle tests every byte
		bad := bytes.Clone(sealed)
		bad[i] ^= 0x10
		if _, err := w.verify(bad); fault.CodeOf(err) != bundle.CodeContainer {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
}

// Somebody who can make the container anew changes one byte of one member: the anchors in the ledger and the signatures
// show it, whatever the member.
func TestAFlippedByteOfAnyMemberIsRefused(t *testing.T) {
	w := newWorld(t)
	members := unpack(t, w.sealed())
	if _, err := w.verify(pack(t, members)); err != nil {
		t.Fatal(err)
	}
	flips := 0
	for m := range members {
		for i := range members[m].Data {
			if n := len(members[m].Data); n > 8 && i%(n/8) != 0 && i != n-1 {
				continue
			}
			bad := append([]bundle.Member(nil), members...)
			bad[m].Data = bytes.Clone(members[m].Data)
			bad[m].Data[i] ^= 0x01
			if _, err := w.verify(pack(t, bad)); err == nil || fault.CodeOf(err) == "" {
				t.Fatalf("%s, byte %d of %d: %v", members[m].Name, i, len(members[m].Data), err)
			}
			flips++
		}
	}
	t.Logf("%d flips in %d members", flips, len(members))
}

// TestACheckpointIsWrittenInOneWay: the root that a host saw in capitals would be the same number in other bytes.
func TestACheckpointIsWrittenInOneWay(t *testing.T) {
	w := newWorld(t)
	members := unpack(t, w.sealed())
	tried := 0
	for m := range members {
		if !strings.HasPrefix(members[m].Name, seenPrefix) {
			continue
		}
		for i, c := range members[m].Data {
			if c < 'a' || c > 'f' {
				continue
			}
			bad := slices.Clone(members)
			bad[m].Data = bytes.Clone(members[m].Data)
			bad[m].Data[i] -= 'a' - 'A'
			if _, err := w.verify(pack(t, bad)); err == nil {
				t.Fatalf("%s with another byte %d is valid", members[m].Name, i)
			}
			tried++
		}
	}
	if tried == 0 {
		t.Fatal("no host saw a checkpoint")
	}
}

func TestWhatIsTakenOutIsNamed(t *testing.T) {
	w := newWorld(t)
	members := unpack(t, w.sealed())
	for m, gone := range members {
		bad := append(append([]bundle.Member(nil), members[:m]...), members[m+1:]...)
		_, err := w.verify(pack(t, bad))
		if err == nil {
			t.Fatalf("%s: valid without it", gone.Name)
		}
		if strings.HasPrefix(gone.Name, actsPrefix) {
			var in included
			if err := envelope.Decode(gone.Data, &in); err != nil {
				t.Fatal(err)
			}
			e, errEntry := w.log.Entry(t.Context(), in.Index)
			if errEntry != nil {
				t.Fatal(errEntry)
			}
			for _, want := range []string{"entry " + strings.TrimLeft(gone.Name[len(actsPrefix):len(gone.Name)-5], "0"), e.Act.Kind, e.Act.Subject} {
				if in.Index > 0 && !strings.Contains(err.Error(), want) || fault.CodeOf(err) != Removed {
					t.Errorf("%s: %v does not name %q", gone.Name, err, want)
				}
			}
		}
	}
}

// A server that holds the ledger's key can seal what it likes; what people, hosts and upstreams did not sign shows.
func TestWhatADishonestServerSealsIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		arrange     func(*world)
		check, code string
	}{
		"another root":                   {func(w *world) { w.rooted = true }, "close", ""},
		"a root without its report":      {func(w *world) { w.rooted, w.silentRoot = true, true }, "outcome", Outcome},
		"an unexplained file in a root":  {func(w *world) { w.rooted, w.burglar = true, true }, "reconciliation", Reconciliation},
		"copies in a root":               {func(w *world) { w.rooted, w.copied = true, true }, "close", ""},
		"copies without their report":    {func(w *world) { w.rooted, w.copied, w.silentRoot = true, true, true }, "outcome", Outcome},
		"a copy that stayed behind":      {func(w *world) { w.rooted, w.copied, w.stale = true, true, true }, "outcome", Outcome},
		"a file beside a copy":           {func(w *world) { w.rooted, w.copied, w.burglar = true, true, true }, "reconciliation", Reconciliation},
		"an unexplained file":            {func(w *world) { w.intruder = true }, "reconciliation", Reconciliation},
		"one that two people ratified":   {func(w *world) { w.intruder, w.ratified = true, true }, "close", ""},
		"another version than approved":  {func(w *world) { w.found = "1.5" }, "outcome", Outcome},
		"run outside the window":         {func(w *world) { w.late = time.Hour }, "outcome", fault.OutsideWindow},
		"accepted by somebody else":      {func(w *world) { w.acceptedBy = "bob" }, "decisions", fault.MixMatch},
		"accepted, then rejected":        {func(w *world) { w.meanwhile = replaced }, "decisions", Lapsed},
		"accepted, then re-opened":       {func(w *world) { w.meanwhile = reopened }, "decisions", Lapsed},
		"rejected once it was proposed":  {func(w *world) { w.afterwards = replaced }, "close", ""},
		"re-opened once it was proposed": {func(w *world) { w.afterwards = reopened }, "close", ""},
		"rejected, the signed no held back": {func(w *world) {
			w.meanwhile = func(w *world, _ triage.Decision) {
				w.act("decision.made", "vulnerability/"+vulnerability, map[string]any{"decision": "dec_other"}, envelope.Digest([]byte("held back")))
			}
		}, "decisions", Lacking},
		"rejected, and the yes put in again": {func(w *world) {
			w.meanwhile = func(w *world, d triage.Decision) {
				replaced(w, d)
				w.decide(d)
			}
		}, "decisions", Lapsed},
		"curated before it was accepted":   {func(w *world) { w.hasty = true }, "decisions", Lapsed},
		"nobody proposed the snapshot":     {func(w *world) { w.unproposed = true }, "decisions", fault.Unlogged},
		"a package the upstream never had": {func(w *world) { w.unlisted = true }, "upstream", Upstream},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, c.arrange)
			r, err := w.verify(w.sealed())
			if last := r.Checks[len(r.Checks)-1]; fault.CodeOf(err) != c.code || (err == nil) != (c.code == "") || last.Name != c.check {
				t.Errorf("%s: %v", last.Name, err)
			}
		})
	}
}

// A server that leaves a change out of a reconciliation's input is found out by the trees.
func TestAHiddenChangeShows(t *testing.T) {
	w := newWorld(t, func(w *world) { w.intruder = true })
	facts := map[string][]byte{}
	for _, m := range unpack(t, w.sealed()) {
		facts[envelope.Digest(m.Data)] = m.Data
	}
	a := &audit{facts: facts}
	hidden := 0
	for _, fact := range facts {
		in, err := explain.DecodeInput(fact)
		if err != nil || in.Host != "hst_p" {
			continue
		}
		if _, err := explain.Redo(t.Context(), fact, objects(a.fact), a.fact); err != nil {
			t.Fatal(err)
		}
		in.Changes = slices.DeleteFunc(in.Changes, func(c filetree.Change) bool { return c.Path == "/var/lib/intruder" })
		input, err := in.Encode()
		w.ok(err)
		if _, err := explain.DecodeInput(input); err != nil {
			t.Fatalf("the input left over does not stand by itself: %v", err)
		}
		if _, err := explain.Redo(t.Context(), input, objects(a.fact), a.fact); fault.KindOf(err) != fault.Invalid {
			t.Errorf("a hidden change: %v", err)
		}
		hidden++
	}
	if hidden != 1 {
		t.Errorf("%d inputs", hidden)
	}
}

// orders gives one order that no room ever kept.
type orders map[string]change.Order

func (o orders) Get(_ context.Context, id string) (change.Order, error) { return o[id], nil }

func TestAnOrderWithoutItsQuorumIsRefused(t *testing.T) {
	w := newWorld(t)
	for name, c := range map[string]struct {
		signers []string
		code    string
	}{
		"one person":           {[]string{"alice"}, fault.Quorum},
		"one person twice":     {[]string{"alice", "alice"}, fault.Quorum},
		"the author helps out": {[]string{"bob", "carol"}, fault.Author},
		"nobody":               {nil, fault.Quorum},
	} {
		forged := w.order
		forged.ID = id.New("ord", warranttest.Now)
		payload, err := forged.Order.Encode()
		w.ok(err)
		digest := envelope.Digest(payload)
		w.act("order.warranted", "order/"+forged.ID, struct{}{}, digest, w.put(w.people.Sign(warrant.OrderType, payload, c.signers...)))
		s := New(w.Config)
		s.Orders = orders{forged.ID: forged, w.stage.ID: w.stage}
		b, err := s.Seal(t.Context(), "frank", forged.ID)
		w.ok(err)
		if r, err := w.verify(b); fault.CodeOf(err) != c.code || r.Checks[len(r.Checks)-1].Name != "orders" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// advance puts version 2 of the trust root in force, without a person.
func (w *world) advance(without string) warrant.RootRef {
	w.t.Helper()
	e := w.people.NextRoot(func(r *trustroot.Root) {
		r.People = slices.DeleteFunc(slices.Clone(r.People), func(p trustroot.Person) bool { return p.ID == without })
	}, "alice", "carol")
	w.later = []envelope.Envelope{e}
	w.act("trust-root.advanced", "trust-root/2", struct{}{}, envelope.Digest(e.Payload))
	return warrant.RootRef{Version: 2, SHA256: envelope.Digest(e.Payload)}
}

// What people who left had signed, or sign for the server now, counts no more than on a host.
func TestAReplacedTrustRootIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		order       func(o *warrant.Order, second warrant.RootRef)
		check, code string
	}{
		"order under the old root":     {func(*warrant.Order, warrant.RootRef) {}, "orders", fault.RootRollback},
		"curated by someone who left":  {func(o *warrant.Order, r warrant.RootRef) { o.TrustRoot, o.Author = r, "dave" }, "curation", fault.BadSignature},
		"order under a root not there": {func(o *warrant.Order, r warrant.RootRef) { o.TrustRoot = warrant.RootRef{Version: 3, SHA256: r.SHA256} }, "orders", fault.RootChain},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			forged := w.order
			forged.ID = id.New("ord", warranttest.Now)
			c.order(&forged.Order, w.advance("bob"))
			payload, err := forged.Order.Encode()
			w.ok(err)
			digest := envelope.Digest(payload)
			for _, person := range []string{"alice", "carol"} {
				w.actBy("person/"+person, "order.approved", "order/"+forged.ID, struct{}{}, digest)
			}
			w.act("order.warranted", "order/"+forged.ID, struct{}{}, digest, w.put(w.people.Sign(warrant.OrderType, payload, "alice", "carol")))
			s := New(w.Config)
			s.Orders = orders{forged.ID: forged, w.stage.ID: w.stage}
			b, err := s.Seal(t.Context(), "frank", forged.ID)
			w.ok(err)
			if r, err := w.verify(b); fault.CodeOf(err) != c.code || r.Checks[len(r.Checks)-1].Name != c.check {
				t.Error(err)
			}
		})
	}
}

// A trust root that no entry put in force has no place in evidence, and what was signed before the next one stays good.
func TestTermsOfTrustRoots(t *testing.T) {
	w := newWorld(t)
	w.advance("bob")
	if _, err := w.verify(w.sealed()); err != nil {
		t.Errorf("signed before the root was replaced: %v", err)
	}
	w = newWorld(t)
	w.later = []envelope.Envelope{w.people.NextRoot(func(*trustroot.Root) {}, "alice", "carol")}
	if _, err := w.verify(w.sealed()); fault.CodeOf(err) != fault.Unlogged {
		t.Errorf("a root that is not in the ledger: %v", err)
	}
}

func TestAnotherTrustRootIsRefused(t *testing.T) {
	w := newWorld(t)
	if _, err := Verify(w.sealed(), Options{RootDigest: strings.Repeat("0", 64)}); fault.CodeOf(err) != fault.RootChain {
		t.Error(err)
	}
	// Where none is pinned it is said which one the bundle brings.
	r, err := Verify(w.sealed(), Options{})
	if err != nil || r.Root != w.people.Root.Digest() || !strings.Contains(r.Checks[1].Text, "not pinned") {
		t.Errorf("nothing pinned: %+v, %v", r, err)
	}
}

func TestOnlyAClosedOrderIsSealed(t *testing.T) {
	w := newWorld(t)
	if _, err := w.Seal(t.Context(), "frank", "ord_none"); fault.KindOf(err) != fault.NotFound {
		t.Error(err)
	}
}
