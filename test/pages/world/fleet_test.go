//go:build pages

package world

// hosts of the site; the silent one comes later.
var hosts = []struct{ name, environment, role string }{
	{"stage-web", "stage", "web"}, {"stage-db", "stage", "db"},
	{"web-01", "production", "web"}, {"web-02", "production", "web"}, {"web-03", "production", "web"},
	{"db-01", "production", "db"}, {"mail-01", "production", "mail"},
}

// packages are what a host of a role has.
func packages(role string) []installed {
	all := []installed{
		{"openssl", "openssl", "3.0.17-1~deb12u1"}, {"libssl3", "openssl", "3.0.17-1~deb12u1"},
		{"curl", "curl", "7.88.1-10+deb12u12"}, {"libcurl4", "curl", "7.88.1-10+deb12u12"},
		{"sudo", "sudo", "1.9.13p3-1+deb12u1"}, {"libxml2", "libxml2", "2.9.14+dfsg-1.3~deb12u2"},
		{"bash", "bash", "5.2.15-2+b8"}, {"coreutils", "coreutils", "9.1-1"}, {"dpkg", "dpkg", "1.21.22"}, {"apt", "apt", "2.6.1"},
		{"libc6", "glibc", "2.36-9+deb12u10"}, {"systemd", "systemd", "252.38-1~deb12u1"}, {"openssh-server", "openssh", "1:9.2p1-2+deb12u6"},
		{"vim-common", "vim", "2:9.0.1378-2+deb12u2"}, {"perl-base", "perl", "5.36.0-7+deb12u2"}, {"python3.11", "python3.11", "3.11.2-6+deb12u6"},
		{"tar", "tar", "1.34+dfsg-1.2+deb12u1"}, {"gzip", "gzip", "1.12-1"}, {"rsync", "rsync", "3.2.7-1+deb12u2"}, {"git", "git", "1:2.39.5-0+deb12u2"},
		{"libgnutls30", "gnutls28", "3.7.9-2+deb12u5"}, {"libexpat1", "expat", "2.5.0-1+deb12u2"}, {"libsqlite3-0", "sqlite3", "3.40.1-2+deb12u1"},
		{"ca-certificates", "ca-certificates", "20230311+deb12u1"}, {"zlib1g", "zlib", "1:1.2.13.dfsg-1"},
	}
	switch role {
	case "web":
		all = append(all, installed{"nginx", "nginx", "1.22.1-9+deb12u2"}, installed{"php8.2-fpm", "php8.2", "8.2.29-1~deb12u1"})
	case "db":
		all = append(all, installed{"postgresql-15", "postgresql-15", "15.13-0+deb12u1"})
	case "mail":
		all = append(all, installed{"postfix", "postfix", "3.7.11-0+deb12u1"})
	}
	return all
}

// fixes are what the archive has.
var fixes = []installed{
	{"openssl", "openssl", "3.0.17-1~deb12u3"}, {"libssl3", "openssl", "3.0.17-1~deb12u3"},
	{"curl", "curl", "7.88.1-10+deb12u14"}, {"libcurl4", "curl", "7.88.1-10+deb12u14"},
	{"sudo", "sudo", "1.9.13p3-1+deb12u2"}, {"libxml2", "libxml2", "2.9.14+dfsg-1.3~deb12u4"},
	{"nginx", "nginx", "1.22.1-9+deb12u3"}, {"postgresql-15", "postgresql-15", "15.14-0+deb12u1"},
}

// advisories are what the tracker states, the likeliest to be exploited first.
var advisories = []struct{ id, source, fixed, urgency, note, about string }{
	{"CVE-2026-33019", "curl", "7.88.1-10+deb12u14", "high", "", "A redirect may lead to a file of the local host, which is then sent to the next server."},
	{"CVE-2026-31990", "postgresql-15", "15.14-0+deb12u1", "high", "", "The planner's statistics let a tenant run code as the operating system's user of the server."},
	{"CVE-2026-30412", "openssl", "3.0.17-1~deb12u3", "high", "", "A heap overflow while the names of a certificate are checked against a long constraint."},
	{"CVE-2026-29550", "nginx", "1.22.1-9+deb12u3", "high", "", "A crafted HTTP/3 stream makes a worker read freed memory."},
	{"CVE-2026-28871", "sudo", "1.9.13p3-1+deb12u2", "high", "", "The option --chroot loads a library of the caller's choice before privileges are checked."},
	{"CVE-2026-27744", "libxml2", "2.9.14+dfsg-1.3~deb12u4", "medium", "", "Deeply nested entities in a schema overflow the stack."},
	{"CVE-2026-26101", "glibc", "", "medium", "", "A resolver answer of exactly 2,048 bytes is compared with freed memory."},
	{"CVE-2026-25533", "php8.2", "", "medium", "", "Session names from cookies are written to the log unescaped."},
	{"CVE-2026-24870", "openssh", "", "medium", "Fixed in the next point release", "A client that opens channels without end uses all memory before it has logged in."},
	{"CVE-2026-11209", "curl", "", "low", "Minor issue", "A cookie for a domain with a trailing dot is sent to its parent."},
	{"CVE-2026-10077", "gnutls28", "", "medium", "", "Different times of RSA decryption tell about the padding."},
	{"CVE-2025-66120", "expat", "", "low", "Minor issue", "A small document makes the parser allocate a gigabyte."},
	{"CVE-2025-61817", "git", "", "low", "Minor issue", "A submodule's path with a carriage return ends up elsewhere."},
	{"CVE-2025-59003", "rsync", "", "low", "Minor issue", "A server learns sixteen bytes of the client's stack."},
	{"CVE-2025-55214", "python3.11", "", "low", "Minor issue", "A tar archive with a negative offset makes the reader loop."},
	{"CVE-2025-52299", "systemd", "", "low", "Minor issue", "A core dump of a privileged process can be read for a moment."},
	{"CVE-2025-48310", "vim", "", "unimportant", "Minor issue", "A modeline with a long pattern overruns a buffer."},
	{"CVE-2025-45101", "perl", "", "low", "Minor issue", "Working directories are not restored after a failed rmtree."},
	{"CVE-2025-40022", "postfix", "", "low", "Minor issue", "A bare line feed smuggles a second message."},
	{"CVE-2025-37444", "sqlite3", "", "low", "Minor issue", "A query with more than 32,000 terms reads past an array."},
	{"CVE-2025-31110", "tar", "", "low", "Minor issue", "An old header with a huge number of links is read twice."},
	{"CVE-2025-29906", "zlib", "", "low", "Minor issue", "A crafted deflate stream makes a table one entry too long."},
}
