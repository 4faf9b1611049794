package estate

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/id"
	"github.com/patchwarrant/patchwarrant/internal/proof"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// MaxTokenLife is how long an enrolment token can be good.
const MaxTokenLife = 24 * time.Hour

// NewToken says what an enrolment token is for.
type NewToken struct {
	Name        string        // the host's name in the estate
	Environment string        // e.g. stage, production
	Host        string        // ID of the host to enrol again, whose name and environment stay; empty: a new host
	Life        time.Duration // at most MaxTokenLife
}

// MakeToken makes a one-time enrolment token. Only its hash is kept: the answer is the one chance to read it.
func (e *Estate) MakeToken(ctx context.Context, who string, n NewToken) (secret string, expires time.Time, err error) {
	if n.Life <= 0 || n.Life > MaxTokenLife {
		return "", time.Time{}, fault.New(fault.Invalid, "an enrolment token is good for at most %s", MaxTokenLife)
	}
	if n.Host == "" && (!plainName(n.Name, wire.MaxName) || !plainName(n.Environment, 64)) {
		return "", time.Time{}, fault.New(fault.Invalid, "host name and environment are lower case letters, digits, dots and hyphens")
	}
	var random [32]byte
	rand.Read(random[:])
	secret = "pwe_" + base64.RawURLEncoding.EncodeToString(random[:])
	now := e.Now()
	t := token{name: n.Name, environment: n.Environment, host: n.Host, expires: now.Add(n.Life).UTC()}
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		if n.Host != "" {
			h, err := InService(ctx, tx, n.Host)
			if err != nil {
				return err
			}
			t.name, t.environment = h.Name, h.Environment
		}
		hash := envelope.Digest([]byte(secret))
		if err := saveToken(ctx, tx, hash, t, who, now); err != nil {
			return err
		}
		return e.act(ctx, tx, "token.made", "token/"+hash[:16], who, map[string]any{
			"name": t.name, "environment": t.environment, "host": t.host, "expires_at": t.expires})
	})
	return secret, t.expires, err
}

func plainName(s string, max int) bool {
	return s != "" && len(s) <= max && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789.-") == "" && s[0] != '-' && s[0] != '.'
}

// Enrol spends a token: the host is in the estate with a certificate and its executor's report key. Unauthenticated for a
// token that is unknown, used or expired. One that is used or expired is refused with an act, and forgotten: strangers may
// come as often as they like, and neither the record grows nor do they take a writer's turn.
func (e *Estate) Enrol(ctx context.Context, r wire.EnrolRequest) (host Host, cert []byte, err error) {
	hash, now := envelope.Digest([]byte(r.Token)), e.Now()
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		_, err := loadToken(ctx, tx, hash)
		return err
	})
	if err != nil {
		return Host{}, nil, err
	}
	var refused error
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		t, err := loadToken(ctx, tx, hash)
		if err != nil {
			return err
		}
		if refused = t.check(now); refused != nil {
			if err := dropToken(ctx, tx, hash); err != nil {
				return err
			}
			return e.act(ctx, tx, "token.refused", "token/"+hash[:16], "server", map[string]any{"reason": refused.Error()})
		}
		kind := "host.enrolled"
		host = Host{ID: id.New("hst", now), Name: t.name, Environment: t.environment}
		if t.host != "" {
			kind = "host.reenrolled"
			if host, err = InService(ctx, tx, t.host); err != nil {
				return err
			}
		}
		cert, host.CertExpiresAt, err = e.CA.Host(host.ID, r.CSR)
		if err != nil {
			return err
		}
		host.enrol(r, fingerprint(cert), now)
		if err := saveHost(ctx, tx, host); err != nil {
			return err
		}
		if err := spendToken(ctx, tx, hash, host.ID, now); err != nil {
			return err
		}
		return e.act(ctx, tx, kind, subject(host.ID), subject(host.ID), map[string]any{"name": host.Name, "reported_name": host.ReportedName,
			"environment": host.Environment, "certificate": host.cert, "report_key": host.ReportKey, "token": hash[:16]})
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return Host{}, nil, err
	}
	return host, cert, nil
}

