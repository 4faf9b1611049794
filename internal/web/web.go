// Package web is the people's page: HTML rendered on the server, with no rule of its own. It asks who it is and whether
// their roles allow the action, passes the request to the room that decides, and shows what came of it.
package web

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/drift"
	duties "github.com/patchwarrant/patchwarrant/internal/duty"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/evidence"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
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
)

// Config says which rooms stand behind the pages.
type Config struct {
	Ledger    *ledger.Ledger
	Blobs     blob.Store
	Staff     *staff.Staff
	Setup     *setup.Setup
	Intake    *intake.Intake
	Estate    *estate.Estate
	Records   *record.Records
	Triage    *triage.Triage
	Exposure  *exposure.Exposure
	Deadlines *deadline.Deadlines
	Scans     *scans.Scans
	Mirror    *mirror.Mirror
	Curation  *curation.Curation
	Composer  Composer
	Rollouts  *rollout.Rollouts
	Integrity *integrity.Integrity
	Changes   *change.Changes
	Evidence  *evidence.Sealer
	Views     *savedview.Views
	Agents    string // URL of the agents' door, for enrolment lines
	Identity  string // what the first trust root says about the server: the JSON that patchwarrantd init prints
	Now       func() time.Time
	Log       *slog.Logger

	Retirements *retirement.Retirements
	Silence     *silence.Watch
	Groups      *group.Groups
	Drift       *drift.Drifts
	Scores      *score.Scores
	Builds      *build.Builds
	Suspicions  *suspicion.Suspicions
	Duties      *duties.Duties
	Health      Health
}

// Composer puts together what a snapshot is made of: the accepted fixes and the package sets of a release's hosts.
type Composer interface {
	Compose(ctx context.Context, who, release string, decisions, upstreams []string) (curation.Snapshot, error)
}

// Health says what is wrong with the server itself.
type Health interface {
	Health(ctx context.Context) (silence.Health, error)
}

// Bounds of a request, in bytes.
const (
	maxForm   = 4 << 20 // a signed payload of 1 MiB in base64, and its signature
	maxUpload = 1 << 30 // an import; each source has a tighter bound
)

type site struct {
	Config
	pages pages
}

// New makes the pages, rooted at /.
func New(c Config) http.Handler {
	s := &site{Config: c, pages: parse()}
	mux := http.NewServeMux()
	mux.Handle("GET /static/{name}", http.HandlerFunc(serveStatic))
	pages := map[string]bool{}
	for _, r := range routes {
		mux.Handle(r.method+" "+r.path, s.serve(r))
		pages[r.path] = pages[r.path] || r.method == http.MethodGet
	}
	for path, page := range pages {
		if !page {
			mux.HandleFunc("GET "+path, above)
		}
	}
	mux.Handle("/", s.serve(route{action: staff.Read, do: (*site).nowhere}))
	protect := http.NewCrossOriginProtection()
	protect.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.fail(&visit{site: s, w: w, r: r, now: s.Now()}, fault.New(fault.Denied, "the request came from another site's page"))
	}))
	return secure(protect.Handler(mux))
}

// route is a page or a form's target with the action it is, by which leave is asked.
type route struct {
	method, path string
	action       staff.Action // everyone where it is empty
	do           func(*site, *visit) error
}

// serve makes the handler of a route.
func (s *site) serve(r route) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		limit := int64(maxForm)
		if r.action == staff.ImportAdvisories || r.path == "/hosts/imports" || r.path == "/hosts/builds/sbom" {
			limit = maxUpload
		}
		request.Body = http.MaxBytesReader(w, request.Body, limit)
		v := &visit{site: s, w: w, r: request, now: s.Now(), polled: slices.Contains(polled, r.path)}
		err := v.admit(r.action)
		if err == nil {
			err = r.do(s, v)
		}
		if err != nil {
			s.fail(v, err)
		}
	})
}

func (s *site) nowhere(v *visit) error {
	return fault.New(fault.NotFound, "there is no page at this address")
}

// address is where a request comes from, for the record.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
