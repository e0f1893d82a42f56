static struct {
    hvm_save_handler save;
} hvm_sr_handlers[HVM_SAVE_CODE_MAX + 1];

int hvm_load(struct domain *d, bool real, hvm_domain_context_t *h)
{
    return 0;
}

static int clock_load(struct domain *d, hvm_domain_context_t *h)
{
    struct hvm_clock clock;

    return hvm_load_entry(CLOCK, h, &clock);
}
static int clock_check(const struct domain *d, hvm_domain_context_t *h)
{
    return d->arch.hvm.gauge_scale ? 0 : -EINVAL;
}
HVM_REGISTER_SAVE_RESTORE(CLOCK, clock_save, clock_check, clock_load, 1, HVMSR_PER_DOM);

static int timer_load(struct domain *d, hvm_domain_context_t *h)
{
    struct hvm_timer timer;

    if ( hvm_load_entry_zeroextend(TIMER, h, &timer) )
        return -EINVAL;
    d->arch.hvm.timer_mode = timer.mode;
    return 0;
}
HVM_REGISTER_SAVE_RESTORE(TIMER, timer_save, NULL, timer_load, 1, HVMSR_PER_DOM);
