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
LDFLAGS_ALL = -pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)

GEN_C := $(BUILD)/gen/proto/agent.pb-c.c $(BUILD)/gen/proto/config.pb-c.c
GEN_H := $(GEN_C:.c=.h)

BASE_SRC := runtime/base/err.c runtime/base/evloop.c runtime/base/fdpass.c runtime/base/io.c \
	runtime/base/log.c
FRAME_SRC := proto/frame.c
CONFIG_SRC := proto/config_io.c

DOCTOR_SRC := runtime/cli/cmd_doctor.c runtime/engine/probe.c $(wildcard runtime/cli/host_*.c)
CLI_SRC := runtime/cli/main.c runtime/cli/config.c runtime/cli/paths.c runtime/cli/views.c \
	runtime/cli/guest_user.c runtime/cli/hostio.c runtime/cli/verdict.c runtime/cli/machine.c \
	runtime/cli/launch.c runtime/cli/run.c runtime/cli/run_machine.c \
	runtime/cli/run_control.c runtime/cli/run_command.c runtime/base/opt.c \
	runtime/engine/tcg.c jailer/statedir.c $(DOCTOR_SRC) \
	$(BASE_SRC) $(FRAME_SRC) $(CONFIG_SRC)
VIRTIO_SRC := runtime/virtio/virtio.c runtime/virtio/queue.c runtime/virtio/chain.c \
	runtime/vmm/gmem.c
VSOCK_SRC := runtime/virtio/vsock.c runtime/virtio/vsock_pkt.c runtime/virtio/vsock_conn.c \
	runtime/virtio/vsock_mux.c
VHOST_SRC := runtime/virtio/vhost_user.c runtime/virtio/vhost_user_msg.c \
	runtime/virtio/vhost_user_mem.c
FSDEV_SRC := runtime/virtio/fs.c runtime/virtio/fs_handle.c runtime/virtio/fs_link.c \
	runtime/virtio/fs_local.c runtime/fs/fs_wire.c
VMM_SRC := runtime/vmm/main.c runtime/vmm/serial_log.c runtime/vmm/dev_thread.c $(VIRTIO_SRC) \
	$(VSOCK_SRC) $(VHOST_SRC) $(FSDEV_SRC) $(BASE_SRC) $(CONFIG_SRC)
FS_SRV_SRC := runtime/fs/fs.c runtime/fs/fs_attr.c runtime/fs/fs_cache.c runtime/fs/fs_dir.c \
	runtime/fs/fs_ino.c runtime/fs/fs_lookup.c runtime/fs/fs_node.c runtime/fs/fs_open.c \
	runtime/fs/fs_ops.c runtime/fs/fs_server.c runtime/fs/fs_tree.c runtime/fs/fs_wire.c \
	runtime/fs/fs_xattr.c
FS_SRC := runtime/fs/main.c $(FS_SRV_SRC) $(BASE_SRC) $(CONFIG_SRC)
JAILER_SRC := jailer/main.c jailer/supervisor.c jailer/jail.c jailer/statedir.c $(BASE_SRC) \
	$(CONFIG_SRC)
INIT_SRC := init/main.c init/agent.c init/mounts.c init/setup.c init/session.c \
	init/session_words.c init/spawn.c init/stream.c $(BASE_SRC) $(FRAME_SRC)

objs = $(patsubst %.c,$(BUILD)/obj/%.o,$(1))
CLI_OBJ := $(call objs,$(CLI_SRC)) $(BUILD)/obj/gen/agent.pb-c.o $(BUILD)/obj/gen/config.pb-c.o
VMM_OBJ := $(call objs,$(VMM_SRC)) $(BUILD)/obj/gen/config.pb-c.o
FS_OBJ := $(call objs,$(FS_SRC)) $(BUILD)/obj/gen/config.pb-c.o
JAILER_OBJ := $(call objs,$(JAILER_SRC)) $(BUILD)/obj/gen/config.pb-c.o
INIT_OBJ := $(patsubst %.c,$(BUILD)/obj-init/%.o,$(INIT_SRC)) $(BUILD)/obj-init/gen/agent.pb-c.o

PROGRAMS := $(BUILD)/mayfly $(BUILD)/mayfly-vmm $(BUILD)/mayfly-fs $(BUILD)/mayfly-jailer
GUEST := $(BUILD)/guest/vmlinux $(BUILD)/guest/bzImage $(BUILD)/guest/init.cpio

.PHONY: all programs kernel
all: programs $(GUEST)
programs: $(PROGRAMS)

$(BUILD)/mayfly: $(CLI_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lprotobuf-c -ljansson

$(BUILD)/mayfly-vmm: $(VMM_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -pthread -o $@ $^ -lprotobuf-c

$(BUILD)/mayfly-fs: $(FS_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lprotobuf-c

$(BUILD)/mayfly-jailer: $(JAILER_OBJ)
	$(call say,LD,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $^ -lprotobuf-c

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

.SECONDARY: $(GEN_C) $(GEN_H)

-include $(shell find $(BUILD)/obj $(BUILD)/obj-init -name '*.d' 2>/dev/null)
