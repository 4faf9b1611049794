// Command patchwarrant-agent reports what a host is and carries warrants to its executor.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"os/user"
	"strconv"
	"syscall"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/agent"
	"github.com/patchwarrant/patchwarrant/internal/agent/processes"
	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// version is set when the program is built.
var version = "devel"

// agentUser is who the agent runs as.
const agentUser = "patchwarrant-agent"

const usage = `usage: patchwarrant-agent VERB [flags]

  enrol    make this machine a host (root, once): --server URL --token T --ca SHA256 --trust-root SHA256
  run      report and carry warrants until stopped
  once     do one round and stop
  status   say what the agent knows of itself (exit 1 when it alarms)
  version  print the version
  processes  print which processes run replaced or deleted files (others' with CAP_SYS_PTRACE)
  tree     take the file state of a tree: tree ROOT -o FILE
  diff     compare two file states: diff A B [--json]
`

func main() {
	if len(os.Args) < 2 {
		fmt.Fprint(os.Stderr, usage)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(do(ctx, os.Args[1], os.Args[2:], os.Stdout, os.Stderr))
}

// do runs a verb and gives the exit code: 0 ok, 1 failed or alarmed, 2 usage.
func do(ctx context.Context, verb string, args []string, stdout, stderr io.Writer) int {
	verbs := map[string]func(context.Context, []string, io.Writer, io.Writer) error{
		"enrol": enrol, "run": run, "once": once, "status": status, "processes": running,
	}
	switch {
	case verb == "tree":
		return runTree(args, stdout, stderr)
	case verb == "diff":
		return runDiff(args, stdout, stderr)
	case verb == "version" && len(args) == 0:
		fmt.Fprintln(stdout, "patchwarrant-agent", version)
		return 0
	case verbs[verb] == nil:
		fmt.Fprint(stderr, usage)
		return 2
	case verb != "enrol" && len(args) > 0:
		fmt.Fprintf(stderr, "%s takes no arguments\n", verb)
		return 2
	}
	err := verbs[verb](ctx, args, stdout, stderr)
	switch {
	case errors.Is(err, errUsage):
		return 2
	case err != nil:
		fmt.Fprintf(stderr, "patchwarrant-agent %s: %v\n", verb, err)
		return 1
	}
	return 0
}

var errUsage = errors.New("usage")

// enrol makes this machine a host; of an agent that was enrolled before only its configuration stays.
func enrol(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var line agent.Line
	flags := flag.NewFlagSet("enrol", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&line.Server, "server", "", "`URL` of the agents' door: https://HOST:PORT")
	flags.StringVar(&line.Token, "token", "", "one-time enrolment `token`")
	flags.StringVar(&line.CA, "ca", "", "`SHA-256` of the server's CA certificate")
	flags.StringVar(&line.TrustRoot, "trust-root", "", "`SHA-256` of the trust root")
	if flags.Parse(args) != nil || flags.NArg() > 0 {
		return errUsage
	}
	places := agent.SystemPlaces()
	answer, err := agent.Enrol(ctx, places, line, time.Now)
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "enrolled as %s in %s\n", answer.HostID, answer.Environment)
	if _, err := os.Stat(places.Socket); errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(stdout, "no executor listens here: this host is observed, nothing can be installed on it")
	}
	return own(places, stdout)
}

// own gives the agent's files to its user, where the system has one.
func own(places agent.Places, stdout io.Writer) error {
	u, err := user.Lookup(agentUser)
	if err != nil {
		fmt.Fprintf(stdout, "there is no user %s: the agent's files stay with the user who enrolled\n", agentUser)
		return nil
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	return agent.Own(places, uid, gid)
}

func open(stderr io.Writer) (*agent.Agent, error) {
	return agent.Open(agent.SystemPlaces(), version, time.Now, slog.New(slog.NewTextHandler(stderr, nil)))
}

func run(ctx context.Context, _ []string, _, stderr io.Writer) error {
	a, err := open(stderr)
	if err != nil {
		return err
	}
	return a.Run(ctx)
}

func once(ctx context.Context, _ []string, stdout, stderr io.Writer) error {
	a, err := open(stderr)
	if err != nil {
		return err
	}
	next, err := a.Once(ctx)
	if err == nil {
		fmt.Fprintf(stdout, "next round in %s\n", next)
	}
	return err
}

func running(_ context.Context, _ []string, stdout, _ io.Writer) error {
	return processes.Write(stdout, "/proc")
}

func status(_ context.Context, _ []string, stdout, stderr io.Writer) error {
	a, err := open(stderr)
	if err != nil {
		return err
	}
	s, err := a.Status()
	if err != nil {
		return err
	}
	out := json.NewEncoder(stdout)
	out.SetIndent("", "  ")
	if err := out.Encode(s); err != nil {
		return err
	}
	if s.Alarm != "" {
		return fault.New(fault.Unavailable, "alarm %s", s.Alarm)
	}
	return nil
}
