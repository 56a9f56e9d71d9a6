/* A QEMU TCG plugin: which guest pages are loaded from, stored to and fetched from, by bucket of wall-clock time.
 *
 * tracekit compiles it (tracekit capture access build) and reads what it writes (tracekit/capture/plugin_log.py). Use:
 *   -plugin tracekit.so,out=FILE,mib=RAM,bucket_ms=100
 * It needs no header of QEMU's: the few functions it uses are declared here, and are the same in the plugin API versions
 * that tracekit compiles it for (QEMU documentation, "QEMU TCG Plugins"); QEMU refuses a plugin of a version it does not have.
 *
 * FILE is a head of 64 bytes, then a block a bucket: 5 u64 (begin and end in ns of CLOCK_MONOTONIC, instructions and loads
 * and stores of the VM so far, number of touches) and as many u32, each a page and what was done to it for the first time
 * in this bucket, in order. A block is written in one piece, so that a QEMU that is killed loses its last bucket at most. */
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

typedef uint64_t qemu_plugin_id_t;
typedef uint32_t qemu_plugin_meminfo_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
struct qemu_plugin_hwaddr;
enum { NO_REGISTERS = 0, LOADS_AND_STORES = 3 };
extern void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, struct qemu_plugin_tb *));
extern size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *);
extern struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *, size_t);
extern void *qemu_plugin_insn_haddr(const struct qemu_plugin_insn *);
extern void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *, void (*)(unsigned, void *), int, void *);
extern void qemu_plugin_register_vcpu_mem_cb(struct qemu_plugin_insn *,
                                             void (*)(unsigned, qemu_plugin_meminfo_t, uint64_t, void *), int, int, void *);
extern bool qemu_plugin_mem_is_store(qemu_plugin_meminfo_t);
extern struct qemu_plugin_hwaddr *qemu_plugin_get_hwaddr(qemu_plugin_meminfo_t, uint64_t);
extern bool qemu_plugin_hwaddr_is_io(const struct qemu_plugin_hwaddr *);
extern uint64_t qemu_plugin_hwaddr_phys_addr(const struct qemu_plugin_hwaddr *);
extern void qemu_plugin_register_atexit_cb(qemu_plugin_id_t, void (*)(qemu_plugin_id_t, void *), void *);

#define PUBLIC __attribute__((visibility("default")))
PUBLIC int qemu_plugin_version = API_VERSION;

enum { LOAD = 0, STORE = 1, FETCH = 2, KINDS = 3, MAX_CPUS = 256 };
/* Of larger RAM a part lies above 4 GiB, where QEMUs differ in whether they tell a plugin the address or the place in RAM. */
enum { MAX_MIB = 2816 };
struct head { char magic[8]; uint32_t api, pages, bucket_ms, fetches; uint8_t rest[40]; };
struct block { uint64_t begin, end, instructions, accesses, touches; };
struct count { uint64_t instructions, accesses; uint8_t rest[48]; }; /* a cache line each, so that CPUs do not share one */
struct code { uint32_t instructions, pages[2]; }; /* a translated block lies in two pages at most */

static const uint32_t NONE = UINT32_MAX;
static int out;
static uint32_t pages, bucket_ms = 100, bucket = 1; /* the number of the bucket; 0 is never */
static uint32_t *last[KINDS];                       /* the bucket in which a page was last told of */
static uint32_t *touched, *writing, touches;
static uint64_t begin;
static struct count counts[MAX_CPUS];
static uintptr_t ram, ram_size; /* where the guest's RAM lies in this process (0: not found) */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void touch(uint32_t page, int kind) {
    if (__atomic_load_n(&last[kind][page], __ATOMIC_RELAXED) == __atomic_load_n(&bucket, __ATOMIC_RELAXED)) return;
    pthread_mutex_lock(&lock);
    if (last[kind][page] != bucket) {
        last[kind][page] = bucket;
        touched[touches++] = page | (uint32_t)kind << 30;
    }
    pthread_mutex_unlock(&lock);
}

static void on_access(unsigned cpu, qemu_plugin_meminfo_t info, uint64_t address, void *unused) {
    struct qemu_plugin_hwaddr *where = qemu_plugin_get_hwaddr(info, address);
    counts[cpu % MAX_CPUS].accesses++;
    if (!where || qemu_plugin_hwaddr_is_io(where)) return;
    uint64_t page = qemu_plugin_hwaddr_phys_addr(where) >> 12;
    if (page < pages) touch(page, qemu_plugin_mem_is_store(info) ? STORE : LOAD);
}

static void on_run(unsigned cpu, void *data) {
    struct code *code = data;
    counts[cpu % MAX_CPUS].instructions += code->instructions;
    for (int i = 0; i < 2; i++)
        if (code->pages[i] != NONE) touch(code->pages[i], FETCH);
}

