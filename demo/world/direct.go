package world

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
)

// programs stands in for systemd on a Direct host, just enough for our own units: a service runs as its user with
// its ambient capability; a socket with Accept=yes starts one program per connection. Nothing is sandboxed.
type programs struct {
	mu        sync.Mutex
	running   map[string][]*exec.Cmd // by unit; a template's instances together under the template's name
	listeners map[string]*net.UnixListener
}

// unitFile is a systemd unit as far as programs understands it: the last value of each key.
type unitFile map[string]string

func readUnit(root, unit string) (unitFile, error) {
	b, err := os.ReadFile(filepath.Join(root, "usr/lib/systemd/system", unit))
	if err != nil {
		return nil, err
	}
	u := unitFile{}
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			u[key] = value
		}
	}
	return u, lines.Err()
}

func (p *programs) start(h *Host, unit string) error {
	u, err := readUnit(h.Root, unit)
	if err != nil {
		return fmt.Errorf("start %s on %s: %w", unit, h.Name, err)
	}
	if p.state(unit) == "active" {
		return nil
	}
	if strings.HasSuffix(unit, ".socket") {
		return p.listen(h, unit, u)
	}
	if dir := u["StateDirectory"]; dir != "" {
		path := "/var/lib/" + dir
		if _, err := h.Exec(context.Background(), "install", "-d", "--mode=0700", path); err != nil {
			return err
		}
		if _, err := h.Exec(context.Background(), "chown", "-R", u["User"]+":", path); err != nil {
			return err
		}
	}
	return p.run(h, unit, u, nil)
}

// run starts the unit's program; conn, if any, is its standard input and output.
func (p *programs) run(h *Host, unit string, u unitFile, conn *os.File) error {
	argv := strings.Fields(u["ExecStart"])
	if user := u["User"]; user != "" {
		as := []string{"setpriv", "--reuid=" + user, "--regid=" + user, "--init-groups"}
		if c := strings.ToLower(strings.TrimPrefix(u["AmbientCapabilities"], "CAP_")); c != "" {
			as = append(as, "--inh-caps=-all,+"+c, "--ambient-caps=-all,+"+c, "--bounding-set=-all,+"+c)
		}
		argv = append(append(as, "--"), argv...)
	}
	cmd, err := h.command(context.Background(), argv)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(p.journalPath(h, unit), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if conn != nil {
		cmd.Stdin, cmd.Stdout = conn, conn
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s on %s: %w", unit, h.Name, err)
	}
	if p.running == nil {
		p.running = map[string][]*exec.Cmd{}
	}
	p.running[unit] = append(p.running[unit], cmd)
	go p.reap(unit, cmd)
	return nil
}

func (p *programs) reap(unit string, cmd *exec.Cmd) {
	_, _ = cmd.Process.Wait() // how it ended is for whoever talks to it to judge
	p.mu.Lock()
	defer p.mu.Unlock()
	var rest []*exec.Cmd
	for _, c := range p.running[unit] {
		if c != cmd {
			rest = append(rest, c)
		}
	}
	p.running[unit] = rest
}

// listen serves a socket unit with Accept=yes: each connection is standard input and output of an own program.
func (p *programs) listen(h *Host, unit string, u unitFile) error {
	path := filepath.Join(h.Root, u["ListenStream"])
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("start %s on %s: %w", unit, h.Name, err)
	}
	p.mu.Lock()
	if p.listeners == nil {
		p.listeners = map[string]*net.UnixListener{}
	}
	p.listeners[unit] = l
	p.mu.Unlock()
	owner := u["SocketUser"] + ":" + u["SocketGroup"]
	if _, err := h.Exec(context.Background(), "chown", owner, u["ListenStream"]); err != nil {
		return err
	}
	if _, err := h.Exec(context.Background(), "chmod", u["SocketMode"], u["ListenStream"]); err != nil {
		return err
	}
	go p.accept(h, l, strings.TrimSuffix(unit, ".socket")+"@.service")
	return nil
}

func (p *programs) accept(h *Host, l *net.UnixListener, template string) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return // closed by stopAll or signal
		}
		if err := p.serve(h, conn, template); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

func (p *programs) serve(h *Host, conn *net.UnixConn, template string) error {
	defer conn.Close()
	u, err := readUnit(h.Root, template)
	if err != nil {
		return err
	}
	file, err := conn.File()
	if err != nil {
		return err
	}
	defer file.Close()
	return p.run(h, template, u, file)
}

// signal reaches the unit's programs; for a socket it ends the listening.
func (p *programs) signal(unit string, sig syscall.Signal) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	var errs []error
	if l := p.listeners[unit]; l != nil {
		errs = append(errs, l.Close())
		delete(p.listeners, unit)
	}
	for _, cmd := range p.running[strings.Replace(unit, "@*", "@", 1)] {
		if err := cmd.Process.Signal(sig); !errors.Is(err, os.ErrProcessDone) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func (p *programs) state(unit string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listeners[unit] != nil || len(p.running[unit]) > 0 {
		return "active"
	}
	return "inactive"
}

func (p *programs) journalPath(h *Host, unit string) string {
	return filepath.Join(filepath.Dir(h.console), strings.Replace(unit, "@*", "@", 1)+".log")
}

func (p *programs) journal(h *Host, unit string) (string, error) {
	b, err := os.ReadFile(p.journalPath(h, unit))
	return string(b), err
}

func (p *programs) stopAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for unit, l := range p.listeners {
		_ = l.Close()
		delete(p.listeners, unit)
	}
	for _, cmds := range p.running {
		for _, cmd := range cmds {
			_ = cmd.Process.Kill()
		}
	}
}
