static int clock_load(struct domain *d, hvm_domain_context_t *h)
{
    struct hvm_clock clock;

    return hvm_load_entry(CLOCK, h, &clock);
}
HVM_REGISTER_SAVE_RESTORE(CLOCK, clock_save, clock_load, 1, HVMSR_PER_DOM);

static int timer_load(struct domain *d, hvm_domain_context_t *h)
{
    struct hvm_timer timer;

    if ( hvm_load_entry_zeroextend(TIMER, h, &timer) )
        return -EINVAL;
    d->arch.hvm.timer_mode = timer.mode;
    return 0;
}
HVM_REGISTER_SAVE_RESTORE(TIMER, timer_save, timer_load, 1, HVMSR_PER_DOM);
