#include "save.h"

HVM_REGISTER_SAVE_RESTORE(CLOCK, clock_save, clock_load, 1, HVMSR_PER_DOM);
HVM_REGISTER_SAVE_RESTORE(TIMER, timer_save, timer_load, 1, HVMSR_PER_VCPU);
