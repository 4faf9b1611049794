package agent

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// beat is how often the host is heard while its executor works.
const beat = time.Minute

// execute hands the warrant to the executor and waits for its signed report, however long that takes. Nothing is lost if
// the agent dies meanwhile: the executor answers the same order again with what it did.
func (a *Agent) execute(ctx context.Context, e *errand) error {
	type outcome struct {
		report envelope.Envelope
		err    error
	}
	done := make(chan outcome, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		report, err := a.hand(ctx, e.Work.Warrant)
		done <- outcome{report, err}
	}()
	ticker := time.NewTicker(beat)
	defer ticker.Stop()
	for {
		select {
		case o := <-done:
			if o.err != nil {
				return fmt.Errorf("hand the warrant to the executor: %w", o.err)
			}
			e.Report = o.report
			return a.session(ctx, e)
		case <-ticker.C:
			if _, err := a.say(ctx, e); err != nil {
				a.log.Warn("check-in while the executor works", "error", err)
			}
		}
	}
}

// hand writes the warrant to the executor's socket and reads the report, which must be signed by this host's executor.
func (a *Agent) hand(ctx context.Context, warrant []byte) (report envelope.Envelope, err error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", a.places.Socket)
	if err != nil {
		return report, fault.New(fault.Unavailable, "%w", err)
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err = conn.Write(warrant); err == nil {
		err = conn.(*net.UnixConn).CloseWrite()
	}
	var b []byte
	if err == nil {
		b, err = io.ReadAll(io.LimitReader(conn, wire.MaxReport))
	}
	if err != nil {
		return report, fault.New(fault.Unavailable, "%w", err)
	}
	if err := json.Unmarshal(b, &report); err != nil {
		return report, fault.New(fault.Unavailable, "the executor ended without a report (%d bytes)", len(b))
	}
	return report, a.signedHere(report)
}

// session brings the log of the executor's session to the server. A report without one stands alone: a refusal
// comes before any session.
func (a *Agent) session(ctx context.Context, e *errand) error {
	b, err := readFile(a.places.session(e.Order), wire.MaxObject)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read the session log: %w", err)
	}
	e.Session = envelope.Digest(b)
	missing, err := a.missing(ctx, []string{e.Session})
	if err != nil || len(missing) == 0 {
		return err
	}
	return a.client.put(ctx, e.Session, wire.SessionObject, b)
}

// signedHere checks that a report is by the executor of this host.
func (a *Agent) signedHere(report envelope.Envelope) error {
	text, err := readReportKey(a.places.reportKey())
	if err != nil {
		return err
	}
	public, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(public) != ed25519.PublicKeySize || len(report.Signatures) != 1 {
		return errors.New("no executor's key, or no signature on the report")
	}
	_, err = envelope.Ed25519Key(public).Verify(report.PayloadType, report.Payload, report.Signatures[0])
	return err
}
