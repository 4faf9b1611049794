package processes

import (
	"path"
	"regexp"
	"strings"
)

// language is an interpreter's: how it is called, and how its programs name the files that they are made of.
type language struct {
	exe      *regexp.Regexp
	inline   string // options that bring the program itself
	argument string // options that take the next word where nothing is attached to them
	flags    string // options that take nothing, so that another may be attached; what follows any other is its own
	dirs     []string
	names    func(dir, line string) []string // files that a line of a file in a directory asks for: absolute, or below one of dirs
}

// languages are those that needrestart knows, but for Java, whose archives stay open.
//
// Dirs are patterns of path.Match: where Debian and Fedora and theirs put modules; a V stands for the version in the interpreter's name.
// Sources: perlrun(1), python(1), ruby(1) and what the interpreters of those distributions print.
var languages = []language{
	{
		exe: regexp.MustCompile(`^/usr/(?:local/)?bin/perl([0-9.]*)$`), inline: "eE", argument: "I", flags: "acflnpsStTuUvwWX0123456789",
		dirs: []string{"/etc/perl", "/usr/local/lib/*/perl/*", "/usr/local/share/perl/*", "/usr/lib/*/perl5/*", "/usr/share/perl5", "/usr/lib/*/perl-base",
			"/usr/lib/*/perl/*", "/usr/share/perl/*", "/usr/local/lib64/perl5", "/usr/local/share/perl5", "/usr/lib64/perl5/vendor_perl",
			"/usr/share/perl5/vendor_perl", "/usr/lib64/perl5"},
		names: perlNames,
	}, {
		exe: regexp.MustCompile(`^/usr/(?:local/)?bin/python([0-9.]*)$`), inline: "c", argument: "WXQm", flags: "bBdEhiIOPqRsSuvVx3",
		dirs: []string{"/usr/lib/pythonV", "/usr/lib64/pythonV", "/usr/local/lib/pythonV/dist-packages", "/usr/lib/python3/dist-packages",
			"/usr/local/lib/pythonV/site-packages", "/usr/lib/pythonV/site-packages", "/usr/lib64/pythonV/site-packages"},
		names: pythonNames,
	}, {
		exe: regexp.MustCompile(`^/usr/(?:local/)?bin/ruby([0-9.]*)$`), inline: "e", argument: "IrCE", flags: "aclnpsSvwW012345",
		dirs: []string{"/usr/local/lib/site_ruby/*", "/usr/lib/ruby/vendor_ruby", "/usr/lib/ruby/[0-9]*", "/usr/share/rubygems-integration/*/gems/*/lib",
			"/var/lib/gems/*/gems/*/lib", "/usr/share/ruby/vendor_ruby", "/usr/share/ruby", "/usr/share/rubygems", "/usr/share/gems/gems/*/lib"},
		names: rubyNames,
	},
}

// languageOf gives the language of an executable, nil where it is no interpreter, and the version in its name.
func languageOf(exe string) (l *language, version string) {
	for i := range languages {
		if m := languages[i].exe.FindStringSubmatch(exe); m != nil {
			return &languages[i], m[1]
		}
	}
	return nil, ""
}

// call is what an interpreter was called with.
type call struct {
	program string   // as the call names it; empty: it names none
	module  string   // of Python's -m
	dirs    []string // of -I
}

// read takes the words of a call apart. A process may have overwritten them: then they name no program, or a wrong one.
func (l *language) read(words []string) (c call) {
	for i := 1; i < len(words); i++ {
		word := words[i]
		if word == "--" && i+1 < len(words) {
			c.program = words[i+1]
			return c
		}
		if len(word) < 2 || word[0] != '-' {
			c.program = word
			return c
		}
		if strings.HasPrefix(word, "--") {
			continue
		}
		option := strings.TrimLeft(word[1:], l.flags)
		if option == "" {
			continue
		}
		letter, rest := option[:1], option[1:]
		if strings.Contains(l.inline, letter) {
			return c
		}
		if !strings.Contains(l.argument, letter) {
			continue
		}
		if rest == "" && i+1 < len(words) {
			i++
			rest = words[i]
		}
		switch letter {
		case "m":
			c.module = rest
			return c
		case "I":
			c.dirs = append(c.dirs, rest)
		}
	}
	return c
}

var (
	perlUse    = regexp.MustCompile(`(?:^|[;{}])\s*(?:use|no|require)\s+([A-Za-z_]\w*(?:::\w+)*)([^;]*)`)
	perlFile   = regexp.MustCompile(`(?:^|[;{}])\s*(?:require|do)\s+["']([^"']+)["']`)
	perlParent = regexp.MustCompile(`[A-Za-z_]\w*(?:::\w+)*`)
)

func perlNames(_, line string) (names []string) {
	for _, m := range perlFile.FindAllStringSubmatch(line, -1) {
		names = append(names, path.Clean(m[1]))
	}
	for _, m := range perlUse.FindAllStringSubmatch(line, -1) {
		modules := []string{m[1]}
		if m[1] == "parent" || m[1] == "base" {
			modules = append(modules, perlParent.FindAllString(m[2], -1)...)
		}
		for _, module := range modules {
			names = append(names, strings.ReplaceAll(module, "::", "/")+".pm")
		}
	}
	return names
}

var (
	pythonImport = regexp.MustCompile(`(?:^|[;:])\s*import\s+([\w.,\s]+)`)
	pythonFrom   = regexp.MustCompile(`(?:^|[;:])\s*from\s+(\.*)([\w.]*)\s+import\s+\(?([\w,\s]*)`)
)

func pythonNames(dir, line string) (names []string) {
	for _, m := range pythonFrom.FindAllStringSubmatch(line, -1) {
		base := ""
		if dots := len(m[1]); dots > 0 { // one is the file's own directory
			base = dir
			for range dots - 1 {
				base = path.Dir(base)
			}
		}
		names = append(names, pythonModule(base, m[2])...)
		in := path.Join(base, strings.ReplaceAll(m[2], ".", "/"))
		for _, word := range listed(m[3]) {
			names = append(names, path.Join(in, word+".py"), path.Join(in, word, "__init__.py"))
		}
	}
	for _, m := range pythonImport.FindAllStringSubmatch(line, -1) {
		for _, module := range listed(m[1]) {
			names = append(names, pythonModule("", module)...)
		}
	}
	return names
}

// pythonModule gives the files in which a module may stand, and those of the packages around it.
func pythonModule(base, module string) (names []string) {
	at := base
	for part := range strings.SplitSeq(module, ".") {
		if part != "" {
			at = path.Join(at, part)
			names = append(names, at+".py", path.Join(at, "__init__.py"))
		}
	}
	return names
}

// listed gives the first word of each part between commas: "a.b as c, d" is a.b and d.
func listed(text string) (words []string) {
	for part := range strings.SplitSeq(text, ",") {
		if f := strings.Fields(part); len(f) > 0 {
			words = append(words, f[0])
		}
	}
	return words
}

var rubyRequire = regexp.MustCompile(`(?:^|[;{])\s*(require|require_relative|load)[\s(]+["']([^"'#]+)["']`)

func rubyNames(dir, line string) (names []string) {
	for _, m := range rubyRequire.FindAllStringSubmatch(line, -1) {
		name := path.Clean(m[2])
		if m[1] == "require_relative" {
			name = path.Join(dir, name)
		}
		names = append(names, name)
		if bare := strings.TrimSuffix(name, ".rb"); bare == name {
			names = append(names, name+".rb")
		}
	}
	return names
}
