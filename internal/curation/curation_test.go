package curation_test

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/deb"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func TestProposedSnapshotSaysWhoAcceptedWhat(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d, warranttest.Now)
		s := w.propose()
		var got []string
		for _, p := range s.Record.Packages {
			got = append(got, strings.Join([]string{p.Name, p.Version, p.AcceptedBy, p.Decision, p.Upstream, p.Because}, " "))
		}
		want := []string{
			"libnew 1:1.0-1 alice dec_1 test dependency of openssl",
			"libssl3 3.0.2-1 alice dec_1 test accepted",
			"openssl 3.0.2-1 alice dec_1 test accepted",
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Error(d)
		}
		decoded, err := warrant.DecodeRecord(s.Payload)
		if d := cmp.Diff(s.Record, decoded); d != "" || err != nil {
			t.Errorf("the payload says something else: %v %s", err, d)
		}
		state, err := w.mirror.State(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		ref := warrant.UpstreamRef{Name: "test", Release: state.InRelease, Index: state.Index, Date: state.Date, Fingerprint: state.Fingerprint}
		if d := cmp.Diff([]warrant.UpstreamRef{ref}, s.Record.Upstreams); d != "" {
			t.Errorf("upstream's proof: %s", d)
		}
		index, err := blob.ReadAll(t.Context(), w.Blobs, s.Ref.Index, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var served []warrant.SnapshotPackage
		for e, err := range deb.ParsePackages(bytes.NewReader(index)) {
			if err != nil {
				t.Fatal(err)
			}
			served = append(served, warrant.SnapshotPackage{Name: e.Name, Arch: e.Arch, Version: e.Version, SHA256: e.SHA256, Size: e.Size, File: e.Filename})
		}
		var recorded []warrant.SnapshotPackage
		for _, p := range s.Record.Packages {
			recorded = append(recorded, p.SnapshotPackage)
		}
		if d := cmp.Diff(recorded, served); d != "" {
			t.Errorf("the index is not the record: %s", d)
		}
		if again := w.propose(); again.Ref != s.Ref || w.acts.kinds() != "snapshot.proposed" {
			t.Errorf("proposed twice: %v, acts %s", again.Ref, w.acts.kinds())
		}
	})
}

func TestQuorumMakesASnapshot(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d, warranttest.Now)
		s := w.propose()
		if _, err := w.Snapshot(t.Context(), s.Ref.SHA256); fault.KindOf(err) != fault.NotFound {
			t.Errorf("unsigned snapshot: %v", err)
		}
		s, err := w.Sign(t.Context(), "alice", s.Ref.Curation, w.signature("alice", s))
		if err != nil || s.Envelope != "" {
			t.Fatalf("after one signature: envelope %q, %v", s.Envelope, err)
		}
		s, err = w.Sign(t.Context(), "bob", s.Ref.Curation, w.signature("bob", s))
		if err != nil || s.Envelope == "" {
			t.Fatalf("after two signatures: envelope %q, %v", s.Envelope, err)
		}
		kept, err := w.Snapshot(t.Context(), s.Ref.SHA256)
		if d := cmp.Diff(s, kept); d != "" || err != nil {
			t.Errorf("kept snapshot: %v %s", err, d)
		}
		b, err := blob.ReadAll(t.Context(), w.Blobs, s.Envelope, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var e envelope.Envelope
		if err := envelope.Decode(b, &e); err != nil {
			t.Fatal(err)
		}
		approvals, err := w.people.Root.Approvals(e)
		if err == nil {
			err = w.people.Root.Quorum(trustroot.Curation, "carol", approvals)
		}
		if err != nil {
			t.Errorf("the stored envelope does not hold: %v", err)
		}
		entries, err := w.Packages(t.Context(), s.Ref.SHA256)
		if err != nil || len(entries) != 3 {
			t.Errorf("%d packages, %v", len(entries), err)
		}
		if got := w.acts.kinds(); got != "snapshot.proposed snapshot.approved snapshot.approved snapshot.signed" {
			t.Errorf("acts: %s", got)
		}
	})
}

