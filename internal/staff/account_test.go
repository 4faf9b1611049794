package staff_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func TestTheBootstrapLinkIsGoodOnceAndForNothingElse(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := empty(t, d)
		old, _, err := w.MakeLink(t.Context())
		if err != nil || len(old) < 43 {
			t.Fatalf("link %q, %v", old, err)
		}
		link, _, err := w.MakeLink(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.UseLink(t.Context(), old, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("the link of an earlier start: %v", err)
		}
		token, s, err := w.UseLink(t.Context(), link, "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Reach(); !slices.Equal(got, []staff.Action{staff.InstallTrustRoot}) {
			t.Errorf("the link reaches %v", got)
		}
		if _, _, err := w.UseLink(t.Context(), link, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("the link again: %v", err)
		}
		if s, err = w.Authenticate(t.Context(), token, ""); err != nil || s.Way != staff.ByLink {
			t.Errorf("session %+v, %v", s, err)
		}
		if err := w.Authorize(t.Context(), s, staff.Read, ""); fault.KindOf(err) != fault.Denied {
			t.Errorf("reading by the link: %v", err)
		}
		if _, err := w.Install(t.Context(), w.RootEnvelope, envelope.Digest(w.RootEnvelope.Payload)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(t.Context(), token, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("the link's session after the installation: %v", err)
		}
		if link, _, err := w.MakeLink(t.Context()); err != nil || link != "" {
			t.Errorf("a link where a trust root is in force: %q, %v", link, err)
		}
		want := []string{"bootstrap-link.made trust-root/1", "bootstrap-link.made trust-root/1", "login.refused person/-", "bootstrap-link.used trust-root/1"}
		if got := w.acts(t, 0); !slices.Equal(got[:4], want) {
			t.Errorf("acts: %v", got)
		}
	})
}

func TestALinkAndItsSessionEndAfterAnHour(t *testing.T) {
	w := empty(t, dbtest.Open(t))
	link, _, err := w.MakeLink(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(59 * time.Minute)
	token, _, err := w.UseLink(t.Context(), link, "")
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		w.now = w.now.Add(30 * time.Minute)
		_, err = w.Authenticate(t.Context(), token, "")
	}
	if fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("session after an hour of use: %v", err)
	}
	if link, _, err = w.MakeLink(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.now = w.now.Add(time.Hour)
	if _, _, err := w.UseLink(t.Context(), link, ""); fault.KindOf(err) != fault.Unauthenticated {
		t.Errorf("link after an hour: %v", err)
	}
}

func TestSessionsAreListedAndEnded(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		first, second := w.mustLogin(t, "alice"), w.mustLogin(t, "alice")
		w.mustLogin(t, "bob")
		own, err := w.Sessions(t.Context(), "alice")
		if err != nil || len(own) != 2 || own[0].From != "192.0.2.1" || own[0].Way != staff.ByKey || !strings.HasPrefix(own[0].Key, "SHA256:") {
			t.Fatalf("sessions of alice: %+v, %v", own, err)
		}
		if all, err := w.Sessions(t.Context(), ""); err != nil || len(all) != 3 {
			t.Errorf("all sessions: %d, %v", len(all), err)
		}
		s, err := w.Authenticate(t.Context(), first, "")
		if err != nil {
			t.Fatal(err)
		}
		if err := w.EndSession(t.Context(), "bob", "bob", s.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("bob ends alice's as his own: %v", err)
		}
		if err := w.EndSession(t.Context(), "erin", "alice", s.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(t.Context(), first, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("ended session: %v", err)
		}
		if _, err := w.Authenticate(t.Context(), second, ""); err != nil {
			t.Errorf("the other session: %v", err)
		}
	})
}

func TestATokenActsWithinItsScopeUntilItEnds(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		carol := w.session(t, "carol") // operations-manager, product-manager
		secret, made, err := w.MakeToken(t.Context(), carol, "ci", []staff.Action{staff.Read, staff.ProposeOrder}, 90*24*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		w.now = w.now.Add(24 * time.Hour)
		s, err := w.Authenticate(t.Context(), secret, "")
		if err != nil || s.Person.ID != "carol" || s.Way != staff.ByToken || !s.ExpiresAt.Equal(made.ExpiresAt) {
			t.Fatalf("session %+v, %v", s, err)
		}
		if got := s.Reach(); !slices.Equal(got, []staff.Action{staff.ProposeOrder, staff.Read}) {
			t.Errorf("reaches %v", got)
		}
		for _, a := range []staff.Action{staff.Approve, staff.Decide, staff.Promote, staff.MakeToken, staff.AdvanceTrustRoot, staff.OwnAccount} {
			if err := w.Authorize(t.Context(), s, a, ""); fault.KindOf(err) != fault.Denied {
				t.Errorf("%s: %v", a, err)
			}
		}
		all, err := w.Tokens(t.Context(), "carol")
		if err != nil || len(all) != 1 || !all[0].SeenAt.Equal(w.now) || all[0].Name != "ci" {
			t.Errorf("tokens %+v, %v", all, err)
		}
		if other, err := w.Tokens(t.Context(), "bob"); err != nil || len(other) > 0 {
			t.Errorf("bob's tokens %+v, %v", other, err)
		}
		if err := w.EndToken(t.Context(), "bob", "bob", made.ID); fault.KindOf(err) != fault.NotFound {
			t.Errorf("bob revokes carol's as his own: %v", err)
		}
		w.now = made.ExpiresAt.Add(-time.Microsecond)
		if _, err := w.Authenticate(t.Context(), secret, ""); err != nil {
			t.Errorf("just before its end: %v", err)
		}
		w.now = made.ExpiresAt
		if _, err := w.Authenticate(t.Context(), secret, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("at its end: %v", err)
		}
		w.now = made.MadeAt
		if err := w.EndToken(t.Context(), "carol", "carol", made.ID); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Authenticate(t.Context(), secret, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("revoked: %v", err)
		}
	})
}

