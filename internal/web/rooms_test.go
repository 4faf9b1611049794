package web

import (
	"context"
	"encoding/base64"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/drift"
	duties "github.com/patchwarrant/patchwarrant/internal/duty"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/evidence"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/debian"
	"github.com/patchwarrant/patchwarrant/internal/intake/epss"
	"github.com/patchwarrant/patchwarrant/internal/intake/feed"
	"github.com/patchwarrant/patchwarrant/internal/intake/kev"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/mirror/mirrortest"
	"github.com/patchwarrant/patchwarrant/internal/pgp"
	"github.com/patchwarrant/patchwarrant/internal/pool"
	"github.com/patchwarrant/patchwarrant/internal/record"
	"github.com/patchwarrant/patchwarrant/internal/retirement"
	"github.com/patchwarrant/patchwarrant/internal/rollout"
	"github.com/patchwarrant/patchwarrant/internal/savedview"
	"github.com/patchwarrant/patchwarrant/internal/scans"
	"github.com/patchwarrant/patchwarrant/internal/score"
	"github.com/patchwarrant/patchwarrant/internal/setup"
	"github.com/patchwarrant/patchwarrant/internal/silence"
	"github.com/patchwarrant/patchwarrant/internal/staff"
	"github.com/patchwarrant/patchwarrant/internal/suspicion"
	"github.com/patchwarrant/patchwarrant/internal/triage"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

// furnish makes the rooms.
func (w *world) furnish() {
	w.t.Helper()
	clock := func() time.Time { return w.now }
	d := dbtest.Open(w.t)
	blobs, err := blob.Dir(w.t.TempDir())
	w.ok(err)
	log, err := ledger.New(ledger.Config{DB: d, Signer: w.people.Log.Signer, Verifier: w.people.Log.VerifierKey, Origin: warranttest.Origin,
		GuardFile: filepath.Join(w.t.TempDir(), "guard"), Now: clock})
	w.ok(err)
	ca, err := estate.OpenCA(w.t.TempDir(), clock)
	w.ok(err)
	w.archive = mirrortest.New(w.t, w.now.Add(-time.Hour))
	packages := pool.New(blobs)
	archive, err := mirror.New(mirror.Config{DB: d, Ledger: log, Blobs: blobs, Pool: packages, Client: http.DefaultClient,
		Configured: []mirror.Upstream{w.archive.Upstream("archive")}, Now: clock})
	w.ok(err)
	signer, err := pgp.Generate("Repository", "", pgp.Ed25519, w.now.Add(-time.Hour))
	w.ok(err)
	root := *w.people.Root
	root.MadeAt = w.now.Add(-time.Hour)
	root.People = slices.Clone(root.People)
	for i, p := range root.People {
		if p.ID == "alice" {
			root.People[i].Keys = append(slices.Clone(p.Keys), w.passkey.Key)
		}
		root.People[i].Name = strings.ToUpper(p.ID[:1]) + p.ID[1:] + " Example" + w.mark
	}
	w.people.SetRoot(root)

	c := &w.Config
	c.Ledger, c.Blobs, c.Mirror, c.Now, c.Log, c.Composer = log, blobs, archive, clock, slog.New(slog.NewTextHandler(w.t.Output(), nil)), w
	c.Agents = "https://patch.example.org:8444"
	c.Staff = staff.New(staff.Config{DB: d, Ledger: log, Blobs: blobs, Now: clock,
		Passkeys: staff.Passkeys{RPID: site1, Origins: []string{"https://" + site1}}})
	public, err := signer.ArmouredPublic()
	w.ok(err)
	c.Setup = setup.New(setup.Config{DB: d, Ledger: log, Staff: c.Staff, Origin: warranttest.Origin, LedgerKey: w.people.Log.VerifierKey, Repository: string(public), Now: clock})
	c.Intake = intake.New(intake.Config{DB: d, Ledger: log, Blobs: blobs, Now: clock, Sources: []intake.Source{
		{Name: "debian-tracker", Parse: debian.Tracker("bookworm"), MaxBytes: 1 << 20, MaxAge: 48 * time.Hour},
		{Name: "kev", Parse: kev.Parse, MaxBytes: 1 << 20, MaxAge: 7 * 24 * time.Hour},
		{Name: "feed", Parse: feed.Parse, MaxBytes: 1 << 20, MaxAge: 48 * time.Hour},
		{Name: "epss", Parse: epss.Parse, MaxBytes: 1 << 20, MaxAge: 48 * time.Hour}, suspicion.Source}})
	c.Records = record.New(record.Config{DB: d, Ledger: log, Blobs: blobs, Root: c.Staff, Now: clock})
	c.Groups = group.New(group.Config{DB: d, Ledger: log, Now: clock})
	c.Estate = estate.New(estate.Config{DB: d, Ledger: log, Blobs: blobs, CA: ca, Now: clock, Silent: time.Hour, Records: c.Records, Groups: c.Groups})
	c.Drift = drift.New(c.Estate)
	c.Builds = build.Open(build.Config{DB: d, Ledger: log, Blobs: blobs, Estate: c.Estate, Intake: c.Intake, Now: clock})
	c.Silence = silence.New(silence.Config{DB: d, Ledger: log, Estate: c.Estate, Now: clock, Terms: map[estate.Clock]silence.Term{
		estate.Contact: {Alarm: time.Hour, Escalate: time.Hour}, estate.Facts: {Alarm: 100 * time.Hour, Escalate: 200 * time.Hour},
		estate.Index: {Alarm: 100 * time.Hour, Escalate: 200 * time.Hour}, estate.Files: {Alarm: 100 * time.Hour, Escalate: 200 * time.Hour}}})
	c.Health = w
	c.Retirements = retirement.New(retirement.Config{DB: d, Ledger: log, Blobs: blobs, Root: c.Staff, Estate: c.Estate, Now: clock})
	c.Triage = triage.New(triage.Config{DB: d, Ledger: log, Blobs: blobs, Estate: c.Estate, Places: c.Estate, Groups: c.Estate, Intake: c.Intake, Root: c.Staff, Now: clock})
	c.Exposure = exposure.New(exposure.Config{DB: d, Ledger: log, Blobs: blobs, Triage: c.Triage, Estate: c.Estate, Now: clock})
	c.Deadlines = deadline.New(deadline.Config{DB: d, Ledger: log, Blobs: blobs, Root: c.Staff, Triage: c.Triage, Exposure: c.Exposure, Intake: c.Intake, Standings: w,
		Default: "ncssr-2.0.5", Now: clock})
	c.Scores = score.New(c.Triage, c.Estate, c.Deadlines)
	c.Scans = scans.New(scans.Config{DB: d, Ledger: log, Blobs: blobs, Estate: c.Estate, Triage: c.Triage, Intake: c.Intake, Now: clock})
	c.Suspicions = suspicion.New(suspicion.Config{DB: d, Ledger: log, Root: c.Staff, Estate: c.Estate, Triage: c.Triage, Scans: c.Scans, Intake: c.Intake, Now: clock})
	c.Curation = curation.New(curation.Config{DB: d, Ledger: log, Blobs: blobs, Mirror: archive, Root: c.Staff, Signer: signer,
		Channels: []string{"stage", "production"}, Now: clock})
	c.Rollouts = rollout.New(rollout.Config{DB: d, Ledger: log, Blobs: blobs, Roots: c.Staff, Files: c.Curation, Hosts: c.Estate, Now: clock})
	c.Integrity = integrity.New(integrity.Config{DB: d, Ledger: log, Blobs: blobs, Root: c.Staff, Estate: c.Estate, Now: clock})
	c.Duties = duties.New(duties.Config{DB: d, Ledger: log, Blobs: blobs, Staff: c.Staff, Estate: c.Estate, Records: c.Records, Intake: c.Intake, Groups: c.Groups,
		Triage: c.Triage, Suspicions: c.Suspicions, Integrity: c.Integrity, Deadlines: c.Deadlines, Now: clock})
	c.Changes = change.New(change.Config{DB: d, Ledger: log, Blobs: blobs, Root: c.Staff, Curation: c.Curation, Estate: c.Estate,
		Rollouts: c.Rollouts, Integrity: c.Integrity, Now: clock})
	c.Views = savedview.New(savedview.Config{DB: d, Ledger: log, Now: clock})
	c.Evidence = evidence.New(evidence.Config{DB: d, Ledger: log, Blobs: blobs, Orders: c.Changes, Roots: c.Staff, Keyrings: archive, Now: clock})
}

// ask sends a request with a cookie (or without, for an empty token); form makes it a post.
func (w *world) ask(token, method, path string, form url.Values) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, "https://"+site1+path, strings.NewReader(form.Encode()))
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	r.RemoteAddr = netip.AddrPortFrom(w.from, 1024).String()
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	if token != "" {
		r.AddCookie(&http.Cookie{Name: sessionCookie, Value: token})
	}
	answer := httptest.NewRecorder()
	w.door.ServeHTTP(answer, r)
	return answer
}