func TestSignaturesThatDoNotCount(t *testing.T) {
	w := begin(t, dbtest.Open(t), warranttest.Now)
	s := w.propose()
	sign := func(who, by string, payload []byte) error {
		_, err := w.Sign(t.Context(), who, s.Ref.Curation, w.people.Sign(warrant.CurationType, payload, by).Signatures[0])
		return err
	}
	for rule, c := range map[string]struct {
		err  error
		code string // empty: not found
	}{
		"the author's":     {sign("carol", "carol", s.Payload), fault.Author},
		"another person's": {sign("alice", "bob", s.Payload), fault.BadSignature},
		"over other bytes": {sign("alice", "alice", append([]byte(" "), s.Payload...)), fault.BadSignature},
		"for an unknown snapshot": {func() error {
			_, err := w.Sign(t.Context(), "alice", strings.Repeat("0", 64), envelope.Signature{})
			return err
		}(), ""},
	} {
		if c.err == nil || fault.CodeOf(c.err) != c.code || c.code == "" && fault.KindOf(c.err) != fault.NotFound {
			t.Errorf("%s: got %v, want code %q", rule, c.err, c.code)
		}
	}
	if got := w.acts.kinds(); got != "snapshot.proposed" {
		t.Errorf("acts: %s", got)
	}
	w.replaced = true
	if err := sign("alice", "alice", s.Payload); fault.CodeOf(err) != fault.RootRollback {
		t.Errorf("while another trust root comes into force: %v", err)
	}
	w.replaced, w.now = false, w.people.Root.ExpiresAt
	if err := sign("alice", "alice", s.Payload); fault.CodeOf(err) != fault.RootExpired {
		t.Errorf("under an expired trust root: %v", err)
	}
	w.now = warranttest.Now
	if err := sign("alice", "alice", s.Payload); err != nil {
		t.Fatal(err)
	}
	if err := sign("alice", "alice", s.Payload); fault.KindOf(err) != fault.Conflict {
		t.Errorf("twice: %v", err)
	}
	if err := sign("dave", "dave", s.Payload); err != nil {
		t.Fatal(err)
	}
	if s, err := w.Proposed(t.Context(), s.Ref.Curation); err != nil || s.Envelope != "" {
		t.Errorf("a system owner fills no seat: %q %v", s.Envelope, err)
	}
	w.people.SetRoot(func() trustroot.Root {
		r, err := trustroot.Decode(w.people.RootEnvelope.Payload)
		if err != nil {
			t.Fatal(err)
		}
		r.Organisation = "Other"
		return *r
	}())
	if err := sign("bob", "bob", s.Payload); fault.CodeOf(err) != fault.RootRollback {
		t.Errorf("under another trust root: %v", err)
	}
}

func TestNothingToCurate(t *testing.T) {
	w := begin(t, dbtest.Open(t), warranttest.Now)
	p := w.proposal()
	p.Accepted = nil
	if _, err := w.Propose(t.Context(), "carol", p); fault.KindOf(err) != fault.Conflict {
		t.Errorf("nothing accepted: %v", err)
	}
	if _, err := w.Propose(t.Context(), "mallory", w.proposal()); fault.CodeOf(err) != fault.Author {
		t.Errorf("unknown author: %v", err)
	}
	e := w.archive.Add("libnew", "1:1.1-1", "all")
	w.archive.Publish(w.now, w.now.Add(24*time.Hour))
	if err := w.mirror.RefreshAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := w.archive.Read(e.Filename)
	w.archive.Write(e.Filename, append(b, 'x'))
	if _, err := w.Propose(t.Context(), "carol", w.proposal()); fault.CodeOf(err) != fault.Arbitrary {
		t.Errorf("wrong package file upstream: %v", err)
	}
	if got := w.acts.kinds(); got != "" {
		t.Errorf("acts: %s", got)
	}
}