func TestATokenIsNotMade(t *testing.T) {
	w := open(t, dbtest.Open(t))
	alice := w.session(t, "alice") // cirt-analyst
	for name, c := range map[string]struct {
		name    string
		actions []staff.Action
		life    time.Duration
		want    fault.Kind
	}{
		"to approve":         {"x", []staff.Action{staff.Approve}, time.Hour, fault.Denied},
		"to decide":          {"x", []staff.Action{staff.Read, staff.Decide}, time.Hour, fault.Denied},
		"to make tokens":     {"x", []staff.Action{staff.MakeToken}, time.Hour, fault.Denied},
		"beyond one's roles": {"x", []staff.Action{staff.ProposeOrder}, time.Hour, fault.Denied},
		"for what is none":   {"x", []staff.Action{"all"}, time.Hour, fault.Denied},
		"twice the same":     {"x", []staff.Action{staff.Read, staff.Read}, time.Hour, fault.Denied},
		"for nothing":        {"x", nil, time.Hour, fault.Invalid},
		"without a name":     {"", []staff.Action{staff.Read}, time.Hour, fault.Invalid},
		"for ever":           {"x", []staff.Action{staff.Read}, 90*24*time.Hour + 1, fault.Invalid},
		"for no time":        {"x", []staff.Action{staff.Read}, 0, fault.Invalid},
	} {
		if secret, _, err := w.MakeToken(t.Context(), alice, c.name, c.actions, c.life); fault.KindOf(err) != c.want || secret != "" {
			t.Errorf("%s: %q, %v", name, secret, err)
		}
	}
}

func TestWhoLeavesIsOutAtOnceAndTheTrustRootMustFollow(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		session := w.session(t, "frank")
		token := w.mustLogin(t, "frank")
		program, _, err := w.MakeToken(t.Context(), session, "x", []staff.Action{staff.Read}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.GiveNotice(t.Context(), "erin", "nobody", "gone"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("notice for nobody: %v", err)
		}
		if err := w.GiveNotice(t.Context(), "erin", "frank", "new job"); err != nil {
			t.Fatal(err)
		}
		for _, secret := range []string{token, program} {
			if _, err := w.Authenticate(t.Context(), secret, ""); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("after notice: %v", err)
			}
		}
		challenge, sig := w.answer(t, "frank")
		if _, _, err := w.Login(t.Context(), "frank", challenge, sig, ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("login after notice: %v", err)
		}
		if _, _, err := w.MakeToken(t.Context(), session, "x", []staff.Action{staff.Read}, time.Hour); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("token after notice: %v", err)
		}
		from := int64(len(w.acts(t, 0)))
		w.now = w.now.Add(24*time.Hour - time.Second)
		w.sweep(t)
		if got := w.acts(t, from); slices.Contains(got, "account.leave-overdue person/frank") {
			t.Error("alarm before a day has passed")
		}
		w.now = w.now.Add(time.Second)
		w.sweep(t)
		w.sweep(t)
		late := slices.DeleteFunc(w.acts(t, from), func(a string) bool { return a != "account.leave-overdue person/frank" })
		if len(late) != 1 {
			t.Errorf("%d alarms", len(late))
		}
		accounts, err := w.Accounts(t.Context())
		if err != nil || len(accounts) != 6 || accounts[5].Notice == nil || !accounts[5].Notice.Overdue || accounts[5].Notice.By != "erin" {
			t.Errorf("accounts %+v, %v", accounts, err)
		}
		if _, err := w.Advance(t.Context(), "alice", w.next(t, "frank", "alice", "carol")); err != nil {
			t.Fatal(err)
		}
		if accounts, err := w.Accounts(t.Context()); err != nil || len(accounts) != 5 {
			t.Errorf("accounts %+v, %v", accounts, err)
		}
		if got := w.acts(t, from); !slices.Contains(got, "account.closed person/frank") {
			t.Errorf("acts %v", got)
		}
	})
}

