package setup

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/envelope/sshkey"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// world is a set-up with people who have keys, named or not.
type world struct {
	*Setup
	t      *testing.T
	people *warranttest.World
	now    time.Time
	link   staff.Session // of who holds the bootstrap link
}

func newWorld(t *testing.T, d *db.DB) *world {
	t.Helper()
	w := &world{t: t, people: warranttest.New(t), now: warranttest.Now}
	clock := func() time.Time { return w.now }
	log, err := ledger.New(ledger.Config{DB: d, Signer: w.people.Log.Signer, Verifier: w.people.Log.VerifierKey, Origin: warranttest.Origin,
		GuardFile: filepath.Join(t.TempDir(), "guard"), Now: clock})
	w.ok(err)
	blobs, err := blob.Dir(t.TempDir())
	w.ok(err)
	room := staff.New(staff.Config{DB: d, Ledger: log, Blobs: blobs, Now: clock})
	w.Setup = New(Config{DB: d, Ledger: log, Staff: room, Origin: warranttest.Origin, LedgerKey: w.people.Log.VerifierKey,
		Repository: w.people.Root.Repository.Keys[0], Now: clock})
	secret, _, err := room.MakeLink(t.Context())
	w.ok(err)
	_, w.link, err = room.UseLink(t.Context(), secret, "192.0.2.1")
	w.ok(err)
	return w
}

func (w *world) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) want(err error, kind fault.Kind, what string) {
	w.t.Helper()
	if fault.KindOf(err) != kind {
		w.t.Errorf("%s: %v", what, err)
	}
}

func (w *world) key(id string) string {
	return string(ssh.MarshalAuthorizedKey(w.people.Signers[id].PublicKey()))
}

// prepare names alice, bob, carol and erin, and has all but erin hand in keys.
func (w *world) prepare() {
	w.t.Helper()
	ctx := w.t.Context()
	w.ok(w.Organise(ctx, "Example"))
	for id, roles := range map[string]string{"alice": "cirt-analyst", "bob": "product-manager", "carol": "operations-manager system-owner"} {
		w.ok(w.Propose(ctx, Candidate{ID: id, Name: id, Roles: strings.Fields(roles)}))
		w.ok(w.HandIn(ctx, id, w.key(id)))
	}
}

func (w *world) sign(id string, payload []byte) envelope.Signature {
	w.t.Helper()
	sig, err := sshkey.Sign(w.people.Signers[id], trustroot.PayloadType, payload)
	w.ok(err)
	return sig
}

// TestTheFirstTrustRootIsMadeByItsPeople: named, keyed, drafted, signed by a quorum; then nothing can be done again.
func TestTheFirstTrustRootIsMadeByItsPeople(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := newWorld(t, d)
		ctx := t.Context()
		w.prepare()
		draft, err := w.Make(ctx)
		w.ok(err)
		for i, id := range []string{"alice", "alice", "carol"} { // signing again changes nothing
			inForce, err := w.Sign(ctx, id, draft.SHA256(), w.sign(id, draft.Payload))
			if err != nil || inForce != (i == 2) {
				t.Fatalf("%s signs: %v, %v", id, inForce, err)
			}
		}
		root, err := w.Staff.CurrentRoot(ctx)
		if err != nil || root.Digest() != draft.SHA256() || len(root.People) != 3 {
			t.Fatalf("in force: %+v, %v", root, err)
		}
		w.want(w.Propose(ctx, Candidate{ID: "mallory", Name: "m", Roles: []string{"cirt-analyst"}}), fault.Conflict, "another person after it")
		w.want(w.HandIn(ctx, "bob", w.key("bob")), fault.Conflict, "keys after it")
		w.want(w.TakeBack(ctx), fault.Conflict, "taking it back")
		_, err = w.Make(ctx)
		w.want(err, fault.Conflict, "another document")
		_, _, err = w.Invite(ctx, w.link, "bob")
		w.want(err, fault.Conflict, "an invitation after it")
	})
}