func TestPromotionMovesWhatWasTested(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d, warranttest.Now)
		first := w.signed()
		w.archive.Add("openssl", "3.0.3-1", "amd64")
		w.archive.Add("libssl3", "3.0.3-1", "amd64", "Source: openssl")
		w.archive.Publish(w.now, w.now.Add(24*time.Hour))
		if err := w.mirror.RefreshAll(t.Context()); err != nil {
			t.Fatal(err)
		}
		second := w.signed()
		promote := func(channel string, s curation.Snapshot) error {
			_, err := w.Promote(t.Context(), "bob", channel, s.Ref.SHA256)
			return err
		}
		if err := promote("production", first); fault.KindOf(err) != fault.Conflict {
			t.Errorf("untested into production: %v", err)
		}
		if err := promote("elsewhere", first); fault.KindOf(err) != fault.NotFound {
			t.Errorf("unknown channel: %v", err)
		}
		if _, err := w.Promote(t.Context(), "bob", "stage", strings.Repeat("0", 64)); fault.KindOf(err) != fault.NotFound {
			t.Errorf("unknown snapshot: %v", err)
		}
		w.promote("stage", first)
		w.promote("stage", second)
		w.promote("production", first)
		w.promote("production", second)
		w.promote("production", first) // back out
		if err := promote("production", first); fault.KindOf(err) != fault.Conflict {
			t.Errorf("twice: %v", err)
		}
		all, err := w.ChannelStates(t.Context())
		want := []curation.Channel{{"stage", 2, second.Ref.SHA256, "bob", w.now}, {"production", 3, first.Ref.SHA256, "bob", w.now}}
		if d := cmp.Diff(want, all); d != "" || err != nil {
			t.Errorf("channels: %v %s", err, d)
		}
	})
}

// get asks the door.
func get(t *testing.T, w *world, path string) (int, []byte) {
	t.Helper()
	r := httptest.NewRecorder()
	w.Door().ServeHTTP(r, httptest.NewRequest(http.MethodGet, path, nil))
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.Code, b
}

func (w *world) release(t *testing.T, suite string) deb.Release {
	t.Helper()
	code, b := get(t, w, "/dists/"+suite+"/InRelease")
	if code != http.StatusOK {
		t.Fatalf("InRelease of %s: %d", suite, code)
	}
	keys, err := pgp.LoadKeyring(w.public)
	if err != nil {
		t.Fatal(err)
	}
	text, _, err := pgp.VerifyClearsigned(b, keys, keys.Fingerprints(), w.now)
	if err != nil {
		t.Fatal(err)
	}
	r, err := deb.ParseRelease(text)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRepositoryIsPublishedAndSignedAgain(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d, warranttest.Now)
		s := w.signed()
		w.publish()
		if code, _ := get(t, w, "/dists/stage/InRelease"); code != http.StatusNotFound {
			t.Errorf("empty channel: %d", code)
		}
		w.promote("stage", s)
		w.publish()
		for _, suite := range []string{"stage", "snapshots/" + s.Ref.SHA256} {
			r := w.release(t, suite)
			if !r.ByHash || !r.ValidUntil.Equal(w.now.Add(curation.Validity)) || r.Codename != suite {
				t.Errorf("%s: release %+v", suite, r)
			}
			for path, f := range r.Files {
				hash := path[:strings.LastIndexByte(path, '/')] + "/by-hash/SHA256/" + f.SHA256
				for _, p := range []string{path, hash} {
					if code, b := get(t, w, "/dists/"+suite+"/"+p); code != http.StatusOK || int64(len(b)) != f.Size || envelope.Digest(b) != f.SHA256 {
						t.Errorf("%s %s: %d, %d bytes", suite, p, code, len(b))
					}
				}
			}
		}
		for _, p := range s.Record.Packages {
			if code, b := get(t, w, "/"+p.File); code != http.StatusOK || envelope.Digest(b) != p.SHA256 {
				t.Errorf("%s: %d", p.File, code)
			}
		}
		before := len(w.acts.all)
		w.now = w.now.Add(curation.Renewal - time.Minute)
		w.publish()
		if len(w.acts.all) != before {
			t.Errorf("signed again too early: %s", w.acts.kinds())
		}
		w.now = w.now.Add(time.Minute)
		w.publish()
		if r := w.release(t, "stage"); len(w.acts.all) != before+2 || !r.Date.Equal(w.now) || !r.ValidUntil.Equal(w.now.Add(curation.Validity)) {
			t.Errorf("not signed again: %+v, %s", r, w.acts.kinds())
		}
		w.now = w.now.Add(-time.Hour)
		again, err := w.Propose(t.Context(), "carol", w.proposal())
		if err != nil {
			t.Fatal(err)
		}
		for _, person := range []string{"alice", "bob"} {
			if _, err := w.Sign(t.Context(), person, again.Ref.Curation, w.signature(person, again)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Publish(t.Context()); fault.CodeOf(err) != fault.Clock {
			t.Errorf("with the clock set back: %v", err)
		}
	})
}

