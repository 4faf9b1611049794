package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/patchwarrant/patchwarrant/internal/envelope"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Places is where things are on a host.
type Places struct {
	Root     string // of the host's file system
	Etc      string // what root wrote at enrolment; the agent only reads it
	State    string // the agent's own: identity, counter, order in hand, carried files
	Executor string // the executor's own: its report key and session logs
	Socket   string // on which the executor takes one warrant
	Looker   string // the socket on which processes are told of; see package processes
}

// SystemPlaces are the places of an installed agent.
func SystemPlaces() Places {
	return Places{Root: "/", Etc: "/etc/patchwarrant", State: "/var/lib/patchwarrant-agent",
		Executor: "/var/lib/patchwarrant-executor", Socket: "/run/patchwarrant/executor.sock", Looker: "/run/patchwarrant/processes.sock"}
}

// Carry is the directory of an order's files, which the executor copies from.
func (p Places) Carry(order string) string { return filepath.Join(p.State, "carry", order) }

func (p Places) config() string    { return filepath.Join(p.Etc, "agent.json") }
func (p Places) ca() string        { return filepath.Join(p.Etc, "ca.pem") }
func (p Places) firstRoot() string { return filepath.Join(p.Etc, "trust-root.json") }
func (p Places) rootHash() string  { return filepath.Join(p.Etc, "trust-root.sha256") }
func (p Places) policy() string    { return filepath.Join(p.Etc, "scan.json") }
func (p Places) environment() string {
	return filepath.Join(p.Etc, "environment")
}
func (p Places) hostID() string     { return filepath.Join(p.Etc, "host-id") }
func (p Places) identity() string   { return filepath.Join(p.State, "identity.pem") }
func (p Places) laterRoots() string { return filepath.Join(p.State, "trust-roots.json") }
func (p Places) memory() string     { return filepath.Join(p.State, "memory.json") }
func (p Places) errand() string     { return filepath.Join(p.State, "errand.json") }
func (p Places) scanKey() string    { return filepath.Join(p.State, "scan.key") }
func (p Places) tree(root string) string {
	return filepath.Join(p.State, "tree-"+envelope.Digest([]byte(root))[:16])
}
func (p Places) sentTree(root string) string { return p.tree(root) + ".sent" }
func (p Places) copies(root string) string {
	return filepath.Join(p.State, "copies-"+envelope.Digest([]byte(root))[:16]+".json")
}
func (p Places) spool() string { return filepath.Join(p.State, "spool") }
func (p Places) undelivered(order string) string {
	return filepath.Join(p.State, "undelivered-"+order+".json")
}
func (p Places) session(order string) string {
	return filepath.Join(p.Executor, "sessions", order, "session.log")
}
func (p Places) reportKey() string { return filepath.Join(p.Executor, "report.pub") }

// Config is agent.json: written by enrol, extended by the host's administrator.
type Config struct {
	Server    string   `json:"server"` // https://HOST:PORT
	HostID    string   `json:"host_id"`
	Roots     []string `json:"roots"`                // file-system roots whose state is taken
	ScanHours int      `json:"scan_hours,omitempty"` // at rest, between two file states; 0: 1
	TPM       string   `json:"tpm,omitempty"`        // device of the TPM 2.0 that new keys of the identity are made in; empty: keys are files
}

func readConfig(p Places) (Config, error) {
	var c Config
	if err := readJSON(p.config(), &c); err != nil {
		return c, fmt.Errorf("read configuration (has this host been enrolled?): %w", err)
	}
	if c.Server == "" || c.HostID == "" || c.ScanHours < 0 || len(c.Roots) == 0 || len(c.Roots) > wire.MaxRoots {
		return c, fault.New(fault.Invalid, "%s needs server, host_id and one to %d roots", p.config(), wire.MaxRoots)
	}
	for _, r := range c.Roots {
		if !wire.ValidRoot(r) {
			return c, fault.New(fault.Invalid, "%s: roots must be absolute and clean", p.config())
		}
	}
	return c, nil
}

// maxLocal bounds what the agent reads back of its own.
const maxLocal = 2 * wire.MaxAnswer

func readJSON(path string, v any) error {
	b, err := readFile(path, maxLocal)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, v); err != nil {
		return fault.New(fault.Invalid, "%s is damaged: %w", path, err)
	}
	return nil
}

// readFile reads a file of at most limit bytes.
func readFile(path string, limit int64) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > limit {
		return nil, fault.New(fault.Invalid, "%s is over %d bytes", path, limit)
	}
	return os.ReadFile(path)
}

func writeJSON(path string, mode fs.FileMode, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return writeFile(path, mode, append(b, '\n'))
}

// writeFile puts b in place of the file at path: a reader, or a machine that lost power, sees the old or the new bytes.
func writeFile(path string, mode fs.FileMode, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write %s: %w", path, err), os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// remove takes a file away for good; one that is not there is no error.
func remove(path string) error {
	if err := os.Remove(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
