/* A header as small as a fixture can be. */
#define DECLARE_HVM_SAVE_TYPE(_x, _code, _type) \
    struct __HVM_SAVE_TYPE_##_x { _type t; char c[_code]; char cpt[1]; }

struct hvm_save_descriptor {
    uint16_t typecode;
    uint16_t instance;
    uint32_t length;
};
#define HVM_FILE_MAGIC   0x54381286
#define HVM_FILE_VERSION 1

struct hvm_clock {
    uint64_t ticks;
    uint64_t alarm;
    uint32_t rate;
    uint32_t pad0;
};
DECLARE_HVM_SAVE_TYPE(CLOCK, 2, struct hvm_clock);

struct hvm_timer {
    uint64_t period;
    uint32_t mode;
    uint32_t count;
};
DECLARE_HVM_SAVE_TYPE(TIMER, 3, struct hvm_timer);

#define HVM_SAVE_CODE_MAX 3
