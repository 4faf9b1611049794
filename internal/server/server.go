package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agentapi"
	"github.com/patchwarrant/patchwarrant/internal/api"
	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/drift"
	"github.com/patchwarrant/patchwarrant/internal/duty"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/evidence"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/intake/publisher"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/job"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/once"
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
	"github.com/patchwarrant/patchwarrant/internal/watch"
	"github.com/patchwarrant/patchwarrant/internal/web"
)

// Server is all rooms on one database.
type Server struct {
	config Config
	log    *slog.Logger
	now    func() time.Time
	keys   *Keys

	db     *db.DB
	blobs  blob.Store
	ledger *ledger.Ledger
	Staff  *staff.Staff
	Setup  *setup.Setup

	intake    *intake.Intake
	feeds     *feeds
	mirror    *mirror.Mirror
	records   *record.Records
	estate    *estate.Estate
	archive   *archive
	triage    *triage.Triage
	exposure  *exposure.Exposure
	scans     *scans.Scans
	deadlines *deadline.Deadlines
	curation  *curation.Curation
	rollouts  *rollout.Rollouts
	integrity *integrity.Integrity
	watch     *watch.Watch
	changes   *change.Changes
	evidence  *evidence.Sealer
	once      *once.Once
	views     *savedview.Views

	retirements *retirement.Retirements
	silence     *silence.Watch
	groups      *group.Groups
	drift       *drift.Drifts
	scores      *score.Scores
	builds      *build.Builds
	suspicions  *suspicion.Suspicions
	duties      *duty.Duties
	deadMan     *deadMan
}

// Open opens the database and makes the rooms. The caller closes the server.
func Open(ctx context.Context, c Config, now func() time.Time, log *slog.Logger) (*Server, error) {
	s := &Server{config: c, log: log, now: now}
	var err error
	if s.keys, err = OpenKeys(c, now); err != nil {
		return nil, err
	}
	if s.blobs, err = blob.Dir(filepath.Join(c.Data, "blobs")); err != nil {
		return nil, err
	}
	if s.db, err = db.Open(ctx, c.Database); err != nil {
		return nil, err
	}
	if err := s.furnish(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Close writes what waits in memory and closes the database.
func (s *Server) Close() error {
	var err error
	if s.estate != nil {
		err = s.estate.Flush(context.Background())
	}
	return errors.Join(err, s.db.Close())
}

// furnish makes the rooms, lower floors first.
func (s *Server) furnish() error {
	upstreams, err := s.config.upstreams()
	if err != nil {
		return err
	}
	s.ledger, err = ledger.New(ledger.Config{DB: s.db, Signer: s.keys.Ledger, Verifier: s.keys.Verifier, Origin: s.config.Origin,
		GuardFile: filepath.Join(s.config.Data, "ledger.guard"), Now: s.now})
	if err != nil {
		return err
	}
	site, err := s.config.site()
	if err != nil {
		return err
	}
	providers, err := s.config.providers(s.now)
	if err != nil {
		return err
	}
	s.Staff = staff.New(staff.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Passkeys: site, Providers: providers, Now: s.now})
	advisories, err := Sources(s.config, s.now)
	if err != nil {
		return err
	}
	identity, err := s.keys.Identity(s.config.Origin)
	if err != nil {
		return err
	}
	s.Setup = setup.New(setup.Config{DB: s.db, Ledger: s.ledger, Staff: s.Staff, Origin: identity.Origin, LedgerKey: identity.LedgerKey,
		Repository: identity.RepositoryKey, Now: s.now})
	s.intake = intake.New(intake.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Sources: append(advisories, suspicion.Source), Now: s.now})
	s.once = once.New(once.Config{DB: s.db, Now: s.now})
	s.views = savedview.New(savedview.Config{DB: s.db, Ledger: s.ledger, Now: s.now})
	packages := pool.New(s.blobs)
	download := &http.Client{Timeout: 30 * time.Minute, CheckRedirect: publisher.StayHome}
	s.feeds = &feeds{sources: s.config.Sources, intake: s.intake, blobs: s.blobs, client: download,
		tags: map[string]validators{}, kept: s.intake.Source}
	s.mirror, err = mirror.New(mirror.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Pool: packages,
		Client: download, Configured: upstreams, Now: s.now})
	if err != nil {
		return err
	}
	s.records = record.New(record.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Root: s.Staff, Now: s.now})
	s.groups = group.New(group.Config{DB: s.db, Ledger: s.ledger, Now: s.now})
	s.estate = estate.New(estate.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, CA: s.keys.CA, Now: s.now,
		Silent: s.config.Silent.Duration, Records: s.records, Groups: s.groups})
	s.drift = drift.New(s.estate)
	s.builds = build.Open(build.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Estate: s.estate, Intake: s.intake, Now: s.now})
	s.silence = silence.New(silence.Config{DB: s.db, Ledger: s.ledger, Estate: s.estate, Terms: s.config.terms(), Now: s.now})
	s.deadMan = &deadMan{server: s, client: &http.Client{Timeout: 20 * time.Second}, done: map[string]pass{}}
	s.retirements = retirement.New(retirement.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Root: s.Staff, Estate: s.estate, Now: s.now})
	s.archive = &archive{intake: s.intake, mirror: s.mirror, estate: s.estate, pool: packages, now: s.now}
	s.triage = triage.New(triage.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Estate: s.estate, Places: s.estate, Groups: s.estate, Origins: s.estate.OriginsOf, Intake: s.intake,
		Root: s.Staff, Now: s.now})
	s.exposure = exposure.New(exposure.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Triage: s.triage, Estate: s.estate, Now: s.now})
	s.scans = scans.New(scans.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Estate: s.estate, Triage: s.triage, Intake: s.intake, Now: s.now})
	s.suspicions = suspicion.New(suspicion.Config{DB: s.db, Ledger: s.ledger, Root: s.Staff, Estate: s.estate, Triage: s.triage, Scans: s.scans,
		Intake: s.intake, Now: s.now})
	s.deadlines = deadline.New(deadline.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Root: s.Staff, Triage: s.triage, Exposure: s.exposure, Intake: s.intake,
		Standings: &standings{estate: s.estate, records: s.records}, Default: defaultPolicy, Now: s.now})
	s.scores = score.New(s.triage, s.estate, s.deadlines)
	s.curation = curation.New(curation.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Mirror: s.mirror, Root: s.Staff,
		Signer: s.keys.Repository, Channels: channels, Now: s.now})
	s.rollouts = rollout.New(rollout.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Roots: s.Staff, Files: s.curation,
		Hosts: s.estate, Now: s.now})
	s.integrity = integrity.New(integrity.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Root: s.Staff, Estate: s.estate, Now: s.now})
	s.watch = watch.New(watch.Config{DB: s.db, Hosts: s.estate, Runs: s.rollouts, Judge: s.integrity})
	s.duties = duty.New(duty.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Staff: s.Staff, Estate: s.estate, Records: s.records, Intake: s.intake,
		Groups: s.groups, Triage: s.triage, Suspicions: s.suspicions, Integrity: s.integrity, Deadlines: s.deadlines, Now: s.now})
	s.changes = change.New(change.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Root: s.Staff, Curation: s.curation,
		Estate: s.estate, Rollouts: s.rollouts, Integrity: s.integrity, Now: s.now, NoticeHours: s.config.NoticeHours})
	s.evidence = evidence.New(evidence.Config{DB: s.db, Ledger: s.ledger, Blobs: s.blobs, Orders: s.changes, Roots: s.Staff,
		Keyrings: s.mirror, Now: s.now})
	return nil
}

