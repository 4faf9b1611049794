// Demo tells the story of one security patch on real Debian hosts: from the advisory, under two people's signatures, to
// evidence that is checked offline; then it shows three attacks fail. It exits 0 only if everything held.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/patchwarrant/patchwarrant/demo/story"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := demo(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "demo: "+err.Error())
		stop()
		os.Exit(1)
	}
}

func demo(ctx context.Context) (err error) {
	s, err := story.Open(ctx, story.Config{World: "demo", Programs: "bin", Packages: "dist", Out: "demo/out", Say: os.Stdout})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.Tell(ctx); err != nil {
		return err
	}
	if err := s.Attack(ctx); err != nil {
		return err
	}
	s.Table()
	fmt.Printf("\nEverything held. The evidence of the change is %[1]s; check it yourself:\n  bin/patchwarrant verify %[1]s --root %[2]s\n", s.Bundle(), s.Root())
	return nil
}