func (t token) check(now time.Time) error {
	switch {
	case !t.used.IsZero():
		return fault.New(fault.Unauthenticated, "the enrolment token was used before; make a new one")
	case !now.Before(t.expires):
		return fault.New(fault.Unauthenticated, "the enrolment token has expired; make a new one")
	}
	return nil
}

// enrol sets what an enrolment settles; all earlier certificates of the host end here, and its counter begins anew.
func (h *Host) enrol(r wire.EnrolRequest, cert string, now time.Time) {
	h.ReportedName, h.ReportKey, h.SeenReportKey = r.Name, r.ReportKey, r.ReportKey
	h.cert, h.nextCert = cert, ""
	h.EnrolledAt, h.LastSeen = now, now
	h.Counter, h.Log, h.ClonedAt, h.SilentAt = 0, wire.LogSeen{}, time.Time{}, time.Time{}
	if h.Trees == nil {
		h.Trees = map[string]string{}
	}
}

// Authenticate gives the host of a client certificate that TLS has verified against our CA: the certificate must be the
// host's current one, or its renewed one, whose first use ends the old.
func (e *Estate) Authenticate(ctx context.Context, cert *x509.Certificate) (host Host, err error) {
	print := fingerprint(cert.Raw)
	err = e.DB.Read(ctx, func(tx *db.Tx) error {
		host, err = loadHostByCert(ctx, tx, print)
		return err
	})
	if fault.KindOf(err) == fault.Unauthenticated {
		err = e.refuseRetired(ctx, cert, err)
	}
	if err != nil {
		return Host{}, err
	}
	if cert.Subject.CommonName != host.ID {
		return Host{}, fault.New(fault.Unauthenticated, "the certificate names another host")
	}
	if !e.Now().Before(cert.NotAfter) { // TLS looks when a connection begins, which may be long ago
		return Host{}, fault.New(fault.Unauthenticated, "the certificate ended at %s", cert.NotAfter.UTC().Format(time.RFC3339))
	}
	if print == host.cert {
		return host, nil
	}
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		if host, err = loadHostByCert(ctx, tx, print); err != nil || host.nextCert != print {
			return err
		}
		host.cert, host.nextCert, host.CertExpiresAt = print, "", cert.NotAfter
		return saveHost(ctx, tx, host)
	})
	return host, err
}

// Renew makes the host's next certificate.
func (e *Estate) Renew(ctx context.Context, host string, csr []byte) ([]byte, error) {
	if err := e.news.Take(host, 1, e.Now()); err != nil {
		return nil, err
	}
	cert, expires, err := e.CA.Host(host, csr)
	if err != nil {
		return nil, err
	}
	err = e.DB.Write(ctx, func(tx *db.Tx) error {
		h, err := InService(ctx, tx, host)
		if err != nil {
			return err
		}
		if !h.ClonedAt.IsZero() {
			return errCloned()
		}
		h.nextCert = fingerprint(cert)
		if err := saveHost(ctx, tx, h); err != nil {
			return err
		}
		return e.act(ctx, tx, "host.renewed", subject(host), subject(host), map[string]any{"certificate": h.nextCert, "expires_at": expires})
	})
	return cert, err
}

// act writes one act; detail is encoded canonically.
func (e *Estate) act(ctx context.Context, tx *db.Tx, kind, subject, who string, detail map[string]any, facts ...string) error {
	b, err := json.Marshal(detail)
	if err != nil {
		return err
	}
	_, err = e.Ledger.Append(ctx, tx, proof.Act{Kind: kind, Subject: subject, At: e.Now().UTC(), Who: who, Facts: facts, Detail: b})
	return err
}