// defaultPolicy holds until people sign one.
const defaultPolicy = "ncssr-2.0.5"

// channels of the repository, in the order of promotion.
var channels = []string{"stage", "production"}

// timetable is what the server does by itself.
func (s *Server) timetable() job.Timetable {
	due := s.config.Sweep.Duration
	minute := 6 * due // by default
	t := job.Timetable{
		Lease: lease{db: s.db, holder: id.New("srv", s.now()), now: s.now},
		Log:   s.log,
		Sweeps: []job.Sweep{
			{Name: "staff", Every: time.Minute, Do: s.Staff.Sweep},
			{Name: "sources", Every: minute, Do: func(ctx context.Context) error { // our own first: it is never silent because the server was
				return errors.Join(s.suspicions.Publish(ctx), s.intake.Sweep(ctx))
			}},
			{Name: "feeds", Every: fetchEvery, Do: s.feeds.Sweep},
			{Name: "upstreams", Every: time.Hour, Do: s.mirror.RefreshAll},
			{Name: "new upstreams", Every: due, Do: s.mirror.RefreshNew},
			{Name: "archive", Every: due, Do: s.archive.Sweep},
			{Name: "silence", Every: minute, Do: s.estate.Silence},
			{Name: "silences", Every: minute, Do: s.silence.Sweep},
			{Name: "builds", Every: 10 * time.Minute, Do: s.builds.Sweep},
			{Name: "canary", Every: time.Minute, Do: s.silence.Plant},
			{Name: "unmatched", Every: time.Hour, Do: s.estate.TellUnmatched},
			{Name: "duties", Every: time.Hour, Do: s.duties.Tell},
			{Name: "decisions", Every: minute, Do: s.triage.Sweep},
			{Name: "history", Every: due, Do: s.exposure.Sweep},
			{Name: "deadlines", Every: minute, Do: s.deadlines.Sweep},
			{Name: "scanners", Every: time.Hour, Do: s.scans.Sweep},
			{Name: "suspicions", Every: minute, Do: s.suspicions.Sweep},
			{Name: "rollouts", Every: due, Do: s.rollouts.Sweep},
			{Name: "orders", Every: due, Do: s.changes.Settle},
			{Name: "watch", Every: minute, Do: s.watch.Sweep},
			{Name: "investigations", Every: minute, Do: s.integrity.SweepOverdue},
			{Name: "answers", Every: time.Hour, Do: s.once.Sweep},
			{Name: "publication", Every: time.Hour, Do: s.curation.Publish},
			{Name: "repository", Every: 24 * time.Hour, Do: s.curation.Inspect},
			{Name: "ledger", Every: 24 * time.Hour, Do: s.ledger.SelfAudit},
		},
	}
	for i, sweep := range t.Sweeps {
		t.Sweeps[i] = s.deadMan.watched(sweep)
	}
	t.Sweeps = append(t.Sweeps, job.Sweep{Name: "dead man", Every: min(s.config.DeadMan.Every.Duration, grace/2), Do: s.deadMan.Sweep})
	return t
}

