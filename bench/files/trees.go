package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/patchwarrant/patchwarrant/internal/filetree"
)

const (
	filesOfTree  = 200_000
	changedFiles = 10
)

// compareTrees makes a tree of 200,000 files (a quarter in directories of 5,000, a quarter in directories of 500, half in
// directories of 20), changes ten of them, evenly spread, and measures the comparison and what an agent sends.
func compareTrees(out io.Writer, runs int) error {
	root, err := os.MkdirTemp("/dev/shm", "bench-files-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	var files []string
	for _, shape := range []struct{ share, size int }{{4, 5000}, {4, 500}, {2, 20}} {
		for i := range filesOfTree / shape.share {
			dir := filepath.Join(root, fmt.Sprint("of-", shape.size), fmt.Sprint(i/shape.size/50), fmt.Sprint(i/shape.size))
			if i%shape.size == 0 {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return err
				}
			}
			files = append(files, filepath.Join(dir, fmt.Sprintf("file-%06d", i)))
			if err := os.WriteFile(files[len(files)-1], fmt.Append(nil, i), 0o644); err != nil {
				return err
			}
		}
	}
	ctx, start := context.Background(), time.Now().Add(time.Second)
	before, err := filetree.Scan(ctx, root, filetree.Options{Start: start}, nil)
	if err != nil {
		return err
	}
	for i := range changedFiles {
		if err := os.WriteFile(files[(2*i+1)*len(files)/(2*changedFiles)], []byte("changed"), 0o644); err != nil {
			return err
		}
	}
	after, err := filetree.Scan(ctx, root, filetree.Options{Start: start}, before)
	if err != nil {
		return err
	}
	var took []time.Duration
	var changes []filetree.Change
	for range runs {
		began := time.Now()
		if changes, err = filetree.Diff(ctx, either{before, after}, before.Digest, after.Digest); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	objects, plain, sent, err := upload(ctx, before, after)
	if err != nil {
		return err
	}
	slices.Sort(took)
	fmt.Fprintf(out, "\ntwo trees of %d files that differ in %d: comparison %.2f ms (%.2f to %.2f), %d changes found\n", len(files), changedFiles,
		1e3*took[len(took)/2].Seconds(), 1e3*took[0].Seconds(), 1e3*took[len(took)-1].Seconds(), len(changes))
	fmt.Fprintf(out, "upload for them: %d directory objects, %d bytes as sent (deltas), %d bytes in full\n", objects, sent, plain)
	return nil
}

// upload gives what an agent sends after a change: the directory objects that before does not have, as deltas where that is less.
func upload(ctx context.Context, before, after *filetree.State) (objects, plain, sent int, err error) {
	bases := after.Bases(before)
	for digest := range after.Digests() {
		if _, err := before.Get(ctx, digest); err == nil {
			continue
		}
		b, err := after.Get(ctx, digest)
		if err != nil {
			return 0, 0, 0, err
		}
		least := len(b)
		if base, ok := bases[digest]; ok {
			least = min(least, len(filetree.Delta(base, b)))
		}
		objects, plain, sent = objects+1, plain+len(b), sent+least
	}
	return objects, plain, sent, nil
}

// either finds objects in one of two states.
type either [2]*filetree.State

// Get implements filetree.Objects.
func (e either) Get(ctx context.Context, digest string) ([]byte, error) {
	if object, err := e[0].Get(ctx, digest); err == nil {
		return object, nil
	}
	return e[1].Get(ctx, digest)
}
