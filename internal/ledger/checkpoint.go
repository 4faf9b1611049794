package ledger

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/patchwarrant/patchwarrant/internal/db"
	"github.com/patchwarrant/patchwarrant/internal/fault"
	"github.com/patchwarrant/patchwarrant/internal/proof"
)

// renewAfter is the age at which a checkpoint is signed anew though the log has not grown: hosts want a fresh one.
const renewAfter = time.Minute

// Checkpoint gives a signed checkpoint over all that is committed, at most a minute old. Before it signs, it makes sure
// that the log continues both the latest checkpoint in the database and the one in the guard file; where it does not
// (a restored backup, a lost tail, an edited database), it refuses with the code LOG-ROLLBACK.
func (l *Ledger) Checkpoint(ctx context.Context) (string, error) {
	l.signing.Lock()
	defer l.signing.Unlock()
	for {
		c, old, signed, err := l.next(ctx)
		if err != nil || signed {
			return old, err
		}
		text, err := l.sign(c)
		if err != nil {
			return "", err
		}
		var ours bool
		err = l.DB.Write(ctx, func(tx *db.Tx) error {
			ours, err = setCheckpoint(ctx, tx, text, old)
			return err
		})
		if err != nil {
			return "", fmt.Errorf("keep checkpoint: %w", err)
		}
		if ours {
			return text, nil
		}
	}
}

// next gives the checkpoint to sign and the one signed last, or signed if that one will do.
func (l *Ledger) next(ctx context.Context) (c proof.Checkpoint, old string, signed bool, err error) {
	err = l.DB.Read(ctx, func(tx *db.Tx) error {
		c = proof.Checkpoint{Origin: l.Origin, At: l.Now().UTC().Truncate(time.Second)}
		n, err := size(ctx, tx)
		if err != nil {
			return fmt.Errorf("read ledger size: %w", err)
		}
		if old, err = checkpoint(ctx, tx); err != nil {
			return fmt.Errorf("read checkpoint: %w", err)
		}
		was, err := l.latest(old)
		if err != nil {
			return err
		}
		for i, w := range was {
			if i > 0 && w.Size == was[0].Size && w.Root == was[0].Root {
				continue // the guard remembers what the database does
			}
			if err := continues(ctx, tx, n, w); err != nil {
				return err
			}
		}
		if old != "" && was[0].Size == n && c.At.Sub(was[0].At) < renewAfter && !c.At.Before(was[0].At) {
			signed = true
			return nil
		}
		c.Size = n
		c.Root, err = treeHash(ctx, tx, n)
		return err
	})
	if err != nil {
		return c, "", false, err
	}
	return c, old, signed, nil
}

// latest gives what was signed before: by the database (first) and by the guard file.
func (l *Ledger) latest(old string) ([]proof.Checkpoint, error) {
	guard, guarded, err := l.readGuard()
	if err != nil {
		return nil, err
	}
	if old == "" {
		if guarded && guard.Size > 0 {
			return nil, fault.Refuse(fault.LogRollback, "the guard file %s knows a checkpoint of size %d, the database "+
				"none: restore the database, or start a new log with another origin", l.GuardFile, guard.Size)
		}
		return nil, nil
	}
	if !guarded {
		return nil, fault.Refuse(fault.LogRollback, "the guard file %s is missing, but the database was signed for "+
			"before: restore the file (from another server of this log, or a backup)", l.GuardFile)
	}
	c, err := proof.OpenCheckpoint(old, []string{l.Verifier}, l.Origin)
	if err != nil {
		return nil, fmt.Errorf("open the checkpoint in the database: %w", err)
	}
	return []proof.Checkpoint{c, guard}, nil
}

// continues checks that the log of size n has not lost or changed what an earlier checkpoint covers.
func continues(ctx context.Context, tx *db.Tx, n int64, was proof.Checkpoint) error {
	if was.Size > n {
		return fault.Refuse(fault.LogRollback, "the ledger has %d entries, but a checkpoint of %d was signed: "+
			"the database went back; restore its latest state, or start a new log with another origin", n, was.Size)
	}
	root, err := treeHash(ctx, tx, was.Size)
	if err != nil {
		return err
	}
	if root != was.Root {
		return fault.Refuse(fault.LogRollback, "the first %d entries of the ledger are not those of the checkpoint "+
			"signed before: the database was changed; restore it, and find out who did", was.Size)
	}
	return nil
}

func treeHash(ctx context.Context, tx *db.Tx, n int64) (tlog.Hash, error) {
	if n == 0 {
		return tlog.TreeHash(0, nil)
	}
	root, err := tlog.TreeHash(n, hashes(ctx, tx))
	if err != nil {
		return root, fmt.Errorf("compute ledger root: %w", err)
	}
	return root, nil
}

// sign remembers a checkpoint in the guard file, then signs it.
func (l *Ledger) sign(c proof.Checkpoint) (string, error) {
	if err := l.writeGuard(c); err != nil {
		return "", err
	}
	text, err := note.Sign(&note.Note{Text: proof.FormatCheckpoint(c)}, l.Signer)
	if err != nil {
		return "", fmt.Errorf("sign checkpoint: %w", err)
	}
	return string(text), nil
}

// readGuard reads the guard file: "<size> <root in hex>\n".
func (l *Ledger) readGuard() (c proof.Checkpoint, found bool, err error) {
	b, err := os.ReadFile(l.GuardFile)
	if errors.Is(err, fs.ErrNotExist) {
		return c, false, nil
	}
	if err != nil {
		return c, false, fmt.Errorf("read guard file: %w", err)
	}
	var root string
	if _, err := fmt.Sscanf(string(b), "%d %64s\n", &c.Size, &root); err != nil {
		return c, false, fault.New(fault.Conflict, "guard file %s: want a size and a root", l.GuardFile)
	}
	if n, err := hex.Decode(c.Root[:], []byte(root)); err != nil || n != len(c.Root) {
		return c, false, fault.New(fault.Conflict, "guard file %s: want a root of 64 hex digits", l.GuardFile)
	}
	return c, true, nil
}

func (l *Ledger) writeGuard(c proof.Checkpoint) error {
	err := replaceFile(l.GuardFile, fmt.Appendf(nil, "%d %x\n", c.Size, c.Root))
	if err != nil {
		return fmt.Errorf("write guard file: %w", err)
	}
	return nil
}

// replaceFile writes a file aside, syncs it and renames it, so that a crash leaves the old or the new bytes.
func replaceFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".new-")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