// BootstrapLink gives the link that opens the guided set-up, once, and until when; it is empty once a trust root is in force.
func (s *Server) BootstrapLink(ctx context.Context) (string, time.Time, error) {
	secret, expires, err := s.Staff.MakeLink(ctx)
	if err != nil || secret == "" {
		return "", expires, err
	}
	return strings.TrimSuffix(s.config.URL, "/") + "/setup?link=" + secret, expires, nil
}

// doors are the HTTP servers by address.
func (s *Server) doors() ([]*http.Server, error) {
	identity, err := s.keys.Identity(s.config.Origin)
	if err != nil {
		return nil, err
	}
	tls := s.keys.CA.ServerTLS(s.config.Names)
	programs := api.New(api.Config{
		Ledger:      s.ledger,
		Blobs:       s.blobs,
		Staff:       s.Staff,
		Setup:       s.Setup,
		Intake:      s.intake,
		Feeds:       s.feeds,
		Estate:      s.estate,
		Records:     s.records,
		Retirements: s.retirements,
		Silence:     s.silence,
		Groups:      s.groups,
		Drift:       s.drift,
		Scores:      s.scores,
		Builds:      s.builds,
		Suspicions:  s.suspicions,
		Duties:      s.duties,
		Health:      s,
		Triage:      s.triage,
		Exposure:    s.exposure,
		Deadlines:   s.deadlines,
		Exporter:    exporter{s.triage, s.estate, s.Staff, s.config.URL, s.now},
		Scans:       s.scans,
		Mirror:      s.mirror,
		Curation:    s.curation,
		Composer:    composer{s.triage, s.estate, s.curation, s.mirror},
		Rollouts:    s.rollouts,
		Integrity:   s.integrity,
		Changes:     s.changes,
		Evidence:    s.evidence,
		Once:        s.once,
		Views:       s.views,
		Agents:      s.config.agentsURL(),
		Identity:    identity,
		Log:         s.log,
	})
	public, err := json.Marshal(identity)
	if err != nil {
		return nil, err
	}
	pages := web.New(web.Config{
		Ledger:      s.ledger,
		Blobs:       s.blobs,
		Staff:       s.Staff,
		Setup:       s.Setup,
		Intake:      s.intake,
		Estate:      s.estate,
		Records:     s.records,
		Retirements: s.retirements,
		Silence:     s.silence,
		Groups:      s.groups,
		Drift:       s.drift,
		Scores:      s.scores,
		Builds:      s.builds,
		Suspicions:  s.suspicions,
		Duties:      s.duties,
		Health:      s,
		Triage:      s.triage,
		Exposure:    s.exposure,
		Deadlines:   s.deadlines,
		Scans:       s.scans,
		Mirror:      s.mirror,
		Curation:    s.curation,
		Composer:    composer{s.triage, s.estate, s.curation, s.mirror},
		Rollouts:    s.rollouts,
		Integrity:   s.integrity,
		Changes:     s.changes,
		Evidence:    s.evidence,
		Views:       s.views,
		Agents:      s.config.agentsURL(),
		Identity:    string(public),
		Now:         s.now,
		Log:         s.log,
	})
	agents := agentapi.New(agentapi.Config{Estate: s.estate, Blobs: s.blobs, Rollout: s.rollouts, Ledger: s.ledger,
		TrustRoots: s.Staff, Canary: s.silence, Channels: s.curation, Log: s.log, Rest: s.config.Rest.Duration, Busy: s.config.Busy.Duration})
	all := []*http.Server{
		{Addr: s.config.Listen.People, Handler: single(hurry(people(programs, pages), strangers, importing)), TLSConfig: tls},
		{Addr: s.config.Listen.Agents, Handler: hurry(agents, strangers, known), TLSConfig: tls.Clone()}, // a server adds to its own
		{Addr: s.config.Listen.Repository, Handler: single(api.Public(s.ledger, s.curation.Door(), s.log))},
	}
	for _, h := range all {
		h.ReadHeaderTimeout = 10 * time.Second
		h.ReadTimeout = 15 * time.Minute // an import or an object over a slow line
		h.WriteTimeout = 30 * time.Minute
		h.IdleTimeout = 2 * time.Minute
		h.MaxHeaderBytes = 64 << 10
		h.ErrorLog = slog.NewLogLogger(s.log.Handler(), slog.LevelDebug)
	}
	return all, nil
}
