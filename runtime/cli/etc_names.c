// SPDX-License-Identifier: Apache-2.0
// etc_names.c - what of the host's /etc the system view shows
//
// What programs need to run, and nothing that identifies or authenticates this host. Everything
// else of /etc is not there for the guest.
#include "cli/etc_names.h"

#include "base/checked.h"

const struct etc_name etc_names[] = {
	{"alternatives", "links behind /usr/bin: editor, java, awk"},
	{"bash.bashrc", "start of interactive shells"},
	{"ca-certificates", "certificates of authorities that were added here"},
	{"ca-certificates.conf", "which authorities are trusted"},
	{"debian_version", "release, read by build scripts"},
	{"ethertypes", "names of protocol numbers"},
	{"fonts", "fontconfig's configuration: PDF and image tools"},
	{"group", "names of groups, without passwords"},
	{"host.conf", "resolver order, read by old libraries"},
	{"inputrc", "keys of readline"},
	{"issue", "release, read by scripts"},
	{"java-17-openjdk", "configuration that the JVM does not start without"},
	{"ld.so.cache", "where the dynamic linker finds libraries"},
	{"ld.so.conf", "directories of libraries"},
	{"ld.so.conf.d", "directories of libraries"},
	{"locale.alias", "names of locales"},
	{"localtime", "time zone"},
	{"login.defs", "ranges of ids, read by su and useradd"},
	{"lsb-release", "release, read by build scripts"},
	{"magic", "additions to file(1)"},
	{"magic.mime", "additions to file(1)"},
	{"mime.types", "types of files by suffix"},
	{"networks", "names of networks"},
	{"nsswitch.conf", "which sources of names libc asks"},
	{"os-release", "release, read by build scripts"},
	{"passwd", "names of users, without passwords"},
	{"perl", "libnet and module paths of perl"},
	{"profile", "start of login shells"},
	{"profile.d", "start of login shells"},
	{"protocols", "names of protocol numbers"},
	{"python3", "defaults of Debian's python3"},
	{"python3.11", "sitecustomize of this version"},
	{"python3.12", "sitecustomize of this version"},
	{"python3.13", "sitecustomize of this version"},
	{"rpc", "names of protocol numbers"},
	{"services", "names of port numbers"},
	{"shells", "shells that programs accept"},
	{"skel", "what useradd copies into a new home"},
	{"ssl/certs", "certificates of authorities; no private keys"},
	{"ssl/openssl.cnf", "defaults of OpenSSL"},
	{"terminfo", "terminals beyond /usr/share/terminfo"},
	{"timezone", "time zone"},
};
const size_t etc_names_count = ARRAY_SIZE(etc_names);
