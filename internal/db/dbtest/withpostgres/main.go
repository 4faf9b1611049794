// Withpostgres runs a command beside a throw-away PostgreSQL server and tells it the address in PATCHWARRANT_TEST_POSTGRES:
//
//	go run ./internal/db/dbtest/withpostgres go test ./...
//
// The server is the machine's own (Debian package postgresql), listens on a socket in a temporary directory only, and is
// gone afterwards. PostgreSQL refuses to be root, so for root it runs as the user postgres.
package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/patchwarrant/patchwarrant/internal/db/dbtest"
)

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: withpostgres COMMAND [ARGUMENT]…")
		os.Exit(2)
	}
	err := run(os.Args[1], os.Args[2:])
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		os.Exit(exit.ExitCode())
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "withpostgres: "+err.Error())
		os.Exit(1)
	}
}

func run(command string, arguments []string) (err error) {
	dir, err := os.MkdirTemp("", "withpostgres-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := cluster{dir: dir}
	if c.bin, err = programs(); err != nil {
		return err
	}
	if os.Geteuid() == 0 {
		if err := c.demote(); err != nil {
			return err
		}
	}
	// Nobody minds what a throw-away server loses when the machine stops.
	if err := c.do("initdb", "-D", c.data(), "-A", "trust", "-U", "patchwarrant", "-E", "UTF8", "--no-locale", "--no-sync"); err != nil {
		return err
	}
	options := fmt.Sprintf("-k %s -h '' -c fsync=off -c full_page_writes=off -c max_connections=200", dir)
	if err := c.do("pg_ctl", "-D", c.data(), "-l", filepath.Join(dir, "log"), "-w", "-o", options, "start"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.do("pg_ctl", "-D", c.data(), "-w", "-m", "immediate", "stop")) }()
	signal.Notify(make(chan os.Signal, 1), os.Interrupt, syscall.SIGTERM) // the command hears them and ends; we still clean up
	work := exec.Command(command, arguments...)
	work.Env = append(os.Environ(), dbtest.Postgres+"=postgres://patchwarrant@/postgres?host="+dir)
	work.Stdin, work.Stdout, work.Stderr = os.Stdin, os.Stdout, os.Stderr
	return work.Run()
}

// cluster is a database cluster in a directory.
type cluster struct {
	dir, bin string
	as       *syscall.SysProcAttr
}

func (c cluster) data() string { return filepath.Join(c.dir, "data") }

// programs finds the newest PostgreSQL: Debian keeps initdb and pg_ctl off the path.
func programs() (string, error) {
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		path, err := exec.LookPath("initdb")
		if err != nil {
			return "", errors.New("no PostgreSQL here: apt-get install postgresql")
		}
		return filepath.Dir(path), nil
	}
	slices.Sort(found) // versions have two digits
	return filepath.Dir(found[len(found)-1]), nil
}

// demote makes the server run as the user postgres.
func (c *cluster) demote() error {
	u, err := user.Lookup("postgres")
	if err != nil {
		return err
	}
	uid, err := strconv.Atoi(u.Uid)
	if err != nil {
		return err
	}
	gid, err := strconv.Atoi(u.Gid)
	if err != nil {
		return err
	}
	c.as = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(c.dir, uid, gid)
}

func (c cluster) do(program string, arguments ...string) error {
	run := exec.Command(filepath.Join(c.bin, program), arguments...)
	run.Dir, run.SysProcAttr = c.dir, c.as
	run.Env = []string{"LC_ALL=C.UTF-8", "PATH=/usr/bin:/bin"}
	out, err := run.Output() // of pg_ctl, not of the server it leaves behind, whose words are in its log
	if err != nil {
		return fmt.Errorf("%s: %w\n%s", program, err, out)
	}
	return nil
}
