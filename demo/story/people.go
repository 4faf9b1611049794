package story

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/ssh"
)

// person has an SSH key and the command line.
type person struct {
	ID    string   `toml:"id"`
	Name  string   `toml:"name"`
	Mail  string   `toml:"mail"`
	Roles []string `toml:"roles"`
	Keys  []string `toml:"keys"`

	key, session string // files
}

// hire makes the people and their keys.
func (s *Story) hire() error {
	s.people = map[string]*person{}
	for _, p := range []*person{
		{ID: "alice", Name: "Alice Ahrens", Roles: []string{"cirt-analyst"}},
		{ID: "bob", Name: "Bob Brandt", Roles: []string{"operations-manager", "system-owner"}},
		{ID: "carol", Name: "Carol Cordes", Roles: []string{"product-manager"}},
		{ID: "dave", Name: "Dave Dietz", Roles: []string{"risk-manager"}},
		{ID: "erin", Name: "Erin Ebert", Roles: []string{"administrator"}},
		{ID: "frank", Name: "Frank Fuchs", Roles: []string{"system-owner"}},
	} {
		p.Mail = p.ID + "@example.org"
		p.key, p.session = filepath.Join(s.dir, p.ID+".key"), filepath.Join(s.dir, p.ID+".session")
		line, err := makeKey(p.key)
		if err != nil {
			return fmt.Errorf("make %s's key: %w", p.ID, err)
		}
		p.Keys = []string{line}
		s.people[p.ID] = p
	}
	return nil
}

// makeKey writes a new private key to a file and gives the public one as an authorized_keys line.
func makeKey(path string) (string, error) {
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", err
	}
	block, err := ssh.MarshalPrivateKey(private, "")
	if err != nil {
		return "", err
	}
	line, err := ssh.NewPublicKey(public)
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(line))), os.WriteFile(path, pem.EncodeToMemory(block), 0o600)
}

// refusal is a command that ran and failed, with what it said.
type refusal struct {
	code int
	said string
}

func (r *refusal) Error() string { return fmt.Sprintf("exit %d: %s", r.code, r.said) }

// isConflict tells that the state did not allow what was asked for now. Source: exit codes of cmd/patchwarrant.
func isConflict(err error) bool {
	r, ok := errors.AsType[*refusal](err)
	return ok && r.code == 3
}

// run runs the command line as a person (nobody for ""), and gives what it printed.
func (s *Story) run(ctx context.Context, who string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(s.Programs, "patchwarrant"), args...)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + s.dir}
	if p := s.people[who]; p != nil {
		cmd.Env = append(cmd.Env, "PATCHWARRANT_SESSION="+p.session)
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		err = &refusal{exit.ExitCode(), lines[len(lines)-1]}
	}
	if err != nil {
		return stdout.Bytes(), fmt.Errorf("%s: patchwarrant %s: %w", who, strings.Join(args[:min(2, len(args))], " "), err)
	}
	return stdout.Bytes(), nil
}

// ask runs the command line as a person and reads the document it prints.
func (s *Story) ask(ctx context.Context, who string, out any, args ...string) error {
	b, err := s.run(ctx, who, append(args, "--json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, out); err != nil {
		return fmt.Errorf("%s: patchwarrant %s: %w", who, strings.Join(args[:min(2, len(args))], " "), err)
	}
	return nil
}
