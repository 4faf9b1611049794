package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

// Exit codes of the offline tools, as of diff(1).
const (
	exitSame    = 0
	exitDiffers = 1
	exitTrouble = 2
)

// runTree takes the file state of a tree: `tree ROOT -o FILE`. A state that FILE already holds is brought up to date:
// only files that changed are read again. Of a running system (ROOT is /) what holds no files of its own is left out. Prints
// the tree's digest. Exit 0 or 2.
func runTree(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("tree", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", "", "`FILE` to write the state to")
	names, err := parse(flags, args)
	if err != nil || len(names) != 1 || *out == "" {
		fmt.Fprintln(stderr, "usage: patchwarrant-agent tree ROOT -o FILE")
		return exitTrouble
	}
	prev, err := filetree.Read(*out)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		fmt.Fprintln(stderr, err)
		return exitTrouble
	}
	o := filetree.Options{Start: time.Now()}
	if filepath.Clean(names[0]) == "/" {
		o.Policy = filetree.ShippedPolicy()
		o.Policy.Secret = nil // the state stays on this host, in the caller's file
	}
	state, err := filetree.Scan(context.Background(), names[0], o, prev)
	if err == nil {
		err = state.Write(*out)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitTrouble
	}
	fmt.Fprintln(stdout, state.Digest)
	fmt.Fprintf(stderr, "%d files, %d directories, %d others; %d of %d bytes read; %d gaps\n", state.Stats.Files,
		state.Stats.Dirs, state.Stats.Others, state.Stats.Hashed, state.Stats.Bytes, state.Stats.Gaps)
	if n := state.Stats.Forged; n > 0 {
		fmt.Fprintf(stderr, "ALARM: %d files have other content under the size, times and inode they had\n", n)
	}
	return exitSame
}

// runDiff compares two states: `diff A B [--json]`, one line or one JSON row per changed path. Exit 0 same, 1 different, 2 trouble.
func runDiff(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("diff", flag.ContinueOnError)
	flags.SetOutput(stderr)
	asJSON := flags.Bool("json", false, "one JSON row per change")
	names, err := parse(flags, args)
	if err != nil || len(names) != 2 {
		fmt.Fprintln(stderr, "usage: patchwarrant-agent diff A B [--json]")
		return exitTrouble
	}
	var states pair
	for i, name := range names {
		if states[i], err = filetree.Read(name); err != nil {
			fmt.Fprintln(stderr, err)
			return exitTrouble
		}
	}
	changes, err := filetree.Diff(context.Background(), states, states[0].Digest, states[1].Digest)
	if err == nil {
		err = printChanges(stdout, changes, *asJSON)
	}
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitTrouble
	}
	if len(changes) > 0 {
		return exitDiffers
	}
	return exitSame
}

// parse takes flags before, between and after the names.
func parse(flags *flag.FlagSet, args []string) (names []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return names, nil
		}
		names = append(names, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

// pair finds objects in either of two states.
type pair [2]*filetree.State

func (p pair) Get(ctx context.Context, digest string) ([]byte, error) {
	if object, err := p[0].Get(ctx, digest); err == nil {
		return object, nil
	}
	return p[1].Get(ctx, digest)
}

func printChanges(w io.Writer, changes []filetree.Change, asJSON bool) error {
	out := bufio.NewWriter(w)
	rows := json.NewEncoder(out)
	rows.SetEscapeHTML(false)
	for _, c := range changes {
		switch {
		case asJSON:
			if err := rows.Encode(c); err != nil {
				return err
			}
		case c.Before == nil:
			fmt.Fprintf(out, "new      %s  %s\n", c.Path, describe(*c.After))
		case c.After == nil:
			fmt.Fprintf(out, "gone     %s\n", c.Path)
		default:
			fmt.Fprintf(out, "changed  %s  %s -> %s\n", c.Path, describe(*c.Before), describe(*c.After))
		}
	}
	return out.Flush()
}

// describe gives an entry's identity in a few words.
func describe(e filetree.Entry) string {
	words := []string{e.Type, fmt.Sprintf("%04o", e.Mode), owner(e.User, e.UID) + ":" + owner(e.Group, e.GID)}
	switch e.Type {
	case filetree.File:
		kind := "sha256"
		switch e.Note {
		case filetree.Secret:
			kind = "keyed"
		case filetree.Sparse:
			kind = "pages"
		}
		words = append(words, fmt.Sprintf("%d bytes", e.Size), fmt.Sprintf("%s:%.16s", kind, e.SHA256))
	case filetree.Symlink:
		words = append(words, "to "+e.Target)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		words = append(words, name+"="+filetree.Readable(name, e.Xattrs[name]))
	}
	if e.Note != "" {
		words = append(words, "("+e.Note+")")
	}
	return strings.Join(words, " ")
}

func owner(name string, id uint32) string {
	if name == "" {
		return fmt.Sprint(id)
	}
	return name
}