// TestAKeyIsNotExchangedUnderTheSigners: while the document stands nothing in it changes, and a signature counts under the
// digest that its maker read and by their own key only.
func TestAKeyIsNotExchangedUnderTheSigners(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	ctx := t.Context()
	w.prepare()
	first, err := w.Make(ctx)
	w.ok(err)
	w.want(w.HandIn(ctx, "bob", w.key("dave")), fault.Conflict, "another key under the document")
	w.want(w.Drop(ctx, "bob"), fault.Conflict, "dropping someone under the document")
	_, err = w.Sign(ctx, "alice", first.SHA256(), w.sign("alice", first.Payload))
	w.ok(err)
	w.ok(w.TakeBack(ctx))
	w.ok(w.HandIn(ctx, "bob", w.key("dave")))
	w.now = w.now.Add(time.Minute)
	second, err := w.Make(ctx)
	w.ok(err)
	state, err := w.Load(ctx)
	if w.ok(err); len(state.Draft.Signed) != 0 {
		t.Error("a signature under the first document counts under the second")
	}
	_, err = w.Sign(ctx, "alice", first.SHA256(), w.sign("alice", first.Payload))
	w.want(err, fault.Conflict, "a signature under the document before")
	for name, sig := range map[string]envelope.Signature{"other bytes": w.sign("alice", first.Payload), "a key nobody has": w.sign("frank", second.Payload)} {
		if _, err = w.Sign(ctx, "alice", second.SHA256(), sig); fault.CodeOf(err) != fault.BadSignature {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = w.Sign(ctx, "alice", second.SHA256(), w.sign("carol", second.Payload))
	w.want(err, fault.Denied, "another person's signature")
}

// TestWhatCannotBeInATrustRootIsRefused: hostile texts and keys, and what people have twice.
func TestWhatCannotBeInATrustRootIsRefused(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	ctx := t.Context()
	roles := []string{"cirt-analyst"}
	for name, c := range map[string]Candidate{
		"an ID with a slash": {ID: "a/b", Name: "x", Roles: roles}, "no name": {ID: "a", Roles: roles}, "no role": {ID: "a", Name: "x"},
		"an unknown role": {ID: "a", Name: "x", Roles: []string{"root"}}, "an administrator who approves": {ID: "a", Name: "x", Roles: []string{"administrator", "cirt-analyst"}},
		"an escape sequence": {ID: "a", Name: "x\x1b[2J", Roles: roles}, "text that runs backwards": {ID: "a", Name: "x\u202e", Roles: roles},
		"a line break": {ID: "a", Name: "x", Mail: "a@b\r\nx", Roles: roles}, "a long name": {ID: "a", Name: strings.Repeat("x", 201), Roles: roles},
		"no UTF-8": {ID: "a", Name: "\xff", Roles: roles},
	} {
		w.want(w.Propose(ctx, c), fault.Invalid, name)
	}
	w.prepare()
	for name, keys := range map[string]string{"nothing": " \n", "nonsense": "<script>", "options": `command="x" ` + w.key("alice"),
		"a private key": "-----BEGIN OPENSSH PRIVATE KEY-----", "too many": "x\n"} {
		w.want(w.HandIn(ctx, "alice", keys), fault.Invalid, name)
	}
	w.want(w.HandIn(ctx, "alice", w.key("bob")), fault.Conflict, "another's key")
	w.want(w.HandIn(ctx, "nobody", w.key("dave")), fault.NotFound, "keys of nobody")
	w.ok(w.Propose(ctx, Candidate{ID: "erin", Name: "erin", Roles: []string{"administrator"}}))
	_, err := w.Make(ctx)
	w.want(err, fault.Conflict, "a document with someone without keys")
	w.ok(w.Propose(ctx, Candidate{ID: "alice", Name: "Alice", Roles: roles}))
	if state, err := w.Load(ctx); err != nil || len(state.Candidates[0].SSH) == 0 {
		t.Errorf("a new name took the keys away: %+v, %v", state, err)
	}
}

// TestInvitationsAreForOnePersonOnce: used again, late, exchanged for a newer one, of someone dropped, or made for others by
// who was invited.
func TestInvitationsAreForOnePersonOnce(t *testing.T) {
	w := newWorld(t, dbtest.Open(t))
	ctx := t.Context()
	w.prepare()
	invite := func(id string) string {
		t.Helper()
		secret, _, err := w.Invite(ctx, w.link, id)
		w.ok(err)
		return secret
	}
	secret := invite("bob")
	token, bob, err := w.Staff.UseInvitation(ctx, secret, "192.0.2.7")
	if err != nil || bob.Person.ID != "bob" || !bob.Can(staff.JoinTrustRoot) || bob.Can(staff.InstallTrustRoot) || bob.Can(staff.Read) {
		t.Fatalf("%+v, %v", bob, err)
	}
	use := func(secret, what string) {
		t.Helper()
		_, _, err := w.Staff.UseInvitation(ctx, secret, "192.0.2.8")
		w.want(err, fault.Unauthenticated, what)
	}
	use(secret, "an invitation again")
	_, _, err = w.Invite(ctx, bob, "alice")
	w.want(err, fault.Denied, "bob invites alice")
	mine, _, err := w.Invite(ctx, bob, "bob")
	w.ok(err)
	_, _, err = w.Staff.UseInvitation(ctx, mine, "192.0.2.7")
	w.ok(err)
	if _, err := w.Staff.Authenticate(ctx, token, ""); err != nil {
		t.Errorf("bob's line for the command line ended his page: %v", err)
	}
	older := invite("bob")
	if _, err := w.Staff.Authenticate(ctx, token, ""); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("an earlier session after a new invitation: %v", err)
	}
	invite("bob")
	use(older, "an invitation after a newer one")
	late := invite("carol")
	w.now = w.now.Add(24 * time.Hour)
	use(late, "an invitation after a day")
	gone := invite("bob")
	w.ok(w.Drop(ctx, "bob"))
	use(gone, "an invitation of someone dropped")
	_, _, err = w.Invite(ctx, w.link, "nobody")
	w.want(err, fault.NotFound, "an invitation for nobody")
}
