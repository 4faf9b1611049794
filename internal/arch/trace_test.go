package arch

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	testName = regexp.MustCompile(`\b(Test|Fuzz|Benchmark)[A-Z]\w+`)
	testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)[A-Z]\w+)\(`)
	rowName  = regexp.MustCompile(`^\| (R-\d{3}) \| .+ \| (done|part|open) \| (.*) \|$`)
)

// TestDocumentsCiteTestsThatExist: requirements and threats are traced to tests by name; a renamed or removed test shows here.
func TestDocumentsCiteTestsThatExist(t *testing.T) {
	root := filepath.Join("..", "..")
	exists := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		b, err := os.ReadFile(path)
		for _, m := range testFunc.FindAllSubmatch(b, -1) {
			exists[string(m[1])] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range []string{"docs/requirements.md", "docs/threat-model.md"} {
		b, err := os.ReadFile(filepath.Join(root, doc))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range testName.FindAllString(string(b), -1) {
			if !exists[name] {
				t.Errorf("%s cites %s, which no test file has", doc, name)
			}
		}
	}
}

// TestEveryRequirementHasAState: each row is done, part or open; what is not open says where.
func TestEveryRequirementHasAState(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("..", "..", "docs", "requirements.md"))
	if err != nil {
		t.Fatal(err)
	}
	rows := 0
	for line := range strings.Lines(string(b)) {
		if !strings.HasPrefix(line, "| R-") {
			continue
		}
		rows++
		m := rowName.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			t.Errorf("not a row with a state: %s", line)
		} else if (m[2] == "open") != (strings.TrimSpace(m[3]) == "") {
			t.Errorf("%s is %s but says %q", m[1], m[2], m[3])
		}
	}
	if rows != 69 {
		t.Errorf("%d rows, want 69", rows)
	}
}
