// Package expr compiles conditions that people write, such as the rules of a policy, over a fixed set of typed fields.
package expr

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"

	"github.com/patchwarrant/patchwarrant/internal/fault"
)

// Type of a field.
type Type int

// Types that conditions may ask about.
const (
	Text   Type = iota // string
	Number             // float64
	Truth              // bool
	Texts              // []string
)

// Bounds of a condition. A longer one is refused unread; one that costs more while it runs fails.
const (
	MaxLength = 2000
	maxCost   = 10_000
)

// Language is the fields that conditions may ask about, and their types.
type Language struct {
	env    *cel.Env
	fields []string
}

// NewLanguage makes a Language; fields are those of the house, so a wrong one is a programming error and panics.
func NewLanguage(fields map[string]Type) *Language {
	types := map[Type]*cel.Type{Text: cel.StringType, Number: cel.DoubleType, Truth: cel.BoolType, Texts: cel.ListType(cel.StringType)}
	names := slices.Sorted(maps.Keys(fields))
	options := []cel.EnvOption{cel.CrossTypeNumericComparisons(true)}
	for _, name := range names {
		options = append(options, cel.Variable(name, types[fields[name]]))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		panic("expr: " + err.Error())
	}
	return &Language{env, names}
}

// Fields gives the names of the fields, sorted.
func (l *Language) Fields() []string { return l.fields }

// Condition is a compiled condition. It may be used by many at once.
type Condition struct{ program cel.Program }

// Compile reads a condition in the Common Expression Language. Errors are Invalid, name the place and the fields there are.
func (l *Language) Compile(text string) (Condition, error) {
	if strings.TrimSpace(text) == "" || len(text) > MaxLength {
		return Condition{}, fault.New(fault.Invalid, "a condition has 1 to %d bytes", MaxLength)
	}
	ast, issues := l.env.Compile(text)
	if err := issues.Err(); err != nil {
		return Condition{}, fault.New(fault.Invalid, "the condition cannot be read: %s (fields: %s)", place(issues), strings.Join(l.fields, ", "))
	}
	if ast.OutputType() != cel.BoolType {
		return Condition{}, fault.New(fault.Invalid, "a condition is true or false; this one gives %s", ast.OutputType())
	}
	program, err := l.env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxCost))
	if err != nil {
		return Condition{}, fault.New(fault.Invalid, "the condition cannot be prepared: %w", err)
	}
	return Condition{program}, nil
}

// place tells the first problem with its line and column.
func place(issues *cel.Issues) string {
	first := issues.Errors()[0]
	return fmt.Sprintf("line %d, column %d: %.200s", first.Location.Line(), first.Location.Column()+1, first.Message)
}

// Holds evaluates the condition over values of all the language's fields. An error means that it cost too much or fell on
// an operation without a result, such as a division by zero: never that it does not hold.
func (c Condition) Holds(values map[string]any) (bool, error) {
	out, _, err := c.program.Eval(values)
	if err != nil {
		return false, fault.New(fault.Invalid, "evaluate the condition: %w", err)
	}
	return out.Value() == true, nil
}
