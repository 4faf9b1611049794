// Command escape tries to leave the root it runs in, and ends with 1 if it could.
package main

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

func main() {
	out := false
	try := func(way string, err error) {
		fmt.Println(way+":", err)
		if err == nil {
			fmt.Fprintln(os.Stderr, "left by", way)
			out = true
		}
	}
	if b, err := os.ReadFile("/mark"); err != nil || string(b) != "inside" {
		try("not being in it", nil)
	}
	if dir, err := os.Getwd(); err != nil || dir != "/" {
		try("its working directory", nil)
	}
	_ = os.Mkdir("/sub", 0o700)
	try("a second chroot", unix.Chroot("/sub"))
	try("a mount", unix.Mount("none", "/sub", "tmpfs", 0, ""))
	try("a namespace", unix.Unshare(unix.CLONE_NEWNS))
	try("a device", unix.Mknod("/disk", unix.S_IFBLK|0o600, int(unix.Mkdev(8, 0))))
	handle := unix.NewFileHandle(1, make([]byte, 8))
	fd, err := unix.OpenByHandleAt(unix.AT_FDCWD, handle, unix.O_RDONLY)
	if err == unix.ESTALE || err == unix.EINVAL || fd >= 0 { // it was let look for it
		err = nil
	}
	try("a file handle", err)
	try("a trace of its parent", unix.PtraceSeize(os.Getppid()))
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	all := [2]unix.CapUserData{{Effective: ^uint32(0), Permitted: ^uint32(0), Inheritable: ^uint32(0)}, {Effective: ^uint32(0), Permitted: ^uint32(0), Inheritable: ^uint32(0)}}
	_, _, errno := unix.Syscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&head)), uintptr(unsafe.Pointer(&all)), 0)
	if errno != 0 {
		err = errno
	} else {
		err = nil
	}
	try("taking capabilities back", err)
	if out {
		os.Exit(1)
	}
}
