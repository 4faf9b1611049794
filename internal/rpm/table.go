package rpm

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Dnf 4 keeps what it did in a SQLite file. What is here reads rows of such a file and nothing else, page by page, each page once
// at most; the engine itself has no place in an agent that may read every file. Source: sqlite.org/fileformat2.html.

const (
	maxTree = 20      // pages above a row
	maxRow  = 1 << 20 // bytes; longer rows are left out
)

// File is an open file with its length.
type File struct {
	io.ReaderAt
	Size int64
}

type tables struct {
	file, log File
	page      int64
	usable    int
	committed map[uint32]int64 // a page → where its newest bytes stand in the log
	left      int64            // pages that may still be read
	of        map[string]table
}

// table is where a table's rows are, and its columns in their order. The value of the key is the number of the row.
type table struct {
	root    uint32
	columns []string
	key     string
}

// value is a number, a text or neither.
type value struct {
	number int64
	text   string
	null   bool
}

func damagedTables(what string) error {
	return fault.New(fault.Invalid, "it is no SQLite file as dnf writes them: %s", what)
}

// openTables reads the names of the tables. The log is the one that is written ahead, beside the file; empty where there is none.
func openTables(file, log File) (*tables, error) {
	head := make([]byte, 100)
	if _, err := file.ReadAt(head, 0); err != nil || !bytes.HasPrefix(head, []byte("SQLite format 3\x00")) {
		return nil, damagedTables("no header")
	}
	t := &tables{file: file, log: log, page: int64(binary.BigEndian.Uint16(head[16:])), of: map[string]table{}}
	if t.page == 1 {
		t.page = 1 << 16
	}
	t.usable = int(t.page) - int(head[20])
	if t.page < 512 || t.page&(t.page-1) != 0 || t.usable < 480 || binary.BigEndian.Uint32(head[56:]) > 1 {
		return nil, damagedTables("its page size or text encoding")
	}
	if err := t.readLog(); err != nil {
		return nil, err
	}
	t.left = (file.Size+log.Size)/t.page + 16
	err := t.scan(1, 0, func(_ int64, row []value) error {
		if len(row) >= 5 && row[0].text == "table" && row[3].number > 0 && row[3].number < 1<<31 {
			columns, key := columnsOf(row[4].text)
			t.of[row[1].text] = table{uint32(row[3].number), columns, key}
		}
		return nil
	})
	return t, err
}

// readLog finds which pages the log has newer, up to its last commit.
func (t *tables) readLog() error {
	if t.log.Size < 32 {
		return nil
	}
	head := make([]byte, 32)
	if _, err := t.log.ReadAt(head, 0); err != nil {
		return damagedTables("its log")
	}
	var order binary.ByteOrder = binary.LittleEndian
	switch binary.BigEndian.Uint32(head) {
	case 0x377f0682:
	case 0x377f0683:
		order = binary.BigEndian
	default:
		return damagedTables("its log")
	}
	if int64(binary.BigEndian.Uint32(head[8:])) != t.page {
		return damagedTables("its log's page size")
	}
	sum := checksum(order, [2]uint32{}, head[:24])
	if sum != [2]uint32{binary.BigEndian.Uint32(head[24:]), binary.BigEndian.Uint32(head[28:])} {
		return nil // nothing was ever committed to it
	}
	t.committed = map[uint32]int64{}
	pending := map[uint32]int64{}
	frame := make([]byte, 24+t.page)
	for at := int64(32); at+int64(len(frame)) <= t.log.Size; at += int64(len(frame)) {
		if _, err := t.log.ReadAt(frame, at); err != nil {
			return damagedTables("its log")
		}
		sum = checksum(order, checksum(order, sum, frame[:8]), frame[24:])
		if !bytes.Equal(frame[8:16], head[16:24]) || sum != [2]uint32{binary.BigEndian.Uint32(frame[16:]), binary.BigEndian.Uint32(frame[20:])} {
			return nil // what follows is of an earlier use of the log
		}
		pending[binary.BigEndian.Uint32(frame)] = at + 24
		if binary.BigEndian.Uint32(frame[4:]) != 0 {
			for page, from := range pending {
				t.committed[page] = from
			}
			clear(pending)
		}
	}
	return nil
}

func checksum(order binary.ByteOrder, sum [2]uint32, b []byte) [2]uint32 {
	for ; len(b) >= 8; b = b[8:] {
		sum[0] += order.Uint32(b) + sum[1]
		sum[1] += order.Uint32(b[4:]) + sum[0]
	}
	return sum
}

func (t *tables) read(number uint32) ([]byte, error) {
	if t.left--; t.left < 0 || number == 0 {
		return nil, damagedTables("its pages lead in circles")
	}
	b := make([]byte, t.page)
	from, at := t.file, (int64(number)-1)*t.page
	if in, ok := t.committed[number]; ok {
		from, at = t.log, in
	}
	if _, err := from.ReadAt(b, at); err != nil {
		return nil, damagedTables("a page is not there")
	}
	return b[:t.usable], nil
}

