package processes

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/patchwarrant/patchwarrant/internal/wire"
)

// texts are the same program in three languages: it uses a module of a module, says so and waits to be ended.
var texts = map[string]struct{ main, name, module, inner, innerModule string }{
	"perl":    {"$| = 1; use Pw::Outer;\nprint \"up\\n\"; sleep 60;\n", "Pw/Outer.pm", "package Pw::Outer;\nuse parent -norequire, 'Exporter';\nrequire Pw::Inner;\n1;\n", "Pw/Inner.pm", "package Pw::Inner; 1;\n"},
	"python3": {"import pwouter, sys\nprint('up', flush=True)\nimport time\ntime.sleep(60)\n", "pwouter/__init__.py", "from .sub import inner\n", "pwouter/sub/inner.py", "x = 1\n"},
	"ruby":    {"require 'pw/outer'\n$stdout.sync = true\nputs 'up'\nsleep 60\n", "pw/outer.rb", "require_relative 'inner'\n", "pw/inner.rb", "X = 1\n"},
}

// TestAProgramWhoseFilesChangedIsFound runs real interpreters: a program counts as old once a file of it, however deep, is replaced after its start.
func TestAProgramWhoseFilesChangedIsFound(t *testing.T) {
	for name, text := range texts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			interpreter := "/usr/bin/" + name
			if _, err := os.Stat(interpreter); err != nil {
				t.Skip("there is no " + interpreter)
			}
			dir := t.TempDir()
			main, inner := put(t, dir, "main", text.main), put(t, dir, text.inner, text.innerModule)
			put(t, dir, text.name, text.module)
			if name == "python3" {
				put(t, dir, "pwouter/sub/__init__.py", "")
			}
			cmd := exec.Command(interpreter, "-I", dir, main)
			if name == "python3" { // it looks beside the program by itself
				cmd.Args = []string{interpreter, "-B", main}
			}
			cmd.Dir = "/"
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() })
			if said, err := bufio.NewReader(out).ReadString('\n'); err != nil || said != "up\n" {
				t.Fatalf("it says %q, %v", said, err)
			}
			if old := oldOf(t, cmd.Process.Pid); len(old) > 0 {
				t.Errorf("before anything changed: %v", old)
			}
			time.Sleep(2200 * time.Millisecond) // the kernel tells the time of boot in whole seconds
			put(t, dir, text.inner, text.innerModule+"\n")
			want := []wire.OldFile{{Path: inner, Source: true}}
			if d := cmp.Diff(want, oldOf(t, cmd.Process.Pid)); d != "" {
				t.Error("a module of a module: ", d)
			}
			put(t, dir, "main", "")
			if old := oldOf(t, cmd.Process.Pid); !slices.Contains(old, wire.OldFile{Path: main, Source: true}) {
				t.Errorf("the program itself: %v", old)
			}
		})
	}
}

// put replaces a file as a packager does.
func put(t *testing.T, dir, name, text string) string {
	t.Helper()
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(full+".new", full); err != nil {
		t.Fatal(err)
	}
	return full
}

func oldOf(t *testing.T, id int) []wire.OldFile {
	t.Helper()
	found, _, err := Find("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range found.Old {
		if p.ID == id {
			return p.Old
		}
	}
	return nil
}

func TestWhatAnInterpreterIsCalledWith(t *testing.T) {
	for words, want := range map[string]struct {
		exe string
		call
	}{
		"perl -w -I /a -I/b /usr/sbin/x -c d":   {"/usr/bin/perl", call{program: "/usr/sbin/x", dirs: []string{"/a", "/b"}}},
		"perl -T -- /x":                         {"/usr/bin/perl", call{program: "/x"}},
		"perl -wne /foo/":                       {"/usr/bin/perl", call{}},
		"amavisd (master)":                      {"/usr/bin/perl", call{program: "(master)"}},
		"python3 -Es /usr/sbin/tuned -l":        {"/usr/bin/python3.11", call{program: "/usr/sbin/tuned"}},
		"python3 -W ignore -m http.server 80":   {"/usr/bin/python3.11", call{module: "http.server"}},
		"python3 -c pass":                       {"/usr/bin/python3", call{}},
		"ruby -rjson -W0 /usr/bin/puppet agent": {"/usr/bin/ruby3.1", call{program: "/usr/bin/puppet"}},
		"python3":                               {"/usr/bin/python3", call{}},
	} {
		l, _ := languageOf(want.exe)
		if got := l.read(strings.Fields(words)); !cmp.Equal(got, want.call, cmp.AllowUnexported(call{})) {
			t.Errorf("%s: %+v", words, got)
		}
	}
	for _, exe := range []string{"/usr/bin/perldoc", "/opt/python3", "/usr/bin/bash"} {
		if l, _ := languageOf(exe); l != nil {
			t.Errorf("%s counts as an interpreter", exe)
		}
	}
}

// TestEveryImportOfALineCountsFromItsFile: one import does not move where the next begins.
func TestEveryImportOfALineCountsFromItsFile(t *testing.T) {
	got := pythonNames("/m/n", "from ..a import b; from .c import d")
	for _, want := range []string{"/m/a.py", "/m/a/b.py", "/m/n/c.py", "/m/n/c/d.py"} {
		if !slices.Contains(got, want) {
			t.Errorf("%s is not among %v", want, got)
		}
	}
}

// TestNothingButRegularFilesIsRead: a program may name a pipe, which would hold whoever opens it.
func TestNothingButRegularFilesIsRead(t *testing.T) {
	dir := t.TempDir()
	if err := exec.Command("mkfifo", filepath.Join(dir, "pipe")).Run(); err != nil {
		t.Skip("there is no mkfifo")
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	inside, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer inside.Close()
	for _, name := range []string{"/pipe", "/out", "/"} {
		s := &search{language: &languages[0], root: dir, inside: inside, seen: map[string]bool{}, left: 10}
		if p := s.follow(call{program: name}, "/"); len(p.files) > 0 || p.whole {
			t.Errorf("%s: %+v", name, p)
		}
	}
}

func FuzzPrograms(f *testing.F) {
	f.Add("use parent qw(A::B C);", "perl\x00-I\x00x\x00y")
	f.Add("from ..a.b import (c as d, e", "python3\x00-Wm\x00")
	f.Add("require_relative '../../../x'", "ruby\x00-")
	f.Fuzz(func(t *testing.T, line, words string) {
		for i := range languages {
			languages[i].read(strings.Split(words, "\x00"))
			for _, name := range languages[i].names("/a/b", line) {
				if name == "" {
					t.Errorf("%q asks for a file without a name", line)
				}
			}
		}
		started(line, time.Unix(0, 0))
	})
}
