"""What holds a guest's records: libxl, libxc, legacy, the HVM context, and a device model's state."""
