package inventory

import (
	"crypto/sha256"
	"encoding/hex"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/patchwarrant/patchwarrant/internal/wire"
)

const maxProc = 8 << 20 // bytes of a file of proc; a machine of 1,000 processors tells of them in 2 MB

// hardware reads what the kernel tells of the machine. Source: sysfs-firmware-dmi, proc_cpuinfo(5), proc_meminfo(5).
func hardware(root string) wire.Hardware {
	h := wire.Hardware{Vendor: text(word(root, "sys/class/dmi/id/sys_vendor")), Model: text(word(root, "sys/class/dmi/id/product_name")),
		Serial: text(word(root, "sys/class/dmi/id/product_serial"))}
	virtual := false
	b, _ := readFile(root, "proc/cpuinfo", maxProc) // what cannot be read is not told
	for line := range strings.Lines(string(b)) {
		name, value, _ := strings.Cut(line, ":")
		switch value = strings.TrimSpace(value); strings.TrimSpace(name) {
		case "processor":
			h.CPUs++
		case "model name":
			h.CPU = text(value)
		case "flags":
			virtual = virtual || slices.Contains(strings.Fields(value), "hypervisor")
		}
	}
	b, _ = readFile(root, "proc/meminfo", maxProc)
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "MemTotal:" {
			h.MemoryKiB, _ = strconv.ParseInt(f[1], 10, 64)
		}
	}
	if virtual {
		h.Virtualization = "vm"
	}
	if container := word(root, "run/systemd/container"); container != "" { // systemd writes its manager's name
		h.Virtualization = short(container)
	}
	return h
}

// addresses lists the machine's addresses but for loopback and link-local ones, and those that change for privacy. It reads
// proc, because the agent's sandbox has no netlink. Source: Documentation/networking of the kernel, proc(5).
func addresses(root string) []string {
	found := map[netip.Addr]bool{}
	b, _ := readFile(root, "proc/net/fib_trie", maxProc)
	var last netip.Addr
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		switch {
		case len(f) == 2 && f[0] == "|--":
			last, _ = netip.ParseAddr(f[1])
		case len(f) == 3 && f[0] == "/32" && f[1] == "host" && f[2] == "LOCAL" && last.Is4():
			found[last] = true
		}
	}
	b, _ = readFile(root, "proc/net/if_inet6", maxProc)
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 6 {
			continue
		}
		raw, err := hex.DecodeString(f[0])
		flags, bad := strconv.ParseUint(f[4], 16, 32)
		const temporary = 0x01 // IFA_F_TEMPORARY
		if a, ok := netip.AddrFromSlice(raw); err == nil && bad == nil && ok && a.Is6() && flags&temporary == 0 {
			found[a] = true
		}
	}
	var all []netip.Addr
	for a := range found {
		if !a.IsLoopback() && !a.IsLinkLocalUnicast() {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, netip.Addr.Compare)
	var texts []string
	for _, a := range most(all) {
		texts = append(texts, a.String())
	}
	return texts
}

// machineID is a digest of the machine's ID, the same as long as that is: machine-id(5) asks to keep the ID itself on the host.
func machineID(root string) string {
	id := word(root, "etc/machine-id")
	if id == "" {
		return ""
	}
	sum := sha256.Sum256([]byte("patchwarrant machine-id\n" + id))
	return hex.EncodeToString(sum[:])
}
