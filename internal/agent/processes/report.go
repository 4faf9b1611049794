package processes

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// Report is what the helper with CAP_SYS_PTRACE says, and all it says.
type Report struct {
	Processes wire.Processes `json:"processes"`
	Roots     []string       `json:"roots"` // in which processes live, besides the host's own
}

// Check implements wire.Checker.
func (r *Report) Check() error {
	if len(r.Roots) > wire.MaxSources {
		r.Roots = r.Roots[:wire.MaxSources]
	}
	return r.Processes.Check()
}

// Write looks at the processes under proc and writes a Report. It reads nothing from whoever asked.
func Write(w io.Writer, proc string) error {
	found, roots, err := Find(proc)
	if err != nil {
		return fmt.Errorf("look at processes: %w", err)
	}
	return json.NewEncoder(w).Encode(Report{found, roots})
}

// Ask reads a Report from the helper's socket.
func Ask(ctx context.Context, socket string) (r Report, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return r, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	return r, wire.Decode(conn, wire.MaxDocument, &r)
}
