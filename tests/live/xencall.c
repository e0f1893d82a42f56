/* A library with libxencall's interface, and behind it a hypervisor with one HVM and one PV guest. */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct domctl { uint32_t cmd, version; uint16_t domain, pad[3]; union { uint8_t raw[128];
    struct { uint16_t domain, pad; uint32_t flags; uint64_t pages[5], shared_info, time; uint32_t online, max_vcpu; } info;
    struct { uint32_t vcpu; uint8_t online; } vcpu;
    struct { uint32_t vcpu; uint64_t buffer; } vcpu_context;
    struct { uint32_t size; uint64_t buffer; } context;
    struct { uint32_t mode, khz, incarnation, pad; uint64_t nsec; } tsc;
    struct { uint64_t num, array; } types;
    struct { uint32_t leaves, msrs; uint64_t leaf, msr; } policy; } u; };
struct param { uint16_t domain, pad; uint32_t index; uint64_t value; };

static unsigned long number(const char *name) { const char *text = getenv(name); return text ? strtoul(text, 0, 0) : 0; }
static int fail(int code) { errno = code; return -1; }

static long context(uint8_t *to, uint32_t size)
{
    FILE *file = fopen(getenv("FAKE_CONTEXT"), "rb");
    fseek(file, 0, SEEK_END);
    long length = ftell(file);
    rewind(file);
    if (to && size >= length && fread(to, 1, length, file) != (size_t)length) length = -1;
    fclose(file);
    return length;
}

/* What was done to the guest, a line each. */
static int note(const char *what)
{
    FILE *file = getenv("FAKE_LOG") ? fopen(getenv("FAKE_LOG"), "a") : 0;
    if (!file) return fail(EPERM);
    fprintf(file, "%s\n", what);
    fclose(file);
    return 0;
}

/* How it was asked for memory, and when it was paused, a line each. */
static void call(const char *what, unsigned long first, unsigned long count)
{
    FILE *file = getenv("FAKE_CALLS") ? fopen(getenv("FAKE_CALLS"), "a") : 0;
    if (!file) return;
    fprintf(file, "%s %lu %lu\n", what, first, count);
    fclose(file);
}

/* Frame 5 is not there, nor what lies above 0x20, but for the last ones. Frame 0x15 and the last of all are Xen's own. */
static int there(unsigned long frame) { return frame != 5 && (frame <= 0x20 || frame + number("FAKE_TOP") > number("FAKE_MAX_FRAME")); }
static int xens(unsigned long frame) { return frame == 0x15 || frame == number("FAKE_MAX_FRAME"); }

/* The guest is destroyed as its first frame is mapped in the pause, if FAKE_VANISH says so: 1 is gone at once, 2 dies slowly. */
static int vanished(int now)
{
    char text[64] = "";
    FILE *file = number("FAKE_VANISH") ? fopen(getenv("FAKE_LOG"), "r+") : 0;
    if (!file) return 0;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    if (now && strstr(text, "pause") && !strstr(text, "gone")) fprintf(file, "gone\n");
    fclose(file);
    return strstr(text, "gone") ? number("FAKE_VANISH") : 0;
}

/* The PV guest: its frame N is machine frame PV + N, but that it has no frame 5. Frame 2 is its root table, the last three are its
   P2M. Machine frame PV_SHARED is its shared info page. */
enum { PV = 0x100, PV_FRAMES = 16, PV_ROOT = PV + 2, PV_LEAF = PV + 13, PV_LIST, PV_LISTS, PV_SHARED = 0x200 };
static int pv_owns(unsigned long frame) { return frame >= PV && frame < PV + PV_FRAMES && frame != PV + 5; }

static void pv_page(unsigned long frame, uint64_t *to)
{
    memset(to, frame == PV_ROOT || frame == PV_SHARED ? 0 : (int)frame, 4096);
    switch (frame) {
    case PV_SHARED: to[386] = PV_FRAMES; to[387] = PV_LISTS; break;
    case PV_LISTS: to[0] = PV_LIST; break;
    case PV_LIST: to[0] = PV_LEAF; break;
    case PV_LEAF: for (int at = 0; at < PV_FRAMES; at++) to[at] = at == 5 ? ~0ul : PV + at; break;
    /* A frame of its own, one of Xen's, one of another domain's. */
    case PV_ROOT: to[1] = (PV + 3ul) << 12 | 0x67; to[256] = (PV + 3ul) << 12 | 0x63; to[300] = 0x777ul << 12 | 0x67; break;
    }
}

