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
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// beat is how often the host is heard while its executor works.
const beat = time.Minute

// execute hands the warrant to the executor and waits for its signed report, however long that takes. Nothing is lost if
// the agent dies meanwhile: the executor answers the same order again with what it did.
func (a *Agent) execute(ctx context.Context, e *errand) error {
	type outcome struct {
		report envelope.Envelope
		said   warrant.Report
		err    error
	}
	done := make(chan outcome, 1)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		var o outcome
		o.report, o.said, o.err = a.hand(ctx, e.Work.Warrant)
		done <- o
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
			return a.session(ctx, e.Order, o.said)
		case <-ticker.C:
			if _, err := a.say(ctx, e); err != nil {
				a.log.Warn("check-in while the executor works", "error", err)
			}
		}
	}
}

// hand writes the warrant to the executor's socket and reads the report, which must be signed by this host's executor.
func (a *Agent) hand(ctx context.Context, document []byte) (report envelope.Envelope, said warrant.Report, err error) {
	b, err := talk(ctx, a.places.Socket, document)
	if err != nil {
		return report, said, fault.New(fault.Unavailable, "%w", err)
	}
	if err := json.Unmarshal(b, &report); err != nil {
		return report, said, fault.New(fault.Unavailable, "the executor ended without a report (%d bytes)", len(b))
	}
	key, err := readReportKey(a.places.reportKey())
	if err != nil {
		return report, said, err
	}
	public, err := base64.StdEncoding.DecodeString(key)
	if err != nil || len(public) != ed25519.PublicKeySize {
		return report, said, fault.New(fault.Unavailable, "%s is missing", a.places.reportKey())
	}
	said, err = warrant.OpenReport(report, envelope.Ed25519Key(public))
	return report, said, err
}

// talk is one exchange on the socket: all that is said, half a close, all that is answered.
func talk(ctx context.Context, socket string, document []byte) ([]byte, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if _, err := conn.Write(document); err != nil {
		return nil, err
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(conn, wire.MaxReport))
}

// session brings the log of the executor's session to the server: the very bytes that the report names.
func (a *Agent) session(ctx context.Context, order string, said warrant.Report) error {
	if said.Session == "" {
		return nil
	}
	b, err := readFile(a.places.session(order), wire.MaxObject)
	if err != nil {
		return fmt.Errorf("read the session log: %w", err)
	}
	if envelope.Digest(b) != said.Session {
		return fault.New(fault.Unavailable, "%s is not the session log that the report names", a.places.session(order))
	}
	missing, err := a.missing(ctx, []string{said.Session})
	if err != nil || len(missing) == 0 {
		return err
	}
	return a.client.put(ctx, said.Session, wire.SessionObject, b)
}

// readReportKey gives the base64 public key of the executor on this host; empty where there is none.
func readReportKey(path string) (string, error) {
	b, err := readFile(path, 4096)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	} else if err != nil {
		return "", err
	}
	key := strings.TrimSpace(string(b))
	if !wire.ValidReportKey(key) {
		return "", fault.New(fault.Invalid, "%s does not hold an executor's public key", path)
	}
	return key, nil
}
