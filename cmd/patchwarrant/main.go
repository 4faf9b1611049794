// Patchwarrant is the command line of a person: it talks to a server, renders and signs what the person approves, and
// checks evidence and package lists offline.
package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/orderview"
)

// Exit codes.
const (
	exitOK       = 0
	exitFailed   = 1
	exitUsage    = 2 // the command line is wrong; nothing was tried
	exitConflict = 3 // the state does not allow it now; look again
)

func main() { os.Exit(run()) }

func run() int {
	c, err := newRootCommand().ExecuteC()
	if err == nil {
		return exitOK
	}
	code := exitFailed
	if _, tried := errors.AsType[*failure](err); !tried {
		code = exitUsage
	} else if fault.KindOf(err) == fault.Conflict {
		code = exitConflict
	}
	if slices.Contains(os.Args[1:], "--json") {
		if err := printJSON(os.Stderr, troubleOf(err, code)); err != nil {
			return exitFailed
		}
		return code
	}
	fmt.Fprintln(os.Stderr, "patchwarrant: "+complaint(err))
	if code == exitUsage {
		fmt.Fprintf(os.Stderr, "usage: %s\n       %s --help tells more\n", c.UseLine(), c.CommandPath())
	}
	return code
}

// trouble is an error as --json prints it, to standard error.
type trouble struct {
	Kind   string `json:"kind"` // see package fault; usage: the command line is wrong; failed: trouble on this machine
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail"`
	Exit   int    `json:"exit"`
}

func troubleOf(err error, exit int) trouble {
	t := trouble{Kind: "failed", Code: fault.CodeOf(err), Detail: err.Error(), Exit: exit}
	if f, ok := errors.AsType[*fault.Error](err); ok {
		t.Kind = string(f.Kind)
	} else if exit == exitUsage {
		t.Kind = "usage"
	}
	return t
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:           "patchwarrant",
		Short:         "Security patches under warrant: no patch without two signatures",
		SilenceErrors: true,
		SilenceUsage:  true,
	}
	root.AddCommand(newLoginCommand(), newLogoutCommand(), newWhoamiCommand(), newSessionCommand(), newTokenCommand(), newPasskeyCommand(),
		newPersonCommand(), newTrustRootCommand(), newHostCommand(), newRecordCommand(), newGroupCommand(), newBuildCommand(), newHealthCommand(), newSourceCommand(), newAdvisoryCommand(),
		newOrderCommand(), newApproveCommand(), newLedgerCommand(),
		newVulnerabilityCommand(), newClockCommand(), newPolicyCommand(), newVEXCommand(), newUpstreamCommand(), newSnapshotCommand(), newChannelCommand(), newReconciliationCommand(),
		newInvestigationCommand(), newReportCommand(), newViewCommand(), newBundleCommand(), newVerifyCommand(), newScanCommand(), newScanReportCommand(), newSuspicionCommand(), newDutyCommand())
	markFailures(root)
	return root
}

// failure is an error of a command that ran, not of its command line.
type failure struct{ error }

func (f *failure) Unwrap() error { return f.error }

func markFailures(c *cobra.Command) {
	if do := c.RunE; do != nil {
		c.RunE = func(c *cobra.Command, args []string) error {
			if err := do(c, args); err != nil {
				return &failure{err}
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		markFailures(sub)
	}
}

// complaint is an error's text on one line, with the code of the attack it looks like. Servers and files have a part in it:
// what a terminal would act on is escaped.
func complaint(err error) string {
	text := err.Error()
	if code := fault.CodeOf(err); code != "" {
		text += " (" + code + ")"
	}
	lines := strings.FieldsFunc(text, func(r rune) bool { return r == '\n' || r == '\t' })
	return orderview.Clean(strings.Join(lines, "; "))
}
