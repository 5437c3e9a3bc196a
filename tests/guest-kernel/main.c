// SPDX-License-Identifier: Apache-2.0
// main.c - reads which program this is, does its steps, says what it saw, ends as it was told
#include "garbage.h"

#define SIPI_PAGE (TRAMPOLINE >> 12)
#define MIB (1ull << 20)

extern char program_text[];
extern uint64_t idt[512];
extern uint8_t idt_ptr[], pages[], trampoline[], trampoline_end[];
extern uint8_t on_exception[], on_interrupt[], on_nmi[];

_Noreturn void main(void);
_Noreturn void ap_main(void);

struct program program = {
	.steps = 100, .mem_end = 64 * MIB, .high_end = HOLE_END, .theme = "all", .end = "reset"};
uint32_t seen[SEEN_KINDS];
struct cpu cpus[2];

static const char *const seen_names[SEEN_KINDS] = {
	"fault",       "status", "refused",  "started",	  "broken",	"inflight",
	"used",	       "fs_ok",	 "fs_error", "vsock_rst", "vsock_open", "vsock_data",
	"vsock_other", "rng",	 "console",  "second",
};

void saw(enum seen what)
{
	seen[what]++;
}

/* ---- which program ---- */

static uint64_t number(const char *s)
{
	uint64_t v = 0;
	while (*s >= '0' && *s <= '9')
		v = v * 10 + (uint64_t)(*s++ - '0');
	return v;
}

static bool second_cpu;

static void take_word(char *word)
{
	char *value = word;
	while (*value && *value != '=')
		value++;
	if (!*value)
		return;
	*value++ = '\0';
	if (same(word, "seed"))
		program.seed = number(value);
	else if (same(word, "steps"))
		program.steps = number(value);
	else if (same(word, "cpus"))
		second_cpu = number(value) > 1;
	else if (same(word, "theme"))
		program.theme = value;
	else if (same(word, "end"))
		program.end = value;
	else if (same(word, "mem")) {
		uint64_t size = number(value) * MIB;
		program.mem_end = size < HOLE_START ? size : HOLE_START;
		program.high_end = HOLE_END + size - program.mem_end;
	}
}

static void read_program(void)
{
	char *p = program_text;
	while (*p && *p != ':')
		p++;
	bool more = *p == ':';
	while (more) {
		char *word = ++p;
		while (*p && *p != ' ')
			p++;
		more = *p == ' ';
		*p = '\0';
		take_word(word);
	}
}

/* ---- exceptions ---- */

static void set_gate(unsigned vector, const uint8_t *handler)
{
	uint64_t at = (uint64_t)handler;
	/* An interrupt gate in the code segment. */
	idt[2 * vector] = (at & 0xffff) | 0x08ull << 16 | 0x8eull << 40 | (at >> 16 & 0xffff) << 48;
	idt[2 * vector + 1] = at >> 32;
}

static void set_gates(void)
{
	for (unsigned i = 0; i < 256; i++)
		set_gate(i, i < 32 ? on_exception : on_interrupt);
	set_gate(2, on_nmi);
	__asm__ volatile("lidt %0" : : "m"(*(const char(*)[10])idt_ptr));
}

/* ---- steps ---- */

static const struct {
	const char *name;
	void (*fn)(void);
} steps[] = {
	{"port", step_port},
	{"hole", step_hole},
	{"apic", step_apic},
	{"memory", step_memory},
	{"registers", step_registers},
	{"lifecycle", step_lifecycle},
	{"ring", step_ring},
	{"vandal", step_vandal},
	{"fs", step_fs},
	{"vsock", step_vsock},
	{"rng", step_rng},
	{"console", step_console},
};

/* How often each step comes, in the order above. */
static const struct {
	const char *name;
	uint8_t weight[ARRAY_SIZE(steps)];
} themes[] = {
	{"ports", {90, 0, 0, 10}},
	{"hole", {0, 80, 0, 0, 20}},
	{"apic", {10, 10, 30, 0, 0, 0, 30, 0, 0, 0, 10, 10}},
	{"status", {0, 0, 0, 0, 70, 30}},
	{"ring", {0, 0, 0, 0, 0, 10, 80, 10}},
	{"request", {0, 0, 0, 3, 0, 0, 0, 3, 40, 34, 10, 10}},
	{"all", {10, 10, 0, 5, 15, 5, 15, 5, 15, 10, 5, 5}},
};