func TestOnlySignedSnapshotsAreServed(t *testing.T) {
	w := begin(t, dbtest.Open(t), warranttest.Now)
	s := w.propose()
	w.publish()
	paths := []string{"/dists/snapshots/" + s.Ref.SHA256 + "/InRelease", "/dists/snapshots/" + s.Ref.SHA256 + "/main/binary-amd64/Packages", "/" + s.Record.Packages[0].File,
		"/dists/stage/main/binary-amd64/by-hash/SHA256/" + s.Ref.Index, "/", "/dists/", "/pool/" + s.Record.Packages[0].SHA256 + "/other.deb",
		"/dists/stage/main/binary-amd64/by-hash/SHA256/" + s.Record.Packages[0].SHA256, "/pool/../../etc/passwd"}
	for _, path := range paths {
		if code, _ := get(t, w, path); code == http.StatusOK {
			t.Errorf("%s is served before anybody signed", path)
		}
	}
	if _, err := w.Carry(t.Context(), s.Ref.SHA256); fault.KindOf(err) != fault.NotFound {
		t.Errorf("carried before anybody signed: %v", err)
	}
	r := httptest.NewRecorder()
	w.Door().ServeHTTP(r, httptest.NewRequest(http.MethodPut, "/dists/stage/InRelease", strings.NewReader("x")))
	if r.Code != http.StatusMethodNotAllowed {
		t.Errorf("PUT answers %d", r.Code)
	}
}

func TestInspectionFindsDamage(t *testing.T) {
	w := begin(t, dbtest.Open(t), warranttest.Now)
	s := w.signed()
	w.publish()
	if err := w.Inspect(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := len(w.acts.all)
	repair := w.damage(s.Record.Packages[0].SHA256)
	for range 2 {
		if err := w.Inspect(t.Context()); err == nil {
			t.Error("damage is not seen")
		}
	}
	server := httptest.NewServer(w.Door())
	defer server.Close()
	if response, err := http.Get(server.URL + "/" + s.Record.Packages[0].File); err == nil {
		if _, err := io.ReadAll(response.Body); err == nil && response.StatusCode == http.StatusOK {
			t.Error("a damaged file is served whole")
		}
		response.Body.Close()
	}
	repair()
	if err := w.Inspect(t.Context()); err != nil {
		t.Error(err)
	}
	var got []string
	for _, a := range w.acts.all[before:] {
		got = append(got, a.Kind)
	}
	if d := cmp.Diff([]string{"repository.damaged", "repository.restored"}, got); d != "" {
		t.Error(d)
	}
}

func TestSnapshotsInPages(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := begin(t, d, warranttest.Now)
		first := w.propose()
		w.now = w.now.Add(time.Minute)
		second := w.propose()
		all, err := w.Snapshots(t.Context())
		if err != nil || len(all) != 2 {
			t.Fatalf("%d snapshots, %v", len(all), err)
		}
		after := ""
		for _, want := range []curation.Snapshot{second, first} {
			page, err := w.SnapshotsAfter(t.Context(), after, 1)
			if err != nil || len(page) != 1 || page[0].Ref.Curation != want.Ref.Curation {
				t.Fatalf("after %q: %d snapshots, %v", after, len(page), err)
			}
			after = page[0].Ref.Curation
		}
		if page, err := w.SnapshotsAfter(t.Context(), after, 1); err != nil || len(page) != 0 {
			t.Errorf("after the last: %d snapshots, %v", len(page), err)
		}
	})
}
