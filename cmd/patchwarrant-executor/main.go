// Command patchwarrant-executor obeys one warrant: it reads the document from its input (the agent's connection), writes
// its signed report, and ends. With an empty input it only makes the host's report key.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/executor"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
)

// patience with one transaction.
const patience = 4 * time.Hour

func main() {
	verifyOnly := flag.Bool("verify-only", false, "only say whether the warrant holds: the verdict, or the attack's code (exit 3)")
	host := flag.String("host-id", "", "verify for this host")
	environment := flag.String("environment", "", "verify for a host of this environment (default: any)")
	root := flag.String("trust-root", "", "verify under the trust root in this file (its envelope)")
	at := flag.String("now", "", "verify for this time, RFC 3339 (default: now)")
	flag.Parse()
	if flag.NArg() > 0 || *verifyOnly != (*root != "") || *verifyOnly != (*host != "") {
		flag.Usage()
		os.Exit(2)
	}
	document, err := io.ReadAll(io.LimitReader(os.Stdin, warrant.MaxWarrant+1))
	switch {
	case err != nil:
	case *verifyOnly:
		err = verify(document, warrant.Host{ID: *host, Environment: *environment, Now: now()}, *root, *at)
	default:
		err = obey(document)
	}
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "patchwarrant-executor:", err)
	if code := fault.CodeOf(err); code != "" {
		fmt.Println(code)
		os.Exit(3)
	}
	os.Exit(1)
}

func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func obey(document []byte) error {
	c := executor.Config{Etc: "/etc/patchwarrant", State: "/var/lib/patchwarrant-executor", Carry: "/var/lib/patchwarrant-agent/carry",
		Now: now, Run: executor.Run}
	if len(document) == 0 {
		_, err := executor.ReportKey(c.State)
		return err
	}
	x, err := executor.Open(c)
	if err != nil {
		return err
	}
	defer x.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	report, err := x.Obey(ctx, document)
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(report)
}

func verify(document []byte, h warrant.Host, rootFile, at string) error {
	b, err := os.ReadFile(rootFile)
	if err == nil && at != "" {
		h.Now, err = time.Parse(time.RFC3339, at)
	}
	if err != nil {
		return err
	}
	var root envelope.Envelope
	if err := json.Unmarshal(b, &root); err != nil {
		return fmt.Errorf("read trust root %s: %w", rootFile, err)
	}
	if h.Root, err = trustroot.First(root, envelope.Digest(root.Payload), h.Now); err != nil {
		return err
	}
	w, err := warrant.Parse(document)
	if err != nil {
		return err
	}
	leave, err := w.Check(h)
	if err != nil {
		return err
	}
	packages, copies := 0, 0
	for _, t := range leave.Transactions {
		packages, copies = packages+len(t.Actions), copies+len(t.Copies)
	}
	fmt.Printf("VALID: order %s, %d packages and %d copies for host %s, signed by", leave.Order.ID, packages, copies, h.ID)
	for _, a := range leave.Approvals {
		fmt.Print(" ", a.Person.ID)
	}
	fmt.Println()
	return nil
}