// login gives a session of a person.
func (w *world) login(person string) string {
	w.t.Helper()
	c, err := w.Staff.Challenge(w.t.Context(), person)
	w.ok(err)
	payload, err := staff.EncodeLogin(person, c.Origin, c.Challenge)
	w.ok(err)
	token, _, err := w.Staff.Login(w.t.Context(), person, c.Challenge, w.people.Sign(staff.LoginType, payload, person).Signatures[0], "192.0.2.1")
	w.ok(err)
	return token
}

// assertion fills a form with a signature by alice's passkey.
func (w *world) assertion(form url.Values, payloadType string, payload []byte) url.Values {
	w.t.Helper()
	s := w.passkey.Sign(payloadType, payload)
	text := base64.RawURLEncoding.EncodeToString
	form.Set("credential", strings.TrimPrefix(s.KeyID, passkeyPrefix))
	form.Set("client_data", text(s.Assertion.ClientDataJSON))
	form.Set("authenticator_data", text(s.Assertion.AuthenticatorData))
	form.Set("signature", text(s.Sig))
	return form
}

// Standings implements deadline.Standings.
func (w *world) Standings(context.Context) (func(string) deadline.Standing, int, error) {
	w.looks++
	return func(host string) deadline.Standing {
		for _, m := range w.hosts {
			if m.id == host {
				return deadline.Standing{Environment: m.environment, Zone: w.text("core"), Exposure: "internal", Criticality: "high"}
			}
		}
		return deadline.Standing{}
	}, w.looks, nil
}

// Health implements Health: the switch outside does not answer.
func (w *world) Health(ctx context.Context) (silence.Health, error) {
	c, err := w.Silence.Canary(ctx)
	return silence.Health{Ails: []silence.Ail{{What: "dead man's switch", Why: "it cannot be reached", Since: w.now}}, Canary: c}, err
}
