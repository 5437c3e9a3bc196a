# SPDX-License-Identifier: Apache-2.0
# Makefile - builds, installs and tests Mayfly; `make help` lists what there is

VERSION := 0.1.0
BUILD ?= build
PREFIX ?= /usr/local
CC ?= gcc
CLANG ?= clang
V ?= 0

Q := $(if $(filter 1,$(V)),,@)
say = @$(if $(filter 1,$(V)),true,printf '  %-7s %s\n' $(1) $(2))

# Each warning beyond -Wall -Wextra has found a real mistake in code of this kind. Cutting text
# with snprintf() is meant where it is done.
WARN := -Wall -Wextra -Werror -Wshadow -Wpointer-arith -Wstrict-prototypes -Wmissing-prototypes \
	-Wformat=2 -Wvla -Wundef -Wwrite-strings -Wconversion -Wno-sign-conversion \
	-Wno-format-truncation
# Overflow checks, stack clash probes, full RELRO, position independence.
HARDEN := -fstack-protector-strong -fstack-clash-protection -D_FORTIFY_SOURCE=2 -fPIE -fcf-protection
OPT ?= -O2 -g
BASE_CFLAGS := -std=gnu11 -D_GNU_SOURCE -DMAYFLY_VERSION='"$(VERSION)"' -MMD -MP \
	-Iruntime -I$(BUILD)/gen -I. -Ijailer
CFLAGS_ALL = $(BASE_CFLAGS) $(OPT) $(WARN) $(HARDEN) $(CFLAGS)
LINK_SAFE := -Wl,-z,relro,-z,now,-z,noexecstack
LDFLAGS_ALL = -pie $(LINK_SAFE) $(LDFLAGS)
# The machine's own processes: no libraries to be found, mapped and relocated at each start.
STATIC ?= -static-pie
LDFLAGS_STATIC = $(STATIC) $(LINK_SAFE) $(LDFLAGS)
# Static always: the shared library of 2.3 does not export all of its functions.
URING := -l:liburing.a
PROTOBUF_STATIC = $(if $(STATIC),-l:libprotobuf-c.a,-lprotobuf-c)

GEN_C := $(BUILD)/gen/proto/agent.pb-c.c $(BUILD)/gen/proto/config.pb-c.c \
	$(BUILD)/gen/proto/control.pb-c.c
SECCOMP_H := $(BUILD)/gen/jailer/seccomp_tables.h
GEN_H := $(GEN_C:.c=.h) $(SECCOMP_H)

BASE_SRC := runtime/base/err.c runtime/base/evloop.c runtime/base/fdpass.c runtime/base/io.c \
	runtime/base/log.c
FRAME_SRC := proto/frame.c
CONFIG_SRC := proto/config_io.c proto/jail_link.c

STATE_SRC := jailer/statedir.c jailer/cgroup.c jailer/cgroup_find.c jailer/idrange.c
DOCTOR_SRC := runtime/cli/cmd_doctor.c runtime/engine/probe.c $(wildcard runtime/cli/host_*.c)
# What `mayfly run` needs of images: jansson only.
STORE_SRC := runtime/image/image_name.c runtime/image/image_meta.c runtime/image/image_store.c
IMAGE_SRC := runtime/image/main.c runtime/image/cmd_import.c runtime/image/cmd_export.c \
	runtime/image/cmd_images.c runtime/image/convert.c runtime/image/erofs_read.c \
	runtime/image/erofs_write.c runtime/image/export.c runtime/image/manifest.c \
	runtime/image/progress.c runtime/image/source.c runtime/image/store_change.c \
	runtime/image/tree.c runtime/image/unpack.c runtime/image/unpack_dir.c \
	runtime/image/users.c runtime/image/worker.c jailer/landlock.c jailer/seccomp.c runtime/base/err.c \
	runtime/base/io.c runtime/base/log.c runtime/base/opt.c $(STORE_SRC)
