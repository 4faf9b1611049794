// Package api is the people's door: HTTP for people's programs, with no rule of its own. It asks who it is and whether
// their roles allow the action, passes the request to the room that decides, and tells what came of it.
package api

import (
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	v1 "github.com/patchwarrant/patchwarrant/internal/api/v1"
	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/build"
	"github.com/patchwarrant/patchwarrant/internal/change"
	"github.com/patchwarrant/patchwarrant/internal/curation"
	"github.com/patchwarrant/patchwarrant/internal/deadline"
	"github.com/patchwarrant/patchwarrant/internal/drift"
	"github.com/patchwarrant/patchwarrant/internal/duty"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/evidence"
	"github.com/patchwarrant/patchwarrant/internal/exposure"
	"github.com/patchwarrant/patchwarrant/internal/group"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/integrity"
	"github.com/patchwarrant/patchwarrant/internal/ledger"
	"github.com/patchwarrant/patchwarrant/internal/mirror"
	"github.com/patchwarrant/patchwarrant/internal/once"
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

// Config says which rooms stand behind the door.
type Config struct {
	Ledger    *ledger.Ledger
	Blobs     blob.Store
	Staff     *staff.Staff
	Setup     *setup.Setup
	Intake    *intake.Intake
	Feeds     Feeds
	Estate    *estate.Estate
	Records   *record.Records
	Triage    *triage.Triage
	Exposure  *exposure.Exposure
	Deadlines *deadline.Deadlines
	Exporter  Exporter
	Scans     *scans.Scans
	Mirror    *mirror.Mirror
	Curation  *curation.Curation
	Composer  Composer
	Rollouts  *rollout.Rollouts
	Integrity *integrity.Integrity
	Changes   *change.Changes
	Evidence  *evidence.Sealer
	Once      *once.Once
	Views     *savedview.Views
	Agents    string      // URL of the agents' door, for enrolment lines
	Identity  v1.Identity // of the server, for the first trust root
	Log       *slog.Logger

	Retirements *retirement.Retirements
	Silence     *silence.Watch
	Groups      *group.Groups
	Drift       *drift.Drifts
	Scores      *score.Scores
	Builds      *build.Builds
	Suspicions  *suspicion.Suspicions
	Duties      *duty.Duties
	Health      Health
}

type door struct {
	Config
	api huma.API
}

// Bounds of a request.
const (
	maxDocument = 4 << 20 // bytes of a JSON body: a signed payload of 1 MiB in base64, and its signatures
	maxUpload   = 1 << 30 // bytes of an import; each source has a tighter bound
	readTimeout = 10 * time.Second
)

// New makes the door: /api/v1/… and /openapi.json.
func New(c Config) http.Handler {
	mux := http.NewServeMux()
	d := &door{Config: c}
	d.api = humago.New(mux, openAPI())
	d.people()
	d.bootstrap()
	d.providers()
	d.accounts()
	d.hosts()
	d.records()
	d.retirements()
	d.silences()
	d.groups()
	d.drift()
	d.builds()
	d.sources()
	d.vulnerabilities()
	d.deadlines()
	d.exports()
	d.scans()
	d.suspicions()
	d.duties()
	d.upstreams()
	d.figures()
	d.views()
	d.snapshots()
	d.orders()
	d.templates()
	d.rollouts()
	d.integrity()
	d.ledger()
	return http.MaxBytesHandler(mux, maxUpload)
}

func openAPI() huma.Config {
	json := huma.DefaultJSONFormat
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Patchwarrant", Version: "1", Description: about},
			Components: &huma.Components{
				Schemas: huma.NewMapRegistry("#/components/schemas/", schemaName),
				SecuritySchemes: map[string]*huma.SecurityScheme{"session": {
					Type: "http", Scheme: "bearer", Description: "the token of POST " + v1.Prefix + "/login",
				}},
			},
		},
		OpenAPIPath:                  "/openapi",
		Formats:                      map[string]huma.Format{"application/json": json, "json": json},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true,
	}
}

const about = "Each operation names its action (x-action); the table of roles and actions decides who may do it, and what of it a " +
	"token or an OpenID login reaches. Decisions, orders, snapshots and trust roots are signed documents: a session only hands them in. " +
	"There is no break-glass account: in an emergency root acts on the host itself, and reconciliation shows what it did as an investigation."

// schemaName keeps types of different rooms apart: "Order" is ours, "WarrantOrder" the signed one.
func schemaName(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice {
		t = t.Elem()
	}
	room := t.PkgPath()[strings.LastIndex(t.PkgPath(), "/")+1:]
	if room == "" || room == "v1" || room == "api" {
		return name
	}
	return strings.ToUpper(room[:1]) + room[1:] + name
}

// operation is a route with the action it is, by which leave is asked.
type operation struct {
	id, method, path, summary string
	action                    staff.Action
}

