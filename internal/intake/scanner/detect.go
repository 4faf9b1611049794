package scanner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"slices"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Head is how many bytes Detect looks at.
const Head = 64 << 10

// Detect tells the format by the first bytes of a report, which stay unread. What is of none is fault.Invalid.
func Detect(r *bufio.Reader) (string, error) {
	head, err := r.Peek(Head)
	if len(head) == 0 {
		return "", fault.New(fault.Invalid, "the report is empty")
	}
	_ = err // a short report is whole in head
	if bytes.HasPrefix(head, []byte{0x1f, 0x8b}) || bytes.HasPrefix(head, []byte("PK")) {
		return "", fault.New(fault.Invalid, "the report is packed; unpack it first")
	}
	if bytes.HasPrefix(head, []byte{0xfe, 0xff}) || bytes.HasPrefix(head, []byte{0xff, 0xfe}) || bytes.IndexByte(head, 0) >= 0 {
		return "", fault.New(fault.Invalid, "the report is not UTF-8; convert it first")
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
	format := ""
	switch {
	case bytes.HasPrefix(text, []byte("<")):
		format = detectXML(text)
	case bytes.HasPrefix(text, []byte("[")), bytes.Equal(text, []byte("null")):
		format = "trivy" // its old form
	case bytes.HasPrefix(text, []byte("{")):
		format = detectJSON(text)
	case bytes.Contains(text, []byte(`"QID"`)):
		format = "qualys"
	case bytes.HasPrefix(text, []byte("SPDXVersion:")), bytes.Contains(text, []byte("\nSPDXVersion:")):
		format = "spdx"
	case isPenTest(text):
		format = PenTestFormat
	}
	if format == "" {
		return "", fault.New(fault.Invalid, "the report is of no known format")
	}
	return format, nil
}

// isPenTest tells the header of our own form.
func isPenTest(text []byte) bool {
	header, _, _ := bytes.Cut(bytes.ToLower(text), []byte("\n"))
	names := strings.FieldsFunc(string(header), func(r rune) bool { return strings.ContainsRune(", \"\r", r) })
	return slices.Contains(names, "title") && slices.Contains(names, "host") && slices.Contains(names, "evidence")
}

func detectXML(text []byte) string {
	for rest := text; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 || i+1 >= len(rest) {
			return ""
		}
		rest = rest[i+1:]
		if rest[0] == '?' || rest[0] == '!' {
			continue
		}
		name := rest[:min(len(rest), 64)]
		if end := bytes.IndexAny(name, " >\n\r\t"); end >= 0 {
			name = name[:end]
		}
		switch string(name) {
		case "NessusClientData_v2":
			return "nessus"
		case "report", "get_reports_response":
			return "openvas"
		case "bom":
			return "cyclonedx"
		}
		return ""
	}
}

// marks are members of a report's outermost object that only one format has. The first that occurs decides.
var marks = []struct{ key, format string }{
	{"bomFormat", "cyclonedx"}, {"SchemaVersion", "trivy"}, {"ArtifactName", "trivy"}, {"ClusterName", "trivy"}, {"Results", "trivy"},
	{"matches", "grype"}, {"hits", "wazuh"}, {"data", "wazuh"}, {"LayerCount", "clair"}, {"unapproved", "clair"}, {"spdxVersion", "spdx"}, {"pentest", PenTestFormat},
}

func detectJSON(text []byte) string {
	d, depth, keys := json.NewDecoder(bytes.NewReader(text)), 0, []string{}
	for isKey := false; ; {
		token, err := d.Token()
		if err != nil || depth > maxDepth {
			break
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
			isKey = depth == 1
			continue
		case json.Delim('}'), json.Delim(']'):
			depth--
			isKey = depth == 1
			continue
		}
		if depth != 1 {
			continue
		}
		if isKey {
			if key, ok := token.(string); ok {
				keys = append(keys, key)
			}
		}
		isKey = !isKey
	}
	for _, m := range marks {
		if slices.Contains(keys, m.key) {
			return m.format
		}
	}
	return ""
}
