// Pages measures every page and list of the people's door on a large fleet: server time and size of each answer while 20
// people use all of them at once. Usage: go run ./bench/pages (or make bench-pages).
//
// It seeds a database (SQLite in a temporary directory, or what -database names, which must be empty), opens the server on
// it and calls the door's handler in this process: no network, no TLS, and the clients' share of the two costs is small.
// With -data DIR the database stays, and the next run with the same directory measures at once. Trust root, advisories and
// decisions go through the door, and acts through the ledger; hosts, orders, runs, investigations and snapshots are
// written in bulk (store.go), because enrolling 100,000 hosts one by one takes hours.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
	_ "modernc.org/sqlite"
)

// options of a run.
type options struct {
	data, database string
	hosts, acts    int
	clients        int
	measure        time.Duration
	profile        string
}

func main() {
	var o options
	flag.StringVar(&o.data, "data", "", "directory of the server's state, kept for the next run; default: a temporary one")
	flag.StringVar(&o.database, "database", "", "address of the database, sqlite:… or postgres://…; default: a SQLite file in the directory")
	flag.IntVar(&o.hosts, "hosts", 100_000, "hosts to seed")
	flag.IntVar(&o.acts, "acts", 100_000, "acts to seed")
	flag.IntVar(&o.clients, "clients", 20, "people at once")
	flag.DurationVar(&o.measure, "measure", 20*time.Second, "how long to measure")
	flag.StringVar(&o.profile, "profile", "", "write a CPU profile of the measurement to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/pages:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.data == "" {
		dir, err := os.MkdirTemp("", "bench-pages-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		o.data = dir
	}
	dir, err := filepath.Abs(o.data)
	if err != nil {
		return err
	}
	o.data = dir
	w, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer w.close()
	fmt.Printf("%d hosts with %d package sets, %d acts, %d orders, %d investigations, %d snapshots; %s; %s, %d CPUs, %d clients\n",
		w.seeded.Hosts, w.seeded.Sets, o.acts, orders, orders, snapshots, w.engine(), runtime.Version(), runtime.NumCPU(), o.clients)
	routes, err := w.routes(ctx)
	if err != nil {
		return err
	}
	begin := time.Now()
	if routes, err = w.warm(ctx, routes); err != nil {
		return err
	}
	fmt.Printf("every route once after the start, one after the other: %.1f s\n", time.Since(begin).Seconds())
	return w.measure(ctx, routes, o)
}
