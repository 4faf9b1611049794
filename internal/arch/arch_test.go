// Package arch is the plan of the house as a test: which room may import which, where SQL may stand, what the programs may link.
package arch

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"go/scanner"
	"go/token"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/patchwarrant/patchwarrant"

// floors is the house. A room imports lower floors only, never a neighbour. A room's own sub-packages for tests
// (dbtest, warranttest …) belong to the room; named sub-rooms have a floor of their own.
var floors = [][]string{
	1:  {"fault", "id"},
	2:  {"envelope", "pgp", "deb", "rpm", "filetree", "job", "blob", "memo", "unpack", "expr", "chart"},
	3:  {"proof", "db", "pool", "pkgset", "bundle"},
	4:  {"trustroot", "ledger", "once"},
	5:  {"warrant"},
	6:  {"wire", "executor", "staff", "intake", "mirror", "orderview", "record", "group", "policy", "savedview"},
	7:  {"agent", "estate", "verdict", "setup", "staff/passkey", "staff/oidc", "intake/csaf", "intake/osv", "intake/ubuntu", "intake/publisher", "intake/debian", "intake/kev", "intake/epss", "intake/scanner", "intake/nvd", "intake/cve5", "intake/feed", "intake/mail", "intake/openvex"},
	8:  {"retirement", "drift", "triage", "explain"},
	9:  {"curation", "exposure", "vex", "scans", "build", "silence"},
	10: {"rollout", "deadline", "suspicion", "score"},
	11: {"integrity"},
	12: {"duty", "change", "agentapi", "watch"},
	13: {"evidence"},
	14: {"api", "web"},
	15: {"server"},
}

type goPackage struct {
	ImportPath string
	Dir        string
	Doc        string
	GoFiles    []string
	Imports    []string
	Deps       []string
}

// list runs go list in the module and gives its packages.
func list(t *testing.T, patterns ...string) []goPackage {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Dir,Doc,GoFiles,Imports,Deps"}, patterns...)...)
	cmd.Dir = filepath.Join("..", "..")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var packages []goPackage
	for d := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return packages
		} else if err != nil {
			t.Fatal(err)
		}
		packages = append(packages, p)
	}
}

// room gives the room and floor of an import path inside internal/, or 0 for what is no room.
func room(path string) (string, int) {
	rest, ok := strings.CutPrefix(path, module+"/internal/")
	if !ok {
		return "", 0
	}
	best, floor := "", 0
	for f, rooms := range floors {
		for _, r := range rooms {
			if (rest == r || strings.HasPrefix(rest, r+"/")) && len(r) > len(best) {
				best, floor = r, f
			}
		}
	}
	return best, floor
}

func TestRoomsImportLowerFloorsOnly(t *testing.T) {
	for _, p := range list(t, "./internal/...") {
		from, floor := room(p.ImportPath)
		if strings.HasSuffix(p.ImportPath, "/internal/arch") {
			continue
		}
		if floor == 0 {
			t.Errorf("%s stands on no floor: give it one in arch_test.go and ARCHITECTURE.md", p.ImportPath)
			continue
		}
		for _, imp := range p.Imports {
			to, lower := room(imp)
			if lower != 0 && to != from && lower >= floor {
				t.Errorf("%s (floor %d) imports %s (floor %d)", from, floor, to, lower)
			}
		}
	}
}

func TestEveryPackageSaysItsPurpose(t *testing.T) {
	for _, p := range list(t, "./...") {
		if len(p.GoFiles) > 0 && p.Doc == "" {
			t.Errorf("%s has no package comment", p.ImportPath)
		}
	}
}

// TestSQLStandsInStoreFiles: statements are declared in store.go of the room that owns the table, nowhere else.
func TestSQLStandsInStoreFiles(t *testing.T) {
	forEachLine(t, func(p goPackage, file string, n int, line string) {
		r, _ := room(p.ImportPath)
		if r == "db" || file == "store.go" {
			return
		}
		if strings.Contains(line, "db.Q(") || strings.Contains(line, `"database/sql"`) {
			t.Errorf("%s/%s:%d: SQL outside store.go: %s", r, file, n, strings.TrimSpace(line))
		}
	})
}

// TestTimeComesIn: only programs and the server's wiring read the clock; rules get now, stores hold a clock.
func TestTimeComesIn(t *testing.T) {
	forEachLine(t, func(p goPackage, file string, n int, line string) {
		r, _ := room(p.ImportPath)
		if r == "" || r == "server" {
			return
		}
		if strings.Contains(line, "time.Now()") {
			t.Errorf("%s/%s:%d: time.Now: %s", r, file, n, strings.TrimSpace(line))
		}
	})
}

