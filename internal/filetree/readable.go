package filetree

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// Readable writes the value of an extended attribute (in hex, as Entry has it) as people read it: file capabilities as getcap(8)
// does, ACLs as getfacl(1) does in short, text quoted, anything else in hex.
func Readable(name, value string) string {
	b, err := hex.DecodeString(value)
	if err != nil {
		return value
	}
	switch name {
	case "security.capability":
		if s := capabilities(b); s != "" {
			return s
		}
	case "system.posix_acl_access", "system.posix_acl_default":
		if s := acl(b); s != "" {
			return s
		}
	}
	if s := strings.TrimRight(string(b), "\x00"); s != "" && Quote(s) == s {
		return fmt.Sprintf("%q", s)
	}
	return value
}

// capabilityNames are in the order of linux/capability.h.
var capabilityNames = strings.Fields(`chown dac_override dac_read_search fowner fsetid kill setgid setuid setpcap linux_immutable
	net_bind_service net_broadcast net_admin net_raw ipc_lock ipc_owner sys_module sys_rawio sys_chroot sys_ptrace sys_pacct sys_admin
	sys_boot sys_nice sys_resource sys_time sys_tty_config mknod lease audit_write audit_control setfcap mac_override mac_admin syslog
	wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore`)

// capabilities reads struct vfs_ns_cap_data: revision and effective bit, then permitted and inheritable, low and high words, and in
// revision 3 the user ID that is root where it holds.
func capabilities(b []byte) string {
	if len(b) != 20 && len(b) != 24 {
		return ""
	}
	word := func(i int) uint64 { return uint64(binary.LittleEndian.Uint32(b[4*i:])) }
	revision := word(0) >> 24
	if revision != 2 && revision != 3 || revision == 3 && len(b) != 24 {
		return ""
	}
	var parts []string
	for bit := range 64 {
		flags := ""
		if permitted := word(1) | word(3)<<32; permitted>>bit&1 == 1 {
			flags = "p"
			if word(0)&1 == 1 {
				flags = "ep"
			}
		}
		if inheritable := word(2) | word(4)<<32; inheritable>>bit&1 == 1 {
			flags += "i"
		}
		if flags == "" {
			continue
		}
		name := fmt.Sprint(bit)
		if bit < len(capabilityNames) {
			name = capabilityNames[bit]
		}
		parts = append(parts, "cap_"+name+"="+flags)
	}
	out := strings.Join(parts, ",")
	if out == "" {
		out = "none"
	}
	if revision == 3 {
		out += fmt.Sprintf(" in the namespace of user %d", word(5))
	}
	return out
}

// acl reads struct posix_acl_xattr: version 2, then a tag, permissions and a number each. Source: linux/posix_acl_xattr.h.
func acl(b []byte) string {
	le := binary.LittleEndian
	if len(b) < 4 || le.Uint32(b) != 2 || len(b)%8 != 4 || len(b) > 8<<10 {
		return ""
	}
	tags := map[uint16]string{0x01: "user:", 0x02: "user:", 0x04: "group:", 0x08: "group:", 0x10: "mask:", 0x20: "other:"}
	var parts []string
	for b = b[4:]; len(b) > 0; b = b[8:] {
		tag, rights := le.Uint16(b), le.Uint16(b[2:])
		who, known := tags[tag]
		if !known || rights > 7 {
			return ""
		}
		if tag == 0x02 || tag == 0x08 {
			who += fmt.Sprint(le.Uint32(b[4:]))
		}
		text := []byte("---")
		for i, c := range []byte("rwx") {
			if rights>>(2-i)&1 == 1 {
				text[i] = c
			}
		}
		parts = append(parts, who+":"+string(text))
	}
	return strings.Join(parts, ",")
}
