package main

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/patchwarrant/patchwarrant/internal/trustroot"
	"github.com/patchwarrant/patchwarrant/internal/warrant"
	"github.com/patchwarrant/patchwarrant/internal/warrant/warranttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"patchwarrant-executor": main})
}

func TestScripts(t *testing.T) {
	w := warranttest.New(t)
	deb := []byte("hello 1.1")
	record := w.Record([]byte("Package: hello\n"), warranttest.Package("hello", "1.1", deb))
	good := w.Order(record)
	unsigned := w.Warrant(good, record)
	unsigned.Order.Signatures = unsigned.Order.Signatures[:1]
	stolen := w.Warrant(good, record)
	stolen.Order.Payload[len(stolen.Order.Payload)-20] ^= 1
	warrants := map[string]*warrant.Warrant{"good": w.Warrant(good, record), "one": unsigned, "altered": stolen}
	next := w.NextRoot(func(r *trustroot.Root) { r.Organisation = "Another" }, "alice") // one signature is no quorum

	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			for name, doc := range warrants {
				b, err := doc.Encode()
				if err == nil {
					err = os.WriteFile(filepath.Join(e.WorkDir, name), b, 0o600)
				}
				if err != nil {
					return err
				}
			}
			first, err := json.Marshal(w.RootEnvelope)
			if err != nil {
				return err
			}
			forged, err := json.Marshal(next)
			return errors.Join(err, os.WriteFile(filepath.Join(e.WorkDir, "root.json"), first, 0o600),
				os.WriteFile(filepath.Join(e.WorkDir, "forged.json"), forged, 0o600))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exit": exit},
	})
}

// exit CODE PROGRAM ARGS… demands an exact exit code.
func exit(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exit CODE PROGRAM ARGS...")
	}
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		status, ok := errors.AsType[*exec.ExitError](err)
		if !ok {
			ts.Fatalf("%v", err)
		}
		got = status.ExitCode()
	}
	if strconv.Itoa(got) != args[0] {
		ts.Fatalf("%v ended with %d, want %s", args[1:], got, args[0])
	}
}
