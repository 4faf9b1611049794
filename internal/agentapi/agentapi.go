// Package agentapi is the agents' door: the server's side of the protocol in package wire, over mutual TLS. Every request
// but an enrolment needs a client certificate, which is checked against the host table each time.
package agentapi

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/blob"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/estate"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Rollout gives hosts their work and takes their outcomes. All of it must bear repetition: an agent that hears no answer
// asks again.
type Rollout interface {
	// Offer gives the host's next order with the trust roots it lacks, nil for none; an order it has not begun, again.
	Offer(ctx context.Context, host string, rootVersion int64) (*wire.Work, error)
	// File opens a file of an order that the host was offered; NotFound for any other.
	File(ctx context.Context, host, order, path string) (io.ReadCloser, error)
	// Begin marks the run as begun; Conflict when the host shall not begin any more.
	Begin(ctx context.Context, host string, b wire.Begin) error
	// Report ends the run by the executor's report, whose signature has been verified, and keeps what the host looked like
	// before and after it.
	Report(ctx context.Context, host string, r wire.Report) error
}

// Ledger shows hosts the log.
type Ledger interface {
	Checkpoint(ctx context.Context) (string, error)
	Consistency(ctx context.Context, old, new int64) ([][]byte, error)
}

// TrustRoots gives the envelopes of all trust roots from a version on, oldest first.
type TrustRoots interface {
	Roots(ctx context.Context, from int64) ([]envelope.Envelope, error)
}

// Canary is the vulnerability that is planted on one host each day.
type Canary interface {
	// Seed gives what a host is to answer in its next check-in, "" for most hosts.
	Seed(ctx context.Context, host string) (string, error)
	Heard(ctx context.Context, host, version string) error
}

// Channels gives the digest of the release file that a channel of the repository shows now; empty: none.
type Channels interface {
	Published(ctx context.Context, channel string) (digest string, err error)
}

// Config of a Door.
type Config struct {
	Estate     *estate.Estate
	Blobs      blob.Store
	Rollout    Rollout
	Ledger     Ledger
	TrustRoots TrustRoots
	Canary     Canary   // nil: none is planted
	Channels   Channels // nil: there is no repository
	Log        *slog.Logger
	Rest       time.Duration // between the check-ins of a host without work
	Busy       time.Duration // and of one with work
	Quota      int64         // new bytes a host may upload in a day; 0: DailyQuota
}

// DailyQuota is how much new a host may upload in a day, in bytes: many times the directories of a large host, of which
// all but the first day's are already here. What nobody ever cites is bounded by it too.
const DailyQuota = 2 << 30

// Door is the agents' door.
type Door struct {
	Config
	routes *http.ServeMux
	bytes  estate.Quota
}

// New makes the door. Serve it under estate.CA.ServerTLS.
func New(c Config) *Door {
	d := &Door{Config: c, routes: http.NewServeMux(), bytes: estate.Quota{What: "new bytes", Most: cmp.Or(c.Quota, DailyQuota)}}
	d.routes.HandleFunc("POST "+wire.EnrolPath, d.enrol)
	d.host("POST "+wire.RenewPath, d.renew)
	d.host("POST "+wire.CheckInPath, d.checkIn)
	d.host("POST "+wire.MissingPath, d.missing)
	d.host("PUT "+wire.ObjectPath+"{digest}", d.putObject)
	d.host("GET "+wire.FilePath+"{order}/{path...}", d.file)
	d.host("POST "+wire.BeginPath, d.begin)
	d.host("POST "+wire.ReportPath, d.report)
	return d
}

// ServeHTTP implements http.Handler.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	d.routes.ServeHTTP(w, r)
}

// host adds a route that needs an enrolled host.
func (d *Door) host(pattern string, serve func(http.ResponseWriter, *http.Request, estate.Host) error) {
	d.routes.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		host, err := d.authenticate(r)
		if err == nil {
			err = serve(w, r, host)
		}
		if err != nil {
			d.fail(w, r, host.ID, err)
		}
	})
}

