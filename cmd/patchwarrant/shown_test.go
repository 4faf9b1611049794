package main

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"
)

var (
	shownLine = regexp.MustCompile(`(?m)^    (?:[A-Z_]+=\S+ )?(?:bin/)?patchwarrant (.*)$`)
	shownCode = regexp.MustCompile("(?:`|<code>)patchwarrant ([^`<]*)(?:`|</code>)")
	templated = regexp.MustCompile(`{{[^}]*}}`)
)

// TestWhatIsShownCanBeTyped: each command line in the documents and on the pages names verbs and flags that there are. A line of its
// own is whole; one in a sentence may leave out what it needs.
func TestWhatIsShownCanBeTyped(t *testing.T) {
	lines := 0
	for _, pattern := range []string{"README.md", "SECURITY.md", "docs/*.md", "internal/web/templates/*.html"} {
		files, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %d files, %v", pattern, len(files), err)
		}
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text := templated.ReplaceAllString(strings.ReplaceAll(string(b), "\\\n", ""), "X")
			for _, m := range shownLine.FindAllStringSubmatch(text, -1) {
				lines++
				if err := typed(m[1], true); err != nil {
					t.Errorf("%s: %s: %v", filepath.Base(file), m[1], err)
				}
			}
			for _, m := range shownCode.FindAllStringSubmatch(text, -1) {
				if m[1] == "canary SEED HOST-ID" {
					continue // a text that is hashed
				}
				if err := typed(m[1], false); err != nil {
					t.Errorf("%s: %s: %v", filepath.Base(file), m[1], err)
				}
			}
		}
	}
	if lines < 80 {
		t.Errorf("only %d lines are shown", lines)
	}
}

// typed reads a command line as the program does, and stops before doing it.
func typed(line string, whole bool) error {
	c, args, err := newRootCommand().Find(words(line))
	if err != nil {
		return err
	}
	if slices.Contains(args, "--help") {
		return nil
	}
	if err := c.ParseFlags(args); err != nil {
		return err
	}
	if whole || c.HasSubCommands() && c.Flags().NArg() > 0 {
		err = c.ValidateArgs(c.Flags().Args())
	}
	if whole && err == nil {
		err = c.ValidateRequiredFlags()
	}
	return err
}

// words splits a line at blanks that are not quoted, up to a comment or a redirection. What is in brackets may be left out, and is not.
func words(line string) (all []string) {
	var quote rune
	var word strings.Builder
	end := func() {
		if word.Len() > 0 {
			all = append(all, word.String())
		}
		word.Reset()
	}
scan:
	for _, r := range line {
		switch {
		case r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			quote = r
		case unicode.IsSpace(r):
			end()
		case strings.ContainsRune("#;<>|", r):
			break scan
		case r != '[' && r != ']':
			word.WriteRune(r)
		}
	}
	end()
	if n := len(all); n > 1 && all[n-1] == "…" && !strings.HasPrefix(all[n-2], "-") {
		all = all[:n-1] // and so on
	}
	return all
}

func TestWords(t *testing.T) {
	got := words(`order  propose --opens … --reason "two # words" --notice 'it is' [--root /x] … # why`)
	want := []string{"order", "propose", "--opens", "…", "--reason", "two # words", "--notice", "it is", "--root", "/x"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, bad := range []string{"frobnicate", "order frobnicate", "order show", "order show a --colour", "snapshot propose"} {
		if typed(bad, true) == nil {
			t.Errorf("%s can be typed", bad)
		}
	}
}