/* What is asked of the PV guest only. */
static int pv_domctl(struct domctl *ask)
{
    uint64_t *to;
    switch (ask->cmd) {
    case 13:
        to = (void *)(uintptr_t)ask->u.vcpu_context.buffer;
        memset(to, 0, 5168);
        to[5008 / 8] = (uint64_t)PV_ROOT << 12;
        return 0;
    case 14: ask->u.vcpu.online = !ask->u.vcpu.vcpu; return ask->u.vcpu.vcpu > 1 ? fail(ESRCH) : 0;
    case 36: ask->u.vcpu.vcpu = 64; return 0;
    case 61:
        if (number("FAKE_NO_TYPES")) return fail(ENOSYS);
        to = (void *)(uintptr_t)ask->u.types.array;
        for (unsigned at = 0; at < ask->u.types.num; at++)
            to[at] = to[at] == PV_ROOT ? 0xcul << 28 : pv_owns(to[at]) ? 0 : 0xful << 28;
        return 0;
    }
    return fail(ENOSYS);
}

static int domctl(struct domctl *ask)
{
    long length;
    uint64_t *frames;
    if (ask->version != number("FAKE_INTERFACE")) return fail(EACCES);
    if (ask->cmd == 5) {
        /* Xen answers for the first domain from that number on. */
        if (ask->domain > 2) return fail(ESRCH);
        ask->u.info.domain = ask->domain < 1 ? 1 : ask->domain;
        if (vanished(0) == 1) return fail(ESRCH);
        ask->u.info.flags = (ask->u.info.domain == 1) << 1 | (vanished(0) == 2);
        ask->u.info.pages[0] = PV_FRAMES;
        ask->u.info.shared_info = PV_SHARED;
        ask->u.info.max_vcpu = 1;
        return 0;
    }
    if (ask->domain < 1 || ask->domain > 2 || vanished(0) == 1) return fail(ESRCH);
    switch (ask->cmd) {
    case 3: call("pause", 0, 0); return note("pause");
    case 4: call("unpause", 0, 0); return note("unpause");
    }
    if (ask->domain == 2) return pv_domctl(ask);
    switch (ask->cmd) {
    case 61:
        if (number("FAKE_NO_TYPES")) return fail(ENOSYS);
        if (ask->u.types.num > 1024) return fail(E2BIG);
        frames = (void *)(uintptr_t)ask->u.types.array;
        call("types", frames[0], ask->u.types.num);
        for (unsigned at = 0; at < ask->u.types.num; at++)
            frames[at] = number("FAKE_BROKEN") && frames[at] == number("FAKE_BROKEN") ? 0xdul << 28 : there(frames[at]) && !xens(frames[at]) ? 0 : 0xful << 28;
        return 0;
    case 33:
        length = context(0, 0);
        if (!ask->u.context.buffer) { ask->u.context.size = length; return 0; }
        if (ask->u.context.size < length) return fail(ENOSPC);
        context((uint8_t *)(uintptr_t)ask->u.context.buffer, ask->u.context.size);
        ask->u.context.size = length;
        return 0;
    case 59:
        ask->u.tsc.mode = 0; ask->u.tsc.khz = 2000000; ask->u.tsc.incarnation = 3; ask->u.tsc.nsec = 12345;
        return 0;
    case 82:
        if (ask->u.policy.leaves < 1 || ask->u.policy.msrs < 1) return fail(ENOBUFS);
        memcpy((void *)(uintptr_t)ask->u.policy.leaf, (uint32_t[]){0, 0xffffffff, 0xd, 0x68747541, 0x444d4163, 0x69746e65}, 24);
        memcpy((void *)(uintptr_t)ask->u.policy.msr, (uint32_t[]){0xce, 0, 0x80000000, 0}, 16);
        ask->u.policy.leaves = ask->u.policy.msrs = 1;
        return 0;
    }
    return fail(ENOSYS);
}