func (d *Door) authenticate(r *http.Request) (estate.Host, error) {
	if r.TLS == nil || len(r.TLS.VerifiedChains) == 0 {
		return estate.Host{}, fault.New(fault.Unauthenticated, "this door needs a host's certificate; enrol the host")
	}
	host, err := d.Estate.Authenticate(r.Context(), r.TLS.VerifiedChains[0][0])
	if err == nil && !host.ClonedAt.IsZero() {
		err = fault.Refuse(wire.Cloned, "this host's identity was found in use twice; enrol it again")
	}
	return host, err
}

// status is how the door answers each kind of error.
var status = map[fault.Kind]int{
	fault.Invalid: http.StatusBadRequest, fault.NotFound: http.StatusNotFound, fault.Conflict: http.StatusConflict,
	fault.Denied: http.StatusForbidden, fault.Unauthenticated: http.StatusUnauthorized,
	fault.Unavailable: http.StatusServiceUnavailable, fault.Internal: http.StatusInternalServerError,
}

// fail answers an error. What went wrong inside is for the log, not for the host.
func (d *Door) fail(w http.ResponseWriter, r *http.Request, host string, err error) {
	if r.Context().Err() != nil {
		return // nobody listens
	}
	kind := fault.KindOf(err)
	p := wire.Problem{Kind: string(kind), Code: fault.CodeOf(err), Detail: err.Error()}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		p.Kind, p.Detail, kind = string(fault.Invalid), "the body is too large", fault.Invalid
	}
	if kind == fault.Internal {
		d.Log.Error("agents' door", "host", host, "route", r.Pattern, "error", err)
		p.Detail = "the server failed; its log says why"
	} else {
		d.Log.Warn("agents' door refuses", "host", host, "route", r.Pattern, "kind", kind, "code", p.Code, "error", err)
	}
	answer(w, status[kind], p)
}

func answer(w http.ResponseWriter, code int, document any) {
	b, err := json.Marshal(document)
	if err != nil {
		code, b = http.StatusInternalServerError, []byte(`{"kind":"internal","detail":"the answer cannot be written"}`)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(b) // an agent that hears nothing asks again
}

// read reads the request's document.
func read(w http.ResponseWriter, r *http.Request, limit int64, v wire.Checker) error {
	return wire.Decode(http.MaxBytesReader(w, r.Body, limit+1), limit, v)
}

func (d *Door) enrol(w http.ResponseWriter, r *http.Request) {
	var request wire.EnrolRequest
	err := read(w, r, wire.MaxDocument, &request)
	var out wire.EnrolAnswer
	if err == nil {
		out, err = d.enrolled(r.Context(), request)
	}
	if err != nil {
		d.fail(w, r, "", err)
		return
	}
	answer(w, http.StatusOK, out)
}

func (d *Door) enrolled(ctx context.Context, request wire.EnrolRequest) (wire.EnrolAnswer, error) {
	roots, err := d.TrustRoots.Roots(ctx, 1) // before the token is spent
	if err != nil {
		return wire.EnrolAnswer{}, err
	}
	host, cert, err := d.Estate.Enrol(ctx, request)
	return wire.EnrolAnswer{HostID: host.ID, Environment: host.Environment, Certificate: cert, CA: d.Estate.CA.DER(), TrustRoots: roots}, err
}

func (d *Door) renew(w http.ResponseWriter, r *http.Request, host estate.Host) error {
	var request wire.RenewRequest
	if err := read(w, r, wire.MaxDocument, &request); err != nil {
		return err
	}
	cert, err := d.Estate.Renew(r.Context(), host.ID, request.CSR)
	if err == nil {
		answer(w, http.StatusOK, wire.RenewAnswer{Certificate: cert})
	}
	return err
}
