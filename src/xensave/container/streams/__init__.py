"""What holds a guest's records: libxl, libxc, legacy, the HVM context, a device model's state."""