void *xencall_open(void *logger, unsigned flags)
{
    /* As the library itself does, it says on standard error what it also returns. */
    if (number("FAKE_ERRNO")) { fprintf(stderr, "xencall: error\n"); fflush(stderr); errno = number("FAKE_ERRNO"); return 0; }
    return malloc(1);
}
int xencall_close(void *handle) { free(handle); return 0; }
void *xencall_alloc_buffer(void *handle, size_t size) { return malloc(size ? size : 1); }
void xencall_free_buffer(void *handle, void *buffer) { free(buffer); }
int xencall1(void *handle, unsigned op, uint64_t one) { return op == 36 ? domctl((void *)(uintptr_t)one) : fail(ENOSYS); }
int xencall2(void *handle, unsigned op, uint64_t one, uint64_t two)
{
    struct param *param = (void *)(uintptr_t)two;
    if (op == 17 && one == 0) return number("FAKE_VERSION");
    if (op == 12 && one == 14) return *(uint16_t *)(uintptr_t)two == 1 ? (int)number("FAKE_MAX_FRAME") : fail(ESRCH);
    if (op != 34 || one != 1) return fail(ENOSYS);
    if (param->domain != 1) return fail(ESRCH);
    if (param->index == 5) return fail(EINVAL);
    param->value = param->index == 1 ? 0xfeffc : 0;
    return 0;
}

/* libxenctrl's, as far as it is used. */
void *xc_interface_open(void *logger, void *other, unsigned flags) { return xencall_open(logger, flags); }
int xc_version(void *handle, int command, void *to) { return number("FAKE_VERSION"); }
int xc_domain_hvm_getcontext(void *handle, uint32_t domain, uint8_t *to, uint32_t size) { return domain == 1 ? context(to, size) : fail(ESRCH); }
int xc_hvm_param_get(void *handle, uint32_t domain, uint32_t index, uint64_t *value) { if (index == 5) return fail(EINVAL); *value = index == 1 ? 0xfeffc : 0; return 0; }

/* And libxenstore's. */
struct store { int unused; };
void *xs_open(unsigned long flags) { return malloc(1); }
void xs_close(void *handle) { free(handle); }
char **xs_directory(void *handle, uint32_t transaction, const char *path, unsigned *count)
{
    char **found = malloc(3 * sizeof(char *) + 8);
    char *words = (char *)(found + 3);
    memcpy(words, "0\0" "1\0" "2", 6);
    found[0] = words; found[1] = words + 2; found[2] = words + 4;
    *count = 3;
    return found;
}
void *xs_read(void *handle, uint32_t transaction, const char *path, unsigned *length)
{
    if (strcmp(path, "/local/domain/1/name") && strcmp(path, "/local/domain/2/name")) return 0;
    *length = 6;
    return strdup(strstr(path, "/1/") ? "guest1" : "paravm");
}

/* libxenforeignmemory's: a page holds its number. */
void *xenforeignmemory_open(void *logger, unsigned flags) { return malloc(1); }
int xenforeignmemory_close(void *handle) { free(handle); return 0; }
void *xenforeignmemory_map(void *handle, uint32_t domain, int protection, size_t pages, const unsigned long *frames, int *errors)
{
    uint8_t *found = malloc(pages * 4096);
    /* The first page comes when there is a file of that name. */
    if (getenv("FAKE_UNTIL") && (!frames[0] || frames[0] == PV))
        while (access(getenv("FAKE_UNTIL"), F_OK)) usleep(1000);
    if (domain != 1 && domain != 2) { errno = ESRCH; return 0; }
    call("map", frames[0], pages);
    vanished(1);
    for (size_t at = 0; at < pages; at++) {
        if (domain == 2) {
            errors[at] = pv_owns(frames[at]) || frames[at] == PV_SHARED ? 0 : -EINVAL;
            pv_page(frames[at], (uint64_t *)(found + at * 4096));
            continue;
        }
        errors[at] = there(frames[at]) ? 0 : -ENOENT;
        memset(found + at * 4096, (int)frames[at], 4096);
    }
    return found;
}
int xenforeignmemory_unmap(void *handle, void *address, size_t pages) { free(address); return 0; }
