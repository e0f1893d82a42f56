"""What xl, libxl and libxc of a release refuse, before the hypervisor is asked."""
