// Package agenttest makes hosts for tests: the real agent beside an executor that checks each warrant as the real one does,
// and leaves what to install to the test.
package agenttest

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// Host is a machine in a directory of its own.
type Host struct {
	agent.Places
	ID    string // once enrolled
	Agent *agent.Agent
	// Install does what the actions of a warrant say. It gives the session's log, and what is there then.
	Install func(actions []warrant.Action) (log string, seen []warrant.Observed, err error)
	Refused func(error) // is told why a warrant was not obeyed

	key      ed25519.PrivateKey
	now      func() time.Time
	top      string // all of the host's files
	listener net.Listener
}

// New makes a host that nobody has enrolled, with these files by their path on it.
func New(now func() time.Time, files map[string]string) (*Host, error) {
	top, err := os.MkdirTemp("", "pw") // short: a socket's path is bounded
	if err != nil {
		return nil, err
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	in := func(name string) string { return filepath.Join(top, name) }
	h := &Host{Places: agent.Places{Root: in("root"), Etc: in("etc"), State: in("agent"), Executor: in("executor"), Socket: in("socket")},
		Refused: func(error) {}, key: private, now: now, top: top}
	err = put(filepath.Join(h.Executor, "report.pub"), base64.StdEncoding.EncodeToString(public)+"\n")
	for path, text := range files {
		err = errors.Join(err, h.Write(path, text))
	}
	return h, err
}

// Write writes a file of the host.
func (h *Host) Write(path, text string) error { return put(filepath.Join(h.Root, path), text) }

func put(path, text string) error {
	return errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644))
}

// Enrol enrols the host by the line that a server printed; server is its address if the line's does not lead there.
func (h *Host) Enrol(ctx context.Context, line, server string) error {
	flags := map[string]string{}
	for words := strings.Fields(line)[2:]; len(words) > 1; words = words[2:] {
		flags[words[0]] = words[1]
	}
	answer, err := agent.Enrol(ctx, h.Places, agent.Line{Server: cmp.Or(server, flags["--server"]), Token: flags["--token"],
		CA: flags["--ca"], TrustRoot: flags["--trust-root"]}, h.now)
	h.ID = answer.HostID
	return err
}

// Open starts the executor and the agent, which reports all it knows. The caller closes the host.
func (h *Host) Open(ctx context.Context, version string) (err error) {
	if h.Agent, err = agent.Open(h.Places, version, h.now, slog.New(slog.DiscardHandler)); err != nil {
		return err
	}
	if h.listener, err = new(net.ListenConfig).Listen(ctx, "unix", h.Socket); err != nil {
		return err
	}
	go h.execute(h.listener)
	for range 2 {
		if _, err := h.Agent.Once(ctx); err != nil {
			return errors.Join(err, h.listener.Close())
		}
	}
	return nil
}

// Close ends the executor and removes the host's files.
func (h *Host) Close() error { return errors.Join(h.listener.Close(), os.RemoveAll(h.top)) }

// Work lets the agent go round, with a pause after each round, until the function it gives is called.
func (h *Host) Work(pause func()) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			_, _ = h.Agent.Once(ctx) // a round that fails is done again
			pause()
		}
	}()
	return func() { cancel(); <-done }
}

func (h *Host) execute(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		if document, err := io.ReadAll(conn); err == nil && len(document) > 0 {
			if e, err := h.obey(document); err != nil {
				h.Refused(err)
			} else {
				_ = json.NewEncoder(conn).Encode(e)
			}
		}
		conn.Close()
	}
}

// obey checks a warrant as this host, has it carried out, and signs what came of it.
func (h *Host) obey(document []byte) (e envelope.Envelope, err error) {
	b, err := os.ReadFile(filepath.Join(h.Etc, "trust-root.json"))
	if err != nil {
		return e, err
	}
	var first envelope.Envelope
	if err := json.Unmarshal(b, &first); err != nil {
		return e, err
	}
	root, err := trustroot.Decode(first.Payload)
	if err != nil {
		return e, err
	}
	w, err := warrant.Parse(document)
	if err != nil {
		return e, err
	}
	now := func() time.Time { return h.now().UTC().Truncate(time.Microsecond) }
	begun := now()
	leave, err := w.Check(warrant.Host{ID: h.ID, Root: root, Now: begun})
	if err != nil {
		return e, err
	}
	if own := leave.Transactions; len(own) != 1 || own[0].Root != "" {
		return e, fault.Refuse(fault.ForeignRoot, "order %s changes other roots, of which this host names none", leave.Order.ID)
	}
	log, seen, err := h.Install(leave.Transactions[0].Actions)
	if err != nil {
		return e, err
	}
	r := warrant.Report{Host: h.ID, Order: leave.Order.ID, OrderDigest: leave.OrderDigest, Outcome: warrant.Done, BegunAt: begun, EndedAt: now(),
		Packages: seen, Session: envelope.Digest([]byte(log)), LogSize: leave.Checkpoint.Size, LogRoot: hex.EncodeToString(leave.Checkpoint.Root[:])}
	payload, err := r.Encode()
	return envelope.Envelope{PayloadType: warrant.ReportType, Payload: payload,
			Signatures: []envelope.Signature{envelope.SignEd25519(h.key, warrant.ReportType, payload)}},
		errors.Join(err, put(filepath.Join(h.Executor, "sessions", r.Order, "session.log"), log))
}