var shell = regexp.MustCompile(`exec\.Command(Context)?\([^)]*"(/bin/)?(ba|da)?sh"`)

func TestNoShell(t *testing.T) {
	forEachLine(t, func(p goPackage, file string, n int, line string) {
		if shell.MatchString(line) {
			t.Errorf("%s/%s:%d runs a shell: %s", p.ImportPath, file, n, strings.TrimSpace(line))
		}
	})
}

// forEachLine visits the non-test lines of all packages.
func forEachLine(t *testing.T, visit func(p goPackage, file string, n int, line string)) {
	t.Helper()
	for _, p := range list(t, "./...") {
		for _, name := range p.GoFiles {
			f, err := os.Open(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			s := bufio.NewScanner(f)
			s.Buffer(nil, 1<<20)
			for n := 1; s.Scan(); n++ {
				visit(p, name, n, s.Text())
			}
			f.Close()
			if s.Err() != nil {
				t.Fatalf("%s/%s: %v", p.Dir, name, s.Err())
			}
		}
	}
}

// TestExecutorIsSmall: what runs as root links few rooms, no network server, no database, and at most 2,200 lines of our code.
// Lines that hold only a comment or nothing do not count: what a host trusts is kept small, not what is said about it.
func TestExecutorIsSmall(t *testing.T) {
	const most = 2200 // ADR 0012
	allowed := []string{"executor", "warrant", "trustroot", "envelope", "proof", "fault", "id"}
	code, all := 0, 0
	for _, p := range linked(t, "./cmd/patchwarrant-executor") {
		if slices.Contains([]string{"net/http", "database/sql", "html/template", "plugin"}, p.ImportPath) {
			t.Errorf("the executor links %s", p.ImportPath)
		}
		if !strings.HasPrefix(p.ImportPath, module) {
			continue
		}
		if r, _ := room(p.ImportPath); r != "" && !slices.Contains(allowed, r) {
			t.Errorf("the executor links the room %s", r)
		}
		for _, name := range p.GoFiles {
			b, err := os.ReadFile(filepath.Join(p.Dir, name))
			if err != nil {
				t.Fatal(err)
			}
			code += codeLines(b)
			all += bytes.Count(b, []byte("\n"))
		}
	}
	t.Logf("the executor links %d lines of our code, %d with comments and blank lines", code, all)
	if code > most {
		t.Errorf("the executor links %d lines of our code, at most %d are allowed", code, most)
	}
}

// codeLines counts the lines that hold code.
func codeLines(source []byte) int {
	var s scanner.Scanner
	file := token.NewFileSet().AddFile("", -1, len(source))
	s.Init(file, source, nil, 0)
	lines := map[int]bool{}
	for {
		pos, kind, text := s.Scan()
		if kind == token.EOF {
			return len(lines)
		}
		if kind == token.SEMICOLON && text == "\n" {
			continue // put in at the end of a line
		}
		first := file.Line(pos)
		for n := range strings.Count(text, "\n") + 1 {
			lines[first+n] = true
		}
	}
}

// TestJudgingKeepsNothing: what judges is handed everything; it reaches no table, no blob, no ledger and no host.
func TestJudgingKeepsNothing(t *testing.T) {
	for judge, allowed := range map[string][]string{
		"verdict": {"deb", "rpm", "pkgset", "wire", "intake"},
		"explain": {"deb", "filetree", "envelope", "warrant", "wire", "fault"},
	} {
		for _, p := range list(t, "./internal/"+judge) {
			for _, imp := range p.Imports {
				if r, _ := room(imp); r != "" && !slices.Contains(allowed, r) {
					t.Errorf("%s imports the room %s", judge, r)
				}
			}
		}
	}
}

// TestCommandLineHasNoDatabase: the CLI verifies evidence offline; it links no database engine, and none of what only a
// server needs to let people in.
func TestCommandLineHasNoDatabase(t *testing.T) {
	for _, program := range []string{"./cmd/patchwarrant", "./cmd/patchwarrant-agent"} {
		for _, p := range linked(t, program) {
			for _, forbidden := range []string{"modernc.org/sqlite", "github.com/jackc/pgx", "github.com/go-webauthn", "github.com/coreos/go-oidc"} {
				if strings.HasPrefix(p.ImportPath, forbidden) {
					t.Errorf("%s links %s", program, p.ImportPath)
				}
			}
		}
	}
}

func linked(t *testing.T, program string) []goPackage {
	t.Helper()
	root := list(t, program)
	if len(root) != 1 {
		t.Fatalf("%s: %d packages", program, len(root))
	}
	return append(list(t, root[0].Deps...), root[0])
}