/* A RAM block is a mapping of its own, as long as the RAM is large. It is there before the first instruction runs. */
static void find_ram(void) {
    FILE *maps = fopen("/proc/self/maps", "r");
    char line[4096], how[8];
    uintptr_t from, to, found = 0;
    while (maps && fgets(line, sizeof line, maps))
        if (sscanf(line, "%lx-%lx %7s", &from, &to, how) == 3 && to - from == (uintptr_t)pages << 12 && how[1] == 'w') {
            if (found) { found = 0; break; } /* two of them: which is it? */
            found = from;
        }
    if (maps) fclose(maps);
    ram = found;
    ram_size = found ? (uintptr_t)pages << 12 : 0;
    uint32_t fetches = found != 0;
    if (pwrite(out, &fetches, sizeof fetches, offsetof(struct head, fetches)) < 0) perror("tracekit");
}

static void on_translate(qemu_plugin_id_t id, struct qemu_plugin_tb *tb) {
    static pthread_once_t looked = PTHREAD_ONCE_INIT;
    pthread_once(&looked, find_ram);
    size_t n = qemu_plugin_tb_n_insns(tb);
    struct code *code = malloc(sizeof *code); /* kept for as long as QEMU may run the block: until the end */
    *code = (struct code){.instructions = n, .pages = {NONE, NONE}};
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uintptr_t offset = (uintptr_t)qemu_plugin_insn_haddr(insn) - ram;
        if (ram && offset < ram_size) {
            uint32_t page = offset >> 12;
            if (code->pages[0] == NONE) code->pages[0] = page;
            else if (page != code->pages[0]) code->pages[1] = page;
        }
        qemu_plugin_register_vcpu_mem_cb(insn, on_access, NO_REGISTERS, LOADS_AND_STORES, 0);
    }
    qemu_plugin_register_vcpu_tb_exec_cb(tb, on_run, NO_REGISTERS, code);
}

/* End the bucket: its touches are taken under the lock, and written while the next one fills. */
static void end_bucket(void) {
    struct block block = {.begin = begin};
    pthread_mutex_lock(&lock);
    uint32_t *full = touched;
    touched = writing, writing = full;
    block.touches = touches, touches = 0;
    begin = block.end = now();
    __atomic_store_n(&bucket, bucket + 1 ? bucket + 1 : 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < MAX_CPUS; i++) {
        block.instructions += __atomic_load_n(&counts[i].instructions, __ATOMIC_RELAXED);
        block.accesses += __atomic_load_n(&counts[i].accesses, __ATOMIC_RELAXED);
    }
    struct iovec parts[2] = {{&block, sizeof block}, {full, block.touches * sizeof *full}};
    ssize_t size = sizeof block + block.touches * sizeof *full;
    if (writev(out, parts, 2) != size) {
        fprintf(stderr, "tracekit: the disk is full or the file gone; no more accesses are recorded\n");
        close(out);
        out = -1;
    }
}

static pthread_mutex_t ending = PTHREAD_MUTEX_INITIALIZER;

static void *tick(void *unused) {
    for (uint64_t next = begin;;) {
        next += bucket_ms * 1000000ull;
        struct timespec t = {next / 1000000000, next % 1000000000};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &t, 0);
        pthread_mutex_lock(&ending);
        if (out >= 0) end_bucket();
        pthread_mutex_unlock(&ending);
    }
    return 0;
}

static void on_exit_of_qemu(qemu_plugin_id_t id, void *unused) {
    pthread_mutex_lock(&ending); /* and kept: nothing comes after the last bucket */
    if (out >= 0) end_bucket();
    out = -1;
    pthread_mutex_unlock(&ending);
}

PUBLIC int qemu_plugin_install(qemu_plugin_id_t id, const void *info, int argc, char **argv) {
    const char *path = 0;
    uint32_t mib = 0;
    for (int i = 0; i < argc; i++) {
        if (!strncmp(argv[i], "out=", 4)) path = argv[i] + 4;
        else if (sscanf(argv[i], "mib=%u", &mib) != 1 && sscanf(argv[i], "bucket_ms=%u", &bucket_ms) != 1) {
            fprintf(stderr, "tracekit: unknown argument %s; expected out=FILE, mib=RAM, bucket_ms=TIME\n", argv[i]);
            return -1;
        }
    }
    if (!path || !mib || mib > MAX_MIB || !bucket_ms) {
        fprintf(stderr, "tracekit: needs out=FILE, mib=RAM (MiB of guest RAM, at most %d) and bucket_ms of at least 1\n", MAX_MIB);
        return -1;
    }
    pages = mib << 8;
    path = strdup(path);
    out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    struct head head = {.magic = "tkaccess", .api = API_VERSION, .pages = pages, .bucket_ms = bucket_ms};
    if (out < 0 || write(out, &head, sizeof head) != sizeof head) {
        fprintf(stderr, "tracekit: %s cannot be written; it must not be there yet\n", path);
        return -1;
    }
    lseek(out, 0, SEEK_END);
    for (int kind = 0; kind < KINDS; kind++) last[kind] = calloc(pages, sizeof **last);
    touched = calloc(KINDS * (size_t)pages, sizeof *touched);
    writing = calloc(KINDS * (size_t)pages, sizeof *writing);
    if (!last[LOAD] || !last[STORE] || !last[FETCH] || !touched || !writing) return -1;
    begin = now();
    qemu_plugin_register_vcpu_tb_trans_cb(id, on_translate);
    qemu_plugin_register_atexit_cb(id, on_exit_of_qemu, 0);
    pthread_t thread;
    return pthread_create(&thread, 0, tick, 0) ? -1 : 0;
}