func (w *world) sweep(t *testing.T) {
	t.Helper()
	if err := w.Sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestANoticeIsTakenBack(t *testing.T) {
	w := open(t, dbtest.Open(t))
	if err := w.WithdrawNotice(t.Context(), "erin", "bob", "x"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("no notice was given: %v", err)
	}
	if err := w.GiveNotice(t.Context(), "erin", "bob", "wrong bob"); err != nil {
		t.Fatal(err)
	}
	if err := w.GiveNotice(t.Context(), "carol", "bob", "again"); fault.KindOf(err) != fault.Conflict {
		t.Errorf("notice twice: %v", err)
	}
	if err := w.WithdrawNotice(t.Context(), "carol", "bob", "the other bob"); err != nil {
		t.Fatal(err)
	}
	w.mustLogin(t, "bob")
}

func TestAccountsAreReviewedEveryThreeMonthsBySomeoneElse(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		if err := w.Review(t.Context(), "dave", "dave", 1, "fine"); fault.KindOf(err) != fault.Denied {
			t.Errorf("one's own account: %v", err)
		}
		if err := w.Review(t.Context(), "dave", "alice", 2, "fine"); fault.KindOf(err) != fault.Conflict {
			t.Errorf("another trust root than the one in force: %v", err)
		}
		w.now = warranttest.Now.AddDate(0, 2, 0)
		if err := w.Review(t.Context(), "dave", "alice", 1, "fine"); err != nil {
			t.Fatal(err)
		}
		w.now = warranttest.Now.AddDate(0, 3, 0)
		from := int64(len(w.acts(t, 0)))
		w.sweep(t)
		w.sweep(t)
		want := []string{"account.review-overdue person/bob", "account.review-overdue person/carol", "account.review-overdue person/dave",
			"account.review-overdue person/erin", "account.review-overdue person/frank"}
		if got := w.acts(t, from); !slices.Equal(got, want) {
			t.Errorf("acts %v", got)
		}
		all, err := w.Accounts(t.Context())
		if err != nil || all[0].ReviewOverdue || all[0].ReviewedBy != "dave" || !all[1].ReviewOverdue {
			t.Errorf("accounts %+v, %v", all, err)
		}
		if err := w.Review(t.Context(), "dave", "bob", 1, ""); err != nil {
			t.Fatal(err)
		}
		w.now = w.now.AddDate(0, 3, 0)
		w.sweep(t)
		if got := w.acts(t, from); !slices.Contains(got[5:], "account.review-overdue person/bob") {
			t.Errorf("acts %v", got)
		}
	})
}

// says is a provider that names whoever the code says.
type says struct{}

func (says) Name() string { return "corp" }
func (says) Begin(context.Context) (string, string, error) {
	return "https://id.example.org", "binding", nil
}
func (says) Finish(_ context.Context, _, _, code string) (string, error) {
	if code == "" {
		return "", fault.New(fault.Unauthenticated, "no code")
	}
	return code, nil
}

func TestWhoAProviderNamesReadsAndProposesOnly(t *testing.T) {
	dbtest.Each(t, func(t *testing.T, d *db.DB) {
		w := open(t, d)
		w.Providers = []staff.Provider{says{}}
		if _, _, err := w.BeginAt(t.Context(), "other"); fault.KindOf(err) != fault.NotFound {
			t.Errorf("a provider nobody configured: %v", err)
		}
		token, _, err := w.LoginBy(t.Context(), "corp", "b", "s", "carol", "192.0.2.1")
		if err != nil {
			t.Fatal(err)
		}
		s, err := w.Authenticate(t.Context(), token, "")
		if err != nil || s.Way != staff.ByProvider || s.Person.ID != "carol" {
			t.Fatalf("session %+v, %v", s, err)
		}
		want := []staff.Action{staff.Audit, staff.OwnAccount, staff.ProposeOrder, staff.ProposeSnapshot, staff.Read, staff.RefreshMirror, staff.ReportSuspicion, staff.SaveView, staff.SeeAccounts}
		if got := s.Reach(); !slices.Equal(got, want) {
			t.Errorf("reaches %v", got)
		}
		for _, code := range []string{"", "mallory"} {
			if _, _, err := w.LoginBy(t.Context(), "corp", "b", "s", code, ""); fault.KindOf(err) != fault.Unauthenticated {
				t.Errorf("code %q: %v", code, err)
			}
		}
		if err := w.GiveNotice(t.Context(), "erin", "carol", "gone"); err != nil {
			t.Fatal(err)
		}
		if _, _, err := w.LoginBy(t.Context(), "corp", "b", "s", "carol", ""); fault.KindOf(err) != fault.Unauthenticated {
			t.Errorf("after notice: %v", err)
		}
	})
}
