#define DECLARE_HVM_SAVE_TYPE(_name, _code, _type) \
    struct __HVM_SAVE_TYPE_##_name { _type t; char c[_code]; char cpt[1]; }

struct header {
    uint64_t magic;
};
DECLARE_HVM_SAVE_TYPE(HEADER, 1, struct header);

struct clock {
    uint64_t now;
    uint32_t rate;
    uint32_t mode;
};
DECLARE_HVM_SAVE_TYPE(CLOCK, 2, struct clock);

struct timer {
    uint64_t deadline;
    uint64_t period;
};
DECLARE_HVM_SAVE_TYPE(TIMER, 3, struct timer);

struct meter {
    uint64_t count;
};
DECLARE_HVM_SAVE_TYPE(METER, 3, struct meter);

#define HVM_SAVE_CODE_MAX 3
