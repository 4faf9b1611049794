package agent

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent/inventory"
	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Line is the enrolment line a person carries to the host: where to, the one-time token, and the two hashes that make
// trust on first use unnecessary.
type Line struct {
	Server    string // https://HOST:PORT
	Token     string
	CA        string // SHA-256 of the CA certificate (DER), lower hex
	TrustRoot string // SHA-256 of the trust root's payload, lower hex
}

// Enrol makes this machine a host of the server: root runs it once. It trusts nothing but the line, writes the root-owned
// files under places.Etc and the identity under places.State, and gives the answer.
func Enrol(ctx context.Context, places Places, line Line, now func() time.Time) (*wire.EnrolAnswer, error) {
	server, err := url.Parse(line.Server)
	if err != nil || !envelope.ValidDigest(line.CA) || !envelope.ValidDigest(line.TrustRoot) || line.Token == "" {
		return nil, fault.New(fault.Invalid, "the enrolment line needs server, token, and the CA's and trust root's SHA-256 in lower hex")
	}
	for _, dir := range []string{places.Etc, places.State} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
	}
	c, err := newClient(line.Server, wire.Pinned(line.CA, server.Hostname(), now))
	if err != nil {
		return nil, err
	}
	var config Config
	if err := readJSON(places.config(), &config); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	key, csr, err := config.newKey()
	if err != nil {
		return nil, err
	}
	request := wire.EnrolRequest{Token: line.Token, Name: inventory.Hostname(places.Root), CSR: csr}
	if request.ReportKey, err = wake(ctx, places); err != nil {
		return nil, err
	}
	var answer wire.EnrolAnswer
	if err := c.post(ctx, wire.EnrolPath, request, wire.MaxAnswer, &answer); err != nil {
		return nil, fmt.Errorf("enrol: %w", err)
	}
	if err := checkAnswer(&answer, line, now()); err != nil {
		return nil, fmt.Errorf("enrol: the server's answer is refused: %w", err)
	}
	if !certifies(answer.Certificate, key) {
		return nil, fault.New(fault.Denied, "enrol: the server's answer is refused: no certificate for this host's key")
	}
	if err := forget(places, line.TrustRoot); err != nil {
		return nil, err
	}
	if err := writeIdentity(places.identity(), key, answer.Certificate); err != nil {
		return nil, err
	}
	return &answer, config.write(places, line, &answer)
}

// wake gives the report key of this host's executor, which makes it when it is first spoken to; empty where there is no
// executor.
func wake(ctx context.Context, places Places) (string, error) {
	key, err := readReportKey(places.reportKey())
	if err != nil || key != "" || !executorListens(places) {
		return key, err
	}
	if _, err := talk(ctx, places.Socket, nil); err != nil {
		return "", fmt.Errorf("wake the executor: %w", err)
	}
	if key, err = readReportKey(places.reportKey()); err == nil && key == "" {
		err = fault.New(fault.Unavailable, "the executor listens but makes no report key; see its journal")
	}
	return key, err
}

func checkAnswer(a *wire.EnrolAnswer, line Line, now time.Time) error {
	if envelope.Digest(a.CA) != line.CA {
		return fault.New(fault.Denied, "its CA is not the enrolment line's")
	}
	first, rest, err := pick(a.TrustRoots, line.TrustRoot)
	if err != nil {
		return err
	}
	root, err := trustroot.First(first, line.TrustRoot, now)
	if err != nil {
		return err
	}
	if root, err = root.Follow(rest); err != nil {
		return err
	}
	return root.Current(now)
}

// pick finds the pinned trust root among envelopes and gives it with those after it.
func pick(roots []envelope.Envelope, hash string) (first envelope.Envelope, rest []envelope.Envelope, err error) {
	for i, e := range roots {
		if envelope.Digest(e.Payload) == hash {
			return e, roots[i+1:], nil
		}
	}
	return first, nil, fault.New(fault.Denied, "the trust root of the enrolment line is not in it")
}

// forget removes what an earlier enrolment left: its counter and its order in hand belong to the old identity. Where root
// now pins another trust root, what the executor remembers under the old one (sequence, log, later roots) goes too.
func forget(p Places, pin string) error {
	stale := []string{p.memory(), p.laterRoots(), p.errand()}
	old, err := readFile(p.rootHash(), 100)
	if err != nil && !isMissing(err) {
		return err
	}
	if old := strings.TrimSpace(string(old)); old != "" && old != pin {
		stale = append(stale, filepath.Join(p.Executor, "state.json"))
	}
	for _, path := range stale {
		if err := remove(path); err != nil {
			return err
		}
	}
	return errors.Join(os.RemoveAll(p.spool()), os.RemoveAll(filepath.Join(p.State, "carry")))
}

// write writes the files of places.Etc, agent.json last: it is the sign that the host is enrolled. What an administrator had
// set in it stays.
func (config Config) write(p Places, line Line, a *wire.EnrolAnswer) error {
	first, rest, err := pick(a.TrustRoots, line.TrustRoot)
	if err != nil {
		return err
	}
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.CA})
	if len(config.Roots) == 0 {
		config.Roots = []string{"/"}
	}
	config.Server, config.HostID = line.Server, a.HostID
	return errors.Join(
		writeFile(p.ca(), 0o644, ca),
		writeJSON(p.firstRoot(), 0o644, first),
		writeFile(p.rootHash(), 0o644, []byte(line.TrustRoot+"\n")),
		writeFile(p.environment(), 0o644, []byte(a.Environment+"\n")),
		writeFile(p.hostID(), 0o644, []byte(a.HostID+"\n")),
		writeJSON(p.laterRoots(), 0o644, rest),
		writeJSON(p.config(), 0o644, config))
}

// Own gives what an enrolment wrote under places.State to the user the agent runs as.
func Own(places Places, uid, gid int) error {
	return errors.Join(os.Lchown(places.State, uid, gid), os.Lchown(places.identity(), uid, gid), os.Lchown(places.laterRoots(), uid, gid))
}