# Both ends of a copy of files: what walks and sends, and what writes.
COPY_SRC := $(wildcard runtime/copy/*.c)
CLI_SRC := $(filter-out $(DOCTOR_SRC),$(wildcard runtime/cli/*.c)) runtime/base/opt.c \
	$(STORE_SRC) runtime/engine/tcg.c $(STATE_SRC) $(DOCTOR_SRC) \
	$(BASE_SRC) $(FRAME_SRC) $(CONFIG_SRC) $(COPY_SRC)
VIRTIO_SRC := runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c \
	runtime/vmm/gmem.c
VSOCK_SRC := runtime/virtio/vsock.c runtime/virtio/vsock_pkt.c runtime/virtio/vsock_conn.c \
	runtime/virtio/vsock_mux.c
VHOST_SRC := runtime/virtio/vhost_user.c runtime/virtio/vhost_user_msg.c \
	runtime/virtio/vhost_user_mem.c
FSDEV_SRC := runtime/virtio/fs.c runtime/virtio/fs_handle.c runtime/virtio/fs_link.c \
	runtime/virtio/fs_local.c runtime/fs/fs_wire.c
BLKDEV_SRC := runtime/virtio/blk.c runtime/virtio/blk_req.c runtime/virtio/blk_io.c \
	runtime/virtio/blk_uring.c runtime/virtio/blk_threads.c
SMALLDEV_SRC := runtime/virtio/rng.c runtime/virtio/console.c runtime/device/serial.c \
	runtime/device/i8042.c runtime/device/rtc.c runtime/base/ratelimit.c
KVM_SRC := runtime/vmm/vmm_kvm.c runtime/vmm/ram.c runtime/virtio/mmio.c runtime/engine/bus.c \
	runtime/engine/vcpu.c runtime/engine/kvm.c runtime/engine/kvm_vcpu.c \
	runtime/arch/x86_64/cpuid.c runtime/arch/x86_64/msr.c runtime/arch/x86_64/regs.c \
	runtime/arch/x86_64/e820.c runtime/arch/x86_64/zeropage.c runtime/arch/x86_64/pvh.c \
	runtime/arch/x86_64/mptable.c runtime/boot/place.c runtime/boot/elf.c \
	runtime/boot/bzimage.c runtime/boot/loader.c runtime/boot/initrd.c
VMM_SRC := runtime/vmm/main.c runtime/vmm/vmm_tcg.c runtime/vmm/serial_log.c \
	runtime/vmm/guest_serial.c runtime/vmm/dev_thread.c $(VIRTIO_SRC) $(VSOCK_SRC) \
	$(VHOST_SRC) $(FSDEV_SRC) $(BLKDEV_SRC) $(SMALLDEV_SRC) $(KVM_SRC) \
	runtime/vmm/disks.c runtime/vmm/confine.c \
	jailer/seccomp.c $(BASE_SRC) $(CONFIG_SRC)
FS_SRV_SRC := runtime/fs/fs.c runtime/fs/fs_attr.c runtime/fs/fs_cache.c runtime/fs/fs_change.c \
	runtime/fs/fs_dir.c runtime/fs/fs_file.c runtime/fs/fs_hide.c runtime/fs/fs_ino.c \
	runtime/fs/fs_lookup.c runtime/fs/fs_node.c runtime/fs/fs_open.c runtime/fs/fs_ops.c \
	runtime/fs/fs_ops_change.c runtime/fs/fs_quota.c runtime/fs/fs_server.c \
	runtime/fs/fs_setattr.c runtime/fs/fs_tree.c runtime/fs/fs_wire.c runtime/fs/fs_xattr.c
FS_SRC := runtime/fs/main.c $(FS_SRV_SRC) jailer/seccomp.c $(BASE_SRC) $(CONFIG_SRC)
JAILER_SRC := jailer/main.c jailer/single.c runtime/base/opt.c jailer/supervisor.c jailer/jail.c jailer/root.c jailer/userns.c \
	jailer/caps.c jailer/landlock.c jailer/link.c jailer/notify.c jailer/seccomp.c $(STATE_SRC) $(BASE_SRC) $(CONFIG_SRC)
INIT_SRC := $(wildcard init/*.c) $(BASE_SRC) $(FRAME_SRC) $(COPY_SRC)

objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
CLI_OBJ := $(call objs,$(CLI_SRC)) $(BUILD)/obj/gen/agent.pb-c.o $(BUILD)/obj/gen/config.pb-c.o \
	$(BUILD)/obj/gen/control.pb-c.o
VMM_OBJ := $(call objs,$(VMM_SRC)) $(BUILD)/obj/gen/config.pb-c.o
FS_OBJ := $(call objs,$(FS_SRC)) $(BUILD)/obj/gen/config.pb-c.o
JAILER_OBJ := $(call objs,$(JAILER_SRC)) $(BUILD)/obj/gen/config.pb-c.o
IMAGE_OBJ := $(call objs,$(IMAGE_SRC))
INIT_OBJ := $(patsubst %.c,$(BUILD)/obj-init/%.o,$(INIT_SRC)) $(BUILD)/obj-init/gen/agent.pb-c.o

PROGRAMS := $(BUILD)/mayfly $(BUILD)/mayfly-vmm $(BUILD)/mayfly-fs $(BUILD)/mayfly-jailer \
	$(BUILD)/mayfly-image
GUEST := $(BUILD)/guest/vmlinux $(BUILD)/guest/bzImage $(BUILD)/guest/init.cpio

.PHONY: all programs kernel
all: programs $(GUEST)
programs: $(PROGRAMS)

$(BUILD)/mayfly: $(CLI_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lprotobuf-c -ljansson

$(BUILD)/mayfly-vmm: $(VMM_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_STATIC) -pthread -o $@ $^ $(PROTOBUF_STATIC) $(URING)

$(BUILD)/mayfly-fs: $(FS_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_STATIC) -o $@ $^ $(PROTOBUF_STATIC)

$(BUILD)/mayfly-jailer: $(JAILER_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_STATIC) -o $@ $^ $(PROTOBUF_STATIC) -lcap

$(BUILD)/mayfly-image: $(IMAGE_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -larchive -lnettle -ljansson

# Static: it is the only file in the guest's init image. Stripped: the guest unpacks every byte.
$(BUILD)/guest/mayfly-init: $(INIT_OBJ)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -static -s -Wl,-z,noexecstack,--gc-sections -o $@ $^ -l:libprotobuf-c.a

$(BUILD)/guest/init.cpio: $(BUILD)/guest/mayfly-init init/mkcpio.sh
	$(call say,CPIO,$@)
	$(Q)init/mkcpio.sh $< $@

kernel: $(BUILD)/guest/vmlinux

KERNEL_INPUTS := $(wildcard guest-kernel-config/*.sh guest-kernel-config/*.txt \
	guest-kernel-config/fragments/*)
$(BUILD)/guest/vmlinux: $(KERNEL_INPUTS)
	$(call say,KERNEL,$@)
	@mkdir -p $(@D)
	$(Q)guest-kernel-config/build.sh $(@D)
	@touch -c $@ $(@D)/bzImage

$(BUILD)/guest/bzImage: $(BUILD)/guest/vmlinux

# The machine in which the kvm engine is tested where the host's own KVM is not usable.
$(BUILD)/rig/vmlinux: $(KERNEL_INPUTS)
	$(call say,KERNEL,$@)
	@mkdir -p $(@D)
	$(Q)guest-kernel-config/build.sh --profile rig $(@D)
	@touch -c $@

$(BUILD)/obj/%.o: %.c | $(GEN_H)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(CFLAGS_ALL) -pthread -c -o $@ $<

$(BUILD)/obj-init/%.o: %.c | $(GEN_H)
	$(call say,CC,$<)
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) -Iinit -Os -ffunction-sections -fdata-sections $(WARN) \
		-fstack-protector-strong -D_FORTIFY_SOURCE=2 -c -o $@ $<

# Generated code is not ours to warn about.
$(BUILD)/obj/gen/%.o: $(BUILD)/gen/proto/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) $(OPT) $(HARDEN) $(CFLAGS) -c -o $@ $<

$(BUILD)/obj-init/gen/%.o: $(BUILD)/gen/proto/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(BASE_CFLAGS) -Os -ffunction-sections -fdata-sections -c -o $@ $<

$(BUILD)/gen/proto/%.pb-c.c $(BUILD)/gen/proto/%.pb-c.h: proto/%.proto
	$(call say,PROTOC,$<)
	@mkdir -p $(@D)
	$(Q)protoc-c --c_out=$(BUILD)/gen -I . $<

# The tables of system calls, compiled by a program of the building host. Without -Ijailer:
# <seccomp.h> is libseccomp's.
SECCOMP_GEN_SRC := jailer/seccomp_gen.c $(wildcard jailer/policy/*.c)
$(BUILD)/gen/seccomp_gen: $(SECCOMP_GEN_SRC) jailer/policy/policy.h jailer/seccomp_table.h
	$(call say,CC,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -D_GNU_SOURCE -Iruntime -I. $(OPT) $(WARN) -o $@ $(SECCOMP_GEN_SRC) \
		-lseccomp

$(SECCOMP_H): $(BUILD)/gen/seccomp_gen
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q)$< $@

.SECONDARY: $(GEN_C) $(GEN_H)

-include $(shell find $(BUILD)/obj $(BUILD)/obj-init $(BUILD)/obj-test $(BUILD)/obj-fuzz -name '*.d' 2>/dev/null)

# --- tests: one library of everything but the mains, with sanitizers, and one program a file ---

TEST_SRC := $(sort $(filter-out %/main.c,$(CLI_SRC) $(VMM_SRC) $(FS_SRC) $(JAILER_SRC) $(INIT_SRC) $(IMAGE_SRC))) \
	$(wildcard jailer/policy/*.c tests/lib/*.c)
SAN := -fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer
TEST_INC := -Iinit -Itests -Itests/lib

# $(1) directory, $(2) compiler, $(3) flags
define variant
$(BUILD)/$(1)/%.o: %.c | $(GEN_H)
	$$(call say,CC,$$<)
	@mkdir -p $$(@D)
	$$(Q)$(2) $(BASE_CFLAGS) $(TEST_INC) -g $(WARN) $(3) $(4) -pthread -c -o $$@ $$<

$(BUILD)/$(1)/gen/%.o: $(BUILD)/gen/proto/%.c
	@mkdir -p $$(@D)
	$$(Q)$(2) $(BASE_CFLAGS) -g $(3) -c -o $$@ $$<

$(BUILD)/$(1)/libmayfly.a: $(TEST_SRC:%.c=$(BUILD)/$(1)/%.o) $(BUILD)/$(1)/gen/agent.pb-c.o \
		$(BUILD)/$(1)/gen/config.pb-c.o $(BUILD)/$(1)/gen/control.pb-c.o
	@rm -f $$@
	$$(Q)ar rcs $$@ $$^
endef
$(eval $(call variant,obj-test,$(CC),-O1 $(SAN),))
# clang knows warnings that gcc names differently.
$(eval $(call variant,obj-fuzz,$(CLANG),-O1 $(SAN) -fsanitize=fuzzer-no-link,\
	-Wno-format-nonliteral -Wno-unknown-warning-option -Wno-missing-prototypes))

UNIT := $(patsubst tests/unit/%.c,$(BUILD)/unit/%,$(wildcard tests/unit/test_*.c))
FUZZ := $(patsubst tests/fuzz/%.c,$(BUILD)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))

$(BUILD)/unit/%: $(BUILD)/obj-test/tests/unit/%.o $(BUILD)/obj-test/libmayfly.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(SAN) -o $@ $^ -lcmocka -lprotobuf-c -ljansson -lcap $(URING) -larchive -lnettle -pthread

$(BUILD)/fuzz/%: $(BUILD)/obj-fuzz/tests/fuzz/%.o $(BUILD)/obj-fuzz/libmayfly.a
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CLANG) $(SAN) -fsanitize=fuzzer -o $@ $^ -lprotobuf-c -ljansson -lcap $(URING) -larchive -lnettle -pthread

# Stands in the place of a machine's process (tests/security).
PROBE_SRC := tests/probe/jail_probe.c jailer/seccomp.c $(BASE_SRC) $(CONFIG_SRC)
PROBE_OBJ := $(call objs,$(PROBE_SRC)) $(BUILD)/obj/gen/config.pb-c.o
$(BUILD)/probe/jail_probe: $(PROBE_OBJ)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS_STATIC) -pthread -o $@ $^ $(PROTOBUF_STATIC)

.PRECIOUS: $(BUILD)/obj-test/%.o $(BUILD)/obj-fuzz/%.o

.PHONY: unit fuzzers probe check check-fast soak bench rig lint format deps quickstart install deb uninstall \
	asan clean help

unit: $(UNIT)
fuzzers: $(FUZZ)
probe: $(BUILD)/probe/jail_probe

check-fast: deps
	@$(MAKE) --no-print-directory -j$$(nproc) unit
	@tests/check --unit

check: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all unit fuzzers probe $(BUILD)/rig/vmlinux
	@tests/check

soak: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all unit fuzzers probe $(BUILD)/rig/vmlinux
	@tests/check --soak

# BENCH=--quick for few rounds; tests/bench/all --help has more.
bench: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all $(BUILD)/rig/vmlinux
	@tests/bench/all $(BENCH)

rig: all $(BUILD)/rig/vmlinux
	@tests/rig/shell

# The programs themselves with sanitizers, in a build directory of their own.
asan:
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/asan OPT="-O1 -g" STATIC= \
		HARDEN="$(SAN) -fPIE" LDFLAGS="$(SAN)" programs $(BUILD)/asan/guest/init.cpio
	@for f in vmlinux bzImage; do ln -f $(BUILD)/guest/$$f $(BUILD)/asan/guest/$$f 2>/dev/null || true; done

LINT_SRC := $(sort $(CLI_SRC) $(VMM_SRC) $(FS_SRC) $(JAILER_SRC) $(INIT_SRC) $(IMAGE_SRC) $(wildcard jailer/policy/*.c))
lint: $(GEN_H)
	@tests/lint $(CLANG_TIDY_JOBS) -- $(LINT_SRC)

format:
	$(Q)clang-format -i $(shell git ls-files '*.c' '*.h')

deps:
	@tests/deps

quickstart: deps
	@$(MAKE) --no-print-directory -j$$(nproc) all
	$(BUILD)/mayfly run -- uname -a

LIBDIR := $(DESTDIR)$(PREFIX)/lib/mayfly
MANDIR := $(DESTDIR)$(PREFIX)/share/man
install: all
	install -D -m 755 $(BUILD)/mayfly $(DESTDIR)$(PREFIX)/bin/mayfly
	for p in mayfly-vmm mayfly-fs mayfly-jailer mayfly-image; do install -D -m 755 $(BUILD)/$$p $(LIBDIR)/$$p; done
	for f in vmlinux bzImage init.cpio; do install -D -m 644 $(BUILD)/guest/$$f $(LIBDIR)/guest/$$f; done
	for m in man/*.1; do install -D -m 644 $$m $(MANDIR)/man1/$${m##*/}; done
	for m in man/*.8; do install -D -m 644 $$m $(MANDIR)/man8/$${m##*/}; done
	install -D -m 644 completion/mayfly.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mayfly
	install -D -m 644 completion/_mayfly $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mayfly
	install -D -m 755 contrib/gitlab-runner/driver $(DESTDIR)$(PREFIX)/share/mayfly/gitlab-runner/driver
	install -D -m 644 contrib/gitlab-runner/config.toml $(DESTDIR)$(PREFIX)/share/mayfly/gitlab-runner/config.toml

