package main

import "testing"

func TestALoginIsForTheServerOfItsOrigin(t *testing.T) {
	for name, c := range map[string]struct {
		known         map[string]string
		given, origin string
		ok            bool
	}{
		"the first time":                     {nil, "", "one.example", true},
		"as before":                          {map[string]string{"ca1": "one.example"}, "", "one.example", true},
		"another name than before":           {map[string]string{"ca1": "one.example"}, "", "two.example", false},
		"another server's name":              {map[string]string{"ca2": "one.example"}, "", "one.example", false},
		"beside another server":              {map[string]string{"ca2": "two.example"}, "", "one.example", true},
		"as given":                           {nil, "one.example", "one.example", true},
		"another than given":                 {nil, "one.example", "two.example", false},
		"given, for the server has a new CA": {map[string]string{"ca2": "one.example"}, "one.example", "one.example", true},
		"given, but this server had another": {map[string]string{"ca1": "two.example"}, "one.example", "one.example", true},
		"no name":                            {nil, "", "", false},
	} {
		s := session{CA: "ca1", Origins: c.known}
		err := s.pin(c.origin, c.given)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
		if c.ok && s.Origins["ca1"] != "one.example" {
			t.Errorf("%s: keeps %v", name, s.Origins)
		}
		if _, old := s.Origins["ca2"]; c.given != "" && c.ok && old {
			t.Errorf("%s: the old CA still has the origin", name)
		}
	}
}
