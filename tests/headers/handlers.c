/* A small program shaped like a hypervisor's registration of save records. */
#define _GNU_SOURCE
#include <stddef.h>
#include <stdint.h>

#ifdef INLINED
#define HOW static inline __attribute__((always_inline))
#else
#define HOW __attribute__((noinline))
#endif

struct context { unsigned char *data; uint32_t at; };
typedef int (*handler)(void *who, struct context *context);

static struct {
    handler save;
#ifdef CHECKED
    handler check;
#endif
    handler load;
    const char *name;
    size_t size;
    int kind;
} hvm_sr_handlers[ENTRIES];

volatile unsigned int features = 7;
int xen_major_version(void) { return 4; }
int xen_minor_version(void) { return 99; }
const char *xen_extra_version(void) { return ".1-test"; }

HOW void hvm_register_savevm(uint16_t typecode, const char *name, handler save,
#ifdef CHECKED
                             handler check,
#endif
                             handler load, size_t size, int kind)
{
#ifdef ASSERTS
    if ( typecode >= ENTRIES || hvm_sr_handlers[typecode].save )
        __builtin_trap();
#endif
    hvm_sr_handlers[typecode].save = save;
#ifdef CHECKED
    hvm_sr_handlers[typecode].check = check;
#endif
    hvm_sr_handlers[typecode].load = load;
    hvm_sr_handlers[typecode].name = name;
    hvm_sr_handlers[typecode].size = size;
    hvm_sr_handlers[typecode].kind = kind;
}

__attribute__((noinline))
int _hvm_init_entry(struct context *c, uint16_t code, uint16_t instance, uint32_t length)
{
    c->data[c->at++] = code + instance + length;
    return c->at > 4000;
}

__attribute__((noinline)) unsigned int area_size(unsigned int mask) { return mask * 64; }

#ifdef CHECKED
#define CHECK(name) check_##name,
#define DEFINE_CHECK(name) \
    __attribute__((noinline)) static int check_##name(void *w, struct context *c) \
    { return w == c; }
#else
#define CHECK(name)
#define DEFINE_CHECK(name)
#endif

#define RECORD(name, code, length, count, kind)                                    \
    __attribute__((noinline)) static int save_##name(void *w, struct context *c)   \
    {                                                                              \
        int rc = 0;                                                                \
        for ( int i = 0; i < count && !rc; i++ )                                   \
            rc = _hvm_init_entry(c, code, i, length);                              \
        return rc + !w;                                                            \
    }                                                                              \
    __attribute__((noinline)) static int load_##name(void *w, struct context *c)   \
    { return w != c; }                                                             \
    DEFINE_CHECK(name)                                                             \
    static __attribute__((noinline)) int register_##name(void)                     \
    {                                                                              \
        hvm_register_savevm(code, #name, save_##name, CHECK(name) load_##name,     \
                            (count) * ((size_t)(length) + 8), kind);               \
        return 0;                                                                  \
    }                                                                              \
    int (*initcall_##name)(void) = register_##name;

RECORD(ALPHA, 0, 24, 1, 0)
RECORD(BETA, 1, 1032, 1, 1)
RECORD(GAMMA, 3, 8, 2, 0)
RECORD(LAST, ENTRIES - 1, 300, 1, 1)

/* The size of one is known at run time alone, and the other follows in the same function. */
__attribute__((noinline)) static int save_BOOT(void *w, struct context *c)
{
    return _hvm_init_entry(c, 4, 0, 24 + area_size(features)) + !w;
}
__attribute__((noinline)) static int save_TAIL(void *w, struct context *c)
{
    return _hvm_init_entry(c, 5, 0, 152) + !w;
}
#ifdef CHECKED
DEFINE_CHECK(BOOT)
DEFINE_CHECK(TAIL)
#endif
__attribute__((noinline)) static int load_BOOT(void *w, struct context *c) { return w != c; }

__attribute__((noinline)) static void register_two(void)
{
    hvm_register_savevm(4, "BOOT", save_BOOT, CHECK(BOOT) load_BOOT,
                        24 + (size_t)area_size(features) + 8, 1);
    hvm_register_savevm(5, "TAIL", save_TAIL, CHECK(TAIL) load_BOOT, 152 + 8, 1);
}

int hvm_save(unsigned char *data)
{
    struct context c = { data, 0 };
    int rc = 0;
    for ( unsigned int i = 0; i < ENTRIES; i++ )
        if ( hvm_sr_handlers[i].save )
            rc |= hvm_sr_handlers[i].save(data, &c) + hvm_sr_handlers[i].kind;
    return rc;
}

void _start(void)
{
    static unsigned char data[4096];
    initcall_ALPHA();
    initcall_BETA();
    initcall_GAMMA();
    initcall_LAST();
    register_two();
    hvm_save(data);
    for ( ;; ) ;
}
