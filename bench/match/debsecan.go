package main

import (
	"bytes"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/bench/fleet"
	"github.com/patchwarrant/patchwarrant/internal/intake"
	"github.com/patchwarrant/patchwarrant/internal/pkgset"
)

// debsecan is the peer with a server of its data on loopback; nil where the program is not installed.
type debsecan struct {
	program, url string
	server       *http.Server
}

func startDebsecan(w *fleet.World) (*debsecan, error) {
	program, err := exec.LookPath("debsecan")
	if err != nil {
		fmt.Println("\ndebsecan is not installed: no comparison with it")
		return nil, nil
	}
	data, err := debsecanData(w.Statements)
	if err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &debsecan{program: program, url: "http://" + listener.Addr().String() + "/"}
	d.server = &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+fleet.Release {
			http.NotFound(rw, r)
			return
		}
		http.ServeContent(rw, r, fleet.Release, time.Time{}, bytes.NewReader(data))
	})}
	go func() { _ = d.server.Serve(listener) }() // ends with close; debsecan itself says when it cannot fetch
	return d, nil
}

func (d *debsecan) close() {
	if d != nil {
		d.server.Close()
	}
}

// debsecanData writes the statements as debsecan's "VERSION 1" file: names of vulnerabilities, then a line for each source
// and vulnerability: package, index of the name, flags (S source, urgency, remote, F fix available), the fixed version in
// the place of unstable's, and no others. So debsecan decides by the same rule as we: older than the fixed version, or
// none. Format: fetch_data and Vulnerability in debsecan 0.4.20.
func debsecanData(statements []intake.Statement) ([]byte, error) {
	index := make(map[string]int)
	for _, s := range statements {
		index[s.ID] = 0
	}
	var text bytes.Buffer
	text.WriteString("VERSION 1\n")
	for i, id := range slices.Sorted(maps.Keys(index)) {
		index[id] = i
		fmt.Fprintf(&text, "%s,,\n", id)
	}
	text.WriteString("\n")
	for _, s := range statements {
		switch s.Status {
		case intake.Fixed:
			fmt.Fprintf(&text, "%s,%d,S ?F,%s,\n", s.Package, index[s.ID], s.FixedVersion)
		case intake.Open:
			fmt.Fprintf(&text, "%s,%d,S ? ,,\n", s.Package, index[s.ID])
		}
	}
	text.WriteString("\n")
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	if _, err := z.Write(text.Bytes()); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return packed.Bytes(), nil
}

// finding is a vulnerability in a source package.
type finding struct{ id, source string }

// run judges a status file; set tells which source a binary package is of.
func (d *debsecan) run(status string, set pkgset.Set) (map[finding]bool, cost, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	command := exec.CommandContext(ctx, d.program, "--source="+d.url, "--suite="+fleet.Release, "--status="+status, "--format=simple", "--config=/dev/null")
	command.Env = append(os.Environ(), "NO_PROXY=127.0.0.1", "no_proxy=127.0.0.1")
	out, err := command.Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(e.Stderr))
		}
		return nil, cost{}, fmt.Errorf("debsecan: %w", err)
	}
	source := make(map[string]string, len(set))
	for _, p := range set {
		source[p.Name] = p.Source
	}
	found := make(map[finding]bool)
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 2 || source[fields[1]] == "" {
			return nil, cost{}, fmt.Errorf("debsecan: unexpected line %q", line)
		}
		found[finding{fields[0], source[fields[1]]}] = true
	}
	return found, costOf(command.ProcessState), nil
}