// scan visits the rows of the tree at a page.
func (t *tables) scan(number uint32, depth int, visit func(row int64, values []value) error) error {
	b, err := t.read(number)
	if err != nil {
		return err
	}
	head := 0
	if number == 1 {
		head = 100
	}
	cells, pointers := int(binary.BigEndian.Uint16(b[head+3:])), head+8
	inner := b[head] == 5
	if inner {
		pointers += 4
	}
	if !inner && b[head] != 13 || depth > maxTree || pointers+2*cells > len(b) {
		return damagedTables("a page is no table's")
	}
	for i := range cells {
		at := int(binary.BigEndian.Uint16(b[pointers+2*i:]))
		if at+4 > len(b) {
			return damagedTables("a cell lies outside its page")
		}
		if inner {
			err = t.scan(binary.BigEndian.Uint32(b[at:]), depth+1, visit)
		} else {
			err = t.cell(b[at:], visit)
		}
		if err != nil {
			return err
		}
	}
	if inner {
		return t.scan(binary.BigEndian.Uint32(b[head+8:]), depth+1, visit)
	}
	return nil
}

// cell reads a row, of which the end may stand on other pages.
func (t *tables) cell(b []byte, visit func(row int64, values []value) error) error {
	size, b, ok := varint(b)
	number, b, ok2 := varint(b)
	if !ok || !ok2 || size < 0 {
		return damagedTables("a row without its length")
	}
	if size > maxRow {
		return nil
	}
	local := int(size)
	if most := t.usable - 35; local > most {
		least := (t.usable-12)*32/255 - 23
		if local = least + (local-least)%(t.usable-4); local > most {
			local = least
		}
	}
	if local > len(b) || local < int(size) && local+4 > len(b) {
		return damagedTables("a row ends outside its page")
	}
	payload := append([]byte(nil), b[:local]...)
	for b = b[local:]; len(payload) < int(size); {
		more, err := t.read(binary.BigEndian.Uint32(b))
		if err != nil {
			return err
		}
		payload = append(payload, more[4:min(len(more), 4+int(size)-len(payload))]...)
		b = more
	}
	values, ok := valuesOf(payload)
	if !ok {
		return damagedTables("a row's values")
	}
	return visit(number, values)
}

// varint reads a number of up to nine bytes.
func varint(b []byte) (n int64, rest []byte, ok bool) {
	for i := range min(len(b), 9) {
		if i == 8 {
			return n<<8 | int64(b[i]), b[i+1:], true
		}
		n = n<<7 | int64(b[i]&0x7f)
		if b[i] < 0x80 {
			return n, b[i+1:], true
		}
	}
	return 0, nil, false
}

// widths of the values of the first kinds.
var widths = []int{0, 1, 2, 3, 4, 6, 8, 8, 0, 0}

// valuesOf reads a row's values: their kinds, then the values themselves.
func valuesOf(b []byte) (values []value, ok bool) {
	size, kinds, ok := varint(b)
	if !ok || size < 0 || size > int64(len(b)) || int(size) < len(b)-len(kinds) {
		return nil, false
	}
	kinds, b = kinds[:int(size)-(len(b)-len(kinds))], b[size:]
	for len(kinds) > 0 {
		var kind int64
		if kind, kinds, ok = varint(kinds); !ok || kind < 0 || kind == 10 || kind == 11 {
			return nil, false
		}
		width := (kind - 12) / 2
		if kind < 12 {
			width = int64(widths[kind])
		}
		if width > int64(len(b)) {
			return nil, false
		}
		v := value{null: kind == 0}
		switch in := b[:width]; {
		case kind >= 12:
			v.text = string(in)
		case kind == 9:
			v.number = 1
		case kind != 7 && width > 0:
			v.number = int64(int8(in[0]))
			for _, c := range in[1:] {
				v.number = v.number<<8 | int64(c)
			}
		}
		values, b = append(values, v), b[width:]
	}
	return values, true
}

// columnsOf reads the statement that made a table: the names of its columns, and the one that is the number of the row.
func columnsOf(statement string) (names []string, key string) {
	for {
		before, rest, found := strings.Cut(statement, "/*")
		if !found {
			break
		}
		_, after, _ := strings.Cut(rest, "*/")
		statement = before + " " + after
	}
	_, body, _ := strings.Cut(statement, "(")
	depth, from := 0, 0
	for i := 0; i <= len(body); i++ {
		end := i == len(body) || depth == 0 && (body[i] == ',' || body[i] == ')')
		switch {
		case end:
			words := strings.Fields(body[from:i])
			if from = i + 1; len(words) == 0 {
				continue
			}
			name := strings.Trim(words[0], "\"`[]")
			switch strings.ToUpper(name) {
			case "CONSTRAINT", "UNIQUE", "PRIMARY", "FOREIGN", "CHECK":
				continue
			}
			names = append(names, name)
			if rest := strings.ToUpper(strings.Join(words[1:], " ")); strings.HasPrefix(rest, "INTEGER PRIMARY KEY") {
				key = name
			}
		case body[i] == '(':
			depth++
		case body[i] == ')':
			depth--
		}
		if end && i < len(body) && body[i] == ')' {
			break
		}
	}
	return names, key
}

// rows visits the rows of a table by the names of their columns.
func (t *tables) rows(name string, visit func(get func(column string) value)) error {
	of, ok := t.of[name]
	if !ok {
		return damagedTables("it has no table " + name)
	}
	return t.scan(of.root, 0, func(number int64, values []value) error {
		visit(func(column string) value {
			for i, c := range of.columns {
				switch {
				case c != column:
				case c == of.key:
					return value{number: number}
				case i < len(values):
					return values[i]
				}
			}
			return value{null: true}
		})
		return nil
	})
}
