package main

import (
	"fmt"
	"os"
)

// progress shows how far long work is, on a terminal only.
type progress struct {
	out        *os.File
	what       string
	done, all  int
	onTerminal bool
}

func newProgress(out *os.File, what string, all int) *progress {
	info, err := out.Stat()
	return &progress{out: out, what: what, all: all, onTerminal: err == nil && info.Mode()&os.ModeCharDevice != 0 && all > 3}
}

func (p *progress) step() {
	p.done++
	if p.onTerminal {
		fmt.Fprintf(p.out, "\r%s %d of %d", p.what, p.done, p.all)
	}
}

func (p *progress) end() {
	if p.onTerminal && p.done > 0 {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