static void (*choose_step(void))(void)
{
	unsigned t = 0;
	while (t + 1 < ARRAY_SIZE(themes) && !same(themes[t].name, program.theme))
		t++;
	uint64_t sum = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++)
		sum += themes[t].weight[i];
	uint64_t at = below(sum);
	unsigned i = 0;
	while (at >= themes[t].weight[i])
		at -= themes[t].weight[i++];
	return steps[i].fn;
}

static void second_step(void)
{
	struct device *d = any_device();
	switch (below(8)) {
	case 0: step_registers(); break;
	case 1: step_hole(); break;
	case 2:
	case 3:
		if (d)
			queue_notify(d, (unsigned)below(4));
		break;
	default: step_vandal();
	}
}

/* Disturbs the first CPU for as long as the machine lives. */
void ap_main(void)
{
	for (;;) {
		if (try(second_step))
			saw(SEEN_FAULT);
		saw(SEEN_SECOND);
		pause_for(below(2000000));
	}
}

static void start_second(void)
{
	memcpy((void *)TRAMPOLINE, trampoline, (size_t)(trampoline_end - trampoline));
	cpus[1].random = program.seed ^ 0x5ec0;
	store(LAPIC + 0xf0, 4, 0x1ff);
	store(LAPIC + 0x310, 4, 1u << 24);
	store(LAPIC + 0x300, 4, 0x4500);
	pause_for(30000000);
	for (int i = 0; i < 2; i++) {
		store(LAPIC + 0x300, 4, 0x4600 | SIPI_PAGE);
		pause_for(1000000);
	}
}

/* ---- endings ---- */

static void end_reset(void)
{
	out(0x64, 1, 0xfe);
}

static void end_triple(void)
{
	static const char none[10];
	__asm__ volatile("lidt %0; ud2" : : "m"(none));
}

static void end_halt(void)
{
	for (;;)
		__asm__ volatile("sti; hlt");
}

static void end_hang(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void end_loop(void)
{
	__asm__ volatile("cli; 1: jmp 1b");
}

static void end_panic(void)
{
	print("Kernel panic - not syncing: enough garbage\n");
	pause_for(50000000);
	out(0x64, 1, 0xfe);
}

static void end_flood(void)
{
	for (;;)
		out_string(COM1, (const void *)ARENA, 65536);
}

static void end_storm(void)
{
	for (;;)
		try(second_step);
}

/* Until nothing of this kernel works. */
static void end_smash(void)
{
	for (;;)
		store((uint64_t)pages - 0x4000 + below(0x10000), 8, random64());
}

static void end_fetch(void)
{
	__asm__ volatile("jmp *%0" : : "r"(WINDOWS + below(8) * WINDOW_SIZE));
}

static const struct {
	const char *name;
	void (*fn)(void);
} ends[] = {
	{"reset", end_reset}, {"triple", end_triple}, {"halt", end_halt},   {"hang", end_hang},
	{"loop", end_loop},   {"panic", end_panic},   {"flood", end_flood}, {"storm", end_storm},
	{"smash", end_smash}, {"fetch", end_fetch},
};

/* ---- the whole ---- */

static void clean_serial(void)
{
	static const uint8_t values[][2] = {{3, 3}, {4, 3}, {1, 0}, {2, 0}};
	for (unsigned i = 0; i < ARRAY_SIZE(values); i++)
		out(COM1 + values[i][0], 1, values[i][1]);
}

static void tell(void)
{
	struct device *console = device_of(ID_CONSOLE);
	/* Its text would stand between ours. */
	if (console)
		device_reset(console);
	clean_serial();
	print("\nsaw");
	for (unsigned i = 0; i < SEEN_KINDS; i++) {
		if (!seen[i])
			continue;
		print(" ");
		print(seen_names[i]);
		print("=");
		print_number(seen[i]);
	}
	print("\nending ");
	print(program.end);
	print("\n");
}

void main(void)
{
	set_gates();
	read_program();
	cpus[0].random = program.seed;
	device_scan();
	if (second_cpu)
		start_second();
	for (uint64_t i = 0; i < program.steps; i++)
		if (try(choose_step()))
			saw(SEEN_FAULT);
	if (try(tell))
		saw(SEEN_FAULT);
	for (unsigned i = 0; i < ARRAY_SIZE(ends); i++)
		if (same(ends[i].name, program.end))
			ends[i].fn();
	end_hang();
	__builtin_unreachable();
}
