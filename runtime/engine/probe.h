// SPDX-License-Identifier: Apache-2.0
// probe.h - can this host's KVM run a kernel at speed, and if not, why
#ifndef MAYFLY_ENGINE_PROBE_H
#define MAYFLY_ENGINE_PROBE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PROBE_DEVICE "/dev/kvm"
#define PROBE_INSNS "20,000"		 /* what the guest loop executes, as texts name it */
#define PROBE_BOUND_NS 2000000ull	 /* a loop within this says yes */
#define PROBE_NO_NS (5 * PROBE_BOUND_NS) /* a loop above this says no */
#define PROBE_CUT_NS (5 * PROBE_NO_NS)	 /* no loop is waited for longer */
#define PROBE_SAMPLES 5
#define PROBE_CACHE_NAME "kvm-probe"
#define PROBE_CACHE_TEMP "kvm-probe.new"
#define PROBE_NO_AGE_S 600u /* a remembered "no" is asked for again after this */
#define PROBE_REASON_MAX 200
#define PROBE_KEY_MAX 320

struct probe_result {
	bool present;		       /* the device node exists */
	bool denied;		       /* this user may not open it */
	bool usable;		       /* the kvm engine may be chosen */
	bool cached;		       /* the loop was not run now, an earlier verdict holds */
	uint64_t loop_ns;	       /* the loop's best time; 0: it did not get that far */
	uint64_t create_ns;	       /* what KVM_CREATE_VM took; 0: not measured */
	char group[32];		       /* denied: the group that may open it, empty if none */
	char reason[PROBE_REASON_MAX]; /* one sentence for users, whatever the verdict */
};

/*
 * probe_kvm() - opens KVM, checks version and capabilities, times a loop of kernel-mode code.
 * @out: always filled
 * @use_cache: take the verdict from the cache if it holds one for this boot, kernel and device
 * @cache_dir_fd: directory of the cache file, where a fresh verdict is stored; -1: none
 * Returns 0 with a verdict, "not usable" being one, or -errno if nothing could be found out.
 * Takes 0.3 s at the very most. Runs in the calling thread; signals stay pending meanwhile, no
 * handler is touched, the signal mask is as before when it returns.
 */
int probe_kvm(struct probe_result *out, bool use_cache, int cache_dir_fd);

/* The parts below are for probe_kvm() and its tests. */

/* One run of the loop. Processor time tells a slow loop from one that was not let run. */
struct probe_sample {
	uint64_t wall_ns;
	uint64_t cpu_ns;
	bool done; /* false: cut off */
};

enum probe_verdict { PROBE_MORE, PROBE_YES, PROBE_NO };

/*
 * probe_decide() - the verdict after n samples, n at least 1: the last one within the bound says
 * yes, one above PROBE_NO_NS says no unless the thread was kept from running, PROBE_SAMPLES
 * without a yes say no.
 */
enum probe_verdict probe_decide(const struct probe_sample *s, size_t n);

/* probe_explain() - sets usable and reason from out->loop_ns. */
void probe_explain(struct probe_result *out);

/* probe_cache_key() - names this boot, kernel and device (an open descriptor); 0 or -errno. */
int probe_cache_key(int dev_fd, char *key, size_t size);

/*
 * probe_cache_load() - the loop time stored under this key; 0, -ENOENT if there is none, -ESTALE
 * if it belongs to another key or is a "no" of some age, -EINVAL if the file is not to be trusted.
 */
int probe_cache_load(int dir_fd, const char *key, uint64_t now_s, uint64_t *loop_ns);

/* probe_cache_store() - replaces the file as a whole; 0 or -errno. */
int probe_cache_store(int dir_fd, const char *key, uint64_t now_s, uint64_t loop_ns);

#endif