deb: all
	$(call say,DEB,$(BUILD))
	$(Q)contrib/debian/make-deb $(BUILD) $(VERSION)

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/mayfly
	rm -rf $(LIBDIR)
	rm -f $(patsubst man/%,$(MANDIR)/man1/%,$(wildcard man/*.1)) \
		$(patsubst man/%,$(MANDIR)/man8/%,$(wildcard man/*.8))
	rm -f $(DESTDIR)$(PREFIX)/share/bash-completion/completions/mayfly \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_mayfly
	rm -rf $(DESTDIR)$(PREFIX)/share/mayfly

clean:
	rm -rf $(BUILD)

help:
	@printf '%s\n' 'make              build everything (the first time also the guest kernel)' \
		'make quickstart   install what is missing, build, run uname in a virtual machine' \
		'make check        install what is missing, build, run every test' \
		'make check-fast   unit tests only' \
		'make soak         long runs: thousands of starts, kill storms, fuzzing' \
		'make bench        measure, beside what one would use instead' \
		'make rig          a shell in a machine that has a usable /dev/kvm' \
		'make lint         clang-tidy, cppcheck, formatting' \
		'make asan         the programs with sanitizers, in build/asan' \
		'make kernel       the guest kernel only' \
		'make deb          a Debian package, in build' \
		'make install PREFIX=/usr/local, make uninstall, make deps, make format, make clean' \
		'V=1 shows the commands'
