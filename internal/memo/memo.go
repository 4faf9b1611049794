// Package memo remembers what was worked out from bytes that never change, up to a bound.
package memo

import "sync"

// Memo holds values by key. The zero value is ready to use; Most must be set. What it gives is shared: nobody changes it.
type Memo[V any] struct {
	Most int // sum of the values' sizes, in bytes; beyond it, others are forgotten

	mu   sync.Mutex
	held map[string]sized[V]
	sum  int
}

type sized[V any] struct {
	value V
	size  int
}

// Get gives the value of a key, made by work where it is not held. Work says how large the value is; what is larger than
// Most is not kept, nor what came with an error.
func (m *Memo[V]) Get(key string, work func() (V, int, error)) (V, error) {
	m.mu.Lock()
	h, ok := m.held[key]
	m.mu.Unlock()
	if ok {
		return h.value, nil
	}
	value, size, err := work()
	if err == nil && size <= m.Most {
		m.keep(key, sized[V]{value, size})
	}
	return value, err
}

func (m *Memo[V]) keep(key string, h sized[V]) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.held[key]; ok {
		return // worked out twice at once
	}
	if m.held == nil {
		m.held = map[string]sized[V]{}
	}
	for other, o := range m.held { // in no order, which is good enough
		if m.sum+h.size <= m.Most {
			break
		}
		delete(m.held, other)
		m.sum -= o.size
	}
	m.held[key] = h
	m.sum += h.size
}