func (o operation) huma() huma.Operation {
	return huma.Operation{
		OperationID: o.id, Method: o.method, Path: v1.Prefix + o.path, Summary: o.summary,
		MaxBodyBytes: maxDocument, BodyReadTimeout: readTimeout,
		Metadata:   map[string]any{"action": o.action},
		Extensions: map[string]any{"x-action": o.action},
		Responses:  map[string]*huma.Response{"default": problemResponse},
	}
}

var problemResponse = &huma.Response{
	Description: "what is wrong, as RFC 9457 has it",
	Content:     map[string]*huma.MediaType{v1.ProblemType: {Schema: &huma.Schema{Ref: "#/components/schemas/Problem"}}},
}

// list gives an empty array where there is nothing to list: clients need not tell null from [].
func list[T any](all []T) []T {
	if all == nil {
		return []T{}
	}
	return all
}

// answer is a response with a document.
type answer[O any] struct{ Body O }

type none struct{}

// serve registers an operation for people who are logged in and may do its action.
func serve[I, O any](d *door, o operation, do func(context.Context, staff.Session, *I) (O, error)) {
	op := o.huma()
	op.Security = []map[string][]string{{"session": {}}}
	op.Middlewares = huma.Middlewares{meet, d.admit}
	if o.method == http.MethodGet {
		op.Middlewares = append(op.Middlewares, tag)
	}
	huma.Register(d.api, op, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := do(ctx, sessionOf(ctx), in)
		if err != nil {
			return nil, problemOf(err, d.Log)
		}
		return &answer[O]{out}, nil
	})
}

// serveBytes is serve for an answer that is no document.
func serveBytes[I any](d *door, o operation, do func(context.Context, staff.Session, *I) (*huma.StreamResponse, error)) {
	serveStream(d, o, "application/octet-stream", do)
}

// serveStream is serve for an answer of another type than a document.
func serveStream[I any](d *door, o operation, contentType string, do func(context.Context, staff.Session, *I) (*huma.StreamResponse, error)) {
	op := o.huma()
	op.Security = []map[string][]string{{"session": {}}}
	op.Middlewares = huma.Middlewares{meet, d.admit}
	op.Responses["200"] = &huma.Response{Description: "the bytes", Content: map[string]*huma.MediaType{
		contentType: {Schema: &huma.Schema{Type: huma.TypeString, Format: "binary"}}}}
	huma.Register(d.api, op, func(ctx context.Context, in *I) (*huma.StreamResponse, error) {
		out, err := do(ctx, sessionOf(ctx), in)
		if err != nil {
			return nil, problemOf(err, d.Log)
		}
		return out, nil
	})
}

// open registers an operation for everyone.
func open[I, O any](d *door, o operation, do func(context.Context, *I) (O, error)) {
	op := o.huma()
	op.Middlewares = huma.Middlewares{meet}
	huma.Register(d.api, op, func(ctx context.Context, in *I) (*answer[O], error) {
		out, err := do(ctx, in)
		if err != nil {
			return nil, problemOf(err, d.Log)
		}
		return &answer[O]{out}, nil
	})
}

type sessionKey struct{}

func sessionOf(ctx context.Context) staff.Session { return ctx.Value(sessionKey{}).(staff.Session) }

// caller is what is known of who asks before they have logged in.
type caller struct{ from, token string }

type callerKey struct{}

func callerOf(ctx context.Context) caller { return ctx.Value(callerKey{}).(caller) }

// meet notes who asks.
func meet(ctx huma.Context, next func(huma.Context)) {
	token, _ := strings.CutPrefix(ctx.Header("Authorization"), "Bearer ")
	next(huma.WithValue(ctx, callerKey{}, caller{address(ctx), token}))
}

// admit asks who it is, and whether they may.
func (d *door) admit(ctx huma.Context, next func(huma.Context)) {
	c := callerOf(ctx.Context())
	session, err := d.Staff.Authenticate(ctx.Context(), c.token, c.from)
	if err == nil {
		err = d.Staff.Authorize(ctx.Context(), session, ctx.Operation().Metadata["action"].(staff.Action), c.from)
	}
	if err != nil {
		d.refuse(ctx, err)
		return
	}
	next(huma.WithValue(ctx, sessionKey{}, session))
}

func (d *door) refuse(ctx huma.Context, err error) {
	p := problemOf(err, d.Log)
	ctx.SetHeader("Content-Type", v1.ProblemType)
	ctx.SetStatus(p.Status)
	if err := d.api.Marshal(ctx.BodyWriter(), "application/json", p); err != nil {
		d.Log.Error("write problem", "error", err)
	}
}

func address(ctx huma.Context) string {
	host, _, err := net.SplitHostPort(ctx.RemoteAddr())
	if err != nil {
		return ctx.RemoteAddr()
	}
	return host
}

// Upload is the body of a request that is not read into memory.
type Upload struct{ body io.Reader }

// Resolve implements huma.Resolver.
func (u *Upload) Resolve(ctx huma.Context) []error {
	u.body = ctx.BodyReader()
	return nil
}
