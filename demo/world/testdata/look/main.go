// Command look stands in for the agent ("ask"), the executor ("serve") and the server ("keep"), and says what the sandbox lets it do.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

const socket = "/run/patchwarrant/executor.sock"

func main() {
	mode := "ask"
	if len(os.Args) > 1 {
		mode = os.Args[1]
	}
	switch {
	case mode == "connect":
		conn, err := net.Dial("unix", socket)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		conn.Close()
	case mode == "serve" || filepath.Base(os.Args[0]) == "patchwarrant-executor":
		serve()
	case mode == "keep":
		keep()
		time.Sleep(time.Hour)
	default:
		ask()
		time.Sleep(time.Hour)
	}
}

func ask() {
	say("agent", "user", name())
	_, err := os.ReadFile("/etc/shadow")
	tell("agent", "reads /etc/shadow", err)
	_, err = os.ReadDir("/usr/lib/modules")
	if errors.Is(err, os.ErrNotExist) {
		err = nil // no kernel is installed here; hidden would be a permission error
	}
	tell("agent", "lists /usr/lib/modules", err)
	tell("agent", "writes state", write("/var/lib/patchwarrant-agent/x"))
	tell("agent", "writes /etc", write("/etc/x"))
	tell("agent", "writes /var/tmp", write("/var/tmp/x"))
	tell("agent", "opens TCP", open(syscall.AF_INET))
	tell("agent", "opens netlink", open(syscall.AF_NETLINK))
	conn, err := net.Dial("unix", socket)
	tell("agent", "connects", err)
	if err == nil {
		answer, err := converse(conn.(*net.UnixConn))
		fmt.Print(answer)
		tell("agent", "is answered", err)
	}
	fmt.Println("agent done")
}

func keep() {
	say("server", "user", name())
	_, err := os.ReadFile("/etc/shadow")
	tell("server", "reads /etc/shadow", err)
	tell("server", "writes state", write("/var/lib/patchwarrant/x"))
	tell("server", "writes /etc", write("/etc/x"))
	tell("server", "opens TCP", open(syscall.AF_INET))
	tell("server", "opens netlink", open(syscall.AF_NETLINK))
	_, err = net.Dial("unix", socket)
	tell("server", "connects", err)
	fmt.Println("server done")
}

func converse(conn *net.UnixConn) (string, error) {
	defer conn.Close()
	if _, err := io.WriteString(conn, "a warrant"); err != nil {
		return "", err
	}
	if err := conn.CloseWrite(); err != nil {
		return "", err
	}
	answer, err := io.ReadAll(conn)
	return string(answer), err
}

func serve() {
	if b, err := io.ReadAll(os.Stdin); err != nil || string(b) != "a warrant" {
		fmt.Println("executor got", string(b), err)
	}
	say("executor", "user", name())
	tell("executor", "writes /usr", write("/usr/x"))
	tell("executor", "writes state", write("/var/lib/patchwarrant-executor/x"))
	tell("executor", "opens TCP", open(syscall.AF_INET))
	say("executor", "links:", links())
	now := syscall.NsecToTimeval(time.Now().UnixNano())
	tell("executor", "sets clock", syscall.Settimeofday(&now))
	tell("executor", "mounts", syscall.Mount("none", "/mnt", "tmpfs", 0, ""))
	_, err := os.Readlink("/proc/1/root")
	tell("executor", "reads /proc/1/root", err)
	tell("executor", "asks systemd", exec.Command("systemctl", "daemon-reload").Run())
}

func tell(who, what string, err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, who, what, err)
		say(who, what+":", "refused")
		return
	}
	say(who, what+":", "ok")
}

func say(words ...string) { fmt.Println(strings.Join(words, " ")) }

func name() string {
	u, err := user.Current()
	if err != nil {
		return err.Error()
	}
	return u.Username
}

func write(path string) error { return os.WriteFile(path, []byte("x"), 0o600) }

func open(family int) error {
	fd, err := syscall.Socket(family, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if family == syscall.AF_NETLINK {
		fd, err = syscall.Socket(family, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, syscall.NETLINK_ROUTE)
	}
	if err != nil {
		return err
	}
	return syscall.Close(fd)
}

// links names the network devices of this process's namespace. (/sys still shows the machine's.)
func links() string {
	b, err := os.ReadFile("/proc/self/net/dev")
	if err != nil {
		return err.Error()
	}
	var names []string
	for line := range strings.Lines(string(b)) {
		if device, _, ok := strings.Cut(line, ":"); ok {
			names = append(names, strings.TrimSpace(device))
		}
	}
	return strings.Join(names, " ")
}
