"""What libxl refuses: a configuration, the domain to be made, a device model's state."""
