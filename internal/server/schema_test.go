package server

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// schema is a JSON schema as our OpenAPI document has it: of its words only those that say what may be in an answer.
type schema struct {
	document map[string]any
	of       map[string]any
}

// schemas opens an OpenAPI document.
type schemas map[string]any

// of gives the schema of an operation's answer: of success, or of a problem.
func (s schemas) of(operation map[string]any, problem bool) schema {
	status, contentType := "200", "application/json"
	if problem {
		status, contentType = "default", "application/problem+json"
	}
	v := operation["responses"].(map[string]any)[status].(map[string]any)["content"].(map[string]any)[contentType].(map[string]any)["schema"]
	return schema{s, v.(map[string]any)}
}

// check tells where a value is not what the schema says.
func (s schema) check(at string, v any) (wrong []string) {
	if ref, ok := s.of["$ref"].(string); ok {
		name := strings.TrimPrefix(ref, "#/components/schemas/")
		target, ok := s.document["components"].(map[string]any)["schemas"].(map[string]any)[name].(map[string]any)
		if !ok {
			return []string{at + ": no schema " + ref}
		}
		return schema{s.document, target}.check(at, v)
	}
	if kinds := s.kinds(); len(kinds) > 0 && !slices.Contains(kinds, kindOf(v)) && (kindOf(v) != "integer" || !slices.Contains(kinds, "number")) {
		return []string{fmt.Sprintf("%s is %s, not %v", at, kindOf(v), kinds)}
	}
	if words, ok := s.of["enum"].([]any); ok && !slices.Contains(words, v) {
		wrong = append(wrong, fmt.Sprintf("%s is %v, not one of %v", at, v, words))
	}
	switch v := v.(type) {
	case []any:
		items, ok := s.of["items"].(map[string]any)
		for i := range v {
			if ok {
				wrong = append(wrong, schema{s.document, items}.check(fmt.Sprintf("%s[%d]", at, i), v[i])...)
			}
		}
	case map[string]any:
		wrong = append(wrong, s.checkObject(at, v)...)
	}
	return wrong
}

func (s schema) checkObject(at string, v map[string]any) (wrong []string) {
	properties, _ := s.of["properties"].(map[string]any)
	required, _ := s.of["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			wrong = append(wrong, fmt.Sprintf("%s has no %s", at, name))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		of, ok := properties[name].(map[string]any)
		if more, open := s.of["additionalProperties"].(map[string]any); !ok && open {
			of, ok = more, true
		}
		if !ok && s.of["additionalProperties"] == false {
			wrong = append(wrong, fmt.Sprintf("%s has an unknown %s", at, name))
		}
		if ok {
			wrong = append(wrong, schema{s.document, of}.check(at+"."+name, v[name])...)
		}
	}
	return wrong
}

func (s schema) kinds() (kinds []string) {
	switch t := s.of["type"].(type) {
	case string:
		return []string{t}
	case []any:
		for _, one := range t {
			kinds = append(kinds, one.(string))
		}
	}
	return kinds
}

func kindOf(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	}
	return "object"
}
